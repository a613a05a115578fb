//! A stream of lines that is cut off, at every byte of it and at every byte of its answer.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use common::{
    Answer, Body, SubRequest, by_hand,
    lines::{NDJSON, Reading, Write, by_pieces, get_lines, results, statuses, stream_for, stream_of, told},
    recorder::Log,
    request, send, soon,
    ways::Inner,
};
use futures_util::{StreamExt, stream};
use http::{Response, StatusCode};
use http_body::Body as _;
use http_body_util::Limited;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Streaming};

/// Some of all there is: both line ends, blank lines, one that is bad, one that needs another, and no last line end.
const BATCH: &str = concat!(
    "{\"id\":\"a\",\"path\":\"/0\"}\n",
    "\n",
    "{\"method\":\"PUT\",\"path\":\"/1\",\"body\":{\"b\":[1]}}\r\n",
    "7\n",
    "  {\"path\":\"/3\",\"dependsOn\":[\"a\"]}  \n \r\n",
    "{\"path\":\"/4\"}",
);

/// Which operations are in the first bytes, and whether they can be carried out.
fn operations(text: &str) -> Vec<bool> {
    let lines = text.split('\n').map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object())).collect()
}

/// Answers when it may, and writes down what it does. Of its permits none gets lost.
fn inner(log: &Log, permits: &Arc<Semaphore>) -> Inner {
    let (log, permits) = (log.clone(), Arc::clone(permits));
    Inner::new(service_fn(move |request: SubRequest| {
        let (log, permits) = (log.clone(), Arc::clone(&permits));
        async move {
            let _permit = permits.acquire_owned().await?;
            log.push(request.uri().path());
            tokio::task::yield_now().await;
            Ok::<_, BoxError>(Response::new(Body::from("done")))
        }
    }))
}

/// In one frame, or byte by byte.
fn pieces(text: &str, are_bytes: bool) -> Vec<Bytes> {
    let size = if are_bytes { 1 } else { text.len().max(1) };
    text.as_bytes().chunks(size).map(Bytes::copy_from_slice).collect()
}

#[tokio::test(start_paused = true)]
async fn only_whole_lines_are_carried_out_wherever_the_stream_ends_or_breaks() {
    for (length, breaks, are_bytes, spawned) in (0..=BATCH.len()).flat_map(|length| {
        let ways = (0..8).map(|way| (way & 1 > 0, way & 2 > 0, way & 4 > 0));
        ways.map(move |(breaks, are_bytes, spawned)| (length, breaks, are_bytes, spawned))
    }) {
        let text = &BATCH[..length];
        let case = format!("{text:?} {breaks} {are_bytes} {spawned}");
        let (log, permits) = (Log::default(), Arc::new(Semaphore::new(1)));
        let mut frames: Vec<_> = pieces(text, are_bytes).into_iter().map(Ok).collect();
        frames.extend(breaks.then(|| Err(BoxError::from("gone"))));
        let layer = if spawned { BatchLayer::new().spawn() } else { BatchLayer::new() };
        let service = layer.layer(inner(&log, &permits));
        let response = service.oneshot(stream_of(Body::from_stream(stream::iter(frames)))).await.unwrap();

        // Where it breaks, what has no line end is no line.
        let whole = if breaks { &text[..text.rfind('\n').map_or(0, |end| end + 1)] } else { text };
        let operations = operations(whole);
        let (results, _) = results(Reading::new(response).finish().await);
        assert_eq!(results.len(), operations.len() + usize::from(breaks), "{case}");
        for (result, is_good) in results.iter().zip(&operations) {
            assert_eq!(result["status"], if *is_good { 200 } else { 400 }, "{case}: {result}");
        }
        if breaks {
            let last = results.last().unwrap();
            assert_eq!(last["status"], 400, "{case}");
            assert!(last["error"]["detail"].as_str().unwrap().contains("broke off"), "{case}: {last}");
        }
        let mut ran = log.take();
        ran.sort_unstable();
        let good = operations.iter().enumerate().filter(|(_, is_good)| **is_good);
        assert_eq!(ran, good.map(|(index, _)| format!("/{index}")).collect::<Vec<_>>(), "{case}");
        assert_eq!(permits.available_permits(), 1, "{case}");
    }
}

/// It says that it has been cut off, whatever it was before.
#[tokio::test]
async fn a_body_over_the_servers_own_limit_is_413() {
    let lines: Vec<_> = get_lines(3).split_inclusive('\n').map(|line| Bytes::from(line.to_owned())).collect();
    for limit in 0..3 * lines[0].len() {
        let inner = service_fn(async |_: SubRequest| Ok::<_, BoxError>(Response::new(Body::empty())));
        let frames = lines.clone().into_iter().map(Ok::<_, BoxError>);
        let body = Body::new(Limited::new(Body::from_stream(stream::iter(frames)), limit));
        let response = BatchLayer::new().layer(inner).oneshot(stream_of(body)).await.unwrap();
        let mut expected = vec![200; limit / lines[0].len()];
        // Of the frame that goes over it, nothing is given on.
        expected.push(413);
        assert_eq!(statuses(Reading::new(response).finish().await), expected, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_when_a_body_breaks_off_is_answered_all_the_same() {
    let (inner, mut calls) = by_hand();
    let (pieces, body) = by_pieces();
    let mut reading = Reading::new(BatchLayer::new().layer(inner).oneshot(stream_of(body)).await.unwrap());
    pieces.line(r#"{"path":"/a"}"#);
    pieces.write(r#"{"path":"/b"}"#);
    assert_eq!(reading.read_on(), [] as [Value; 0]);
    let call = calls.next().await;
    pieces.send(Err("gone".into())).unwrap();
    let told = reading.read_on();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["index"], &told[0]["status"]), (&json!(1), &json!(400)));
    call.answer(204);
    let told = reading.read_on();
    assert_eq!(told[0], json!({"index": 0, "status": 204}));
    assert_eq!(told[1], json!({"summary": {"total": 2, "succeeded": 1, "failed": 1}}));
    assert!(reading.has_ended());
}

/// Says when it is dropped, as a connection would be seen to be.
struct Guarded(Body, #[allow(dead_code, reason = "it is there for its drop")] common::recorder::Guard);

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_at_any_time_leaves_nothing_behind() {
    let answer_to = async |layer: &BatchLayer, log: &Log, permits: &Arc<Semaphore>| {
        let frames = stream::iter(pieces(BATCH, true)).then(async |piece| {
            tokio::task::yield_now().await;
            Ok::<_, BoxError>(piece)
        });
        let batch = Guarded(Body::from_stream(frames), log.guard("batch"));
        layer.layer(inner(log, permits)).oneshot(stream_of(Body::new(batch))).await.unwrap()
    };
    for layer in [BatchLayer::new(), BatchLayer::new().spawn(), BatchLayer::new().concurrency(1)] {
        let (log, permits) = (Log::default(), Arc::new(Semaphore::new(2)));
        let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        // After so many looks at it, at last after more than it takes.
        for looks in 0.. {
            let mut body = answer_to(&layer, &log, &permits).await.into_body();
            let mut is_over = false;
            for _ in 0..looks {
                let next = poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx))).await;
                is_over = matches!(next, Poll::Ready(None));
                tokio::task::yield_now().await;
            }
            drop(body);
            // Tasks that are aborted end at their next turn.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            let mut done = log.take();
            done.sort_unstable();
            let all = done.len();
            done.dedup();
            assert_eq!(done.len(), all, "something was done twice: {done:?}");
            assert!(done.contains(&"batch dropped".to_owned()), "{done:?}");
            assert_eq!(permits.available_permits(), 2);
            assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), alive);
            if is_over {
                assert!(looks > BATCH.len(), "{looks}");
                break;
            }
        }
    }
}

/// What a reader has to look at is at the end of each format.
#[tokio::test]
async fn what_is_cut_off_of_an_answer_can_be_told_from_what_is_whole() {
    let formats = [NDJSON, "application/jsonl", "application/json", "application/xml", "text/xml"];
    for accept in &formats[..if cfg!(feature = "xml") { 5 } else { 3 }] {
        let inner = service_fn(async |_: SubRequest| {
            // With what looks like an end in it.
            let body = "{\"summary\":\n{}}\n]}</D:multistatus>\n{\"summary\":{}}\n";
            Ok::<_, BoxError>(Response::builder().header("content-type", "text/plain").body(Body::from(body))?)
        });
        let answer = send(BatchLayer::new().layer(inner), stream_for(accept, BATCH)).await;
        let text = answer.text();
        let is_whole = |text: &str| match *accept {
            // Its last line has all but its end.
            NDJSON | "application/jsonl" => {
                let last = text.lines().next_back().and_then(|line| serde_json::from_str::<Value>(line).ok());
                last.is_some_and(|last| last["summary"].is_object())
            }
            "application/json" => serde_json::from_str::<Value>(text).is_ok(),
            _ => roxmltree_parses(text),
        };
        assert!(is_whole(text), "{text}");
        let insignificant = text.len() - text.trim_end().len();
        for length in 0..text.len() - insignificant {
            assert!(!is_whole(&text[..length]), "{}", &text[..length]);
        }
    }
}

fn roxmltree_parses(text: &str) -> bool {
    roxmltree::Document::parse(text).is_ok()
}

/// The head is there before any line, and a batch that is over by then still has an answer of its own.
#[tokio::test]
async fn a_batch_without_operations_is_refused_or_summed_up() {
    let inner = || service_fn(async |_: SubRequest| -> Result<Response<Body>, BoxError> { unreachable!() });
    let empty = send(BatchLayer::new().layer(inner()), stream_of("")).await;
    assert_eq!((empty.status, empty.json["status"].as_u64()), (StatusCode::BAD_REQUEST, Some(400)));
    for blank in ["\n", "\r\n", " ", "\n\n \t\r\n", "\r"] {
        for accept in [NDJSON, "application/json"] {
            let answer = send(BatchLayer::new().layer(inner()), stream_for(accept, blank)).await;
            assert_eq!(answer.status, StatusCode::MULTI_STATUS);
            let summary = if accept == NDJSON { told(answer.text()).swap_remove(0) } else { answer.json };
            assert_eq!(summary["summary"], json!({"total": 0, "succeeded": 0, "failed": 0}), "{blank:?}");
        }
    }
    // Nobody knows yet that nothing will come.
    let (pieces, body) = by_pieces();
    let response = BatchLayer::new().layer(inner()).oneshot(stream_of(body)).await.unwrap();
    drop(pieces);
    assert_eq!(results(Reading::new(response).finish().await).1["total"], 0);
}

/// The same is true of an answer that is streamed to a batch that was read whole.
#[tokio::test]
async fn a_streamed_answer_in_lines_to_a_whole_batch_is_cut_off_alike() {
    let inner = service_fn(async |_: SubRequest| Ok::<_, BoxError>(Response::new(Body::empty())));
    let mut batch = request(common::gets(3));
    batch.headers_mut().insert("accept", NDJSON.parse().unwrap());
    let layer = BatchLayer::new().stream(Streaming::On);
    let answer = Answer::read(soon(layer.layer(inner).oneshot(batch)).await.unwrap()).await;
    assert!(!answer.headers.contains_key("content-length"));
    assert_eq!(statuses(told(answer.text())), [200; 3]);
}
