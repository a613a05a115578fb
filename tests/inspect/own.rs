//! The answers of this crate, in all of its formats.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower_multistatus::{
    BatchLayer, Streaming,
    inspect::{self, Code, Report, Shape},
};

use crate::support::{batch_as, batched, call, response};

fn respond(request: Request<Bytes>) -> Response<Bytes> {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json"), ("etag", "\"a\"")];
    match request.uri().path() {
        "/missing" => response(StatusCode::NOT_FOUND, JSON, r#"{"message":"no such thing"}"#),
        "/empty" => response(StatusCode::NO_CONTENT, &[], ""),
        "/orders" => response(StatusCode::CREATED, &[("location", "/orders/7"), ("set-cookie", "a=b")], ""),
        "/bytes" => response(StatusCode::OK, &[("content-type", "image/png")], "\u{1}\u{0}"),
        "/batch/inner" => response(StatusCode::MULTI_STATUS, JSON, r#"{"results":[{"status":200},{"status":409}]}"#),
        _ => response(StatusCode::OK, JSON, r#"{"a":"<&>"}"#),
    }
}

const NATIVE: &str = r#"[{"path":"/a"},{"path":"/a"},{"id":"x","path":"/missing"},{"path":"/empty"},{"path":"/bytes"},
    {"method":"POST","path":"/orders"},{"path":"//"},{"path":"/batch/inner"}]"#;

const LINES: &str = r#"{"path":"/a"}
{"path":"/a"}
{"id":"x","path":"/missing"}
{"path":"/empty"}
{"path":"/bytes"}
{"method":"POST","path":"/orders"}
{"path":
{"path":"/batch/inner"}
"#;

const ODATA: &str = r#"{"requests":[{"id":"0","method":"get","url":"/a"},{"id":"1","method":"get","url":"/a"},
    {"id":"2","method":"get","url":"/missing"},{"id":"3","method":"get","url":"/empty"},{"id":"4","method":"get","url":"/bytes"},
    {"id":"5","method":"post","url":"/orders"},{"id":"6","method":"get","url":"//"},
    {"id":"7","method":"get","url":"/batch/inner"}]}"#;

fn multipart() -> String {
    let one = |target: &str| {
        format!(
            "--b\r\nContent-Type: application/http\r\nContent-ID: <{target}>\r\n\r\nGET {target} HTTP/1.1\r\n\r\n\r\n"
        )
    };
    ["/a", "/a?1", "/missing", "/empty", "/bytes", "/orders", "//", "/batch/inner"].map(one).concat() + "--b--\r\n"
}

/// What is said of the answer to this batch, whole and streamed.
async fn reports(content_type: &str, accept: Option<&str>, body: &str) -> Vec<(Response<Bytes>, Report)> {
    let mut reports = Vec::new();
    for streaming in [Streaming::Off, Streaming::On] {
        let send = || {
            let mut batch = batch_as(content_type, body.to_owned());
            if let Some(accept) = accept {
                batch.headers_mut().insert("accept", accept.parse().unwrap());
            }
            batch
        };
        let answer = call(batched(BatchLayer::new().stream(streaming), respond), send()).await;
        let (head, _) = send().into_parts();
        let report = inspect::exchange(&Request::from_parts(head, body), &answer);
        reports.push((answer, report));
    }
    reports
}

#[tokio::test]
async fn our_own_answers_are_clean() {
    let (json, lines) = ("application/json", "application/x-ndjson");
    let multipart = multipart();
    let parts = "multipart/mixed; boundary=b";
    for (content_type, accept, body, shape) in [
        (json, None, NATIVE, Shape::Results),
        (json, Some("application/xml"), NATIVE, Shape::Multistatus),
        (json, Some(lines), NATIVE, Shape::Lines),
        (json, Some("multipart/mixed"), NATIVE, Shape::Multipart),
        (lines, None, LINES, Shape::Lines),
        (lines, Some(json), LINES, Shape::Results),
        (lines, Some("text/xml"), LINES, Shape::Multistatus),
        (json, None, ODATA, Shape::Responses),
        (json, Some("application/xml"), ODATA, Shape::Multistatus),
        (parts, None, &multipart, Shape::Multipart),
    ] {
        if shape == Shape::Multistatus && !cfg!(feature = "xml") {
            continue;
        }
        for (answer, report) in reports(content_type, accept, body).await {
            let contents = report.contents().unwrap_or_else(|| panic!("{report}"));
            assert_eq!(contents.shape, shape, "{report}");
            assert_eq!((contents.total, contents.failed), (8, 2), "{report}\n{:?}", answer.body());
            let inner =
                contents.items.iter().find_map(|item| item.inner.as_ref()).unwrap_or_else(|| panic!("{report}"));
            assert_eq!((inner.shape, inner.total, inner.failed), (Shape::Results, 2, 1), "{report}");
            let codes: BTreeSet<_> = report.findings().iter().map(|finding| finding.code).collect();
            // That operations fail under a 200 is how OData has it.
            let expected: BTreeSet<_> = (answer.status() == 200).then_some(Code::FailuresInside).into_iter().collect();
            assert_eq!(codes, expected, "{report}");
            assert_eq!(report.exit_code(), 1);
        }
    }
}

#[tokio::test]
async fn a_refusal_of_ours_is_one() {
    for (_, report) in reports("application/json", None, "[]").await {
        let codes: Vec<_> = report.findings().iter().map(|finding| finding.code).collect();
        assert_eq!((report.exit_code(), codes), (1, vec![Code::Refused]), "{report}");
    }
}
