//! What an upstream sees of a client's head, what a client sees of an upstream's, and requests that try to be two.

#![allow(clippy::unwrap_used)]

mod common;

use common::{
    Gateway,
    raw::{Raw, exchange},
    upstream::Upstream,
};
use http::Request;
use serde_json::json;

fn start(upstream: &Upstream, options: &str) -> Gateway {
    Gateway::start(&[&upstream.address.to_string()], options)
}

/// The head that the upstream saw of a request with these lines.
fn seen(gateway: &Gateway, head: &str) -> Vec<String> {
    let answer = exchange(&gateway.address, &format!("{head}connection: close\r\n\r\n"));
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    body.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_meant_for_one_connection_is_not_passed_on() {
    let upstream = Upstream::start(0);
    let gateway = start(&upstream, "");
    let head = "GET /headers?a=%2F HTTP/1.1\r\nhost: api.example:8080\r\nx-end-to-end: 1\r\nx-hop: 2\r\n\
                connection: X-Hop, keep-alive, te, upgrade\r\nkeep-alive: timeout=5\r\nte: trailers\r\n\
                proxy-authorization: Basic eDp5\r\nproxy-connection: keep-alive\r\ntrailer: x-t\r\n\
                upgrade: h2c\r\nhttp2-settings: AAMAAABk\r\nvia: 1.0 old\r\nvia: 1.1 new\r\n";
    assert_eq!(
        seen(&gateway, head),
        [
            "GET /headers?a=%2F HTTP/1.1",
            "host: api.example:8080",
            "x-end-to-end: 1",
            "via: 1.0 old, 1.1 new, 1.1 tower-multistatus-gateway",
            "forwarded: for=127.0.0.1;host=\"api.example:8080\";proto=http",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: api.example:8080",
            "x-forwarded-proto: http",
        ]
    );
}

#[test]
fn who_the_client_is_can_not_be_taken_away_or_forged() {
    let upstream = Upstream::start(0);
    let head = "GET /headers HTTP/1.1\r\nhost: api\r\ncookie: a=1\r\nauthorization: Bearer t\r\n\
                forwarded: for=10.0.0.1;proto=https\r\nx-forwarded-for: 10.0.0.1\r\nx-forwarded-proto: https\r\n\
                x-forwarded-prefix: /admin\r\nx-real-ip: 10.0.0.1\r\n\
                connection: forwarded, x-forwarded-for, host, cookie, authorization, content-length, via\r\n";
    let gateway = start(&upstream, "");
    assert_eq!(
        seen(&gateway, head)[1..],
        [
            "host: api",
            "cookie: a=1",
            "authorization: Bearer t",
            "via: 1.1 tower-multistatus-gateway",
            "forwarded: for=127.0.0.1;host=api;proto=http",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: api",
            "x-forwarded-proto: http",
        ]
    );
    // A proxy of one's own in front is believed.
    let gateway = start(&upstream, "--trusted-proxy 127.0.0.1");
    assert_eq!(
        seen(&gateway, head)[1..],
        [
            "host: api",
            "cookie: a=1",
            "authorization: Bearer t",
            "forwarded: for=10.0.0.1;proto=https, for=127.0.0.1;host=api;proto=http",
            "x-forwarded-for: 10.0.0.1, 127.0.0.1",
            "x-forwarded-proto: https",
            "x-forwarded-prefix: /admin",
            "x-real-ip: 10.0.0.1",
            "via: 1.1 tower-multistatus-gateway",
            "x-forwarded-host: api",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_have_the_same_heads() {
    let upstream = Upstream::start(0);
    let gateway = start(&upstream, "--trusted-proxy 127.0.0.1");
    let operations = json!([
        {"path": "/headers"},
        {"method": "POST", "path": "/headers", "body": {"a": 1}},
        {"path": "/headers", "headers": {"forwarded": "for=1.2.3.4"}},
    ]);
    let request = Request::post("/batch")
        .header("content-type", "application/json")
        .header("forwarded", "for=192.0.2.1")
        .header("via", "1.1 front")
        .header("x-hop", "1")
        .header("connection", "x-hop, forwarded");
    let answer = gateway.send(request.body(operations.to_string().into()).unwrap()).await;
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let statuses: Vec<_> = answer["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, [200, 200, 400]);
    for (index, first) in ["GET /headers HTTP/1.1", "POST /headers HTTP/1.1"].iter().enumerate() {
        let lines = answer["results"][index]["data"].as_str().unwrap();
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(&lines[0], first);
        let forwarded = format!("forwarded: for=192.0.2.1, for=127.0.0.1;host=\"{}\";proto=http", gateway.address);
        assert!(lines.contains(&"via: 1.1 front, 1.1 tower-multistatus-gateway"), "{lines:?}");
        assert!(lines.contains(&forwarded.as_str()), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("x-hop")), "{lines:?}");
        assert_eq!(lines.contains(&"content-length: 7"), index == 1, "{lines:?}");
    }
}

#[test]
fn the_host_is_that_of_the_target() {
    let upstream = Upstream::start(0);
    let gateway = start(&upstream, "");
    let seen = seen(&gateway, "GET http://user@one.example/headers HTTP/1.1\r\nhost: two.example\r\n");
    assert_eq!(seen[..2], ["GET /headers HTTP/1.1", "host: one.example"]);
    let answer =
        exchange(&gateway.address, "GET //evil.example/headers HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 "), "it goes to the upstream like any path: {answer}");
}

#[test]
fn requests_that_can_be_read_in_two_ways_are_refused() {
    let upstream = Upstream::start(0);
    let gateway = start(&upstream, "");
    let second = "GET /op/smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    for head in [
        "host: x\r\nhost: y\r\n",
        "",
        "host: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n",
        "host: x\r\ncontent-length: +4\r\n",
        "host: x\r\ntransfer-encoding: xchunked\r\n",
        "host: x\r\ntransfer-encoding: chunked, identity\r\n",
        "host: x\r\ntransfer-encoding : chunked\r\n",
        "host: x\r\nx: a\r\n b\r\n",
        "host: x\r\nx\0: a\r\n",
    ] {
        let answer =
            exchange(&gateway.address, &format!("POST /op/first HTTP/1.1\r\n{head}connection: close\r\n\r\n{second}"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
        assert_eq!(upstream.seen.count("smuggled"), 0, "{head:?}");
    }
}

/// Both a length and chunks: the chunks count, and the upstream never hears of the length.
#[test]
fn a_body_is_framed_anew() {
    let upstream = Upstream::start(0);
    let gateway = start(&upstream, "");
    let request = |path: &str, rest: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        exchange(&gateway.address, &format!("{head}{rest}"))
    };
    let both = "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let echoed = request("/echo", both);
    assert!(echoed.starts_with("HTTP/1.1 400 ") || echoed.contains("hello"), "{echoed}");
    let seen = request("/headers", both);
    assert!(seen.starts_with("HTTP/1.1 400 ") || !seen.contains("content-length: 3"), "{seen}");
    let seen = request("/headers", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert!(seen.contains("\ntransfer-encoding: chunked\n") && !seen.contains("\ncontent-length: 5\n"), "{seen}");
    let seen = request("/headers", "content-length: 5\r\nexpect: 100-continue\r\n\r\nhello");
    assert!(seen.contains("\ncontent-length: 5\n") && !seen.contains("\nexpect"), "{seen}");
    let seen = request("/headers", "content-length: 0\r\n\r\n");
    assert!(seen.contains("\ncontent-length: 0\n"), "{seen}");
}

#[test]
fn an_answer_is_cleaned_too() {
    let upstream = Raw::start(|_| {
        "HTTP/1.1 200 OK\r\nconnection: x-internal, close\r\nx-internal: 1\r\nkeep-alive: timeout=5\r\n\
         proxy-authenticate: Basic\r\nvia: 1.0 back\r\netag: \"a\"\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
         content-length: 2\r\n\r\nok"
    });
    let gateway = Gateway::start(&[&upstream.address], "");
    let answer = exchange(&gateway.address, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut lines: Vec<_> = answer.lines().filter(|line| !line.starts_with("date:")).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "",
            "HTTP/1.1 200 OK",
            "connection: close",
            "content-length: 2",
            "etag: \"a\"",
            "ok",
            "set-cookie: a=1",
            "set-cookie: b=2",
            "via: 1.0 back, 1.1 tower-multistatus-gateway",
        ]
    );
}

#[test]
fn a_head_tells_the_length_that_there_would_be() {
    let upstream = Raw::start(|_| "HTTP/1.1 200 OK\r\ncontent-length: 1234\r\nconnection: close\r\n\r\n");
    let gateway = Gateway::start(&[&upstream.address], "");
    let answer = exchange(&gateway.address, "HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(answer.contains("\r\ncontent-length: 1234\r\n"), "{answer}");
}

#[test]
fn what_is_not_passed_on_is_refused_clearly() {
    let upstream = Upstream::start(0);
    let gateway = start(&upstream, "");
    let websocket = "GET /headers HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let trace = "TRACE /headers HTTP/1.1\r\nhost: x\r\nmax-forwards: 0\r\n";
    let tunnel = "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n";
    for head in [websocket, trace, tunnel] {
        let answer = exchange(&gateway.address, &format!("{head}connection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 501 Not Implemented\r\n"), "{answer}");
        assert!(answer.contains("\"status\":501"), "{answer}");
    }
}

#[test]
fn the_server_as_a_whole_may_be_asked() {
    let upstream = Upstream::start(0);
    let gateway = start(&upstream, "");
    let answer = exchange(&gateway.address, "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    // axum knows no such target. It is the upstream that says so.
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn hops_are_counted() {
    let upstream = Upstream::start(0);
    let gateway = start(&upstream, "");
    let further = seen(&gateway, "OPTIONS /headers HTTP/1.1\r\nhost: x\r\nmax-forwards: 3\r\n");
    assert!(further.contains(&"max-forwards: 2".to_owned()), "{further:?}");
    let here = seen(&gateway, "OPTIONS /headers HTTP/1.1\r\nhost: x\r\nmax-forwards: 0\r\n");
    assert!(here[0].contains("this is the gateway"), "{here:?}");
    // Others say nothing by it.
    let get = seen(&gateway, "GET /headers HTTP/1.1\r\nhost: x\r\nmax-forwards: 0\r\n");
    assert!(get.contains(&"max-forwards: 0".to_owned()), "{get:?}");
}
