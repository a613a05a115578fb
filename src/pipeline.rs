//! The way of a batch, from the request to the 207.

use std::{future::poll_fn, mem, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower::BoxError;

use crate::{
    answer::Answer,
    batch::Batch,
    body::{Ours, ResponseBody},
    builder::DecodeContext,
    config::Config,
    context::BatchContext,
    dispatch::Dispatch,
    format::{Decoder, EncodeContext},
    inherit::Inheritance,
    intake::Intake,
    lines::Lines,
    negotiate::negotiate,
    read::read,
    rejection::Rejection,
    send::{Budget, Scope, send},
    service::Inner,
    spawn,
    stream::Streamed,
    timer::after,
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
    let watch = Watch::batch(request.uri().path());
    watch.clone().over(async move {
        let answered = match guard(&request, misplaced) {
            Ok(()) => run(inner, request, Arc::clone(&config), deadline, watch).await,
            Err(rejection) => Err(rejection),
        };
        let response = answered.unwrap_or_else(|rejection| (config.render_rejection)(&rejection).map(Ours::from));
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
    watch: Watch,
) -> Result<Response<Ours>, Rejection>
where
    S: Inner<B>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (head, body) = request.into_parts();
    let formats = negotiate(&config, &head.headers)?;
    let (mut batch, intake) = match formats.decoder {
        Decoder::Whole(decoder) => {
            let bytes = read(body, config.limits.request_bytes, deadline).await?;
            let batch = decoder.decode(DecodeContext::new(&config, &head), bytes)?;
            watch::operations(batch.slots.len());
            (batch, None)
        }
        Decoder::Lines(decoder) => {
            let decoder = decoder.begin(DecodeContext::of_stream(&config, &head))?;
            let lines = Lines::begin(body, config.limits.line_bytes).await?;
            (Batch::to_come(&config), Some(Intake::new(lines, decoder)))
        }
    };
    let encoder = formats.encoder(&config, batch.dialect);
    let cx = EncodeContext::new(Arc::clone(&config), formats.media_type, head.uri.path());
    let mut answer = Answer::begin(encoder.as_ref(), cx, mem::take(&mut batch.groups));
    let inheritance = Inheritance::new(&head, &config.forwards);
    let scope = match &intake {
        Some(_) => Scope::InFlight,
        None if config.streaming.applies_to(batch.slots.len()) => Scope::Held,
        None => Scope::Answer,
    };
    let (budget, spawned) = (Budget::new(Arc::clone(&config), scope), config.spawn);
    let shared = Arc::clone(&budget);
    let send = move |request, watch: &Watch| {
        spawn::run(watch.over(send(inner.clone(), request, Arc::clone(&shared))), spawned, &shared)
    };
    let (keep_alive, patience) = (config.keep_alive, config.patience());
    let mut operations = Dispatch::new(config, head, batch, inheritance, budget, deadline, send);
    if let Some(intake) = intake {
        operations.take_from(intake);
    }
    if scope != Scope::Answer {
        let head = answer.head();
        let streamed = Streamed::new(answer.without_cookies(), operations, keep_alive, watch);
        return Ok(head.map(|()| spawn::stream(streamed, patience)));
    }
    while operations.next().await.is_some() {
        answer.write(operations.slots());
    }
    while answer.write(operations.slots()) {
        yield_now().await;
    }
    Ok(answer.finish().map(Ours::from))
}

/// Gives the executor its turn.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
