//! What a hostile reader did to streams of lines.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{convert::Infallible, task::Poll, time::Duration};

use axum::response::IntoResponse;
use common::{
    Body, SubRequest, by_hand,
    lines::{Reading, Write, by_pieces, get_lines, lines, results, statuses, stream_for, stream_of},
    post, soon,
};
use http::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{task::yield_now, time::sleep};
use tokio_test::task;
use tower::{Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Order, Streaming};

const SECOND: Duration = Duration::from_secs(1);

async fn nothing(_: SubRequest) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::empty()))
}

/// A client that pauses found operations timed out that had ended in their tasks long ago, and what their results had taken
/// was never given back.
#[tokio::test(start_paused = true)]
async fn what_has_ended_while_nobody_read_has_not_timed_out() {
    let inner = service_fn(async |_: SubRequest| {
        sleep(SECOND).await;
        Ok::<_, Infallible>("1234567890".into_response())
    });
    let layer = BatchLayer::new()
        .spawn()
        .order(Order::Unordered)
        .concurrency(100)
        .operation_timeout(2 * SECOND)
        .max_in_flight_bytes(3500);
    let (pieces, body) = by_pieces();
    let response = layer.layer(inner).oneshot(stream_of(body)).await.unwrap();
    pieces.write(get_lines(100));
    let mut body = response.into_body();
    assert!(task::spawn(body.frame()).poll().is_pending());
    let mut reading = body;
    // All begin, and all end while nobody looks.
    for _ in 0..10 {
        assert!(task::spawn(reading.frame()).poll().is_pending());
        yield_now().await;
    }
    sleep(10 * SECOND).await;
    // If room were lost, these would run one by one, and take longer than the test waits.
    pieces.write(get_lines(1000));
    drop(pieces);
    let mut text = String::new();
    while let Some(frame) = soon(reading.frame()).await {
        text += std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap();
    }
    assert_eq!(text.matches("\"status\":200").count(), 1100);
    assert!(text.ends_with("{\"summary\":{\"total\":1100,\"succeeded\":1100,\"failed\":0}}\n"));
}

/// Room was asked for the longest line that there may be, which there never was.
#[tokio::test(start_paused = true)]
async fn long_lines_may_be_allowed_without_making_short_ones_wait() {
    for layer in [BatchLayer::new().max_line_bytes(8 << 20), BatchLayer::new().max_in_flight_bytes(1000)] {
        let (inner, mut calls) = by_hand();
        let response = layer.layer(inner).oneshot(stream_of(get_lines(30))).await.unwrap();
        let mut reading = Reading::new(response);
        assert!(reading.read_on().is_empty());
        assert_eq!(calls.begun().len(), 16);
    }
}

#[tokio::test]
async fn dependencies_have_a_limit_of_their_own() {
    let ids = |count: usize| json!({"path": "/", "dependsOn": vec!["a"; count]});
    let batch = lines([json!({"id": "a", "path": "/"}), ids(100), ids(101), json!({"path": "/", "dependsOn": ["a"]})]);
    for layer in [BatchLayer::new(), BatchLayer::new().max_operations(1)] {
        let response = layer.layer(service_fn(nothing)).oneshot(stream_of(batch.clone())).await.unwrap();
        let (mut results, _) = results(Reading::new(response).finish().await);
        results.sort_by_key(|result| result["index"].as_u64());
        let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [200, 200, 400, 200]);
        assert_eq!(results[2]["error"]["detail"], "an operation may depend on 100 others at most");
    }
}

/// Each of them has to be looked for among the others.
#[tokio::test]
async fn members_that_mean_nothing_are_passed_over_as_long_as_they_are_few() {
    let operation = |members: usize| {
        let mut operation: serde_json::Map<String, Value> = (0..members).map(|n| (format!("x{n}"), json!(n))).collect();
        operation.insert("path".into(), json!("/"));
        Value::from(operation)
    };
    let batch = json!([operation(256), operation(257), operation(50_000)]);
    let answer = post(BatchLayer::new().layer(service_fn(nothing)), batch.clone()).await;
    assert_eq!(answer.statuses(), [200, 400, 400]);
    assert!(answer[1]["error"]["detail"].as_str().unwrap().contains("more than 256 members"));
    let response = BatchLayer::new()
        .layer(service_fn(nothing))
        .oneshot(stream_of(lines(batch.as_array().unwrap())))
        .await
        .unwrap();
    assert_eq!(statuses(Reading::new(response).finish().await), [200, 400, 400]);
}

/// Whoever keeps a piece keeps no more than that.
#[tokio::test]
async fn a_large_result_is_sent_in_small_pieces() {
    const SIZE: usize = 900_000;
    let inner = service_fn(async |_: SubRequest| {
        Ok::<_, Infallible>(([("content-type", "text/plain")], vec![1u8; SIZE]).into_response())
    });
    for accept in ["application/x-ndjson", "application/json"] {
        for layer in [BatchLayer::new(), BatchLayer::new().spawn_streams(), BatchLayer::new().stream(Streaming::On)] {
            let response = layer.layer(inner).oneshot(stream_for(accept, get_lines(2))).await.unwrap();
            let (mut body, mut bytes) = (response.into_body(), 0);
            while let Some(frame) = soon(body.frame()).await {
                let piece = frame.unwrap().into_data().unwrap();
                assert!((1..=64 << 10).contains(&piece.len()), "{}", piece.len());
                bytes += piece.len();
                // A slice would keep all that it is a part of.
                let whole = piece.try_into_mut().expect("nobody else has it").capacity();
                assert!(whole <= 128 << 10, "{whole}");
            }
            // Each byte is `\u0001`.
            assert!(bytes > 2 * SIZE * 6, "{bytes}");
        }
    }
}

/// Long lines of nothing but work took the executor away from all others.
#[tokio::test]
async fn no_more_is_read_in_one_turn_than_some_long_lines() {
    let ids = format!("{{\"path\":\"/\",\"dependsOn\":[{}]}}\n", vec!["\"a\""; 100_000].join(","));
    let too_long = format!("{}\n", "x".repeat(1_100_000));
    let blank = format!("{}\n", " ".repeat(1_000_000));
    for (line, status) in [(ids, "\"status\":400"), (too_long, "\"status\":413"), (blank, "\"status\":")] {
        no_more_than_some(&line, status).await;
    }
}

async fn no_more_than_some(line: &str, status: &str) {
    let (pieces, body) = by_pieces();
    let response = BatchLayer::new().layer(service_fn(nothing)).oneshot(stream_of(body)).await.unwrap();
    pieces.write(line.repeat(20));
    drop(pieces);
    let mut body = response.into_body();
    let (mut turns, mut text) = (0, String::new());
    loop {
        let mut next = task::spawn(body.frame());
        match next.poll() {
            Poll::Ready(Some(piece)) => text += std::str::from_utf8(&piece.unwrap().into_data().unwrap()).unwrap(),
            Poll::Ready(None) => break,
            Poll::Pending => {
                assert!(next.is_woken());
                turns += 1;
            }
        }
    }
    // Twice in each result; and a blank line has none.
    assert_eq!(text.matches(status).count(), if line.starts_with(' ') { 0 } else { 2 * 20 });
    assert!(turns >= 10, "{turns}: {}", &line[..10]);
}
