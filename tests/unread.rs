//! Clients that don't read what is streamed to them, before a server that lets answers go on by themselves.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{convert::Infallible, future::pending, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{Router, middleware::map_request, routing::post};
use common::{
    Answer, Body, Call, SubRequest, by_hand, gets, post as post_batch, recorder::Recorder, request, serve, soon,
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    sync::Semaphore,
    task::{JoinHandle, yield_now},
    time::sleep,
};
use tokio_io_timeout::TimeoutStream;
use tower::{Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Streaming, axum::RouterExt};

fn driven() -> BatchLayer {
    BatchLayer::new().stream(Streaming::On).spawn_streams()
}

/// Lets all tasks go on as far as they can.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_goes_on_and_nothing_new_begins() {
    let (inner, mut calls) = by_hand();
    let response = driven().concurrency(2).layer(inner).oneshot(request(gets(6))).await.unwrap();
    settle().await;
    // One piece is on its way and one waits, and with it the batch.
    let mut seen = 0;
    let mut running = calls.begun();
    while !running.is_empty() {
        seen += running.len();
        running.drain(..).for_each(|call| call.answer(200));
        settle().await;
        running = calls.begun();
    }
    assert!((2..6).contains(&seen), "{seen}");
    let answering = tokio::spawn(Answer::read(response));
    for _ in seen..6 {
        calls.next().await.answer(200);
    }
    assert_eq!(soon(answering).await.unwrap().in_request_order().statuses(), [200; 6]);
}

/// Else a client could hold what it likes by not reading on.
#[tokio::test(start_paused = true)]
async fn what_has_begun_has_no_more_time_than_if_it_were_read() {
    let permits = Arc::new(Semaphore::new(3));
    let inner = {
        let permits = Arc::clone(&permits);
        service_fn(move |request: SubRequest| {
            let permits = Arc::clone(&permits);
            async move {
                if request.uri().path() >= "/3" {
                    return Ok::<_, Infallible>(Response::new(Body::from(vec![b'x'; 20 << 10])));
                }
                let _permit = permits.acquire().await;
                pending().await
            }
        })
    };
    let layer = driven().concurrency(4).operation_timeout(Duration::from_secs(5)).idle_timeout(Duration::from_secs(20));
    let response = layer.layer(inner).oneshot(request(gets(6))).await.unwrap();
    settle().await;
    assert_eq!(permits.available_permits(), 0);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(permits.available_permits(), 3);
    let answer = soon(Answer::read(response)).await.in_request_order();
    assert_eq!(answer.statuses(), [504, 504, 504, 200, 200, 200]);
}

#[tokio::test(start_paused = true)]
async fn who_never_reads_is_given_up() {
    let (inner, mut calls) = by_hand();
    let layer =
        driven().concurrency(1).operation_timeout(Duration::from_secs(1000)).idle_timeout(Duration::from_secs(60));
    let response = layer.layer(inner).oneshot(request(gets(9))).await.unwrap();
    settle().await;
    // The pieces of the first ones fill what is between.
    let held = loop {
        let call = calls.next().await;
        if call.target() == "/1" {
            break call;
        }
        call.answer(200);
    };
    sleep(Duration::from_secs(59)).await;
    assert!(!held.is_dropped());
    sleep(Duration::from_secs(2)).await;
    assert!(held.is_dropped());
    assert!(calls.next_or_end().await.is_none());

    let mut body = response.into_body();
    let mut text = String::new();
    let error = loop {
        match body.frame().await.unwrap() {
            Ok(frame) => text += std::str::from_utf8(&frame.into_data().unwrap()).unwrap(),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("given up"), "{error}");
    assert!(!text.contains("summary"), "{text}");
    assert!(body.frame().await.is_none());
}

/// The pause is the client's as long as it ends.
#[tokio::test(start_paused = true)]
async fn who_reads_again_in_time_gets_everything() {
    let inner = service_fn(async |_: SubRequest| {
        sleep(Duration::from_secs(1)).await;
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let layer = driven().concurrency(2).idle_timeout(Duration::from_secs(10));
    let mut body = layer.layer(inner).oneshot(request(gets(40))).await.unwrap().into_body();
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        text += std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap();
        sleep(Duration::from_secs(9)).await;
    }
    assert_eq!(text.matches(r#""status":200"#).count(), 40);
    assert!(text.ends_with(r#""summary":{"total":40,"succeeded":40,"failed":0}}"#));
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_stops_the_task_too() {
    let (inner, mut calls) = by_hand();
    let response = driven().layer(inner).oneshot(request(gets(3))).await.unwrap();
    let begun = [calls.next().await, calls.next().await, calls.next().await];
    drop(response);
    for call in begun {
        call.dropped().await;
    }
    assert!(calls.next_or_end().await.is_none());
}

/// A transaction that waits for its client would lock what others want.
#[tokio::test(start_paused = true)]
async fn a_group_that_has_begun_comes_to_its_end() {
    let recorder = Recorder::default();
    let log = recorder.log.clone();
    let (inner, mut calls) = by_hand();
    let batch = json!([{"path": "/0"}, {"path": "/1", "group": "g"}, {"path": "/2", "group": "g"}, {"path": "/3"}]);
    let layer = driven().with_coordinator(recorder).concurrency(2);
    let response = layer.layer(inner).oneshot(request(batch)).await.unwrap();
    settle().await;
    let mut running: Vec<Call> = calls.begun();
    for _ in 0..10 {
        running.drain(..).filter(|call| call.target() != "/3").for_each(|call| call.answer(200));
        settle().await;
        running = calls.begun();
    }
    let log = log.take();
    assert!(log.iter().any(|line| line.contains("commit")), "{log:?}");
    drop(response);
}

/// What is cut off by a panic must not look whole.
#[tokio::test]
async fn a_panic_of_a_hook_cuts_the_answer_off() {
    let inner = service_fn(async |_: SubRequest| Ok::<_, Infallible>(Response::new(Body::empty())));
    let layer = driven().on_outcome(|cx, _, _| assert!(cx.index() < 2, "as the test wants it"));
    let mut body = layer.layer(inner).oneshot(request(gets(4))).await.unwrap().into_body();
    let mut cut_off = false;
    while let Some(frame) = soon(body.frame()).await {
        cut_off |= frame.is_err();
    }
    assert!(cut_off);
}

#[tokio::test]
async fn who_reads_gets_the_same() {
    let inner = service_fn(async |request: SubRequest| Ok::<_, Infallible>(Response::new(request.into_body())));
    let batch = json!([{"path": "/1"}, {"path": "no"}, {"method": "POST", "path": "/2", "body": {"a": 1}}]);
    let whole = post_batch(BatchLayer::new().layer(inner), batch.clone()).await;
    let streamed = post_batch(driven().layer(inner), batch).await.in_request_order();
    assert_eq!(whole.json, streamed.json);
}

/// The buffers between are full, each side waits for the other one, and only the server can know that this never ends.
#[tokio::test]
async fn who_writes_all_before_it_reads_is_given_up() {
    let (app, given_up) = watched(BatchLayer::new().spawn_streams().idle_timeout(Duration::from_millis(300)));
    let address = serve(app).await;
    let (mut reading, writer) = stubborn(address).await;
    soon(given_up.acquire()).await.unwrap().forget();
    assert!(!writer.is_finished());

    // Others are served meanwhile.
    let answer = other_client(address).await;
    assert!(answer.starts_with("HTTP/1.1 207"), "{answer}");
    assert!(answer.contains(r#""summary":{"total":1,"succeeded":1,"failed":0}"#), "{answer}");
    // What was on its way can still be read; then it breaks off, without an end.
    let mut rest = Vec::new();
    let _ = soon(reading.read_to_end(&mut rest)).await;
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains(r#""index":0,"status":200"#));
    assert!(!rest.contains("summary") && !rest.ends_with("0\r\n\r\n"));
}

/// Without a task of the batch's own: the page about streams shows this.
#[tokio::test]
async fn a_time_out_for_writing_closes_the_connection_of_who_does_not_read() {
    let (app, given_up) = watched(BatchLayer::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(Timed(listener), app).into_future());
    let (_reading, writer) = stubborn(address).await;
    soon(given_up.acquire()).await.unwrap().forget();
    soon(writer).await.unwrap();
}

struct Timed(TcpListener);

impl axum::serve::Listener for Timed {
    type Io = Pin<Box<TimeoutStream<TcpStream>>>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(Duration::from_millis(300)));
        (Box::pin(stream), address)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A server that echoes, and what gets a permit each time that a batch is dropped.
fn watched(layer: BatchLayer) -> (Router, Arc<Semaphore>) {
    let dropped = Arc::new(Semaphore::new(0));
    let witness = Arc::clone(&dropped);
    let api = Router::new().route("/echo", post(async |body: String| body));
    // What the batch's request holds is held as long as the batch.
    let attach = map_request(move |mut request: Request<Body>| {
        request.extensions_mut().insert(Arc::new(Witness(Arc::clone(&witness))));
        std::future::ready(request)
    });
    (api.batch(layer).layer(attach), dropped)
}

/// A client that writes on and on, and hasn't read anything yet.
async fn stubborn(address: SocketAddr) -> (OwnedReadHalf, JoinHandle<()>) {
    let client = TcpStream::connect(address).await.unwrap();
    let (reading, mut writing) = client.into_split();
    let writer = tokio::spawn(async move {
        let head = "POST /batch HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        let line = json!({"method": "POST", "path": "/echo", "body": "x".repeat(60_000)}).to_string() + "\n";
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        writing.write_all(head.as_bytes()).await.unwrap();
        while writing.write_all(chunk.as_bytes()).await.is_ok() {}
    });
    (reading, writer)
}

/// Tells when it is dropped.
struct Witness(Arc<Semaphore>);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

async fn other_client(address: SocketAddr) -> String {
    let mut client = TcpStream::connect(address).await.unwrap();
    let line = r#"{"method":"POST","path":"/echo","body":"x"}"#;
    let request = format!(
        "POST /batch HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {}\r\n\r\n{line}",
        line.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer.split(' ').nth(1), Some(StatusCode::MULTI_STATUS.as_str()));
    answer
}
