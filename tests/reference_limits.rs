//! When references have their values, and how much these may bring in.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::sync::{Arc, Mutex};

use axum::response::IntoResponse;
use common::{
    Answer, Body, SubRequest, post, soon,
    stage::Stage,
    ways::{Inner, in_every_way},
};
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::{BoxError, Layer, service_fn};
use tower_multistatus::{BatchLayer, Order};

fn json_response(value: &Value) -> Response<Body> {
    Response::builder().header("content-type", "application/json").body(Body::from(value.to_string())).unwrap()
}

/// Answers a request for `/value/x` with `x` as JSON, or with as many as it says, and any other with its target, its
/// body and the values of its `prefer`.
fn world() -> Inner {
    Inner::new(service_fn(|request: SubRequest| async move {
        let (head, body) = request.into_parts();
        let target = head.uri.to_string();
        Ok::<_, BoxError>(match target.split('/').collect::<Vec<_>>()[1..] {
            ["value", text] => json_response(&json!(text)),
            ["long", length] => json_response(&json!("x".repeat(length.parse()?))),
            ["deep", depth] => {
                let depth = depth.parse()?;
                json_response(&serde_json::from_str(&("[".repeat(depth) + &"]".repeat(depth)))?)
            }
            ["status", status] => status.parse::<StatusCode>()?.into_response(),
            _ => {
                let body = String::from_utf8(body.collect().await?.to_bytes().into())?;
                let prefer: Vec<_> =
                    head.headers.get_all("prefer").iter().map(|value| value.to_str().unwrap()).collect();
                json_response(&json!({"target": target, "body": body, "prefer": prefer}))
            }
        })
    }))
}

async fn answer(layer: BatchLayer, operations: Value) -> Answer {
    soon(post(layer.layer(world()), operations)).await
}

fn detail(result: &Value) -> &str {
    result["error"]["detail"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_reference_is_a_dependency() {
    let operations = json!([
        {"method": "POST", "path": "/a/{x}{y}", "refs": {"x": "b#/id", "y": "c@etag"}},
        {"method": "POST", "path": "/b", "id": "b"},
        {"method": "POST", "path": "/c", "id": "c"},
        {"method": "POST", "path": "/d", "refs": {"unused": "b#"}},
        {"method": "POST", "path": "/e"},
    ]);
    let mut stage = Stage::new(&BatchLayer::new().order(Order::Unordered), operations);
    assert_eq!(stage.begin(), ["/b", "/c", "/e"]);
    stage.call("/b").answer_with(json_response(&json!({"id": 1})));
    assert_eq!(stage.begin(), ["/d"]);
    stage.call("/c").answer_with(Response::builder().header("etag", "2").body(Body::empty()).unwrap());
    assert_eq!(stage.begin(), ["/a/12"]);
    for target in ["/a/12", "/d", "/e"] {
        stage.answer(target, 200);
    }
    assert_eq!(stage.end().await.statuses(), [200; 5]);
}

#[tokio::test]
async fn what_a_dependency_can_not_be_a_reference_can_not_be() {
    for order in [Order::Fenced, Order::Sequential] {
        let operations = json!([
            {"path": "/{x}", "refs": {"x": "b#"}},
            {"method": "POST", "path": "/value/b", "id": "b"},
            {"path": "/", "refs": {"x": "c#", "y": "b#"}, "id": "c"},
        ]);
        let answer = answer(BatchLayer::new().order(order), operations).await;
        assert_eq!(answer.statuses(), [400, 200, 400]);
        assert!(detail(&answer[0]).contains("`b` comes later"));
        assert_eq!(answer[0]["error"]["pointer"], "/0/refs/x");
        assert!(detail(&answer[2]).contains("itself"));
    }
    let circle = json!([
        {"path": "/{x}", "refs": {"x": "b#"}, "id": "a"},
        {"path": "/", "dependsOn": ["a"], "id": "b"},
    ]);
    let answer = answer(BatchLayer::new(), circle).await;
    assert_eq!(answer.statuses(), [400, 400]);
    assert_eq!([&answer[0]["error"]["pointer"], &answer[1]["error"]["pointer"]], ["/0/refs/x", "/1/dependsOn/0"]);
}

#[tokio::test]
async fn a_reference_to_what_did_not_succeed_is_a_failed_dependency() {
    for status in [302, 304, 404, 500] {
        let operations = json!([
            {"path": format!("/status/{status}"), "id": "a"},
            {"path": "/", "refs": {"x": "a@location"}, "id": "b"},
            {"path": "/", "refs": {"x": "b#"}},
        ]);
        let answer = answer(BatchLayer::new(), operations).await;
        assert_eq!(answer.statuses(), [status, 424, 424]);
        assert!(detail(&answer[1]).contains("`a`") && detail(&answer[2]).contains("`b`"));
    }
}

/// What has no value counts as what it is: a failure, told once, of which others depend.
#[tokio::test]
async fn an_operation_without_its_value_has_failed() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let layer = BatchLayer::new().on_outcome(move |cx, status, elapsed| {
        assert!(status.is_success() || elapsed.is_zero());
        log.lock().unwrap().push((cx.index(), status.as_u16()));
    });
    let operations = json!([
        {"path": "/value/a", "id": "a"},
        {"path": "/", "refs": {"x": "a#/nothing"}, "id": "b"},
        {"path": "/", "dependsOn": ["b"]},
        {"method": "POST", "path": "/"},
    ]);
    let first = answer(layer.clone(), operations.clone()).await;
    assert_eq!(first.statuses(), [200, 424, 424, 200]);
    let mut told = std::mem::take(&mut *told.lock().unwrap());
    told.sort_unstable();
    assert_eq!(told, [(0, 200), (1, 424), (2, 424), (3, 200)]);
    let stopped = answer(layer.stop_on_failure(), operations).await;
    assert_eq!(stopped.statuses(), [200, 424, 424, 424]);
}

#[tokio::test]
async fn a_value_passes_the_limit_of_targets() {
    let operations = |value: &str| {
        json!([
            {"path": format!("/value/{value}"), "id": "a"},
            {"path": "/x/{a}/{a}", "refs": {"a": "a#"}},
            {"url": "/?{a:1}", "refs": {"a": "a#"}},
        ])
    };
    // `/x/` and `/` leave twice six bytes of sixteen.
    for (value, fits) in [("123456", true), ("1234567", false), ("1234~6", true), ("1234@", false), ("123!", true)] {
        let answer = answer(BatchLayer::new().max_target_bytes(16), operations(value)).await;
        assert_eq!(answer.statuses(), [200, if fits { 200 } else { 424 }, 200], "{value}");
        if !fits {
            assert!(detail(&answer[1]).contains("too long"), "{}", answer[1]);
            assert_eq!(answer[1]["error"]["pointer"], "/1/path");
        }
    }
}

#[tokio::test]
async fn values_pass_the_limits_of_headers() {
    // `prefer` has six bytes, each time; `accept` has six, and two of its own.
    let operations = |length: usize| {
        json!([
            {"path": format!("/long/{length}"), "id": "a"},
            {"method": "PUT", "path": "/", "refs": {"a": "a#"}, "headers": {"accept": "12", "prefer": ["{a}", "1", "{a}"]}, "body": 1},
        ])
    };
    for (length, fits) in [(3, true), (4, false)] {
        // The type that the body has by default has never counted.
        for (headers, bytes) in [(4, 33), (64, 33)] {
            let answer =
                answer(BatchLayer::new().max_headers(headers).max_header_bytes(bytes), operations(length)).await;
            assert_eq!(answer.statuses(), [200, if fits { 200 } else { 424 }], "{length}");
            if fits {
                let value = "x".repeat(length);
                assert_eq!(answer[1]["data"]["prefer"], json!([value, "1", value]));
            } else {
                assert!(detail(&answer[1]).contains("4 headers of 33 bytes") || headers == 64, "{}", answer[1]);
                assert_eq!(answer[1]["error"]["pointer"], "/1/headers/prefer");
            }
        }
    }
    // How many they are, and how long their names, is known before.
    for layer in [BatchLayer::new().max_headers(3), BatchLayer::new().max_header_bytes(26)] {
        let answer = answer(layer, operations(0)).await;
        assert_eq!(answer.statuses(), [200, 400]);
        assert_eq!(answer[1]["error"]["pointer"], "/1/headers/prefer");
    }
}

#[tokio::test]
async fn the_nesting_of_a_body_is_that_of_what_is_sent() {
    for (depth, fits) in [(0, true), (2, true), (3, false)] {
        let source = if depth == 0 { "/value/x".to_owned() } else { format!("/deep/{depth}") };
        let operations = json!([
            {"path": source, "id": "a"},
            {"method": "POST", "path": "/", "refs": {"a": "a#"}, "body": [{"x": {"$ref": "a"}}]},
            {"method": "POST", "path": "/", "refs": {"a": "a#"}, "body": {"$ref": "a"}},
        ]);
        // The object that is replaced is a level too.
        let answer = answer(BatchLayer::new().max_json_depth(4).order(Order::Sequential), operations).await;
        assert_eq!(answer.statuses(), [200, if fits { 200 } else { 424 }, 200], "{depth}");
        if !fits {
            assert!(detail(&answer[1]).contains("more than 4 levels"), "{}", answer[1]);
            assert_eq!(answer[1]["error"]["pointer"], "/1/body");
        }
    }
}

/// As many bytes as a batch may have, whatever they are used for; with quotes, for a value is counted as JSON.
#[tokio::test]
async fn references_bring_in_no_more_than_a_batch_may_have() {
    let a = || json!({"$ref": "a"});
    let takes = |name: &str, body: Value| json!({"method": "POST", "path": "/", "refs": {name: format!("{name}#")}, "body": body});
    for (length, users, statuses) in [
        (998, vec![takes("a", json!([a()]))], vec![200]),
        (999, vec![takes("a", json!([a()]))], vec![424]),
        (498, vec![takes("a", json!([1, a(), a()]))], vec![200]),
        (499, vec![takes("a", json!([1, a(), a()]))], vec![424]),
        (
            498,
            vec![takes("a", a()), takes("a", a()), takes("a", a()), takes("b", json!({"$ref": "b"}))],
            vec![200, 200, 424, 424],
        ),
        // One that has no room takes none from another.
        (
            490,
            vec![takes("a", a()), takes("a", a()), takes("a", a()), takes("b", json!({"$ref": "b"}))],
            vec![200, 200, 424, 200],
        ),
        // One that nobody uses is kept all the same, and only once.
        (998, vec![takes("a", json!(1)), takes("a", json!(2)), takes("b", json!({"$ref": "b"}))], vec![200, 200, 424]),
        (997, vec![takes("a", json!(1)), takes("a", json!(2)), takes("b", json!({"$ref": "b"}))], vec![200, 200, 424]),
        (995, vec![takes("a", json!(1)), takes("a", json!(2)), takes("b", json!({"$ref": "b"}))], vec![200, 200, 200]),
    ] {
        let sources = [json!({"path": format!("/long/{length}"), "id": "a"}), json!({"path": "/value/b", "id": "b"})];
        let operations = sources.into_iter().chain(users).collect();
        let answer = answer(BatchLayer::new().max_request_bytes(1000).order(Order::Sequential), operations).await;
        assert_eq!(answer.statuses()[2..], statuses, "{length}");
        for result in &answer.results()[2..] {
            assert!(result["status"] == 200 || detail(result).contains("bring in"), "{result}");
        }
    }
}

#[tokio::test]
async fn values_in_targets_and_headers_are_brought_in_too() {
    let header = json!({"path": "/", "headers": {"prefer": "{a}"}});
    for mut user in [json!({"path": "/?{a}"}), header, json!({"path": "/?{a:1}"})] {
        user["refs"] = json!({"a": "a#"});
        let operations = json!([{"path": "/long/400", "id": "a"}, user, user, user]);
        let answer = answer(BatchLayer::new().max_request_bytes(1000).order(Order::Sequential), operations).await;
        assert_eq!(answer.statuses(), [200, 200, 200, 424], "{user}");
        assert!(detail(&answer[3]).contains("1000 bytes"), "{}", answer[3]);
    }
}

#[tokio::test(start_paused = true)]
async fn references_mean_the_same_in_every_way_of_running() {
    let operations = json!([
        {"path": "/a/{x}?y={y}", "refs": {"x": "b#", "y": "d#/target"}},
        {"path": "/value/b", "id": "b"},
        {"path": "/{x}", "refs": {"x": "b#/nothing"}, "id": "c"},
        {"path": "/d/{x}", "refs": {"x": "b#"}, "id": "d"},
        {"method": "POST", "path": "/e", "refs": {"x": "d#"}, "id": "e", "body": [{"$ref": "x"}, {"$ref": "y"}]},
        {"method": "POST", "path": "/f", "refs": {"x": "e#/body"}, "id": "f", "body": {"$ref": "x"}},
        {"path": "/", "refs": {"x": "c#"}},
        {"path": "/", "refs": {"x": "nobody#"}},
        {"path": "/status/404", "id": "i"},
        {"path": "/{x}", "refs": {"x": "i#"}},
        {"path": "/", "refs": {"x": "f#"}, "headers": {"prefer": "{x}"}},
    ]);
    let expected = [200, 200, 424, 200, 200, 200, 424, 400, 404, 424, 424];
    for order in [Order::Fenced, Order::Unordered] {
        let answer = in_every_way(|| (BatchLayer::new().order(order), world()), &operations).await;
        assert_eq!(answer.statuses(), expected);
        assert_eq!(answer[0]["data"]["target"], "/a/b?y=%2Fd%2Fb");
        let e = r#"[{"body":"","prefer":[],"target":"/d/b"},{"$ref":"y"}]"#;
        assert_eq!(answer[4]["data"]["body"], e);
        assert_eq!(answer[5]["data"]["body"], Value::from(e).to_string());
    }
}
