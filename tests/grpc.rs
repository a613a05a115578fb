//! Calls of gRPC methods, of a service that does what the test says. `grpc_tonic.rs` has those of tonic.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod support;

use std::{convert::Infallible, future::Future, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use support::{Plain, batch, batch_as, call, refused, results, with};
use tower::{Layer, util::BoxCloneService};
use tower_multistatus::{BatchLayer, BatchService, RequestBody};

type Body = StreamBody<tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;
type Inner = BoxCloneService<Request<RequestBody<Plain>>, Response<Body>, Infallible>;

/// Under a batch layer that calls gRPC methods.
fn calling<F>(respond: impl Fn(Request<Bytes>) -> F + Clone + Send + 'static) -> BatchService<Inner>
where
    F: Future<Output = Response<Body>> + Send,
{
    under(BatchLayer::new().grpc(), respond)
}

fn under<F>(layer: BatchLayer, respond: impl Fn(Request<Bytes>) -> F + Clone + Send + 'static) -> BatchService<Inner>
where
    F: Future<Output = Response<Body>> + Send,
{
    let service = tower::service_fn(move |request: Request<RequestBody<Plain>>| {
        let respond = respond.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Ok(respond(Request::from_parts(head, body)).await)
        }
    });
    layer.layer(BoxCloneService::new(service))
}

/// One that always answers so.
fn answering(response: impl Fn() -> Response<Body> + Clone + Send + 'static) -> BatchService<Inner> {
    calling(move |_| std::future::ready(response()))
}

fn pairs(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// A response of gRPC, with what stands before and behind these frames.
fn grpc(headers: &[(&'static str, &str)], frames: &[&[u8]], trailers: &[(&'static str, &str)]) -> Response<Body> {
    let mut parts: Vec<_> = frames.iter().map(|data| Ok(Frame::data(Bytes::copy_from_slice(data)))).collect();
    if !trailers.is_empty() {
        parts.push(Ok(Frame::trailers(pairs(trailers))));
    }
    let mut response = Response::new(StreamBody::new(tokio_stream::iter(parts)));
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    response.headers_mut().extend(pairs(headers));
    response
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// A call with this message.
fn operation(message: &[u8]) -> Value {
    json!({
        "method": "POST",
        "path": "/pkg.Service/Method",
        "headers": {"content-type": "application/grpc"},
        "body": STANDARD.encode(message),
    })
}

async fn result_of(service: BatchService<Inner>, operation: Value) -> Value {
    results(&call(service, batch(json!([operation]))).await).remove(0)
}

#[tokio::test]
async fn a_message_is_framed_for_the_service_and_unframed_for_the_client() {
    for message in [&b""[..], b"\x08\x01", &[0; 70_000]] {
        let expected = framed(message);
        let service = calling(move |request: Request<Bytes>| {
            assert_eq!(request.body(), &expected);
            assert_eq!(request.version(), Version::HTTP_2);
            assert_eq!(request.headers()["te"], "trailers");
            assert_eq!(request.headers()["grpc-accept-encoding"], "identity");
            assert_eq!(request.headers()["content-type"], "application/grpc");
            assert_eq!(request.headers()["content-length"], expected.len().to_string());
            let (one, other) = expected.split_at(3);
            std::future::ready(grpc(&[], &[one, other], &[("grpc-status", "0")]))
        });
        let result = result_of(service, operation(message)).await;
        assert_eq!(result["status"], 200);
        assert_eq!(result["grpc"], json!({"status": 0}));
        match message {
            [] => assert_eq!(result.get("data"), None),
            message => {
                assert_eq!(json!([result["data"], result["encoding"]]), json!([STANDARD.encode(message), "base64"]))
            }
        }
    }
}

#[tokio::test]
async fn each_code_has_its_status_whether_it_comes_in_trailers_or_in_the_header() {
    let statuses = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
    for (code, status) in statuses.into_iter().enumerate().skip(1) {
        let code = code.to_string();
        let said =
            [("grpc-status", code.as_str()), ("grpc-message", "why%3A %C3%A4"), ("grpc-status-details-bin", "CAU")];
        for in_header in [false, true] {
            let pairs: Vec<_> = said.iter().map(|&(name, value)| (name, value.to_owned())).collect();
            let service = answering(move || {
                let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
                if in_header { grpc(&pairs, &[], &[]) } else { grpc(&[], &[], &pairs) }
            });
            let result = result_of(service, operation(b"")).await;
            assert_eq!(result["status"], status, "{code}");
            assert_eq!(result["error"], "why: ä");
            let expected = json!({"status": code.parse::<u32>().unwrap(), "message": "why: ä", "details": "CAU="});
            assert_eq!(result["grpc"], expected);
        }
    }
}

/// What a batch looked like before: all is well.
#[tokio::test]
async fn without_it_every_failure_looks_like_a_success() {
    let failing = |_| std::future::ready(grpc(&[], &[], &[("grpc-status", "5"), ("grpc-message", "no such user")]));
    let mut operation = operation(&framed(b"\x08\x01"));
    operation["encoding"] = json!("base64");
    let result = result_of(under(BatchLayer::new(), failing), operation.clone()).await;
    assert_eq!((result["status"].as_u64(), result.get("grpc")), (Some(200), None));
    let result = result_of(under(BatchLayer::new().grpc(), failing), operation).await;
    assert_eq!(result["status"], 404);
    // Nor is anything asked of an operation because of its type.
    for (method, body, sent) in [("GET", json!({"id": 1}), r#"{"id":1}"#), ("POST", json!("no base64!"), "no base64!")]
    {
        let echo = |request: Request<Bytes>| {
            assert!(!request.headers().contains_key("te") && request.headers()["accept"] == "a/b");
            std::future::ready(grpc(&[("content-type", "text/plain")], &[request.body()], &[]))
        };
        let headers = json!({"content-type": "application/grpc", "accept": "a/b"});
        let operation = json!({"method": method, "path": "/", "headers": headers, "body": body});
        assert_eq!(result_of(under(BatchLayer::new(), echo), operation).await["data"], sent);
    }
}

#[tokio::test]
async fn what_is_no_single_message_is_told() {
    let (a, b) = (framed(b"a"), framed(b"b"));
    for (frames, trailers, status, word) in [
        (vec![&a[..], &b], &[("grpc-status", "0")][..], 501, "more than one message"),
        (vec![], &[("grpc-status", "0")], 502, "no message"),
        (vec![&a], &[], 502, "no gRPC status"),
        (vec![&a[..3]], &[("grpc-status", "0")], 502, "cut off"),
        (vec![&a, b"\0"], &[("grpc-status", "0")], 502, "cut off"),
        (vec![b"\x01\0\0\0\x01a"], &[("grpc-status", "0")], 502, "compressed"),
    ] {
        let frames: Vec<_> = frames.into_iter().map(<[u8]>::to_vec).collect();
        let service = answering(move || {
            let frames: Vec<_> = frames.iter().map(Vec::as_slice).collect();
            grpc(&[], &frames, trailers)
        });
        let result = result_of(service, operation(b"")).await;
        let detail = refused(&result, status)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(word), "{detail}");
        assert_eq!(result.get("grpc"), None);
    }
    // Its own failure counts, whatever it has sent before.
    let service = answering(move || grpc(&[], &[&framed(b"a")[..3]], &[("grpc-status", "8")]));
    assert_eq!(result_of(service, operation(b"")).await["status"], 429);
    let service = answering(move || grpc(&[], &[&framed(b"a"), &framed(b"b")], &[("grpc-status", "8")]));
    assert_eq!(result_of(service, operation(b"")).await["status"], 429);
}

#[tokio::test]
async fn a_layer_that_speaks_plain_http_is_understood() {
    let refuse = |status: u16, content_type: &'static str, body: &'static str| {
        answering(move || {
            let mut response = grpc(&[], &[body.as_bytes()], &[]);
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response.headers_mut().insert("content-type", content_type.parse().unwrap());
            response
        })
    };
    let result = result_of(refuse(401, "application/json", r#"{"message":"who?"}"#), operation(b"")).await;
    assert_eq!(result, json!({"index": 0, "status": 401, "error": {"message": "who?"}}));
    // tonic's own way to say that it has no such path is a 200 with a status; a proxy's isn't.
    let result = result_of(refuse(503, "application/grpc", ""), operation(b"")).await;
    assert_eq!(result["status"], 503);
}

#[tokio::test]
async fn only_calls_are_called() {
    let service = || {
        calling(|request: Request<Bytes>| {
            let is_call = request.headers().contains_key("te");
            let mut response = grpc(&[("content-type", "text/plain")], &[is_call.to_string().as_bytes()], &[]);
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
            std::future::ready(response)
        })
    };
    for (content_type, is_call) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("APPLICATION/GRPC; charset=x", true),
        ("application/grpc ; charset=x", true),
        ("application/grpcx", false),
        ("application/octet-stream", false),
    ] {
        let mut operation = operation(b"a");
        operation["headers"]["content-type"] = json!(content_type);
        assert_eq!(result_of(service(), operation).await["error"], is_call.to_string(), "{content_type}");
    }
}

#[tokio::test]
async fn a_faulty_call_is_refused_before_it_is_sent() {
    let service = || calling(|request| -> BoxFuture<'static, Response<Body>> { panic!("{request:?} was sent") });
    for (change, word, pointer) in [
        (json!({"method": "GET"}), "POST", "/0/method"),
        (json!({"method": null}), "POST", "/0/method"),
        (
            json!({"headers": {"content-type": "application/grpc-web-text+proto"}}),
            "text form",
            "/0/headers/content-type",
        ),
        (json!({"body": {"id": 1}}), "base64", "/0/body"),
        (json!({"body": "no base64!"}), "base64", "/0/body"),
        (
            json!({"headers": {"content-type": "application/grpc", "grpc-timeout": "1x"}}),
            "unit",
            "/0/headers/grpc-timeout",
        ),
        (
            json!({"headers": {"content-type": "application/grpc", "grpc-timeout": ["1S", "2S"]}}),
            "unit",
            "/0/headers/grpc-timeout",
        ),
        (
            json!({"headers": {"content-type": "application/grpc", "grpc-encoding": "gzip"}}),
            "may not set",
            "/0/headers/grpc-encoding",
        ),
    ] {
        let mut operation = operation(b"");
        operation.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let result = result_of(service(), operation).await;
        let problem = refused(&result, 400);
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
        assert_eq!(problem["pointer"], pointer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_may_want_less_time() {
    let service = || {
        calling(|_| async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            grpc(&[], &[&framed(b"")], &[("grpc-status", "0")])
        })
    };
    for (timeout, status, seconds) in [("100m", 504, 1), ("5S", 504, 6), ("11S", 200, 11), ("1H", 200, 11)] {
        let mut operation = operation(b"");
        operation["headers"]["grpc-timeout"] = json!(timeout);
        let began = tokio::time::Instant::now();
        assert_eq!(result_of(service(), operation).await["status"], status, "{timeout}");
        assert!(began.elapsed() < Duration::from_secs(seconds), "{timeout}");
    }
    // To what is no call it means nothing.
    let mut operation = operation(b"");
    operation["headers"] = json!({"content-type": "text/plain", "grpc-timeout": "1m"});
    assert_eq!(result_of(service(), operation).await["status"], 200);
}

#[tokio::test(start_paused = true)]
async fn no_call_has_more_time_than_an_operation() {
    let layer = BatchLayer::new().grpc().operation_timeout(Duration::from_secs(1));
    let service = under(layer, |_| std::future::pending());
    let mut operation = operation(b"");
    operation["headers"]["grpc-timeout"] = json!("1H");
    let began = tokio::time::Instant::now();
    assert_eq!(result_of(service, operation).await["status"], 504);
    assert!(began.elapsed() < Duration::from_secs(2));
}

/// What the batch itself was sent with says nothing of its calls.
#[tokio::test]
async fn the_outer_call_is_not_the_inner_one() {
    let service = calling(|request: Request<Bytes>| {
        assert!(!request.headers().contains_key("grpc-timeout"));
        assert_eq!(request.headers()["grpc-metadata-tenant"], "7");
        std::future::ready(grpc(&[], &[&framed(b"")], &[("grpc-status", "0")]))
    });
    let batch = with(with(batch(json!([operation(b"")])), "grpc-timeout", "1n"), "grpc-metadata-tenant", "7");
    assert_eq!(results(&call(service, batch).await)[0]["status"], 200);
}

#[cfg(feature = "xml")]
#[tokio::test]
async fn xml_tells_how_a_call_ended() {
    let failing = answering(|| {
        let told = [("grpc-status", "5"), ("grpc-message", "no <user>"), ("grpc-status-details-bin", "CAU")];
        grpc(&[], &[], &told)
    });
    let answer = call(failing, with(batch(json!([operation(b"")])), "accept", "application/xml")).await;
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    let xml = roxmltree::Document::parse(&text).unwrap();
    let find = |name: &str| xml.descendants().find(|node| node.has_tag_name(name)).unwrap();
    assert_eq!(find("status").text(), Some("HTTP/1.1 404 Not Found"));
    assert_eq!(find("responsedescription").text(), Some("no <user>"));
    assert_eq!(find("grpc").attribute("status"), Some("5"));
    assert_eq!(find("grpc").text(), Some("CAU="));
    assert_eq!(find("grpc").attribute("message"), Some("no <user>"));
}

#[tokio::test]
async fn all_formats_tell_how_a_call_ended() {
    let failing = || answering(|| grpc(&[], &[], &[("grpc-status", "5"), ("grpc-message", "no <user>")]));
    let request = json!({"id": "1", "method": "post", "url": "/pkg.Service/Method",
        "headers": {"content-type": "application/grpc"}, "body": "CAE="});
    let answer = call(failing(), batch(json!({"requests": [request]}))).await;
    let document: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(
        json!([document["responses"][0]["status"], document["responses"][0]["body"]]),
        json!([404, "no <user>"])
    );

    let answer = call(failing(), batch_as("application/x-ndjson", operation(b"").to_string())).await;
    assert!(answer.body().starts_with(br#"{"index":0,"status":404,"#));
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(text.contains(r#""grpc":{"status":5,"message":"no <user>"}"#), "{text}");

    let part = "--b\r\nContent-Type: application/http\r\n\r\nPOST /pkg.Service/Method HTTP/1.1\r\nContent-Type: application/grpc\r\n\
                Content-Length: 2\r\n\r\n\x08\x01\r\n--b--";
    let service = calling(|request: Request<Bytes>| {
        assert_eq!(request.body(), &b"\0\0\0\0\x02\x08\x01"[..]);
        async { grpc(&[], &[], &[("grpc-status", "5"), ("grpc-message", "no <user>")]) }.boxed()
    });
    let answer = call(service, batch_as("multipart/mixed; boundary=b", part)).await;
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(text.contains("HTTP/1.1 404 Not Found\r\n") && text.contains("\r\n\r\nno <user>\r\n--"), "{text}");
}

/// grpc-web tells how it went in the body, whatever the version of HTTP.
#[tokio::test]
async fn grpc_web_is_understood() {
    let trailers = b"grpc-status:5\r\ngrpc-message:no%20user\r\n";
    let tail = [&[0x80][..], &u32::try_from(trailers.len()).unwrap().to_be_bytes(), trailers].concat();
    let web = ("content-type", "application/grpc-web+proto");
    let service = move |status: &'static [u8]| {
        let tail = if status.is_empty() { tail.clone() } else { status.to_vec() };
        calling(move |request: Request<Bytes>| {
            assert_eq!(request.body(), &b"\0\0\0\0\x02\x08\x01"[..]);
            assert_eq!(request.version(), Version::HTTP_11);
            assert!(!request.headers().contains_key("te"));
            std::future::ready(grpc(&[web], &[&framed(b"\x08\x02"), &tail], &[]))
        })
    };
    let mut operation = operation(b"\x08\x01");
    operation["headers"]["content-type"] = json!("application/grpc-web+proto");
    let result = result_of(service(b""), operation.clone()).await;
    assert_eq!(json!([result["status"], result["error"]]), json!([404, "no user"]));
    let result = result_of(service(b"\x80\0\0\0\x0fgrpc-status: 0\n"), operation.clone()).await;
    assert_eq!(json!([result["status"], result["data"]]), json!([200, "CAI="]));
    let endless = [b"\x80\0\x01\0\x01grpc-status:0\r\nx:".as_slice(), &[b'x'; (64 << 10) + 1 - 17]].concat();
    let result = result_of(service(endless.leak()), operation).await;
    assert!(refused(&result, 502)["detail"].as_str().unwrap().contains("trailers"), "{result}");
}

#[tokio::test]
async fn metadata_is_headers() {
    let layer = BatchLayer::new().grpc();
    let layer = layer.allow_header("x-tenant".parse().unwrap()).result_header("x-cost".parse().unwrap());
    let service = under(layer, |request: Request<Bytes>| {
        assert_eq!(request.headers()["x-tenant"], "7");
        std::future::ready(grpc(&[("x-cost", "1")], &[&framed(b"")], &[("grpc-status", "0"), ("x-cost", "2")]))
    });
    let mut operation = operation(b"");
    operation["headers"]["x-tenant"] = json!("7");
    assert_eq!(result_of(service, operation).await["headers"]["x-cost"], json!(["1", "2"]));
}

/// What depends on a call must not run because of an answer that says nothing of how it went.
#[tokio::test]
async fn a_success_has_to_be_told() {
    let message = framed(b"a");
    for (status, headers, frames, trailers, expected) in [
        (200, &[("content-type", "text/html")][..], &b"<p>"[..], &[][..], 502),
        (200, &[("content-type", "application/grpc-web-text")], b"AAAAAAA=", &[("grpc-status", "0")], 502),
        (200, &[("content-type", "text/html")], &message, &[("grpc-status", "0")], 502),
        (401, &[("content-type", "text/html")], b"", &[("grpc-status", "5")], 401),
        (201, &[], &message, &[], 502),
        (204, &[], b"", &[], 502),
        (204, &[("grpc-status", "5")], b"", &[], 404),
        (302, &[("content-type", "text/html")], b"", &[], 302),
        (401, &[("content-type", "text/html")], b"", &[], 401),
        (503, &[], b"", &[], 503),
        // Only grpc-web has trailers in its body.
        (200, &[], b"\0\0\0\0\x01a\x80\0\0\0\x0dgrpc-status:0", &[("grpc-status", "5")], 404),
        (200, &[], b"\0\0\0\0\x01a\x80\0\0\0\x0dgrpc-status:0", &[], 502),
    ] {
        let (headers, frames) = (headers.to_vec(), frames.to_vec());
        let service = answering(move || {
            let mut response = grpc(&[], &[&frames], trailers);
            for (name, value) in &headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        });
        let result = result_of(service, operation(b"")).await;
        assert_eq!(result["status"], expected, "{status}: {result}");
    }
}

/// The limits are for what is held: neither frames nor what came before a failure are, but its text is.
#[tokio::test]
async fn what_is_kept_is_what_counts() {
    let layer = || BatchLayer::new().grpc().max_response_bytes(1000);
    let statuses = async |service: BatchService<Inner>, count: usize| {
        let answer = call(service, batch(json!(vec![operation(b""); count]))).await;
        results(&answer).iter().map(|result| result["status"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let service = under(layer(), |_| {
        std::future::ready(grpc(&[], &[&framed(&[0; 900])], &[("grpc-status", "5"), ("grpc-message", "no")]))
    });
    assert_eq!(statuses(service, 10).await, [404; 10]);
    let long = "x".repeat(400);
    let failing = move |_| std::future::ready(grpc(&[], &[], &[("grpc-status", "5"), ("grpc-message", &long)]));
    let mut found = statuses(under(layer(), failing), 4).await;
    found.sort_unstable();
    assert_eq!(found, [404, 404, 507, 507]);
}

/// Bytes that were never taken can't be given back: they would be room for others.
#[tokio::test]
async fn a_stream_has_as_much_room_after_calls_as_before() {
    let layer = BatchLayer::new().grpc().concurrency(1).max_response_bytes(10_000);
    let layer = layer.stream(tower_multistatus::Streaming::On).keep_alive(Duration::from_secs(60));
    let service = under(layer, |request: Request<Bytes>| {
        let text = "x".repeat(8000);
        std::future::ready(match request.uri().path() {
            "/pkg.Service/Method" => grpc(&[], &[], &[("grpc-status", "5"), ("grpc-message", &text)]),
            _ => grpc(&[("content-type", "text/plain")], &["x".repeat(11_000).as_bytes()], &[]),
        })
    });
    let mut operations = vec![operation(b""); 5];
    operations.push(json!({"path": "/large"}));
    let results = results(&call(service, batch(json!(operations))).await);
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [404, 404, 404, 404, 404, 507]);
}

#[tokio::test]
async fn trailers_are_metadata_and_nothing_else() {
    let layer = BatchLayer::new().grpc().result_header("x-cost".parse().unwrap());
    let service = under(layer, |_| {
        let trailers = [("grpc-status", "0"), ("content-type", "text/html"), ("set-cookie", "a=b"), ("x-cost", "2")];
        std::future::ready(grpc(&[], &[&framed(b"a")], &trailers))
    });
    let answer = call(service, batch(json!([operation(b"")]))).await;
    assert!(!answer.headers().contains_key("set-cookie"));
    let headers = results(&answer)[0]["headers"].clone();
    assert_eq!(headers, json!({"content-type": "application/grpc", "x-cost": "2"}));
}

#[tokio::test]
async fn a_failure_without_a_word_has_no_body() {
    let result = result_of(answering(|| grpc(&[], &[], &[("grpc-status", "5")])), operation(b"")).await;
    assert_eq!(result, json!({"index": 0, "status": 404, "error": "Not Found", "grpc": {"status": 5}}));
}

/// A charset doesn't make text of a message.
#[tokio::test]
async fn a_message_is_base64_in_odata_too() {
    let service = calling(|request: Request<Bytes>| {
        assert_eq!(request.body(), &b"\0\0\0\0\x02\x08\x01"[..]);
        std::future::ready(grpc(&[], &[&framed(b"")], &[("grpc-status", "0")]))
    });
    let request = json!({"id": "1", "method": "post", "url": "/pkg.Service/Method",
        "headers": {"content-type": "application/grpc; charset=utf-8"}, "body": "CAE="});
    let answer = call(service, batch(json!({"requests": [request]}))).await;
    let document: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(document["responses"][0]["status"], 200, "{document}");
}
