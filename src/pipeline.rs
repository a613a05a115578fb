//! The way of a batch, from the request to the 207.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower::BoxError;

use crate::{
    answer::Answer,
    body::{ReadError, ResponseBody, Whole},
    config::Config,
    context::BatchContext,
    dispatch::Dispatch,
    draft::DecodeContext,
    fault,
    format::EncodeContext,
    inherit::Inheritance,
    negotiate::negotiate,
    rejection::Rejection,
    send::{Budget, send},
    service::Inner,
    spawn,
    timer::{Timer, after},
    watch::{self, Watch},
};

/// Answers one batch. It always has an answer; where the batch is refused, that says why.
pub(crate) fn answer<S, B>(
    inner: S,
    request: Request<B>,
    config: Arc<Config>,
    misplaced: bool,
) -> impl Future<Output = Response<ResponseBody<S::ResponseBody>>> + Send + 'static
where
    S: Inner<B>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let deadline = after(config.limits.batch_timeout);
    Watch::batch(request.uri().path()).over(async move {
        let answered = match guard(&request, misplaced) {
            Ok(()) => run(inner, request, Arc::clone(&config), deadline).await,
            Err(rejection) => Err(rejection),
        };
        let response = answered.unwrap_or_else(|rejection| (config.render_rejection)(&rejection));
        response.map(ResponseBody::multistatus)
    })
}

fn guard<B>(request: &Request<B>, misplaced: bool) -> Result<(), Rejection> {
    if misplaced {
        return Err(Rejection::misplaced());
    }
    match request.extensions().get::<BatchContext>() {
        Some(_) => Err(Rejection::nested()),
        None => Ok(()),
    }
}

async fn run<S, B>(
    inner: S,
    request: Request<B>,
    config: Arc<Config>,
    deadline: Instant,
) -> Result<Response<Bytes>, Rejection>
where
    S: Inner<B>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (head, body) = request.into_parts();
    let formats = negotiate(&config, &head.headers)?;
    let bytes = read(body, config.limits.request_bytes, deadline).await?;
    let batch = formats.decoder.decode(DecodeContext::new(&config, &head), bytes)?;
    watch::operations(batch.slots.len());
    let mut answer =
        Answer::begin(&formats, EncodeContext::new(Arc::clone(&config), formats.media_type, head.uri.path()));
    let inheritance = Inheritance::new(&head, &config.forwards);
    let (budget, spawned) = (Budget::new(Arc::clone(&config)), config.spawn);
    let mut operations = Dispatch::new(config, batch, inheritance, deadline, move |request, watch: &Watch| {
        spawn::run(watch.over(send(inner.clone(), request, Arc::clone(&budget))), spawned)
    });
    while operations.next().await.is_some() {
        answer.write(operations.slots());
    }
    Ok(answer.finish())
}

async fn read<B>(body: B, limit: usize, deadline: Instant) -> Result<Bytes, Rejection>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(Rejection::too_large(limit));
    }
    let (mut left, mut whole, mut timer) = (limit, pin!(Whole::new(body)), Timer::default());
    let mut charge = |bytes| left.checked_sub(bytes).map(|rest| left = rest).is_some();
    let read = poll_fn(|cx| match whole.as_mut().poll_read(cx, &mut charge) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        Poll::Pending => timer.poll_until(deadline, cx).map(|()| None),
    });
    match read.await {
        Some(Ok(bytes)) => Ok(bytes),
        Some(Err(ReadError::TooLarge)) => Err(Rejection::too_large(limit)),
        Some(Err(ReadError::Body(error))) if fault::is_length_limit(&error) => Err(Rejection::too_large(limit)),
        Some(Err(ReadError::Body(error))) => {
            watch::cause("the batch could not be read", &error);
            Err(Rejection::malformed("the batch broke off before its end; nothing of it ran"))
        }
        None => Err(Rejection::timeout()),
    }
}
