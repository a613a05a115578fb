//! What ends an operation before it has answered, and that it ends nothing else: a client that goes away, a panic, a
//! body that breaks off, never ends, or is too much.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use common::{Body, Call, SubRequest, by_hand, get, gets, post, request, request_with, send, serve, soon};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, advance},
};
use tokio_test::{assert_pending, task};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Order};

fn both_modes() -> [BatchLayer; 2] {
    [BatchLayer::new(), BatchLayer::new().spawn()]
}

#[tokio::test(start_paused = true)]
async fn dropping_the_answer_drops_every_operation() {
    for layer in both_modes() {
        let (inner, mut calls) = by_hand();
        let mut batch = task::spawn(layer.concurrency(3).layer(inner).oneshot(request(gets(9))));
        assert_pending!(batch.poll());
        let running = [calls.next().await, calls.next().await, calls.next().await];
        assert!(!running.iter().any(Call::is_dropped));
        drop(batch);
        for call in running {
            call.dropped().await;
        }
        // Those that waited for their turn never get it; `None` says that nobody is left who could begin one.
        assert!(calls.next_or_end().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_whose_task_has_not_begun_never_does() {
    let (inner, mut calls) = by_hand();
    let mut batch = task::spawn(BatchLayer::new().spawn().layer(inner).oneshot(request(gets(9))));
    assert_pending!(batch.poll());
    drop(batch);
    assert!(calls.next_or_end().await.is_none());
}

/// A batch on a connection that its client will hang up on.
async fn connect_and_post(address: SocketAddr, operations: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (body, length) = (operations.to_string(), operations.to_string().len());
    let head = "POST /batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
    stream.write_all(format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_batch() {
    for layer in both_modes() {
        let (inner, mut calls) = by_hand();
        let service = layer.concurrency(2).layer(inner).map_err(|error| -> Infallible { panic!("{error}") });
        let address = serve(Router::new().fallback_service(service)).await;

        let batch = connect_and_post(address, &gets(5)).await;
        let running = [calls.next().await, calls.next().await];
        drop(batch);
        for call in running {
            call.dropped().await;
        }
        // The next that comes is another client's: the other three have not begun.
        let another = connect_and_post(address, &json!([{"path": "/another"}])).await;
        assert_eq!(calls.next().await.target(), "/another");
        assert!(calls.begun().is_empty());
        drop(another);
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_out_drops_the_operation() {
    for layer in both_modes() {
        let (inner, mut calls) = by_hand();
        let batch = tokio::spawn(post(layer.layer(inner), gets(2)));
        let (slow, quick) = (calls.next().await, calls.next().await);
        quick.answer(200);
        slow.dropped().await;
        assert_eq!(batch.await.unwrap().statuses(), [504, 200]);
    }
}

/// Does what the first segment of the target says, with the others as arguments.
fn misbehave(request: SubRequest) -> impl Future<Output = Result<Response<Body>, BoxError>> {
    let target = request.uri().path().to_owned();
    assert!(target != "/panic/call", "in the call");
    async move {
        assert!(target != "/panic/future", "in the future");
        tokio::task::yield_now().await;
        assert!(target != "/panic/later", "in the future, later");
        let body = match target.split_once("/bytes/") {
            Some((_, sizes)) => bytes(sizes),
            None => body(&target),
        };
        Ok(Response::builder().header("content-type", "text/plain").body(body).unwrap())
    }
}

/// Pieces of these sizes, each as a frame.
fn bytes(sizes: &str) -> Body {
    let frames: Vec<_> = sizes.split('/').map(|size| Ok::<_, BoxError>("x".repeat(size.parse().unwrap()))).collect();
    Body::from_stream(stream::iter(frames))
}

fn body(target: &str) -> Body {
    let some = || stream::iter([Ok(Bytes::from_static(b"some"))]);
    match target {
        "/panic/body" => {
            Body::from_stream(stream::poll_fn(|_| -> Poll<Option<Result<Bytes, BoxError>>> { panic!("in the body") }))
        }
        "/half" => Body::from_stream(some().chain(stream::iter([Err(BoxError::from("secret"))]))),
        "/hang" => Body::from_stream(some().chain(stream::pending::<Result<_, BoxError>>())),
        "/spin" => Body::from_stream(empty_frames()),
        "/trail" => Body::new(StreamBody::new(stream::repeat_with(|| {
            Ok::<_, BoxError>(Frame::<Bytes>::trailers(HeaderMap::new()))
        }))),
        _ => Body::from("fine"),
    }
}

fn empty_frames() -> impl Stream<Item = Result<Bytes, BoxError>> {
    stream::repeat_with(|| Ok(Bytes::new()))
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_operations_failure() {
    for layer in both_modes() {
        let batch = json!([
            {"path": "/"},
            {"path": "/panic/call"},
            {"path": "/"},
            {"path": "/panic/future"},
            {"path": "/panic/later"},
            {"path": "/panic/body"},
            {"method": "POST", "path": "/panic/call"},
            {"path": "/"},
        ]);
        let answer = soon(post(layer.layer(service_fn(misbehave)), batch)).await;
        assert_eq!(answer.statuses(), [200, 500, 200, 500, 500, 500, 500, 200]);
        assert!(!answer.text().contains("in the"), "a panic's message is nobody else's business");
        assert_eq!(answer[7]["data"], "fine");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_one_operations_failure() {
    for layer in both_modes() {
        let answer = soon(post(layer.layer(service_fn(misbehave)), json!([{"path": "/half"}, {"path": "/"}]))).await;
        assert_eq!(answer.statuses(), [500, 200]);
        assert!(!answer.text().contains("secret"));
        assert!(!answer.text().contains("some"), "half a body is worse than none");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_ended_by_the_operations_time() {
    for layer in both_modes() {
        let start = Instant::now();
        let answer = soon(post(layer.layer(service_fn(misbehave)), json!([{"path": "/hang"}, {"path": "/"}]))).await;
        assert_eq!(answer.statuses(), [504, 200]);
        assert_eq!(start.elapsed().as_secs(), 30);
    }
}

/// Lets time pass beside a task that is always busy; a paused clock stands still as long as there is one. That this
/// comes to its end at all shows that other tasks go on.
async fn pass(seconds: u64) {
    for _ in 0..seconds {
        advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_ready_and_never_ends_is_ended_too() {
    for path in ["/spin", "/trail"] {
        for layer in both_modes() {
            let operations = json!([{"path": path}, {"path": "/"}, {"path": path}]);
            let batch = tokio::spawn(post(layer.layer(service_fn(misbehave)), operations));
            pass(29).await;
            assert!(!batch.is_finished());
            pass(2).await;
            assert_eq!(soon(batch).await.unwrap().statuses(), [504, 200, 504]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_always_ready_and_never_ends_is_ended_too() {
    let service = BatchLayer::new().layer(service_fn(misbehave));
    let batch = tokio::spawn(send(service, request_with(Body::from_stream(empty_frames()))));
    pass(59).await;
    assert!(!batch.is_finished());
    pass(2).await;
    assert_eq!(soon(batch).await.unwrap().status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_batch_that_breaks_off_runs_nothing() {
    let (inner, mut calls) = by_hand();
    let broken = stream::iter([Ok(gets(2).to_string()), Err("secret")]);
    let answer = send(BatchLayer::new().layer(inner), request_with(Body::from_stream(broken))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(!answer.text().contains("secret"));
    assert!(calls.begun().is_empty());
}

/// The statuses of operations, one after the other, that share an answer of ten bytes.
async fn sharing_ten_bytes<const N: usize>(targets: [&str; N]) -> Vec<u64> {
    let [default, spawned] = both_modes().map(|layer| {
        let operations = targets.iter().map(|path| json!({"path": path})).collect();
        let layer = layer.order(Order::Sequential).max_response_bytes(10);
        soon(post(layer.layer(service_fn(misbehave)), operations))
    });
    let (default, spawned) = (default.await, spawned.await);
    assert_eq!(default.json, spawned.json);
    default.statuses()
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_does_not_fit_is_507_and_the_rest_go_on() {
    assert_eq!(sharing_ten_bytes(["/bytes/10"]).await, [200]);
    assert_eq!(sharing_ten_bytes(["/bytes/11"]).await, [507]);
    assert_eq!(
        sharing_ten_bytes(["/bytes/6", "/bytes/6", "/bytes/3", "/bytes/2", "/bytes/1"]).await,
        [200, 507, 200, 507, 200]
    );
    assert_eq!(sharing_ten_bytes(["/bytes/10", "/bytes/0", "/bytes/1"]).await, [200, 200, 507]);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_fails_gives_its_bytes_back() {
    assert_eq!(sharing_ten_bytes(["/bytes/6/6", "/bytes/5/5"]).await, [507, 200]);
    assert_eq!(sharing_ten_bytes(["/half", "/bytes/10"]).await, [500, 200]);
    assert_eq!(sharing_ten_bytes(["/hang", "/bytes/10"]).await, [504, 200]);
    assert_eq!(sharing_ten_bytes(["/panic/body", "/bytes/10", "/bytes/1"]).await, [500, 200, 507]);
}

#[tokio::test]
async fn a_plain_request_is_spared_all_of_this() {
    let service = BatchLayer::new().max_response_bytes(1).layer(service_fn(misbehave));
    assert_eq!(send(service.clone(), get("/bytes/100")).await.bytes.len(), 100);
    let response = service.oneshot(get("/half")).await.unwrap();
    let error = http_body_util::BodyExt::collect(response.into_body()).await.unwrap_err();
    assert_eq!(error.to_string(), "secret");
}

/// What panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("on the way down");
        }
    }
}

impl http_body::Body for Bomb {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(None)
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_on_the_way_down_is_one_operations_failure() {
    let inner = service_fn(|request: SubRequest| async move {
        match request.uri().path() {
            "/payload" => std::panic::panic_any(Bomb),
            "/body" => return Ok(Response::new(Body::new(Bomb))),
            "/hang" => {
                let _bomb = Bomb;
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        Ok::<_, BoxError>(Response::new(Body::empty()))
    });
    for layer in both_modes() {
        let paths = ["/", "/body", "/hang", "/payload", "/"];
        let batch: Value = paths.iter().map(|path| json!({"path": path})).collect();
        let answer = soon(post(layer.layer(inner), batch)).await;
        assert_eq!(answer.statuses()[0], 200);
        assert_eq!(answer.statuses()[2..], [504, 500, 200]);
        assert_eq!(answer.statuses()[1], 500);
    }
}

#[tokio::test]
async fn a_panic_on_the_way_down_keeps_no_sibling_alive() {
    let semaphore = Arc::new(Semaphore::new(3));
    let permits = Arc::clone(&semaphore);
    let inner = service_fn(move |request: SubRequest| {
        let permits = Arc::clone(&permits);
        async move {
            let _permit = permits.acquire().await?;
            let _bomb = (request.uri().path() == "/1").then(|| Bomb);
            std::future::pending::<Result<Response<Body>, BoxError>>().await
        }
    });
    let mut batch = task::spawn(BatchLayer::new().layer(inner).oneshot(request(gets(3))));
    assert_pending!(batch.poll());
    assert_eq!(semaphore.available_permits(), 0);
    drop(batch);
    assert_eq!(semaphore.available_permits(), 3);
}

/// tokio grants each task a share of work at a time. Operations that always use it up must not keep the batch from
/// seeing that time is over.
#[tokio::test]
async fn time_outs_are_seen_beside_greedy_operations() {
    let semaphore = Arc::new(Semaphore::new(1));
    let greedy = service_fn(move |_: SubRequest| {
        let semaphore = Arc::clone(&semaphore);
        async move {
            loop {
                drop(semaphore.acquire().await?);
            }
            #[allow(unreachable_code, reason = "it tells the type")]
            Ok::<_, BoxError>(Response::new(Body::empty()))
        }
    });
    let soon = Duration::from_millis(20);
    for layer in both_modes() {
        let answer = post(layer.clone().operation_timeout(soon).layer(greedy.clone()), gets(2)).await;
        assert_eq!(answer.statuses(), [504, 504]);
        let answer = post(layer.batch_timeout(soon).layer(greedy.clone()), gets(2)).await;
        assert_eq!(answer.statuses(), [504, 504]);
    }
}
