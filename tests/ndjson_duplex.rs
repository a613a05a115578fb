//! Streams of lines under hyper, by HTTP/1.1 and by HTTP/2, in both directions at once. The connection is in memory, so
//! that on a paused clock all that can happen has happened whenever time goes on.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use common::{
    Body, SubRequest,
    lines::{NDJSON, Write, by_pieces, get_lines, lines, statuses, told},
    soon,
    ways::Inner,
};
use futures_util::{FutureExt, StreamExt, stream};
use http::{Request, Response, Version, header};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client, server};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::Semaphore,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tower::{BoxError, ServiceBuilder, service_fn, util::BoxCloneSyncService};
use tower_multistatus::{BatchLayer, ResponseBody};

const SECOND: Duration = Duration::from_secs(1);

/// How many bytes the wire takes in each direction.
const WIRE: usize = 4096;

type Stack = BoxCloneSyncService<Request<Incoming>, Response<ResponseBody<Body>>, BoxError>;

/// Serves one connection; its other end, and when it is over.
fn serve(version: Version, layer: &BatchLayer, inner: Inner, window: u32) -> (DuplexStream, JoinHandle<()>) {
    let stack = ServiceBuilder::new().map_request(|request: Request<Incoming>| request.map(Body::new));
    let service = Stack::new(stack.layer(layer.clone()).service(inner));
    let service = TowerToHyperService::new(service);
    let (near, far) = tokio::io::duplex(WIRE);
    // A client that hangs up is no failure of the test's.
    let connection = if version == Version::HTTP_2 {
        let mut server = server::conn::http2::Builder::new(TokioExecutor::new());
        let connection = server.initial_stream_window_size(window).serve_connection(TokioIo::new(far), service);
        connection.map(drop).boxed()
    } else {
        server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service).map(drop).boxed()
    };
    let connection = tokio::spawn(connection);
    (near, connection)
}

fn stream_of(body: Body) -> Request<Body> {
    Request::post("http://a/batch").header("host", "a").header("content-type", NDJSON).body(body).unwrap()
}

/// Sends one batch; the answer, when its head is there.
async fn send(version: Version, near: DuplexStream, window: u32, batch: Request<Body>) -> Response<Incoming> {
    let response = if version == Version::HTTP_2 {
        let mut client = client::conn::http2::Builder::new(TokioExecutor::new());
        let client = client.initial_stream_window_size(window).initial_connection_window_size(window);
        let (mut sender, connection) = client.handshake(TokioIo::new(near)).await.unwrap();
        tokio::spawn(connection);
        soon(sender.send_request(batch)).await.unwrap()
    } else {
        let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
        tokio::spawn(connection);
        soon(sender.send_request(batch)).await.unwrap()
    };
    assert_eq!((response.status().as_u16(), response.version()), (207, version));
    assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
    response
}

/// Answers with as many bytes, and counts how many have begun.
fn answering(bytes: usize) -> (Inner, Arc<AtomicUsize>) {
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let inner = service_fn(move |_: SubRequest| {
        counted.fetch_add(1, Relaxed);
        async move { Ok::<_, BoxError>(Response::new(Body::from(vec![b'x'; bytes]))) }
    });
    (Inner::new(inner), begun)
}

async fn next(body: &mut Incoming) -> String {
    let frame = soon(body.frame()).await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().into()).unwrap()
}

async fn rest(body: Incoming) -> Vec<Value> {
    told(std::str::from_utf8(&body.collect().await.unwrap().to_bytes()).unwrap())
}

const WAYS: [(Version, u32); 3] = [(Version::HTTP_11, 0), (Version::HTTP_2, 65_535), (Version::HTTP_2, 50)];

#[tokio::test(start_paused = true)]
async fn each_result_is_received_before_the_next_line_is_sent() {
    for (version, window) in WAYS {
        let (near, _server) = serve(version, &BatchLayer::new(), answering(10).0, window);
        let (pieces, body) = by_pieces();
        let mut answer = send(version, near, window, stream_of(body)).await.into_body();
        for index in 0..20 {
            pieces.line(json!({"method": if index % 2 == 0 { "GET" } else { "PUT" }, "path": "/"}));
            let mut line = next(&mut answer).await;
            while !line.ends_with('\n') {
                line += &next(&mut answer).await;
            }
            assert_eq!(told(&line)[0]["index"], index);
        }
        drop(pieces);
        assert_eq!(rest(answer).await, [json!({"summary": {"total": 20, "succeeded": 20, "failed": 0}})]);
    }
}

/// Whoever doesn't read is waited for: what has begun fits into what lies between, and nothing more begins.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_slows_its_batch_down() {
    const RESULT: usize = 10_000;
    for (version, window) in WAYS {
        let (inner, begun) = answering(RESULT);
        let (near, _server) = serve(version, &BatchLayer::new(), inner, window);
        // Of many small frames that it doesn't get rid of, h2 thinks ill (`too_many_data_frames`).
        let many = Bytes::from(get_lines(100));
        let endless = Body::from_stream(stream::repeat(many).map(Ok::<_, BoxError>));
        let mut answer = send(version, near, window, stream_of(endless)).await.into_body();
        sleep(SECOND).await;
        let first = begun.load(Relaxed);
        // hyper takes 400 KiB before it waits for a client that doesn't read.
        assert!((1..100).contains(&first), "{first} have begun");
        sleep(1000 * SECOND).await;
        assert_eq!(begun.load(Relaxed), first);
        let mut read = 0;
        while read < 200 * RESULT {
            read += next(&mut answer).await.len();
        }
        sleep(SECOND).await;
        let more = begun.load(Relaxed);
        assert!(more > first && more < 300, "{more} have begun");
    }
}

/// Buffers fill, and both sides wait; nothing of that is lost.
#[tokio::test(start_paused = true)]
async fn a_client_that_writes_all_before_it_reads_is_answered_when_it_reads() {
    const MANY: usize = 3000;
    let (inner, begun) = answering(1000);
    let (near, _server) = serve(Version::HTTP_11, &BatchLayer::new(), inner, 0);
    let line = format!("{:1000}\n", json!({"path": "/"}).to_string());
    let (mut reader, mut writer) = tokio::io::split(near);
    let batch = line.repeat(MANY);
    let writing = tokio::spawn(async move {
        let head = "POST /batch HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/x-ndjson";
        writer.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n", batch.len()).as_bytes()).await.unwrap();
        writer.write_all(batch.as_bytes()).await.unwrap();
        writer
    });
    // However long it waits: no time runs out, for nobody reads.
    sleep(10_000 * SECOND).await;
    assert!(!writing.is_finished());
    let waiting = begun.load(Relaxed);
    assert!((1..1000).contains(&waiting), "{waiting} have begun");
    let mut answer = Vec::new();
    soon(reader.read_to_end(&mut answer)).await.unwrap();
    assert!(writing.is_finished());
    let text = String::from_utf8(answer).unwrap();
    assert!(text.starts_with("HTTP/1.1 207"));
    assert_eq!(text.matches("\"status\":200").count(), MANY);
    assert!(text.contains(r#"{"summary":{"total":3000,"succeeded":3000,"failed":0}}"#) && text.ends_with("0\r\n\r\n"));
}

/// The same batch is no trouble for one who reads while it writes, whatever the windows.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_while_it_writes_gets_everything() {
    const MANY: usize = 2000;
    for (version, window) in [(Version::HTTP_11, 0), (Version::HTTP_2, 65_535), (Version::HTTP_2, 1000)] {
        let (near, _server) = serve(version, &BatchLayer::new(), answering(500).0, window);
        let line = Bytes::from(format!("{:500}\n", json!({"path": "/"}).to_string()));
        let body = Body::from_stream(stream::iter(0..MANY).map(move |_| Ok::<_, BoxError>(line.clone())));
        let answer = send(version, near, window, stream_of(body)).await.into_body();
        assert_eq!(statuses(rest(answer).await), [200; MANY]);
    }
}

/// Nobody is kept waiting by one who writes a byte now and then.
#[tokio::test(start_paused = true)]
async fn a_line_that_trickles_in_holds_no_permit() {
    for (version, window) in WAYS {
        let permits = Arc::new(Semaphore::new(1));
        let limit = tower::limit::GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&permits));
        let inner = Inner::new(ServiceBuilder::new().layer(limit).service(answering(1).0));
        let (slow, _server) = serve(version, &BatchLayer::new(), inner.clone(), window);
        let (pieces, body) = by_pieces();
        let slow = send(version, slow, window, stream_of(body)).await;
        for byte in get_lines(1).chars() {
            assert_eq!(permits.available_permits(), 1);
            let (other, _server) = serve(version, &BatchLayer::new(), inner.clone(), window);
            let other = send(version, other, window, stream_of(Body::from(get_lines(2)))).await;
            assert_eq!(statuses(rest(other.into_body()).await), [200, 200]);
            pieces.write(byte);
        }
        drop(pieces);
        assert_eq!(statuses(rest(slow.into_body()).await), [200]);
    }
}

/// Gone, wherever in its answer: nothing is left of what runs.
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_ends_its_batch() {
    for (version, window) in WAYS {
        for spawned in [false, true] {
            let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
            let permits = Arc::new(Semaphore::new(4));
            let taken = Arc::clone(&permits);
            let inner = Inner::new(service_fn(move |request: SubRequest| {
                let permits = Arc::clone(&taken);
                async move {
                    let _permit = permits.acquire_owned().await?;
                    if request.uri().path() == "/forever" {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, BoxError>(Response::new(Body::from("done")))
                }
            }));
            let layer = if spawned { BatchLayer::new().spawn() } else { BatchLayer::new() };
            let (near, server) = serve(version, &layer, inner, window);
            let (pieces, body) = by_pieces();
            pieces.write(lines(["/", "/forever", "/", "/forever"].map(|path| json!({"path": path}))));
            let answer = send(version, near, window, stream_of(body)).await;
            sleep(SECOND).await;
            assert_eq!(permits.available_permits(), 2, "two of them are at work");
            let start = Instant::now();
            drop((answer, pieces));
            server.await.unwrap();
            while permits.available_permits() < 4 {
                sleep(SECOND).await;
            }
            assert!(start.elapsed() < 2 * SECOND, "{version:?} {window} {spawned}: {:?}", start.elapsed());
            sleep(SECOND).await;
            assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), alive);
        }
    }
}

/// Results of HTTP/2 have to wait for a window of a few bytes, and still are whole.
#[tokio::test(start_paused = true)]
async fn a_batch_that_breaks_off_is_told_where() {
    for (version, window) in WAYS {
        let (near, _server) = serve(version, &BatchLayer::new(), answering(10).0, window);
        let (pieces, body) = by_pieces();
        let mut answer = send(version, near, window, stream_of(body)).await.into_body();
        pieces.write(get_lines(1) + "{\"path\"");
        let mut line = next(&mut answer).await;
        while !line.ends_with('\n') {
            line += &next(&mut answer).await;
        }
        assert_eq!(told(&line)[0]["status"], 200);
        pieces.send(Err("as it was told".into())).unwrap();
        // By either version the client takes its own batch for failed, and its answer with it.
        assert!(soon(answer.collect()).await.is_err());
    }
}
