//! One sub-request, from the inner service's readiness to the last byte of its response.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode};
use tower::{BoxError, ServiceExt};

use crate::{
    batch::Verdict,
    body::{self, ReadError, RequestBody},
    config::Config,
    problem::Problem,
    service::Inner,
    watch,
};

/// What all sub-requests of one batch share.
#[derive(Debug)]
pub(crate) struct Means {
    config: Arc<Config>,
    /// Bytes that the answer may still get.
    left: AtomicUsize,
}

impl Means {
    pub(crate) fn new(config: Arc<Config>) -> Arc<Self> {
        let left = AtomicUsize::new(config.limits.response_bytes);
        Arc::new(Self { config, left })
    }
}

/// Sends one sub-request. Whatever goes wrong is its verdict; no error and no panic gets past this.
pub(crate) async fn send<S, B>(service: S, request: Request<Option<Bytes>>, means: Arc<Means>) -> Verdict
where
    S: Inner<B>,
    B: Send + 'static,
{
    AssertUnwindSafe(exchange(service, request, means)).catch_unwind().await.unwrap_or_else(|_| {
        watch::cause("the inner service panicked", &"see the panic's own message");
        Err(Box::new(failure(StatusCode::INTERNAL_SERVER_ERROR)))
    })
}

async fn exchange<S, B>(service: S, request: Request<Option<Bytes>>, means: Arc<Means>) -> Verdict
where
    S: Inner<B>,
    B: Send + 'static,
{
    let is_head = *request.method() == Method::HEAD;
    // The service is readied here, in the operation's own future: one that waits for its turn holds nothing that
    // another one needs.
    let response = match service.oneshot(request.map(RequestBody::operation)).await {
        Ok(response) => response,
        Err(error) => return Err(Box::new(fault(&means.config, &error.into()))),
    };
    let (head, body) = response.into_parts();
    // As a server would, on a connection (RFC 9110 §6.4.1): these have no content, whatever the service says.
    if is_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Response::from_parts(head, Bytes::new()));
    }
    let mut charge = Charge { means: &means, taken: 0 };
    match body::read(body, |bytes| charge.take(bytes)).await {
        Ok(body) => {
            charge.keep();
            Ok(Response::from_parts(head, body))
        }
        Err(ReadError::Body(error)) => Err(Box::new(fault(&means.config, &error))),
        Err(ReadError::TooLarge) => Err(Box::new(Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            format!(
                "the operation was carried out, but with its result the answer would have more than {} bytes: read \
                 the result in a batch of fewer operations, or alone",
                means.config.limits.response_bytes
            ),
        ))),
    }
}

/// Bytes that a response takes of the answer's. Given back when the response doesn't get there.
struct Charge<'a> {
    means: &'a Means,
    taken: usize,
}

impl Charge<'_> {
    fn take(&mut self, bytes: usize) -> bool {
        let enough = self.means.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes)).is_ok();
        self.taken += if enough { bytes } else { 0 };
        enough
    }

    fn keep(mut self) {
        self.taken = 0;
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.means.left.fetch_add(self.taken, Relaxed);
        }
    }
}

/// The error's text is for the server's log only.
fn fault(config: &Config, error: &BoxError) -> Problem {
    watch::cause("the inner service failed", error);
    failure((config.error_status)(error))
}

fn failure(status: StatusCode) -> Problem {
    Problem::new(
        status,
        match status {
            StatusCode::SERVICE_UNAVAILABLE => "the service is overloaded: try again later",
            StatusCode::GATEWAY_TIMEOUT => {
                "the service did not answer in time; the operation may have been carried out"
            }
            StatusCode::BAD_GATEWAY => "the upstream service could not be reached, or broke off its answer",
            _ => "the service failed at this operation",
        },
    )
}
