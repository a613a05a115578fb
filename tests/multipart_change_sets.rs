//! Change sets: multiparts in a multipart, of which all requests count or none (OData Protocol 4.01, section 11.7.7).

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[path = "support/multipart.rs"]
mod multipart_support;
#[allow(dead_code, reason = "others use more of it")]
#[path = "common/recorder.rs"]
mod recorder;
mod support;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use multipart_support::{Part, between, change_set, http, named, of, outline, parts, parts_of};
use recorder::{Go, Handle, Log, Recorder};
use serde_json::{Value, json};
use support::{batch_as, batched, call, json_response, response, with};
use tower_multistatus::{BatchLayer, Order, Streaming};

/// Answers with the status that the last part of the target is, and with that target as the location; writes down what ran.
fn obedient(log: &Log) -> impl Fn(Request<Bytes>) -> Response<Bytes> + Clone + Send + 'static {
    let log = log.clone();
    move |request| {
        let target = request.uri().to_string();
        let within = request.extensions().get::<Handle>().map(|handle| format!(" in {}", handle.number));
        log.push(format!("{} {target}{}", request.method(), within.unwrap_or_default()));
        let status = target.rsplit('/').next().unwrap().parse().unwrap_or(StatusCode::OK);
        let body =
            json!({"target": target, "if-match": request.headers().get("if-match").map(|tag| tag.to_str().unwrap())});
        let mut response = json_response(status, &body);
        response.headers_mut().insert("location", target.parse().unwrap());
        response.headers_mut().insert("etag", format!("\"{}\"", target.len()).parse().unwrap());
        response
    }
}

/// The answer to a batch of these parts, and what ran, with what became of transactions.
async fn run(batch: &[&str]) -> (Vec<Part>, Vec<String>) {
    let recorder = Recorder::default();
    let layer = BatchLayer::new().with_coordinator(recorder.clone());
    let answer = parts_of(batched(layer, obedient(&recorder.log)), batch).await;
    (answer, recorder.log.take())
}

fn ran(log: &[String]) -> Vec<&str> {
    let steps = ["begin", "attach", "commit", "rollback", "rolled back", "transaction"];
    log.iter().map(String::as_str).filter(|line| !steps.iter().any(|step| line.starts_with(step))).collect()
}

fn done(log: &[String], what: &str) -> usize {
    log.iter().filter(|line| line.starts_with(what)).count()
}

fn posts<const N: usize>(targets: [&str; N]) -> String {
    let requests = targets.map(|target| http(&format!("POST {target} HTTP/1.1\r\n\r\n")));
    change_set(&requests.each_ref().map(String::as_str))
}

#[tokio::test]
async fn the_standards_example() {
    let first = "POST /service/Customers HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/json\r\n\r\n{}";
    let second = "PATCH /service/Customers('ALFKI') HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/json\r\n\
                  If-Match: xxxxx\r\nPrefer: return=minimal\r\n\r\n{}";
    let (answer, log) = run(&[
        &http("GET /service/Customers('ALFKI')\r\nHost: api.example.com\r\n\r\n\r\n"),
        &change_set(&[&named("1", first), &named("2", second)]),
        &http("GET /service/Products/404 HTTP/1.1\r\nHost: api.example.com\r\n\r\n\r\n"),
    ])
    .await;
    assert_eq!(outline(&answer), json!([[null, 200], {"change set": [["1", 200], ["2", 200]]}, [null, 404]]));
    assert_eq!(
        log,
        [
            "GET /service/Customers('ALFKI')",
            "begin 0",
            "attach 0 to 1",
            "POST /service/Customers in 0",
            "attach 0 to 2",
            "PATCH /service/Customers('ALFKI') in 0",
            "commit 0",
            "committed 0",
            "GET /service/Products/404",
        ]
    );
}

#[tokio::test]
async fn one_response_stands_for_a_change_set_that_failed() {
    for (targets, status, told) in [
        (["/a", "/b/404", "/c"], 404, "/b/404"),
        (["/a/409", "/b", "/c"], 409, "/a/409"),
        (["/a", "/b", "/c/500"], 500, "/c/500"),
        (["/a", "/b/424", "/c"], 424, "/b/424"),
        (["/a", "/b/303", "/c"], 303, "/b/303"),
        (["/a", "/b/304", "/c"], 304, "/b/304"),
    ] {
        let (answer, log) = run(&[&http("GET /0"), &posts(targets), &http("GET /4")]).await;
        assert_eq!(outline(&answer), json!([[null, 200], [null, status], [null, 200]]));
        let single = answer[1].single();
        assert_eq!(single.header("Location"), Some(told));
        assert_eq!([done(&log, "committed"), done(&log, "rolled back")], [0, 1], "{log:?}");
    }
}

#[tokio::test]
async fn the_id_of_the_one_that_failed_is_told() {
    let set = change_set(&[&named("a", "POST /a"), &named("<b>", "POST /404"), &named("c", "POST /c")]);
    assert_eq!(outline(&run(&[&set]).await.0), json!([["<response-b>", 404]]));
}

#[tokio::test]
async fn a_change_set_with_a_faulty_request_is_not_carried_out() {
    for (faulty, status, word) in [
        ("Content-Type: text/plain\r\n\r\nPOST /a", 400, "`application/http`"),
        ("Content-Type: application/http\r\n\r\nnonsense", 400, "request line"),
        ("Content-Type: application/http\r\n\r\nPOST //evil.example\r\n\r\n", 400, "`//`"),
        ("Content-Type: application/http\r\n\r\nPOST $9/a\r\n\r\n", 400, "no request before this one"),
        (&posts(["/a"]), 400, "can't stand in a change set"),
    ] {
        let good = http("POST /good");
        for set in [[faulty, &good, &good], [&good, faulty, &good], [&good, &good, faulty]] {
            let (answer, log) = run(&[&http("GET /before"), &change_set(&set), &http("POST /after")]).await;
            assert_eq!(outline(&answer), json!([[null, 200], [null, status], [null, 200]]), "{faulty:?}");
            let (message, _) = answer[1].single().error(status);
            assert!(message.contains(word), "{faulty:?}: {message}");
            assert_eq!(ran(&log), ["GET /before", "POST /after"], "{faulty:?}");
            assert_eq!(done(&log, "begin"), 0);
        }
    }
}

/// The standard has them elsewhere, but some clients put all that they send into change sets.
#[tokio::test]
async fn requests_that_read_may_stand_in_a_change_set() {
    let requests = ["POST /a", "GET /a", "HEAD /a"].map(http);
    let (answer, log) =
        run(&[&change_set(&requests.each_ref().map(String::as_str)), &change_set(&[&http("GET /b")])]).await;
    let set = |count| json!({"change set": vec![json!([null, 200]); count]});
    assert_eq!(outline(&answer), json!([set(3), set(1)]));
    assert_eq!(ran(&log), ["POST /a in 0", "GET /a in 0", "HEAD /a in 0", "GET /b in 1"]);
}

#[tokio::test]
async fn a_change_set_that_is_cut_off_is_not_carried_out() {
    let whole = posts(["/a", "/b"]);
    let end = whole.find("--c--").unwrap();
    for cut in ["", "--c", "--c-", "--c\r\n", "--d--"] {
        let set = format!("{}{cut}", &whole[..end]);
        let (answer, log) = run(&[&http("GET /before"), &set, &http("POST /after")]).await;
        assert_eq!(outline(&answer), json!([[null, 200], [null, 400], [null, 200]]), "{cut}");
        let (message, _) = answer[1].single().error(400);
        assert!(message.contains("nothing of this change set was carried out"), "{message}");
        assert_eq!(ran(&log), ["GET /before", "POST /after"]);
    }
}

#[tokio::test]
async fn without_a_coordinator_only_a_change_set_of_one_is_carried_out() {
    let log = Log::default();
    let service = batched(BatchLayer::new(), obedient(&log));
    let answer = parts_of(service, &[&posts(["/a", "/b"]), &posts(["/c"]), &posts(["/404"]), &http("POST /d")]).await;
    assert_eq!(outline(&answer), json!([[null, 501], {"change set": [[null, 200]]}, [null, 404], [null, 200]]));
    assert!(answer[0].single().error(501).0.contains("no transactions"));
    assert_eq!(log.take(), ["POST /c", "POST /404", "POST /d"]);
}

#[tokio::test]
async fn a_change_set_is_one_write_among_reads() {
    for order in [None, Some(Order::Fenced), Some(Order::Sequential)] {
        let recorder = Recorder::default();
        let layer = BatchLayer::new().with_coordinator(recorder.clone());
        let layer = order.into_iter().fold(layer, BatchLayer::order);
        let service = batched(layer, obedient(&recorder.log));
        let batch = [http("GET /a"), posts(["/b", "/c"]), http("GET /d"), posts(["/e", "/409"]), http("GET /f")];
        let answer = parts_of(service, &batch.each_ref().map(String::as_str)).await;
        assert_eq!(
            outline(&answer),
            json!([[null, 200], {"change set": [[null, 200], [null, 200]]}, [null, 200], [null, 409], [null, 200]])
        );
        assert_eq!(
            ran(&recorder.log.take()),
            ["GET /a", "POST /b in 0", "POST /c in 0", "GET /d", "POST /e in 1", "POST /409 in 1", "GET /f"]
        );
    }
}

#[tokio::test]
async fn after_a_failed_change_set_the_rest_is_left_out_if_that_is_wanted() {
    let recorder = Recorder::default();
    let layer = BatchLayer::new().with_coordinator(recorder.clone());
    let batch = [posts(["/a", "/409"]), http("GET /b"), posts(["/c", "/d"])];
    let batch = with(of(&batch.each_ref().map(String::as_str)), "prefer", "odata.continue-on-error=false");
    let answer = parts(&call(batched(layer, obedient(&recorder.log)), batch).await);
    assert_eq!(outline(&answer), json!([[null, 409], [null, 424], [null, 424]]));
    assert_eq!(ran(&recorder.log.take()), ["POST /a in 0", "POST /409 in 0"]);
}

#[tokio::test]
async fn what_was_created_can_be_referred_to() {
    let first = named("1", "POST /Customers(7) HTTP/1.1\r\n\r\n{}");
    let second = named("2", "POST $1/Orders?$top=1 HTTP/1.1\r\nIf-Match: $1\r\n\r\n");
    let (answer, log) = run(&[&change_set(&[&first, &second])]).await;
    assert_eq!(outline(&answer), json!([{"change set": [["1", 200], ["2", 200]]}]));
    assert_eq!(ran(&log), ["POST /Customers(7) in 0", "POST /Customers(7)/Orders?$top=1 in 0"]);
    assert_eq!(answer[0].change_set()[1].json()["if-match"], "\"13\"");
    // Outside of change sets, and across them.
    let (answer, log) = run(&[
        &named("read", "GET /Employees(0)"),
        &named("2", "PATCH $read HTTP/1.1\r\nIf-Match: $read\r\n\r\n"),
        &change_set(&[&named("a", "POST /a"), &named("b", "POST $read/b")]),
        &http("GET $a/c"),
        &change_set(&[&named("d", "POST $b/d")]),
    ])
    .await;
    let set = |ids: &[&str]| json!({"change set": ids.iter().map(|id| json!([id, 200])).collect::<Vec<_>>()});
    assert_eq!(outline(&answer), json!([["read", 200], ["2", 200], set(&["a", "b"]), [null, 200], set(&["d"])]));
    assert_eq!(answer[1].single().json()["if-match"], "\"13\"");
    assert_eq!(
        ran(&log),
        [
            "GET /Employees(0)",
            "PATCH /Employees(0)",
            "POST /a in 0",
            "POST /Employees(0)/b in 0",
            "GET /a/c",
            "POST /Employees(0)/b/d in 1",
        ]
    );
}

/// Until 4.0 ids had to be unique only within a change set, and clients count from 1 in each.
#[tokio::test]
async fn each_change_set_may_count_from_one() {
    let set = |target: &str| {
        let first = named("1", &format!("POST {target} HTTP/1.1\r\n\r\n"));
        change_set(&[&first, &named("2", "POST $1/child HTTP/1.1\r\n\r\n")])
    };
    let (answer, log) =
        run(&[&set("/a"), &set("/b"), &named("1", "POST /c"), &http("GET $1/d"), &http("GET $2/e")]).await;
    let twice = json!({"change set": [["1", 200], ["2", 200]]});
    assert_eq!(outline(&answer), json!([twice, twice, ["1", 200], [null, 200], [null, 400]]));
    assert_eq!(
        ran(&log),
        ["POST /a in 0", "POST /a/child in 0", "POST /b in 1", "POST /b/child in 1", "POST /c", "GET /c/d"]
    );
    assert!(answer[4].single().error(400).0.contains("several change sets"));
    let same = change_set(&[&named("1", "POST /a"), &named("1", "POST /b")]);
    let refused = call(batched(BatchLayer::new(), |_| panic!("it was sent")), of(&[&same])).await;
    assert_eq!(support::refusal(&refused, StatusCode::BAD_REQUEST)["pointer"], "/1/id");
}

#[tokio::test]
async fn what_refers_to_a_failure_is_not_sent() {
    let (answer, log) = run(&[
        &named("1", "POST /404"),
        &named("2", "POST $1/a"),
        &change_set(&[&named("3", "POST /b"), &named("4", "POST $2/c")]),
        &change_set(&[&named("5", "POST /409"), &named("6", "POST $5/d")]),
        &http("GET $3/e"),
    ])
    .await;
    assert_eq!(outline(&answer), json!([["1", 404], ["2", 424], ["3", 424], ["5", 409], [null, 424]]));
    assert_eq!(ran(&log), ["POST /404", "POST /409 in 0"]);
}

#[tokio::test]
async fn a_failure_to_begin_or_to_commit_is_the_one_response() {
    for (recorder, status) in [
        (Recorder { begin: Go::Fail, ..Recorder::default() }, 500),
        (Recorder { begin: Go::Refuse(StatusCode::CONFLICT), ..Recorder::default() }, 409),
        (Recorder { commit: Go::Fail, ..Recorder::default() }, 500),
        (Recorder { commit: Go::Refuse(StatusCode::CONFLICT), ..Recorder::default() }, 409),
        (Recorder { commit: Go::Panic, ..Recorder::default() }, 500),
    ] {
        let layer = BatchLayer::new().with_coordinator(recorder.clone());
        let answer = parts_of(batched(layer, obedient(&recorder.log)), &[&posts(["/a", "/b"]), &http("GET /c")]).await;
        assert_eq!(outline(&answer), json!([[null, status], [null, 200]]), "{recorder:?}");
        assert!(!answer[0].single().error(status).0.contains("secret"));
    }
}

#[tokio::test]
async fn boundaries_within_may_be_the_same_or_begin_with_those_around() {
    for (outer, inner) in [("batch", "batch_1"), ("batch_1", "batch"), ("b", "c"), ("b", "b-")] {
        let posts = [http("POST /a"), http("POST /b")];
        let set = between(inner, &posts.each_ref().map(String::as_str));
        let set = format!("Content-Type: multipart/mixed; boundary=\"{inner}\"\r\n\r\n{set}");
        let document = between(outer, &[&set, &set, &http("GET /c")]);
        let recorder = Recorder::default();
        let layer = BatchLayer::new().with_coordinator(recorder.clone());
        let batch = batch_as(&format!("multipart/mixed; boundary={outer}"), document);
        let answer = parts(&call(batched(layer, obedient(&recorder.log)), batch).await);
        let set = json!({"change set": [[null, 200], [null, 200]]});
        assert_eq!(outline(&answer), json!([set, set, [null, 200]]), "{outer} {inner}");
    }
    // With the same one a change set would be a list of requests that stand alone.
    let set = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", between("b", &[&http("POST /a")]));
    let answer = call(batched(BatchLayer::new(), |_| panic!("it was sent")), of(&[&http("POST /b"), &set])).await;
    let problem = support::refusal(&answer, StatusCode::BAD_REQUEST);
    assert!(problem["detail"].as_str().unwrap().contains("the boundary of the batch"));
}

#[tokio::test]
async fn change_sets_are_streamed_in_request_order() {
    let recorder = Recorder::default();
    let layer = BatchLayer::new().with_coordinator(recorder.clone()).stream(Streaming::From(1));
    let batch = [http("GET /a"), posts(["/b", "/c"]), posts(["/d", "/404"]), http("GET /e")];
    let answer = call(batched(layer, obedient(&recorder.log)), of(&batch.each_ref().map(String::as_str))).await;
    assert_eq!(
        outline(&parts(&answer)),
        json!([[null, 200], {"change set": [[null, 200], [null, 200]]}, [null, 404], [null, 200]])
    );
}

/// Their names are ours, and no client's.
#[tokio::test]
async fn change_sets_need_no_long_names_to_be_allowed() {
    let recorder = Recorder::default();
    let layer = BatchLayer::new().with_coordinator(recorder.clone()).max_id_bytes(1);
    let set = change_set(&[&named("1", "POST /a"), &named("2", "POST $1/b")]);
    let long = change_set(&[&named("1", "POST /a"), &named("22", "POST /b")]);
    let answer = parts_of(batched(layer, obedient(&recorder.log)), &[&set, &long, &http("GET /c")]).await;
    assert_eq!(outline(&answer), json!([{"change set": [["1", 200], ["2", 200]]}, [null, 400], [null, 200]]));
}

/// A client that loses the connection meanwhile should know what was committed.
#[tokio::test(start_paused = true)]
async fn a_change_set_is_sent_when_it_has_ended() {
    use http_body_util::BodyExt;
    use tower::{Layer, ServiceExt};

    let recorder = Recorder::default();
    let layer = BatchLayer::new().with_coordinator(recorder.clone()).stream(Streaming::On);
    let service =
        layer.layer(tower::service_fn(|request: Request<tower_multistatus::RequestBody<support::Plain>>| async move {
            if request.uri().path() == "/slow" {
                tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            }
            Ok::<_, std::convert::Infallible>(response(StatusCode::OK, &[], "").map(http_body_util::Full::new))
        }));
    let answer = service.oneshot(of(&[&posts(["/a", "/b"]), &http("GET /slow")])).await.unwrap();
    let began = tokio::time::Instant::now();
    let (mut body, mut text) = (answer.into_body(), Vec::new());
    while !text.windows(6).any(|window| window == b"\r\n--ch") || !text.ends_with(b"--") {
        text.extend_from_slice(body.frame().await.unwrap().unwrap().data_ref().unwrap());
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "only the last one is slow");
    assert_eq!(text.windows(15).filter(|window| window == b"HTTP/1.1 200 OK").count(), 2);
}

/// Ids and names of change sets of our own making can't be mixed up with those of clients.
#[tokio::test]
async fn a_client_can_not_name_what_is_in_another_change_set_by_our_names() {
    let set = change_set(&[&named("1", "POST /a")]);
    let (answer, _) = run(&[&set, &http("GET $1%20of%20change%20set%201/x")]).await;
    assert_eq!(answer[1].single().status, 400);
    let clash = call(
        batched(BatchLayer::new(), |_| response(StatusCode::OK, &[], "")),
        of(&[&set, &named("1 of change set 1", "GET /")]),
    );
    let detail: Value = support::refusal(&clash.await, StatusCode::BAD_REQUEST);
    assert!(detail["detail"].as_str().unwrap().contains("same id"));
}
