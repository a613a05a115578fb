//! Answers that are held against their batches.

use http::{Request, Response};
use tower_multistatus::inspect::{self, Code, Report};

use super::codes_of;

/// Those that only a batch can show.
pub(super) const CODES: [Code; 4] = [Code::RequestUnread, Code::MissingResult, Code::SurplusResult, Code::IdNotEchoed];

fn exchange(batch: (&str, &str), answer: (u16, &str, &str)) -> Report {
    let request = Request::post("/batch").header("content-type", batch.0).body(batch.1.to_owned()).unwrap();
    let response =
        Response::builder().status(answer.0).header("content-type", answer.1).header("cache-control", "no-store");
    inspect::exchange(&request, &response.body(answer.2.to_owned()).unwrap())
}

/// What was found of the codes that only a batch can show.
fn found(batch: (&str, &str), answer: (u16, &str, &str)) -> Vec<Code> {
    codes_of(&exchange(batch, answer)).into_iter().filter(|code| CODES.contains(code)).collect()
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const MULTIPART: &str = "multipart/mixed; boundary=b";

use Code::{IdNotEchoed, MissingResult, RequestUnread, SurplusResult};

#[test]
fn native_json_is_told_by_its_indexes() {
    let batch = (JSON, r#"{"operations":[{"path":"/a"},{"path":"/b","id":"b"}]}"#);
    for (results, expected) in [
        (r#"{"index":1,"id":"b","status":200},{"index":0,"status":200}"#, &[][..]),
        (r#"{"status":200},{"id":"b","status":200}"#, &[]),
        (r#"{"index":0,"status":200}"#, &[MissingResult]),
        (r#"{"index":1,"id":"b","status":200}"#, &[MissingResult]),
        (r#"{"index":0,"status":200},{"index":1,"id":"b","status":200},{"index":2,"status":200}"#, &[SurplusResult]),
        (r#"{"index":0,"status":200},{"index":1,"status":200}"#, &[IdNotEchoed]),
        (r#"{"index":0,"status":200},{"index":1,"id":"c","status":200}"#, &[IdNotEchoed]),
    ] {
        assert_eq!(found(batch, (207, JSON, &format!(r#"{{"results":[{results}]}}"#))), expected, "{results}");
    }
    assert_eq!(found((JSON, r#"[{"path":"/a"}]"#), (207, JSON, r#"{"results":[{"status":200}]}"#)), []);
    let report = exchange(batch, (207, JSON, r#"{"results":[{"index":0,"status":200}]}"#));
    assert_eq!(report.findings()[0].detail, "of 2 operations these have no result: 1 (`b`)");
    assert_eq!(report.exit_code(), 2);
}

#[test]
fn lines_are_told_by_their_indexes() {
    let batch = (LINES, "{\"path\":\"/a\"}\n\n{\"path\":\"/b\"}\n");
    let summary = "{\"summary\":{}}";
    assert_eq!(
        found(
            batch,
            (207, LINES, &format!("{{\"index\":1,\"status\":200}}\n{{\"index\":0,\"status\":200}}\n{summary}"))
        ),
        []
    );
    assert_eq!(found(batch, (207, LINES, &format!("{{\"index\":1,\"status\":200}}\n{summary}"))), [MissingResult]);
    assert_eq!(
        found(batch, (207, LINES, &format!("{{\"index\":2,\"status\":200}}\n{summary}"))),
        [MissingResult, SurplusResult]
    );
}

#[test]
fn odata_is_told_by_its_ids() {
    let batch = (JSON, r#"{"requests":[{"id":"1","method":"get","url":"a"},{"id":"2","method":"get","url":"b"}]}"#);
    for (responses, expected) in [
        (r#"{"id":"2","status":200},{"id":"1","status":200}"#, &[][..]),
        (r#"{"id":"2","status":200}"#, &[MissingResult]),
        (r#"{"id":"1","status":200},{"id":"2","status":200},{"id":"3","status":200}"#, &[SurplusResult]),
        (r#"{"id":"1","status":200},{"id":"3","status":200}"#, &[MissingResult, SurplusResult]),
        (r#"{"id":"1","status":200},{"status":200}"#, &[IdNotEchoed]),
    ] {
        assert_eq!(found(batch, (200, JSON, &format!(r#"{{"responses":[{responses}]}}"#))), expected, "{responses}");
    }
}

#[test]
fn wordpress_is_told_by_its_places() {
    let batch = (JSON, r#"{"requests":[{"path":"/wp/v2/posts","body":{}},{"path":"/wp/v2/posts"}]}"#);
    let response = r#"{"body":{},"status":201,"headers":[]}"#;
    assert_eq!(found(batch, (207, JSON, &format!(r#"{{"responses":[{response},{response}]}}"#))), []);
    assert_eq!(found(batch, (207, JSON, &format!(r#"{{"failed":"validation","responses":[null,{response}]}}"#))), []);
    assert_eq!(found(batch, (207, JSON, &format!(r#"{{"responses":[{response}]}}"#))), [MissingResult]);
}

#[test]
fn lists_are_told_by_ids_or_places() {
    let batch = (JSON, r#"[{"id":"a"},{"id":"b"}]"#);
    assert_eq!(found(batch, (207, JSON, r#"[{"id":"b","status":200},{"id":"a","status":200}]"#)), []);
    assert_eq!(found(batch, (207, JSON, r#"[{"status":200},{"status":200}]"#)), []);
    assert_eq!(found(batch, (207, JSON, r#"[{"status":200},{"status":200},{"status":200}]"#)), [SurplusResult]);
}

#[test]
fn xml_is_told_by_indexes_or_places() {
    let batch = (JSON, r#"[{"path":"/a","id":"a"},{"path":"/b"}]"#);
    let response = |href: &str, result: &str| {
        format!("<D:response><D:href>{href}</D:href><D:status>HTTP/1.1 200 OK</D:status>{result}</D:response>")
    };
    let document = |responses: String| {
        format!(r#"<D:multistatus xmlns:D="DAV:" xmlns:b="urn:tower-multistatus:1">{responses}</D:multistatus>"#)
    };
    let (a, b) = (response("/a", r#"<b:result index="0" id="a"/>"#), response("/b", r#"<b:result index="1"/>"#));
    assert_eq!(found(batch, (207, "text/xml", &document(b.clone() + &a))), []);
    assert_eq!(found(batch, (207, "text/xml", &document(b.clone()))), [MissingResult]);
    assert_eq!(
        found(batch, (207, "text/xml", &document(response("/a", r#"<b:result index="0"/>"#) + &b))),
        [IdNotEchoed]
    );
    assert_eq!(found(batch, (207, "text/xml", &document(response("/a", "") + &response("/b", "")))), []);
    assert_eq!(found(batch, (207, "text/xml", &document(response("/a", "")))), [MissingResult]);
}

fn parts(parts: &[(&str, &str)]) -> String {
    let one = |(id, content): &(&str, &str)| {
        let id = if id.is_empty() { String::new() } else { format!("Content-ID: {id}\r\n") };
        format!("--b\r\nContent-Type: application/http\r\n{id}\r\n{content}\r\nX: y\r\n\r\n\r\n")
    };
    parts.iter().map(one).collect::<String>() + "--b--\r\n"
}

fn change_set(inner: &[(&str, &str)]) -> String {
    format!("--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n{}", parts(inner).replace("--b", "--c"))
}

#[test]
fn multipart_is_told_by_its_places() {
    let (get, ok, gone) = ("GET /a HTTP/1.1", "HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found");
    let flat = parts(&[("<a>", get), ("", get)]);
    for (answer, expected) in [
        (parts(&[("<response-a>", ok), ("", gone)]), &[][..]),
        (parts(&[("<a>", ok), ("", ok)]), &[]),
        (parts(&[("", ok), ("", ok)]), &[]),
        (parts(&[("<response-c>", ok), ("", ok)]), &[IdNotEchoed]),
        (parts(&[("<a>", ok)]), &[MissingResult]),
        (parts(&[("<a>", ok), ("", ok), ("", ok)]), &[SurplusResult]),
    ] {
        assert_eq!(found((MULTIPART, &flat), (200, MULTIPART, &answer)), expected, "{answer}");
    }

    let end = parts(&[("", get)]);
    let nested = change_set(&[("1", get), ("2", get)]) + &end;
    for (answer, expected) in [
        (change_set(&[("1", ok), ("2", ok)]) + &parts(&[("", ok)]), &[][..]),
        // One response stands for a change set that has failed.
        (parts(&[("1", gone), ("", ok)]), &[]),
        (parts(&[("1", ok), ("", ok)]), &[MissingResult]),
        (change_set(&[("1", ok)]) + &parts(&[("", ok)]), &[MissingResult]),
        (change_set(&[("1", ok), ("2", ok), ("3", ok)]) + &parts(&[("", ok)]), &[SurplusResult]),
        (change_set(&[("2", ok), ("1", ok)]) + &parts(&[("", ok)]), &[IdNotEchoed]),
    ] {
        assert_eq!(found((MULTIPART, &nested), (200, MULTIPART, &answer)), expected, "{answer}");
    }
}

#[test]
fn what_is_no_batch_is_said_so() {
    for (content_type, body) in [
        ("application/xml", "<D:propfind xmlns:D=\"DAV:\"/>"),
        (JSON, "{}"),
        (JSON, "{\"operations\":1}"),
        (JSON, "[{\"path\":"),
        (MULTIPART, "--c--"),
        ("text/plain", ""),
    ] {
        assert_eq!(
            found((content_type, body), (207, JSON, r#"{"results":[{"status":200}]}"#)),
            [RequestUnread],
            "{body}"
        );
    }
}
