//! What clients may try with references, dependencies and groups.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderName, Response, StatusCode};
use serde_json::{Value, json};
use tower::Layer;
use tower_multistatus::{BatchLayer, BatchService, Order, RequestBody};

use crate::support::{
    Inner, Plain, batch, batched, block_on, call, echo, json_response, refused, response, results, results_of, service,
    status,
};

/// The results of a batch in which `s` is answered with this.
async fn with_source(layer: BatchLayer, source: Response<Bytes>, users: Vec<Value>) -> Vec<Value> {
    let service = batched(layer, move |request| match request.uri().path() {
        "/source" => source.clone(),
        _ => echo(request),
    });
    let operations: Value = [json!({"id": "s", "path": "/source"})].into_iter().chain(users).collect();
    results_of(service, operations).await.split_off(1)
}

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap()
}

/// bassmaster took references for JavaScript, and evaluated them. Here they name, and whatever is named is data.
#[tokio::test]
async fn bassmaster_cve_2014_7205_references_are_evaluated() {
    let code = [
        "\"; process.exit()",
        "x;process.exit(1)//",
        "${process.exit()}",
        "#{exit}",
        "{{7*7}}",
        "$(reboot)",
        "`id`",
        "__proto__",
        "'; DROP TABLE users; --",
        "{x}",
        "{+x}",
        r#"{"$ref":"x"}"#,
        "%00",
    ];
    // As a value: it is sent on as it is, and not looked into a second time.
    for code in code {
        let user = json!({
            "method": "POST",
            "path": "/a?{x}",
            "refs": {"x": "s#/x"},
            "headers": {"prefer": "{x}"},
            "body": [{"$ref": "x"}],
        });
        let source = json_response(StatusCode::OK, &json!({"x": code}));
        let sent = &with_source(BatchLayer::new(), source, vec![user]).await[0]["data"];
        assert_eq!(sent["headers"]["prefer"], json!([code]));
        assert_eq!(sent["body"], json!([code]).to_string());
        let target = sent["target"].as_str().unwrap();
        assert!(
            target["/a?".len()..].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%-._~".contains(&byte)),
            "{target}"
        );
    }
    // As the name of a value: there is none of that name, and nobody asks what else it could mean.
    let source = || json_response(StatusCode::OK, &json!({"a": {"b": 1}, "list": [1, 2]}));
    for pointer in [
        "/__proto__",
        "/constructor",
        "/constructor/prototype",
        "/a/__proto__/b",
        "/list/length",
        "/list/-1",
        "/list/1e0",
        "/list/0x1",
        "/list/+1",
        "/list/ 1",
        "/list/*",
        "/a/..",
        "/a/../list",
        "//a",
        "/a;process.exit()",
        "/$.prototype",
        "/a.b",
        "/a[b]",
        "/A",
        "/a ",
        "/%61",
        "/\\u0061",
    ] {
        let user = json!({"path": "/", "refs": {"x": format!("s#{pointer}")}});
        let problem = refused(&with_source(BatchLayer::new(), source(), vec![user]).await[0], 424).clone();
        assert!(detail(&problem).contains("nothing at"), "{pointer}: {problem}");
    }
    // As a reference: it is none.
    for reference in [
        "$.prototype",
        "$1.id",
        "s.a",
        "s[\"a\"]",
        "s#a",
        "s#$.a",
        "s#.a",
        "s/a",
        "eval(1)",
        "s@a.b()",
        "S#/a",
        " s#/a",
    ] {
        let user = json!({"path": "/", "refs": {"x": reference}});
        refused(&with_source(BatchLayer::new(), source(), vec![user]).await[0], 400);
    }
    // In the path: `{$1.id}` is not even a template.
    for path in [
        "/{$1.id}", "/{s#/a}", "/{x;y}", "/{x|y}", "/{x()}", "/{=x}", "/{!x}", "/{@x}", "/{|x}", "/{x}{", "/{{x}}",
        "/{+x}", "/{#x}",
    ] {
        let user = json!({"path": path, "refs": {"x": "s#/a/b"}});
        refused(&with_source(BatchLayer::new(), source(), vec![user]).await[0], 400);
    }
    // What JSON really has under such a name is there.
    let source = json_text(r#"{"__proto__":{"constructor":1},"$.prototype":2}"#);
    let user = json!({"path": "/{x}/{y}", "refs": {"x": "s#/__proto__/constructor", "y": "s#/$.prototype"}});
    assert_eq!(with_source(BatchLayer::new(), source, vec![user]).await[0]["data"]["target"], "/1/2");
}

fn json_text(text: &'static str) -> Response<Bytes> {
    response(StatusCode::OK, &[("content-type", "application/json")], text)
}

/// A value is no way to a target that the client could not have named itself.
#[tokio::test]
async fn ssrf_through_references() {
    // Each is the value, and where it is to lead.
    for (value, path) in [
        ("..", "/api/{x}/admin"),
        (".", "/api/{x}"),
        ("../../admin", "/api/{x}"),
        ("..\\..\\admin", "/api/{x}"),
        ("\\admin", "/{x}"),
        (".", "/api/.{x}"),
        ("2e", "/api/%2e%{x}"),
        ("..", "/api{/x}"),
        (".", "/api/{x,x}/.{x}"),
        (".", "/api{.x}/{x}"),
    ] {
        let users = vec![json!({"path": path, "refs": {"x": "s#"}})];
        let results = with_source(BatchLayer::new(), json_response(StatusCode::OK, &json!(value)), users).await;
        assert!([400, 424].contains(&status(&results[0])), "{value} {path}: {}", results[0]);
        assert_eq!(results[0].get("data"), None);
    }
    // These are names with odd characters, and lead nowhere else.
    for (value, path, target) in [
        ("//evil.example", "/{x}", "/%2F%2Fevil.example"),
        ("http://evil.example/", "/{x}", "/http%3A%2F%2Fevil.example%2F"),
        ("@evil.example", "/{x}", "/%40evil.example"),
        ("%2e%2e", "/a/{x}/b", "/a/%252e%252e/b"),
        ("x HTTP/1.1\r\nhost: evil.example\r\n", "/{x}", "/x%20HTTP%2F1.1%0D%0Ahost%3A%20evil.example%0D%0A"),
        ("x?admin=1#", "/{x}", "/x%3Fadmin%3D1%23"),
        ("1&admin=1", "/?a={x}", "/?a=1%26admin%3D1"),
        ("\u{ff0f}\u{2024}\u{2024}", "/{x}", "/%EF%BC%8F%E2%80%A4%E2%80%A4"),
    ] {
        let users = vec![json!({"path": path, "refs": {"x": "s#"}})];
        let results = with_source(BatchLayer::new(), json_response(StatusCode::OK, &json!(value)), users).await;
        assert_eq!(results[0]["data"]["target"], target, "{}", results[0]);
        assert_eq!(results[0]["data"]["headers"]["host"], json!(["api.example.com"]));
    }
    // A location may be put in as it is, and is one of this server.
    for location in [
        "http://evil.example/",
        "//evil.example/",
        "http://api.example.com//evil.example/",
        "/\\evil.example",
        "http://api.example.com:1/",
    ] {
        let users = vec![
            json!({"path": "{+x}", "refs": {"x": "s@location"}}),
            json!({"method": "POST", "path": "/", "refs": {"x": "s@location"}, "body": {"$ref": "x"}}),
        ];
        let results =
            with_source(BatchLayer::new(), response(StatusCode::OK, &[("location", location)], ""), users).await;
        refused(&results[0], 424);
        assert!(location.contains("com//") || status(&results[1]) == 424, "{}", results[1]);
    }
    // The host is nobody's to choose.
    let user = json!({"path": "/", "refs": {"x": "s#"}, "headers": {"host": "{x}"}});
    refused(&with_source(BatchLayer::new(), json_text("\"api.example.com\""), vec![user]).await[0], 400);
}

/// Nor to a batch, which would multiply.
#[tokio::test]
async fn nested_batches_multiply_through_references() {
    let source =
        || response(StatusCode::OK, &[("content-type", "application/json"), ("location", "/batch")], "\"batch\"");
    for path in ["/{x}", "{+y}", "/{x}?z", "{/x}", "/{x:5}", "/b{x:0005}"] {
        let user =
            json!({"method": "post", "path": path, "refs": {"x": "s#", "y": "s@location"}, "body": [{"path": "/"}]});
        let result = with_source(BatchLayer::new(), source(), vec![user]).await.remove(0);
        assert!([400, 424].contains(&status(&result)) || result["data"]["target"] == "/bbatch", "{path}: {result}");
    }
}

#[tokio::test]
async fn header_injection_through_references() {
    for value in ["a\r\nx-real-ip: 127.0.0.1", "a\nb", "a\rb", "\n", "a\u{0}b", "a\u{7f}", "\u{1}"] {
        for headers in [json!({"prefer": "{x}"}), json!({"prefer": ["a", "{x}"]})] {
            let user = json!({"path": "/", "refs": {"x": "s#"}, "headers": headers});
            let source = json_response(StatusCode::OK, &json!(value));
            refused(&with_source(BatchLayer::new(), source, vec![user]).await[0], 424);
        }
    }
    // A reference brings a value, never a name; and no other header than one that may be set.
    for headers in
        [json!({"{x}": "a"}), json!({"x-real-ip": "{x}"}), json!({"cookie": ["{x}"]}), json!({"Authorization": "{x}"})]
    {
        let user = json!({"path": "/", "refs": {"x": "s#"}, "headers": headers});
        refused(&with_source(BatchLayer::new(), json_text("\"x-real-ip\""), vec![user]).await[0], 400);
    }
    let framing = json!({"content-length": "{x}", "transfer-encoding": "{x}", "connection": "{x}", "upgrade": "{x}"});
    let user = json!({"path": "/", "refs": {"x": "s#"}, "headers": framing});
    let sent = with_source(BatchLayer::new(), json_text("\"chunked\""), vec![user]).await;
    assert_eq!(sent[0]["data"]["headers"], json!({"host": ["api.example.com"]}));
}

/// What the answer doesn't tell, no second operation tells either.
#[tokio::test]
async fn references_tell_what_the_answer_does_not() {
    let secrets = ["set-cookie", "x-internal", "server", "content-length", "authorization", "x-powered-by", "via"];
    for name in secrets {
        for reference in [format!("s@{name}"), format!("s@{}", name.to_uppercase())] {
            let user = json!({"method": "PUT", "path": "/", "refs": {"x": reference}, "headers": {"prefer": "{x}"}, "body": {"$ref": "x"}});
            let source = response(StatusCode::OK, &[(name, "session=secret; HttpOnly")], "");
            let result = with_source(BatchLayer::new(), source, vec![user]).await.remove(0);
            assert!(detail(refused(&result, 400)).contains("the answer doesn't tell it"), "{result}");
            assert!(!result.to_string().contains("secret"));
        }
    }
    // Not even where the server's author wants it told.
    for name in ["set-cookie", "content-length"] {
        let layer = BatchLayer::new().result_header(HeaderName::from_static(name));
        let user = json!({"path": "/", "refs": {"x": format!("s@{name}")}});
        refused(&with_source(layer, response(StatusCode::OK, &[(name, "1")], ""), vec![user]).await[0], 400);
    }
    // The body of an operation that did not succeed may say why, and to whom it belongs; its error text is no value.
    let source = json_response(StatusCode::FORBIDDEN, &json!({"secret": "x"}));
    let user = json!({"path": "/{x}", "refs": {"x": "s#/secret"}});
    assert!(!with_source(BatchLayer::new(), source, vec![user]).await[0].to_string().contains("secret\":"));
}

/// The results of a batch, and the most bytes that were in use at a time until there was an answer.
fn peak(service: BatchService<Inner<RequestBody<Plain>>>, operations: impl ToString) -> (u64, Vec<Value>) {
    let (request, mut answer) = (batch(operations), None);
    let info = allocation_counter::measure(|| answer = Some(block_on(call(service, request))));
    (info.bytes_max, results(&answer.unwrap()))
}

const MIB: u64 = 1 << 20;

/// A hundred operations, and each one takes a value of a mebibyte.
#[test]
fn references_amplify() {
    let sent = Arc::new(Mutex::new(0));
    for (users, take, sent_more) in [
        (99, json!({"body": {"$ref": "x"}}), true),
        (99, json!({"body": [{"$ref": "x"}, {"$ref": "x"}, {"$ref": "x"}]}), false),
        (99, json!({"path": "/?{x}"}), false),
        (99, json!({"headers": {"prefer": "{x}"}}), false),
        (9, json!({"path": format!("/?{}", "{x}".repeat(64))}), false),
        (9, json!({"path": format!("/?{}", "{x:1}".repeat(64))}), true),
        (99, json!({"headers": {"prefer": ["{x}", "{x}", "{x}", "{x}"]}}), false),
    ] {
        let mut user = json!({"method": "POST", "path": "/", "refs": {"x": "s#"}});
        user.as_object_mut().unwrap().extend(take.as_object().unwrap().clone());
        let count = Arc::clone(&sent);
        let inner = service::<RequestBody<Plain>>(move |request| match request.uri().path() {
            "/" => {
                *count.lock().unwrap() += request.body().len() as u64;
                Response::default()
            }
            _ => json_response(StatusCode::OK, &json!("\"".repeat(MIB as usize / 2))),
        });
        let operations: Value =
            [json!({"id": "s", "path": "/source"})].into_iter().chain(vec![user.clone(); users]).collect();
        let (peak, results) = peak(BatchLayer::new().layer(inner), operations);
        assert!(peak < 24 * MIB, "{peak} for {take}");
        let served = results[1..].iter().filter(|result| status(result) == 200).count();
        assert_eq!(served > 0, sent_more, "{take}");
        assert!(served <= 2 && results[1..].iter().all(|result| [200, 424].contains(&status(result))));
        assert!(std::mem::take(&mut *sent.lock().unwrap()) <= 2 * MIB);
    }
}

/// Each operation sends what the one before it was sent, twice: forty of them would be a terabyte.
#[test]
fn references_double_along_a_chain() {
    for double in [json!([{"$ref": "x"}, {"$ref": "x"}]), json!({"a": {"$ref": "x"}, "b": [{"$ref": "x"}]})] {
        let link = |index: usize| match index {
            0 => json!({"id": "0", "method": "POST", "path": "/", "body": "xxxxxxxx"}),
            _ => {
                json!({"id": index.to_string(), "method": "POST", "path": "/", "refs": {"x": format!("{}#", index - 1)}, "body": double})
            }
        };
        let inner = service::<RequestBody<Plain>>(|request| {
            response(StatusCode::OK, &[("content-type", "application/json")], request.into_body())
        });
        let layer = BatchLayer::new().max_json_depth(1000);
        let (peak, results) = peak(layer.layer(inner), (0..40).map(link).collect::<Value>());
        let ended = results.iter().position(|result| status(result) == 424).unwrap();
        assert!((10..20).contains(&ended), "{ended}");
        assert!(results[ended..].iter().all(|result| status(result) == 424));
        assert!(peak < 32 * MIB, "{peak}");
    }
}

/// Names in a path and in headers are short, and what they stand for is not.
#[test]
fn short_names_stand_for_long_values() {
    let name = format!("if-{}", "x".repeat(60_000));
    let many = |what: &str, count: usize| vec![what; count].join(",");
    let refs: Vec<_> = (0..1500).map(|nth| format!(r#""{nth:x}":"s#/{}""#, "a/".repeat(20))).collect();
    let names: String = (0..1500).map(|nth| format!("{{{nth:x}}}")).collect();
    for user in [
        format!(r#"{{"path":"/","refs":{{"x":"s#"}},"headers":{{"{name}":[{}]}}}}"#, many(r#""{x}""#, 100_000)),
        format!(r#"{{"path":"/","refs":{{"x":"s#"}},"headers":{{"prefer":[{}]}}}}"#, many(r#""{x}""#, 100_000)),
        format!(r#"{{"path":"/","refs":{{"x":"s#"}},"headers":{{"te":[{}]}}}}"#, many(r#""{x}""#, 100_000)),
        format!(r#"{{"path":"/?{}","refs":{{"x":"s#"}}}}"#, "{x}".repeat(2700)),
        format!(r#"{{"path":"/?{names}","refs":{{{}}}}}"#, refs.join(",")),
        format!(r#"{{"path":"/?{names}","refs":{{{}}}}}"#, refs.join(",").replace(&"a/".repeat(20), "")),
        format!(r#"{{"path":"/","refs":{{"x":"s#{}"}}}}"#, "/a".repeat(900_000)),
    ] {
        let inner = service::<RequestBody<Plain>>(|_| json_response(StatusCode::OK, &json!("\"".repeat(500_000))));
        let (peak, results) = peak(BatchLayer::new().layer(inner), format!(r#"[{{"id":"s","path":"/s"}},{user}]"#));
        assert!([400, 424].contains(&status(&results[1])), "{}", results[1]);
        assert!(peak < 16 * MIB, "{peak} for {}…", &user[..100]);
    }
}

/// Ten thousand pointers into one body cost ten times what a thousand do.
#[test]
fn many_references_into_one_body_take_linear_time() {
    const MANY: usize = 10_000;
    let cost = |count: usize, shared: bool| {
        let members = (0..count).map(|nth| (format!("m{nth}"), json!({"a": nth})));
        let body = json_response(StatusCode::OK, &Value::Object(members.collect()));
        let refs = (0..count).map(|nth| (format!("r{nth}"), json!(format!("s#/m{}/a", if shared { 0 } else { nth }))));
        let refs: serde_json::Map<_, _> = refs.collect();
        let holes: Value = (0..count).map(|nth| json!({"$ref": format!("r{nth}")})).collect();
        let inner = service::<RequestBody<Plain>>(move |request| match request.uri().path() {
            "/s" => body.clone(),
            _ => response(StatusCode::OK, &[("content-type", "application/json")], request.into_body()),
        });
        let operations =
            json!([{"id": "s", "path": "/s"}, {"method": "PUT", "path": "/", "refs": refs, "body": holes}]);
        let request = batch(&operations);
        let mut answer = None;
        let layer = BatchLayer::new().max_operations(MANY);
        let info = allocation_counter::measure(|| answer = Some(block_on(call(layer.layer(inner), request))));
        let results = results(&answer.unwrap());
        let expected: Value = (0..count).map(|nth| if shared { 0 } else { nth }).collect();
        assert_eq!(results[1]["data"], expected);
        (info.count_total, info.bytes_max)
    };
    for shared in [false, true] {
        let (few, many) = (cost(MANY / 10, shared), cost(MANY, shared));
        assert!(many.0 < few.0 * 12 && many.1 < few.1 * 20, "{few:?} {many:?}");
    }
}

/// A document may say of each operation that it depends on all others.
#[tokio::test]
async fn dependencies_multiply() {
    const MANY: usize = 100;
    let all: Vec<_> = (0..MANY).map(|index| index.to_string()).collect();
    let operation = |index: usize, dependencies: &[String]| json!({"id": index.to_string(), "path": "/", "dependsOn": dependencies});
    for (dependencies, expected) in [(&all[..], 400), (&[][..], 200)] {
        let operations: Value = (0..MANY).map(|index| operation(index, dependencies)).collect();
        let answer = call(batched(BatchLayer::new().order(Order::Unordered), echo), batch(operations)).await;
        assert!(results(&answer).iter().all(|result| status(result) == expected));
        assert!(expected == 200 || answer.body().len() < MANY * 500, "{}", answer.body().len());
    }
    let before: Value = (0..MANY).map(|index| operation(index, &all[..index])).collect();
    assert!(results_of(batched(BatchLayer::new(), echo), before).await.iter().all(|result| status(result) == 200));
    // One that names another a hundred thousand times, and one that names as many who are not there.
    for id in ["0", "nobody"] {
        let names = vec![format!("\"{id}\""); 100_000].join(",");
        let document = format!(r#"[{{"id":"0","path":"/"}},{{"path":"/","dependsOn":[{names}]}}]"#);
        let answer = call(batched(BatchLayer::new(), echo), batch(document)).await;
        assert_eq!(status(&results(&answer)[1]), 400);
        assert!(answer.body().len() < 2000);
    }
}
