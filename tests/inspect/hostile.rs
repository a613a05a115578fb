//! Answers that nobody should have to read.

use std::time::{Duration, Instant};

use http::{Request, Response};
use proptest::{prelude::*, sample::Index};
use tower_multistatus::inspect::{self, Code, Report};

use super::{codes_of, samples::samples};

const TYPES: [&str; 6] =
    ["application/json", "application/xml", "application/x-ndjson", "multipart/mixed; boundary=b", "text/plain", ""];

fn answer(content_type: &str, body: impl AsRef<[u8]>) -> Response<Vec<u8>> {
    let head = Response::builder().status(207).header("content-type", content_type);
    head.body(body.as_ref().to_vec()).unwrap()
}

/// What holds of each report, whatever it is of.
fn check(report: &Report) {
    let (text, painted) = (report.to_string(), report.painted().to_string());
    assert!(painted.len() >= text.len());
    assert!(text.chars().all(|char| char == '\n' || !char.is_control()), "{text:?}");
    assert!(serde_json::to_value(report).unwrap()["findings"].is_array());
    if let Some(contents) = report.contents() {
        assert!(contents.succeeded + contents.failed + contents.unknown() == contents.total);
        assert!(contents.items.len() <= 10_000);
    }
    assert!(report.exit_code() <= 3);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    /// Bytes, and text of what formats are made of.
    #[test]
    fn any_bytes_have_a_report(
        content_type in prop::sample::select(&TYPES[..]),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            r#"[\[\]{}:,"\\a-d0-9 \n]{0,80}"#.prop_map(String::into_bytes),
            r#"(<|>|/|D:|multistatus|response|href|status| xmlns:D="DAV:"|&|;|#|!\[CDATA\[|--|\?|HTTP/1.1 200 OK|é){0,30}"#
                .prop_map(String::into_bytes),
            r#"(--b|--|\r\n|\n|Content-Type: |application/http|multipart/mixed; boundary=b|HTTP/1.1 | 200|OK|: ){0,30}"#
                .prop_map(String::into_bytes),
            r#"(\{|\}|\[|\]|"results":|"responses":|"status":|207|"200"|,|"id":|"index":|"headers":|"data":|\n|null){0,30}"#
                .prop_map(String::into_bytes),
        ],
    ) {
        let answer = answer(content_type, &body);
        check(&inspect::response(&answer));
        let request = Request::post("/").header("content-type", content_type).body(body).unwrap();
        check(&inspect::exchange(&request, &answer));
        let _ = inspect::saved(request.body());
    }

    /// Nearly right is where a reader errs: each sample with pieces cut out, doubled, moved or overwritten.
    #[test]
    fn mutated_answers_have_a_report(
        which in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<Index>(), 0..6_u8, any::<u8>()), 1..6),
    ) {
        let samples = samples();
        let mut bytes = which.get(&samples).1.clone();
        for (from, length, change, byte) in changes {
            if bytes.is_empty() {
                break;
            }
            let from = from.index(bytes.len());
            let to = (from + 1 + length.index(40)).min(bytes.len());
            let piece = bytes[from..to].to_vec();
            match change {
                0 => { bytes.drain(from..to); }
                1 => { bytes.splice(from..from, piece); }
                2 => bytes[from] = byte,
                3 => bytes.truncate(from),
                4 => { let end = bytes.len(); bytes.splice(end..end, piece); }
                _ => { bytes.insert(from, byte); }
            }
        }
        if let Ok(response) = inspect::saved(&bytes) {
            check(&inspect::response(&response));
        }
        check(&inspect::response(&answer("application/json", &bytes)));
    }
}

#[test]
fn a_cut_is_always_noticed() {
    for (name, sample) in samples() {
        let whole = inspect::saved(&sample).unwrap();
        let (head, body) = whole.into_parts();
        let end = body.trim_ascii_end().len();
        for at in 1..end {
            let response = Response::from_parts(head.clone(), body.slice(..at));
            let report = inspect::response(&response);
            // A multipart is whole without the hyphens of its last line only if it is another one.
            assert_eq!(report.exit_code(), 3, "{name} cut at {at} of {end}: {report}");
        }
    }
}

fn many(unit: &str) -> String {
    unit.repeat((1 << 19) / unit.len())
}

#[test]
fn large_and_deep_answers_take_linear_time() {
    let laughs: String = (1..64).fold("<!ENTITY a0 'ha'>".to_owned(), |all, level| {
        format!("{all}<!ENTITY a{level} '{}'>", format!("&a{};", level - 1).repeat(10))
    });
    let dav = |inside: &str| format!(r#"<D:multistatus xmlns:D="DAV:">{inside}</D:multistatus>"#);
    let response =
        |href: &str| format!("<D:response><D:href>{href}</D:href><D:status>HTTP/1.1 200 OK</D:status></D:response>");
    let declarations: String = (0..120).map(|number| format!(r#" xmlns:n{number}="urn:{number}""#)).collect();
    let attributes: String = (0..40_000).map(|number| format!(" a{number}=''")).collect();
    for (content_type, body) in [
        ("application/json", many("[")),
        ("application/json", many("{\"a\":")),
        ("application/json", format!("[{}", many("{\"status\":207,\"data\":["))),
        ("application/json", format!("[{}1]", many("1,"))),
        ("application/json", format!("{{\"results\":[{}1]}}", many("{\"status\":200},"))),
        ("application/json", format!("{{\"results\":[{{{}\"status\":200}}]}}", many("\"status\":200,"))),
        ("application/json", format!("{{\"results\":[{{\"status\":\"{}\"}}]}}", many("\\u0000"))),
        ("application/json", many("\"")),
        ("application/x-ndjson", many("{\"status\":200}\n")),
        ("application/x-ndjson", many("{")),
        ("application/x-ndjson", many("\n")),
        ("multipart/mixed; boundary=b", many("--b\r\n")),
        ("multipart/mixed; boundary=b", many("--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")),
        ("multipart/mixed; boundary=b", format!("--b\r\n{}", many("a: b\r\n c\r\n"))),
        ("multipart/mixed; boundary=b", format!("--b\r\n\r\n{}", many("\r\n"))),
        ("multipart/mixed; boundary=b", many("--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n")),
        ("application/xml", many("<a>")),
        ("application/xml", dav(&many("<a>"))),
        ("application/xml", dav(&many("<!-- -->"))),
        ("application/xml", dav(&response(&many("/a")))),
        ("application/xml", dav(&many(&response("/a")))),
        ("application/xml", dav(&many("<D:response>"))),
        ("application/xml", dav(&format!("<a{declarations}>{}</a>", many("<n1:a/>")))),
        ("application/xml", dav(&format!("<a{attributes}/>"))),
        ("application/xml", format!("<!DOCTYPE D [{laughs}]>{}", dav(&many(&response("/&a63;"))))),
    ] {
        let begin = Instant::now();
        let answer = answer(content_type, &body);
        let report = inspect::response(&answer);
        let request = Request::post("/").header("content-type", content_type).body(body.clone()).unwrap();
        inspect::exchange(&request, &answer);
        let elapsed = begin.elapsed();
        // A square of its length would take hours.
        assert!(elapsed < Duration::from_secs(60), "{elapsed:?}: {}", &body[..60]);
        assert!(report.to_string().len() < 8 << 20, "{}", &body[..60]);
    }
}

#[test]
fn entities_are_not_expanded() {
    let document = |entity: &str| {
        format!(
            "<!DOCTYPE D [<!ENTITY a {entity}>]><D:multistatus xmlns:D='DAV:'><D:response><D:href>/&a;</D:href>\
             <D:status>HTTP/1.1 200 OK</D:status></D:response></D:multistatus>"
        )
    };
    for entity in ["'b'", "SYSTEM 'file:///etc/passwd'", "PUBLIC 'x' 'http://127.0.0.1/'"] {
        let report = inspect::response(&answer("application/xml", document(entity)));
        assert!(codes_of(&report).contains(&Code::XmlDtd), "{report}");
        assert_eq!(report.contents().unwrap().items[0].href.as_deref(), Some("/&a;"));
    }
}
