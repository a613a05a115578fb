//! A stream of lines goes as fast as both sides let it, and leaves all others their turn.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use common::{
    Body, SubRequest, by_hand, get,
    lines::{Reading, Write, by_pieces, get_lines, lines, results, statuses, stream_of},
    soon,
};
use futures_util::{StreamExt, stream};
use http::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::yield_now, time::sleep};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::GlobalConcurrencyLimitLayer, service_fn};
use tower_multistatus::{BatchLayer, Order};
use tower_test::mock;

/// As many lines as anybody takes.
fn endless(line: &'static str) -> Body {
    Body::from_stream(stream::repeat(Bytes::from(line)).map(Ok::<_, Infallible>))
}

/// Who doesn't read is waited for: no more begins than what fits into one piece of the answer.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_slows_the_stream_down() {
    const RESULT: usize = 1000;
    for spawned in [false, true] {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        let inner = service_fn(move |_: SubRequest| {
            counted.fetch_add(1, Relaxed);
            async { Ok::<_, Infallible>(Response::new(Body::from(vec![b'x'; RESULT]))) }
        });
        let layer = BatchLayer::new().concurrency(4);
        let layer = if spawned { layer.spawn() } else { layer };
        let response = layer.layer(inner).oneshot(stream_of(endless("{\"path\":\"/\"}\n"))).await.unwrap();
        assert_eq!(begun.load(Relaxed), 0);
        let mut body = response.into_body();
        let mut read = 0;
        for _ in 0..100 {
            let piece = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
            read += piece.len();
            // As long as it likes.
            sleep(Duration::from_secs(100)).await;
            let begun = begun.load(Relaxed);
            assert!(begun <= read / RESULT + 4, "{begun} have begun, {} are read", read / RESULT);
        }
    }
}

/// Nothing is held for an operation that has not come.
#[tokio::test(start_paused = true)]
async fn a_slow_writer_holds_nothing() {
    let permits = Arc::new(Semaphore::new(1));
    let limit = GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&permits));
    let (inner, mut calls) = by_hand();
    let shared = ServiceBuilder::new().layer(BatchLayer::new()).layer(limit).service(inner);
    let (pieces, body) = by_pieces();
    let mut reading = Reading::new(shared.clone().oneshot(stream_of(body)).await.unwrap());
    for index in 0..3 {
        for byte in format!("\n{}", r#"{"path":"/slow","method":"PUT"}"#).chars() {
            pieces.write(byte);
            assert_eq!(reading.read_on(), [] as [Value; 0]);
            assert_eq!(permits.available_permits(), 1);
            // Everybody else is served meanwhile.
            let other = tokio::spawn(shared.clone().oneshot(get("/other")));
            calls.next().await.answer(204);
            assert_eq!(soon(other).await.unwrap().unwrap().status(), 204);
        }
        pieces.write("\n");
        assert!(reading.read_on().is_empty());
        assert_eq!(permits.available_permits(), 0);
        calls.next().await.answer(200);
        assert_eq!(reading.read_on(), [json!({"index": index, "status": 200})]);
        assert_eq!(permits.available_permits(), 1);
    }
}

/// The inner service isn't even asked whether it is ready.
#[tokio::test(start_paused = true)]
async fn the_inner_service_is_readied_only_for_a_line_that_has_come() {
    let (inner, mut handle) = mock::pair::<SubRequest, Response<Body>>();
    handle.allow(1);
    let mut service = BatchLayer::new().layer(inner.clone());
    futures_util::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    let (pieces, body) = by_pieces();
    let mut reading = Reading::new(service.call(stream_of(body)).await.unwrap());
    pieces.write(r#"{"path":"/slow"}"#);
    assert!(reading.read_on().is_empty());
    // The only place there is can still be had.
    let mut other = task::spawn(inner.clone());
    assert!(other.enter(|cx, mut other| other.poll_ready(cx)).is_ready());
    drop(other);
    pieces.write("\n");
    assert!(reading.read_on().is_empty());
    let (request, answer) = soon(handle.next_request()).await.unwrap();
    assert_eq!(request.uri().path(), "/slow");
    answer.send_response(Response::new(Body::empty()));
    assert_eq!(reading.read_on().len(), 1);
}

/// A client needn't know all of its lines before it has results.
#[tokio::test(start_paused = true)]
async fn each_result_is_there_before_the_next_line_is() {
    let inner = service_fn(async |request: SubRequest| {
        Ok::<_, Infallible>(Response::new(Body::from(request.uri().path().to_owned())))
    });
    for order in [Order::Fenced, Order::Sequential, Order::Unordered] {
        let (pieces, body) = by_pieces();
        let layer = BatchLayer::new().order(order).layer(inner);
        let mut reading = Reading::new(layer.oneshot(stream_of(body)).await.unwrap());
        for index in 0..50 {
            let method = if index % 3 == 0 { "PUT" } else { "GET" };
            pieces.line(json!({"method": method, "path": format!("/{index}")}));
            assert_eq!(reading.read_on()[0]["index"], index);
        }
        drop(pieces);
        assert_eq!(statuses(reading.finish().await), [200; 50]);
    }
}

/// What could not begin is not asked for: it would only lie about here instead of there.
#[tokio::test(start_paused = true)]
async fn no_line_is_read_that_could_not_begin() {
    for (layer, method, expected) in [
        (BatchLayer::new().concurrency(3), "GET", 3),
        (BatchLayer::new(), "PUT", 1),
        (BatchLayer::new().order(Order::Sequential), "GET", 1),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let line = Bytes::from(lines([json!({"path": "/", "method": method})]));
        let body = Body::from_stream(stream::iter(0..10).map(move |_| {
            counted.fetch_add(1, Relaxed);
            Ok::<_, Infallible>(line.clone())
        }));
        let (inner, mut calls) = by_hand();
        let mut reading = Reading::new(layer.layer(inner).oneshot(stream_of(body)).await.unwrap());
        for ended in 0..10 {
            assert!(reading.read_on().len() <= 1);
            assert_eq!(asked.load(Relaxed), (expected + ended).min(10), "{method}");
            calls.next().await.answer(200);
        }
        assert_eq!(statuses(reading.finish().await), [200; 10]);
    }
}

/// How often another task has its turn, and how often a timer fires, while this is done.
async fn beside<F: Future>(work: F) -> (F::Output, usize, usize) {
    let [turns, ticks]: [Arc<AtomicUsize>; 2] = Default::default();
    let (turned, ticked) = (Arc::clone(&turns), Arc::clone(&ticks));
    let neighbour = tokio::spawn(futures_util::future::poll_fn(move |cx| {
        turned.fetch_add(1, Relaxed);
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    let timer = tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(1)).await;
            ticked.fetch_add(1, Relaxed);
        }
    });
    let output = work.await;
    neighbour.abort();
    timer.abort();
    (output, turns.load(Relaxed), ticks.load(Relaxed))
}

async fn at_once(_: SubRequest) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::empty()))
}

/// Whatever is always ready: operations, and lines of which none is good.
#[tokio::test]
async fn a_timer_ticks_beside_a_stream_that_never_waits() {
    const MANY: usize = 100_000;
    const FEWER: usize = 10_000;
    let write = "{\"path\":\"/\",\"method\":\"PUT\"}\n";
    for (text, status, many) in [("{\"path\":\"/\"}\n", 200, MANY), ("{}\n", 400, FEWER), (write, 200, FEWER)] {
        // In pieces of all sizes.
        for lines in if many == MANY { &[100][..] } else { &[1, 100, FEWER] } {
            let frame = Bytes::from(text.repeat(*lines));
            let body =
                Body::from_stream(stream::iter(0..many / lines).map(move |_| Ok::<_, Infallible>(frame.clone())));
            let service = BatchLayer::new().layer(service_fn(at_once));
            let reading = Reading::new(service.oneshot(stream_of(body)).await.unwrap());
            let (told, turns, ticks) = beside(tokio::spawn(reading.finish())).await;
            assert_eq!(statuses(told.unwrap()), vec![status; many]);
            assert!(ticks > 1, "{ticks}");
            assert!(turns >= many / 32 / 2, "{turns}");
        }
    }
}

/// Each of them is something that happens.
#[tokio::test(start_paused = true)]
async fn endless_blank_lines_leave_others_their_turn_and_end_with_their_client() {
    for (line, is_tight) in [("\n", false), ("\n\r\n \n", false), ("\n", true)] {
        let layer = BatchLayer::new();
        let layer = if is_tight { layer.max_in_flight_bytes(1).max_line_bytes(1) } else { layer };
        let response = layer.layer(service_fn(at_once)).oneshot(stream_of(endless(line))).await.unwrap();
        let mut body = response.into_body();
        let reading = tokio::spawn(async move { body.frame().await.map(drop) });
        let ticks = Arc::new(AtomicUsize::new(0));
        let ticked = Arc::clone(&ticks);
        let timer = tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(30)).await;
                ticked.fetch_add(1, Relaxed);
            }
        });
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(30)).await;
            for _ in 0..3 {
                yield_now().await;
            }
        }
        assert!(ticks.load(Relaxed) >= 99 && !reading.is_finished());
        timer.abort();
        reading.abort();
        assert!(reading.await.unwrap_err().is_cancelled());
    }
}

/// A body that is always ready, and never says anything.
#[tokio::test]
async fn a_line_without_an_end_leaves_others_their_turn() {
    for piece in ["x", ""] {
        let layer = BatchLayer::new().max_line_bytes(10);
        let response = layer.layer(service_fn(at_once)).oneshot(stream_of(endless(piece))).await.unwrap();
        let reading = tokio::spawn(async move {
            let mut body = response.into_body();
            while body.frame().await.is_some() {}
        });
        let ((), turns, _) = beside(async {
            for _ in 0..300 {
                yield_now().await;
            }
        })
        .await;
        assert!(turns >= 300 && !reading.is_finished());
        reading.abort();
    }
}

/// Whoever reads a piece of it now and then has all in the end.
#[tokio::test(start_paused = true)]
async fn all_is_answered_however_slowly_it_is_read() {
    let inner = service_fn(async |_: SubRequest| Ok::<_, Infallible>(Response::new(Body::from(vec![b'x'; 3000]))));
    let service = BatchLayer::new().layer(inner);
    let mut reading = Reading::new(service.oneshot(stream_of(get_lines(300))).await.unwrap());
    while reading.piece().await.is_some() {
        sleep(Duration::from_secs(45)).await;
    }
    assert_eq!(statuses(reading.finish().await), [200; 300]);
}
/// Lines that only wait for others take their time too.
#[tokio::test]
async fn lines_that_wait_for_others_leave_others_their_turn() {
    const MANY: usize = 20_000;
    let (inner, mut calls) = by_hand();
    let layer = BatchLayer::new().stream_window(MANY + 1).max_in_flight_bytes(1 << 30).order(Order::Unordered);
    let text = lines([json!({"id": "a", "path": "/a"})])
        + &lines([json!({"path": "/b", "dependsOn": ["a"], "method": "PUT"})]).repeat(MANY);
    let mut body = layer.layer(inner).oneshot(stream_of(text)).await.unwrap().into_body();
    let mut polls = 0;
    let mut next = task::spawn(tokio::task::unconstrained(body.frame()));
    assert_pending!(next.poll());
    while next.is_woken() {
        polls += 1;
        assert_pending!(next.poll());
    }
    assert!(polls > MANY / 100, "{MANY} lines in {polls} turns");
    drop(next);
    calls.next().await.answer(409);
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
    let (results, _) = results(common::lines::told(&text));
    assert!(results.iter().skip(1).all(|result| result["status"] == 424) && results.len() == MANY + 1);
}
/// A reader of XML can't be sent one target twice, and that is no reason to keep them all.
#[cfg(feature = "xml")]
#[test]
fn memory_does_not_grow_with_a_stream_that_is_answered_in_another_format() {
    let peak = |accept: &'static str, operations: usize| {
        let text =
            (0..operations).map(|index| Ok::<_, Infallible>(Bytes::from(format!("{{\"path\":\"/{index:0200}\"}}\n"))));
        let body = Body::from_stream(stream::iter(text));
        let info = allocation_counter::measure(|| {
            let batch = async {
                let batch = common::lines::stream_for(accept, body);
                let mut body = BatchLayer::new().layer(service_fn(at_once)).oneshot(batch).await.unwrap().into_body();
                while let Some(frame) = body.frame().await {
                    drop(frame);
                }
            };
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(batch);
        });
        info.bytes_max
    };
    for accept in ["application/json", "application/xml"] {
        let (few, many) = (peak(accept, 6_000), peak(accept, 20_000));
        // In XML there may be some hashes more, of which there are 65,536 at most; the targets alone would be 2.8 MB more.
        assert!(many < few + (1 << 20), "{accept}: {few} {many}");
    }
}
