//! An upstream as the balancer sees it: its load, and whether it takes requests.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tower::{
    Service,
    load::{CompleteOnResponse, Load, PeakEwma, peak_ewma::Cost},
};

use crate::{
    answer::Exchanged, attempt::Attempt, fault::Fault, health::Health, outgoing::Outgoing, upstream::Upstream,
};

/// What an upstream of which nothing is known is taken to need. It must not look faster than the others.
const UNKNOWN: Duration = Duration::from_millis(50);
/// In this time most of what was measured is forgotten.
const MEMORY_NANOS: f64 = 1e9;

/// The mark of a request that has broken before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HasBroken;

/// One upstream that is not ready while it is left alone.
pub(crate) struct Circuit {
    health: Arc<Health>,
    /// How long a request may take.
    timeout: Duration,
    upstream: Upstream,
    measured: PeakEwma<Upstream>,
    /// How often it had been left alone when `measured` began.
    rests: u64,
}

impl Circuit {
    pub(crate) fn new(upstream: Upstream, health: Arc<Health>, timeout: Duration) -> Self {
        Self { measured: measured(upstream.clone()), rests: health.rests(), upstream, health, timeout }
    }
}

fn measured(upstream: Upstream) -> PeakEwma<Upstream> {
    PeakEwma::new(upstream, UNKNOWN, MEMORY_NANOS, CompleteOnResponse::default())
}

impl Load for Circuit {
    type Metric = Cost;

    fn load(&self) -> Cost {
        self.measured.load()
    }
}

impl Service<Request<Outgoing>> for Circuit {
    type Response = Response<Exchanged>;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<Self::Response, Fault>>;

    /// Never an error: the balancer would strike the upstream off for good.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        ready!(self.health.poll_admits(cx));
        // Nothing is as fast as a refusal. Measured along with answers, they would make one that was just down the most
        // attractive of all.
        let rests = self.health.rests();
        if self.rests != rests {
            self.rests = rests;
            self.measured = measured(self.upstream.clone());
        }
        self.measured.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Outgoing>) -> Self::Future {
        let attempt = Attempt::begin(&self.health, self.timeout, request.body().upload());
        let health = Arc::clone(&self.health);
        let has_broken = request.extensions().get::<HasBroken>().is_some();
        let exchange = self.measured.call(request);
        Box::pin(async move {
            match exchange.await {
                Ok(response) => {
                    attempt.answered();
                    Ok(if has_broken { response } else { response.map(|body| body.told_to(health)) })
                }
                Err(fault @ Fault::Broken(_)) if has_broken => {
                    attempt.failed_again();
                    Err(fault)
                }
                Err(fault) => {
                    attempt.failed(&fault);
                    Err(fault)
                }
            }
        })
    }
}
