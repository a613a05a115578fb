//! OData JSON batches whose requests know of each other: dependencies, groups, conditions, references, and the order.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use axum::response::IntoResponse;
use common::{
    Answer, Body, SubRequest, by_hand,
    recorder::{Go, Log, Recorder},
    request, send, soon,
    stage::Stage,
    ways::Inner,
};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Order, Streaming};

/// Requests as in `"POST g/a <- b c"`: a method, a group, an id, and what it depends on. The path is the id.
fn requests<const N: usize>(lines: [&str; N]) -> Value {
    let request = |line: &&str| {
        let (head, dependencies) = line.split_once(" <- ").unwrap_or((line, ""));
        let (method, name) = head.split_once(' ').unwrap();
        let (group, id) = name.split_once('/').unwrap_or(("", name));
        let mut request = json!({"method": method, "id": id, "url": format!("/{id}")});
        if !group.is_empty() {
            request["atomicityGroup"] = json!(group);
        }
        if !dependencies.is_empty() {
            request["dependsOn"] = dependencies.split(' ').collect();
        }
        request
    };
    json!({"requests": lines.iter().map(request).collect::<Value>()})
}

/// Answers with what the path begins with, and writes down what was sent to it: method, target, and preconditions.
/// `/201/x` has the location `/made/x?y=1`, and `"x"` for its entity tag.
fn obedient(log: &Log) -> Inner {
    let log = log.clone();
    Inner::new(service_fn(move |request: SubRequest| {
        let log = log.clone();
        async move {
            let conditions = ["if-match", "if-none-match"].iter().filter_map(|name| request.headers().get(*name));
            let conditions: String = conditions.map(|value| format!(" {}", value.to_str().unwrap())).collect();
            log.push(format!("{} {}{conditions}", request.method(), request.uri()));
            let mut parts = request.uri().path().trim_start_matches('/').splitn(2, '/');
            let (status, rest) = (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default());
            let mut response = status.parse().unwrap_or(StatusCode::OK).into_response();
            if status == "201" {
                let headers = response.headers_mut();
                headers.insert(header::LOCATION, format!("/made/{rest}?y=1").parse().unwrap());
                headers.insert(header::ETAG, format!("\"{rest}\"").parse().unwrap());
            }
            Ok::<_, BoxError>(response)
        }
    }))
}

fn responses(answer: &Answer) -> &[Value] {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json["responses"].as_array().unwrap()
}

fn statuses(answer: &Answer) -> Vec<u64> {
    responses(answer).iter().map(|response| response["status"].as_u64().unwrap()).collect()
}

fn message(response: &Value) -> &str {
    response["body"]["error"]["message"].as_str().unwrap()
}

async fn run(layer: &BatchLayer, batch: Value) -> (Answer, Vec<String>) {
    let log = Log::default();
    let answer = soon(send(layer.layer(obedient(&log)), request(batch))).await;
    (answer, log.take())
}

/// What the second of two requests was refused with, and where. The first one is `a`.
async fn faulty(mut second: Value, status: u64) -> (String, String) {
    second["id"] = json!("b");
    let first = json!({"id": "a", "method": "post", "url": "/201/a"});
    let (answer, log) = run(&BatchLayer::new(), json!({"requests": [first, second]})).await;
    assert_eq!(statuses(&answer), [201, status], "{answer:?}");
    assert_eq!(log, ["POST /201/a"]);
    let error = &responses(&answer)[1]["body"]["error"];
    (message(&responses(&answer)[1]).to_owned(), error["target"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(start_paused = true)]
async fn requests_run_side_by_side_unless_the_server_has_an_order() {
    let batch = || requests(["POST a", "POST b", "GET c"]);
    let mut stage = Stage::new(&BatchLayer::new(), batch());
    assert_eq!(stage.begin(), ["/a", "/b", "/c"]);
    let mut stage = Stage::new(&BatchLayer::new().order(Order::Unordered), batch());
    assert_eq!(stage.begin(), ["/a", "/b", "/c"]);
    for order in [Order::Fenced, Order::Sequential] {
        let mut stage = Stage::new(&BatchLayer::new().order(order), batch());
        assert_eq!(stage.begin(), ["/a"], "{order:?}");
        stage.answer("/a", 200);
        assert_eq!(stage.begin(), ["/b"]);
    }
}

#[tokio::test]
async fn the_standards_example() {
    let recorder = Recorder::default();
    let layer = BatchLayer::new().path("/service/$batch").with_coordinator(recorder.clone());
    let batch = json!({"requests": [
        {"id": "0", "method": "get", "url": "/service/Customers('ALFKI')"},
        {"id": "1", "atomicityGroup": "group1", "dependsOn": ["0"], "method": "patch",
         "url": "/service/Customers('ALFKI')", "headers": {"Prefer": "return=minimal"}, "body": {"Name": "x"}},
        {"id": "2", "atomicityGroup": "group1", "method": "post", "url": "/service/Customers", "body": {"Name": "y"}},
        {"id": "3", "dependsOn": ["group1"], "method": "get", "url": "/service/Products"},
    ]});
    let (log, mut request) = (Log::default(), request(batch));
    *request.uri_mut() = "/service/$batch".parse().unwrap();
    let answer = soon(send(layer.layer(obedient(&log)), request)).await;
    let told = |id: &str| json!({"id": id, "status": 200, "headers": {}, "body": null});
    let member = |id: &str| json!({"id": id, "atomicityGroup": "group1", "status": 200, "headers": {}, "body": null});
    assert_eq!(answer.json, json!({"responses": [told("0"), member("1"), member("2"), told("3")]}));
    assert_eq!(recorder.log.take(), ["begin 0", "attach 0 to 1", "attach 0 to 2", "commit 0", "committed 0"]);
    assert_eq!(
        log.take(),
        [
            "GET /service/Customers('ALFKI')",
            "PATCH /service/Customers('ALFKI')",
            "POST /service/Customers",
            "GET /service/Products"
        ]
    );
}

#[tokio::test]
async fn the_standards_references() {
    let layer = BatchLayer::new();
    let batch = json!({"requests": [
        {"id": "1", "method": "post", "url": "/201/Customers(7)", "body": {}},
        {"id": "2", "dependsOn": ["1"], "method": "post", "url": "$1/Orders", "body": {}},
    ]});
    let (answer, log) = run(&layer, batch).await;
    assert_eq!(statuses(&answer), [201, 200]);
    assert_eq!(log, ["POST /201/Customers(7)", "POST /made/Customers(7)/Orders"]);
    let batch = json!({"requests": [
        {"id": "1", "method": "get", "url": "/201/Employees(0)", "headers": {"accept": "application/json"}},
        {"id": "2", "dependsOn": ["1"], "method": "patch", "url": "/service/Employees(0)",
         "headers": {"if-match": "$1"}, "body": {"Salary": 75000}},
    ]});
    let (answer, log) = run(&layer, batch).await;
    assert_eq!(statuses(&answer), [201, 200]);
    assert_eq!(log, ["GET /201/Employees(0)", "PATCH /service/Employees(0) \"Employees(0)\""]);
}

#[tokio::test]
async fn what_depends_on_a_failure_is_not_carried_out() {
    let batch =
        requests(["GET a", "GET 404 <- a", "GET c <- 404", "GET d <- c a", "GET e <- a", "GET 302", "GET g <- 302"]);
    let (answer, log) = run(&BatchLayer::new(), batch).await;
    assert_eq!(statuses(&answer), [200, 404, 424, 424, 200, 302, 424]);
    assert_eq!(log.len(), 4, "{log:?}");
    let failed = json!({"id": "c", "status": 424, "headers": {"Content-Type": "application/json"}, "body": {"error": {
        "code": "FailedDependency",
        "message": "`404`, which this operation or its group depends on, did not succeed; this one was not carried out",
    }}});
    assert_eq!(responses(&answer)[2], failed);
}

#[tokio::test]
async fn a_dependency_names_something_that_has_come_before() {
    for (depends_on, target) in [
        (json!(["nobody"]), "/requests/1/dependsOn/0"),
        (json!(["a", "b"]), "/requests/1/dependsOn/1"),
        (json!(["a", "a", "c"]), "/requests/1/dependsOn/2"),
        (json!("a"), "/requests/1/dependsOn"),
        (json!([1]), "/requests/1/dependsOn"),
        (json!({"a": 1}), "/requests/1/dependsOn"),
    ] {
        let (message, at) = faulty(json!({"method": "get", "url": "/", "dependsOn": depends_on}), 400).await;
        assert_eq!(at, target, "{message}");
    }
    // Nor is a later one known, where that would be possible.
    let (answer, _) = run(&BatchLayer::new(), requests(["GET a <- b", "GET b", "GET c <- g", "GET g/d"])).await;
    assert_eq!(statuses(&answer), [400, 200, 400, 200]);
    let (answer, _) = run(&BatchLayer::new(), requests(["GET a", "GET b <- a a"])).await;
    assert_eq!(statuses(&answer), [200, 200]);
    let none = json!({"requests": [{"id": "a", "method": "get", "url": "/", "dependsOn": null, "if": null,
        "atomicityGroup": null}]});
    assert_eq!(
        responses(&run(&BatchLayer::new(), none).await.0)[0],
        json!({"id": "a", "status": 200, "headers": {}, "body": null})
    );
}

#[tokio::test]
async fn ids_and_names_of_groups_are_of_one_kind() {
    for batch in [
        requests(["GET g/a", "GET g"]),
        requests(["GET g", "GET g/a"]),
        requests(["GET g/g"]),
        requests(["GET g/a", "GET a/b"]),
    ] {
        let (answer, log) = run(&BatchLayer::new(), batch.clone()).await;
        assert_eq!((answer.status.as_u16(), log.len()), (400, 0), "{batch}");
        assert!(answer.detail().contains("the id of a request and the name of a group"), "{answer:?}");
    }
    let (answer, _) = run(&BatchLayer::new(), requests(["GET a", "GET b", "GET a"])).await;
    assert!(answer.detail().contains("the same id"), "{answer:?}");
    // The pair need not be good otherwise.
    let faulty = json!({"requests": [{"id": "g"}, {"atomicityGroup": "g", "url": "/"}]});
    assert_eq!(run(&BatchLayer::new(), faulty).await.0.status, 400);
}

#[tokio::test]
async fn a_group_counts_all_or_none_and_is_told_in_each_response() {
    for (failing, expected) in [(false, [200; 4]), (true, [424, 409, 424, 200])] {
        let recorder = Recorder::default();
        let mut batch = requests(["POST g/a", "POST g/b", "GET c <- g", "GET d"]);
        if failing {
            batch["requests"][1]["url"] = json!("/409");
        }
        let (answer, log) = run(&BatchLayer::new().with_coordinator(recorder.clone()), batch).await;
        assert_eq!(statuses(&answer), expected);
        assert_eq!(log.contains(&"GET /c".to_owned()), !failing);
        let groups: Vec<_> = responses(&answer).iter().map(|response| response.get("atomicityGroup")).collect();
        assert_eq!(groups, [Some(&json!("g")), Some(&json!("g")), None, None]);
        let ended = if failing { "rolled back 0" } else { "committed 0" };
        assert_eq!(recorder.log.take().last().unwrap(), ended);
    }
}

#[tokio::test]
async fn a_group_waits_for_what_any_of_its_members_depends_on() {
    let layer = BatchLayer::new().with_coordinator(Recorder::default());
    let mut stage =
        Stage::new(&layer, requests(["GET a", "GET b", "POST g/c <- a", "POST g/d <- b c", "GET h/e <- g"]));
    assert_eq!(stage.begin(), ["/a", "/b"]);
    stage.answer("/a", 200);
    assert!(stage.begin().is_empty());
    stage.answer("/b", 200);
    assert_eq!(stage.begin(), ["/c"]);
    stage.answer("/c", 200);
    assert_eq!(stage.begin(), ["/d"]);
    stage.answer("/d", 200);
    assert_eq!(stage.begin(), ["/e"]);
    stage.answer("/e", 200);
    let answer = stage.end().await;
    assert_eq!(statuses(&answer), [200; 5]);
}

#[tokio::test]
async fn who_depends_on_a_member_of_another_group_has_to_name_the_group() {
    let layer = BatchLayer::new().with_coordinator(Recorder::default());
    let (answer, _) =
        run(&layer, requests(["GET g/a", "GET g/b <- a", "GET c <- a", "GET h/d <- b", "GET e <- g"])).await;
    assert_eq!(statuses(&answer), [200, 200, 400, 400, 200]);
    assert_eq!(
        message(&responses(&answer)[2]),
        "`a` belongs to the group `g`, on which as a whole requests of no other group can depend"
    );
    let (answer, _) = run(&layer, requests(["GET g/a", "GET g/b <- g"])).await;
    assert_eq!(statuses(&answer), [424, 400], "a member can't wait for the whole");
}

#[tokio::test]
async fn members_of_a_group_stand_side_by_side() {
    let layer = BatchLayer::new().with_coordinator(Recorder::default());
    let (answer, log) = run(&layer, requests(["GET g/a", "GET b", "GET g/c"])).await;
    assert_eq!(statuses(&answer), [400, 200, 400]);
    assert_eq!(log, ["GET /b"]);
    assert_eq!(responses(&answer)[2]["body"]["error"]["target"], "/requests/2/atomicityGroup");
}

#[tokio::test]
async fn without_a_coordinator_a_group_of_several_is_not_carried_out() {
    let (answer, log) =
        run(&BatchLayer::new(), requests(["GET g/a", "GET g/b", "GET c <- g", "GET h/d", "GET e <- h"])).await;
    assert_eq!(statuses(&answer), [501, 501, 424, 200, 200]);
    assert_eq!(log, ["GET /d", "GET /e"]);
    assert_eq!(responses(&answer)[0]["body"]["error"]["code"], "NotImplemented");
}

#[tokio::test]
async fn a_group_that_can_not_be_read_spoils_all_groups() {
    let layer = BatchLayer::new().with_coordinator(Recorder::default());
    for unreadable in [
        r#"{"id":"x","method":"get","url":"/","atomicityGroup":1}"#,
        r#"{"id":"x","method":"get","url":"/","atomicityGroup":"h","atomicityGroup":"g"}"#,
        r#"{"id":"x","\ud800":"g"}"#,
    ] {
        let group = r#"{"id":"a","method":"get","url":"/a","atomicityGroup":"g"}"#;
        let document = format!(r#"{{"requests":[{group},{unreadable},{{"id":"c","method":"get","url":"/c"}}]}}"#);
        let log = Log::default();
        let answer = soon(send(layer.layer(obedient(&log)), request(document))).await;
        assert_eq!(statuses(&answer), [424, 400, 200], "{unreadable}");
        assert_eq!(log.take(), ["GET /c"]);
    }
}

#[tokio::test]
async fn a_condition_takes_the_place_of_the_rule() {
    for (first, condition, expected) in [
        ("/200", "$a/$succeeded", 200),
        ("/404", "$a/$succeeded", 424),
        ("/302", "$a/$succeeded", 424),
        ("/200", "not $a/$succeeded", 424),
        ("/404", "not $a/$succeeded", 200),
        ("/302", "not($a/$succeeded)", 200),
        ("/..", "not $a/$succeeded", 200),
    ] {
        for depends_on in [json!([]), json!(["a"]), json!(["a", "fails"]), json!(["fails"])] {
            let batch = json!({"requests": [
                {"id": "a", "method": "get", "url": first},
                {"id": "fails", "method": "get", "url": "/500"},
                {"id": "b", "method": "get", "url": "/b", "dependsOn": depends_on, "if": condition},
                {"id": "c", "method": "get", "url": "/c", "dependsOn": ["b"]},
            ]});
            let (answer, log) = run(&BatchLayer::new(), batch).await;
            assert_eq!(statuses(&answer)[2..], [expected, expected], "{first} {condition} {depends_on}");
            assert_eq!(log.contains(&"GET /b".to_owned()), expected == 200);
        }
    }
}

#[tokio::test]
async fn a_condition_waits_for_all_that_is_depended_on() {
    let mut batch = requests(["GET a", "GET b", "GET c <- b"]);
    batch["requests"][2]["if"] = json!("not $a/$succeeded");
    let mut stage = Stage::new(&BatchLayer::new(), batch);
    assert_eq!(stage.begin(), ["/a", "/b"]);
    stage.answer("/a", 500);
    assert!(stage.begin().is_empty());
    stage.answer("/b", 500);
    assert_eq!(stage.begin(), ["/c"]);
    stage.answer("/c", 200);
    assert_eq!(statuses(&stage.end().await), [500, 500, 200]);
}

#[tokio::test]
async fn what_a_condition_can_not_say_is_a_failed_dependency() {
    for condition in ["$a/Name eq 'x'", "$a", "true", "", "$a/$succeeded and not $a/$succeeded", "not true"] {
        let second = json!({"method": "get", "url": "/b", "dependsOn": ["a"], "if": condition});
        assert_eq!(faulty(second, 424).await.1, "/requests/1/if", "{condition}");
    }
    for condition in [json!("$b/$succeeded"), json!("$nobody/$succeeded"), json!(true), json!({})] {
        let second = json!({"method": "get", "url": "/b", "dependsOn": ["a"], "if": condition});
        assert_eq!(faulty(second, 400).await.1, "/requests/1/if", "{condition}");
    }
}

#[tokio::test]
async fn conditions_and_groups() {
    let layer = BatchLayer::new().with_coordinator(Recorder::default());
    let with_condition = |mut batch: Value, at: usize, condition: &str| {
        batch["requests"][at]["if"] = json!(condition);
        batch
    };
    for (batch, expected) in [
        // Of a member: it holds for the whole group.
        (
            with_condition(requests(["GET 404", "GET g/b", "GET g/c <- 404"]), 2, "not $404/$succeeded"),
            &[404, 200, 200][..],
        ),
        (with_condition(requests(["GET a", "GET g/b", "GET g/c <- a"]), 2, "not $a/$succeeded"), &[200, 424, 424]),
        (with_condition(requests(["GET 404", "GET g/b", "GET g/c"]), 1, "$404/$succeeded"), &[404, 424, 424]),
        (with_condition(requests(["GET a", "GET g/b", "GET g/c"]), 1, "$a/Name eq 'x'"), &[200, 424, 424]),
        // On a member: on its group.
        (with_condition(requests(["GET g/a", "GET g/404", "GET c <- g"]), 2, "not $a/$succeeded"), &[424, 404, 200]),
        (with_condition(requests(["GET g/a", "GET g/404", "GET c <- g"]), 2, "$a/$succeeded"), &[424, 404, 424]),
        (with_condition(requests(["GET g/a", "GET g/404", "GET c <- g"]), 2, "not $g/$succeeded"), &[424, 404, 200]),
        (with_condition(requests(["GET g/a", "GET g/b", "GET c <- g"]), 2, "$g/$succeeded"), &[200, 200, 200]),
        // Within a group, whose members run only while all before them have succeeded.
        (with_condition(requests(["GET g/a", "GET g/b <- a"]), 1, "$a/$succeeded"), &[200, 200]),
        (with_condition(requests(["GET g/a", "GET g/b <- a"]), 1, "not $a/$succeeded"), &[424, 424]),
    ] {
        let (answer, log) = run(&layer, batch.clone()).await;
        assert_eq!(statuses(&answer), expected, "{batch}");
        let ran = expected.iter().filter(|status| **status != 424).count();
        assert!(log.len() >= ran, "{log:?}");
    }
}

#[tokio::test]
async fn a_url_may_begin_with_what_another_request_has_created_or_returned() {
    for (first, url, expected) in [
        (("post", "/201/a"), "$a/lines", "GET /made/a/lines"),
        (("post", "/201/a"), "$a/lines?x=1", "GET /made/a/lines?x=1"),
        (("post", "/201/a"), "$a/", "GET /made/a/"),
        (("post", "/201/a"), "$a", "GET /made/a?y=1"),
        (("post", "/201/a"), "$a?x=1", "GET /made/a?x=1"),
        (("post", "/201/a/"), "$a/lines", "GET /made/a/lines"),
        (("put", "/201/a"), "$a/lines", "GET /made/a/lines"),
        (("get", "/201/a"), "$a/lines", "GET /made/a/lines"),
        (("get", "/users(1)?$select=a"), "$a/lines", "GET /users(1)/lines"),
        (("get", "/users(1)?$select=a"), "$a", "GET /users(1)?$select=a"),
        (("get", "/users(1)/"), "$a/lines?$filter=b%20eq%20{c}", "GET /users(1)/lines?$filter=b%20eq%20{c}"),
        (("get", "/"), "$a/lines", "GET /lines"),
    ] {
        let batch = json!({"requests": [
            {"id": "a", "method": first.0, "url": first.1},
            {"id": "b", "method": "get", "url": url, "dependsOn": ["a"]},
        ]});
        let (_, log) = run(&BatchLayer::new(), batch).await;
        assert_eq!(log[1..], [expected], "{first:?} {url}");
    }
}

#[tokio::test]
async fn a_reference_needs_its_dependency() {
    for (second, target) in [
        (json!({"method": "get", "url": "$a/lines"}), "/requests/1/url"),
        (json!({"method": "get", "url": "$a/lines", "dependsOn": []}), "/requests/1/url"),
        (json!({"method": "get", "url": "$nobody/lines", "dependsOn": ["a"]}), "/requests/1/url"),
        (json!({"method": "get", "url": "$b", "dependsOn": ["a"]}), "/requests/1/url"),
        (json!({"method": "get", "url": "$a/../x", "dependsOn": ["a"]}), "/requests/1/url"),
        (json!({"method": "get", "url": "$a/x#y", "dependsOn": ["a"]}), "/requests/1/url"),
        (json!({"method": "get", "url": "$a x", "dependsOn": ["a"]}), "/requests/1/url"),
        (json!({"method": "get", "url": "/", "headers": {"if-match": "$a"}}), "/requests/1/headers/if-match"),
        (
            json!({"method": "get", "url": "/", "headers": {"If-None-Match": "$b"}, "dependsOn": ["a"]}),
            "/requests/1/headers/If-None-Match",
        ),
    ] {
        let (message, at) = faulty(second.clone(), 400).await;
        assert_eq!(at, target, "{second}: {message}");
    }
}

#[tokio::test]
async fn a_reference_that_comes_to_nothing_is_a_failed_dependency() {
    for (first, second, word) in [
        (
            ("post", "/200"),
            json!({"url": "$a/lines"}),
            "`$a` could not be taken from `a`: its response has no `location`",
        ),
        (("put", "/200"), json!({"url": "$a"}), "no `location`"),
        (("get", "/404"), json!({"url": "$a"}), "`a`, which this operation or its group depends on, did not succeed"),
        (("get", "/200"), json!({"url": "/", "headers": {"If-Match": "$a"}}), "has no `etag`"),
    ] {
        let mut second = second;
        second["id"] = json!("b");
        second["method"] = json!("delete");
        second["dependsOn"] = json!(["a"]);
        let batch = json!({"requests": [{"id": "a", "method": first.0, "url": first.1}, second]});
        let (answer, log) = run(&BatchLayer::new(), batch).await;
        assert_eq!((statuses(&answer)[1], log.len()), (424, 1), "{word}");
        assert!(message(&responses(&answer)[1]).contains(word), "{answer:?}");
    }
}

#[tokio::test]
async fn a_location_elsewhere_is_not_followed() {
    for location in ["https://evil.example/a", "//evil.example/a", "/a\\b", "mailto:a"] {
        let inner = service_fn(move |request: SubRequest| async move {
            assert_eq!(request.uri(), "/a");
            let response = Response::builder().header("location", HeaderValue::from_static(location));
            Ok::<_, BoxError>(response.body(Body::empty()).unwrap())
        });
        let batch = json!({"requests": [
            {"id": "a", "method": "post", "url": "/a"},
            {"id": "b", "method": "get", "url": "$a/b", "dependsOn": ["a"]},
        ]});
        let answer = soon(send(BatchLayer::new().layer(inner), request(batch))).await;
        assert_eq!(statuses(&answer), [200, 424], "{location}");
        assert_eq!(responses(&answer)[1]["body"]["error"]["target"], "/requests/1/url");
    }
}

#[tokio::test]
async fn entity_tags_stand_for_themselves_unless_they_begin_as_a_reference() {
    for (headers, expected) in [
        (json!({"If-Match": "$a"}), "GET /b \"a\""),
        (json!({"if-none-match": "$a"}), "GET /b \"a\""),
        (json!({"if-match": "$a", "if-none-match": "$a"}), "GET /b \"a\" \"a\""),
        (json!({"if-match": "\"$a\""}), "GET /b \"$a\""),
        (json!({"if-match": "*"}), "GET /b *"),
    ] {
        let batch = json!({"requests": [
            {"id": "a", "method": "put", "url": "/201/a"},
            {"id": "b", "method": "get", "url": "/b", "headers": headers, "dependsOn": ["a"]},
        ]});
        let (answer, log) = run(&BatchLayer::new(), batch).await;
        assert_eq!(log[1..], [expected], "{answer:?}");
    }
}

#[tokio::test]
async fn nothing_else_is_taken_for_a_reference() {
    let batch = r#"{"requests":[
        {"id":"a","method":"put","url":"/201/a"},
        {"id":"b","method":"post","url":"$a/x","dependsOn":["a"],
         "headers":{"if-match":"$a","prefer":"$a"},"body":{"a":"$a","b":{"$ref":"$a"},"c":{"$ref":"the entity tag for if-match"}}}]}"#;
    let inner = service_fn(|request: SubRequest| async move {
        let prefer = request.headers().get("prefer").cloned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut response = Response::new(Body::from(body));
        let headers = response.headers_mut();
        headers.insert("location", HeaderValue::from_static("/a"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("etag", prefer.unwrap_or(HeaderValue::from_static("\"a\"")));
        Ok::<_, BoxError>(response)
    });
    let answer = soon(send(BatchLayer::new().layer(inner), request(batch))).await;
    let second = &responses(&answer)[1];
    assert_eq!(second["headers"]["ETag"], "$a");
    assert_eq!(second["body"], json!({"a": "$a", "b": {"$ref": "$a"}, "c": {"$ref": "the entity tag for if-match"}}));
}

#[tokio::test]
async fn a_member_can_be_referred_to_from_its_group_and_by_who_depends_on_the_group() {
    let layer = BatchLayer::new().with_coordinator(Recorder::default());
    let batch = |last: &str, condition: Value| {
        json!({"requests": [
            {"id": "a", "atomicityGroup": "g", "method": "post", "url": "/201/a"},
            {"id": "b", "atomicityGroup": "g", "method": "get", "url": "$a/b", "dependsOn": ["a"]},
            {"id": "c", "atomicityGroup": "g", "method": "get", "url": last},
            {"id": "d", "method": "get", "url": "$a/d", "dependsOn": ["g"], "if": condition},
        ]})
    };
    let (answer, log) = run(&layer, batch("/200", Value::Null)).await;
    assert_eq!(statuses(&answer), [201, 200, 200, 200]);
    assert_eq!(log, ["POST /201/a", "GET /made/a/b", "GET /200", "GET /made/a/d"]);
    // What was rolled back has no place, whatever the condition says.
    for condition in [Value::Null, json!("$g/$succeeded"), json!("not $g/$succeeded"), json!("not $a/$succeeded")] {
        let (answer, log) = run(&layer, batch("/409", condition.clone())).await;
        assert_eq!(statuses(&answer), [424, 424, 409, 424], "{condition}");
        assert_eq!(log, ["POST /201/a", "GET /made/a/b", "GET /409"]);
    }
}

#[tokio::test]
async fn a_batch_may_prefer_to_stop_at_the_first_failure() {
    let sent = async |layer: BatchLayer, prefer: Option<&'static str>| {
        let log = Log::default();
        let mut request = request(requests(["GET a", "GET 404", "GET c"]));
        request
            .headers_mut()
            .extend(prefer.map(|prefer| (HeaderName::from_static("prefer"), HeaderValue::from_static(prefer))));
        let answer = soon(send(layer.order(Order::Sequential).layer(obedient(&log)), request)).await;
        (statuses(&answer), log.take().len())
    };
    let (all, stopped) = ((vec![200, 404, 200], 3), (vec![200, 404, 424], 2));
    for (prefer, expected) in [
        (None, &all),
        (Some("continue-on-error"), &all),
        (Some("odata.continue-on-error=true"), &all),
        (Some("continue-on-error=false"), &stopped),
        (Some("return=minimal, odata.continue-on-error=false"), &stopped),
    ] {
        assert_eq!(&sent(BatchLayer::new(), prefer).await, expected, "{prefer:?}");
        assert_eq!(&sent(BatchLayer::new().allow_on_failure(), prefer).await, expected, "{prefer:?}");
    }
    // What the server does otherwise, it does unless it leaves it to the batch.
    for prefer in [None, Some("continue-on-error=true"), Some("continue-on-error=false")] {
        assert_eq!(sent(BatchLayer::new().stop_on_failure(), prefer).await, stopped, "{prefer:?}");
    }
    let lenient = || BatchLayer::new().stop_on_failure().allow_on_failure();
    assert_eq!(sent(lenient(), None).await, stopped);
    assert_eq!(sent(lenient(), Some("continue-on-error=true")).await, all);
}

#[tokio::test(start_paused = true)]
async fn a_streamed_answer_has_its_responses_as_they_come() {
    let (inner, mut calls) = by_hand();
    let layer = BatchLayer::new().stream(Streaming::On).keep_alive(std::time::Duration::from_secs(5));
    let batch = requests(["GET a", "GET b", "GET c <- b"]);
    let response = layer.layer(inner).oneshot(request(batch)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let mut body = response.into_body();
    let mut text = String::new();
    let mut next = async |text: &mut String| {
        let piece = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
        text.len()
    };
    next(&mut text).await;
    assert_eq!(text, r#"{"responses":["#);
    next(&mut text).await;
    assert_eq!(text, "{\"responses\":[\n", "it is kept alive by white space");
    let (a, b) = (calls.next().await, calls.next().await);
    b.answer(201);
    next(&mut text).await;
    assert!(text.contains(r#"{"id":"b","status":201"#) && !text.contains(r#""id":"a""#), "{text}");
    let c = calls.next().await;
    c.answer(404);
    next(&mut text).await;
    a.answer(200);
    while !text.ends_with("]}") {
        next(&mut text).await;
    }
    let told: Value = serde_json::from_str(&text).unwrap();
    let ids: Vec<_> = told["responses"].as_array().unwrap().iter().map(|response| &response["id"]).collect();
    assert_eq!(ids, ["b", "c", "a"]);
}

#[tokio::test]
async fn an_answer_that_is_whole_is_in_request_order() {
    let mut stage = Stage::new(&BatchLayer::new(), requests(["GET a", "GET b"]));
    assert_eq!(stage.begin(), ["/a", "/b"]);
    stage.answer("/b", 200);
    assert!(stage.begin().is_empty());
    stage.answer("/a", 404);
    assert_eq!(statuses(&stage.end().await), [404, 200]);
}

#[tokio::test]
async fn what_has_had_its_time_is_told_in_a_group_too() {
    let recorder = Recorder { commit: Go::Hang, ..Recorder::default() };
    let layer = BatchLayer::new().with_coordinator(recorder).operation_timeout(std::time::Duration::from_millis(20));
    let (answer, _) = run(&layer, requests(["POST g/a", "GET b <- g"])).await;
    assert_eq!(statuses(&answer), [504, 424]);
    assert_eq!(responses(&answer)[0]["atomicityGroup"], "g");
}
