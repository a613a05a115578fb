#![allow(clippy::unwrap_used)]

use http_body_util::{Empty, Full};

use super::*;

fn stripped(lines: &[(&'static str, &'static str)]) -> Vec<String> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_static(value));
    }
    strip(&mut headers);
    headers.keys().map(HeaderName::to_string).collect()
}

#[test]
fn connection_names_more_of_them() {
    let lines =
        [("connection", "close , X-A,,"), ("connection", "x-b, no name"), ("x-a", ""), ("x-b", ""), ("x-c", "")];
    assert_eq!(stripped(&lines), ["x-c"]);
}

#[test]
fn connection_can_not_name_who_the_client_is() {
    for name in
        ["host", "cookie", "authorization", "forwarded", "x-forwarded-for", "via", "x-real-ip", "sec-fetch-site"]
    {
        assert_eq!(stripped(&[("connection", name), (name, "x")]), [name]);
    }
}

#[test]
fn an_upgrade_is_one_only_if_connection_says_so() {
    let asks = |connection: &'static str, upgrade: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static(connection));
        headers.insert(header::UPGRADE, HeaderValue::from_static(upgrade));
        asks_for_upgrade(&headers)
    };
    assert!(asks("keep-alive, Upgrade", "websocket"));
    assert!(asks("upgrade", "h2c, foo/2"));
    assert!(!asks("close", "websocket"));
    assert!(!asks("upgrade, http2-settings", "h2c"));
}

#[test]
fn a_length_that_is_not_that_of_the_body_is_not_told() {
    let told = |length: &'static str, status: u16, body: &'static str, is_head: bool| {
        let response = Response::builder().status(status).header("content-length", length);
        let mut response = response.body(Full::<bytes::Bytes>::from(body)).unwrap();
        for_client(&mut response, is_head);
        response.headers().contains_key("content-length")
    };
    assert!(told("2", 200, "ok", false));
    assert!(!told("3", 200, "ok", false));
    assert!(told("3", 200, "", true));
    assert!(told("3", 304, "", false));
}

#[test]
fn via_is_one_line() {
    let mut response = Response::new(Empty::<bytes::Bytes>::new());
    for via in ["1.0 a", "1.1 b (c)"] {
        response.headers_mut().append("via", HeaderValue::from_static(via));
    }
    for_client(&mut response, false);
    let via: Vec<_> = response.headers().get_all("via").iter().collect();
    assert_eq!(via, ["1.0 a, 1.1 b (c), 1.1 tower-multistatus-gateway"]);
}
