//! What reports look like, and what programs end with.

use serde_json::json;
use tower_multistatus::inspect::{self, Outcome, Severity};

use super::inspected;

const ANSWER: &str = r#"HTTP/1.1 207 Multi-Status
content-type: application/json
cache-control: max-age=60

{"results":[{"index":1,"id":"a","status":404,"error":"There is no \u001b[31m such user"},{"index":0,"status":207,"data":[{"status":500,"message":"broken"},{"id":"x"}]}]}"#;

#[test]
fn people_read_it() {
    let expected = "\
207 Multi-Status: `results` in JSON, 2 results: 1 succeeded, 1 failed
  #0 404 of operation 1 a: There is no \u{fffd}[31m such user
  #1 207 of operation 0: a list of results in JSON, 2 results: 0 succeeded, 1 failed, 1 unknown
    #0 500: broken
    #1 ??? x

error item-without-status #1/#1: the result has no status
  harms client: Nobody knows what became of this operation. [RFC 4918 §14.24]
warning mixed-ids #1: results with an id: 1, without one: 1
  harms client: A client that looks for ids can't find those that have none. [OData JSON 4.01 §19]
warning cacheable: a cache may keep it for 60 s
  harms cache: A cache may keep the outcomes of one batch, and give them to another. [RFC 9111 §3]
";
    let report = inspected(ANSWER);
    assert_eq!(report.to_string(), expected);

    let painted = report.painted().to_string();
    let plain = painted
        .split('\u{1b}')
        .map(|piece| piece.split_once('m').filter(|_| piece.starts_with('[')).map_or(piece, |it| it.1));
    assert_eq!(plain.collect::<String>(), report.to_string());
    assert!(painted.contains("\u{1b}[31m404\u{1b}[0m"), "{painted}");
}

#[test]
fn programs_read_it() {
    let report = serde_json::to_value(inspected(ANSWER)).unwrap();
    assert_eq!(
        report["contents"],
        json!({
            "shape": "results", "total": 2, "succeeded": 1, "failed": 1, "unknown": 0,
            "items": [
                {"place": 0, "index": 1, "id": "a", "status": 404, "failure": "There is no \u{fffd}[31m such user"},
                {"place": 1, "index": 0, "status": 207, "inner": {
                    "shape": "list", "total": 2, "succeeded": 0, "failed": 1, "unknown": 1,
                    "items": [{"place": 0, "status": 500, "failure": "broken"}, {"place": 1, "id": "x", "status": null}],
                }},
            ],
        })
    );
    assert_eq!(
        report["findings"][0],
        json!({
            "code": "item-without-status", "severity": "error", "at": [1, 1], "detail": "the result has no status",
            "harms": "client", "why": "Nobody knows what became of this operation.", "section": "RFC 4918 §14.24",
        })
    );
    assert_eq!(report["status"], 207);
    assert_eq!(report["exitCode"], 2);
    assert_eq!(report["leftOut"], 0);
}

#[test]
fn exit_codes_are_the_highest_that_holds() {
    let head = "HTTP/1.1 207 Multi-Status\ncache-control: no-store\ncontent-type: application/json\n\n";
    for (answer, expected) in [
        (format!(r#"{head}{{"results":[{{"status":200}}]}}"#), 0),
        (format!(r#"{head}{{"results":[{{"status":200}},{{"status":404}}]}}"#), 1),
        // A failure within a result that is a success by itself.
        (
            format!(
                r#"{head}{{"results":[{{"status":207,"data":{{"results":[{{"status":404}},{{"status":200}}]}}}}]}}"#
            ),
            1,
        ),
        ("HTTP/1.1 503 Service Unavailable\n\n".to_owned(), 1),
        (format!(r#"{head}{{"results":[{{"status":"200"}}]}}"#), 2),
        (format!(r#"{head}{{"results":[{{"status":"404"}}]}}"#), 2),
        (format!(r#"{head}{{"results":[{{"status":"200"}}"#), 3),
        (head.to_owned(), 3),
    ] {
        let report = inspected(&answer);
        assert_eq!(report.exit_code(), expected, "{answer}\n{report}");
    }
}

#[test]
fn long_reports_are_cut_and_counted() {
    let results = vec![r#"{"status":"404"}"#; 10_050].join(",");
    let report = inspected(format!("HTTP/1.1 207 Multi-Status\ncontent-type: application/json\n\n[{results}]"));
    let contents = report.contents().unwrap();
    assert_eq!((contents.items.len(), contents.total, contents.failed), (10_000, 10_050, 10_050));
    let told = report.findings().iter().filter(|finding| finding.code == inspect::Code::StatusAsText).count();
    assert_eq!((told, report.left_out()), (100, 9_950));
    let text = report.to_string();
    assert!(
        text.contains("  and 50 more\n") && text.ends_with("and 9950 more of these\n"),
        "{}",
        &text[text.len() - 200..]
    );
}

#[test]
fn outcomes_and_severities_have_names() {
    let report = inspected(ANSWER);
    assert_eq!(report.contents().unwrap().items[0].outcome(), Outcome::Failed);
    assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::Error);
}

#[test]
fn what_curl_saves_is_read() {
    for (text, status, body) in [
        ("HTTP/1.1 207 Multi-Status\r\na: b\r\n\r\nbody", 207, "body"),
        ("HTTP/2 207 \r\n\r\n", 207, ""),
        ("HTTP/3 207\n\nbody", 207, "body"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 207 Multi-Status\r\n\r\nbody", 207, "body"),
        ("HTTP/1.1 200 Connection established\r\n\r\nHTTP/2 401 \r\nx: y\r\n\r\nHTTP/2 207 \r\n\r\nb", 207, "b"),
        ("HTTP/1.1 207 Multi-Status\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 207, "HTTP/1.1 200 OK\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\n\r\nHTTP/ is fine", 200, "HTTP/ is fine"),
    ] {
        let response = inspect::saved(text.as_bytes()).unwrap();
        assert_eq!((response.status().as_u16(), response.body().as_ref()), (status, body.as_bytes()), "{text}");
    }
    for text in [
        "",
        "body",
        "HTTP/1.1",
        "HTTP/1.1 OK\n\n",
        "HTTP/1.1 99 What\n\n",
        "HTTP/1.1 200 OK\na b\n\n",
        "http/1.1 200 OK\n\n",
    ] {
        assert!(inspect::saved(text.as_bytes()).is_err(), "{text}");
    }
}
