//! References to a `location`, and the check of all that comes of references: a value leads nowhere where the client
//! could not have gone by itself.
#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, header, uri::PathAndQuery};
use serde_json::{Value, json};
use support::{Plain, batch, batched, call, echo, refused, response, results, results_of, status};
use tower_multistatus::BatchLayer;

/// Answers each POST with this location, and echoes all else.
fn located(
    name: &'static str,
    location: &str,
) -> impl Fn(Request<Bytes>) -> Response<Bytes> + Clone + Send + 'static + use<> {
    let location = location.to_owned();
    move |request| match *request.method() {
        Method::POST => response(StatusCode::CREATED, &[(name, &location)], ""),
        _ => echo(request),
    }
}

fn following(target: &str) -> Value {
    json!([
        {"id": "s", "method": "POST", "path": target},
        {"method": "PUT", "path": "{+where}", "refs": {"where": "s@location"}, "body": {"$ref": "where"}},
    ])
}

/// Where one who follows this location is sent, in answer to a request for `target`; or what is said of it.
async fn follow_from(target: &str, location: &str) -> Result<Value, String> {
    let layer = BatchLayer::new().authority("public.example.com:8443");
    let results = results_of(batched(layer, located("location", location)), following(target)).await;
    assert_eq!(results[0]["status"], 201, "{target}: {}", results[0]);
    if results[1]["status"] == 200 {
        let sent = &results[1]["data"];
        assert_eq!(sent["headers"]["host"], json!(["api.example.com"]));
        assert_eq!(sent["body"], json!(sent["target"].to_string()), "the same in a body");
        return Ok(sent["target"].clone());
    }
    Err(refused(&results[1], 424)["detail"].as_str().unwrap().to_owned())
}

async fn follow(location: &str) -> Result<Value, String> {
    follow_from("/source/list?page=2", location).await
}

#[tokio::test]
async fn a_location_is_a_path_and_a_query_on_this_server() {
    for (location, target) in [
        ("/orders/7", "/orders/7"),
        ("/orders/7?x=1&y=%20%C3%BC/?", "/orders/7?x=1&y=%20%C3%BC/?"),
        ("/orders/7#lines", "/orders/7"),
        ("/orders/7?x#lines", "/orders/7?x"),
        ("/", "/"),
        ("/a//b", "/a//b"),
        ("/a:b@c;d,e='(f)'!$&*+", "/a:b@c;d,e='(f)'!$&*+"),
        // Relative to the target that it answers (RFC 3986 §5.3).
        ("", "/source/list?page=2"),
        ("#lines", "/source/list?page=2"),
        ("?page=3", "/source/list?page=3"),
        ("7", "/source/7"),
        ("./7", "/source/7"),
        ("a/./b/../c", "/source/a/c"),
        ("../7?x", "/7?x"),
        ("../../../7", "/7"),
        ("/a/../b", "/b"),
        ("/..", "/"),
        // As browsers do.
        ("/a/%2e%2e/b", "/b"),
        ("%2E./b", "/b"),
        // Absolute, under any of the server's names.
        ("http://api.example.com/orders/7?x#y", "/orders/7?x"),
        ("https://API.Example.com:443/x", "/x"),
        ("HTTPS://api.example.com/x", "/x"),
        ("http://public.example.com:8443/x", "/x"),
        ("//api.example.com/x", "/x"),
        ("http://api.example.com", "/"),
        ("http://api.example.com?x", "/?x"),
        ("http://api.example.com/a/../b", "/b"),
    ] {
        assert_eq!(follow(location).await, Ok(json!(target)), "{location}");
    }
}

#[tokio::test]
async fn a_location_elsewhere_is_followed_by_nobody() {
    for location in [
        "http://evil.example/x",
        "https://evil.example",
        "//evil.example/x",
        "///evil.example/x",
        "http://api.example.com:8443/x",
        "http://api.example.com.evil.example/x",
        "http://evil.example@api.example.com/x",
        "http://api.example.com@evil.example/x",
        "http://public.example.com/x",
        "ftp://api.example.com/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "mailto:a@api.example.com",
        "http:/x",
        "http:x",
        "/a b",
        "/a\\b",
        "\\\\evil.example\\x",
        "/a|b",
        "/ü",
        "/a{b}",
        "/a%zz",
        "http://api.example.com:x/",
        "http://[::1/x",
    ] {
        let detail = follow(location).await.unwrap_err();
        assert!(
            detail.contains("`where`") && detail.contains("`location` is no place on this server"),
            "{location}: {detail}"
        );
    }
    // These are here, but no target may look like this.
    for (location, word) in [
        ("http://api.example.com//evil.example/x", "`//`"),
        ("/.//evil.example/x", "`//`"),
        ("/a%5cb", "backslash"),
        ("/a/..%2fb", "segments"),
    ] {
        let detail = follow(location).await.unwrap_err();
        assert!(detail.contains(word), "{location}: {detail}");
    }
}

/// Some services take more characters in a target than a URI may have, and brackets in a query are common.
#[tokio::test]
async fn a_location_is_relative_to_any_target_that_was_accepted() {
    for (location, target) in
        [("/orders/7", "/orders/7"), ("7", "/source/7"), ("http://api.example.com/x", "/x"), ("?y", "/source/list?y")]
    {
        for source in ["f[name]=x", "a|b", "^`{}\\", "%", "%zz", ""].map(|query| format!("/source/list?{query}")) {
            assert_eq!(follow_from(&source, location).await, Ok(json!(target)), "{source} {location}");
        }
    }
    assert_eq!(follow_from("/source/[a]{b}\"/b?x", "c").await, Ok(json!("/source/%5Ba%5D%7Bb%7D%22/c")));
}

/// The target that was sent, not the template that it comes from.
#[tokio::test]
async fn a_location_is_relative_to_a_target_with_references_too() {
    let service = batched(BatchLayer::new(), |request| match request.uri().path() {
        "/source" => response(StatusCode::OK, &[("location", "/source/17/")], ""),
        "/source/17/lines" => response(StatusCode::OK, &[("location", "lines/3")], ""),
        _ => echo(request),
    });
    let operations = json!([
        {"id": "a", "path": "/source"},
        {"id": "b", "path": "{+a}lines", "refs": {"a": "a@location"}},
        {"path": "{+b}", "refs": {"b": "b@location"}},
    ]);
    assert_eq!(results_of(service, operations).await[2]["data"]["target"], "/source/17/lines/3");
}

#[tokio::test]
async fn a_content_location_is_a_location_and_no_other_header_is() {
    let user = |reference: &str| {
        json!([
            {"id": "s", "method": "POST", "path": "/source"},
            {"method": "PUT", "path": "/x", "refs": {"w": reference}, "body": {"$ref": "w"}},
        ])
    };
    let layer = BatchLayer::new().result_header(HeaderName::from_static("x-location"));
    for (name, expected) in
        [("location", "\"/a\""), ("content-location", "\"/a\""), ("x-location", "\"http://api.example.com/a#b\"")]
    {
        let service = batched(layer.clone(), located(name, "http://api.example.com/a#b"));
        let results = results_of(service, user(&format!("s@{name}"))).await;
        assert_eq!(results[1]["data"]["body"], expected, "{name}");
        let service = batched(layer.clone(), located(name, "http://evil.example/a"));
        let results = results_of(service, user(&format!("s@{name}"))).await;
        assert_eq!(status(&results[1]), if name == "x-location" { 200 } else { 424 });
    }
}

/// Over HTTP/2 the URI names the server, and no header needs to.
#[tokio::test]
async fn a_servers_own_name_may_stand_in_the_uri() {
    for (location, expected) in [("https://api.example.com/x", 200), ("https://other.example.com/x", 424)] {
        let mut outer: Request<Plain> = batch(following("/source"));
        *outer.uri_mut() = "https://api.example.com/batch".parse().unwrap();
        outer.headers_mut().remove(header::HOST);
        let results = results(&call(batched(BatchLayer::new(), located("location", location)), outer).await);
        assert_eq!(status(&results[1]), expected, "{location}");
    }
    // Nobody knows the name of a server that was not called by one.
    let mut outer: Request<Plain> = batch(following("/source"));
    outer.headers_mut().remove(header::HOST);
    let results =
        results(&call(batched(BatchLayer::new(), located("location", "http://api.example.com/x")), outer).await);
    assert_eq!(status(&results[1]), 424);
}

/// Answers `/source` with this as JSON, and must get nothing else.
fn only_source(value: &Value) -> impl Fn(Request<Bytes>) -> Response<Bytes> + Clone + Send + 'static + use<> {
    let value = value.to_string();
    move |request| {
        assert_eq!(request.uri().path(), "/source", "this was sent");
        response(StatusCode::OK, &[("content-type", "application/json"), ("location", "/batch?x")], value.clone())
    }
}

#[tokio::test]
async fn the_policy_on_targets_sees_what_comes_of_references() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let layer = BatchLayer::new().allow_targets(move |method: &Method, target: &PathAndQuery| {
        log.lock().unwrap().push(format!("{method} {target}"));
        target.path() == "/source" || target.path().starts_with("/public/")
    });
    for (path, target) in [("/{x}", "/private"), ("/{x}/public/", "/private/public/"), ("/public{x}", "/publicprivate")]
    {
        let operations = json!([
            {"id": "s", "path": "/source"},
            {"method": "DELETE", "path": path, "refs": {"x": "s#"}},
            {"url": path, "refs": {"x": "s#"}},
        ]);
        let results = results_of(batched(layer.clone(), only_source(&json!("private"))), operations).await;
        let problem = refused(&results[1], 403);
        assert_eq!(problem["pointer"], "/1/path");
        assert_eq!(refused(&results[2], 403)["pointer"], "/2/url");
        // It is asked for nothing that is not to be sent, and never for a template.
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        assert_eq!(asked, ["GET /source", &format!("DELETE {target}"), &format!("GET {target}")]);
    }
}

#[tokio::test]
async fn a_reference_can_not_lead_into_a_batch() {
    let layer = || BatchLayer::new().also_path("/$batch");
    for path in ["/{x}", "{/x}", "/{x}?y", "/{x:5}", "/b{tail}", "{+where}", "/%24{x}", "/{y}"] {
        let refs = json!({"x": "s#/x", "y": "s#/y", "tail": "s#/tail", "where": "s@location"});
        let operations = json!([
            {"id": "s", "path": "/source"},
            {"method": "POST", "path": path, "refs": refs, "body": [{"path": "/"}]},
        ]);
        let value = json!({"x": "batch", "y": "$batch", "tail": "atch"});
        // Compared as it is: a percent-encoded path is that of no batch endpoint.
        if ["/%24{x}", "/{y}"].contains(&path) {
            let service = batched(layer(), move |request| match request.uri().path() {
                "/source" => only_source(&value)(request),
                _ => echo(request),
            });
            assert_eq!(results_of(service, operations).await[1]["data"]["method"], "POST");
            continue;
        }
        let results = results_of(batched(layer(), only_source(&value)), operations).await;
        let problem = refused(&results[1], 424);
        assert!(problem["detail"].as_str().unwrap().contains("a batch can't be an operation of a batch"), "{problem}");
        assert_eq!(problem["pointer"], "/1/path");
    }
}
