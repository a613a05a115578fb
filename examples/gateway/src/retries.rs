//! Which requests are sent once more, and how many of them.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use http::{Method, Request, Response};
use tower::{
    BoxError,
    retry::{
        Policy,
        budget::{Budget, TpsBudget},
    },
};

use crate::{answer::Answer, circuit::HasBroken, fault::Fault, outgoing::Outgoing};

/// How often a request is sent at most.
const ATTEMPTS: u32 = 3;

/// What is sent again goes to another upstream: the one that has failed is not ready.
#[derive(Clone)]
pub(crate) struct Retries {
    /// Of one request.
    left: u32,
    /// Of all: or else, when much fails, each request would be three.
    budget: Arc<TpsBudget>,
}

impl Retries {
    pub(crate) fn new(budget: TpsBudget) -> Self {
        Self { left: ATTEMPTS - 1, budget: Arc::new(budget) }
    }
}

impl Policy<Request<Outgoing>, Response<Answer>, BoxError> for Retries {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        request: &mut Request<Outgoing>,
        result: &mut Result<Response<Answer>, BoxError>,
    ) -> Option<Ready<()>> {
        let error = match result {
            Ok(_) => {
                self.budget.deposit();
                return None;
            }
            Err(error) => error,
        };
        let may = match error.downcast_ref::<Fault>()? {
            // It has not been sent at all (RFC 9110 §9.2.2).
            Fault::Refused(_) => true,
            Fault::Broken(_) => is_idempotent(request.method()),
            _ => false,
        };
        if !may || self.left == 0 || !self.budget.withdraw() {
            return None;
        }
        self.left -= 1;
        if matches!(error.downcast_ref(), Some(Fault::Broken(_))) {
            request.extensions_mut().insert(HasBroken);
        }
        Some(ready(()))
    }

    /// Nothing, where there is no second copy of its body: then it is sent once.
    fn clone_request(&mut self, request: &Request<Outgoing>) -> Option<Request<Outgoing>> {
        let mut copy = Request::new(request.body().try_clone()?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }
}

/// Those of RFC 9110 §9.2.2. Of a method that isn't known, nothing is.
pub(crate) fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE].contains(method)
}
