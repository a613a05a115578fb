//! A batch in slow motion.

use http::Response;
use serde_json::Value;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{BoxError, Layer, ServiceExt};
use tower_multistatus::{BatchLayer, ResponseBody};

use super::{Answer, Body, Call, Calls, by_hand, request};

type Answering = futures_util::future::BoxFuture<'static, Result<Response<ResponseBody<Body>>, BoxError>>;

/// A batch that goes on only when the test lets it, and whose calls the test answers.
pub(crate) struct Stage {
    batch: task::Spawn<Answering>,
    calls: Calls,
    running: Vec<Call>,
}

impl Stage {
    pub(crate) fn new(layer: &BatchLayer, operations: Value) -> Self {
        let (inner, calls) = by_hand();
        let answering: Answering = Box::pin(layer.layer(inner).oneshot(request(operations)));
        Self { batch: task::spawn(answering), calls, running: Vec::new() }
    }

    /// Lets the batch go on as far as it can; the operations that begin by that.
    pub(crate) fn begin(&mut self) -> Vec<String> {
        assert_pending!(self.batch.poll());
        let begun = self.calls.begun();
        let targets = begun.iter().map(|call| call.target().to_owned()).collect();
        self.running.extend(begun);
        targets
    }

    /// Takes out an operation that runs.
    pub(crate) fn call(&mut self, target: &str) -> Call {
        let place = self.running.iter().position(|call| call.target() == target).expect("it does not run");
        self.running.swap_remove(place)
    }

    pub(crate) fn answer(&mut self, target: &str, status: u16) {
        self.call(target).answer(status);
    }

    /// The client goes away; what was running then.
    pub(crate) fn hang_up(self) -> Vec<Call> {
        drop(self.batch);
        self.running
    }

    pub(crate) async fn end(mut self) -> Answer {
        let response = assert_ready!(self.batch.poll()).unwrap();
        assert!(self.calls.begun().is_empty());
        Answer::read(response).await
    }
}
