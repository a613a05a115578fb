//! `refs`: values that operations take from the outcomes of others. What they become, and where they may stand.
#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod support;

use bytes::Bytes;
use http::{HeaderName, Response, StatusCode};
use serde_json::{Value, json};
use support::{batched, echo, json_response, refused, response, results_of, status};
use tower_multistatus::BatchLayer;

/// Results of a batch in which `s` is answered with this, and `user` takes something of it.
async fn both(layer: BatchLayer, source: Response<Bytes>, user: &Value) -> [Value; 2] {
    let service = batched(layer, move |request| match request.uri().path().strip_prefix("/source") {
        Some(_) => source.clone(),
        None => echo(request),
    });
    let source = json!({"id": "s", "method": "POST", "path": "/source/list?page=2"});
    results_of(service, json!([source, user])).await.try_into().unwrap()
}

/// What reaches the service of `user`.
async fn sent(source: Response<Bytes>, user: &Value) -> Value {
    let [_, mut result] = both(BatchLayer::new(), source, user).await;
    assert_eq!(result["status"], 200, "{user}: {result}");
    result["data"].take()
}

/// The problem that `user` is, which is not its fault.
async fn failed(layer: BatchLayer, source: Response<Bytes>, user: &Value) -> Value {
    let [source, result] = both(layer, source, user).await;
    assert!((200..300).contains(&status(&source)), "{source}");
    refused(&result, 424).clone()
}

/// The problem that `user` is, which nothing could be done about.
async fn faulty(user: &Value) -> Value {
    let [source, result] = both(BatchLayer::new(), new_order(), user).await;
    assert_eq!(source["status"], 201, "{source}");
    refused(&result, 400).clone()
}

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap()
}

fn json_text(text: &'static str) -> Response<Bytes> {
    response(StatusCode::OK, &[("content-type", "application/json")], text)
}

fn new_order() -> Response<Bytes> {
    let headers = [("content-type", "application/json"), ("location", "/orders/17"), ("etag", "\"v1\"")];
    response(
        StatusCode::CREATED,
        &headers,
        r#"{"id": 17, "name": "Ada & Co/ü", "lines": [{"sku": "x"}, null], "on": true}"#,
    )
}

#[tokio::test]
async fn a_value_can_stand_in_the_path_in_a_header_and_in_the_body() {
    let user = json!({
        "method": "PUT",
        "path": "/orders/{order}/{name}?first={sku}&on={on}",
        "refs": {"order": "s#/id", "name": "s#/name", "sku": "s#/lines/0/sku", "on": "s#/on", "tag": "s@etag"},
        "headers": {"if-match": "{tag}", "prefer": ["return=minimal", "{sku}"], "accept": "a/{sku}"},
        "body": {"parent": {"$ref": "order"}, "all": [{"$ref": "name"}, {"$ref": "tag"}], "kept": "{order}"},
    });
    let sent = sent(new_order(), &user).await;
    assert_eq!(sent["target"], "/orders/17/Ada%20%26%20Co%2F%C3%BC?first=x&on=true");
    assert_eq!(sent["headers"]["if-match"], json!(["\"v1\""]));
    assert_eq!(sent["headers"]["prefer"], json!(["return=minimal", "x"]));
    assert_eq!(sent["headers"]["accept"], json!(["a/{sku}"]), "only what is a reference as a whole is one");
    let body = sent["body"].as_str().unwrap();
    assert_eq!(body, r#"{"all":["Ada & Co/ü","\"v1\""],"kept":"{order}","parent":17}"#);
    assert_eq!(sent["headers"]["content-length"], json!([body.len().to_string()]));
    assert_eq!(sent["headers"]["content-type"], json!(["application/json"]));
}

#[tokio::test]
async fn a_value_in_a_body_is_the_same_json_byte_for_byte() {
    for value in [
        "17",
        "-0.0",
        "1.50",
        "1E+2",
        "12345678901234567890123",
        "0.1000000000000000055511151231257827",
        "true",
        "false",
        "null",
        r#""""#,
        r#""\u0041\/\ud83e\udd80é\n""#,
        "[]",
        "[ 1 ,\n2 ]",
        "{}",
        r#"{ "b" : 1, "a" : {"$ref":"x"}, "b" : 2 }"#,
        r#"{"$ref":"x"}"#,
    ] {
        for (document, pointer) in [(value.to_owned(), ""), (format!(r#" {{"a b/~":[ 0, {value} ]}} "#), "/a b~1~0/1")]
        {
            let source = response(StatusCode::OK, &[("content-type", "application/json")], document);
            let user = format!(
                r#"{{"method":"POST","path":"/","refs":{{"x":"s#{pointer}"}},"body":{{"n":1.0,"x": {{ "$ref" : "x" }} }}}}"#
            );
            let service = batched(BatchLayer::new(), move |request| match request.uri().path() {
                "/source" => source.clone(),
                _ => echo(request),
            });
            let batch = format!(r#"[{{"id":"s","path":"/source","method":"POST"}},{user}]"#);
            let results = results_of(service, batch).await;
            assert_eq!(results[1]["data"]["body"], format!(r#"{{"n":1.0,"x": {value} }}"#), "{}", results[1]);
        }
    }
}

#[tokio::test]
async fn a_whole_body_can_be_a_value() {
    let user = json!({"method": "PUT", "path": "/", "refs": {"lines": "s#/lines"}, "body": {"$ref": "lines"}});
    assert_eq!(sent(new_order(), &user).await["body"], r#"[{"sku": "x"}, null]"#);
}

/// RFC 6570, as far as the values are text.
#[tokio::test]
async fn a_path_with_references_is_a_uri_template() {
    for (template, target) in [
        ("/{id}", "/17"),
        ("/{id}{id}/x{id}y", "/1717/x17y"),
        ("/a?{id}", "/a?17"),
        ("/a{?id,name}", "/a?id=17&name=Ada%20%26%20Co%2F%C3%BC"),
        ("/a{?empty}", "/a?empty="),
        ("/a?x=1{&id,empty}", "/a?x=1&id=17&empty="),
        ("/a{/id,name:3}", "/a/17/Ada"),
        ("/a/{name:11}", "/a/Ada%20%26%20Co%2F%C3%BC"),
        ("/a/{crab:2}{crab:1}", "/a/%C3%BC%F0%9F%A6%80%C3%BC"),
        ("/a{;id}", "/a;id=17"),
        ("/a{.id}", "/a.17"),
        ("/a/{id,id}", "/a/17,17"),
        ("/a/{id*}", "/a/17"),
        ("{+where}", "/orders/17?a=%20b"),
        ("{+where}&id={id}", "/orders/17?a=%20b&id=17"),
        ("/proxy{+where}", "/proxy/orders/17?a=%20b"),
        ("/?next={where}", "/?next=%2Forders%2F17%3Fa%3D%2520b"),
        ("/a?e={empty}", "/a?e="),
        ("/plain?%7Bid%7D", "/plain?%7Bid%7D"),
    ] {
        let headers = [("content-type", "application/json"), ("location", "/orders/17?a=%20b#x")];
        let source = response(StatusCode::OK, &headers, r#"{"id":17,"name":"Ada & Co/ü","crab":"ü🦀x","empty":""}"#);
        let refs =
            json!({"id": "s#/id", "name": "s#/name", "crab": "s#/crab", "empty": "s#/empty", "where": "s@location"});
        for member in ["path", "url"] {
            let sent = sent(source.clone(), &json!({member: template, "refs": refs})).await;
            assert_eq!(sent["target"], target, "{template}");
        }
    }
}

#[tokio::test]
async fn a_path_that_can_be_no_template_of_these_references_is_refused() {
    for (path, word) in [
        ("/{other}", "`other`"),
        ("/{id}/{Id}", "`Id`"),
        ("/{id,other}", "`other`"),
        ("/{?other}", "`other`"),
        ("/{", "template"),
        ("/{id", "template"),
        ("/id}", "template"),
        ("/{}", "template"),
        ("/{{id}}", "template"),
        ("/{id}{", "template"),
        ("/{ id }", "space"),
        ("/{$id}", "template"),
        ("/{ü}", "ASCII"),
        ("/{+id}", "`location`"),
        ("/{#id}", "`location`"),
        ("/{+where,id}", "`location`"),
        ("/{+tag}", "`location`"),
        ("{+where:3}", "whole"),
        ("{id}", "begins with `/`"),
        ("//{id}", "`//`"),
        ("/{+where}", "`//`"),
        ("/../{id}", "segments"),
        ("/a#{id}", "fragment"),
        ("/a{#where}", "fragment"),
    ] {
        let user = json!({"path": path, "refs": {"id": "s#/id", "where": "s@location", "tag": "s@etag"}});
        let problem = faulty(&user).await;
        assert!(detail(&problem).contains(word), "{path}: {problem}");
        assert_eq!(problem["pointer"], "/1/path");
    }
    // What is too long before any value is in it is so afterwards.
    let user = json!({"url": format!("/{}{{id}}", "x".repeat(8192)), "refs": {"id": "s#/id"}});
    assert_eq!(faulty(&user).await["pointer"], "/1/url");
}

/// What looks like a reference, and names none, is what the client wanted to send.
#[tokio::test]
async fn what_names_no_reference_is_data() {
    let body = json!({
        "a": {"$ref": "other"},
        "b": {"$ref": "#/definitions/x"},
        "c": {"$ref": "id", "more": 1},
        "d": {"$REF": "id"},
        "e": {"$ref": ["id"]},
        "f": {"$ref": {"$ref": 17}},
        "g": ["$ref", "id"],
        "h": {"$ref": null},
        "i": {"$ref ": "id"},
        "j": "{\"$ref\":\"id\"}",
        "k": {"x": {"$ref": "s#/id"}},
        "l": "{id}",
        "{id}": 1,
    });
    let headers = json!({"accept": "{other}", "prefer": "{id", "if-match": "id}", "if-none-match": "{id} ", "range": "x{id}", "if-range": "{}"});
    let user = json!({"method": "POST", "path": "/a", "refs": {"id": "s#/id"}, "headers": headers, "body": body});
    let sent = sent(new_order(), &user).await;
    assert_eq!(serde_json::from_str::<Value>(sent["body"].as_str().unwrap()).unwrap(), body);
    for (name, value) in headers.as_object().unwrap() {
        assert_eq!(sent["headers"][name], json!([value.as_str().unwrap().trim()]));
    }
}

#[tokio::test]
async fn without_references_nothing_is_looked_for() {
    let body = json!({"a": {"$ref": "id"}, "b": "{id}", "$ref": "s#/id"});
    for refs in [json!(null), json!({})] {
        for path in ["/{id}", "/{", "/}{", "/a?{+where}", "/{{}}"] {
            let headers = json!({"accept": "{id}"});
            let user = json!({"method": "POST", "path": path, "refs": refs, "headers": headers, "body": body});
            let sent = sent(new_order(), &user).await;
            assert_eq!(sent["target"], path);
            assert_eq!(sent["headers"]["accept"], json!(["{id}"]));
            assert_eq!(sent["body"], body.to_string());
        }
    }
}

/// Text and bytes are nobody's to look into; an object is JSON, whatever it is called.
#[tokio::test]
async fn only_json_in_a_body_is_looked_into() {
    let text = r#"{"$ref":"id"}"#;
    for (content_type, body, encoding, expected) in [
        ("text/plain", json!(text), Value::Null, text),
        ("text/plain", json!("eyIkcmVmIjoiaWQifQ=="), json!("base64"), text),
        ("application/json", json!("eyIkcmVmIjoiaWQifQ=="), json!("base64"), text),
        ("application/json", json!(text), Value::Null, r#""{\"$ref\":\"id\"}""#),
        ("application/merge-patch+json", json!({"$ref": "id"}), Value::Null, "17"),
        ("application/json", json!([{"$ref": "id"}]), Value::Null, "[17]"),
    ] {
        let headers = json!({"content-type": content_type});
        let user = json!({"method": "POST", "path": "/", "refs": {"id": "s#/id"}, "headers": headers, "body": body, "encoding": encoding});
        let sent = sent(new_order(), &user).await;
        assert_eq!(sent["body"], expected, "{content_type} {body}");
        assert_eq!(sent["headers"]["content-type"], json!([content_type]));
    }
}

/// Other than in a path or a header, an escape changes nothing of what JSON means.
#[tokio::test]
async fn escapes_in_the_batch_change_nothing() {
    let escaped = r#"[{"id":"\u0073","method":"POST","path":"/source"},
        {"p\u0061th":"/\u007bid\u007d","method":"PUT","r\u0065fs":{"i\u0064":"s\u0023\u002fid"},
         "headers":{"accept":"\u007bid\u007d"},"body":[{"\u0024ref":"\u0069d"},{"$r\u0065f":"i\u0064"}]}]"#;
    let service = batched(BatchLayer::new(), |request| match request.uri().path() {
        "/source" => new_order(),
        _ => echo(request),
    });
    let results = results_of(service, escaped).await;
    let sent = &results[1]["data"];
    assert_eq!(sent["target"], "/17", "{}", results[1]);
    assert_eq!(sent["headers"]["accept"], json!(["17"]));
    assert_eq!(sent["body"], "[17,17]");
}

#[tokio::test]
async fn references_may_have_any_name() {
    for name in ["", " ", "ünï", "a#b@c", "$ref", "\u{1f980}", "a\"b\\c", "{a}", "s#/id", "/~"] {
        let user = json!({
            "method": "POST",
            "path": "/a",
            "refs": {name: "s#/id"},
            "headers": {"accept": format!("{{{name}}}")},
            "body": {"$ref": name},
        });
        let sent = sent(new_order(), &user).await;
        assert_eq!((&sent["body"], &sent["headers"]["accept"]), (&json!("17"), &json!(["17"])), "{name:?}");
    }
}

#[tokio::test]
async fn what_is_no_reference_is_refused() {
    for (refs, word, pointer) in [
        (json!([]), "object", "/1/refs"),
        (json!("s#/id"), "object", "/1/refs"),
        (json!({"a": null}), "string", "/1/refs/a"),
        (json!({"a": ["s#/id"]}), "string", "/1/refs/a"),
        (json!({"a": ""}), "`id#/pointer`", "/1/refs/a"),
        (json!({"a": "s"}), "`id#/pointer`", "/1/refs/a"),
        (json!({"a": "s#id"}), "JSON Pointer", "/1/refs/a"),
        (json!({"a": "s#/~2"}), "JSON Pointer", "/1/refs/a"),
        (json!({"a": "s#/x~"}), "JSON Pointer", "/1/refs/a"),
        (json!({"a": format!("s#{}", "/x".repeat(65))}), "64 steps", "/1/refs/a"),
        (json!({"a": "s@"}), "header", "/1/refs/a"),
        (json!({"a": "s@a b"}), "header", "/1/refs/a"),
        (json!({"a": "s@etag\r\n"}), "header", "/1/refs/a"),
        (json!({"a": "nobody#/id"}), "`nobody`", "/1/refs/a"),
        (json!({"a": "#/id"}), "``", "/1/refs/a"),
        (json!({"a": "self#/id"}), "itself", "/1/refs/a"),
        (json!({"a~/b": "x#"}), "`x`", "/1/refs/a~0~1b"),
        // An id that holds a mark can't be named: the first one splits.
        (json!({"a": "x#y#/id"}), "JSON Pointer", "/1/refs/a"),
        (json!({"a": "x@y#/id"}), "header", "/1/refs/a"),
        (json!({"a": "s@set-cookie"}), "`set-cookie`", "/1/refs/a"),
        (json!({"a": "s@content-length"}), "`content-length`", "/1/refs/a"),
        (json!({"a": "s@x-internal"}), "`x-internal`", "/1/refs/a"),
    ] {
        let problem = faulty(&json!({"id": "self", "path": "/", "refs": refs})).await;
        assert!(detail(&problem).contains(word), "{refs}: {problem}");
        assert_eq!(problem["pointer"], pointer, "{refs}");
    }
    let service = batched(BatchLayer::new(), echo);
    let twice = r#"[{"id":"s","path":"/"},{"path":"/","refs":{"a":"s#","\u0061":"s#"}}]"#;
    assert!(detail(refused(&results_of(service, twice).await[1], 400)).contains("two references `a`"));
}

#[tokio::test]
async fn headers_that_no_operation_may_set_can_not_be_set_by_a_reference() {
    for name in ["authorization", "x-anything", "cookie", "content-type", "host", "a b"] {
        let user = json!({"path": "/", "refs": {"id": "s#/id"}, "headers": {name: "{id}"}});
        assert_eq!(faulty(&user).await["pointer"], format!("/1/headers/{name}"));
    }
    let user = json!({"path": "/", "refs": {"id": "s#/id"}, "headers": {"user-agent": "{id}", "te": ["{id}"]}});
    let sent = sent(new_order(), &user).await;
    assert_eq!(sent["headers"], json!({"host": ["api.example.com"]}), "passed over, as always");
    let layer = BatchLayer::new().allow_header(HeaderName::from_static("x-order"));
    let user = json!({"path": "/", "refs": {"id": "s#/id"}, "headers": {"X-Order": "{id}"}});
    let [_, result] = both(layer, new_order(), &user).await;
    assert_eq!(result["data"]["headers"]["x-order"], json!(["17"]));
}

/// Values in the order in which they were written (RFC 9110 §5.3), of which some are references.
#[tokio::test]
async fn values_of_one_header_keep_their_order() {
    let refs = json!({"id": "s#/id", "tag": "s@etag"});
    let user =
        json!({"path": "/", "refs": refs, "headers": {"if-match": ["{tag}", "\"a\"", "{id}", "{none}", "\"b\""]}});
    let sent = sent(new_order(), &user).await;
    assert_eq!(sent["headers"]["if-match"], json!(["\"v1\"", "\"a\"", "17", "{none}", "\"b\""]));
}

#[tokio::test]
async fn a_header_that_the_answer_tells_can_be_referred_to() {
    let source =
        || response(StatusCode::OK, &[("x-request-id", "7"), ("etag", "\"é\""), ("content-type", "text/x")], "");
    let layer = BatchLayer::new().result_header(HeaderName::from_static("x-request-id"));
    let refs = json!({"a": "s@X-Request-Id", "b": "s@etag", "c": "s@content-type"});
    let user = json!({"method": "POST", "path": "/{a}", "refs": refs, "headers": {"if-match": "{b}"}, "body": [{"$ref": "a"}, {"$ref": "c"}]});
    let [_, result] = both(layer, source(), &user).await;
    assert_eq!(result["data"]["target"], "/7", "{result}");
    assert_eq!(result["data"]["headers"]["if-match"], json!(["\"é\""]));
    assert_eq!(result["data"]["body"], r#"["7","text/x"]"#);
}

/// What is missing is said; nothing is sent in its stead.
#[tokio::test]
async fn a_value_that_is_not_there_is_a_failed_dependency() {
    let user = |reference: &str| json!({"path": "/a", "refs": {"name": reference}});
    for (source, reference, words) in [
        (new_order(), "s#/nothing", "`/nothing`"),
        (new_order(), "s#/id/deeper", "`/id/deeper`"),
        (new_order(), "s#/lines/2", "`/lines/2`"),
        (new_order(), "s#/lines/-", "`/lines/-`"),
        (new_order(), "s#/lines/00", "`/lines/00`"),
        (new_order(), "s#/", "`/`"),
        (new_order(), "s#/a~1b", "`/a~1b`"),
        (new_order(), "s@last-modified", "`last-modified`"),
        (json_response(StatusCode::OK, &json!({})), "s@location", "`location`"),
        (json_text(r#"{"id":1,"id":1}"#), "s#/id", "`/id` twice"),
        (json_text(r#"{"id":1,"\u0069d":2}"#), "s#/id", "twice"),
        (json_text(r#"{"a":{"id":1},"a":{"x":2}}"#), "s#/a/id", "twice"),
        (json_text(r#"{"a":{"x":1},"a":{"id":2}}"#), "s#/a/id", "twice"),
        (json_text(r#"{"a":[{"id":1}],"a":null}"#), "s#/a/0/id", "twice"),
        (json_text("{"), "s#", "not JSON"),
        (json_text("1 2"), "s#", "not JSON"),
        (json_text(r#"{"id":"\ud800"}"#), "s#/id", "not JSON"),
        (json_text(""), "s#", "no body"),
        (response(StatusCode::OK, &[("content-type", "text/plain")], "17"), "s#", "not JSON"),
        (response(StatusCode::OK, &[], "17"), "s#", "not JSON"),
        (response(StatusCode::OK, &[("content-type", "application/json")], &b"\"\xff\""[..]), "s#", "not JSON"),
        (response(StatusCode::NO_CONTENT, &[("content-type", "application/json")], "{}"), "s#", "no body"),
        (response(StatusCode::OK, &[("etag", "a"), ("etag", "b")], ""), "s@etag", "more than one `etag`"),
        (response(StatusCode::OK, &[("location", "/a"), ("location", "/a")], ""), "s@location", "more than one"),
    ] {
        let problem = failed(BatchLayer::new(), source, &user(reference)).await;
        let detail = detail(&problem);
        assert!(
            detail.contains(words) && detail.contains("`name`") && detail.contains("`s`"),
            "{reference}: {problem}"
        );
        assert!(detail.contains("not carried out"), "{problem}");
        assert_eq!(problem["pointer"], "/1/refs/name");
    }
}

#[tokio::test]
async fn a_value_that_can_not_stand_where_it_is_to_stand_is_a_failed_dependency() {
    let path = json!({"path": "/a/{x}"});
    let query = json!({"path": "/a?{x}"});
    let header = json!({"path": "/a", "headers": {"accept": "{x}"}});
    for (value, user, words, pointer) in [
        ("null", &path, "null", "/1/path"),
        ("{}", &path, "object", "/1/path"),
        ("[1]", &path, "array", "/1/path"),
        (r#""""#, &path, "empty", "/1/path"),
        ("null", &query, "null", "/1/path"),
        ("{}", &query, "object", "/1/path"),
        ("null", &header, "null", "/1/headers/accept"),
        ("{}", &header, "object", "/1/headers/accept"),
        ("[]", &header, "array", "/1/headers/accept"),
        (r#"".""#, &path, "segments", "/1/path"),
        (r#""..""#, &path, "segments", "/1/path"),
        (r#""a\r\nx: y""#, &header, "character", "/1/headers/accept"),
        (r#""a\n""#, &header, "character", "/1/headers/accept"),
        (r#""\u0000""#, &header, "character", "/1/headers/accept"),
        (r#""\u007f""#, &header, "character", "/1/headers/accept"),
    ] {
        let mut user = user.clone();
        user["refs"] = json!({"x": "s#"});
        let problem = failed(BatchLayer::new(), json_text(value), &user).await;
        assert!(detail(&problem).contains(words), "{value} {user}: {problem}");
        assert_eq!(problem["pointer"], pointer, "{value} {user}");
    }
    // None of these leads to another place, once it is percent-encoded.
    for (value, target) in [
        (r#""../x""#, "/a/..%2Fx"),
        (r#""...""#, "/a/..."),
        (r#""/""#, "/a/%2F"),
        (r#""%2e%2e""#, "/a/%252e%252e"),
        (r##""?a=b#c""##, "/a/%3Fa%3Db%23c"),
        (r#"" \r\n\u0000""#, "/a/%20%0D%0A%00"),
        (r#""{y}""#, "/a/%7By%7D"),
        (r#""\\""#, "/a/%5C"),
        ("false", "/a/false"),
        ("-1e5", "/a/-1e5"),
    ] {
        let user = json!({"path": "/a/{x}", "refs": {"x": "s#"}});
        let [_, result] = both(BatchLayer::new(), json_text(value), &user).await;
        // `..%2F` and `%5C` are what some services take for `../` and a separator.
        if value.contains("..") && !value.contains("...") && !value.contains('%') || value == r#""\\""# {
            assert!(detail(refused(&result, 424)).contains("the path must not have"), "{value}: {result}");
        } else {
            assert_eq!(result["data"]["target"], target, "{value}: {result}");
        }
    }
}
