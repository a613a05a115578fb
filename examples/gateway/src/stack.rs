//! The layers, from a client's request down to an upstream.
//!
//! ```text
//! BatchLayer   a batch becomes operations; all else goes through
//! Front        headers, time-out
//! Retry        once more, to another upstream
//! ReadAhead    answers to operations are read whole
//! Buffer       one queue for all
//! Fleet        refuses if all are down, and Balance chooses
//! Circuit      one upstream, unless it is left alone; its load
//! Upstream     so many at once, over hyper's client
//! ```

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::sync::Semaphore;
use tokio_util::sync::PollSemaphore;
use tower::{
    BoxError, Layer,
    buffer::Buffer,
    retry::{RetryLayer, budget::TpsBudget},
    util::BoxCloneSyncService,
};
use tower_multistatus::{BatchLayer, ResponseBody};

use crate::{
    answer::Answer,
    circuit::Circuit,
    fault,
    fleet::Fleet,
    front::{Front, Peer},
    health::Health,
    options::Options,
    outgoing::Outgoing,
    read_ahead::ReadAhead,
    retries::Retries,
    upstream::Upstream,
};

/// Requests that wait in the queue. More of them wait before it.
const QUEUE: usize = 1024;
/// Shorter than most servers keep an idle connection: what is sent just when they close it is lost.
const IDLE: Duration = Duration::from_secs(4);

/// In a box, for the compiler can't prove of the whole type that its futures are `Send`.
pub(crate) type Stack = BoxCloneSyncService<Request<Incoming>, Response<ResponseBody<Answer>>, BoxError>;

/// It spawns tasks: the queue's, and some that look after upstreams that are down.
pub(crate) fn stack(options: &Options) -> Result<Stack, http::Error> {
    let fleet = Fleet::new(upstreams(options)?);
    let queue = ReadAhead(Buffer::new(fleet, QUEUE));
    let budget = TpsBudget::new(Duration::from_secs(10), options.retry_reserve, options.retry_percent as f32 / 100.0);
    let retry = RetryLayer::new(Retries::new(budget)).layer(queue);
    let front = Front::new(BoxCloneSyncService::new(retry), options.timeout, &options.trusted);
    Ok(BoxCloneSyncService::new(batch(options).layer(front)))
}

fn batch(options: &Options) -> BatchLayer {
    let layer = BatchLayer::new()
        .with_error_status(fault::status)
        .forward_extension::<Peer>()
        .order(options.order)
        .max_operations(options.max_operations)
        .concurrency(options.batch_concurrency)
        // The front's own time-out comes before it. This one is for what comes after the head of an answer.
        .operation_timeout(options.timeout * 2)
        .batch_timeout(options.batch_timeout)
        .spawn_streams();
    options.authorities.iter().fold(layer, |layer, authority| layer.authority(authority))
}

fn upstreams(options: &Options) -> Result<Vec<(Circuit, Arc<Health>)>, http::Error> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(options.connect_timeout));
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build::<_, Outgoing>(connector.clone());
    let upstreams = options.upstreams.iter().map(|origin| {
        let health = Health::new(origin.uri()?, connector.clone(), options.backoff);
        let places = PollSemaphore::new(Arc::new(Semaphore::new(options.concurrency)));
        let upstream = Upstream::new(origin.clone(), client.clone(), options.timeout, places);
        Ok((Circuit::new(upstream, Arc::clone(&health), options.timeout), health))
    });
    upstreams.collect()
}
