//! `dependsOn`: who waits for whom, what can't be waited for, and what becomes of those whose dependency failed.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::response::IntoResponse;
use common::{
    Body, Call, SubRequest, post, soon,
    stage::Stage,
    ways::{Inner, in_every_way},
};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tower::{BoxError, Layer, service_fn};
use tower_multistatus::{BatchLayer, Order};

const ORDERS: [Order; 3] = [Order::Fenced, Order::Sequential, Order::Unordered];

/// Operations named by letters, each with its method and the letters of those that it depends on: `"GET b <- a c"`.
/// The target is the name.
fn operations<const N: usize>(lines: [&str; N]) -> Value {
    let operation = |line: &&str| {
        let (head, dependencies) = line.split_once(" <- ").unwrap_or((line, ""));
        let (method, id) = head.split_once(' ').unwrap();
        let mut operation = json!({"method": method, "id": id, "path": format!("/{id}")});
        if !dependencies.is_empty() {
            operation["dependsOn"] = dependencies.split(' ').collect();
        }
        operation
    };
    lines.iter().map(operation).collect()
}

/// Answers with the status that stands at the end of the target, else 200; or fails as that says.
fn statuses() -> Inner {
    Inner::new(service_fn(|request: SubRequest| async move {
        match request.uri().path().rsplit('/').next().unwrap_or_default() {
            "panic" => panic!("as it was told"),
            "error" => Err(BoxError::from("as it was told")),
            "hang" => std::future::pending().await,
            status => {
                let status = status.parse().unwrap_or(StatusCode::OK);
                Ok(status.into_response())
            }
        }
    }))
}

fn detail(result: &Value) -> &str {
    result["error"]["detail"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_dependency_is_waited_for_and_nothing_else_is() {
    let layer = BatchLayer::new().order(Order::Unordered);
    let mut stage = Stage::new(&layer, operations(["POST a", "POST b <- a", "GET c", "DELETE d <- b c"]));
    assert_eq!(stage.begin(), ["/a", "/c"]);
    stage.answer("/c", 200);
    assert!(stage.begin().is_empty(), "all that it depends on, not one of it");
    stage.answer("/a", 201);
    assert_eq!(stage.begin(), ["/b"]);
    stage.answer("/b", 200);
    assert_eq!(stage.begin(), ["/d"]);
    stage.answer("/d", 204);
    assert_eq!(stage.end().await.statuses(), [201, 200, 200, 204]);
}

#[tokio::test(start_paused = true)]
async fn a_dependency_comes_on_top_of_the_order() {
    // The fence alone would let both reads begin.
    let batch = operations(["GET a", "GET b <- a", "POST c", "GET d <- a", "GET e <- d"]);
    let mut stage = Stage::new(&BatchLayer::new(), batch.clone());
    assert_eq!(stage.begin(), ["/a"]);
    stage.answer("/a", 200);
    assert_eq!(stage.begin(), ["/b"], "the write waits for a read that waits");
    stage.answer("/b", 200);
    assert_eq!(stage.begin(), ["/c"]);
    stage.answer("/c", 200);
    assert_eq!(stage.begin(), ["/d"]);
    stage.answer("/d", 200);
    assert_eq!(stage.begin(), ["/e"]);
    stage.answer("/e", 200);
    assert_eq!(stage.end().await.statuses(), [200; 5]);

    let mut stage = Stage::new(&BatchLayer::new().order(Order::Sequential), batch);
    for target in ["/a", "/b", "/c", "/d", "/e"] {
        assert_eq!(stage.begin(), [target]);
        stage.answer(target, 200);
    }
    assert_eq!(stage.end().await.statuses(), [200; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_read_may_depend_on_a_later_read() {
    let mut stage = Stage::new(&BatchLayer::new(), operations(["GET a <- c", "HEAD b", "OPTIONS c <- b", "PUT d"]));
    for target in ["/b", "/c", "/a", "/d"] {
        assert_eq!(stage.begin(), [target]);
        stage.answer(target, 200);
    }
    assert_eq!(stage.end().await.statuses(), [200; 4]);
}

#[tokio::test(start_paused = true)]
async fn anything_may_depend_on_anything_later_where_there_is_no_order() {
    let layer = BatchLayer::new().order(Order::Unordered);
    let mut stage = Stage::new(&layer, operations(["POST a <- d", "PUT b <- a", "GET c", "DELETE d"]));
    assert_eq!(stage.begin(), ["/c", "/d"]);
    stage.answer("/d", 200);
    assert_eq!(stage.begin(), ["/a"]);
    stage.answer("/a", 200);
    assert_eq!(stage.begin(), ["/b"]);
    stage.answer("/b", 200);
    stage.answer("/c", 200);
    assert_eq!(stage.end().await.statuses(), [200; 4]);
}

/// One that waits has no place among those that run, or all would wait for each other.
#[tokio::test(start_paused = true)]
async fn who_waits_takes_nobodys_place() {
    let layer = BatchLayer::new().order(Order::Unordered).concurrency(1);
    let mut stage = Stage::new(&layer, operations(["GET a <- c", "GET b <- c", "GET c <- d", "GET d"]));
    for target in ["/d", "/c", "/a", "/b"] {
        assert_eq!(stage.begin(), [target]);
        stage.answer(target, 200);
    }
    assert_eq!(stage.end().await.statuses(), [200; 4]);
}

/// What the order has wait for an operation can't be waited for by it: each of these would stand still forever.
#[tokio::test(start_paused = true)]
async fn a_dependency_that_crosses_the_order_is_refused() {
    use Order::{Fenced, Sequential};
    for (order, batch, refused) in [
        (Sequential, operations(["GET a <- b", "GET b"]), "a"),
        (Sequential, operations(["GET x", "GET a <- b", "GET y", "GET b"]), "a"),
        (Fenced, operations(["POST a <- b", "GET b"]), "a"),
        (Fenced, operations(["GET a <- b", "POST b"]), "a"),
        (Fenced, operations(["GET a <- b", "POST x", "GET b"]), "a"),
        (Fenced, operations(["PATCH a <- b", "QUERY b"]), "a"),
        (Fenced, operations(["GET x", "GET a <- x b", "GET y", "DELETE z", "GET b"]), "a"),
    ] {
        let answer = soon(post(BatchLayer::new().order(order).layer(statuses()), batch.clone())).await;
        for (index, result) in answer.results().iter().enumerate() {
            if result["id"] == *refused {
                assert_eq!(result["status"], 400, "{order:?} {batch}");
                assert!(detail(result).contains("`b`"), "{result}");
                let at = if batch[index]["dependsOn"][0] == "b" { 0 } else { 1 };
                assert_eq!(result["error"]["pointer"], format!("/{index}/dependsOn/{at}"));
            } else {
                assert_eq!(result["status"], 200, "{order:?} {batch}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_only_looks_forward_is_none_of_the_orders_business() {
    // The write stands before both, or behind both.
    for batch in [operations(["POST x", "GET a <- b", "GET b"]), operations(["GET a <- b", "GET b", "POST x"])] {
        let answer = soon(post(BatchLayer::new().layer(statuses()), batch)).await;
        assert_eq!(answer.statuses(), [200; 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_depends_on_nobody_or_on_itself_is_refused_and_its_siblings_go_on() {
    for order in ORDERS {
        let mut batch =
            operations(["GET a", "GET b <- a nobody", "GET c <- c", "GET d <- a", "GET e <- b", "GET f <- A"]);
        batch[3]["dependsOn"] = json!(["a", "a"]);
        let answer = soon(post(BatchLayer::new().order(order).layer(statuses()), batch)).await;
        assert_eq!(answer.statuses(), [200, 400, 400, 200, 424, 400], "{order:?}");
        assert!(detail(&answer[1]).contains("`nobody`"), "{}", answer[1]);
        assert_eq!(answer[1]["error"]["pointer"], "/1/dependsOn/1");
        assert!(detail(&answer[2]).contains("itself"), "{}", answer[2]);
        assert!(detail(&answer[4]).contains("`b`"), "{}", answer[4]);
        assert!(detail(&answer[5]).contains("`A`"), "{}", answer[5]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_circle_is_refused_and_nobody_else() {
    let layer = BatchLayer::new().order(Order::Unordered);
    let batch = operations([
        "GET a",
        "GET b <- a d",
        "GET c <- b",
        "GET d <- c",
        // Behind the circle, beside it, and before it.
        "GET e <- d",
        "GET f <- a",
        "GET g <- h",
        "GET h <- g",
    ]);
    let answer = soon(post(layer.layer(statuses()), batch)).await;
    assert_eq!(answer.statuses(), [200, 400, 400, 400, 424, 200, 400, 400]);
    for (index, names) in [(1, ["`b`", "`c`", "`d`"]), (2, ["`b`", "`c`", "`d`"]), (6, ["`g`", "`h`", "circle"])] {
        assert!(names.iter().all(|name| detail(&answer[index]).contains(name)), "{}", answer[index]);
    }
    assert!(!detail(&answer[1]).contains("`g`") && !detail(&answer[6]).contains("`b`"));
    assert_eq!(answer[1]["error"]["pointer"], "/1/dependsOn/1");
}

#[tokio::test(start_paused = true)]
async fn reads_may_stand_in_a_circle_under_each_order_and_are_refused() {
    for order in ORDERS {
        let batch = operations(["GET a <- b", "GET b <- a", "POST c", "GET d <- a"]);
        let answer = soon(post(BatchLayer::new().order(order).layer(statuses()), batch)).await;
        // In sequence the first one is impossible by itself, so the second has nothing to run after.
        let second = if order == Order::Sequential { 424 } else { 400 };
        assert_eq!(answer.statuses(), [400, second, 200, 424], "{order:?}");
    }
}

/// A refusal is short, however long the circle is, and costs each member the same.
#[tokio::test]
async fn a_long_circle_names_a_few_of_its_members() {
    const MANY: usize = 10_000;
    let link = |index: usize| json!({"id": format!("n{index}"), "path": "/", "dependsOn": [format!("n{}", (index + 1) % MANY)]});
    let layer = BatchLayer::new().max_operations(MANY).order(Order::Unordered);
    let answer = soon(post(layer.layer(statuses()), (0..MANY).map(link).collect())).await;
    assert!(answer.statuses().iter().all(|&status| status == 400));
    let detail = detail(&answer[MANY - 1]);
    assert!(detail.contains("`n0`") && detail.contains("9995 more") && detail.len() < 200, "{detail}");
}

#[tokio::test(start_paused = true)]
async fn only_a_2xx_is_what_others_have_waited_for() {
    for order in ORDERS {
        for (target, status) in [
            ("/200", 200),
            ("/201", 201),
            ("/204", 204),
            ("/226", 226),
            ("/299", 299),
            ("/100", 500),
            ("/300", 300),
            ("/302", 302),
            ("/304", 304),
            ("/399", 399),
            ("/404", 404),
            ("/503", 503),
            ("/599", 599),
            ("/panic", 500),
            ("/error", 500),
            ("/hang", 504),
            ("nowhere", 400),
            ("/..", 400),
        ] {
            let mut batch = operations(["GET a", "POST b <- a", "GET c <- b", "GET d"]);
            batch[0]["path"] = json!(target);
            let answer = soon(post(BatchLayer::new().order(order).layer(statuses()), batch)).await;
            let after = if (200..300).contains(&status) { 200 } else { 424 };
            assert_eq!(answer.statuses(), [status, after, after, 200], "{order:?} {target}");
            if after == 424 {
                assert!(detail(&answer[1]).contains("`a`") && detail(&answer[2]).contains("`b`"), "{answer:?}");
                assert_eq!(answer[1]["error"]["title"], "Failed Dependency");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_can_not_run_any_more_waits_for_nobody_else() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let layer = BatchLayer::new().order(Order::Unordered).concurrency(2);
    let layer = layer.on_outcome(move |cx, status, _| log.lock().unwrap().push((cx.index(), status.as_u16())));
    let mut stage = Stage::new(&layer, operations(["GET a", "GET slow", "GET b <- a slow", "GET c <- b", "GET d"]));
    assert_eq!(stage.begin(), ["/a", "/slow"]);
    stage.answer("/a", 404);
    assert_eq!(stage.begin(), ["/d"]);
    assert_eq!(*told.lock().unwrap(), [(0, 404), (2, 424), (3, 424)], "while another one still runs");
    stage.answer("/d", 200);
    stage.answer("/slow", 200);
    let answer = stage.end().await;
    assert_eq!(answer.statuses(), [404, 200, 424, 424, 200]);
    assert!(detail(&answer[2]).contains("`a`"), "the one that failed: {}", answer[2]);
}

#[tokio::test(start_paused = true)]
async fn stopping_at_a_failure_stops_those_who_wait_too() {
    let layer = BatchLayer::new().order(Order::Unordered).stop_on_failure();
    let mut stage = Stage::new(&layer, operations(["GET a", "GET b", "GET c <- a", "GET d <- c"]));
    assert_eq!(stage.begin(), ["/a", "/b"]);
    stage.answer("/b", 409);
    assert!(stage.begin().is_empty());
    stage.answer("/a", 200);
    assert_eq!(stage.end().await.statuses(), [200, 409, 424, 424], "it can run, and must not");

    // A 302 is no failure, but a 424 for what depended on it is one.
    let mut stage = Stage::new(&layer.concurrency(1), operations(["GET a", "GET b <- a", "GET c"]));
    assert_eq!(stage.begin(), ["/a"]);
    stage.answer("/a", 302);
    assert_eq!(stage.end().await.statuses(), [302, 424, 424]);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_when_time_is_over_have_not_begun() {
    let layer = BatchLayer::new().order(Order::Unordered).operation_timeout(Duration::from_secs(100));
    let mut batch = operations(["GET a", "GET b <- a", "GET c", "GET d <- c"]);
    batch[0]["path"] = json!("/hang");
    let answer = soon(post(layer.layer(statuses()), batch)).await;
    assert_eq!(answer.statuses(), [504, 504, 200, 200]);
    assert!(detail(&answer[0]).contains("may have been carried out"), "{}", answer[0]);
    assert!(detail(&answer[1]).contains("was not carried out"), "{}", answer[1]);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_when_the_client_hangs_up_never_begin() {
    let layer = BatchLayer::new().order(Order::Unordered);
    let mut stage = Stage::new(&layer, operations(["GET a", "GET b <- a", "GET c <- b"]));
    assert_eq!(stage.begin(), ["/a"]);
    assert!(stage.hang_up().iter().all(Call::is_dropped));
}

/// Neither the stack nor the time grows with what hangs together.
#[tokio::test]
async fn a_chain_of_ten_thousand_ends_however_its_first_one_ends() {
    const MANY: usize = 10_000;
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let inner = service_fn(move |request: SubRequest| {
        count.fetch_add(1, Relaxed);
        let status = if request.uri().path() == "/fail" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        async move { Ok::<_, Infallible>(Response::builder().status(status).body(Body::empty()).unwrap()) }
    });
    let start = Instant::now();
    for order in ORDERS {
        for (first, expected, runs) in [("/", 200, MANY), ("/fail", 424, 1), ("nowhere", 424, 0)] {
            let link = |index: usize| match index {
                0 => json!({"id": "0", "path": first}),
                _ => json!({"id": index.to_string(), "path": "/", "dependsOn": [(index - 1).to_string()]}),
            };
            let layer = BatchLayer::new().max_operations(MANY).order(order);
            let answer = soon(post(layer.layer(inner.clone()), (0..MANY).map(link).collect())).await;
            assert!(answer.statuses()[1..].iter().all(|&status| status == expected), "{order:?} {first}");
            assert_eq!(ran.swap(0, Relaxed), runs);
        }
    }
    // The other way round, which only reads and no order can have.
    for (last, expected) in [("/", 200), ("/fail", 424)] {
        let link = |index: usize| match index + 1 {
            MANY => json!({"id": index.to_string(), "path": last}),
            next => json!({"id": index.to_string(), "path": "/", "dependsOn": [next.to_string()]}),
        };
        let layer = BatchLayer::new().max_operations(MANY);
        let answer = soon(post(layer.layer(inner.clone()), (0..MANY).map(link).collect())).await;
        assert!(answer.statuses()[..MANY - 1].iter().all(|&status| status == expected));
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn depends_on_is_an_array_of_ids() {
    let inner = statuses();
    for (depends_on, status) in [
        (json!([]), 200),
        (json!(null), 200),
        (json!(["a"]), 200),
        (json!(["a", "a"]), 200),
        (json!("a"), 400),
        (json!({"a": true}), 400),
        (json!(0), 400),
        (json!([0]), 400),
        (json!([null]), 400),
        (json!([["a"]]), 400),
        (json!([""]), 400),
    ] {
        let batch = json!([{"id": "a", "path": "/"}, {"path": "/", "dependsOn": depends_on}, {"path": "/"}]);
        let answer = soon(post(BatchLayer::new().layer(inner.clone()), batch)).await;
        assert_eq!(answer.statuses(), [200, status, 200], "{depends_on}");
        if status == 400 {
            assert!(answer[1]["error"]["pointer"].as_str().unwrap().starts_with("/1/dependsOn"), "{}", answer[1]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_may_be_any_text() {
    for id in ["", " ", "ünï", "a#b@c", "\u{1f980}", "a\"b\\c", "0", "/x~1", "$ref", "{a}"] {
        let batch = json!([{"id": id, "path": "/404"}, {"path": "/", "dependsOn": [id]}]);
        // As clients write it who escape all that is not ASCII.
        let escaped: String = batch.to_string().chars().map(escape).collect();
        for document in [batch.to_string(), escaped] {
            let answer = soon(common::send(BatchLayer::new().layer(statuses()), common::request(document))).await;
            assert_eq!(answer.statuses(), [404, 424], "{id:?}");
            assert!(detail(&answer[1]).contains(&format!("`{id}`")));
        }
    }
}

fn escape(char: char) -> String {
    let mut units = [0; 2];
    if char.is_ascii() {
        return char.to_string();
    }
    char.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_told_once_whoever_it_waited_for() {
    let told = Arc::new(Mutex::new(Vec::new()));
    for layer in [BatchLayer::new(), BatchLayer::new().spawn(), BatchLayer::new().order(Order::Unordered)] {
        let log = Arc::clone(&told);
        let layer = layer.on_outcome(move |cx, status, elapsed| {
            log.lock().unwrap().push((cx.index(), status.as_u16(), elapsed));
        });
        let mut batch = operations(["GET a", "GET b <- a", "GET c <- b", "GET d <- d", "GET e <- d", "GET f"]);
        batch[0]["path"] = json!("/hang");
        let answer = soon(post(layer.layer(statuses()), batch)).await;
        assert_eq!(answer.statuses(), [504, 424, 424, 400, 424, 200]);
        let mut told = std::mem::take(&mut *told.lock().unwrap());
        told.sort();
        let seconds = |seconds| Duration::from_secs(seconds);
        let expected = [(0, 504, 30), (1, 424, 0), (2, 424, 0), (3, 400, 0), (4, 424, 0), (5, 200, 0)];
        assert_eq!(told, expected.map(|(index, status, elapsed)| (index, status, seconds(elapsed))));
    }
}

#[tokio::test(start_paused = true)]
async fn dependencies_mean_the_same_in_every_way_of_running() {
    let mut batch = operations([
        "GET a",
        "GET b <- d",
        "GET c <- a",
        "GET d",
        "POST e <- c",
        "POST f <- e",
        "GET g <- f b",
        "GET h <- nobody",
        "GET i <- h",
        "GET j <- k",
        "GET k <- j",
        "GET l <- g",
        "DELETE m <- c",
        "GET n <- panic",
        "GET panic",
    ]);
    batch[4]["path"] = json!("/302");
    let expected = [200, 200, 200, 200, 302, 424, 424, 400, 424, 400, 400, 424, 200, 424, 500];
    let answer = in_every_way(|| (BatchLayer::new(), statuses()), &batch).await;
    assert_eq!(answer.statuses(), expected);
    let answer = in_every_way(|| (BatchLayer::new().order(Order::Unordered), statuses()), &batch).await;
    assert_eq!(answer.statuses(), expected);
}

/// What looks back only can also be told line by line.
#[tokio::test(start_paused = true)]
async fn dependencies_on_what_came_before_mean_the_same_in_every_way_of_running() {
    let mut batch = operations([
        "GET a",
        "GET b",
        "GET c <- a",
        "POST d <- c",
        "POST e <- d",
        "GET f <- e b",
        "GET g <- nobody",
        "GET h <- g",
        "GET panic",
        "GET i <- panic",
        "DELETE j <- c",
        "GET k <- a b c j",
        "GET l <- l",
    ]);
    batch[3]["path"] = json!("/302");
    let expected = [200, 200, 200, 302, 424, 424, 400, 424, 500, 424, 200, 200, 400];
    for order in [Order::Fenced, Order::Sequential, Order::Unordered] {
        let answer = in_every_way(|| (BatchLayer::new().order(order), statuses()), &batch).await;
        assert_eq!(answer.statuses(), expected);
    }
}

/// Lists that a batch of this size can't need: each entry would take many times its bytes.
#[tokio::test]
async fn relations_are_bounded() {
    let json = service_fn(async |_: SubRequest| {
        Ok::<_, Infallible>(([("content-type", "application/json")], "1").into_response())
    });
    let service = || BatchLayer::new().max_operations(3).layer(json);
    let references = |count: usize| -> serde_json::Map<String, Value> {
        (0..count).map(|index| (format!("x{index}"), json!("a#"))).collect()
    };
    for (relation, status) in [
        (json!({"dependsOn": ["a", "a", "a"]}), 200),
        (json!({"dependsOn": vec!["a"; 7]}), 400),
        (json!({"refs": references(3)}), 200),
        (json!({"refs": references(4)}), 400),
        (json!({"refs": {"x": format!("a#{}", "/0".repeat(65))}}), 400),
    ] {
        let mut operation = relation;
        operation["path"] = json!("/");
        let answer = post(service(), Value::from(vec![json!({"id": "a", "path": "/"}), operation.clone()])).await;
        assert_eq!(answer.statuses(), [200, status], "{operation}");
    }
}
