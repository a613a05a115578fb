//! All upstreams together: balanced, and refused at once when none of them can be reached.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::{self, Either, Ready};
use http::{Request, Response};
use tower::{BoxError, Service, balance::p2c::Balance, discover::ServiceList};

use crate::{answer::Exchanged, circuit::Circuit, fault::Fault, health::Health, outgoing::Outgoing};

type Balanced = Balance<ServiceList<Vec<Circuit>>, Request<Outgoing>>;

/// A balancer without a ready upstream is not ready, and so its queue grows until time-outs empty it. That is right while
/// they are busy, and wrong when they are gone.
pub(crate) struct Fleet {
    balance: Balanced,
    healths: Vec<Arc<Health>>,
    refuses: bool,
}

impl Fleet {
    pub(crate) fn new(upstreams: Vec<(Circuit, Arc<Health>)>) -> Self {
        let (circuits, healths) = upstreams.into_iter().unzip();
        let balance = Balance::new(ServiceList::new::<Request<Outgoing>>(circuits));
        Self { balance, healths, refuses: false }
    }
}

impl Service<Request<Outgoing>> for Fleet {
    type Response = Response<Exchanged>;
    type Error = BoxError;
    type Future = Either<<Balanced as Service<Request<Outgoing>>>::Future, Ready<Result<Self::Response, BoxError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let polled = self.balance.poll_ready(cx);
        // Each that is not ready has been asked, and so wakes this task when it changes.
        self.refuses = polled.is_pending() && self.healths.iter().all(|health| health.is_down());
        if self.refuses { Poll::Ready(Ok(())) } else { polled }
    }

    fn call(&mut self, request: Request<Outgoing>) -> Self::Future {
        if self.refuses {
            Either::Right(future::ready(Err(Fault::AllDown.into())))
        } else {
            Either::Left(self.balance.call(request))
        }
    }
}
