//! Answers that are sent while their batch runs.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, response::IntoResponse, routing::get};
use bytes::Bytes;
use common::{
    Answer, Body, Call, Calls, SubRequest, by_hand, gets, post, request, send, serve, soon,
    ways::{Inner, in_every_way},
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::sleep};
use tokio_test::{assert_pending, task};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_multistatus::{
    BatchLayer, Encode, EncodeContext, Encoder, Outcome, ResponseBody, Streaming, axum::RouterExt,
};

fn streaming() -> BatchLayer {
    BatchLayer::new().stream(Streaming::On)
}

/// The next piece of an answer; `None` at its end.
async fn piece(body: &mut ResponseBody<Body>) -> Option<String> {
    let frame = soon(body.frame()).await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().into()).unwrap())
}

/// What begins when the answer is read on, and nothing comes yet.
fn begun(body: &mut ResponseBody<Body>, calls: &mut Calls) -> Vec<Call> {
    let mut next = task::spawn(body.frame());
    // It rests once after each piece.
    assert_pending!(next.poll());
    assert_pending!(next.poll());
    calls.begun()
}

/// Waits as long as the last part of the target says, in seconds, and answers with that.
async fn patient(request: SubRequest) -> Result<Response<Body>, Infallible> {
    let seconds: u64 = request.uri().path().rsplit('/').next().unwrap().parse().unwrap();
    sleep(Duration::from_secs(seconds)).await;
    Ok(axum::Json(seconds).into_response())
}

#[tokio::test(start_paused = true)]
async fn each_result_is_sent_when_it_is_there() {
    let (inner, mut calls) = by_hand();
    let response = streaming().layer(inner).oneshot(request(gets(3))).await.unwrap();
    // Nothing has ended, nothing has even begun.
    assert_eq!(response.status(), StatusCode::MULTI_STATUS);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(!response.headers().contains_key("content-length"));
    assert!(calls.begun().is_empty());

    let mut body = response.into_body();
    assert_eq!(body.size_hint().exact(), None);
    assert_eq!(piece(&mut body).await.unwrap(), r#"{"results":["#);
    assert!(calls.begun().is_empty());
    let mut begun = begun(&mut body, &mut calls);
    assert_eq!(begun.len(), 3);
    for (index, expected) in [(2, r#"{"index":2,"status":202}"#), (0, r#",{"index":0,"status":200}"#)] {
        let place = begun.iter().position(|call| call.target() == format!("/{index}")).unwrap();
        begun.swap_remove(place).answer(200 + index);
        assert_eq!(piece(&mut body).await.unwrap(), expected);
    }
    assert_pending!(task::spawn(body.frame()).poll());
    begun.remove(0).answer(404);
    assert_eq!(
        piece(&mut body).await.unwrap(),
        r#",{"index":1,"status":404,"error":"Not Found"}],"summary":{"total":3,"succeeded":2,"failed":1}}"#
    );
    assert_eq!(piece(&mut body).await, None);
    assert_eq!(piece(&mut body).await, None);
}

/// The first result doesn't wait for the slowest one.
#[tokio::test(start_paused = true)]
async fn the_first_result_comes_with_the_fastest_operation() {
    let batch = json!([{"path": "/20"}, {"path": "/1"}, {"path": "/10"}]);
    let start = tokio::time::Instant::now();
    let mut body = streaming().layer(service_fn(patient)).oneshot(request(&batch)).await.unwrap().into_body();
    let mut times = Vec::new();
    while let Some(piece) = piece(&mut body).await {
        times.extend(piece.contains("\"index\"").then(|| start.elapsed().as_secs()));
    }
    assert_eq!(times, [1, 10, 20]);
}

#[tokio::test]
async fn streams_only_what_the_server_wants() {
    let layer = |streaming| BatchLayer::new().stream(streaming);
    for (layer, operations, is_streamed) in [
        (BatchLayer::new(), 9, false),
        (layer(Streaming::Off), 9, false),
        (layer(Streaming::On), 1, true),
        (layer(Streaming::From(3)), 2, false),
        (layer(Streaming::From(3)), 3, true),
    ] {
        let inner = service_fn(async |_: SubRequest| Ok::<_, Infallible>(Response::new(Body::empty())));
        let response = layer.layer(inner).oneshot(request(gets(operations))).await.unwrap();
        assert_eq!(response.body().size_hint().exact().is_none(), is_streamed);
        assert_eq!(Answer::read(response).await.statuses().len(), operations);
    }
    // What refuses a batch is known before the head is sent.
    let inner = service_fn(async |_: SubRequest| Ok::<_, Infallible>(Response::new(Body::empty())));
    assert_eq!(send(streaming().layer(inner), request("[]")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn all_is_the_same_as_in_a_whole_answer() {
    let batch = json!([
        {"id": "a", "path": "/3"},
        {"path": "/1", "dependsOn": ["a"]},
        {"method": "TRACE", "path": "/1"},
        {"method": "PUT", "path": "/2"},
        {"path": "/{x}", "refs": {"x": "a#"}},
        {"path": "/1", "dependsOn": ["nobody"]},
        {"path": "/40"},
    ]);
    let layer = || BatchLayer::new().operation_timeout(Duration::from_secs(20));
    let answer = in_every_way(|| (layer(), Inner::new(service_fn(patient).map_err(BoxError::from))), &batch);
    assert_eq!(answer.await.statuses(), [200, 200, 400, 200, 200, 400, 504]);
}

/// One status a line, and no index: only the order tells which is which.
struct Statuses;

impl Encode for Statuses {
    fn media_types(&self) -> &[&'static str] {
        &["text/plain"]
    }

    fn begin(&self, _cx: EncodeContext) -> Box<dyn Encoder> {
        Box::new(Self)
    }
}

impl Encoder for Statuses {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static("text/plain")
    }

    fn start(&mut self, _out: &mut Vec<u8>) {}

    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(outcome.status().as_str().as_bytes());
        out.push(b'\n');
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"end\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_format_without_an_index_gets_request_order() {
    let (inner, mut calls) = by_hand();
    let layer = streaming().encoder(Statuses).keep_alive(Duration::from_secs(1));
    let mut batch = request(gets(200));
    batch.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/plain"));
    let mut body = layer.max_operations(200).concurrency(200).layer(inner).oneshot(batch).await.unwrap().into_body();
    // It has nothing to say yet, and knows of nothing that means nothing.
    assert_pending!(task::spawn(body.frame()).poll());
    assert_pending!(task::spawn(body.frame()).poll());
    let answering = tokio::spawn(async move {
        let mut begun = Vec::new();
        while begun.len() < 200 {
            begun.push(calls.next().await);
        }
        // The last ones first, so that all wait for the first.
        begun.sort_by_key(|call| call.target()[1..].parse::<u16>().unwrap());
        for (index, call) in begun.into_iter().enumerate().rev() {
            call.answer(200 + u16::try_from(index).unwrap());
            tokio::task::yield_now().await;
        }
    });
    let mut text = String::new();
    while let Some(piece) = piece(&mut body).await {
        text += &piece;
    }
    answering.await.unwrap();
    let expected: String = (200..400).map(|status| format!("{status}\n")).collect();
    assert_eq!(text, expected + "end\n");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_closed_when_time_runs_out() {
    let batch = json!([{"path": "/1"}, {"path": "/100"}, {"method": "POST", "path": "/1"}]);
    let layer = streaming().operation_timeout(Duration::from_secs(1000)).batch_timeout(Duration::from_secs(10));
    let answer = soon(post(layer.clone().layer(service_fn(patient)), batch.clone())).await;
    assert_eq!(answer.in_request_order().statuses(), [200, 504, 504]);
    #[cfg(feature = "xml")]
    {
        let mut request = request(&batch);
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/xml"));
        let answer = soon(send(layer.layer(service_fn(patient)), request)).await;
        let document = roxmltree::Document::parse(answer.text()).unwrap();
        let statuses = document.descendants().filter(|node| node.has_tag_name(("DAV:", "status")));
        let statuses: Vec<_> = statuses.map(|status| status.text().unwrap()).collect();
        let timed_out = "HTTP/1.1 504 Gateway Timeout";
        assert_eq!(statuses, ["HTTP/1.1 200 OK", timed_out, timed_out]);
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_where_the_format_can() {
    let accepted = ["application/json", "application/xml"];
    for accept in &accepted[..1 + usize::from(cfg!(feature = "xml"))] {
        let layer = streaming().keep_alive(Duration::from_secs(5));
        let mut batch = request(json!([{"path": "/1"}, {"path": "/18"}]));
        batch.headers_mut().insert(header::ACCEPT, accept.parse().unwrap());
        let mut body = layer.layer(service_fn(patient)).oneshot(batch).await.unwrap().into_body();
        let start = tokio::time::Instant::now();
        let mut times = Vec::new();
        while let Some(piece) = piece(&mut body).await {
            times.extend((piece == "\n").then(|| start.elapsed().as_secs()));
        }
        // The first result comes after a second, and the time is counted from then.
        assert_eq!(times, [6, 11, 16], "{accept}");
    }
    let answer =
        soon(post(streaming().keep_alive(Duration::from_secs(5)).layer(service_fn(patient)), json!([{"path": "/18"}])));
    assert_eq!(answer.await.statuses(), [200]);
}

/// The head is gone when an operation sets one, and a script must not read it in the body.
#[tokio::test]
async fn cookies_are_left_out() {
    let inner = service_fn(async |_: SubRequest| {
        Ok::<_, Infallible>(([("set-cookie", "session=secret; HttpOnly")], "ok").into_response())
    });
    let answer = post(streaming().result_header(header::SET_COOKIE).layer(inner), gets(2)).await;
    assert!(!answer.headers.contains_key("set-cookie"));
    assert!(!answer.text().contains("secret"));
    assert_eq!(answer.statuses(), [200, 200]);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_stops_everything() {
    let (inner, mut calls) = by_hand();
    let mut body = streaming().concurrency(2).layer(inner).oneshot(request(gets(5))).await.unwrap().into_body();
    piece(&mut body).await.unwrap();
    let begun = begun(&mut body, &mut calls);
    assert_eq!(begun.len(), 2);
    drop(body);
    assert!(begun.iter().all(common::Call::is_dropped));
    assert!(calls.next_or_end().await.is_none());
}

/// Nothing is done for who doesn't read: no more operations begin than one chunk has room for.
#[tokio::test]
async fn who_reads_slowly_slows_the_batch_down() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let inner = service_fn(move |_: SubRequest| {
        counted.fetch_add(1, Relaxed);
        async { Ok::<_, Infallible>(Response::new(Body::from(vec![b'x'; 1024]))) }
    });
    let layer = streaming().max_operations(1000).concurrency(1);
    let mut body = layer.layer(inner).oneshot(request(gets(1000))).await.unwrap().into_body();
    let mut read = 0;
    while let Some(piece) = piece(&mut body).await {
        // Base64 makes a third more of each.
        assert!(count.load(Relaxed) <= (read + (18 << 10)) / 1024, "{} for {read} bytes", count.load(Relaxed));
        assert!(piece.len() < 18 << 10);
        read += piece.len();
    }
    assert_eq!(count.load(Relaxed), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_member_of_a_group_is_told_when_the_group_is_over() {
    use common::recorder::{Go, Recorder};
    let gate = Arc::new(Semaphore::new(0));
    let recorder = Recorder { commit: Go::When(Arc::clone(&gate)), ..Recorder::default() };
    let batch = json!([{"path": "/1", "group": "g"}, {"path": "/2", "group": "g"}]);
    let layer = streaming().with_coordinator(recorder);
    let mut body = layer.layer(service_fn(patient)).oneshot(request(batch)).await.unwrap().into_body();
    assert_eq!(piece(&mut body).await.unwrap(), r#"{"results":["#);
    let mut next = task::spawn(body.frame());
    assert_pending!(next.poll());
    sleep(Duration::from_secs(10)).await;
    assert_pending!(next.poll());
    assert_pending!(next.poll());
    gate.add_permits(1);
    drop(next);
    let mut rest = String::new();
    while let Some(piece) = piece(&mut body).await {
        rest += &piece;
    }
    assert_eq!(rest.matches(r#""status":200"#).count(), 2);
}

/// Whoever reads on as soon as there is something leaves others their turn.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_always_ready_leaves_others_their_turn() {
    let others = Arc::new(AtomicUsize::new(0));
    let turns = Arc::clone(&others);
    tokio::spawn(async move {
        loop {
            turns.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let inner = service_fn(async |_: SubRequest| Ok::<_, Infallible>(Response::new(Body::empty())));
    let layer = streaming().max_operations(32_000).max_request_bytes(1 << 30);
    let answer = post(layer.layer(inner), gets(32_000)).await;
    assert_eq!(answer.in_request_order().statuses().len(), 32_000);
    let turns = others.load(Relaxed);
    assert!((900..2100).contains(&turns), "{turns}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever takes how long, in whatever order it ends, and wherever the reader stops to rest.
    #[test]
    fn every_result_is_there_once(
        times in prop::collection::vec(0u64..6, 1..40),
        concurrency in 1usize..8,
        writes in prop::collection::vec(any::<bool>(), 40),
        rests in prop::collection::vec(0u64..3, 40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let operations: Value = times
                .iter()
                .zip(&writes)
                .map(|(seconds, is_write)| json!({"method": if *is_write { "PUT" } else { "GET" }, "path": format!("/{seconds}")}))
                .collect();
            let layer = streaming().concurrency(concurrency).batch_timeout(Duration::from_secs(10_000));
            let mut body = layer.layer(service_fn(patient)).oneshot(request(operations)).await.unwrap().into_body();
            let (mut text, mut rests) = (String::new(), rests.into_iter().cycle());
            while let Some(piece) = piece(&mut body).await {
                // Cut off here, it would be no document.
                assert!(serde_json::from_str::<Value>(&text).is_err());
                text += &piece;
                sleep(Duration::from_secs(rests.next().unwrap())).await;
            }
            let answer: Value = serde_json::from_str(&text).unwrap();
            let mut results = answer["results"].as_array().unwrap().clone();
            results.sort_by_key(|result| result["index"].as_u64());
            assert_eq!(results.len(), times.len());
            for (index, (result, seconds)) in results.iter().zip(&times).enumerate() {
                assert_eq!(result, &json!({"index": index, "status": 200, "data": seconds}));
            }
            assert_eq!(answer["summary"], json!({"total": times.len(), "succeeded": times.len(), "failed": 0}));
        });
    }
}

/// A client on a socket has the first result while the last operation still waits.
#[tokio::test]
async fn results_flow_over_http() {
    for http2 in [false, true] {
        let gate = Arc::new(Semaphore::new(0));
        let opens = Arc::clone(&gate);
        let api = Router::new().route("/now", get(async || "now")).route(
            "/later",
            get(async move || {
                opens.acquire().await.unwrap().forget();
                "later"
            }),
        );
        let address = serve(api.batch(streaming())).await;
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Full<Bytes>>();
        let batch = Request::post(format!("http://{address}/batch"))
            .header("content-type", "application/json")
            .body(Full::from(r#"[{"path":"/later"},{"path":"/now"}]"#))
            .unwrap();
        let mut answer = soon(client.request(batch)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::MULTI_STATUS);
        assert!(!answer.headers().contains_key("content-length"));
        let mut text = String::new();
        while !text.contains(r#""data":"now""#) {
            let frame = soon(answer.body_mut().frame()).await.unwrap().unwrap();
            text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
        assert!(!text.contains("later"));
        gate.add_permits(1);
        text += std::str::from_utf8(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["summary"]["succeeded"], 2);
        assert_eq!(answer["results"][1]["index"], 0);
    }
}

/// A body can be moved between threads and polled from any of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_can_change_its_thread() {
    let inner = service_fn(async |_: SubRequest| {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let mut body = streaming().layer(inner).oneshot(request(gets(50))).await.unwrap().into_body();
    let mut text = String::new();
    loop {
        let (next, back) = tokio::spawn(async move { (piece(&mut body).await, body) }).await.unwrap();
        body = back;
        match next {
            Some(piece) => text += &piece,
            None => break,
        }
    }
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["summary"]["total"], 50);
}

/// A compressor outside passes on what it has whenever there is nothing more to be had at once.
#[tokio::test(start_paused = true)]
async fn compression_outside_does_not_hold_results_back() {
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let service = tower::ServiceBuilder::new()
            .layer(tower_http::compression::CompressionLayer::new())
            .layer(streaming())
            .service(service_fn(patient));
        let mut batch = request(json!([{"path": "/60"}, {"path": "/1"}, {"path": "/2"}]));
        batch.headers_mut().insert(header::ACCEPT_ENCODING, coding.parse().unwrap());
        let client = tower::ServiceBuilder::new().layer(tower_http::decompression::DecompressionLayer::new());
        let layer = client.service(service);
        let mut body = soon(layer.oneshot(batch)).await.unwrap().into_body();
        let start = tokio::time::Instant::now();
        let mut text = String::new();
        let mut times = Vec::new();
        while let Some(frame) = soon(body.frame()).await {
            let Ok(data) = frame.unwrap().into_data() else { continue };
            text += std::str::from_utf8(&data).unwrap();
            times.push((start.elapsed().as_secs(), text.matches("\"index\"").count()));
        }
        assert!(times.contains(&(1, 1)) && times.contains(&(2, 2)), "{coding}: {times:?}");
        assert!(text.ends_with("}}"), "{coding}");
    }
}

/// What has been sent is no longer in memory.
#[tokio::test]
async fn the_limit_is_on_what_is_held_at_once() {
    const BODY: usize = 1000;
    let inner = || {
        service_fn(async |_: SubRequest| {
            Ok::<_, Infallible>(([("content-type", "text/plain")], "x".repeat(BODY)).into_response())
        })
    };
    let layer = BatchLayer::new().concurrency(1).max_response_bytes(2 * BODY);
    let whole = post(layer.clone().layer(inner()), gets(10)).await;
    assert_eq!(whole.statuses(), [200, 200, 507, 507, 507, 507, 507, 507, 507, 507]);
    let streamed = post(layer.stream(Streaming::On).layer(inner()), gets(10)).await;
    assert_eq!(streamed.statuses(), [200; 10]);
    let tight = BatchLayer::new().max_response_bytes(BODY - 1).stream(Streaming::On);
    assert_eq!(post(tight.layer(inner()), gets(2)).await.statuses(), [507; 2]);
}

/// However many operations there are, an answer that is read as it comes needs no more memory.
#[test]
fn memory_does_not_grow_with_the_answer() {
    let peak = |operations: usize, streaming: Streaming| {
        let inner = service_fn(async |_: SubRequest| Ok::<_, Infallible>(Response::new(Body::from(vec![0; 10_000]))));
        let layer = BatchLayer::new().max_operations(10_000).max_response_bytes(1 << 30).stream(streaming);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let info = allocation_counter::measure(|| {
            runtime.block_on(async {
                let mut body = layer.layer(inner).oneshot(request(gets(operations))).await.unwrap().into_body();
                while let Some(frame) = body.frame().await {
                    drop(frame);
                }
            });
        });
        // What the batch itself takes is no matter of its answer.
        info.bytes_max.saturating_sub(operations as u64 * 1024)
    };
    let (few, many) = (peak(100, Streaming::On), peak(2000, Streaming::On));
    assert!(many < few + (64 << 10), "{few} {many}");
    assert!(peak(2000, Streaming::Off) > 20 << 20);
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_go_on_as_long_as_it_goes_on() {
    let batch: Value = (0..20).map(|_| json!({"method": "PUT", "path": "/9"})).collect();
    let layer = streaming().batch_timeout(Duration::from_secs(60));
    let answer = soon(post(layer.clone().layer(service_fn(patient)), batch.clone())).await.in_request_order();
    assert_eq!(answer.statuses().iter().filter(|status| **status == 200).count(), 6);

    let layer = layer.idle_timeout(Duration::from_secs(10));
    let answer = post(layer.clone().layer(service_fn(patient)), batch).await.in_request_order();
    assert_eq!(answer.statuses(), [200; 20]);

    let start = tokio::time::Instant::now();
    let batch = json!([{"method": "PUT", "path": "/9"}, {"method": "PUT", "path": "/11"}, {"path": "/1"}]);
    let answer = soon(post(layer.layer(service_fn(patient)), batch)).await.in_request_order();
    assert_eq!((answer.statuses(), start.elapsed().as_secs()), (vec![200, 504, 504], 19));
}

/// What has ended while nobody read is there as soon as somebody does, before anything new begins.
#[tokio::test(start_paused = true)]
async fn what_ended_in_a_pause_is_told_at_once() {
    let inner = service_fn(async |request: SubRequest| {
        if request.uri().path() == "/0" {
            sleep(Duration::from_secs(1)).await;
        }
        Ok::<_, Infallible>(Response::new(Body::from(vec![0; 20_000])))
    });
    let layer = streaming().concurrency(2).operation_timeout(Duration::from_secs(5));
    let mut body = layer.layer(inner).oneshot(request(gets(40))).await.unwrap().into_body();
    let mut pieces = Vec::new();
    while let Some(piece) = piece(&mut body).await {
        pieces.push(piece);
        sleep(Duration::from_secs(1)).await;
    }
    let told = pieces.iter().position(|piece| piece.contains(r#""index":0,"status":200"#));
    assert!(told.unwrap() <= 4, "{told:?} of {}", pieces.len());
}

/// Nothing that could be sent waits for what comes after it.
#[tokio::test(start_paused = true)]
async fn in_request_order_too_all_is_sent_that_can_be() {
    let (inner, mut calls) = by_hand();
    let mut batch = request(gets(200));
    batch.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/plain"));
    let layer = streaming().encoder(Statuses).max_operations(200).concurrency(200);
    let mut body = layer.layer(inner).oneshot(batch).await.unwrap().into_body();
    let mut waiting = Vec::new();
    let mut next = task::spawn(body.frame());
    while waiting.len() < 200 {
        assert_pending!(next.poll());
        waiting.extend(calls.begun());
    }
    drop(next);
    // All but the last one, and of these the first one last.
    let last = waiting.pop().unwrap();
    waiting.into_iter().rev().for_each(|call| call.answer(200));
    let mut lines = 0;
    while lines < 199 {
        lines += piece(&mut body).await.unwrap().lines().count();
    }
    last.answer(404);
    assert_eq!(piece(&mut body).await.unwrap(), "404\nend\n");
}

/// The time of the one that hangs is over at the same moment; that is its end, and not that of all others.
#[tokio::test(start_paused = true)]
async fn an_operation_that_hangs_does_not_end_its_batch() {
    let seconds = Duration::from_secs(30);
    let layer = streaming().operation_timeout(seconds).idle_timeout(seconds);
    let batch = json!([
        {"method": "PUT", "path": "/1"},
        {"method": "PUT", "path": "/100"},
        {"path": "/1"},
        {"path": "/2"},
    ]);
    let answer = soon(post(layer.layer(service_fn(patient)), batch)).await.in_request_order();
    assert_eq!(answer.statuses(), [200, 504, 200, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_readers_is_not_the_batchs() {
    let inner = service_fn(async |_: SubRequest| {
        for _ in 0..3 {
            sleep(Duration::from_millis(10)).await;
        }
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let layer =
        streaming().concurrency(1).idle_timeout(Duration::from_secs(30)).operation_timeout(Duration::from_secs(3600));
    let mut body = layer.layer(inner).oneshot(request(gets(5))).await.unwrap().into_body();
    let mut text = String::new();
    while let Some(piece) = piece(&mut body).await {
        text += &piece;
        sleep(Duration::from_secs(100)).await;
    }
    assert_eq!(text.matches(r#""status":200"#).count(), 5, "{text}");
}

#[tokio::test(start_paused = true)]
async fn no_silence_is_too_short() {
    let layer = streaming().keep_alive(Duration::ZERO);
    let mut body =
        layer.layer(service_fn(patient)).oneshot(request(json!([{"path": "/5"}]))).await.unwrap().into_body();
    let mut pieces = 0;
    while piece(&mut body).await.is_some() {
        pieces += 1;
    }
    assert!((3..10).contains(&pieces), "{pieces}");
}

/// What was left half done is not closed as if it were whole.
#[tokio::test]
async fn after_a_panic_of_a_hook_the_answer_is_cut_off() {
    let inner = service_fn(async |_: SubRequest| Ok::<_, Infallible>(Response::new(Body::empty())));
    let layer = streaming().on_outcome(|cx, _, _| assert_ne!(cx.index(), 1, "as it was told"));
    let mut body = layer.layer(inner).oneshot(request(gets(3))).await.unwrap().into_body();
    piece(&mut body).await.unwrap();
    let panicked = tokio::spawn(async move {
        let outcome = std::panic::AssertUnwindSafe(body.frame());
        let outcome = futures_util::FutureExt::catch_unwind(outcome).await.is_err();
        (outcome, body)
    });
    let (has_panicked, mut body) = panicked.await.unwrap();
    assert!(has_panicked);
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.unwrap().is_err());
}

/// The statuses of failures only; of anything else there is nothing to be said.
struct Failures;

impl Encode for Failures {
    fn media_types(&self) -> &[&'static str] {
        &["text/plain"]
    }

    fn begin(&self, _cx: EncodeContext) -> Box<dyn Encoder> {
        Box::new(Self)
    }
}

impl Encoder for Failures {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static("text/plain")
    }

    fn start(&mut self, _out: &mut Vec<u8>) {}

    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        if !outcome.is_success() {
            out.extend_from_slice(outcome.status().as_str().as_bytes());
        }
    }

    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

#[tokio::test(start_paused = true)]
async fn a_result_of_no_bytes_makes_room_for_the_next_operation() {
    let inner = service_fn(async |_: SubRequest| Ok::<_, Infallible>(Response::new(Body::empty())));
    let mut batch = request("{\"path\":\"/\"}\n".repeat(5));
    batch.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    batch.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/plain"));
    let start = tokio::time::Instant::now();
    let answer = send(BatchLayer::new().stream_window(1).encoder(Failures).layer(inner), batch).await;
    assert_eq!((answer.bytes, start.elapsed()), (Bytes::new(), Duration::ZERO));
}
