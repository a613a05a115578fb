//! Native JSON, in and out.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderName, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json, value::RawValue};
use support::{batch, batch_as, batched, call, echo, json_response, refusal, refused, response, results_of, with};
use tower::{Layer, ServiceBuilder};
use tower_http::decompression::RequestDecompressionLayer;
use tower_multistatus::{BatchLayer, BatchService, RequestBody};

fn echoing(layer: BatchLayer) -> BatchService<support::Inner<RequestBody<support::Plain>>> {
    batched(layer, echo)
}

/// What reached the service of an operation that is written like this.
async fn received(operation: &str) -> Value {
    let mut results = results_of(echoing(BatchLayer::new()), format!("[{operation}]")).await;
    assert_eq!(results[0]["status"], 200, "{operation}: {}", results[0]);
    results[0]["data"].take()
}

/// The result, as it was written, of an operation that is answered like this.
async fn told(layer: BatchLayer, method: &str, answer: Response<Bytes>) -> String {
    let service = batched(layer, move |_| answer.clone());
    let answer = call(service, batch(json!([{"method": method, "path": "/"}]))).await;
    // No `Value` could hold some of these, but JSON they must be.
    let text = serde_json::from_slice::<&RawValue>(answer.body()).unwrap().get();
    let (result, summary) = text.rsplit_once(r#"}],"summary":{"total":1,"#).unwrap();
    assert!(["\"succeeded\":1,\"failed\":0}}", "\"succeeded\":0,\"failed\":1}}"].contains(&summary), "{text}");
    result.strip_prefix(r#"{"results":[{"index":0,"#).unwrap().to_owned()
}

#[tokio::test]
async fn both_containers_hold_a_list_of_operations() {
    let operations = r#"[{"path":"/a"},{"id":"b","path":"/b"}]"#;
    for document in [
        operations.to_owned(),
        format!(r#"{{"operations":{operations}}}"#),
        format!(r#"{{"$schema":"x","operations":{operations},"comment":[1,{{}}]}}"#),
        format!(r#"{{"\u006fperations":{operations}}}"#),
        format!(" \r\n\t{operations}\n"),
    ] {
        let results = results_of(echoing(BatchLayer::new()), &document).await;
        let targets: Vec<_> = results.iter().map(|result| (&result["data"]["target"], result.get("id"))).collect();
        assert_eq!(targets, [(&json!("/a"), None), (&json!("/b"), Some(&json!("b")))], "{document}");
    }
}

#[tokio::test]
async fn the_method_is_get_unless_said() {
    for (operation, expected) in [
        (r#"{"path":"/"}"#, "GET"),
        (r#"{"path":"/","method":null}"#, "GET"),
        (r#"{"path":"/","method":"PUT"}"#, "PUT"),
        (r#"{"path":"/","method":"delete"}"#, "DELETE"),
        (r#"{"path":"/","method":"Patch"}"#, "PATCH"),
        (r#"{"path":"/","method":"\u0070ut"}"#, "PUT"),
        (r#"{"path":"/","method":"QUERY"}"#, "QUERY"),
        (r#"{"path":"/","method":"m-search"}"#, "M-SEARCH"),
    ] {
        assert_eq!(received(operation).await["method"], expected, "{operation}");
    }
}

#[tokio::test]
async fn the_target_is_sent_as_it_is_meant() {
    for (operation, expected) in [
        (r#"{"path":"/a/b?c=d&e=%20"}"#, "/a/b?c=d&e=%20"),
        (r#"{"url":"/a"}"#, "/a"),
        (r#"{"path":null,"url":"/a"}"#, "/a"),
        (r#"{"path":"/a","url":null}"#, "/a"),
        (r#"{"path":"\/users\/17"}"#, "/users/17"),
        (r#"{"path":"\u002fusers\u002F17?\u0061=\u0026"}"#, "/users/17?a=&"),
        (r#"{"p\u0061th":"/a"}"#, "/a"),
        (r#"{"\u0075\u0072\u006c":"/a"}"#, "/a"),
        (r#"{"path":"/a","x":1,"y":{"path":"/b"}}"#, "/a"),
    ] {
        assert_eq!(received(operation).await["target"], expected, "{operation}");
    }
}

#[tokio::test]
async fn headers_are_strings_or_arrays_of_strings() {
    for (headers, name, expected) in [
        (r#"{"accept":"a/b"}"#, "accept", json!(["a/b"])),
        (r#"{"ACCEPT":"a/b"}"#, "accept", json!(["a/b"])),
        (r#"{"accept":["a/b","c/d"]}"#, "accept", json!(["a/b", "c/d"])),
        (r#"{"accept":[]}"#, "accept", Value::Null),
        (r#"{"accept":null}"#, "accept", Value::Null),
        (r#"{"accept":""}"#, "accept", json!([""])),
        (r#"{"acc\u0065pt":"\u0061/b"}"#, "accept", json!(["a/b"])),
        (r#"{"if-match":"\"x\", \"y\""}"#, "if-match", json!([r#""x", "y""#])),
        (r#"{"prefer":"x=ü"}"#, "prefer", json!(["x=ü"])),
        ("null", "accept", Value::Null),
        ("{}", "accept", Value::Null),
    ] {
        let operation = format!(r#"{{"path":"/","headers":{headers}}}"#);
        assert_eq!(received(&operation).await["headers"][name], expected, "{operation}");
    }
}

#[tokio::test]
async fn a_body_is_json_text_or_bytes() {
    for (members, content_type, expected) in [
        (r#""body":{"a": [1, 1.50, 1e400]}"#, "application/json", json!(r#"{"a": [1, 1.50, 1e400]}"#)),
        (r#""body":"text""#, "application/json", json!(r#""text""#)),
        (r#""body":"""#, "application/json", json!(r#""""#)),
        (r#""body":false"#, "application/json", json!("false")),
        (r#""body":0"#, "application/json", json!("0")),
        (r#""body":{"a":1,"a":2}"#, "application/json", json!(r#"{"a":1,"a":2}"#)),
        (r#""body":["\ud800"]"#, "application/json", json!(r#"["\ud800"]"#)),
        (
            r#""body":{},"headers":{"content-type":"application/merge-patch+json"}"#,
            "application/merge-patch+json",
            json!("{}"),
        ),
        (
            r#""body":"x","headers":{"content-type":"application/vnd.x+json"}"#,
            "application/vnd.x+json",
            json!(r#""x""#),
        ),
        (
            r#""body":"x","headers":{"content-type":"application/json; charset=utf-8"}"#,
            "application/json; charset=utf-8",
            json!(r#""x""#),
        ),
        (r#""headers":{"content-type":"text/plain"},"body":"a\n\u00e9\"""#, "text/plain", json!("a\né\"")),
        (
            r#""body":"a=b","headers":{"Content-Type":"application/x-www-form-urlencoded"}"#,
            "application/x-www-form-urlencoded",
            json!("a=b"),
        ),
        (r#""body":"","headers":{"content-type":"text/plain"}"#, "text/plain", json!("")),
        (r#""body":{"a":1},"headers":{"content-type":"text/plain"}"#, "text/plain", json!(r#"{"a":1}"#)),
        (r#""body":17,"headers":{"content-type":"text/plain"}"#, "text/plain", json!("17")),
        (r#""body":"aGk=","encoding":"base64","headers":{"content-type":"text/plain"}"#, "text/plain", json!("hi")),
        (r#""encoding":"base64","body":"/wA","headers":{"content-type":"image/png"}"#, "image/png", json!([255, 0])),
        (
            r#""body":"e30=","encoding":"base64","headers":{"content-type":"application/json"}"#,
            "application/json",
            json!("{}"),
        ),
        (r#""body":"\u0061Gk=","encoding":"b\u0061se64","headers":{"content-type":"a/b"}"#, "a/b", json!("hi")),
        (r#""body":1,"encoding":null"#, "application/json", json!("1")),
    ] {
        let received = received(&format!(r#"{{"method":"POST","path":"/",{members}}}"#)).await;
        let length = expected.as_array().map_or_else(|| expected.as_str().unwrap().len(), Vec::len);
        assert_eq!(received["body"], expected, "{members}");
        assert_eq!(received["headers"]["content-type"], json!([content_type]), "{members}");
        assert_eq!(received["headers"]["content-length"], json!([length.to_string()]), "{members}");
    }
}

#[tokio::test]
async fn no_body_has_no_headers_about_it() {
    for operation in
        [r#"{"path":"/"}"#, r#"{"path":"/","body":null}"#, r#"{"path":"/","body":null,"encoding":"base64"}"#]
    {
        let received = received(operation).await;
        assert_eq!(received["body"], "", "{operation}");
        for name in ["content-type", "content-length"] {
            assert_eq!(received["headers"][name], Value::Null, "{operation}");
        }
    }
}

#[tokio::test]
async fn bytes_have_no_type_but_the_one_that_was_said() {
    let received = received(r#"{"method":"PUT","path":"/","body":"aGk","encoding":"base64"}"#).await;
    assert_eq!((&received["body"], &received["headers"]["content-type"]), (&json!("hi"), &Value::Null));
}

#[tokio::test]
async fn ids_are_repeated() {
    let ids = ["a", "", "0", "ü\"\\/\n\u{2028}\u{1f980}", &"x".repeat(256)];
    let operations: Vec<_> = ids.iter().map(|id| json!({"id": id, "path": "/"})).collect();
    let results = results_of(echoing(BatchLayer::new()), json!(operations)).await;
    for (id, result) in ids.iter().zip(&results) {
        assert_eq!((&result["id"], &result["data"]["context"]["id"]), (&json!(id), &json!(id)));
    }
    for absent in [r#"{"path":"/"}"#, r#"{"path":"/","id":null}"#] {
        let results = results_of(echoing(BatchLayer::new()), format!("[{absent}]")).await;
        assert_eq!(results[0].get("id"), None);
    }
}

#[tokio::test]
async fn a_fault_is_the_outcome_of_one_operation() {
    let deep = format!(r#"{{"path":"/","body":{}1{}}}"#, "[".repeat(65), "]".repeat(65));
    let long_id = format!(r#"{{"path":"/","id":"{}"}}"#, "x".repeat(257));
    let long_path = format!(r#"{{"path":"/{}"}}"#, "x".repeat(8 << 10));
    let many_headers = format!(r#"{{"path":"/","headers":{{"accept":["{}"]}}}}"#, ["x"; 65].join(r#"",""#));
    let big_header = format!(r#"{{"path":"/","headers":{{"accept":"{}"}}}}"#, "x".repeat(16 << 10));
    for (operation, pointer) in [
        ("17", ""),
        ("-1", ""),
        ("1.5", ""),
        ("true", ""),
        ("null", ""),
        (r#""/users""#, ""),
        (r#"[{"path":"/"}]"#, ""),
        ("{}", "/path"),
        (r#"{"path":null}"#, "/path"),
        (r#"{"path":7}"#, "/path"),
        (r#"{"path":["/"]}"#, "/path"),
        (r#"{"path":""}"#, "/path"),
        (r#"{"path":"users"}"#, "/path"),
        (r#"{"path":"\ud800"}"#, "/path"),
        (r#"{"path":"/ü"}"#, "/path"),
        (r#"{"path":"/a\u0000"}"#, "/path"),
        (r#"{"path":"/a","url":"/a"}"#, "/url"),
        (r#"{"path":"/","method":7}"#, "/method"),
        (r#"{"path":"/","method":""}"#, "/method"),
        (r#"{"path":"/","method":"GE T"}"#, "/method"),
        (r#"{"path":"/","method":"GÉT"}"#, "/method"),
        (r#"{"path":"/","id":7}"#, "/id"),
        (r#"{"path":"/","id":["a"]}"#, "/id"),
        (r#"{"path":"/","id":"\udc00"}"#, "/id"),
        (r#"{"path":"/","headers":"accept: x"}"#, "/headers"),
        (r#"{"path":"/","headers":[["accept","x"]]}"#, "/headers"),
        (r#"{"path":"/","headers":{"accept":7}}"#, "/headers/accept"),
        (r#"{"path":"/","headers":{"accept":{"a":"b"}}}"#, "/headers/accept"),
        (r#"{"path":"/","headers":{"accept":["x",7]}}"#, "/headers/accept"),
        (r#"{"path":"/","headers":{"accept":["x",null]}}"#, "/headers/accept"),
        (r#"{"path":"/","headers":{"accept":"\ud800"}}"#, "/headers/accept"),
        (r#"{"path":"/","headers":{"\ud800":"x"}}"#, "/headers"),
        (r#"{"path":"/","headers":{"accept":"a","accept":"a"}}"#, "/headers/accept"),
        (r#"{"path":"/","headers":{"accept":"a","Accept":"b"}}"#, "/headers/Accept"),
        (r#"{"path":"/","headers":{"accept":"a","\u0061ccept":"b"}}"#, "/headers/accept"),
        (r#"{"path":"/","headers":{"":"a"}}"#, "/headers/"),
        (r#"{"path":"/","headers":{"a b":"c"}}"#, "/headers/a b"),
        (r#"{"path":"/","headers":{"a/~b":"c"}}"#, "/headers/a~1~0b"),
        (r#"{"path":"/","headers":{"x-anything":"c"}}"#, "/headers/x-anything"),
        (r#"{"path":"/","body":"a-_b","encoding":"base64"}"#, "/body"),
        (r#"{"path":"/","body":"%","encoding":"base64"}"#, "/body"),
        (r#"{"path":"/","body":"aGk=\n","encoding":"base64"}"#, "/body"),
        (r#"{"path":"/","body":{},"encoding":"base64"}"#, "/body"),
        (r#"{"path":"/","body":"x","encoding":"gzip"}"#, "/encoding"),
        (r#"{"path":"/","body":"x","encoding":"BASE64"}"#, "/encoding"),
        (r#"{"path":"/","body":"x","encoding":64}"#, "/encoding"),
        (r#"{"path":"/","body":"\ud800","headers":{"content-type":"text/plain"}}"#, "/body"),
        (r#"{"path":"/","path":"/"}"#, "/path"),
        (r#"{"path":"/","p\u0061th":"/"}"#, "/path"),
        (r#"{"path":"/","method":null,"method":"PUT"}"#, "/method"),
        (r#"{"path":"/","body":1,"body":1}"#, "/body"),
        (r#"{"path":"/","x":1,"x":1}"#, "/x"),
        (&deep, "/body"),
        (&long_id, "/id"),
        (&long_path, "/path"),
        (&many_headers, "/headers/accept"),
        (&big_header, "/headers/accept"),
    ] {
        for (document, list) in [
            (format!(r#"[{{"path":"/before"}},{operation},{{"path":"/after"}}]"#), ""),
            (format!(r#"{{"operations":[{{"path":"/before"}},{operation},{{"path":"/after"}}]}}"#), "/operations"),
        ] {
            let results = results_of(echoing(BatchLayer::new()), &document).await;
            assert_eq!(results.len(), 3, "{document}");
            assert_eq!(refused(&results[1], 400)["pointer"], format!("{list}/1{pointer}"), "{document}");
            assert_eq!(results[1].get("id"), None, "{document}");
            let siblings = [&results[0]["data"]["target"], &results[2]["data"]["target"]];
            assert_eq!(siblings, ["/before", "/after"], "{document}");
        }
    }
}

#[tokio::test]
async fn a_refused_operation_keeps_its_id() {
    for operation in [r#"{"id":"a"}"#, r#"{"path":"x","id":"a"}"#, r#"{"id":"a","path":"/","path":"/"}"#] {
        let results = results_of(echoing(BatchLayer::new()), format!("[{operation}]")).await;
        refused(&results[0], 400);
        assert_eq!(results[0]["id"], "a", "{operation}");
    }
}

/// RFC 6901: a pointer names what is there, and that is the member's name, not its alias.
#[tokio::test]
async fn the_pointer_names_the_member_that_was_sent() {
    for url in [r#""users""#, "7"] {
        let results = results_of(echoing(BatchLayer::new()), format!(r#"[{{"url":{url}}}]"#)).await;
        assert_eq!(refused(&results[0], 400)["pointer"], "/0/url", "{url}");
    }
}

#[tokio::test]
async fn an_unknown_encoding_is_a_fault_even_without_a_body() {
    for encoding in [r#""gzip""#, "64"] {
        let document = format!(r#"[{{"path":"/","encoding":{encoding}}}]"#);
        let results = results_of(echoing(BatchLayer::new()), document).await;
        assert_eq!(refused(&results[0], 400)["pointer"], "/0/encoding");
    }
}

/// These are JSON by RFC 8259 (its grammar has no largest number, and lone surrogates in it): so the document can be
/// read, and what is wrong is wrong with one operation.
#[tokio::test]
async fn json_that_serde_has_no_value_for_refuses_one_operation_only() {
    for operation in ["1e999", r#""\ud800""#, r#"{"path":"/","\ud800":1}"#] {
        let document = format!(r#"[{{"path":"/before"}},{operation},{{"path":"/after"}}]"#);
        let results = results_of(echoing(BatchLayer::new()), &document).await;
        refused(&results[1], 400);
        assert_eq!([&results[0]["status"], &results[2]["status"]], [200, 200]);
    }
}

#[tokio::test]
async fn what_makes_the_document_unreadable_refuses_the_batch() {
    let body = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    for (document, pointer) in [
        (body(b""), None),
        (body(b" "), None),
        (body(b"{"), None),
        (body(br#"[{"path":"/"}"#), None),
        (body(br#"[{"path":"/"},]"#), None),
        (body(br#"[{"path":"/"}] x"#), None),
        (body(br#"[{"path":"/"}][]"#), None),
        (body(br#"[{path:"/"}]"#), None),
        (body(br#"[{'path':'/'}]"#), None),
        (body(b"[{\"path\":\"/\n\"}]"), None),
        (body(b"[{\"path\":\"/\",\"x\":\"\xff\"}]"), None),
        (body(b"\xef\xbb\xbf[{\"path\":\"/\"}]"), None),
        (body(b"[\0{\"path\":\"/\"}]"), None),
        (body(b"null"), None),
        (body(b"17"), None),
        (body(br#""[]""#), None),
        (body(b"[]"), None),
        (body(b"{}"), None),
        (body(br#"{"operations":[]}"#), None),
        (body(br#"{"operations":null}"#), None),
        (body(br#"{"operations":{"path":"/"}}"#), None),
        (body(br#"{"Operations":[{"path":"/"}]}"#), None),
        (body(br#"{"operations":[{"path":"/"}],"operations":[{"path":"/"}]}"#), Some("/operations")),
        (body(br#"{"operations":[{"path":"/"}],"\u006fperations":[{"path":"/"}]}"#), Some("/operations")),
        (body(br#"{"x":1,"operations":[{"path":"/"}],"x":1}"#), Some("/x")),
        (body(br#"{"operations":[{"path":"/"}],"requests":[]}"#), None),
        (body(br#"{"requests":[{"id":"1","method":"get","url":"/"}],"operations":[{"path":"/"}]}"#), None),
        (body(br#"[{"id":"a","path":"/"},{"id":"b"},{"id":"a","path":"/"}]"#), Some("/2/id")),
        (body(br#"{"operations":[{"id":"a","path":"/"},{"id":"\u0061","path":"/"}]}"#), Some("/operations/1/id")),
        (body(br#"[{"id":"a"},{"id":"a","path":"x"}]"#), Some("/1/id")),
    ] {
        let service = batched(BatchLayer::new(), |_| panic!("nothing of it may run"));
        let problem =
            refusal(&call(service, batch_as("application/json", document.clone())).await, StatusCode::BAD_REQUEST);
        assert_eq!(problem.get("pointer").and_then(Value::as_str), pointer, "{document:?}");
    }
}

#[tokio::test]
async fn limits_hold_at_their_bounds() {
    let operations = |count: usize| json!(vec![json!({"path": "/"}); count]);
    let service = || echoing(BatchLayer::new());
    assert_eq!(results_of(service(), operations(100)).await.len(), 100);
    refusal(&call(service(), batch(operations(101))).await, StatusCode::PAYLOAD_TOO_LARGE);

    let padded = |bytes: usize| " ".repeat(bytes - 14) + r#"[{"path":"/"}]"#;
    results_of(service(), padded(2 << 20)).await;
    refusal(&call(service(), batch(padded((2 << 20) + 1))).await, StatusCode::PAYLOAD_TOO_LARGE);

    let strict = BatchLayer::new().max_operations(1).max_id_bytes(1).max_target_bytes(2).max_json_depth(1);
    let strict = strict.max_headers(1).max_header_bytes(8);
    for (status, operation) in [
        (200, json!({"id": "a", "path": "/a", "headers": {"accept": "ab"}, "body": [1]})),
        (200, json!({"path": "/", "headers": {"accept": null, "range": "abc"}, "body": "[["})),
        (400, json!({"id": "ab", "path": "/"})),
        (400, json!({"path": "/ab"})),
        (400, json!({"path": "/", "headers": {"accept": "abc"}})),
        (400, json!({"path": "/", "headers": {"accept": "", "range": ""}})),
        (400, json!({"path": "/", "headers": {"range": ["", ""]}})),
        (400, json!({"path": "/", "body": [[]]})),
    ] {
        let results = results_of(echoing(strict.clone()), json!([operation])).await;
        assert_eq!(results[0]["status"], status, "{operation}");
    }
    refusal(&call(echoing(strict), batch(operations(2))).await, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn too_many_operations_are_refused_before_they_are_read() {
    let service = echoing(BatchLayer::new().max_operations(2));
    let answer = call(service, batch(r#"[{"path":"/"},{"path":"/"},{"path":"/"},{"no json"#)).await;
    refusal(&answer, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_response_is_told_by_its_kind() {
    for (status, content_type, body, expected) in [
        (200, "application/json", "{\"a\" : [1.50,1e300] }", r#""status":200,"data":{"a" : [1.50,1e300] }"#),
        (200, "application/json; charset=utf-8", r#"{"b":1,"b":2}"#, r#""status":200,"data":{"b":1,"b":2}"#),
        (200, "application/json", "null", r#""status":200,"data":null"#),
        // What some clients can't read would hide the outcomes beside it.
        (
            200,
            "application/json",
            "1e400",
            r#""status":200,"headers":{"content-type":"application/json"},"data":"MWU0MDA=","encoding":"base64""#,
        ),
        (
            200,
            "a/b+json",
            r#""\ud800""#,
            r#""status":200,"headers":{"content-type":"a/b+json"},"data":"Ilx1ZDgwMCI=","encoding":"base64""#,
        ),
        (
            201,
            "application/hal+json",
            "{}",
            r#""status":201,"headers":{"content-type":"application/hal+json"},"data":{}"#,
        ),
        (200, "text/plain", "a\n\"é\"", r#""status":200,"headers":{"content-type":"text/plain"},"data":"a\n\"é\"""#),
        (
            200,
            "text/html; charset=UTF-8",
            "<p>",
            r#""status":200,"headers":{"content-type":"text/html; charset=UTF-8"},"data":"<p>""#,
        ),
        (
            200,
            "text/plain; charset=iso-8859-1",
            "a",
            r#""status":200,"headers":{"content-type":"text/plain; charset=iso-8859-1"},"data":"YQ==","encoding":"base64""#,
        ),
        (
            200,
            "image/png",
            "png",
            r#""status":200,"headers":{"content-type":"image/png"},"data":"cG5n","encoding":"base64""#,
        ),
        (
            200,
            "application/json",
            "{not json",
            r#""status":200,"headers":{"content-type":"application/json"},"data":"e25vdCBqc29u","encoding":"base64""#,
        ),
        (
            200,
            "application/json",
            "{} {}",
            r#""status":200,"headers":{"content-type":"application/json"},"data":"e30ge30=","encoding":"base64""#,
        ),
        (
            200,
            "application/hal+json",
            "nul",
            r#""status":200,"headers":{"content-type":"application/hal+json"},"data":"bnVs","encoding":"base64""#,
        ),
        // The value and the text differ.
        (
            200,
            "application/hal+json",
            "\"abc\"",
            r#""status":200,"headers":{"content-type":"application/hal+json"},"data":"abc""#,
        ),
        (
            200,
            "application/hal+json",
            "abc",
            r#""status":200,"headers":{"content-type":"application/hal+json"},"data":"YWJj","encoding":"base64""#,
        ),
        (302, "text/plain", "x", r#""status":302,"headers":{"content-type":"text/plain"},"data":"x""#),
        (404, "application/json", r#"{"no":1}"#, r#""status":404,"error":{"no":1}"#),
        (
            422,
            "application/problem+json",
            "{}",
            r#""status":422,"headers":{"content-type":"application/problem+json"},"error":{}"#,
        ),
        (500, "text/plain", "oh", r#""status":500,"headers":{"content-type":"text/plain"},"error":"oh""#),
        (502, "a/b", "oh", r#""status":502,"headers":{"content-type":"a/b"},"error":"b2g=","encoding":"base64""#),
        (200, "", "", r#""status":200"#),
        (204, "", "", r#""status":204"#),
        (200, "", "?", r#""status":200,"data":"Pw==","encoding":"base64""#),
        (404, "", "", r#""status":404,"error":"Not Found""#),
        (599, "", "", r#""status":599,"error":"Server Error""#),
        (304, "text/plain", "ignored", r#""status":304,"headers":{"content-type":"text/plain"}"#),
    ] {
        let headers = [("content-type", content_type)];
        let headers = if content_type.is_empty() { &headers[1..] } else { &headers };
        let answer = response(StatusCode::from_u16(status).unwrap(), headers, body);
        assert_eq!(told(BatchLayer::new(), "GET", answer).await, expected, "{status} {content_type} {body}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_base64_whatever_they_claim_to_be() {
    for content_type in ["application/json", "application/hal+json", "text/plain"] {
        let answer = response(StatusCode::OK, &[("content-type", content_type)], &b"\"\xff\""[..]);
        let expected =
            format!(r#""status":200,"headers":{{"content-type":"{content_type}"}},"data":"Iv8i","encoding":"base64""#);
        assert_eq!(told(BatchLayer::new(), "GET", answer).await, expected);
    }
}

#[tokio::test]
async fn some_answers_have_no_content_whatever_the_service_says() {
    for (method, status, expected) in [
        ("HEAD", 200, r#""status":200,"headers":{"etag":"\"1\""}"#),
        ("HEAD", 404, r#""status":404,"headers":{"etag":"\"1\""},"error":"Not Found""#),
        ("GET", 204, r#""status":204,"headers":{"etag":"\"1\""}"#),
        ("GET", 304, r#""status":304,"headers":{"etag":"\"1\""}"#),
    ] {
        let answer = response(StatusCode::from_u16(status).unwrap(), &[("etag", "\"1\"")], "content");
        assert_eq!(told(BatchLayer::new(), method, answer).await, expected);
    }
}

#[tokio::test]
async fn headers_are_told_by_an_allow_list() {
    let listed = [
        ("location", "/a"),
        ("etag", "\"1\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("retry-after", "7"),
        ("allow", "GET"),
        ("link", "</a>"),
        ("link", "</b>"),
        ("www-authenticate", "Basic"),
    ];
    let unlisted =
        [("x-tenant", "t"), ("server", "s"), ("cache-control", "private"), ("vary", "accept"), ("date", "d")];
    let answer = response(StatusCode::OK, &[&listed[..], &unlisted[..]].concat(), "");
    let headers =
        |text: String| -> Value { serde_json::from_str::<Value>(&format!("{{{text}}}")).unwrap()["headers"].take() };
    let mut expected = json!({
        "location": "/a",
        "etag": "\"1\"",
        "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT",
        "retry-after": "7",
        "allow": "GET",
        "link": ["</a>", "</b>"],
        "www-authenticate": "Basic",
    });
    assert_eq!(headers(told(BatchLayer::new(), "GET", answer.clone()).await), expected);
    expected["x-tenant"] = json!("t");
    let layer = BatchLayer::new().result_header(HeaderName::from_static("x-tenant"));
    assert_eq!(headers(told(layer, "GET", answer).await), expected);
}

#[tokio::test]
async fn no_byte_of_a_header_is_lost() {
    for (value, expected) in [(&b"\"\xc3\xbc\""[..], r#""\"ü\"""#), (b"\"\xfc\"", r#""\"ü\"""#), (b"a\tb", r#""a\tb""#)]
    {
        let mut answer = response(StatusCode::OK, &[], "");
        answer.headers_mut().insert(header::ETAG, value.try_into().unwrap());
        let expected = format!(r#""status":200,"headers":{{"etag":{expected}}}"#);
        assert_eq!(told(BatchLayer::new(), "GET", answer).await, expected);
    }
}

#[tokio::test]
async fn the_outside_has_nothing_of_an_operations_headers() {
    let service = batched(BatchLayer::new(), |_| {
        response(StatusCode::CREATED, &[("location", "/a"), ("etag", "\"1\""), ("vary", "x"), ("x-a", "b")], "")
    });
    let answer = call(service, batch(json!([{"path": "/"}]))).await;
    let mut names: Vec<_> = answer.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["cache-control", "content-type"]);
}

#[tokio::test]
async fn the_status_is_207_however_the_operations_end() {
    for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::SERVICE_UNAVAILABLE] {
        let service = batched(BatchLayer::new(), move |_| response(status, &[], ""));
        let results = results_of(service, json!([{"path": "/"}, {"path": "/"}])).await;
        assert!(results.iter().all(|result| result["status"] == status.as_u16()));
    }
}

#[tokio::test]
async fn the_media_type_of_a_batch_is_json() {
    for content_type in
        ["application/json", "Application/JSON", "application/json;charset=UTF-8", "application/vnd.acme.batch+json"]
    {
        let answer = call(echoing(BatchLayer::new()), batch_as(content_type, r#"[{"path":"/"}]"#)).await;
        assert_eq!(support::results(&answer).len(), 1, "{content_type}");
    }
    for content_type in
        ["", "text/json", "application/xml", "application/json;charset=utf-16", "application/octet-stream"]
    {
        let answer = call(echoing(BatchLayer::new()), batch_as(content_type, r#"[{"path":"/"}]"#)).await;
        refusal(&answer, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let accepted = answer.headers()["accept-post"].to_str().unwrap();
        assert_eq!(accepted.split(", ").next(), Some("application/json"), "{content_type}");
    }
}

#[tokio::test]
async fn accept_decides_how_the_answer_is_written() {
    let ask = async |accept: &[&str]| {
        let request = accept.iter().fold(batch(r#"[{"path":"/"}]"#), |request, accept| with(request, "accept", accept));
        call(echoing(BatchLayer::new()), request).await
    };
    for accept in [
        &[][..],
        &["*/*"],
        &["application/*;q=0.1"],
        &["application/json"],
        &["image/png", "application/json;q=0.001"],
        &["application/json, application/xml;q=0.9"],
        &["application/json;charset=utf-8"],
    ] {
        support::results(&ask(accept).await);
    }
    for accept in [&["image/png"][..], &["text/html", "application/json;q=0"], &["*/*;q=0"]] {
        let problem = refusal(&ask(accept).await, StatusCode::NOT_ACCEPTABLE);
        assert!(problem["detail"].as_str().unwrap().contains("application/json"), "{problem}");
    }
    #[cfg(feature = "xml")]
    for (accept, expected) in [
        (&["application/xml"][..], "application/xml; charset=utf-8"),
        (&["text/xml"], "text/xml; charset=utf-8"),
        (&["application/json;q=0.5", "application/xml"], "application/xml; charset=utf-8"),
        (&["text/html, application/xml;q=0.9, */*;q=0.8"], "application/xml; charset=utf-8"),
    ] {
        let answer = ask(accept).await;
        assert_eq!(
            (answer.status(), &answer.headers()["content-type"]),
            (StatusCode::MULTI_STATUS, &expected.parse().unwrap())
        );
    }
}

#[tokio::test]
async fn a_refusal_is_a_problem_document_whatever_is_accepted() {
    let request = with(batch("[]"), "accept", "application/xml, text/xml, */*");
    refusal(&call(echoing(BatchLayer::new()), request).await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_compressed_batch_is_read_only_when_it_has_been_decompressed() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(br#"[{"path":"/zipped"}]"#).unwrap();
    let document = Bytes::from(gzip.finish().unwrap());
    let request = || with(batch_as("application/json", document.clone()), "content-encoding", "gzip");

    let answer = call(echoing(BatchLayer::new()), request()).await;
    refusal(&answer, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(answer.headers()["accept-encoding"], "identity");

    let service = ServiceBuilder::new().layer(RequestDecompressionLayer::new()).layer(BatchLayer::new());
    let answer = call(service.service(support::service(echo)), request()).await;
    assert_eq!(support::results(&answer)[0]["data"]["target"], "/zipped");

    let answer =
        call(echoing(BatchLayer::new()), with(batch(r#"[{"path":"/"}]"#), "content-encoding", "identity")).await;
    assert_eq!(support::results(&answer).len(), 1);
}

#[tokio::test]
async fn only_post_to_the_batch_path_is_a_batch() {
    let alone = |_| json_response(StatusCode::METHOD_NOT_ALLOWED, &json!({"by": "the inner service"}));
    let mount = BatchLayer::new().path("/api/batch").also_path("/$batch");
    for (method, path, is_batch) in [
        ("POST", "/api/batch", true),
        ("POST", "/api/batch?trace=1", true),
        ("POST", "/$batch", true),
        ("POST", "/batch", false),
        ("POST", "/api/batch/", false),
        ("GET", "/api/batch", false),
        ("PUT", "/$batch", false),
        ("OPTIONS", "/$batch", false),
    ] {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.body(Full::from(r#"[{"path":"/"}]"#)).unwrap();
        let answer = call(mount.layer(support::service(alone)), request).await;
        assert_eq!(answer.status() == StatusCode::MULTI_STATUS, is_batch, "{method} {path}");
        assert_eq!(answer.status() == StatusCode::METHOD_NOT_ALLOWED, !is_batch, "{method} {path}");
    }
}

#[tokio::test]
async fn the_members_of_a_result_stand_in_their_order() {
    let service = batched(BatchLayer::new(), |_| response(StatusCode::OK, &[("content-type", "a/b")], "x"));
    let answer = call(service, batch(json!([{"id": "a", "path": "/"}]))).await;
    assert_eq!(
        answer.body(),
        r#"{"results":[{"index":0,"id":"a","status":200,"headers":{"content-type":"a/b"},"data":"eA==","encoding":"base64"}],"summary":{"total":1,"succeeded":1,"failed":0}}"#
    );
}

#[tokio::test]
async fn a_fault_in_a_filled_target_is_told_by_the_name_that_the_client_used() {
    for name in ["path", "url"] {
        let batch = json!([
            {"id": "a", "path": "/"},
            {"refs": {"x": "a#/headers"}, name: "/{x}"},
        ]);
        let results = results_of(echoing(BatchLayer::new()), batch).await;
        assert_eq!(results[1]["error"]["pointer"], format!("/1/{name}"), "{}", results[1]);
    }
}
