//! Whatever format a batch is written in, the service gets the same requests; whatever format it is answered in, the
//! client is told the same.
#![allow(clippy::unwrap_used)]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::{prelude::*, sample::select};
use round_trip::Sent;
#[path = "support/round_trip.rs"]
mod round_trip;

fn request() -> impl Strategy<Value = Sent> {
    let methods = select(&["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE", "PROPFIND", "M-SEARCH"][..]);
    let target = r"/e[a-z0-9_~@!$&'()*+,;=:-]{0,3}(/(%20|%C3%BC|\[x\]|\.\.\.|x\.y|[2-5][0-9][0-9])?){0,3}(\?([a-z0-9=&/?:@!'.+-]|%2[0-9A-F]){0,8})?";
    (methods, target, headers(), content()).prop_map(|(method, target, mut headers, (content_type, body))| {
        headers.extend(content_type.map(|value| (http::header::CONTENT_TYPE, HeaderValue::from_static(value))));
        Sent { method: Method::from_bytes(method.as_bytes()).unwrap(), target, headers, body: body.into() }
    })
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let names = [
        "accept",
        "accept-language",
        "if-match",
        "if-none-match",
        "prefer",
        "range",
        "idempotency-key",
        "odata-version",
    ];
    let value = prop_oneof![
        4 => "([!-~]([ -~é\u{e000}\u{ffff}🦀]{0,6}[!-~])?)?".prop_map(String::into_bytes),
        // Latin-1, of which no string can be made.
        1 => Just(b"caf\xe9".to_vec()),
    ];
    prop::collection::vec((select(names.to_vec()), value), 0..4).prop_map(|headers| {
        let value = |value: Vec<u8>| HeaderValue::from_bytes(&value).unwrap();
        headers.into_iter().fold(HeaderMap::new(), |mut headers, (name, bytes)| {
            headers.append(HeaderName::from_static(name), value(bytes));
            headers
        })
    })
}

/// A content type, and what may have it or not.
fn content() -> impl Strategy<Value = (Option<&'static str>, Vec<u8>)> {
    let content_type = select(&[
        None,
        Some("application/json"),
        Some("application/json; charset=utf-8"),
        Some("Application/Problem+JSON"),
        Some("text/plain"),
        Some("text/plain; charset=iso-8859-1"),
        Some("text/x+json"),
        Some("image/png"),
        Some("multipart/mixed; boundary=b"),
        Some("nonsense"),
    ]);
    let body = prop_oneof![
        2 => Just(Vec::new()),
        2 => any::<Vec<u8>>(),
        2 => any::<String>().prop_map(String::into_bytes),
        1 => any::<String>().prop_map(|text| serde_json::to_vec(&text).unwrap()),
        2 => json().prop_map(String::into_bytes),
        // What could be taken for a part of a format.
        3 => prop::collection::vec(select(PARTS), 0..12).prop_map(|parts| parts.concat().into_bytes()),
    ];
    (content_type, body)
}

const PARTS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "--batch",
    "--batch--",
    "--change_set",
    "--batch_1",
    "--",
    "HTTP/1.1 200 OK",
    "GET / HTTP/1.1",
    "Content-Length: 3",
    "Content-Type: application/http",
    "]]>",
    "</b:body>",
    "<!-- &amp; ",
    "\0",
    "\u{b}",
    "\u{85}\u{2028}",
    "\u{feff}",
    "\u{fffe}",
    "\"}],",
    "\\",
    "🦀é",
    " ",
    "null",
];

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(
            &["null", "true", "0", "-0.0", "1e400", "12345678901234567890", r#""\ud800""#, r#""\u0000é""#, "[]"][..]
        )
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let separator = select(&[",", " , ", ",\r\n\t"][..]);
        (prop::collection::vec(inner, 0..4), separator, any::<bool>()).prop_map(|(values, separator, is_object)| {
            if !is_object {
                return format!("[{}]", values.join(separator));
            }
            let members: Vec<_> = values.iter().enumerate().map(|(n, value)| format!("\"{n}\":{value}")).collect();
            format!("{{{}}}", members.join(separator))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn requests_and_outcomes_are_the_same_in_every_format(requests in prop::collection::vec(request(), 1..8)) {
        round_trip::check_requests(&requests);
    }
}
