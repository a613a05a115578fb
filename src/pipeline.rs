//! The way of a batch, from the request to the 207.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header, request::Parts};
use http_body::Body;
use tokio::time::Instant;
use tower::BoxError;

use crate::{
    batch::{Batch, Slot},
    body::{self, ReadError, ResponseBody},
    config::Config,
    context::BatchContext,
    dispatch::Dispatch,
    draft::DecodeContext,
    fault,
    format::EncodeContext,
    inherit::Inheritance,
    negotiate::{Formats, negotiate},
    rejection::Rejection,
    send::{Means, send},
    service::Inner,
    spawn,
    timer::Timer,
    watch,
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
    let deadline = Instant::now() + config.limits.batch_timeout;
    let path = request.uri().path().to_owned();
    watch::batch(&path, async move {
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
    let slots = dispatch(inner, &head, batch, &config, deadline).await;
    Ok(encode(&formats, slots, EncodeContext::new(Arc::clone(&config), formats.media_type, head.uri.path())))
}

async fn read<B>(body: B, limit: usize, deadline: Instant) -> Result<Bytes, Rejection>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(Rejection::too_large(limit));
    }
    let mut left = limit;
    let charge = |bytes| left.checked_sub(bytes).map(|rest| left = rest).is_some();
    let (mut reading, mut timer) = (pin!(body::read(body, charge)), Timer::default());
    let outcome = poll_fn(|cx| match reading.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => timer.poll_until(deadline, cx).map(|()| None),
    });
    match outcome.await {
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

async fn dispatch<S, B>(inner: S, head: &Parts, batch: Batch, config: &Arc<Config>, deadline: Instant) -> Vec<Slot>
where
    S: Inner<B>,
    B: Send + 'static,
{
    watch::operations(batch.slots.len());
    let inheritance = Inheritance::new(head, &config.forwards);
    let (means, spawned) = (Means::new(Arc::clone(config)), config.spawn);
    let send = move |request, watch: &watch::Watch| {
        spawn::run(watch.over(send(inner.clone(), request, Arc::clone(&means))), spawned)
    };
    Dispatch::new(Arc::clone(config), batch, inheritance, deadline, send).run().await
}

/// One answer from all the outcomes, in request order. Cookies go to the outside of it.
fn encode(formats: &Formats<'_>, slots: Vec<Slot>, cx: EncodeContext) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let mut encoder = formats.encoder.begin(cx);
    let mut out = Vec::new();
    encoder.start(&mut out);
    for slot in slots {
        let Slot::Done(mut outcome) = slot else { unreachable!("dispatch ends when each slot has its outcome") };
        for cookie in outcome.take_cookies() {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        encoder.outcome(&outcome, &mut out);
    }
    encoder.finish(&mut out);
    *response.status_mut() = formats.encoder.status();
    response.headers_mut().insert(header::CONTENT_TYPE, encoder.content_type());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = out.into();
    response
}
