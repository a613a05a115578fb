//! What has gone wrong in batch endpoints elsewhere, one test for each, named after it.
#![allow(clippy::unwrap_used)]

#[path = "security/references.rs"]
mod references;
mod support;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use axum::{Router, extract::Path, routing};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, uri::PathAndQuery};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use serde_json::{Value, json};
use support::{
    Plain, batch, batch_as, batched, call, echo, refusal, refused, response, results, results_of, service, with,
};
use tower::{BoxError, Layer, ServiceBuilder, load_shed::error::Overloaded, service_fn};
use tower_multistatus::{BatchLayer, RequestBody};

/// What reached the service of one operation, sent in this batch.
async fn received(layer: BatchLayer, mut outer: Request<Plain>, operation: Value) -> Value {
    *outer.body_mut() = Full::from(json!([operation]).to_string());
    let answer = call(batched(layer, echo), outer).await;
    let mut result = results(&answer).remove(0);
    assert_eq!(result["status"], 200, "{result}");
    result["data"].take()
}

/// The problem of the only operation, which has never reached the service.
async fn refused_unsent(layer: BatchLayer, operation: Value) -> Value {
    let service = batched(layer, |request| panic!("{} {} was sent", request.method(), request.uri()));
    let results = results_of(service, json!([operation])).await;
    refused(&results[0], 400).clone()
}

/// In WordPress faulty requests were kept in one list and left out of another, so that a permission was checked for
/// one request and another one was carried out.
#[tokio::test]
async fn wordpress_cve_2026_63030_lists_slide_apart() {
    let faults = [json!(null), json!({}), json!({"path": "x"}), json!({"path": "/", "headers": {"cookie": "a"}})];
    for fault in faults {
        let operations: Vec<_> = (0..20)
            .map(|index| match index % 3 {
                1 => json!({"id": index.to_string(), "method": "PUT", "path": format!("/{index}"), "body": index}),
                2 => fault.clone(),
                _ => json!({"path": format!("/{index}"), "headers": {"range": index.to_string()}}),
            })
            .collect();
        let results = results_of(batched(BatchLayer::new(), echo), json!(operations)).await;
        assert_eq!(results.len(), operations.len());
        for (index, (operation, result)) in operations.iter().zip(&results).enumerate() {
            if index % 3 == 2 {
                refused(result, 400);
                continue;
            }
            let data = &result["data"];
            assert_eq!(result["id"], operation["id"]);
            assert_eq!(data["target"], operation["path"]);
            assert_eq!(data["context"], json!({"index": index, "id": operation["id"], "total": 20}));
            assert_eq!(data["method"], if index % 3 == 1 { "PUT" } else { "GET" });
            assert_eq!(data["body"], if index % 3 == 1 { index.to_string() } else { String::new() });
            assert_eq!(data["headers"]["range"][0], operation["headers"]["range"]);
        }
    }
}

/// In APISIX an operation could say where it came from, and so get past a check of addresses.
#[tokio::test]
async fn apisix_cve_2022_24112_client_ip_header() {
    for name in [
        "x-real-ip",
        "X-Forwarded-For",
        "x-forwarded-host",
        "x-forwarded-proto",
        "forwarded",
        "via",
        "true-client-ip",
        "cf-connecting-ip",
        "authorization",
        "proxy-authorization",
        "cookie",
        "origin",
        "referer",
        "sec-fetch-site",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-api-key",
        "date",
    ] {
        let problem = refused_unsent(BatchLayer::new(), json!({"path": "/", "headers": {name: "127.0.0.1"}})).await;
        assert!(problem["detail"].as_str().unwrap().contains(&name.to_ascii_lowercase()), "{problem}");
        assert_eq!(problem["pointer"], format!("/0/headers/{name}"));
    }
}

/// Google's clients put the batch's own token into each operation: that makes nobody somebody else.
#[tokio::test]
async fn the_batchs_own_token_may_be_repeated_to_the_letter() {
    let outer = || with(with(batch(""), "authorization", "Bearer a"), "x-real-ip", "1.2.3.4");
    let set = |name: &str, value: Value| json!({"path": "/", "headers": {name: value}});
    for (name, value) in [("Authorization", "Bearer a"), ("authorization", " Bearer a ")] {
        let received = received(BatchLayer::new(), outer(), set(name, json!(value))).await;
        assert_eq!(received["headers"]["authorization"], json!(["Bearer a"]));
        assert_eq!(received["headers"]["x-real-ip"], json!(["1.2.3.4"]));
    }
    // What differs at all, and what the batch has several of, is refused as ever. So is any other header: a client would learn
    // that it has guessed what a proxy has added.
    let twice = || with(outer(), "authorization", "Bearer b");
    for (outer, name, value) in [
        (outer(), "authorization", "Bearer b"),
        (outer(), "authorization", "bearer a"),
        (outer(), "authorization", ""),
        (outer(), "x-real-ip", "1.2.3.4"),
        (outer(), "x-forwarded-for", "1.2.3.4"),
        (twice(), "authorization", "Bearer a"),
        (twice(), "authorization", "Bearer b"),
        (with(outer(), "proxy-authorization", "a"), "proxy-authorization", "a"),
    ] {
        let service = batched(BatchLayer::new(), |request| panic!("{request:?} was sent"));
        let (head, _) = outer.into_parts();
        let body = json!([set(name, json!(value))]).to_string();
        let request = http::Request::from_parts(head, http_body_util::Full::from(body));
        refused(&results(&call(service, request).await)[0], 400);
    }
}

/// A header that may be set replaces what is inherited: two values are how a check and a handler see different ones.
#[tokio::test]
async fn apisix_cve_2022_24112_an_allowed_header_replaces_all_inherited_values() {
    let layer = BatchLayer::new().allow_header(HeaderName::from_static("x-tenant"));
    let outer = || with(with(with(batch(""), "x-tenant", "a"), "x-tenant", "b"), "x-other", "c");
    let set = json!({"path": "/", "headers": {"X-Tenant": "own"}});
    assert_eq!(received(layer.clone(), outer(), set).await["headers"]["x-tenant"], json!(["own"]));
    let unset = received(layer, outer(), json!({"path": "/"})).await;
    assert_eq!(unset["headers"]["x-tenant"], json!(["a", "b"]));
    refused_unsent(BatchLayer::new(), json!({"path": "/", "headers": {"x-tenant": "own"}})).await;
}

/// In Parse Server operations were called behind the limiter's back.
#[tokio::test]
async fn parse_cve_2026_30972_limiters_are_skipped() {
    let permits = Arc::new(AtomicUsize::new(3));
    let limiter = permits.clone();
    let service = batched(BatchLayer::new(), move |_| {
        let permit = limiter.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        response(permit.map_or(StatusCode::TOO_MANY_REQUESTS, |_| StatusCode::OK), &[], "")
    });
    let results = results_of(service, json!(vec![json!({"path": "/"}); 5])).await;
    let served = results.iter().filter(|result| result["status"] == 200).count();
    let limited = results.iter().filter(|result| result["status"] == 429).count();
    assert_eq!((served, limited, permits.load(Relaxed)), (3, 2, 0));
}

/// In Parse Server a firewall by path saw the batch, and none of its operations.
#[tokio::test]
async fn parse_cve_2026_50008_firewalls_are_skipped() {
    let firewall =
        axum::middleware::from_fn(async |request: axum::extract::Request, next: axum::middleware::Next| match request
            .uri()
            .path()
        {
            "/admin" => Err(StatusCode::FORBIDDEN),
            _ => Ok(next.run(request).await),
        });
    let api = Router::new().route("/admin", routing::get("secret")).route("/", routing::get("public")).layer(firewall);
    let app = Router::new().fallback_service(ServiceBuilder::new().layer(BatchLayer::new()).service(api));
    let operations = json!([{"path": "/"}, {"path": "/admin"}, {"path": "/admin?x"}, {"path": "/%61dmin"}]);
    let results = results_of(app, operations).await;
    let statuses: Vec<_> = results.iter().map(support::status).collect();
    assert_eq!(statuses, [200, 403, 403, 404]);
}

#[tokio::test]
async fn ssrf_through_targets() {
    for target in [
        "http://evil.example/",
        "HTTPS://evil.example/",
        "http:/evil.example",
        "evil.example:80",
        "@evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example/",
        "/%5cevil.example/",
        "*",
        "",
        "?x",
        " /a",
        "/a b",
        "/a\tb",
        "/a#b",
        "/a\u{0}",
        "/a\r\nhost: evil.example",
        "/ü",
        "/\u{ff0f}evil.example",
        "/..",
        "/./a",
        "/a/../../etc/passwd",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "/a/..%2fb",
        "/a%2F..",
        "/a/..;/b",
        "/a/%2e%2e;x=y/b",
    ] {
        for member in ["path", "url"] {
            refused_unsent(BatchLayer::new(), json!({member: target})).await;
        }
    }
    for target in [
        "/@user",
        "/a//b",
        "/a?next=http://evil.example/../x",
        "/a:80",
        "/a?b=\\",
        "/..a/...",
        "/%252e%252e/a",
        "/a;b=../c",
    ] {
        let seen = received(BatchLayer::new(), batch(""), json!({"path": target})).await;
        assert_eq!(seen["target"], target);
        assert_eq!(seen["headers"]["host"], json!(["api.example.com"]));
    }
}

#[tokio::test]
async fn ssrf_through_the_authority() {
    let layer = BatchLayer::new().authority("public.example.com:8443");
    for host in
        ["evil.example", "api.example.com.evil.example", "api.example.com:81", "x@api.example.com", "", "localhost"]
    {
        refused_unsent(layer.clone(), json!({"path": "/", "headers": {"host": host}})).await;
        refused_unsent(layer.clone(), json!({"path": "/", "headers": {"Host": ["api.example.com", host]}})).await;
    }
    for host in ["api.example.com", "API.example.com", "public.example.com:8443"] {
        let seen = received(layer.clone(), batch(""), json!({"path": "/", "headers": {"host": host}})).await;
        assert_eq!(seen["headers"]["host"], json!(["api.example.com"]), "{host}");
    }
}

/// HTTP/2, or a layer over a client: there the URI itself has the authority, and every operation keeps it.
#[tokio::test]
async fn ssrf_through_an_absolute_uri() {
    let mut outer = batch("");
    *outer.uri_mut() = "https://api.example.com/batch".parse().unwrap();
    outer.headers_mut().remove(header::HOST);
    *outer.version_mut() = http::Version::HTTP_2;
    for (target, expected) in
        [("/a?b", "https://api.example.com/a?b"), ("/@evil.example", "https://api.example.com/@evil.example")]
    {
        let seen = received(BatchLayer::new(), outer.clone(), json!({"path": target})).await;
        assert_eq!((&seen["target"], &seen["version"]), (&json!(expected), &json!("HTTP/1.1")));
        assert_eq!(seen["headers"]["host"], json!(["api.example.com"]));
    }
}

#[tokio::test]
async fn connect_and_trace_are_no_operations() {
    for method in ["CONNECT", "TRACE", "connect", "Trace"] {
        refused_unsent(BatchLayer::new(), json!({"method": method, "path": "/"})).await;
    }
}

#[tokio::test]
async fn crlf_in_methods_and_headers() {
    let break_ = "x\r\nx-real-ip: 127.0.0.1";
    for operation in [
        json!({"path": "/", "headers": {"accept": break_}}),
        json!({"path": "/", "headers": {"accept": ["a/b", break_]}}),
        json!({"path": "/", "headers": {"accept": "a\rb"}}),
        json!({"path": "/", "headers": {"accept": "a\nb"}}),
        json!({"path": "/", "headers": {"accept": "a\u{0}b"}}),
        json!({"path": "/", "headers": {break_: "x"}}),
        json!({"path": "/", "headers": {"accept\r\n": "x"}}),
        json!({"path": "/", "headers": {"accept:": "x"}}),
        json!({"path": "/", "headers": {" accept": "x"}}),
        json!({"path": "/", "method": "GET / HTTP/1.1\r\nx: y\r\n\r\n"}),
        json!({"path": "/", "method": "GET\r\n"}),
    ] {
        refused_unsent(BatchLayer::new(), operation).await;
    }
}

/// Reject, never strip: only spaces and tabs may surround a value (RFC 9110 §5.5).
#[tokio::test]
async fn crlf_at_the_end_of_a_value() {
    for value in ["x\r\n", "\r\nx", "x\n", "\rx", "x\u{c}", "\n"] {
        refused_unsent(BatchLayer::new(), json!({"path": "/", "headers": {"accept": value}})).await;
    }
    let seen = received(BatchLayer::new(), batch(""), json!({"path": "/", "headers": {"accept": " \tx "}})).await;
    assert_eq!(seen["headers"]["accept"], json!(["x"]));
}

#[tokio::test]
async fn request_smuggling_by_framing_headers() {
    let operation = json!({"method": "POST", "path": "/", "body": [1], "headers": {
        "Content-Length": "0",
        "transfer-encoding": "chunked",
        "connection": "content-type, upgrade",
        "upgrade": "websocket",
        "te": "trailers",
        "trailer": "x",
        "expect": "100-continue",
        "keep-alive": "x",
        "accept-encoding": "gzip",
        "user-agent": "x",
        "mime-version": "1.0",
    }});
    for layer in [
        BatchLayer::new(),
        BatchLayer::new().allow_header(header::TRANSFER_ENCODING).allow_header(header::CONTENT_LENGTH),
    ] {
        let seen = received(layer, batch(""), operation.clone()).await;
        let expected =
            json!({"host": ["api.example.com"], "content-type": ["application/json"], "content-length": ["3"]});
        assert_eq!((&seen["headers"], &seen["body"]), (&expected, &json!("[1]")));
    }
}

/// A form on a foreign page can send these media types without a preflight.
#[tokio::test]
async fn csrf_simple_form() {
    let untouched = || batched(BatchLayer::new(), |_| panic!("nothing of it may run"));
    for content_type in [
        "text/plain",
        "text/plain; charset=utf-8",
        "text/plain;application/json",
        "text/plain; x=\"application/json\"",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json, text/plain",
        "",
    ] {
        let request = batch_as(content_type, r#"[{"path":"/"}]"#);
        refusal(&call(untouched(), request).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let mut none = batch(r#"[{"path":"/"}]"#);
    none.headers_mut().remove(header::CONTENT_TYPE);
    refusal(&call(untouched(), none).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for (first, second) in [("text/plain", "application/json"), ("application/json", "text/plain")] {
        let two = with(batch_as(first, r#"[{"path":"/"}]"#), "content-type", second);
        refusal(&call(untouched(), two).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}

#[tokio::test]
async fn csrf_checks_inside_see_where_a_batch_comes_from() {
    let told = [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("cookie", "session=1"),
        ("referer", "x"),
    ];
    let outer = told.iter().fold(batch(""), |outer, (name, value)| with(outer, name, value));
    let seen = received(BatchLayer::new(), outer, json!({"method": "DELETE", "path": "/"})).await;
    for (name, value) in told {
        assert_eq!(seen["headers"][name], json!([value]));
    }
}

#[tokio::test]
async fn httponly_cookies_are_readable_in_a_body() {
    let layer = BatchLayer::new().result_header(header::SET_COOKIE);
    for accept in ["application/json", "application/xml"] {
        if cfg!(not(feature = "xml")) && accept == "application/xml" {
            continue;
        }
        let service = batched(layer.clone(), |request| {
            let cookie = format!("secret{}=1; HttpOnly", &request.uri().path()[1..]);
            response(StatusCode::OK, &[("set-cookie", &cookie), ("Set-Cookie", "b=2"), ("etag", "x")], "")
        });
        let request = with(batch(json!([{"path": "/1"}, {"path": "/22"}])), "accept", accept);
        let answer = call(service, request).await;
        assert_eq!(answer.status(), StatusCode::MULTI_STATUS);
        let cookies: Vec<_> = answer.headers().get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["secret1=1; HttpOnly", "secret22=1; HttpOnly", "b=2"]);
        let text = std::str::from_utf8(answer.body()).unwrap().to_ascii_lowercase();
        assert!(text.contains("etag") && !text.contains("secret") && !text.contains("cookie"), "{text}");
    }
}

/// Of two members with one name, a check may see the first and a handler the second.
#[tokio::test]
async fn duplicate_members_are_read_in_two_ways() {
    let untouched = || batched(BatchLayer::new(), |_| panic!("nothing of it may run"));
    for operation in [
        r#"{"path":"/public","path":"/admin"}"#,
        r#"{"path":"/public","\u0070ath":"/admin"}"#,
        r#"{"path":"/public","url":"/admin"}"#,
        r#"{"path":"/","method":"GET","method":"DELETE"}"#,
        r#"{"path":"/","id":"a","id":"b"}"#,
        r#"{"path":"/","body":1,"body":2}"#,
        r#"{"path":"/","headers":{},"headers":{"accept":"x"}}"#,
        r#"{"path":"/","headers":{"accept":"x","ACCEPT":"y"}}"#,
        r#"{"path":"/","note":1,"note":2}"#,
    ] {
        let results = results_of(untouched(), format!("[{operation}]")).await;
        refused(&results[0], 400);
    }
    for document in [
        r#"{"operations":[{"path":"/a"}],"operations":[{"path":"/b"}]}"#,
        r#"{"operations":[{"path":"/a"}],"\u006fperations":[{"path":"/b"}]}"#,
        r#"{"operations":[{"path":"/a"}],"requests":[{"id":"1","method":"get","url":"/b"}]}"#,
        r#"[{"id":"a","path":"/a"},{"id":"a","path":"/b"}]"#,
        r#"[{"id":"a","path":"/a"},{"id":"\u0061","path":"/b"}]"#,
    ] {
        refusal(&call(untouched(), batch(document)).await, StatusCode::BAD_REQUEST);
    }
}

const SECRET: &str = "postgres://admin:hunter2@10.0.0.1";

#[tokio::test]
async fn internal_error_text_is_told_to_clients() {
    let service = service_fn(async |request: Request<RequestBody<Plain>>| match request.uri().path() {
        "/error" => Err(BoxError::from(SECRET)),
        "/overload" => Err(Box::new(Overloaded::new()) as BoxError),
        "/panic" => panic!("{SECRET}"),
        _ => {
            let frames = [Ok(Frame::data(Bytes::from_static(b"part"))), Err(BoxError::from(SECRET))];
            Ok(Response::new(StreamBody::new(tokio_stream::iter(frames))))
        }
    });
    let operations = json!([{"path": "/error"}, {"path": "/panic"}, {"path": "/body"}, {"path": "/overload"}]);
    let answer = call(BatchLayer::new().layer(service), batch(&operations)).await;
    let results = results(&answer);
    for (result, status) in results.iter().zip([500, 500, 500, 503]) {
        refused(result, status);
    }
    let xml =
        call(BatchLayer::new().layer(service), with(batch(&operations), "accept", "application/xml, */*;q=0.1")).await;
    for answer in [answer, xml] {
        let text = std::str::from_utf8(answer.body()).unwrap();
        for part in ["postgres", "hunter2", "10.0.0.1", "part"] {
            assert!(!text.contains(part), "{text}");
        }
    }
}

/// A body that says it is JSON, and would close the result that it stands in.
#[tokio::test]
async fn json_injection_by_a_body_that_is_none() {
    for body in [r#"1,"status":200"#, r#"1}],"summary":{"total":0}}"#, "{} {}", "", "[1", "\"\n\"", "/**/1"] {
        let service = batched(BatchLayer::new(), move |_| {
            response(StatusCode::OK, &[("content-type", "application/json")], body)
        });
        let results = results_of(service, json!([{"path": "/"}, {"path": "/"}])).await;
        assert_eq!(results.len(), 2);
        for result in results {
            assert_eq!(result.get("encoding").and_then(Value::as_str), Some("base64").filter(|_| !body.is_empty()));
            let data = result.get("data").and_then(Value::as_str).unwrap_or_default();
            assert_eq!(STANDARD.decode(data).unwrap(), body.as_bytes());
        }
    }
}

#[tokio::test]
async fn headers_of_the_batch_alone_are_not_inherited() {
    for name in [
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "content-disposition",
        "content-digest",
        "content-language",
        "content-location",
        "content-md5",
        "digest",
        "expect",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "last-event-id",
        "prefer",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "repr-digest",
        "signature",
        "signature-input",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "want-content-digest",
        "want-digest",
        "x-http-method",
        "x-http-method-override",
        // An inner deduplication would answer every operation with the result of the first.
        "idempotency-key",
    ] {
        let value = if name == "accept" { "*/*" } else { "x" };
        let seen = received(BatchLayer::new(), with(batch(""), name, value), json!({"path": "/"})).await;
        assert_eq!(seen["headers"], json!({"host": ["api.example.com"]}), "{name}");
    }
    for name in
        ["authorization", "x-forwarded-for", "forwarded", "traceparent", "user-agent", "x-anything", "cache-control"]
    {
        let outer = with(with(batch(""), name, "x"), name, "y");
        let seen = received(BatchLayer::new(), outer, json!({"path": "/"})).await;
        assert_eq!(seen["headers"][name], json!(["x", "y"]), "{name}");
    }
    // HTTP/2 may split cookies, and an HTTP/1.1 service doesn't know that.
    let outer = with(with(batch(""), "cookie", "a=1"), "cookie", "b=2");
    assert_eq!(
        received(BatchLayer::new(), outer, json!({"path": "/"})).await["headers"]["cookie"],
        json!(["a=1; b=2"])
    );
}

/// Apache CVE-2022-31813: a client named headers in `Connection` that a proxy before had added, and they were gone.
#[tokio::test]
async fn apache_cve_2022_31813_connection_takes_the_clients_address_away() {
    let mut outer = with(batch(""), "connection", "x-forwarded-for, authorization, host, x-own");
    for name in ["x-forwarded-for", "authorization", "x-own"] {
        outer = with(outer, name, "x");
    }
    let seen = received(BatchLayer::new(), outer, json!({"path": "/"})).await;
    let expected = json!({"host": ["api.example.com"], "x-forwarded-for": ["x"], "authorization": ["x"]});
    assert_eq!(seen["headers"], expected);
}

/// One 2 MiB batch must not hold a thread: neither by what is refused, nor by what is told of it.
#[tokio::test]
async fn a_refusal_is_short_and_costs_little() {
    let name = "&".repeat(1 << 20);
    let values = vec!["\"\""; 300_000].join(",");
    for document in [
        format!(r#"[{{"path":"/","headers":{{"{name}":[{values}]}}}}]"#),
        format!(r#"[{{"path":"/","headers":{{"accept":[{values}]}}}}]"#),
        format!(r#"[{{"path":"/","headers":{{"{name}":1}}}}]"#),
        format!(r#"[{{"path":"/","headers":{{"{}":"1"}}}}]"#, "x".repeat(16_000)),
        format!(r#"[{{"path":"/","{name}":1,"{name}":2}}]"#).replace(&"&".repeat(1 << 19), ""),
        format!(r#"[{{"path":"/","method":"{name}"}}]"#),
        format!(r#"[{{"path":"/","id":"{name}"}}]"#),
        format!(r#""{name}""#),
        format!(r#"{{"operations":"{name}"}}"#),
        format!(r#"{{"{0}":1,"{0}":2}}"#, &name[..1 << 19]),
    ] {
        for accept in ["application/json", "*/*"].into_iter().chain(cfg!(feature = "xml").then_some("application/xml"))
        {
            let service = batched(BatchLayer::new(), |_| panic!("nothing of it may run"));
            let answer = call(service, with(batch(document.clone()), "accept", accept)).await;
            assert!(answer.body().len() < 2000, "{} bytes for {}…", answer.body().len(), &document[..60]);
        }
    }
}

/// `Connection` names further headers that end with the hop (RFC 9110 §7.6.1).
#[tokio::test]
async fn headers_that_connection_names_are_not_inherited() {
    let outer = with(with(batch(""), "connection", "close, X-Hop"), "connection", "\tx-other ,");
    let outer = ["x-hop", "x-other", "x-stays"].iter().fold(outer, |outer, name| with(outer, name, "v"));
    let seen = received(BatchLayer::new(), outer, json!({"path": "/"})).await;
    assert_eq!(seen["headers"], json!({"host": ["api.example.com"], "x-stays": ["v"]}));
}

#[tokio::test]
async fn an_idempotency_key_is_an_operations_own() {
    let outer = with(batch(""), "idempotency-key", "outer");
    let operation = json!({"method": "POST", "path": "/", "headers": {"idempotency-key": "own"}});
    assert_eq!(received(BatchLayer::new(), outer, operation).await["headers"]["idempotency-key"], json!(["own"]));
}

#[derive(Clone, Debug, PartialEq)]
struct Claims(&'static str);

#[tokio::test]
async fn extensions_are_forwarded_only_where_asked() {
    #[derive(Clone)]
    struct Other;

    for (layer, expected) in [
        (BatchLayer::new(), (None, false)),
        (BatchLayer::new().forward_extension::<Claims>(), (Some(Claims("admin")), false)),
        (BatchLayer::new().forward_extension::<Claims>().forward_extension::<Other>(), (Some(Claims("admin")), true)),
    ] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let service = batched(layer, move |request| {
            let extensions = request.extensions();
            log.lock().unwrap().push((extensions.get::<Claims>().cloned(), extensions.get::<Other>().is_some()));
            Response::default()
        });
        let mut request = batch(json!([{"path": "/a"}, {"path": "/b"}]));
        request.extensions_mut().insert(Claims("admin"));
        request.extensions_mut().insert(Other);
        assert_eq!(results(&call(service, request).await).len(), 2);
        assert_eq!(*seen.lock().unwrap(), [expected.clone(), expected]);
    }
}

/// Extensions of the outer request hold its route's parameters; the inner router would add to them.
#[tokio::test]
async fn parameters_of_the_outer_route_do_not_reach_operations() {
    let api = Router::new().route("/users/{id}", routing::get(async |Path(id): Path<u32>| id.to_string()));
    let layer = BatchLayer::new().every_post();
    let app = Router::new().route_service("/t/{tenant}/batch", layer.layer(api));
    let mut request = batch(json!([{"path": "/users/17"}]));
    *request.uri_mut() = "/t/acme/batch".parse().unwrap();
    assert_eq!(results(&call(app, request).await)[0]["data"], "17");
}

#[tokio::test]
async fn nested_batches_multiply() {
    let layer = BatchLayer::new().also_path("/$batch");
    let inner = json!([{"path": "/"}]);
    for operation in [
        json!({"method": "POST", "path": "/batch", "body": inner}),
        json!({"method": "post", "path": "/batch?x=1", "body": inner}),
        json!({"method": "POST", "url": "/$batch", "body": inner}),
        json!({"method": "POST", "path": "/\u{62}atch"}),
    ] {
        let pointer = if operation["url"].is_null() { "/0/path" } else { "/0/url" };
        assert_eq!(refused_unsent(layer.clone(), operation).await["pointer"], pointer);
    }
    // What is no batch there is an operation like any other.
    assert_eq!(received(layer, batch(""), json!({"path": "/batch"})).await["target"], "/batch");
}

/// Another layer inside, under another path, knows an operation by what no client can send.
#[tokio::test]
async fn nested_batches_multiply_through_two_layers() {
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    let api = service(move |_: Request<Bytes>| {
        count.fetch_add(1, Relaxed);
        Response::default()
    });
    let service = ServiceBuilder::new().layer(BatchLayer::new()).layer(BatchLayer::new().path("/inner")).service(api);
    let nested = json!({"method": "POST", "path": "/inner", "body": vec![json!({"path": "/"}); 100]});
    let results = results_of(service.clone(), json!([nested, {"path": "/"}])).await;
    assert_eq!((support::status(&results[0]), support::status(&results[1])), (400, 200));
    assert_eq!(ran.load(Relaxed), 1);

    let mut alone = batch(json!([{"path": "/"}]));
    *alone.uri_mut() = "/inner".parse().unwrap();
    assert_eq!(support::results(&call(service, alone).await).len(), 1);
}

#[tokio::test]
async fn a_path_policy_narrows_what_a_batch_can_reach() {
    let asked = Arc::new(Mutex::new(HashSet::new()));
    let log = asked.clone();
    let layer = BatchLayer::new().allow_targets(move |method: &Method, target: &PathAndQuery| {
        log.lock().unwrap().insert(format!("{method} {target}"));
        *method == Method::GET && target.path().starts_with("/public/")
    });
    let operations = json!([
        {"path": "/public/a?b"},
        {"path": "/private"},
        {"method": "DELETE", "path": "/public/a"},
        {"path": "/%70ublic/a"},
        {"path": "/public/../private"},
        {"path": "/public/b"},
    ]);
    let results = results_of(batched(layer, echo), operations).await;
    let statuses: Vec<_> = results.iter().map(support::status).collect();
    assert_eq!(statuses, [200, 403, 403, 403, 400, 200]);
    assert_eq!(refused(&results[1], 403)["pointer"], "/1/path");
    let expected = ["GET /public/a?b", "GET /private", "DELETE /public/a", "GET /%70ublic/a", "GET /public/b"];
    assert_eq!(*asked.lock().unwrap(), expected.map(str::to_owned).into());
}

/// Two of a header that tells what a body is are how a filter and a handler read it in two ways.
#[tokio::test]
async fn an_operation_has_one_content_type() {
    let two = json!({"method": "POST", "path": "/", "headers": {"content-type": ["text/plain", "application/json"]}, "body": "x"});
    refused_unsent(BatchLayer::new(), two).await;
}

/// Deep nesting has overflowed the stacks of recursive parsers.
#[tokio::test]
async fn deep_nesting_overflows_the_stack() {
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    let closed = deep.clone();
    for document in [
        format!(r#"[{{"path":"/","body":{deep}}}]"#),
        format!(r#"[{deep}]"#),
        format!(r#"[{{"path":{deep}}}]"#),
        format!(r#"[{{"path":"/","headers":{{"accept":{deep}}}}}]"#),
    ] {
        let service = batched(BatchLayer::new(), |_| panic!("nothing of it may run"));
        refused(&results_of(service, document).await[0], 400);
    }
    for (document, expected) in [
        (deep, StatusCode::MULTI_STATUS),
        ("[".repeat(1_000_000), StatusCode::BAD_REQUEST),
        ("{\"operations\":".repeat(100_000), StatusCode::BAD_REQUEST),
        ("[{\"path\":".repeat(100_000), StatusCode::BAD_REQUEST),
    ] {
        let answer = call(batched(BatchLayer::new(), echo), batch(document)).await;
        assert_eq!(answer.status(), expected);
    }
    // In an answer it is told as it is, or as text, but it ends nothing.
    let service = batched(BatchLayer::new(), move |_| {
        response(StatusCode::BAD_REQUEST, &[("content-type", "application/json")], closed.clone())
    });
    for accept in ["application/json", "application/xml, */*;q=0.1"] {
        let answer = call(service.clone(), with(batch(r#"[{"path":"/"}]"#), "accept", accept)).await;
        assert_eq!(answer.status(), StatusCode::MULTI_STATUS);
    }
}

/// An id is repeated in the answer, and so could split it.
#[tokio::test]
async fn nothing_that_a_client_sends_becomes_an_outer_header() {
    let operations = json!([{"id": "x\r\nset-cookie: a=b", "path": "/", "headers": {"accept": "text/x"}}]);
    let answer = call(batched(BatchLayer::new(), echo), batch(operations)).await;
    let names: HashSet<_> = answer.headers().keys().map(HeaderName::as_str).collect();
    assert_eq!(names, HashSet::from(["content-type", "cache-control"]));
    assert_eq!(answer.headers()["content-type"], HeaderValue::from_static("application/json"));
}
