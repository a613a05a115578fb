//! What bounds a stream of lines, which has no end of its own: lines, results, what is held of both, and time.

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

use axum::response::IntoResponse;
use bytes::Bytes;
use common::{
    Body, Calls, SubRequest, by_hand,
    lines::{Pieces, Reading, Write, by_pieces, get_lines, in_pieces, lines, results, statuses, stream_for, stream_of},
    send,
};
use futures_util::{StreamExt, stream};
use http::Response;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Order};

const SECOND: Duration = Duration::from_secs(1);

/// Answers with as many bytes as the last part of the target says.
async fn of_size(request: SubRequest) -> Result<Response<Body>, Infallible> {
    let size = request.uri().path().rsplit('/').next().unwrap().parse().unwrap();
    Ok(Response::new(Body::from(vec![b'x'; size])))
}

/// Waits as long as the last part of the target says, in seconds.
async fn patient(request: SubRequest) -> Result<Response<Body>, Infallible> {
    sleep(SECOND * request.uri().path().rsplit('/').next().unwrap().parse().unwrap()).await;
    Ok(Response::new(Body::empty()))
}

/// The statuses of all lines in this body.
async fn statuses_of(layer: &BatchLayer, body: impl Into<Body>) -> Vec<u64> {
    let response = layer.layer(service_fn(of_size)).oneshot(stream_of(body)).await.unwrap();
    statuses(Reading::new(response).finish().await)
}

/// A stream whose lines and outcomes the test gives.
async fn by_both_hands(layer: &BatchLayer) -> (Pieces, Reading, Calls) {
    let ((pieces, body), (inner, calls)) = (by_pieces(), by_hand());
    (pieces, Reading::new(layer.layer(inner).oneshot(stream_of(body)).await.unwrap()), calls)
}

#[tokio::test]
async fn a_line_has_its_limit_and_the_stream_goes_on() {
    let line = |padding: usize| format!(r#"{{"path":"/0"{}}}"#, " ".repeat(padding));
    let limit = line(0).len() + 100;
    let layer = BatchLayer::new().max_line_bytes(limit);
    for end in ["\n", ""] {
        // Of the last one the end is missing, in turn.
        let fits = format!("{}\n{}{end}", line(101), line(100));
        let too_long = format!("{}\n{}{end}", line(100), line(101));
        for cut in [1, 7, limit - 1, limit, limit + 1, 1 << 20] {
            let frames = |text: &str| {
                let frames: Vec<_> =
                    text.as_bytes().chunks(cut).map(|frame| (0, Bytes::copy_from_slice(frame))).collect();
                in_pieces(frames)
            };
            assert_eq!(statuses_of(&layer, frames(&fits)).await, [413, 200], "{cut} {end:?}");
            assert_eq!(statuses_of(&layer, frames(&too_long)).await, [200, 413], "{cut} {end:?}");
        }
    }
    // By default it is 1 MiB.
    let long = |bytes: usize| format!("{}\n", line(bytes - line(0).len()));
    let text = long(1 << 20) + &long((1 << 20) + 1) + &long(40);
    assert_eq!(statuses_of(&BatchLayer::new(), text).await, [200, 413, 200]);
}

#[tokio::test]
async fn the_rest_of_a_line_that_is_too_long_is_no_operation() {
    let layer = BatchLayer::new().max_line_bytes(40);
    let hidden = format!("{}{}\n{}", "x".repeat(50), r#"{"path":"/0"}"#, get_lines(1));
    assert_eq!(statuses_of(&layer, hidden.clone()).await, [413, 200]);
    let frames = ["xxxx".repeat(11), r#"{"path":"/0"}"#.to_owned(), format!("\n{}", get_lines(1))];
    let frames = frames.map(|frame| (0, frame.into())).to_vec();
    assert_eq!(statuses_of(&layer, in_pieces(frames)).await, [413, 200]);
}

#[tokio::test]
async fn a_result_has_its_limit_and_the_stream_goes_on() {
    let sizes = |sizes: &[usize]| lines(sizes.iter().map(|size| json!({"path": format!("/{size}")})));
    let layer = BatchLayer::new().max_result_bytes(1000);
    assert_eq!(statuses_of(&layer, sizes(&[1000, 1001, 0, 5000, 999])).await, [200, 507, 200, 507, 200]);
    let mebibyte = 1 << 20;
    assert_eq!(statuses_of(&BatchLayer::new(), sizes(&[mebibyte, mebibyte + 1, 1])).await, [200, 507, 200]);
    // In whatever pieces it comes.
    let inner = service_fn(async |request: SubRequest| {
        let pieces = request.uri().path()[1..].parse().unwrap();
        let pieces = vec![Ok::<_, Infallible>(vec![b'x'; 400]); pieces];
        Ok::<_, Infallible>(Response::new(Body::from_stream(stream::iter(pieces))))
    });
    let response = layer.layer(inner).oneshot(stream_of(sizes(&[2, 3, 1]))).await.unwrap();
    assert_eq!(statuses(Reading::new(response).finish().await), [200, 507, 200]);
    // What bounds a batch as a whole doesn't bound a stream.
    let layer = BatchLayer::new().max_operations(1).max_request_bytes(10).max_response_bytes(10);
    assert_eq!(statuses_of(&layer, sizes(&[100; 50])).await, [200; 50]);
}

#[tokio::test]
async fn a_stream_ends_at_the_first_line_too_many() {
    let layer = BatchLayer::new().max_stream_operations(3);
    assert_eq!(statuses_of(&layer, get_lines(3) + "\n\r\n").await, [200; 3]);
    // Blank ones don't count.
    assert_eq!(statuses_of(&layer, "\n\n\n\n".to_owned() + &get_lines(3)).await, [200; 3]);
    assert_eq!(statuses_of(&layer, get_lines(9)).await, [200, 200, 200, 413]);
    assert_eq!(statuses_of(&layer, get_lines(3) + "no JSON").await, [200, 200, 200, 413]);
    assert_eq!(statuses_of(&BatchLayer::new().max_stream_operations(0), get_lines(1)).await, [413]);
    // Whatever comes after it isn't waited for.
    let (pieces, mut reading, _calls) = by_both_hands(&BatchLayer::new().max_stream_operations(0)).await;
    pieces.write("{}\n");
    assert_eq!(reading.read_on().len(), 2);
    assert!(reading.has_ended() && pieces.is_closed());
}

/// That says of it what it is.
#[tokio::test]
async fn a_stream_that_breaks_off_behind_its_last_line_has_not_too_many() {
    let layer = BatchLayer::new().max_stream_operations(3);
    let frames = [Ok(get_lines(3)), Err("gone")];
    assert_eq!(statuses_of(&layer, Body::from_stream(stream::iter(frames))).await, [200, 200, 200, 400]);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_begun_than_the_window_has_room_for() {
    for order in [Order::Unordered, Order::Fenced] {
        let layer = BatchLayer::new().stream_window(5).concurrency(100).order(order);
        let (pieces, mut reading, mut calls) = by_both_hands(&layer).await;
        pieces.write(get_lines(20));
        assert_eq!(reading.read_on(), [] as [Value; 0]);
        let mut begun = calls.begun();
        assert_eq!(
            begun.iter().map(|call| call.target().to_owned()).collect::<Vec<_>>(),
            ["/0", "/1", "/2", "/3", "/4"]
        );
        // Those that overtake the oldest make no room; only its own end does.
        begun.drain(1..).for_each(|call| call.answer(200));
        assert_eq!(reading.read_on().len(), 4);
        assert!(calls.begun().is_empty());
        begun.remove(0).answer(200);
        assert_eq!(reading.read_on().len(), 1);
        assert_eq!(calls.begun().len(), 5);
    }
}

#[tokio::test]
async fn ids_are_unique_and_known_within_the_window() {
    let layer = BatchLayer::new().stream_window(3).order(Order::Unordered);
    let with_id = json!({"id": "a", "path": "/0"});
    let after = json!({"path": "/0", "dependsOn": ["a"]});
    for (between, expected) in [(0, 400), (1, 400), (2, 400), (3, 200), (4, 200)] {
        let text = lines([&with_id]) + &get_lines(between) + &lines([&with_id]);
        let response = layer.layer(service_fn(of_size)).oneshot(stream_of(text)).await.unwrap();
        let (results, _) = results(Reading::new(response).finish().await);
        let last = results.last().unwrap();
        assert_eq!(last["status"], expected, "{between}");
        // Who goes by ids must not take it for the other one.
        assert_eq!(last.get("id").is_some(), expected == 200);
        let text = lines([&with_id]) + &get_lines(between) + &lines([&after]);
        let expected = if between < 3 { 200 } else { 400 };
        assert_eq!(*statuses_of(&layer, text).await.last().unwrap(), expected, "{between}");
    }
    // One that was refused for its id leaves the other one its name, and the room for it.
    let text = lines([&with_id, &with_id]) + &get_lines(2) + &lines([&with_id]);
    assert_eq!(statuses_of(&layer, text).await, [200, 400, 200, 200, 200]);
    // Nothing comes after itself, or after what is still to come.
    let own = json!({"id": "b", "path": "/0", "dependsOn": ["b"]});
    assert_eq!(statuses_of(&layer, lines([&own, &after, &with_id])).await, [400, 400, 200]);
}

#[tokio::test(start_paused = true)]
async fn what_depends_on_one_that_is_as_far_back_as_can_be_waits_for_it() {
    let layer = BatchLayer::new().stream_window(2).order(Order::Unordered);
    for (status, expected) in [(200, 200), (409, 424)] {
        let (pieces, mut reading, mut calls) = by_both_hands(&layer).await;
        pieces.line(json!({"id": "a", "path": "/a"}));
        pieces.line(json!({"path": "/b", "dependsOn": ["a"]}));
        pieces.line(json!({"path": "/c", "dependsOn": ["a"]}));
        assert!(reading.read_on().is_empty());
        assert_eq!(calls.begun().len(), 1);
        drop(pieces);
        // The last one comes only when there is room for it, and then its dependency has long ended.
        drop(reading);
        let (pieces, reading, mut calls) = by_both_hands(&layer).await;
        pieces.line(json!({"id": "a", "path": "/a"}));
        pieces.line(json!({"path": "/b"}));
        pieces.line(json!({"path": "/c", "dependsOn": ["a"]}));
        drop(pieces);
        let finished = tokio::spawn(reading.finish());
        for _ in 0..2 {
            let call = calls.next().await;
            let status = if call.target() == "/a" { status } else { 200 };
            call.answer(status);
        }
        if expected == 200 {
            calls.next().await.answer(200);
        }
        assert_eq!(statuses(finished.await.unwrap()), [u64::from(status), 200, expected]);
    }
}

/// Of lines and results together there is only so much at once, and one line more.
#[tokio::test(start_paused = true)]
async fn what_is_held_is_bounded_and_given_back() {
    let layer = BatchLayer::new().max_in_flight_bytes(10_000).max_line_bytes(1000).concurrency(1000);
    let (pieces, mut reading, mut calls) = by_both_hands(&layer).await;
    let line = format!("{:500}\n", r#"{"path":"/a"}"#);
    pieces.write(line.repeat(1000));
    assert!(reading.read_on().is_empty());
    let mut begun = calls.begun();
    assert_eq!(begun.len(), 10_000 / 500);
    // For as long as anybody likes.
    for _ in 0..50 {
        begun.pop().unwrap().answer_with(Body::from(vec![b'x'; 700]).into_response());
        assert_eq!(reading.read_on().len(), 1);
        begun.extend(calls.begun());
        assert_eq!(begun.len(), 10_000 / 500);
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_are_given_back_whatever_becomes_of_an_operation() {
    // Room for one line, and no more than a little at a time.
    let layer = BatchLayer::new().max_in_flight_bytes(3000).max_line_bytes(1000).max_result_bytes(900);
    let layer = layer.operation_timeout(SECOND);
    let inner = service_fn(async |request: SubRequest| {
        let body = vec![b'x'; 600];
        match request.uri().path() {
            "/error" => return Err("as it was told"),
            "/panic" => panic!("as it was told"),
            "/hangs" => std::future::pending().await,
            "/large" => return Ok(Response::new(Body::from_stream(stream::iter(vec![Ok::<_, Infallible>(body); 3])))),
            "/broken" => {
                let pieces = [Ok(Bytes::from(body)), Err("as it was told")];
                return Ok(Response::new(Body::from_stream(stream::iter(pieces))));
            }
            "/stuck" => {
                let pieces = stream::iter([Ok::<_, Infallible>(body)]).chain(stream::pending());
                return Ok(Response::new(Body::from_stream(pieces)));
            }
            _ => {}
        }
        Ok(Response::new(Body::from(body)))
    });
    for spawned in [false, true] {
        let layer = if spawned { layer.clone().spawn() } else { layer.clone() };
        let line = |path: &str| format!("{:700}\n", json!({"path": path}).to_string());
        let kinds = ["/error", "/panic", "/hangs", "/large", "/broken", "/stuck", "//refused", "/good"];
        let text: String = (0..40).flat_map(|_| kinds).map(line).collect::<String>() + &"x".repeat(5000) + "\n";
        // Nothing that was lost on the way keeps the last ones from beginning side by side.
        let (pieces, body) = by_pieces();
        pieces.write(text);
        let layer = layer.layer(inner);
        let response = layer.oneshot(stream_of(body)).await.unwrap();
        let mut reading = Reading::new(response);
        let mut told = Vec::new();
        while told.len() < 40 * kinds.len() + 1 {
            told.push(reading.line().await);
        }
        let start = Instant::now();
        pieces.write(line("/hangs").repeat(3));
        for _ in 0..3 {
            assert_eq!(reading.line().await["status"], 504);
        }
        assert_eq!(start.elapsed(), SECOND, "spawned: {spawned}");
    }
}

/// As much as there is room for is read ahead, but no line has to wait for ever.
#[tokio::test]
async fn a_line_that_is_larger_than_all_the_room_comes_alone() {
    let layer = BatchLayer::new().max_in_flight_bytes(1);
    assert_eq!(statuses_of(&layer, get_lines(20)).await, [200; 20]);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let inner = {
        let most = Arc::clone(&most);
        service_fn(move |_: SubRequest| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Relaxed) + 1, Relaxed);
                tokio::task::yield_now().await;
                running.fetch_sub(1, Relaxed);
                Ok::<_, Infallible>(Response::new(Body::from("xx")))
            }
        })
    };
    for accept in ["application/x-ndjson", "application/json"] {
        let answer = send(layer.layer(inner.clone()), stream_for(accept, get_lines(20))).await;
        assert_eq!(answer.text().matches("\"status\":200").count(), 20);
    }
    assert_eq!(most.load(Relaxed), 1);
}

#[test]
fn memory_does_not_grow_with_the_stream() {
    let peak = |operations: usize| {
        let line = Bytes::from(format!("{:500}\n", r#"{"path":"/a","method":"PUT"}"#));
        let body = Body::from_stream(stream::iter(0..operations).map(move |_| Ok::<_, Infallible>(line.clone())));
        let inner = service_fn(async |_: SubRequest| Ok::<_, Infallible>(Response::new(Body::from(vec![b'x'; 500]))));
        let info = allocation_counter::measure(|| {
            let batch = async {
                let mut body = BatchLayer::new().layer(inner).oneshot(stream_of(body)).await.unwrap().into_body();
                while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
                    drop(frame);
                }
            };
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(batch);
        });
        info.bytes_max
    };
    let (few, many) = (peak(2000), peak(20_000));
    assert!(many < few + (16 << 10), "{few} {many}");
}

#[tokio::test(start_paused = true)]
async fn an_operation_has_its_time_and_the_stream_goes_on() {
    let layer = BatchLayer::new().operation_timeout(5 * SECOND);
    let text = lines([4, 6, 1].map(|seconds| json!({"path": format!("/{seconds}"), "method": "PUT"})));
    let start = Instant::now();
    let response = layer.layer(service_fn(patient)).oneshot(stream_of(text)).await.unwrap();
    assert_eq!(statuses(Reading::new(response).finish().await), [200, 504, 200]);
    assert_eq!(start.elapsed(), 10 * SECOND);
}
