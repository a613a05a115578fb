//! RFC 4918 multistatus, read back by a parser and a grammar that know nothing of its writer.
#![cfg(feature = "xml")]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{
    batch, batched, block_on, call, json_response,
    multistatus::{Entry, read},
    response, with,
};
use tower::Layer;
use tower_multistatus::BatchLayer;

/// The entries of the answer to a batch, when all that the grammar asks has been checked.
async fn entries(
    document: Value,
    respond: impl Fn(Request<Bytes>) -> Response<Bytes> + Clone + Send + 'static,
) -> Vec<Entry> {
    let service = batched(BatchLayer::new(), respond);
    let answer = call(service, with(batch(document), "accept", "application/xml")).await;
    assert_eq!(answer.status(), StatusCode::MULTI_STATUS, "{:?}", answer.body());
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/xml; charset=utf-8");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    read(answer.body()).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(answer.body())))
}

/// The only entry of the answer to a GET that is answered like this.
async fn entry(answer: Response<Bytes>) -> Entry {
    let [entry] = entries(json!([{"path": "/"}]), move |_| answer.clone()).await.try_into().unwrap();
    entry
}

#[tokio::test]
async fn the_example_of_the_documentation() {
    let operations = json!([
        {"id": "new", "method": "POST", "path": "/orders", "body": {"sku": 1}},
        {"path": "/users/17"},
        {"method": "PUT", "path": "/avatars/17", "body": "iVBORw0=", "encoding": "base64"},
    ]);
    let service = batched(BatchLayer::new(), |request| match request.uri().path() {
        "/orders" => response(
            StatusCode::CREATED,
            &[("location", "/orders/7"), ("content-type", "application/json")],
            r#"{"id":7}"#,
        ),
        "/users/17" => json_response(StatusCode::NOT_FOUND, &json!({"detail": "No such user"})),
        _ => response(StatusCode::NO_CONTENT, &[], ""),
    });
    let answer = call(service, with(batch(operations), "accept", "text/xml")).await;
    assert_eq!(answer.headers()["content-type"], "text/xml; charset=utf-8");
    let expected = concat!(
        r#"<?xml version="1.0" encoding="utf-8"?>"#,
        r#"<D:multistatus xmlns:D="DAV:" xmlns:b="urn:tower-multistatus:1">"#,
        r#"<D:response><D:href>/orders</D:href><D:status>HTTP/1.1 201 Created</D:status>"#,
        r#"<D:location><D:href>/orders/7</D:href></D:location>"#,
        r#"<b:result index="0" id="new" method="POST"><b:header name="location">/orders/7</b:header>"#,
        r#"<b:header name="content-type">application/json</b:header>"#,
        r#"<b:body type="application/json">{"id":7}</b:body></b:result></D:response>"#,
        r#"<D:response><D:href>/users/17</D:href><D:status>HTTP/1.1 404 Not Found</D:status>"#,
        r#"<D:responsedescription>No such user</D:responsedescription>"#,
        r#"<b:result index="1" method="GET"><b:header name="content-type">application/json</b:header>"#,
        r#"<b:body type="application/json">{"detail":"No such user"}</b:body></b:result></D:response>"#,
        r#"<D:response><D:href>/avatars/17</D:href><D:status>HTTP/1.1 204 No Content</D:status>"#,
        r#"<b:result index="2" method="PUT"></b:result></D:response>"#,
        r#"</D:multistatus>"#,
    );
    assert_eq!(answer.body(), expected);
    assert_eq!(read(answer.body()).unwrap().len(), 3);
}

/// So that what the reader lets through means something.
#[test]
fn the_grammar_refuses_what_is_none() {
    let good = r#"<D:multistatus xmlns:D="DAV:" xmlns:b="urn:tower-multistatus:1"><D:response><D:href>/a</D:href><D:status>HTTP/1.1 200 OK</D:status><D:responsedescription>x</D:responsedescription><D:location><D:href>/b</D:href></D:location><b:result index="0" method="GET"><b:header name="x">y</b:header><b:body>z</b:body></b:result></D:response></D:multistatus>"#;
    assert_eq!(read(good.as_bytes()).unwrap().len(), 1);
    let again = &good[good.find("<D:response>").unwrap()..good.find("</D:multistatus>").unwrap()];
    for (part, instead) in [
        ("\"DAV:\"", "\"DAV\""),
        ("<D:href>/a</D:href>", ""),
        ("<D:href>/a</D:href>", "<D:href>a</D:href>"),
        ("<D:href>/a</D:href>", "<D:href>/a b</D:href>"),
        ("<D:href>/a</D:href>", "<D:href>/a#b</D:href>"),
        ("<D:href>/a</D:href>", "<D:href>/%zz</D:href>"),
        ("<D:href>/a</D:href>", "<D:href>/ü</D:href>"),
        ("<D:href>/a</D:href>", "<D:href>/a</D:href><D:href>/c</D:href>"),
        ("<D:status>HTTP/1.1 200 OK</D:status>", ""),
        ("HTTP/1.1 200 OK", "200 OK"),
        ("HTTP/1.1 200 OK", "HTTP/1.1 200"),
        ("HTTP/1.1 200 OK", "HTTP/1.1 20 OK"),
        ("<D:href>/b</D:href>", "<D:href>/b</D:href><D:href>/c</D:href>"),
        ("<D:href>/b</D:href>", ""),
        (
            "<D:responsedescription>x</D:responsedescription>",
            "<D:responsedescription>x</D:responsedescription><D:responsedescription/>",
        ),
        ("<D:location><D:href>/b</D:href></D:location><b:", "<b:"),
        ("</b:result>", "</b:result><D:location><D:href>/b</D:href></D:location>"),
        ("</b:result>", "</b:result><b:result index=\"0\" method=\"GET\"/>"),
        ("</b:result>", "</b:result>text"),
        ("</D:response>", &format!("</D:response>{again}")),
        ("index=\"0\"", ""),
        ("index=\"0\"", "index=\"0\" odd=\"\""),
        (">z<", ">\u{1}<"),
        (">z<", ">\u{fffe}<"),
        (">z<", ">&#0;<"),
        (">z<", ">&<"),
    ] {
        let bad = good.replacen(part, instead, 1);
        assert_ne!(bad, good);
        let is_allowed = part.starts_with("<D:location>");
        assert_eq!(read(bad.as_bytes()).is_ok(), is_allowed, "{part} → {instead}");
    }
}

#[tokio::test]
async fn text_comes_back_as_it_was() {
    for text in [
        "&<>\"'",
        "]]>",
        "<![CDATA[x]]>",
        "<!-- -->",
        "&amp;&#13;",
        "a\r\nb\rc\nd\te",
        "\r",
        " x ",
        "\n",
        "é\u{85}\u{2028}\u{fffd}\u{1f980}\u{10ffff}",
        "</b:body></b:result>",
        "{\"a\":\"<b>\"}",
    ] {
        let entry = entry(response(StatusCode::OK, &[("content-type", "text/plain")], text)).await;
        let body = entry.body.unwrap();
        assert_eq!(
            (&*body.bytes, body.encoding, body.content_type.as_deref()),
            (text.as_bytes(), None, Some("text/plain"))
        );

        let entries = entries(json!([{"id": text, "path": "/"}]), |_| Response::default()).await;
        assert_eq!(entries[0].id.as_deref(), Some(text));
    }
}

#[tokio::test]
async fn what_xml_has_no_place_for_is_base64_in_bodies_and_replaced_elsewhere() {
    for text in ["\0", "\u{1}", "\u{8}", "\u{b}", "\u{c}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
        let text = format!("a{text}b");
        for content_type in ["text/plain", "application/json", "application/hal+json"] {
            let entry = entry(response(StatusCode::OK, &[("content-type", content_type)], text.clone())).await;
            let body = entry.body.unwrap();
            assert_eq!((&*body.bytes, body.encoding.as_deref()), (text.as_bytes(), Some("base64")), "{text:?}");
        }
        let entries = entries(json!([{"id": text, "path": "/"}]), |_| Response::default()).await;
        assert_eq!(entries[0].id.as_deref(), Some("a\u{fffd}b"));

        let failure = json_response(StatusCode::BAD_REQUEST, &json!({"detail": text}));
        assert_eq!(entry(failure).await.description.as_deref(), Some("a\u{fffd}b"));
    }
}

#[tokio::test]
async fn bytes_are_base64() {
    for (content_type, body, is_text) in [
        (Some("image/png"), &b"png"[..], false),
        (None, b"abc", false),
        (Some("text/plain; charset=iso-8859-1"), b"abc", false),
        (Some("text/plain"), b"\xff", false),
        (Some("application/json"), b"\xff", false),
        (Some("text/plain"), b"abc", true),
        (Some("application/json"), b"{not json", true),
        (Some("application/hal+json; charset=utf-8"), b"{}", true),
    ] {
        let header = content_type.map(|value| ("content-type", value));
        let entry = entry(response(StatusCode::OK, header.as_slice(), body)).await;
        let found = entry.body.unwrap();
        assert_eq!(found.bytes, body);
        assert_eq!(found.encoding.as_deref(), (!is_text).then_some("base64"), "{content_type:?}");
        assert_eq!(found.content_type.as_deref(), content_type);
    }
    let entry = entry(response(StatusCode::OK, &[("content-type", "text/plain")], "")).await;
    assert_eq!(entry.body, None);
}

#[tokio::test]
async fn an_href_stands_there_once() {
    let operations = json!([
        {"path": "/a?x=1"},
        {"path": "/a"},
        {"path": "/a?x=1", "method": "PUT"},
        {"path": "/a"},
        {"path": "no target"},
        {"path": "/batch?operation=6"},
        {"path": "/b", "headers": {"x-unknown": "y"}},
        {"path": "/b"},
        {"path": "/batch"},
    ]);
    let entries = entries(operations, |_| Response::default()).await;
    let hrefs: Vec<_> = entries.iter().map(|entry| (&*entry.href, entry.target.as_deref())).collect();
    assert_eq!(
        hrefs,
        [
            ("/a?x=1", None),
            ("/a", None),
            ("/batch?operation=2", Some("/a?x=1")),
            ("/batch?operation=3", Some("/a")),
            ("/batch?operation=4", None),
            ("/batch?operation=5", Some("/batch?operation=6")),
            ("/b", None),
            ("/batch?operation=7", Some("/b")),
            ("/batch", None),
        ]
    );
}

#[tokio::test]
async fn hrefs_are_percent_encoded() {
    for (target, expected) in [
        ("/a%20b?c=%26", "/a%20b?c=%26"),
        ("/~a/@b:c;d,e!$&'()*+=", "/~a/@b:c;d,e!$&'()*+="),
        ("/[a]", "/%5Ba%5D"),
        ("/a|b", "/a%7Cb"),
        ("/a\"b", "/a%22b"),
        ("/a?b=^`{}|\\", "/a?b=%5E%60%7B%7D%7C%5C"),
        ("/a?b=/c?d:@", "/a?b=/c?d:@"),
    ] {
        let entries = entries(json!([{"path": target}]), |_| Response::default()).await;
        assert_eq!(entries[0].href, expected);
    }
}

/// Such a target is passed on as it is, but a URI it is none (RFC 3986 §2.1), and an href must be one (RFC 4918 §8.3).
#[tokio::test]
async fn a_percent_sign_that_encodes_nothing_is_encoded_itself() {
    for (target, expected) in [("/100%", "/100%25"), ("/%zz?%4", "/%25zz?%254"), ("/%41%", "/%41%25")] {
        let service = batched(BatchLayer::new(), |_| Response::default());
        let answer = call(service, with(batch(json!([{"path": target}])), "accept", "text/xml")).await;
        assert_eq!(read(answer.body()).map(|entries| entries[0].href.clone()).as_deref(), Ok(expected));
    }
}

/// The path of a batch may itself need encoding, as where it has a tenant's name in it.
#[tokio::test]
async fn stand_ins_are_reserved_under_any_batch_path() {
    for path in ["/batch", "/t/a|b/batch", "/t/[x]/batch"] {
        let layer = BatchLayer::new().every_post();
        let document = json!([{"path": format!("{path}?operation=1")}, {"path": "no target"}]);
        let mut request = with(batch(document), "accept", "text/xml");
        *request.uri_mut() = path.parse().unwrap();
        let answer = call(layer.layer(support::service(|_| Response::default())), request).await;
        assert_eq!(read(answer.body()).map(|entries| entries.len()), Ok(2), "{path}");
    }
}

#[tokio::test]
async fn location_is_told_of_what_was_created_or_is_elsewhere() {
    for (status, location, expected) in [
        (201, "/orders/7?x=1", Some("/orders/7?x=1")),
        (301, "https://elsewhere.example/a", Some("https://elsewhere.example/a")),
        (302, "/a", Some("/a")),
        (303, "/a", Some("/a")),
        (307, "/a b|c", Some("/a%20b%7Cc")),
        (308, "/a", Some("/a")),
        (200, "/a", None),
        (202, "/a", None),
        (404, "/a", None),
    ] {
        let entry = entry(response(StatusCode::from_u16(status).unwrap(), &[("location", location)], "")).await;
        assert_eq!(entry.location.as_deref(), expected, "{status}");
        assert_eq!(entry.headers, [("location".to_owned(), location.to_owned())]);
    }
    let two = response(StatusCode::CREATED, &[("location", "/a"), ("location", "/b")], "");
    assert_eq!(entry(two).await.location.as_deref(), Some("/a"));
    assert_eq!(entry(response(StatusCode::CREATED, &[], "")).await.location, None);
}

#[tokio::test]
async fn a_description_is_a_sentence_from_the_body_of_a_failure() {
    let long = "x".repeat(1 << 10);
    for (status, content_type, body, expected) in [
        (404, "application/json", r#"{"title":"t","detail":"d","message":"m","error":"e"}"#, Some("d")),
        (404, "application/problem+json", r#"{"title":"t","message":"m"}"#, Some("t")),
        (404, "application/json", r#"{"error":{"message":"em"},"message":"m"}"#, Some("m")),
        (404, "application/json", r#"{"error":{"message":"em","code":7}}"#, Some("em")),
        (500, "application/json", r#"{"error":"e <&> e"}"#, Some("e <&> e")),
        (500, "application/json", r#"{"detail":7,"title":null,"message":["m"],"error":"e"}"#, Some("e")),
        (500, "application/json", r#"{"code":7}"#, None),
        (500, "application/json", r#"["detail"]"#, None),
        (500, "application/json", r#"{"detail":"#, None),
        (500, "text/plain; charset=utf-8", " no such\nuser ", Some("no such\nuser")),
        (500, "text/plain", " ", None),
        (500, "text/plain", &long, None),
        (500, "image/png", "png", None),
        (500, "text/plain", "", None),
        (200, "application/json", r#"{"detail":"d"}"#, None),
        (302, "text/plain", "moved", None),
    ] {
        let answer =
            response(StatusCode::from_u16(status).unwrap(), &[("content-type", content_type)], body.to_owned());
        assert_eq!(entry(answer).await.description.as_deref(), expected, "{status} {content_type} {body}");
    }
}

#[tokio::test]
async fn our_own_refusals_are_described_and_told() {
    let entries = entries(json!([{"id": "a", "path": "users"}]), |_| panic!("it may not run")).await;
    let [entry] = entries.try_into().unwrap();
    let body = entry.body.unwrap();
    let problem: Value = serde_json::from_slice(&body.bytes).unwrap();
    assert_eq!((entry.status, entry.id.as_deref(), &*entry.href), (400, Some("a"), "/batch?operation=0"));
    assert_eq!(body.content_type.as_deref(), Some("application/problem+json"));
    assert_eq!((&problem["status"], &problem["pointer"]), (&json!(400), &json!("/0/path")));
    assert_eq!(entry.description.as_deref(), problem["detail"].as_str());
}

#[tokio::test]
async fn a_status_that_no_rfc_names_has_a_reason_too() {
    for (status, reason) in [(418, "I'm a teapot"), (299, "Success"), (499, "Client Error"), (799, "Unknown")] {
        let service = batched(BatchLayer::new(), move |_| response(StatusCode::from_u16(status).unwrap(), &[], ""));
        let answer = call(service, with(batch(json!([{"path": "/"}])), "accept", "text/xml")).await;
        let line = format!("<D:status>HTTP/1.1 {status} {reason}</D:status>");
        assert!(std::str::from_utf8(answer.body()).unwrap().contains(&line), "{status}");
        assert_eq!(read(answer.body()).unwrap()[0].status, status);
    }
}

#[tokio::test]
async fn each_value_of_a_header_is_told() {
    let headers = [("link", "</a>; rel=\"x\""), ("link", "</b>"), ("etag", "\"a\tb\""), ("x-hidden", "1")];
    let entry = entry(response(StatusCode::OK, &headers, "")).await;
    let expected = headers[..3].iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    assert_eq!(entry.headers, expected.collect::<Vec<_>>());
}

/// As JSON has it.
#[tokio::test]
async fn no_byte_of_a_header_is_lost() {
    for value in [&b"\"\xc3\xbc\""[..], b"\"\xfc\""] {
        let mut answer = response(StatusCode::OK, &[], "");
        answer.headers_mut().insert(header::ETAG, HeaderValue::from_bytes(value).unwrap());
        assert_eq!(entry(answer).await.headers, [("etag".to_owned(), "\"ü\"".to_owned())]);
    }
}

fn is_xml(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// Any character at all, and the awkward ones often.
fn text() -> impl Strategy<Value = String> {
    let awkward =
        prop::sample::select("\0\u{1}\t\n\r\u{1f}\u{7f}\u{85}\u{fffe}\u{ffff}&<>\"']![-?".chars().collect::<Vec<_>>());
    prop::collection::vec(prop_oneof![any::<char>(), awkward, prop::char::range('a', 'c')], 0..24)
        .prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    /// Targets may repeat, or be none; bodies are those that were sent.
    #[test]
    fn any_text_comes_back(
        operations in prop::collection::vec((text(), prop_oneof![text(), "/[!-~]{0,3}", "/batch\\?operation=[0-9]"], text()), 1..12),
        kinds in prop::collection::vec(prop::sample::select(&["text/plain", "application/json", "a/b"][..]), 12),
    ) {
        let bodies: HashMap<_, _> = operations.iter().enumerate().map(|(index, (.., body))| (index, body.clone())).collect();
        let written = operations.iter().zip(&kinds).enumerate().map(|(index, ((id, target, _), kind))| {
            json!({"id": format!("{index}{id}"), "path": target, "headers": {"content-type": kind, "range": index.to_string()}})
        });
        let document = json!(written.collect::<Vec<_>>());
        let service = batched(BatchLayer::new(), move |request| {
            let index: usize = request.headers()["range"].to_str().unwrap().parse().unwrap();
            let kind = request.headers()["content-type"].clone();
            let builder = Response::builder().status(if index % 2 == 0 { 200 } else { 418 }).header("content-type", kind);
            builder.body(bodies[&index].clone().into()).unwrap()
        });
        let request = with(batch(document), "accept", "application/xml");
        let answer = block_on(call(service, request));
        let entries = read(answer.body()).map_err(|error| TestCaseError::fail(format!("{error}: {:?}", answer.body())))?;
        prop_assert_eq!(entries.len(), operations.len());
        for (index, (entry, (id, target, body))) in entries.into_iter().zip(operations).enumerate() {
            let legible: String = id.chars().map(|char| if is_xml(char) { char } else { '\u{fffd}' }).collect();
            prop_assert_eq!(entry.id, Some(format!("{index}{legible}")));
            if entry.status == 400 {
                prop_assert_eq!((entry.href, entry.target), (format!("/batch?operation={index}"), None));
            } else {
                prop_assert_eq!(entry.body.map_or_else(Vec::new, |body| body.bytes), body.into_bytes());
                prop_assert!(entry.target.is_none_or(|told| told == target));
            }
        }
    }
}
