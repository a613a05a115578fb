//! Atomic groups: all members count, or none.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::sync::{Arc, Mutex};

use axum::response::IntoResponse;
use common::{
    Body, SubRequest, get, post,
    recorder::{Go, Handle, Log, Recorder},
    request, send, soon,
    stage::Stage,
    ways::{Inner, in_every_way},
};
use http::{Response, StatusCode, request::Parts};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower::{BoxError, Layer, service_fn};
use tower_multistatus::{BatchLayer, Coordinator, Order, Transaction, TransactionFuture};

/// Operations as in `"POST g/a <- b c"`: a method, a group, an id, and the ids that it depends on. The target is the id.
fn operations<const N: usize>(lines: [&str; N]) -> Value {
    let operation = |line: &&str| {
        let (head, dependencies) = line.split_once(" <- ").unwrap_or((line, ""));
        let (method, name) = head.split_once(' ').unwrap();
        let (group, id) = name.split_once('/').unwrap_or(("", name));
        let mut operation = json!({"method": method, "id": id, "path": format!("/{id}")});
        if !group.is_empty() {
            operation["group"] = json!(group);
        }
        if !dependencies.is_empty() {
            operation["dependsOn"] = dependencies.split(' ').collect();
        }
        operation
    };
    lines.iter().map(operation).collect()
}

/// Does what the last part of the target says, and writes down that it ran.
fn obedient(log: &Log) -> Inner {
    let log = log.clone();
    Inner::new(service_fn(move |request: SubRequest| {
        let log = log.clone();
        async move {
            let target = request.uri().path().to_owned();
            log.push(format!("run {target}"));
            match target.trim_start_matches('/') {
                "panic" => panic!("as it was told"),
                "error" => Err(BoxError::from("as it was told")),
                "hang" => std::future::pending().await,
                status => Ok(status.parse().unwrap_or(StatusCode::OK).into_response()),
            }
        }
    }))
}

fn recording(recorder: &Recorder) -> BatchLayer {
    BatchLayer::new().with_coordinator(recorder.clone())
}

fn detail(result: &Value) -> &str {
    result["error"]["detail"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_members_of_a_group_run_in_request_order_and_are_committed() {
    for order in [Order::Fenced, Order::Sequential, Order::Unordered] {
        let recorder = Recorder::default();
        let batch = operations(["POST g/a", "GET g/b", "GET g/c"]);
        let mut stage = Stage::new(&recording(&recorder).order(order), batch);
        for (target, told) in
            [("/a", &["begin 0", "attach 0 to 0"][..]), ("/b", &["attach 0 to 1"]), ("/c", &["attach 0 to 2"])]
        {
            assert_eq!(stage.begin(), [target], "{order:?}");
            assert_eq!(recorder.log.take(), told);
            stage.answer(target, 201);
        }
        assert_eq!(stage.end().await.statuses(), [201; 3]);
        assert_eq!(recorder.log.take(), ["commit 0", "committed 0"]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_member_that_does_not_succeed_rolls_all_back() {
    for (failure, status) in
        [("300", 300), ("304", 304), ("404", 404), ("503", 503), ("panic", 500), ("error", 500), ("hang", 504)]
    {
        for order in [Order::Fenced, Order::Sequential, Order::Unordered] {
            for at in 0..3 {
                let recorder = Recorder::default();
                let mut batch = operations(["POST x", "GET g/a", "POST g/b", "GET g/c", "GET y"]);
                batch[at + 1]["path"] = json!(format!("/{failure}"));
                let layer = recording(&recorder).order(order);
                let answer = soon(post(layer.layer(obedient(&recorder.log)), batch)).await;
                let mut expected = [200, 424, 424, 424, 200];
                expected[at + 1] = status;
                assert_eq!(answer.statuses(), expected, "{failure} {order:?}");
                for member in (1..4).filter(|&member| member != at + 1) {
                    assert!(detail(&answer[member]).contains("rolled back"), "{answer:?}");
                }
                let log = recorder.log.take();
                let ran = log.iter().filter(|line| line.starts_with("run")).count();
                assert_eq!(ran, 2 + at + 1, "{log:?}");
                let place = |line: &str| log.iter().position(|other| other == line);
                assert!(place("rollback 0").unwrap() < place("rolled back 0").unwrap(), "{log:?}");
                assert!(place("rolled back 0") < place("run /y") || order == Order::Unordered, "{log:?}");
                assert_eq!(place("commit 0"), None);
            }
        }
    }
}

/// The operation is dropped before its transaction is rolled back, and that before anything goes on.
#[tokio::test(start_paused = true)]
async fn a_member_is_gone_before_its_transaction_is() {
    let recorder = Recorder::default();
    let log = recorder.log.clone();
    let inner = Inner::new(service_fn(move |request: SubRequest| {
        let guard = log.guard(request.uri().path());
        async move {
            let _guard = guard;
            if request.uri().path() == "/b" {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(Body::empty()))
        }
    }));
    let batch = operations(["POST g/a", "POST g/b", "POST g/c", "POST d"]);
    let answer = soon(post(recording(&recorder).layer(inner), batch)).await;
    assert_eq!(answer.statuses(), [424, 504, 424, 200]);
    let order = [
        "begin 0",
        "attach 0 to 0",
        "/a dropped",
        "attach 0 to 1",
        "/b dropped",
        "rollback 0",
        "rolled back 0",
        "/d dropped",
    ];
    assert_eq!(recorder.log.take(), order);
}

#[tokio::test(start_paused = true)]
async fn who_depends_on_a_member_waits_for_the_commit() {
    let gate = Arc::new(Semaphore::new(0));
    for committed in [true, false] {
        let mut recorder = Recorder { commit: Go::When(Arc::clone(&gate)), ..Recorder::default() };
        if !committed {
            recorder.commit = Go::Refuse(StatusCode::CONFLICT);
        }
        let layer = recording(&recorder).order(Order::Unordered);
        let mut stage = Stage::new(&layer, operations(["POST g/a", "POST g/b", "GET c <- a", "GET d"]));
        assert_eq!(stage.begin(), ["/d", "/a"]);
        stage.answer("/d", 200);
        stage.answer("/a", 200);
        assert_eq!(stage.begin(), ["/b"], "and nobody who waits for `a`");
        stage.answer("/b", 200);
        if committed {
            assert!(stage.begin().is_empty());
            gate.add_permits(1);
            assert_eq!(stage.begin(), ["/c"]);
            stage.answer("/c", 200);
            assert_eq!(stage.end().await.statuses(), [200; 4]);
        } else {
            let answer = stage.end().await;
            assert_eq!(answer.statuses(), [409, 409, 424, 200]);
            assert!(detail(&answer[2]).contains("`a`"), "{}", answer[2]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_waits_as_a_whole_for_what_any_member_depends_on() {
    let recorder = Recorder::default();
    let layer = recording(&recorder).order(Order::Unordered);
    let mut stage = Stage::new(&layer, operations(["POST g/a", "POST g/b <- a c", "GET c"]));
    assert_eq!(stage.begin(), ["/c"]);
    assert!(recorder.log.take().is_empty(), "a transaction that waits would hold what others want");
    stage.answer("/c", 200);
    assert_eq!(stage.begin(), ["/a"]);
    stage.answer("/a", 200);
    assert_eq!(stage.begin(), ["/b"]);
    stage.answer("/b", 200);
    assert_eq!(stage.end().await.statuses(), [200; 3]);

    let answer = soon(post(layer.layer(obedient(&recorder.log)), {
        let mut batch = operations(["POST g/a", "POST g/b <- c", "GET c"]);
        batch[2]["path"] = json!("/404");
        batch
    }));
    let answer = answer.await;
    assert_eq!(answer.statuses(), [424, 424, 404]);
    assert!(detail(&answer[0]).contains("`c`") && detail(&answer[1]).contains("`c`"));
    assert!(!recorder.log.take().iter().any(|line| line.starts_with("begin 1")));
}

#[tokio::test(start_paused = true)]
async fn groups_run_side_by_side_where_the_order_lets_them() {
    let batch = |method: &str| {
        let lines = ["a/a1", "a/a2", "b/b1", "b/b2"].map(|name| format!("{method} {name}"));
        operations([&lines[0], &lines[1], &lines[2], &lines[3]])
    };
    for (order, method, together) in [
        (Order::Unordered, "POST", true),
        (Order::Fenced, "GET", true),
        (Order::Fenced, "POST", false),
        (Order::Sequential, "GET", false),
    ] {
        let recorder = Recorder::default();
        let mut stage = Stage::new(&recording(&recorder).order(order), batch(method));
        let steps: &[&[&str]] =
            if together { &[&["/a1", "/b1"], &["/a2", "/b2"]] } else { &[&["/a1"], &["/a2"], &["/b1"], &["/b2"]] };
        for step in steps {
            assert_eq!(stage.begin(), *step, "{order:?}");
            step.iter().for_each(|target| stage.answer(target, 200));
        }
        assert_eq!(stage.end().await.statuses(), [200; 4]);
        let log = recorder.log.take();
        let place = |line: &str| log.iter().position(|other| other == line).unwrap();
        assert_eq!(place("begin 1") < place("committed 0"), together, "{log:?}");
    }
    // A group is one of those that run, however many it is.
    let recorder = Recorder::default();
    let layer = recording(&recorder).order(Order::Unordered).concurrency(2);
    let mut stage = Stage::new(&layer, operations(["GET a/a1", "GET a/a2", "GET b", "GET c", "GET d"]));
    assert_eq!(stage.begin(), ["/b", "/a1"]);
    stage.answer("/a1", 200);
    assert_eq!(stage.begin(), ["/a2"]);
    stage.answer("/a2", 200);
    assert_eq!(stage.begin(), ["/c"]);
}

#[tokio::test(start_paused = true)]
async fn the_members_of_a_group_stand_side_by_side() {
    let recorder = Recorder::default();
    let batch = operations(["POST g/a", "POST g/b", "POST x", "POST g/c", "POST h/d", "POST h/e"]);
    let answer = soon(post(recording(&recorder).layer(obedient(&recorder.log)), batch)).await;
    assert_eq!(answer.statuses(), [400, 400, 200, 400, 200, 200]);
    for index in [0, 1, 3] {
        assert!(detail(&answer[index]).contains("side by side"), "{}", answer[index]);
        assert_eq!(answer[index]["error"]["pointer"], format!("/{index}/group"));
    }
    assert_eq!(recorder.log.take().iter().filter(|line| line.starts_with("begin")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_group_with_a_refused_member_does_not_run() {
    for mut fault in [
        json!({"path": "nowhere"}),
        json!({"path": "/b", "headers": {"cookie": "a"}}),
        json!({"path": "/b", "dependsOn": ["nobody"]}),
        json!({"path": "/b", "dependsOn": ["b"]}),
        json!({"path": "/b", "dependsOn": ["c"]}),
        json!({"path": "/b", "dependsOn": ["late"]}),
        json!({"path": "/{x}", "refs": {"x": "x"}}),
        json!({"path": "/b", "body": 1, "encoding": "gzip"}),
        json!({"method": "TRACE", "path": "/b"}),
        json!({"path": "/private"}),
    ] {
        let recorder = Recorder::default();
        let mut batch = operations(["POST g/a", "POST g/b", "POST g/c", "GET d <- a", "POST late"]);
        fault["group"] = json!("g");
        fault["id"] = json!("b");
        let expected = if fault["path"] == "/private" { 403 } else { 400 };
        batch[1] = fault.clone();
        let layer = recording(&recorder).allow_targets(|_, target| target.path() != "/private");
        let answer = soon(post(layer.layer(obedient(&recorder.log)), batch)).await;
        assert_eq!(answer.statuses(), [424, expected, 424, 424, 200], "{fault}");
        assert!(detail(&answer[0]).contains("refused") && detail(&answer[2]).contains("refused"), "{answer:?}");
        assert_eq!(recorder.log.take(), ["run /late"], "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_circle_may_lead_through_groups() {
    let recorder = Recorder::default();
    let layer = recording(&recorder).order(Order::Unordered);
    // The last one depends on what is the name of a group, and nobody's id.
    let batch = operations(["POST g/a", "POST g/b <- x", "POST x <- a", "POST h/c <- d", "POST h/d", "POST y <- h"]);
    let answer = soon(post(layer.layer(obedient(&recorder.log)), batch)).await;
    assert_eq!(answer.statuses(), [424, 400, 400, 400, 424, 400]);
    assert!(
        detail(&answer[1]).contains("circle") && detail(&answer[3]).contains("later in the same group"),
        "{answer:?}"
    );
    assert!(recorder.log.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_group_is_any_text() {
    let recorder = Recorder::default();
    for (name, status) in [
        (json!(""), 200),
        (json!("ü/\"\u{1f980}"), 200),
        (json!(null), 200),
        (json!(1), 400),
        (json!(["g"]), 400),
        (json!("x".repeat(256)), 200),
        (json!("x".repeat(257)), 400),
    ] {
        let batch = json!([{"path": "/", "group": name}, {"path": "/", "group": name}]);
        let answer = soon(post(recording(&recorder).layer(obedient(&recorder.log)), batch)).await;
        assert_eq!(answer.statuses(), [status; 2], "{name}");
        let begun = recorder.log.take().iter().filter(|line| line.starts_with("begin")).count();
        assert_eq!(begun, usize::from(status == 200 && !name.is_null()));
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_coordinator_a_group_is_never_pretended() {
    let log = Log::default();
    let batch = operations(["POST g/a", "POST g/b", "POST x", "POST h/c", "GET d <- b"]);
    let answer = soon(post(BatchLayer::new().layer(obedient(&log)), batch)).await;
    assert_eq!(answer.statuses(), [501, 501, 200, 200, 424]);
    assert_eq!(answer[0]["error"]["pointer"], "/0/group");
    assert_eq!(log.take(), ["run /x", "run /c"], "a group of one is that one");
}

/// Nothing else tells a handler whether what it does counts.
#[tokio::test(start_paused = true)]
async fn each_member_finds_its_transaction_and_nobody_else_does() {
    let inner = || {
        Inner::new(service_fn(|request: SubRequest| async move {
            let handle = request.extensions().get::<Handle>().map(|handle| handle.number);
            Ok(axum::Json(handle).into_response())
        }))
    };
    let batch = operations(["GET a", "GET g/b", "GET g/c", "GET d", "GET h/e", "GET i/f", "GET i/h"]);
    let make = || (recording(&Recorder::default()).order(Order::Sequential), inner());
    let answer = in_every_way(make, &batch).await;
    let null = Value::Null;
    assert_eq!(answer.data(), [&null, &json!(0), &json!(0), &null, &json!(1), &json!(2), &json!(2)]);
    let (layer, inner) = make();
    assert_eq!(send(layer.layer(inner), get("/")).await.json, Value::Null);
}

/// Not even while the transaction is open.
#[tokio::test(start_paused = true)]
async fn who_runs_beside_a_group_does_not_find_its_transaction() {
    let layer = recording(&Recorder::default()).order(Order::Unordered);
    let mut stage = Stage::new(&layer, operations(["GET g/a", "GET g/b", "GET h/c", "GET h/d", "GET x", "GET y <- x"]));
    let handle = |stage: &mut Stage, target: &str| {
        let call = stage.call(target);
        let handle = call.request.extensions().get::<Handle>().map(|handle| handle.number);
        call.answer(200);
        handle
    };
    assert_eq!(stage.begin(), ["/x", "/a", "/c"]);
    assert_eq!(
        [handle(&mut stage, "/x"), handle(&mut stage, "/a"), handle(&mut stage, "/c")],
        [None, Some(0), Some(1)]
    );
    let mut begun = stage.begin();
    begun.sort();
    assert_eq!(begun, ["/b", "/d", "/y"]);
    assert_eq!(
        [handle(&mut stage, "/y"), handle(&mut stage, "/d"), handle(&mut stage, "/b")],
        [None, Some(1), Some(0)]
    );
    assert_eq!(stage.end().await.statuses(), [200; 6]);
}

#[derive(Clone)]
struct Tenant(&'static str);

#[tokio::test]
async fn a_transaction_is_begun_for_the_batchs_request() {
    struct Tenants(Arc<Mutex<Vec<String>>>);
    impl Coordinator for Tenants {
        fn begin(&self, batch: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
            let tenant = batch.extensions.get::<Tenant>().unwrap().0;
            let told = format!("{} {} {tenant} {:?}", batch.method, batch.uri, batch.headers["host"]);
            self.0.lock().unwrap().push(told);
            Recorder::default().begin(batch)
        }
    }
    let seen = Arc::default();
    let layer = BatchLayer::new().with_coordinator(Tenants(Arc::clone(&seen)));
    let mut batch = request(operations(["GET g/a", "GET g/b"]));
    batch.extensions_mut().insert(Tenant("acme"));
    assert_eq!(send(layer.layer(obedient(&Log::default())), batch).await.statuses(), [200; 2]);
    assert_eq!(*seen.lock().unwrap(), ["POST /batch acme \"api.example.com\""]);
}

/// It might have been a member, and all or none would then be none.
#[tokio::test(start_paused = true)]
async fn a_member_that_can_not_be_read_stops_every_group() {
    for member in [
        r#"{"path":"/x","group":"g","\ud800":1}"#,
        r#"{"path":"/x","group":"g","group":"h"}"#,
        r#"{"path":"/x","group":"h","group":"g"}"#,
        r#"{"path":"/x","group":"g","group":null}"#,
        r#"{"path":"/x","group":5}"#,
        r#"{"path":"/x","group":"g\ud800"}"#,
        &format!(r#"{{"path":"/x","group":"{}"}}"#, "g".repeat(257)),
    ] {
        let recorder = Recorder::default();
        let batch = format!(r#"[{{"path":"/a","group":"g"}},{member},{{"path":"/b","group":"h"}},{{"path":"/c"}}]"#);
        let answer = soon(send(recording(&recorder).layer(obedient(&recorder.log)), request(batch))).await;
        assert_eq!(answer.statuses(), [424, 400, 424, 200], "{member}");
        assert!(detail(&answer[0]).contains("none of the group was carried out"));
        assert_eq!(recorder.log.take(), ["run /c"], "{member}");
    }
    // This one can't have been a member of any.
    let recorder = Recorder::default();
    let answer =
        soon(send(recording(&recorder).layer(obedient(&recorder.log)), request(r#"[{"path":"/a","group":"g"},5]"#)))
            .await;
    assert_eq!(answer.statuses(), [200, 400]);
}

/// A policy that panics at what a reference has made must not cost the outcomes of what has been done.
#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_is_one_operations_failure() {
    let layer = BatchLayer::new().allow_targets(|_, target| {
        assert!(!target.path().ends_with("/made"), "as it was told");
        true
    });
    let inner = service_fn(async |_: SubRequest| {
        Ok::<_, BoxError>(([("content-type", "application/json")], r#""made""#).into_response())
    });
    let batch = json!([
        {"id": "a", "method": "POST", "path": "/a"},
        {"path": "/{x}", "refs": {"x": "a#"}},
        {"path": "/b", "dependsOn": ["a"]},
    ]);
    assert_eq!(soon(post(layer.layer(inner), batch)).await.statuses(), [200, 500, 200]);
}
