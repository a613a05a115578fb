//! What a batch says of itself as a whole: `atomic` and `onFailure`.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use axum::response::IntoResponse;
use common::{
    Answer, SubRequest, post,
    recorder::{Go, Log, Recorder},
    request, send, soon,
    stage::Stage,
    ways::{Inner, in_every_way},
};
use http::StatusCode;
use serde_json::{Value, json};
use tower::{BoxError, Layer, service_fn};
use tower_multistatus::{BatchLayer, Order};

/// Answers with the status that the target is, else 200, and writes down that it ran.
fn statuses(log: &Log) -> Inner {
    let log = log.clone();
    Inner::new(service_fn(move |request: SubRequest| {
        let target = request.uri().path().to_owned();
        log.push(format!("run {target}"));
        async move { Ok::<_, BoxError>(target[1..].parse().unwrap_or(StatusCode::OK).into_response()) }
    }))
}

fn gets(targets: &[&str]) -> Value {
    targets.iter().map(|target| json!({"path": target})).collect()
}

fn atomic(recorder: &Recorder) -> BatchLayer {
    BatchLayer::new().with_coordinator(recorder.clone()).allow_atomic()
}

/// A batch that says this of itself, whether before or behind its operations.
async fn say(layer: BatchLayer, members: &str, operations: &Value) -> (Answer, Vec<String>) {
    let log = Log::default();
    let before = format!("{{{members},\"operations\":{operations}}}");
    let behind = format!("{{\"operations\":{operations},{members}}}");
    let before = soon(send(layer.layer(statuses(&log)), request(before))).await;
    let ran = log.take();
    let behind = soon(send(layer.layer(statuses(&log)), request(behind))).await;
    assert_eq!((&before.bytes, &ran), (&behind.bytes, &log.take()), "{members}");
    (before, ran)
}

#[tokio::test]
async fn an_atomic_batch_is_one_group() {
    for (targets, expected, end) in [
        (["/a", "/b", "/c"], [200, 200, 200], ["commit 0", "committed 0"]),
        (["/a", "/404", "/c"], [424, 404, 424], ["rollback 0", "rolled back 0"]),
        (["/302", "/b", "/c"], [302, 424, 424], ["rollback 0", "rolled back 0"]),
    ] {
        for order in [Order::Fenced, Order::Sequential, Order::Unordered] {
            let recorder = Recorder::default();
            let layer = atomic(&recorder).order(order);
            let (answer, ran) = say(layer, "\"atomic\":true", &gets(&targets)).await;
            assert_eq!(answer.statuses(), expected);
            assert_eq!(ran.len(), targets.iter().position(|target| target.len() > 2).map_or(3, |at| at + 1));
            let log = recorder.log.take();
            assert!(log.contains(&end[0].to_owned()) && log.contains(&end[1].to_owned()), "{log:?}");
            assert!(!log.contains(&"begin 2".to_owned()), "one for each of the two batches: {log:?}");
        }
    }
}

#[tokio::test]
async fn the_operations_of_an_atomic_batch_run_one_after_the_other() {
    let recorder = Recorder::default();
    let layer = atomic(&recorder).order(Order::Unordered);
    let document = json!({"atomic": true, "operations": gets(&["/a", "/b"])});
    let mut stage = Stage::new(&layer, document);
    assert_eq!(stage.begin(), ["/a"]);
    stage.answer("/a", 200);
    assert_eq!(stage.begin(), ["/b"]);
    stage.answer("/b", 200);
    assert_eq!(stage.end().await.statuses(), [200, 200]);
}

#[tokio::test]
async fn an_atomic_batch_with_a_refused_operation_does_not_run() {
    let recorder = Recorder::default();
    let batch = json!([
        {"path": "/a", "id": "a"},
        {"path": "nowhere"},
        {"path": "/b", "group": "g"},
        {"path": "/c", "dependsOn": ["d"]},
        {"path": "/d", "id": "d", "dependsOn": ["a"]},
        null,
    ]);
    let (answer, ran) = say(atomic(&recorder), "\"atomic\":true", &batch).await;
    assert_eq!(answer.statuses(), [424, 400, 400, 400, 424, 400]);
    assert_eq!(answer[2]["error"]["pointer"], "/operations/2/group");
    assert!(answer[3]["error"]["detail"].as_str().unwrap().contains("`d` comes later"), "{}", answer[3]);
    assert!(answer[0]["error"]["detail"].as_str().unwrap().contains("refused"));
    assert!(ran.is_empty() && recorder.log.take().is_empty());
}

#[tokio::test]
async fn an_atomic_batch_needs_a_coordinator_and_leave() {
    let batch = gets(&["/a", "/b"]);
    let (answer, ran) = say(BatchLayer::new().allow_atomic(), "\"atomic\":true", &batch).await;
    assert_eq!((answer.statuses(), ran), (vec![501, 501], vec![]), "that all count or none is never pretended");
    assert!(answer[0]["error"]["detail"].as_str().unwrap().contains("no transactions"), "{}", answer[0]);
    let (answer, ran) = say(BatchLayer::new().allow_atomic(), "\"atomic\":true", &gets(&["/a"])).await;
    assert_eq!((answer.statuses(), ran), (vec![200], vec!["run /a".to_owned()]), "of one alone it is always true");

    for layer in [BatchLayer::new(), BatchLayer::new().with_coordinator(Recorder::default())] {
        let (answer, ran) = say(layer.clone(), "\"atomic\":true", &batch).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.detail().contains("does not allow atomic"), "{}", answer.detail());
        assert!(ran.is_empty());
        for said in ["false", "null"] {
            let (answer, _) = say(layer.clone(), &format!("\"atomic\":{said}"), &batch).await;
            assert_eq!(answer.statuses(), [200, 200]);
        }
    }
    // What is an operation's is none of the batch's, and the other way round.
    let batch = json!([{"path": "/a", "atomic": true, "onFailure": "stop"}, {"path": "/b"}]);
    let (answer, _) = say(BatchLayer::new(), "\"group\":\"g\",\"dependsOn\":[\"x\"],\"refs\":1", &batch).await;
    assert_eq!(answer.statuses(), [200, 200]);
}

#[tokio::test]
async fn what_a_batch_says_of_itself_must_have_a_meaning() {
    let everything = || atomic(&Recorder::default()).allow_on_failure();
    for layer in [BatchLayer::new(), everything()] {
        for (members, pointer) in [
            ("\"atomic\":1", "/atomic"),
            ("\"atomic\":\"true\"", "/atomic"),
            ("\"atomic\":[]", "/atomic"),
            ("\"atomic\":{\"$ref\":\"x\"}", "/atomic"),
            ("\"onFailure\":true", "/onFailure"),
            ("\"onFailure\":\"Stop\"", "/onFailure"),
            ("\"onFailure\":\"\"", "/onFailure"),
            ("\"onFailure\":[\"stop\"]", "/onFailure"),
            ("\"onFailure\":\"rollback\"", "/onFailure"),
            ("\"onFailure\":\"\\ud800\"", "/onFailure"),
            ("\"atomic\":false,\"atomic\":false", "/atomic"),
            ("\"onFailure\":null,\"onFailur\\u0065\":null", "/onFailure"),
        ] {
            let (answer, ran) = say(layer.clone(), members, &gets(&["/a"])).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{members}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert_eq!(answer.json["pointer"], pointer, "{members}");
            assert!(ran.is_empty());
        }
    }
}

#[tokio::test]
async fn a_batch_may_say_what_happens_after_a_failure_where_it_is_let() {
    let batch = gets(&["/a", "/404", "/b"]);
    let (goes_on, stops) = (vec![200, 404, 200], vec![200, 404, 424]);
    let sequential = || BatchLayer::new().order(Order::Sequential);
    for (layer, said, expected) in [
        (sequential().allow_on_failure(), "\"stop\"", Some(&stops)),
        (sequential().allow_on_failure(), "\"continue\"", Some(&goes_on)),
        (sequential().allow_on_failure(), "null", Some(&goes_on)),
        (sequential().allow_on_failure().stop_on_failure(), "\"stop\"", Some(&stops)),
        (sequential().allow_on_failure().stop_on_failure(), "\"continue\"", Some(&goes_on)),
        (sequential().allow_on_failure().stop_on_failure(), "null", Some(&stops)),
        // What the server does anyway is no wish.
        (sequential(), "\"continue\"", Some(&goes_on)),
        (sequential(), "\"stop\"", None),
        (sequential(), "null", Some(&goes_on)),
        (sequential(), "\"st\\u006fp\"", None),
        (sequential().stop_on_failure(), "\"stop\"", Some(&stops)),
        (sequential().stop_on_failure(), "\"continue\"", None),
    ] {
        let (answer, ran) = say(layer, &format!("\"onFailure\":{said}"), &batch).await;
        match expected {
            Some(expected) => assert_eq!(answer.statuses(), **expected, "{said}"),
            None => {
                assert_eq!(answer.status, StatusCode::BAD_REQUEST);
                assert!(answer.detail().contains("a batch can't change it"), "{}", answer.detail());
                assert!(ran.is_empty());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn atomic_batches_mean_the_same_in_every_way_of_running() {
    let operations = json!([
        {"method": "POST", "path": "/201", "id": "a"},
        {"path": "/b", "dependsOn": ["a"]},
        {"path": "/c", "refs": {"x": "a@content-type"}, "headers": {"accept": "{x}"}},
    ]);
    for (last, commit, expected) in [
        ("/c", Go::Well, [424, 424, 424]),
        ("/c", Go::Fail, [424, 424, 424]),
        ("/plain", Go::Well, [201, 200, 200]),
        ("/plain", Go::Refuse(StatusCode::CONFLICT), [409, 409, 409]),
        ("/204", Go::Hang, [504, 504, 504]),
    ] {
        let mut operations = operations.clone();
        if last != "/c" {
            operations[2] = json!({"path": last});
        }
        let make = || {
            let recorder = Recorder { commit: commit.clone(), ..Recorder::default() };
            (atomic(&recorder), statuses(&recorder.log))
        };
        let answer = in_every_way(make, &json!({"atomic": true, "operations": operations})).await;
        assert_eq!(answer.statuses(), expected, "{last} {commit:?}");
    }
    let (layer, inner) = (atomic(&Recorder::default()).allow_on_failure(), statuses(&Log::default()));
    let both = json!({"atomic": true, "onFailure": "stop", "operations": gets(&["/a", "/404", "/c"])});
    assert_eq!(soon(post(layer.layer(inner), both)).await.statuses(), [424, 404, 424]);
}
