//! An answer for each code that has it, and one that is much the same and has it not.

use http::{Request, Response};
use tower_multistatus::inspect::{self, Code, Report};

use super::{codes_of, inspected};

const HEAD: &str = "HTTP/1.1 207 Multi-Status\ncache-control: no-store\n";

/// With this after the status line.
fn headed(headers: &str, body: &str) -> String {
    format!("{HEAD}{headers}\n\n{body}")
}

fn json(body: &str) -> String {
    headed("content-type: application/json", body)
}

fn lines(body: &str) -> String {
    headed("content-type: application/x-ndjson", body)
}

fn xml(body: &str) -> String {
    headed("content-type: application/xml", body)
}

/// A multistatus of these elements.
fn dav(responses: &str) -> String {
    xml(&format!(r#"<D:multistatus xmlns:D="DAV:">{responses}</D:multistatus>"#))
}

fn response(href: &str, status: &str) -> String {
    format!("<D:response><D:href>{href}</D:href><D:status>{status}</D:status></D:response>")
}

fn ok(href: &str) -> String {
    response(href, "HTTP/1.1 200 OK")
}

fn multipart(body: &str) -> String {
    format!("HTTP/1.1 200 OK\ncontent-type: multipart/mixed; boundary=b\n\n{}", body.replace('\n', "\r\n"))
}

/// A part with this response.
fn part(response: &str) -> String {
    format!("--b\nContent-Type: application/http\n\n{response}\n")
}

const RESULTS: &str = r#"{"results":[{"status":200}]}"#;

fn ok_with(headers: &str) -> String {
    headed(&format!("content-type: application/json\n{headers}"), RESULTS)
}

/// A head without `cache-control`.
fn cached(headers: &str) -> String {
    format!("HTTP/1.1 207 Multi-Status\ncontent-type: application/json\n{headers}\n\n{RESULTS}")
}

fn nested(depth: usize) -> String {
    (0..depth).fold(RESULTS.to_owned(), |inner, _| format!(r#"{{"results":[{{"status":207,"data":{inner}}}]}}"#))
}

/// One for each code but those that need a batch.
fn cases() -> Vec<(Code, String, String)> {
    let results = json(RESULTS);
    let deep = |levels: usize| {
        json(&format!(r#"{{"results":[{{"status":200,"data":{}{}}}]}}"#, "[".repeat(levels), "]".repeat(levels)))
    };
    let propstat = |status: &str| {
        dav(&format!(
            "<D:response><D:href>/a</D:href><D:propstat><D:prop><D:a/></D:prop>{status}</D:propstat></D:response>"
        ))
    };
    let one = part("HTTP/1.1 200 OK\nX: y\n\n");
    vec![
        (Code::NoBody, json(""), results.clone()),
        (Code::UnknownShape, json(r#"{"users":[{"id":1}]}"#), results.clone()),
        (Code::UnknownShape, "HTTP/1.1 200 OK\ncontent-type: text/html\n\n<html><br></html>".into(), results.clone()),
        (Code::UnknownShape, xml(r#"<D:prop xmlns:D="DAV:"/>"#), dav(&ok("/a"))),
        (
            Code::Refused,
            "HTTP/1.1 400 Bad Request\ncontent-type: application/problem+json\n\n{\"status\":400}".into(),
            results.clone(),
        ),
        (Code::NoContentType, headed("x: y", RESULTS), results.clone()),
        (Code::ContentTypeMismatch, json(dav(&ok("/a")).split_once("\n\n").unwrap().1), dav(&ok("/a"))),
        (Code::ContentTypeMismatch, headed("content-type: text/plain", RESULTS), results.clone()),
        (Code::ContentTypeMismatch, lines(RESULTS), lines("{\"status\":200}\n{\"summary\":{}}")),
        (Code::ContentLength, ok_with("content-length: 27"), ok_with("content-length: 28")),
        (Code::ContentLength, ok_with("content-length: x"), ok_with("content-length: 7\ncontent-encoding: gzip")),
        (Code::LocationOutside, ok_with("location: /a"), ok_with("link: </a>")),
        (Code::ValidatorOutside, ok_with("etag: \"a\""), results.clone()),
        (Code::ValidatorOutside, ok_with("last-modified: Thu, 01 Jan 2026 00:00:00 GMT"), results.clone()),
        (Code::Cacheable, cached("cache-control: max-age=60"), cached("cache-control: max-age=0")),
        (
            Code::Cacheable,
            cached("cache-control: private, s-maxage=\"9\""),
            cached("cache-control: max-age=9, no-store"),
        ),
        (Code::Cacheable, cached("cache-control: public"), cached("cache-control: public, max-age=0")),
        (
            Code::Cacheable,
            cached("cache-control: no-cache=\"x-a\", max-age=1"),
            cached("cache-control: no-cache, max-age=1"),
        ),
        (
            Code::Cacheable,
            cached("expires: Thu, 01 Jan 2026 00:00:01 GMT\ndate: Thu, 01 Jan 2026 00:00:00 GMT"),
            cached("expires: Thu, 01 Jan 2026 00:00:00 GMT\ndate: Thu, 01 Jan 2026 00:00:00 GMT"),
        ),
        (Code::Cacheable, cached("expires: Fri, 31 Dec 9999 23:59:59 GMT"), cached("expires: 0")),
        (Code::NoCacheControl, cached("x: y"), results.clone()),
        (
            Code::FailuresHidden,
            "HTTP/1.1 200 OK\ncontent-type: application/json\n\n{\"results\":[{\"status\":404}]}".into(),
            json(r#"{"results":[{"status":404},{"status":200}]}"#),
        ),
        (
            Code::FailuresInside,
            multipart(&(part("HTTP/1.1 404 Not Found\nX: y\n\n") + "--b--")),
            multipart(&(one.clone() + "--b--")),
        ),
        (
            Code::AllFailed,
            json(r#"{"results":[{"status":404}]}"#),
            json(r#"{"results":[{"status":404},{"status":200}]}"#),
        ),
        (Code::UnexpectedStatus, json(r#"{"responses":[{"id":"1","status":200}]}"#), results.clone()),
        (Code::UnexpectedStatus, dav(&ok("/a")).replace("207 Multi-Status", "200 OK"), dav(&ok("/a"))),
        (Code::UnexpectedStatus, results.replace("207 Multi-Status", "500 Internal Server Error"), results.clone()),
        (Code::NoItems, json(r#"{"results":[]}"#), results.clone()),
        (Code::NoItems, dav(""), dav(&ok("/a"))),
        (Code::Syntax, json(r#"{"results":[{"status":200},]}"#), results.clone()),
        (Code::Syntax, dav("<D:a></D:b>"), dav(&ok("/a"))),
        (Code::Syntax, dav(&ok("/&what;")), dav(&ok("/&amp;"))),
        (Code::Syntax, dav(&ok("/a")) + "<b/>", dav(&ok("/a")) + "<!-- b -->\n"),
        (Code::Syntax, dav(&ok("/a")) + "text", dav(&ok("/a")) + "\n"),
        (Code::Syntax, dav("<D:a a=\"1\" a=\"2\"/>"), dav("<D:a a=\"1\" b=\"2\"/>")),
        (Code::Syntax, lines("{\"status\":200}\n}\n{\"summary\":{}}"), lines("{\"status\":200}\n\n{\"summary\":{}}")),
        (Code::CutOff, json(r#"{"results":[{"status":200},{"sta"#), results.clone()),
        (Code::CutOff, xml(r#"<D:multistatus xmlns:D="DAV:">"#), dav("")),
        (Code::CutOff, xml(r#"<D:multistatus xmlns:D="DAV:"><D:respon"#), dav("")),
        (Code::CutOff, lines("{\"status\":200}\n"), lines("{\"status\":200}\n{\"summary\":{}}\n")),
        (Code::CutOff, lines("{\"status\":200}\n{\"summary"), lines("{\"summary\":{}}")),
        (Code::CutOff, multipart(&(one.clone() + &one)), multipart(&(one.clone() + "--b--"))),
        (Code::ByteOrderMark, json(&format!("\u{feff}{RESULTS}")), results.clone()),
        (Code::TooDeep, deep(62), deep(61)),
        (Code::TooDeep, dav(&("<a>".repeat(64) + &"</a>".repeat(64))), dav(&("<a>".repeat(63) + &"</a>".repeat(63)))),
        (Code::DuplicateMember, json(r#"{"results":[{"status":200,"status":404}]}"#), results.clone()),
        (Code::DuplicateMember, json(r#"{"results":[{"status":200}],"r\u0065sults":[]}"#), results.clone()),
        (
            Code::DuplicateMember,
            json(r#"{"results":[{"status":200,"headers":{"etag":"a","etag":"b"}}]}"#),
            json(r#"{"results":[{"status":200,"data":{"a":"a","a":"b"}}]}"#),
        ),
        (Code::XmlNamespace, dav(&ok("/a")).replace("DAV:", "DAV"), dav(&ok("/a"))),
        (Code::XmlNamespace, xml("<multistatus/>"), xml("<multistatus xmlns='DAV:'/>")),
        (Code::XmlDtd, xml("<!DOCTYPE a><multistatus xmlns='DAV:'/>"), xml("<multistatus xmlns='DAV:'/>")),
        (
            Code::SummaryWrong,
            json(r#"{"results":[{"status":200}],"summary":{"total":2}}"#),
            json(r#"{"results":[{"status":200}],"summary":{"total":1,"succeeded":1,"failed":0}}"#),
        ),
        (Code::SummaryWrong, lines("{\"summary\":{}}\n{\"status\":200}"), lines("{\"status\":200}\n{\"summary\":{}}")),
        (Code::ItemShape, json(r#"{"results":[1,{"status":200}]}"#), results.clone()),
        (Code::ItemWithoutStatus, json(r#"{"results":[{"id":"a"},{"status":200}]}"#), results.clone()),
        (Code::ItemWithoutStatus, json(r#"{"results":[{"status":null}]}"#), results.clone()),
        (Code::ItemWithoutStatus, dav("<D:response><D:href>/a</D:href></D:response>"), dav(&ok("/a"))),
        (Code::ItemWithoutStatus, propstat(""), propstat("<D:status>HTTP/1.1 200 OK</D:status>")),
        (Code::StatusLine, dav(&response("/a", "200 OK")), dav(&ok("/a"))),
        (
            Code::StatusLine,
            propstat("<D:status>HTTP/2 200</D:status>"),
            propstat("<D:status>HTTP/1.1 200 OK</D:status>"),
        ),
        (Code::StatusLine, multipart(&(part("200 OK\nX: y\n\n") + "--b--")), multipart(&(one.clone() + "--b--"))),
        (Code::StatusRange, dav(&response("/a", "HTTP/1.1 600 What")), dav(&response("/a", "HTTP/1.1 599 What"))),
        (Code::StatusRange, json(r#"{"results":[{"status":99}]}"#), json(r#"{"results":[{"status":100}]}"#)),
        (Code::StatusRange, json(r#"{"results":[{"status":200.5}]}"#), results.clone()),
        (Code::StatusRange, json(r#"{"results":[{"status":-1}]}"#), results.clone()),
        (Code::NoReason, dav(&response("/a", "HTTP/1.1 200&#32;<b/>")).replace("<b/>", ""), dav(&ok("/a"))),
        (Code::NoReason, multipart(&(part("HTTP/1.1 200 \nX: y\n\n") + "--b--")), multipart(&(one.clone() + "--b--"))),
        (Code::StatusAsText, json(r#"{"results":[{"status":"200"}]}"#), results.clone()),
        (
            Code::SetCookieInside,
            json(r#"{"results":[{"status":200,"headers":{"Set-Cookie":"a=b"}}]}"#),
            results.clone(),
        ),
        (
            Code::SetCookieInside,
            json(r#"[{"code":200,"headers":[{"name":"set-cookie","value":"a=b"}]}]"#),
            json(r#"[{"code":200,"headers":[{"name":"cookie","value":"a=b"}]}]"#),
        ),
        (
            Code::SetCookieInside,
            multipart(&(part("HTTP/1.1 200 OK\nSet-Cookie: a=b\n\n") + "--b--")),
            multipart(&(one.clone() + "--b--")),
        ),
        (
            Code::SetCookieInside,
            dav(&ok("/a")
                .replace(
                    "</D:response>",
                    r#"<r xmlns="urn:tower-multistatus:1" ><header name="set-cookie"/></r></D:response>"#,
                )
                .replace("<r ", "<result ")
                .replace("</r>", "</result>")),
            dav(&ok("/a")),
        ),
        (Code::NestedTooDeep, json(&nested(5)), json(&nested(4))),
        (Code::NoHref, dav("<D:response><D:status>HTTP/1.1 200 OK</D:status></D:response>"), dav(&ok("/a"))),
        (Code::NoHref, dav(&ok("")), dav(&ok("/"))),
        (Code::DuplicateHref, dav(&(ok("/a") + &ok("/a"))), dav(&(ok("/a") + &ok("/a/")))),
        (Code::RelativeHref, dav(&ok("a/b")), dav(&ok("/a/b"))),
        (Code::RelativeHref, dav(&ok("//host/a")), dav(&ok("http://host/a"))),
        (Code::HrefFragment, dav(&ok("/a#b")), dav(&ok("/a%23b"))),
        (Code::HrefSyntax, dav(&ok("/a b")), dav(&ok("/a%20b"))),
        (Code::HrefSyntax, dav(&ok("/ä")), dav(&ok("/%C3%A4"))),
        (Code::HrefSyntax, dav(&ok("/a/../b")), dav(&ok("/a/..b"))),
        (Code::MixedHrefs, dav(&(ok("/a") + &ok("http://host/b"))), dav(&(ok("/a") + &ok("/b")))),
        (
            Code::StatusAndPropstat,
            propstat("<D:status>HTTP/1.1 200 OK</D:status>")
                .replace("<D:propstat>", "<D:status>HTTP/1.1 200 OK</D:status><D:propstat>"),
            propstat("<D:status>HTTP/1.1 200 OK</D:status>"),
        ),
        (
            Code::DuplicateId,
            json(r#"{"results":[{"id":"a","status":200},{"id":"\u0061","status":200}]}"#),
            json(r#"{"results":[{"id":"a","status":200},{"id":"A","status":200}]}"#),
        ),
        (
            Code::MixedIds,
            json(r#"[{"id":"a","status":200},{"status":200}]"#),
            json(r#"{"results":[{"id":"a","status":200},{"status":200}]}"#),
        ),
        (
            Code::MixedIds,
            multipart("").replace("multipart/mixed; boundary=b", "application/json")
                + r#"{"responses":[{"status":200}]}"#,
            multipart("").replace("multipart/mixed; boundary=b", "application/json")
                + r#"{"responses":[{"id":"a","status":200}]}"#,
        ),
        (
            Code::IdNotText,
            json(r#"{"results":[{"id":1,"status":200}]}"#),
            json(r#"{"results":[{"id":null,"status":200}]}"#),
        ),
        (
            Code::DuplicateIndex,
            json(r#"{"results":[{"index":0,"status":200},{"index":0,"status":200}]}"#),
            json(r#"{"results":[{"index":1,"status":200},{"index":0,"status":200}]}"#),
        ),
        (
            Code::Boundary,
            multipart(&(one.clone() + "--b--")).replace("; boundary=b", ""),
            multipart(&(one.clone() + "--b--")),
        ),
        (Code::Boundary, multipart(&(one.clone() + "--b--")).replace("=b", "=c"), multipart(&(one.clone() + "--b--"))),
        (Code::PartHeader, multipart("--b\n\nHTTP/1.1 200 OK\nX: y\n\n\n--b--"), multipart(&(one.clone() + "--b--"))),
        (Code::PartHeader, multipart("--b\nHTTP/1.1 200 OK\nX: y\n\n\n--b--"), multipart(&(one.clone() + "--b--"))),
        (
            Code::PartHeader,
            multipart("--b\nContent-Type: text/plain\n\nHTTP/1.1 200 OK\nX: y\n\n\n--b--"),
            multipart(&(one.clone() + "--b--")),
        ),
        (Code::PartHeader, multipart(&(part("HTTP/1.1 200 OK\nX\n\n") + "--b--")), multipart(&(one.clone() + "--b--"))),
        (
            Code::PartLength,
            multipart(&(part("HTTP/1.1 200 OK\nContent-Length: 4\n\nabc") + "--b--")),
            multipart(&(part("HTTP/1.1 200 OK\nContent-Length: 3\n\nabc\n") + "--b--")),
        ),
        (
            Code::BareLf,
            multipart(&(one.clone() + "--b--")).replacen("application/http\r\n", "application/http\n", 1),
            multipart(&(part("HTTP/1.1 200 OK\nX: y\n\na|b") + "--b--")).replace('|', "\n"),
        ),
    ]
}

fn check(code: Code, bad: &Report, good: &Report, bad_text: &str, good_text: &str) {
    assert!(codes_of(bad).contains(&code), "{code} is missing:\n{bad_text}\n{bad}");
    assert!(!codes_of(good).contains(&code), "{code} is too much:\n{good_text}\n{good}");
}

#[test]
fn each_fault_is_found_and_only_where_it_is() {
    for (code, bad, good) in cases() {
        check(code, &inspected(&bad), &inspected(&good), &bad, &good);
    }
}

#[test]
fn bytes_that_are_no_text() {
    let head = b"HTTP/1.1 207 Multi-Status\r\ncontent-type: application/json\r\n\r\n";
    let bad = [&head[..], b"{\"results\":[{\"status\":200,\"data\":\"\xff\"}]}"].concat();
    assert!(codes_of(&inspected(bad)).contains(&Code::NotUtf8));

    let answer = |body: &'static [u8]| {
        let head = Response::builder().status(207).header("content-encoding", "gzip");
        inspect::response(&head.header("content-type", "application/json").body(body).unwrap())
    };
    let report = answer(b"\x1f\x8b\x08\0\xff");
    assert!(codes_of(&report).contains(&Code::ContentEncoded), "{report}");
    assert_eq!(report.exit_code(), 3);
    // A client that has decompressed it keeps the header sometimes.
    assert!(!codes_of(&answer(RESULTS.as_bytes())).contains(&Code::ContentEncoded));
}

#[test]
fn all_codes_are_tested() {
    let mut tested: Vec<_> = cases().into_iter().map(|case| case.0).collect();
    tested.extend([Code::NotUtf8, Code::ContentEncoded]);
    tested.extend(super::pairs::CODES);
    tested.sort();
    tested.dedup();
    let mut all = Code::ALL.to_vec();
    all.sort();
    assert_eq!(tested, all);
}

#[test]
fn names_are_stable_and_each_is_one() {
    for code in Code::ALL {
        let name = code.as_str();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'), "{name}");
        assert_eq!(Code::named(name), Some(*code));
        assert!(code.why().ends_with('.'), "{name}");
    }
    assert_eq!(Code::named("no"), None);
}

#[test]
fn a_request_is_not_needed() {
    let answer = Response::builder().status(207).body("").unwrap();
    let batch = Request::post("/").body("what?").unwrap();
    let (alone, both) = (inspect::response(&answer), inspect::exchange(&batch, &answer));
    assert_eq!(alone.findings(), &both.findings()[1..]);
    assert_eq!(both.findings()[0].code, Code::RequestUnread);
}
