//! Time in a stream of lines: it may go on for as long as something happens, and no longer.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{future::pending, time::Duration};

use common::{
    Body, SubRequest, by_hand, get,
    lines::{Pieces, Reading, Write, by_pieces, lines, results, statuses, stream_of, told},
    ways::Inner,
};
use http::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Order};

const SECOND: Duration = Duration::from_secs(1);

/// Waits as long as the last part of the target says, in seconds.
fn patient() -> Inner {
    Inner::new(service_fn(async |request: SubRequest| {
        match request.uri().path().rsplit('/').next().unwrap() {
            "forever" => pending().await,
            seconds => sleep(SECOND * seconds.parse()?).await,
        }
        Ok::<_, BoxError>(Response::new(Body::empty()))
    }))
}

async fn begin(layer: &BatchLayer) -> (Pieces, Reading) {
    let (pieces, body) = by_pieces();
    (pieces, Reading::new(layer.layer(patient()).oneshot(stream_of(body)).await.unwrap()))
}

fn wait(seconds: impl std::fmt::Display) -> Value {
    json!({"path": format!("/{seconds}")})
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_which_nothing_comes_is_ended() {
    for (layer, seconds) in [(BatchLayer::new(), 60), (BatchLayer::new().idle_timeout(7 * SECOND), 7)] {
        for first in ["", "\n", "{\"path\":\"/0\"}\n", "{\"path\""] {
            let start = Instant::now();
            let (pieces, reading) = begin(&layer).await;
            pieces.write(first);
            let (results, _) = results(reading.finish().await);
            assert_eq!(start.elapsed(), SECOND * seconds);
            let last = results.last().unwrap();
            assert_eq!((&last["status"], last.get("id")), (&json!(408), None));
            assert!(results.len() == 1 || results[0]["status"] == 200);
            assert!(pieces.is_closed(), "the rest of the batch is still waited for");
        }
    }
}

/// The batch's own time is for batches with an end.
#[tokio::test(start_paused = true)]
async fn a_stream_may_take_as_long_as_lines_come() {
    for line in ["{\"path\":\"/0\"}\n", "\n", "\r\n", "7\n"] {
        let layer = BatchLayer::new().idle_timeout(6 * SECOND).batch_timeout(10 * SECOND);
        let start = Instant::now();
        let (pieces, reading) = begin(&layer).await;
        let reading = tokio::spawn(reading.finish());
        for _ in 0..20 {
            sleep(5 * SECOND).await;
            pieces.write(line);
        }
        drop(pieces);
        let statuses = statuses(reading.await.unwrap());
        assert!(statuses.iter().all(|status| [200, 400].contains(status)), "{statuses:?}");
        assert_eq!(statuses.len(), if line.trim().is_empty() { 0 } else { 20 });
        assert_eq!(start.elapsed(), SECOND * 5 * 20);
    }
}

/// A client that sends a byte now and then holds no more than its place.
#[tokio::test(start_paused = true)]
async fn half_a_line_is_nothing_that_happens() {
    let (pieces, reading) = begin(&BatchLayer::new()).await;
    let start = Instant::now();
    let trickling = tokio::spawn(async move {
        while !pieces.is_closed() {
            pieces.write(" ");
            sleep(SECOND).await;
        }
    });
    assert_eq!(statuses(reading.finish().await), [408]);
    assert_eq!(start.elapsed(), 60 * SECOND);
    trickling.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_take_as_long_as_operations_end() {
    let layer = BatchLayer::new().order(Order::Sequential);
    let start = Instant::now();
    let (pieces, reading) = begin(&layer).await;
    pieces.write(lines((0..20).map(|_| wait(29))));
    assert_eq!(statuses(reading.finish().await)[..], [vec![200; 20], vec![408]].concat());
    assert_eq!(start.elapsed(), SECOND * 29 * 20 + 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_never_ends_has_its_own_time_and_the_stream_goes_on() {
    let start = Instant::now();
    let (pieces, mut reading) = begin(&BatchLayer::new().operation_timeout(5 * SECOND)).await;
    pieces.write(lines([wait("forever"), wait(1)]));
    assert_eq!(reading.line().await["index"], 1);
    assert_eq!(reading.line().await["status"], 504);
    assert_eq!(start.elapsed(), 5 * SECOND);
    pieces.line(json!({"method": "PUT", "path": "/2"}));
    assert_eq!(reading.line().await, json!({"index": 2, "status": 200}));
    drop(pieces);
    assert_eq!(statuses(reading.finish().await), [504, 200, 200]);
}

/// The time of the one that hangs is over at the same moment; that is its end, and not that of the stream.
#[tokio::test(start_paused = true)]
async fn the_end_of_an_operation_is_something_that_happens() {
    for layer in [BatchLayer::new(), BatchLayer::new().spawn()] {
        let start = Instant::now();
        let (pieces, mut reading) = begin(&layer.operation_timeout(60 * SECOND)).await;
        pieces.line(wait("forever"));
        assert_eq!(reading.line().await["status"], 504);
        assert_eq!(start.elapsed(), 60 * SECOND);
        pieces.line(wait(1));
        assert_eq!(reading.line().await, json!({"index": 1, "status": 200}));
        assert_eq!(reading.line().await["status"], 408);
        assert_eq!(start.elapsed(), 121 * SECOND);
    }
}

/// Whatever they are: at work, behind a fence, or behind what they depend on.
#[tokio::test(start_paused = true)]
async fn when_nothing_happens_all_that_is_left_is_ended() {
    let layer = BatchLayer::new().operation_timeout(1000 * SECOND).idle_timeout(60 * SECOND);
    for (ends, spawned) in [(false, false), (true, false), (false, true), (true, true)] {
        let layer = if spawned { layer.clone().spawn() } else { layer.clone() };
        let start = Instant::now();
        let (pieces, reading) = begin(&layer).await;
        pieces.write(lines([
            json!({"id": "a", "path": "/forever"}),
            json!({"path": "/10"}),
            json!({"path": "/0", "dependsOn": ["a"]}),
        ]));
        let expected: &[u64] = if ends {
            drop(pieces);
            &[504, 200, 504]
        } else {
            // Behind this one nothing has been looked at, so nobody knows whether there is more.
            pieces.write(lines([json!({"method": "PUT", "path": "/0"}), wait(0)]));
            &[504, 200, 504, 504, 408]
        };
        let (results, _) = results(reading.finish().await);
        assert!(results[0]["error"]["detail"].as_str().unwrap().contains("may have been carried out"));
        let not_begun = results[2..].iter().filter(|result| result["status"] == 504);
        for result in not_begun {
            assert!(result["error"]["detail"].as_str().unwrap().contains("not carried out"), "{result}");
        }
        let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, expected);
        assert_eq!(start.elapsed(), 70 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_blank_lines() {
    let layer = BatchLayer::new().keep_alive(10 * SECOND);
    let (pieces, mut reading) = begin(&layer).await;
    let start = Instant::now();
    let mut told = Vec::new();
    pieces.line(wait(25));
    for _ in 0..3 {
        told.push((reading.piece().await.unwrap(), start.elapsed().as_secs()));
    }
    pieces.line(wait(0));
    told.push((reading.piece().await.unwrap(), start.elapsed().as_secs()));
    // They are nothing that happens.
    while let Some(piece) = reading.piece().await {
        told.push((piece, start.elapsed().as_secs()));
    }
    let result = |index| format!("{{\"index\":{index},\"status\":200}}\n");
    let expected = [
        (10, "\n"),
        (20, "\n"),
        (25, &result(0)),
        (25, &result(1)),
        (35, "\n"),
        (45, "\n"),
        (55, "\n"),
        (65, "\n"),
        (75, "\n"),
    ];
    for (told, (seconds, text)) in told.iter().zip(expected) {
        assert_eq!(told, &(text.to_owned(), seconds));
    }
    let (last, seconds) = told.last().unwrap();
    assert!(last.contains("408") && *seconds == 85, "{told:?}");
}

/// While nobody reads, nothing can happen.
#[tokio::test(start_paused = true)]
async fn a_pause_of_the_reader_does_not_count() {
    for seconds in [1, 59, 61, 10_000] {
        let (pieces, mut reading) = begin(&BatchLayer::new()).await;
        for index in 0..5 {
            pieces.line(wait(0));
            assert_eq!(reading.line().await, json!({"index": index, "status": 200}));
            sleep(SECOND * seconds).await;
        }
        // From when it reads again it is as long as ever.
        let start = Instant::now();
        assert_eq!(reading.line().await["status"], 408);
        assert_eq!(start.elapsed(), 60 * SECOND, "{seconds}");
    }
}

/// What has long ended, or come, is seen before it is said to be late.
#[tokio::test(start_paused = true)]
async fn what_happened_in_a_pause_of_the_reader_is_not_late() {
    let ((pieces, body), (inner, mut calls)) = (by_pieces(), by_hand());
    let layer = BatchLayer::new().operation_timeout(5 * SECOND);
    let mut reading = Reading::new(layer.layer(inner).oneshot(stream_of(body)).await.unwrap());
    pieces.write(lines([get("/a"), get("/b")].map(|request| json!({"path": request.uri().path()}))));
    assert!(reading.read_on().is_empty());
    let [one, other] = [calls.next().await, calls.next().await];
    one.answer(200);
    reading.piece().await.unwrap();
    sleep(SECOND).await;
    other.answer(204);
    pieces.line(json!({"path": "/c"}));
    sleep(1000 * SECOND).await;
    let told = told(&reading.piece().await.unwrap());
    assert_eq!(told, [json!({"index": 1, "status": 204})]);
    assert!(reading.read_on().is_empty());
    calls.next().await.answer(200);
    drop(pieces);
    assert_eq!(statuses(reading.finish().await), [200, 204, 200]);
}

/// Answers in other formats end alike.
#[tokio::test(start_paused = true)]
async fn an_answer_in_another_format_is_ended_too() {
    for accept in &["application/json", "application/xml"][..1 + usize::from(cfg!(feature = "xml"))] {
        let (_pieces, body) = by_pieces();
        let batch = common::lines::stream_for(accept, body);
        let body = BatchLayer::new().layer(patient()).oneshot(batch).await.unwrap().into_body();
        let start = Instant::now();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
        assert_eq!(start.elapsed(), 60 * SECOND);
        assert!(text.contains("408") && text.ends_with(['}', '>']), "{text}");
    }
}

/// Without it, an operation that takes all of its time would end its stream.
#[tokio::test(start_paused = true)]
async fn an_operation_may_take_longer_than_a_stream_may_stand_still() {
    let layer = BatchLayer::new().operation_timeout(90 * SECOND);
    let (pieces, reading) = begin(&layer).await;
    pieces.write(lines([json!({"path": "/80"}), json!({"path": "/forever"})]));
    drop(pieces);
    let (results, _) = results(reading.finish().await);
    assert_eq!(results.iter().map(|result| result["status"].as_u64().unwrap()).collect::<Vec<_>>(), [200, 504]);
}
