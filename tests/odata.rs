//! OData 4.01 JSON batches, and Microsoft Graph's `$batch`, as the wire format says.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[path = "support/odata.rs"]
mod odata_support;
mod support;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, HeaderValue, StatusCode};
use odata_support::{error, responses, responses_of, to};
use serde_json::{Value, json};
use support::{batch, batch_as, batched, call, echo, json_response, refusal, response, results, with};
use tower_multistatus::{BatchLayer, Encode, EncodeContext, Encoder, Outcome};

/// What the only request of a batch was answered with, by a service that answers so.
async fn answered(headers: &[(&str, &str)], status: u16, body: impl Into<bytes::Bytes>) -> Value {
    let response = response(StatusCode::from_u16(status).unwrap(), headers, body);
    let service = batched(BatchLayer::new(), move |_| response.clone());
    responses_of(service, json!([{"id": "1", "method": "get", "url": "/"}])).await.remove(0)
}

/// What the only request of a batch was sent as.
async fn sent(request: Value) -> Value {
    let mut request = request;
    request["id"] = json!("1");
    let response = responses_of(batched(BatchLayer::new(), echo), json!([request])).await.remove(0);
    assert_eq!(response["status"], 200, "{response}");
    response["body"].clone()
}

/// Why the only request of a batch was refused.
async fn faulty(mut request: Value) -> (String, Value) {
    if request.is_object() && request.get("id").is_none() {
        request["id"] = json!("1");
    }
    let service = batched(BatchLayer::new(), |request| panic!("{request:?} was sent"));
    let response = responses_of(service, json!([request])).await.remove(0);
    let error = error(&response, 400);
    (error["message"].as_str().unwrap().to_owned(), error["target"].clone())
}

/// Sends this document as the whole batch, and says why it was refused.
async fn refused(document: impl ToString) -> String {
    let service = batched(BatchLayer::new(), |request| panic!("{request:?} was sent"));
    let problem = refusal(&call(service, batch(document)).await, StatusCode::BAD_REQUEST);
    problem["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn requests_become_responses() {
    let document = json!({"requests": [
        {"id": "0", "method": "get", "url": "/a"},
        {"id": "1", "method": "POST", "url": "/b?c", "headers": {"accept": "x/y"}, "body": {"d": 1}},
        {"id": "x", "method": "Get", "url": "/none"},
    ]});
    let service = batched(BatchLayer::new(), |request| match request.uri().path() {
        "/none" => response(StatusCode::NO_CONTENT, &[("content-type", "application/json")], ""),
        _ => json_response(StatusCode::OK, &json!([request.method().as_str(), request.uri().to_string()])),
    });
    let answer = call(service, batch(document)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(
        answer.body(),
        concat!(
            r#"{"responses":[{"id":"0","status":200,"headers":{"Content-Type":"application/json"},"body":["GET","/a"]},"#,
            r#"{"id":"1","status":200,"headers":{"Content-Type":"application/json"},"body":["POST","/b?c"]},"#,
            r#"{"id":"x","status":204,"headers":{},"body":null}]}"#,
        )
    );
}

#[tokio::test]
async fn a_batch_with_operations_is_answered_as_ever() {
    let service = batched(BatchLayer::new(), echo);
    for document in [json!([{"path": "/"}]), json!({"operations": [{"path": "/"}]})] {
        assert_eq!(results(&call(service.clone(), batch(document)).await)[0]["status"], 200);
    }
}

#[tokio::test]
async fn the_first_of_the_two_members_decides_and_both_together_are_refused() {
    let both = "a batch has `operations` or `requests`, not both";
    let request = r#"{"id":"1","method":"get","url":"/"}"#;
    for document in [
        format!(r#"{{"requests":[{request}],"operations":[{{"path":"/"}}]}}"#),
        format!(r#"{{"operations":[{{"path":"/"}}],"requests":[{request}]}}"#),
        r#"{"requests":[],"operations":[]}"#.to_owned(),
        r#"{"operations":null,"requests":[]}"#.replace("null", "[]"),
        format!(r#"{{"\u0072equests":[{request}],"operati\u006fns":null}}"#),
    ] {
        assert_eq!(refused(&document).await, both, "{document}");
    }
}

#[tokio::test]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let request = r#"{"id":"1","method":"get","url":"/"}"#;
    for (document, word) in [
        (r#"{"requests":[]}"#.to_owned(), "empty"),
        (r#"{"requests":null}"#.to_owned(), "an array `requests`"),
        (r#"{"requests":{}}"#.to_owned(), "an array `requests`"),
        (r#"{"Requests":[]}"#.to_owned(), "no `operations`"),
        (format!(r#"{{"requests":[{request}],"requests":[{request}]}}"#), "twice"),
        (format!(r#"{{"@a":1,"@a":1,"requests":[{request}]}}"#), "twice"),
        (format!(r#"{{"requests":[{request}]"#), "not valid JSON"),
        (format!(r#"{{"requests":[{request},]}}"#), "not valid JSON"),
        (format!(r#"{{"requests":[{request}]}} x"#), "not valid JSON"),
        (format!(r#"{{"requests":[{request},{request}]}}"#), "the same id"),
    ] {
        let detail = refused(&document).await;
        assert!(detail.contains(word), "{document}: {detail}");
    }
    let many: Vec<_> = (0..101).map(|id| json!({"id": id.to_string(), "method": "get", "url": "/"})).collect();
    let answer = call(batched(BatchLayer::new(), echo), batch(json!({"requests": many}))).await;
    refusal(&answer, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn annotations_are_passed_over() {
    let document = r#"{"@odata.context":{"requests":1e999},"requests":[
        {"@odata.id":1e999,"id":"1","method":"get","url":"/a","x":[{"id":1,"id":2}]}],"x":[1e999]}"#;
    let answer = call(batched(BatchLayer::new(), echo), batch(document)).await;
    assert_eq!(responses(&answer)[0]["body"]["target"], "/a");
}

#[tokio::test]
async fn what_accept_does_not_allow_is_refused_before_the_batch_is_read() {
    let service = batched(BatchLayer::new(), echo);
    let answer = call(service.clone(), with(batch(r#"{"requests":?"#), "accept", "image/png")).await;
    refusal(&answer, StatusCode::NOT_ACCEPTABLE);
    let answer = call(service, batch_as("text/plain", r#"{"requests":?"#)).await;
    refusal(&answer, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn parameters_of_the_media_type_are_passed_over() {
    let service = batched(BatchLayer::new(), echo);
    let content_type = "application/json;odata.metadata=minimal;IEEE754Compatible=true";
    let document = r#"{"requests":[{"id":"1","method":"get","url":"/"}]}"#;
    let request = with(batch_as(content_type, document), "accept", "application/json;odata.metadata=full");
    assert_eq!(responses(&call(service, request).await)[0]["status"], 200);
}

#[tokio::test]
async fn a_request_needs_an_id_a_method_and_a_url() {
    for (request, target, id) in [
        (json!({"method": "get", "url": "/"}), "/requests/0/id", Value::Null),
        (json!({"id": null, "method": "get", "url": "/"}), "/requests/0/id", Value::Null),
        (json!({"id": 1, "method": "get", "url": "/"}), "/requests/0/id", Value::Null),
        (json!({"id": "x".repeat(257), "method": "get", "url": "/"}), "/requests/0/id", Value::Null),
        (json!({"id": "a", "url": "/"}), "/requests/0/method", json!("a")),
        (json!({"id": "a", "method": null, "url": "/"}), "/requests/0/method", json!("a")),
        (json!({"id": "a", "method": ["get"], "url": "/"}), "/requests/0/method", json!("a")),
        (json!({"id": "a", "method": "ge t", "url": "/"}), "/requests/0/method", json!("a")),
        (json!({"id": "a", "method": "trace", "url": "/"}), "/requests/0/method", json!("a")),
        (json!({"id": "a", "method": "get"}), "/requests/0/url", json!("a")),
        (json!({"id": "a", "method": "get", "url": null}), "/requests/0/url", json!("a")),
        (json!({"id": "a", "method": "get", "url": 7}), "/requests/0/url", json!("a")),
        (json!({"id": "a", "method": "get", "path": "/"}), "/requests/0/url", json!("a")),
        (json!(null), "/requests/0", Value::Null),
        (json!(["get", "/"]), "/requests/0/id", Value::Null),
    ] {
        let service = batched(BatchLayer::new(), echo);
        let good = json!({"id": "good", "method": "get", "url": "/"});
        let told = responses_of(service, json!([request, good])).await;
        let error = error(&told[0], 400);
        assert_eq!(told[0]["id"], id, "{request}");
        assert!(error["target"].as_str().unwrap().starts_with(target.trim_end_matches("/id")), "{request}: {error}");
        assert_eq!(told[1]["status"], 200);
    }
    let longest = "x".repeat(256);
    let told = responses_of(batched(BatchLayer::new(), echo), json!([{"id": longest, "method": "get", "url": "/"}]));
    assert_eq!(told.await[0]["id"], longest);
}

#[tokio::test]
async fn ids_are_echoed_as_the_same_string() {
    for id in ["", "0", "a b", "\u{e4}\u{1f980}\"\\\n", "$1"] {
        let told = responses_of(batched(BatchLayer::new(), echo), json!([{"id": id, "method": "get", "url": "/"}]));
        assert_eq!(told.await[0]["id"], id);
    }
}

#[tokio::test]
async fn urls_are_paths_or_relative_to_the_folder_of_the_batch_or_whole_on_this_server() {
    for (batch_path, url, target) in [
        ("/$batch", "/users/1?$top=1", "/users/1?$top=1"),
        ("/$batch", "users/1", "/users/1"),
        ("/service/$batch", "/service/users/1", "/service/users/1"),
        ("/service/$batch", "users('a')", "/service/users('a')"),
        ("/service/$batch", "users(Name='a:b')?x", "/service/users(Name='a:b')?x"),
        ("/service/$batch", "$metadata", "/service/$metadata"),
        ("/service/$batch", "$crossjoin(a,b)?$filter=c", "/service/$crossjoin(a,b)?$filter=c"),
        ("/service/$batch", "$entity?$id=a", "/service/$entity?$id=a"),
        ("/service/$batch", "", "/service/"),
        ("/service/$batch", "https://api.example.com/users/1?x", "/users/1?x"),
        ("/service/$batch", "HTTP://API.example.com:80/users", "/users"),
        ("/service/$batch", "https://api.example.com", "/"),
        ("/service/$batch", "https://api.example.com?x", "/?x"),
        ("/service/$batch", "https://other.example/x", "/x"),
        ("/a/b/$batch", "\\u0063\\u002fd", "/a/b/c/d"),
    ] {
        let layer = BatchLayer::new().path(batch_path).authority("other.example");
        let document = format!(r#"{{"requests":[{{"id":"1","method":"get","url":"{url}"}}]}}"#);
        let answer = call(batched(layer, echo), to(batch_path, document)).await;
        assert_eq!(responses(&answer)[0]["body"]["target"], target, "{url}");
    }
}

#[tokio::test]
async fn urls_that_lead_elsewhere_are_refused() {
    for url in [
        "https://evil.example/a",
        "https://api.example.com.evil.example/",
        "https://api.example.com@evil.example/",
        "https://user@api.example.com/",
        "https://api.example.com\\@evil.example/",
        "https://api.example.com//evil.example/",
        "https://",
        "ftp://api.example.com/a",
        "//evil.example/a",
        "../a",
        "a/../../b",
        "a/%2e%2e/b",
        "a\\b",
        "a b",
        "a#b",
        "\u{fc}",
        "https://api.example.com/../a",
        "a\r\nb",
    ] {
        let (message, target) = faulty(json!({"method": "get", "url": url})).await;
        assert_eq!(target, "/requests/0/url", "{url}: {message}");
    }
    let (message, _) = faulty(json!({"method": "post", "url": "batch"})).await;
    assert!(message.contains("batch"), "{message}");
}

#[tokio::test]
async fn headers_are_strings() {
    let told = sent(json!({"method": "get", "url": "/", "headers": {"Accept": "a/b", "prefer": null}})).await;
    assert_eq!(told["headers"]["accept"], json!(["a/b"]));
    assert_eq!(told["headers"].get("prefer"), None);
    let own = ["OData-Version", "odata-maxversion", "OData-Isolation", "ConsistencyLevel"];
    for name in own {
        let told = sent(json!({"method": "get", "url": "/", "headers": {name: " 4.01 "}})).await;
        assert_eq!(told["headers"][name.to_ascii_lowercase()], json!(["4.01"]));
    }
    for (headers, target) in [
        (json!([]), "/requests/0/headers"),
        (json!("a"), "/requests/0/headers"),
        (json!({"accept": ["a/b"]}), "/requests/0/headers/accept"),
        (json!({"accept": 1}), "/requests/0/headers/accept"),
        (json!({"accept": "a", "Accept": "b"}), "/requests/0/headers/Accept"),
        (json!({"accept": "a\nb"}), "/requests/0/headers/accept"),
        (json!({"odata-version": "4\n"}), "/requests/0/headers/odata-version"),
        (json!({"authorization": "x"}), "/requests/0/headers/authorization"),
        (json!({"odata-other": "x"}), "/requests/0/headers/odata-other"),
        (json!({"host": "evil.example"}), "/requests/0/headers/host"),
    ] {
        let request = json!({"method": "get", "url": "/", "headers": headers});
        assert_eq!(
            faulty(request.clone()).await.1.as_str().unwrap().to_lowercase(),
            target.to_lowercase(),
            "{request}"
        );
    }
    // In a native batch they are what they were.
    let native = json!([{"path": "/", "headers": {"odata-version": "4"}}]);
    assert_eq!(results(&call(batched(BatchLayer::new(), echo), batch(native)).await)[0]["status"], 400);
}

#[tokio::test]
async fn own_headers_count_against_the_limits_too() {
    let layer = BatchLayer::new().max_headers(1);
    let headers = json!({"odata-version": "4", "consistencylevel": "eventual"});
    let request = json!({"id": "1", "method": "get", "url": "/", "headers": headers});
    let told = responses_of(batched(layer, echo), json!([request])).await;
    assert!(error(&told[0], 400)["message"].as_str().unwrap().contains("1 headers"));
}

#[tokio::test]
async fn bodies_are_json_or_text_or_base64() {
    for (content_type, body, expected) in [
        (None, json!({"a": [1]}), r#"{"a":[1]}"#),
        (None, json!("a"), r#""a""#),
        (Some("application/json"), json!({"$ref": "$1"}), r#"{"$ref":"$1"}"#),
        (Some("application/json;odata.metadata=full"), json!(7), "7"),
        (Some("application/merge-patch+json"), json!({}), "{}"),
        (Some("text/plain"), json!("a\u{e4}\"\n"), "a\u{e4}\"\n"),
        (Some("application/octet-stream"), json!("YT8_"), "a??"),
        (Some("application/octet-stream"), json!("YT8/"), "a??"),
        (Some("application/octet-stream"), json!("YQ"), "a"),
        (Some("application/octet-stream"), json!("YQ=="), "a"),
        (Some("image/svg+xml"), json!("fn5-"), "~~~"),
        (Some("image/svg+xml"), json!("fn5+"), "~~~"),
        (Some("image/png"), json!(""), ""),
    ] {
        let headers = content_type.map_or(json!({}), |content_type| json!({"Content-Type": content_type}));
        let told = sent(json!({"method": "put", "url": "/", "headers": headers, "body": body})).await;
        assert_eq!(told["body"], expected, "{content_type:?}");
        assert_eq!(told["headers"]["content-type"], json!([content_type.unwrap_or("application/json")]));
    }
    for nothing in [json!({}), json!({"body": null})] {
        let mut request = nothing;
        request["method"] = json!("post");
        request["url"] = json!("/");
        let told = sent(request).await;
        assert_eq!((&told["body"], told["headers"].get("content-type")), (&json!(""), None));
    }
    for (content_type, body) in [
        ("text/plain", json!({})),
        ("text/plain", json!(1)),
        ("image/png", json!({})),
        ("image/png", json!("a b")),
        ("image/png", json!("_/8=")),
        ("image/png", json!("Y")),
        ("image/png", json!("YR")),
    ] {
        let headers = json!({"content-type": content_type});
        let request = json!({"method": "put", "url": "/", "headers": headers, "body": body});
        assert_eq!(faulty(request.clone()).await.1, "/requests/0/body", "{request}");
    }
    let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    let document = format!(r#"{{"requests":[{{"id":"1","method":"put","url":"/","body":{deep}}}]}}"#);
    let told = responses(&call(batched(BatchLayer::new(), echo), batch(document)).await);
    assert_eq!(error(&told[0], 400)["target"], "/requests/0/body");
}

#[tokio::test]
async fn a_member_that_stands_twice_refuses_its_request_only() {
    for twice in [
        r#"{"id":"a","id":"b","method":"get","url":"/"}"#,
        r#"{"id":"a","method":"get","method":"delete","url":"/"}"#,
        r#"{"id":"a","method":"get","url":"/","\u0075rl":"/b"}"#,
        r#"{"id":"a","method":"get","url":"/","x":1,"x":1}"#,
        r#"{"id":"a","method":"get","url":"/","body":null,"body":1}"#,
        r#"{"id":"a","method":"get","url":"/","headers":{"accept":"a","accept":"b"}}"#,
        r#"{"id":"a","method":"get","url":"/","\ud800":1}"#,
        r#"{"id":"\ud800","method":"get","url":"/"}"#,
        r#"{"id":"a","method":"put","url":"/","headers":{"content-type":"text/plain"},"body":"\ud800"}"#,
    ] {
        let document = format!(r#"{{"requests":[{twice},{{"id":"c","method":"get","url":"/"}}]}}"#);
        let told = responses(&call(batched(BatchLayer::new(), echo), batch(&document)).await);
        error(&told[0], 400);
        assert_eq!(told[1]["status"], 200);
    }
}

#[tokio::test]
async fn a_request_may_have_so_many_members_that_are_not_known() {
    for (unknown, status) in [(256, 200), (257, 400)] {
        let mut request = json!({"id": "1", "method": "get", "url": "/"});
        for number in 0..unknown {
            request[format!("~{number}")] = json!(number);
        }
        let told = responses_of(batched(BatchLayer::new(), echo), json!([request])).await;
        assert_eq!((&told[0]["id"], &told[0]["status"]), (&json!("1"), &json!(status)));
    }
}

#[tokio::test]
async fn headers_of_responses_have_canonical_names_and_one_value_each() {
    let headers = [
        ("content-type", "text/plain"),
        ("location", "/a"),
        ("etag", "\"1\""),
        ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("www-authenticate", "Basic"),
        ("www-authenticate", "Bearer"),
        ("set-cookie", "a=b"),
        ("content-length", "1"),
        ("x-other", "y"),
    ];
    let told = answered(&headers, 200, "z").await;
    let expected = json!({
        "Content-Type": "text/plain",
        "Location": "/a",
        "ETag": "\"1\"",
        "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        "WWW-Authenticate": "Basic, Bearer",
    });
    assert_eq!(told["headers"], expected);
    let response = response(StatusCode::OK, &[("odata-entityid", "a")], "");
    let layer = BatchLayer::new().result_header(HeaderName::from_static("odata-entityid"));
    let service = batched(layer, move |_| response.clone());
    let told = responses_of(service, json!([{"id": "1", "method": "get", "url": "/"}])).await;
    assert_eq!(told[0]["headers"], json!({"OData-EntityId": "a"}));
}

#[tokio::test]
async fn bodies_of_responses_are_values_or_strings_or_base64_and_tell_what_they_are() {
    let deep = format!("{}1{}", "[".repeat(62), "]".repeat(62));
    for (content_type, body, expected) in [
        ("application/json", &b"{\"a\": 1.0}"[..], json!({"a": 1.0})),
        ("application/json; charset=utf-8", b"null", Value::Null),
        ("application/problem+json", b"[]", json!([])),
        ("application/json;odata.metadata=minimal", b"\"x\"", json!("x")),
        ("text/html; charset=utf-8", "<\u{e4}>".as_bytes(), json!("<\u{e4}>")),
        ("text/plain", b"\xff", json!(STANDARD.encode(b"\xff"))),
        ("image/png", b"\xfb\xff", json!("+/8=")),
        ("application/json", b"{", json!("{")),
        ("application/json", deep.as_bytes(), json!(deep)),
    ] {
        let told = answered(&[("content-type", content_type)], 200, body.to_vec()).await;
        assert_eq!(told["body"], expected, "{content_type}");
        assert_eq!(told["headers"], json!({"Content-Type": content_type}));
    }
    let told = answered(&[], 200, "\u{1}").await;
    assert_eq!((&told["headers"], &told["body"]), (&json!({}), &json!("AQ==")));
    for status in [200, 204, 304, 404, 500] {
        let told = answered(&[("content-type", "text/plain")], status, "").await;
        assert_eq!(told, json!({"id": "1", "status": status, "headers": {}, "body": null}));
    }
}

#[tokio::test]
async fn json_is_embedded_byte_for_byte() {
    let body = r#"{ "n": 1.50, "n": 2 }"#;
    let service =
        batched(BatchLayer::new(), move |_| response(StatusCode::OK, &[("content-type", "application/json")], body));
    let answer = call(service, batch(r#"{"requests":[{"id":"1","method":"get","url":"/"}]}"#)).await;
    assert!(std::str::from_utf8(answer.body()).unwrap().contains(&format!(r#""body":{body}}}"#)));
}

#[tokio::test]
async fn what_we_refuse_is_an_error_as_clients_of_this_format_read_it() {
    let service = batched(BatchLayer::new(), |_| panic!("as it must not be"));
    let told = responses_of(service, json!([{"id": "1", "method": "get", "url": ".."}])).await;
    let message = "the path must not have `.` or `..` segments, plain or percent-encoded: resolve them first";
    let expected = json!({
        "id": "1",
        "status": 400,
        "headers": {"Content-Type": "application/json"},
        "body": {"error": {"code": "BadRequest", "message": message, "target": "/requests/0/url"}},
    });
    assert_eq!(told, [expected]);
    let service = batched(BatchLayer::new(), |_| panic!("as it was told"));
    let told = responses_of(service, json!([{"id": "1", "method": "get", "url": "/"}])).await;
    let error = error(&told[0], 500);
    assert_eq!((&error["code"], error.get("target")), (&json!("InternalServerError"), None));
}

#[tokio::test]
async fn cookies_are_set_by_the_answer() {
    let response = response(StatusCode::OK, &[("set-cookie", "a=b; HttpOnly")], "");
    let service = batched(BatchLayer::new(), move |_| response.clone());
    let answer = call(service, batch(r#"{"requests":[{"id":"1","method":"get","url":"/"}]}"#)).await;
    assert_eq!(answer.headers()["set-cookie"], "a=b; HttpOnly");
    assert_eq!(responses(&answer)[0]["headers"], json!({}));
}

#[cfg(feature = "xml")]
#[tokio::test]
async fn answers_in_xml_are_as_for_others() {
    let document = r#"{"requests":[{"id":"a","method":"get","url":"b"},{"id":null,"method":"put","url":"../c"}]}"#;
    let answer = call(batched(BatchLayer::new(), echo), with(batch(document), "accept", "application/xml")).await;
    assert_eq!(answer.status(), StatusCode::MULTI_STATUS);
    let told = support::multistatus::read(answer.body()).unwrap();
    let told: Vec<_> = told.iter().map(|entry| (entry.id.as_deref(), entry.status, &*entry.method)).collect();
    assert_eq!(told, [(Some("a"), 200, "GET"), (None, 400, "PUT")]);
}

#[tokio::test]
async fn a_users_encoder_for_json_replaces_ours_for_native_batches_only() {
    let layer = BatchLayer::new().encoder(Silent);
    let answer = call(batched(layer.clone(), echo), batch(r#"[{"path":"/"}]"#)).await;
    assert_eq!((answer.status().as_u16(), &answer.body()[..]), (207, &b"0"[..]));
    let told = responses_of(batched(layer, echo), json!([{"id": "1", "method": "get", "url": "/"}])).await;
    assert_eq!(told[0]["status"], 200);
}

/// Says as little as there can be in JSON.
struct Silent;

impl Encode for Silent {
    fn media_types(&self) -> &[&'static str] {
        &["application/json"]
    }

    fn begin(&self, _: EncodeContext) -> Box<dyn Encoder> {
        Box::new(Silent)
    }
}

impl Encoder for Silent {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static("application/json")
    }

    fn start(&mut self, _: &mut Vec<u8>) {}

    fn outcome(&mut self, _: Outcome<'_>, _: &mut Vec<u8>) {}

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.push(b'0');
    }
}

#[tokio::test]
async fn the_readme_shows_what_is_answered() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once("\n## OData and Microsoft Graph\n").unwrap();
    let block = |from: &str, to: &str| section.split_once(from).unwrap().1.split_once(to).unwrap().0.to_owned();
    let service = batched(BatchLayer::new().path("/$batch"), |request| {
        let (json, body) = (("content-type", "application/json"), request.body());
        match (request.method().as_str(), request.uri().path()) {
            ("POST", "/users") => {
                assert_eq!(body, r#"{"name":"Eve"}"#);
                let user = r#"{"id":18,"name":"Eve"}"#;
                response(StatusCode::CREATED, &[json, ("location", "/users/18"), ("etag", "\"a\"")], user)
            }
            ("PATCH", "/users/18") => {
                assert_eq!(
                    (&request.headers()["if-match"], &body[..]),
                    (&"\"a\"".parse().unwrap(), &br#"{"name":"Ada"}"#[..])
                );
                response(StatusCode::NO_CONTENT, &[], "")
            }
            _ => response(StatusCode::NOT_FOUND, &[], ""),
        }
    });
    let answer = call(service, to("/$batch", block("-d '", "'\n```"))).await;
    let shown: Value = serde_json::from_str(&block("```json\n", "```")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(answer.body()).unwrap(), shown);
}
