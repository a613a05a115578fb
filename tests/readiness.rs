//! The inner service's readiness: every limit inside holds for each operation, and none of them is waited for forever.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    convert::Infallible,
    future::{Ready, poll_fn, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use common::{Answer, Body, SubRequest, by_hand, get, gets, post, request, request_with, send, soon};
use http::{Request, Response, StatusCode};
use http_body_util::channel::Channel;
use serde_json::json;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    buffer::BufferLayer,
    limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer},
    load_shed::LoadShedLayer,
    service_fn,
    timeout::TimeoutLayer,
};
use tower_multistatus::{BatchLayer, Order, RequestBody, fault};
use tower_test::mock;

const SECOND: Duration = Duration::from_secs(1);

/// Answers after a while, so that what runs at once overlaps; and keeps count of how much does.
#[derive(Clone, Default)]
struct Slow {
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Slow {
    fn most(&self) -> usize {
        self.most.load(Relaxed)
    }
}

impl Service<SubRequest> for Slow {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: SubRequest) -> Self::Future {
        let Self { running, most } = self.clone();
        Box::pin(async move {
            most.fetch_max(running.fetch_add(1, Relaxed) + 1, Relaxed);
            sleep(Duration::from_millis(10)).await;
            running.fetch_sub(1, Relaxed);
            Ok(Response::new(Body::empty()))
        })
    }
}

/// Two batches and a plain request at once; each of them has to come through whole.
async fn crowd<S, R>(service: S)
where
    S: Service<Request<Body>, Response = Response<R>, Error: Into<BoxError> + std::fmt::Debug> + Clone,
    R: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let batches = async { tokio::join!(post(service.clone(), gets(40)), post(service.clone(), gets(40))) };
    let ((one, other), plain) = soon(async { tokio::join!(batches, send(service.clone(), get("/plain"))) }).await;
    assert_eq!(one.statuses(), [200; 40]);
    assert_eq!(other.statuses(), [200; 40]);
    assert_eq!(plain.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_inside_is_kept_and_used() {
    for limit in [1, 2, 5] {
        let slow = Slow::default();
        crowd(ServiceBuilder::new().layer(BatchLayer::new()).concurrency_limit(limit).service(slow.clone())).await;
        assert_eq!(slow.most(), limit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_buffer_inside() {
    for bound in [1, 2, 16] {
        let stack = ServiceBuilder::new().layer(BatchLayer::new()).buffer(bound);
        crowd(stack.service(Slow::default())).await;
        let slow = Slow::default();
        let stack = ServiceBuilder::new().layer(BatchLayer::new()).buffer(bound).concurrency_limit(1);
        crowd(stack.service(slow.clone())).await;
        assert_eq!(slow.most(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_inside_counts_every_operation() {
    let stack = ServiceBuilder::new().layer(BatchLayer::new()).buffer(1).rate_limit(9, SECOND);
    let start = Instant::now();
    crowd(stack.service(Slow::default())).await;
    // 81 requests by nine a second: the last nine may go in the ninth second.
    assert!(start.elapsed() >= 8 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn limits_outside() {
    crowd(ServiceBuilder::new().concurrency_limit(1).layer(BatchLayer::new()).service(Slow::default())).await;
    crowd(ServiceBuilder::new().buffer(1).layer(BatchLayer::new()).service(Slow::default())).await;
    let buffered = ServiceBuilder::new().buffer(1).rate_limit(1, SECOND).layer(BatchLayer::new());
    crowd(buffered.service(Slow::default())).await;
}

#[tokio::test(start_paused = true)]
async fn limits_on_both_sides() {
    let slow = Slow::default();
    let stack = ServiceBuilder::new().concurrency_limit(1).layer(BatchLayer::new()).concurrency_limit(1);
    crowd(stack.service(slow.clone())).await;
    assert_eq!(slow.most(), 1);
    let stack = ServiceBuilder::new().buffer(1).concurrency_limit(2).layer(BatchLayer::new());
    crowd(stack.buffer(1).concurrency_limit(1).service(Slow::default())).await;
}

#[tokio::test(start_paused = true)]
async fn limits_inside_of_spawned_operations() {
    for limit in [1, 2, 5] {
        let slow = Slow::default();
        let stack = ServiceBuilder::new().layer(BatchLayer::new().spawn());
        crowd(stack.concurrency_limit(limit).service(slow.clone())).await;
        assert_eq!(slow.most(), limit);
    }
    crowd(ServiceBuilder::new().layer(BatchLayer::new().spawn()).buffer(1).service(Slow::default())).await;
}

#[tokio::test(start_paused = true)]
async fn a_semaphore_that_guards_both_sides_ends_in_time_outs() {
    let semaphore = Arc::new(Semaphore::new(2));
    let both = GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&semaphore));
    let stack = ServiceBuilder::new().layer(both.clone()).layer(BatchLayer::new()).layer(both);
    let mut service = stack.service(Slow::default());
    let batch = service.ready().await.unwrap().call(request(gets(3)));
    // The outside keeps its permit for as long as the batch lasts; the inside has given back the one of its readiness.
    let last = semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.available_permits(), 0);
    assert_eq!(Answer::read(soon(batch).await.unwrap()).await.statuses(), [504; 3]);
    drop(last);
    assert_eq!(semaphore.available_permits(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_overload_is_503_for_those_that_it_meets() {
    let slow = Slow::default();
    let stack = ServiceBuilder::new().layer(BatchLayer::new()).load_shed().concurrency_limit(2);
    let answer = soon(post(stack.service(slow.clone()), gets(5))).await;
    assert_eq!(answer.statuses(), [200, 200, 503, 503, 503]);
    assert_eq!(slow.most(), 2);
    // With no more at once than there is room for, nothing is shed.
    let stack = ServiceBuilder::new().layer(BatchLayer::new().concurrency(2)).load_shed().concurrency_limit(2);
    assert_eq!(soon(post(stack.service(slow), gets(5))).await.statuses(), [200; 5]);
}

#[tokio::test(start_paused = true)]
async fn an_overload_is_found_behind_a_buffer() {
    // The buffer's worker lets one pass and fails the others by the error of what is behind it.
    let shedding = ServiceBuilder::new().layer(LoadShedLayer::new()).layer(ConcurrencyLimitLayer::new(1));
    let stack = ServiceBuilder::new().layer(BatchLayer::new()).layer(BufferLayer::new(16)).layer(shedding);
    let answer = soon(post(stack.service(Slow::default()), gets(3))).await;
    assert_eq!(answer.statuses(), [200, 503, 503]);
}

/// A batch whose body is still to come.
fn trickling() -> (http_body_util::channel::Sender<Bytes, Infallible>, Request<Body>) {
    let (sender, body) = Channel::new(1);
    (sender, request_with(Body::new(body)))
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_trickles_in_holds_nothing() {
    let service = ServiceBuilder::new().layer(BatchLayer::new()).concurrency_limit(1).service(Slow::default());
    let (mut sender, batch) = trickling();
    let mut readied = service.clone();
    let answering = readied.ready().await.unwrap().call(batch);
    let mut answering = task::spawn(answering);
    assert_pending!(answering.poll());

    assert_eq!(soon(send(service.clone(), get("/plain"))).await.status, StatusCode::OK);
    assert_eq!(soon(post(service.clone(), gets(2))).await.statuses(), [200; 2]);
    // Neither does the service by which it was called.
    assert_eq!(soon(send(readied, get("/plain"))).await.status, StatusCode::OK);

    sender.send_data(gets(2).to_string().into()).await.unwrap();
    drop(sender);
    assert_eq!(Answer::read(soon(answering).await.unwrap()).await.statuses(), [200; 2]);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_waits_for_its_turn_holds_nothing() {
    let (inner, mut calls) = by_hand();
    let service = ServiceBuilder::new().layer(BatchLayer::new()).concurrency_limit(1).service(inner);
    let mut batch = task::spawn(service.clone().oneshot(request(gets(3))));
    assert_pending!(batch.poll());
    let [first] = calls.begun().try_into().unwrap();
    drop(batch);
    assert!(first.is_dropped());
    // Had the batch, or what waited in it, a permit still, this one would have none.
    let mut plain = task::spawn(service.oneshot(get("/plain")));
    assert_pending!(plain.poll());
    assert_eq!(calls.next().await.target(), "/plain");
}

/// Writes down what is done to it and to its clones; insists on the Tower contract.
struct Strict {
    readied: bool,
    log: Log,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, event: impl Into<String>) {
        self.0.lock().unwrap().push(event.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { readied: false, log: self.log.clone() }
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        if self.readied {
            self.log.add("given up");
        }
    }
}

impl Service<SubRequest> for Strict {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.readied = true;
        self.log.add("ready");
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: SubRequest) -> Self::Future {
        assert!(std::mem::take(&mut self.readied), "called without having been ready");
        self.log.add(request.uri().path());
        ready(Ok(Response::new(Body::empty())))
    }
}

#[tokio::test]
async fn a_plain_request_is_called_on_the_service_that_was_ready() {
    let log = Log::default();
    let service = BatchLayer::new().layer(Strict { readied: false, log: log.clone() });
    assert_eq!(send(service, get("/plain")).await.status, StatusCode::OK);
    assert_eq!(log.take(), ["ready", "/plain"]);
}

#[tokio::test]
async fn a_batch_gives_up_what_was_ready_and_readies_each_operation_on_its_own() {
    let log = Log::default();
    let mut service = BatchLayer::new().layer(Strict { readied: false, log: log.clone() });
    let reading = log.clone();
    let body = futures_util::stream::once(async move {
        reading.add("reading");
        Ok::<_, Infallible>(gets(3).to_string())
    });
    let answering = service.ready().await.unwrap().call(request_with(Body::from_stream(body)));
    let answer = Answer::read(answering.await.unwrap()).await;
    assert_eq!(answer.statuses(), [200; 3]);
    assert_eq!(log.take(), ["ready", "given up", "reading", "ready", "/0", "ready", "/1", "ready", "/2"]);
    // The next request has to ask again.
    service.ready().await.unwrap().call(get("/plain")).await.unwrap();
    assert_eq!(log.take(), ["ready", "/plain"]);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_that_of_the_inner_service() {
    let (inner, mut handle) = mock::pair::<SubRequest, Response<Body>>();
    let mut service = BatchLayer::new().layer(inner);
    handle.allow(0);
    let mut polling = task::spawn(poll_fn(|cx| Service::<Request<Body>>::poll_ready(&mut service, cx)));
    assert_pending!(polling.poll());
    handle.allow(1);
    assert!(polling.is_woken());
    assert_ready_ok!(polling.poll());
    drop(polling);
    handle.send_error("broken");
    let error = poll_fn(|cx| Service::<Request<Body>>::poll_ready(&mut service, cx)).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
}

#[tokio::test(start_paused = true)]
async fn each_operation_waits_for_readiness_by_itself() {
    let (inner, mut handle) = mock::pair::<SubRequest, Response<Body>>();
    let mut service = BatchLayer::new().layer(inner);
    let mut batch = task::spawn(service.ready().await.unwrap().call(request(gets(3))));
    handle.allow(1);
    assert_pending!(batch.poll());
    // There was room for one; the others have neither been called, nor do they keep the first one from its end.
    let (first, answer) = handle.next_request().await.unwrap();
    assert_eq!(first.uri().path(), "/0");
    assert!(handle.poll_request().is_pending());
    answer.send_response(Response::new(Body::empty()));
    assert_pending!(batch.poll());
    assert!(handle.poll_request().is_pending());

    handle.allow(2);
    assert!(batch.is_woken());
    assert_pending!(batch.poll());
    for _ in 0..2 {
        let (_, answer) = handle.next_request().await.unwrap();
        answer.send_response(Response::builder().status(404).body(Body::empty()).unwrap());
    }
    assert_eq!(Answer::read(soon(batch).await.unwrap()).await.statuses(), [200, 404, 404]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_ends_by_the_operations_time() {
    let (inner, mut handle) = mock::pair::<SubRequest, Response<Body>>();
    let mut service = BatchLayer::new().operation_timeout(7 * SECOND).layer(inner);
    let batch = service.ready().await.unwrap().call(request(gets(3)));
    handle.allow(0);
    let start = Instant::now();
    let answer = Answer::read(soon(batch).await.unwrap()).await;
    assert_eq!(answer.statuses(), [504; 3]);
    assert_eq!(start.elapsed().as_secs(), 7);
    assert!(handle.poll_request().is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_become_ready_is_the_operations_failure() {
    let (inner, mut handle) = mock::pair::<SubRequest, Response<Body>>();
    let mut service = BatchLayer::new().order(Order::Sequential).layer(inner);
    let mut batch = task::spawn(service.ready().await.unwrap().call(request(gets(2))));
    handle.send_error("secret");
    assert_pending!(batch.poll());
    let (second, answer) = handle.next_request().await.unwrap();
    assert_eq!(second.uri().path(), "/1");
    answer.send_response(Response::new(Body::empty()));
    let answer = Answer::read(soon(batch).await.unwrap()).await;
    assert_eq!(answer.statuses(), [500, 200]);
    assert!(!answer.text().contains("secret"));
}

/// Never answers `/hang`, and all else at once.
async fn or_hang(request: SubRequest) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == "/hang" { std::future::pending().await } else { Ok(Response::new(Body::empty())) }
}

#[tokio::test(start_paused = true)]
async fn an_operation_has_its_time_from_when_it_begins() {
    let layer = BatchLayer::new().operation_timeout(5 * SECOND).order(Order::Sequential);
    let batch = json!([{"path": "/hang"}, {"path": "/"}, {"path": "/hang"}, {"path": "/"}]);
    let start = Instant::now();
    let answer = soon(post(layer.layer(service_fn(or_hang)), batch)).await;
    assert_eq!(answer.statuses(), [504, 200, 504, 200]);
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_batchs_time_ends_all_that_is_left_and_says_what_may_have_been_done() {
    let layer = BatchLayer::new().operation_timeout(100 * SECOND).order(Order::Sequential);
    let start = Instant::now();
    let batch = json!([{"path": "/"}, {"path": "/hang"}, {"path": "/"}, {"path": "/"}]);
    let answer = soon(post(layer.layer(service_fn(or_hang)), batch)).await;
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(answer.statuses(), [200, 504, 504, 504]);
    let said = |index: usize| answer[index]["error"]["detail"].as_str().unwrap();
    assert!(said(1).contains("may have been carried out"), "{}", said(1));
    assert!(said(2).contains("was not carried out"), "{}", said(2));
    assert!(said(3).contains("was not carried out"), "{}", said(3));
}

#[tokio::test(start_paused = true)]
async fn the_batchs_time_runs_from_the_call() {
    let (mut sender, batch) = trickling();
    let layer = BatchLayer::new().operation_timeout(100 * SECOND);
    let start = Instant::now();
    let answering = tokio::spawn(send(layer.layer(service_fn(or_hang)), batch));
    sleep(50 * SECOND).await;
    sender.send_data(json!([{"path": "/hang"}]).to_string().into()).await.unwrap();
    drop(sender);
    assert_eq!(soon(answering).await.unwrap().statuses(), [504]);
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn times_may_be_longer_than_any_clock_goes() {
    let slow = Slow::default();
    let answer = soon(post(BatchLayer::new().operation_timeout(Duration::MAX).layer(slow.clone()), gets(1))).await;
    assert_eq!(answer.statuses(), [200]);
    let answer = soon(post(BatchLayer::new().batch_timeout(Duration::MAX).layer(slow), gets(1))).await;
    assert_eq!(answer.statuses(), [200]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_still_being_read_when_its_time_ends_is_408() {
    let (mut sender, batch) = trickling();
    let (inner, mut calls) = by_hand();
    let start = Instant::now();
    sender.send_data(r#"[{"path":"/0"}"#.into()).await.unwrap();
    let answer = soon(send(BatchLayer::new().batch_timeout(9 * SECOND).layer(inner), batch)).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(start.elapsed().as_secs(), 9);
    assert!(calls.begun().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_time_out_layer_inside_is_504() {
    let stack = ServiceBuilder::new().layer(BatchLayer::new()).layer(TimeoutLayer::new(SECOND));
    let batch = json!([{"path": "/hang"}, {"path": "/"}]);
    let start = Instant::now();
    let answer = soon(post(stack.service(service_fn(or_hang)), batch.clone())).await;
    assert_eq!(answer.statuses(), [504, 200]);
    assert_eq!(start.elapsed().as_secs(), 1);
    // An upstream's time-out stays one behind a gateway, and behind a buffer.
    let stack = ServiceBuilder::new().layer(BatchLayer::new().with_error_status(fault::gateway)).buffer(4);
    let stack = stack.layer(TimeoutLayer::new(SECOND));
    assert_eq!(soon(post(stack.service(service_fn(or_hang)), batch)).await.statuses(), [504, 200]);
}

#[tokio::test]
async fn an_error_is_the_status_that_the_server_says() {
    let failing = service_fn(|request: Request<RequestBody<Body>>| async move {
        match request.uri().path() {
            "/fail" => Err(BoxError::from("secret")),
            _ => Ok(Response::new(Body::empty())),
        }
    });
    let batch = json!([{"path": "/fail"}, {"path": "/"}]);
    let custom = |error: &(dyn std::error::Error + 'static)| {
        assert_eq!(error.to_string(), "secret");
        StatusCode::IM_A_TEAPOT
    };
    for (layer, expected) in [
        (BatchLayer::new(), 500),
        (BatchLayer::new().with_error_status(fault::gateway), 502),
        (BatchLayer::new().with_error_status(custom), 418),
    ] {
        let answer = post(layer.layer(failing), batch.clone()).await;
        assert_eq!(answer.statuses(), [expected, 200]);
        assert_eq!(answer[0]["error"]["status"], expected);
        assert!(!answer.text().contains("secret"));
        // A request that is no batch has the error itself.
        let error = layer.layer(failing).oneshot(get("/fail")).await.unwrap_err();
        assert_eq!(error.to_string(), "secret");
    }
}
