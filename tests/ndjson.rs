//! NDJSON: one operation a line in, one result a line out.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use common::{
    Answer, Body, SubRequest, by_hand, gets,
    lines::{NDJSON, Reading, Write, by_pieces, get_lines, lines, results, statuses, stream_for, stream_of, told},
    request, send, soon,
};
use futures_util::stream;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_multistatus::{
    BatchContext, BatchLayer, DecodeContext, DecodeLines, Draft, Encode, EncodeContext, Encoder, LineDecoder, Order,
    Outcome, Problem, Rejection, Reply,
};

const FORMATS: &[&str] = if cfg!(feature = "xml") {
    &[NDJSON, "application/jsonl", "application/json", "application/xml", "text/xml"]
} else {
    &[NDJSON, "application/jsonl", "application/json"]
};

/// Tells what it got.
async fn mirror(request: SubRequest) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let cx = head.extensions.get::<BatchContext>().unwrap();
    let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    let seen = json!({
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "body": std::str::from_utf8(&body).unwrap(),
        "index": cx.index(),
        "id": cx.id(),
        "total": cx.total(),
    });
    Ok(Response::builder().header("content-type", "application/json").body(Body::from(seen.to_string())).unwrap())
}

fn with(mut request: Request<Body>, name: &'static str, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

async fn answer(layer: &BatchLayer, batch: Request<Body>) -> Answer {
    soon(send(layer.layer(service_fn(mirror)), batch)).await
}

/// The results of a stream, in request order.
async fn results_of(layer: &BatchLayer, body: impl Into<Body>) -> Vec<Value> {
    results(told(answer(layer, stream_of(body)).await.text())).0
}

#[tokio::test]
async fn operations_are_those_of_native_json() {
    let text = lines([
        json!({"path": "/a?b=c"}),
        json!({"id": "x", "method": "post", "url": "/b", "body": {"c": [1, null]}}),
        json!({"method": "PUT", "path": "/d", "body": "e\n", "headers": {"content-type": "text/plain"}}),
        json!({"method": "PUT", "path": "/f", "body": "Zw==", "encoding": "base64", "headers": {"content-type": "a/b"}}),
    ]);
    let answer = answer(&BatchLayer::new(), stream_of(text)).await;
    assert_eq!(answer.status, StatusCode::MULTI_STATUS);
    assert_eq!(answer.headers["content-type"], NDJSON);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!answer.headers.contains_key("content-length"));
    let results = results(told(answer.text())).0;
    let expected = [
        (None, "GET", "/a?b=c", ""),
        (Some("x"), "POST", "/b", r#"{"c":[1,null]}"#),
        (None, "PUT", "/d", "e\n"),
        (None, "PUT", "/f", "g"),
    ];
    for (index, (result, (id, method, target, body))) in results.iter().zip(expected).enumerate() {
        // How many there will be, nobody knows.
        let data =
            json!({"method": method, "target": target, "body": body, "index": index, "id": id, "total": Value::Null});
        assert_eq!(result["data"], data);
        assert_eq!(result.get("id").and_then(Value::as_str), id);
    }
}

#[tokio::test]
async fn a_fault_is_a_refusal_in_the_place_of_its_line() {
    let deep = format!(r#"{{"method":"PUT","path":"/","body":{}{}}}"#, "[".repeat(65), "]".repeat(65));
    let faults: &[(&[u8], Option<&str>, Option<&str>)] = &[
        (b"7", None, None),
        (b"null", None, None),
        (b"[{\"path\":\"/\"}]", None, None),
        (b"{\"path\":\"/\"", None, None),
        (b"{\"path\":\"/\"}{\"path\":\"/\"}", None, None),
        (b"{\"path\":\"/\"},", None, None),
        (b"{\"path\":\"/\xff\"}", None, None),
        (b"\xef\xbb\xbf{\"path\":\"/\"}", None, None),
        (b"{\"path\":\"/\"} \x0c", None, None),
        (b"{\"n\":1e999,\"path\":7}", Some("/path"), None),
        (br#"{"id":"i","path":"//evil.example"}"#, Some("/path"), Some("i")),
        (br#"{"id":"i","path":"/","path":"/"}"#, Some("/path"), Some("i")),
        (br#"{"id":7,"path":"/"}"#, Some("/id"), None),
        (br#"{"id":"i","path":"/","group":"g"}"#, Some("/group"), Some("i")),
        (br#"{"id":"i","path":"/","refs":{"x":"a#"}}"#, Some("/refs"), Some("i")),
        (br#"{"id":"i","path":"/{x}","refs":{"x":"a#"}}"#, Some("/refs"), Some("i")),
        (br#"{"id":"i","path":"/","dependsOn":["b"]}"#, Some("/dependsOn/0"), Some("i")),
        (br#"{"id":"i","path":"/","dependsOn":["a","i"]}"#, Some("/dependsOn/1"), Some("i")),
        (br#"{"id":"a","path":"/"}"#, Some("/id"), None),
        (deep.as_bytes(), Some("/body"), None),
    ];
    for &(fault, pointer, id) in faults {
        let text = [br#"{"id":"a","path":"/0"}"#, fault, br#"{"path":"/2","dependsOn":["a"]}"#].join(&b'\n');
        let results = results_of(&BatchLayer::new(), text).await;
        let fault = String::from_utf8_lossy(fault);
        assert_eq!((&results[0]["status"], &results[2]["status"]), (&json!(200), &json!(200)), "{fault}");
        assert_eq!(results[1]["status"], 400, "{fault}");
        assert_eq!(results[1].get("id").and_then(Value::as_str), id, "{fault}");
        assert_eq!(results[1]["error"].get("pointer").and_then(Value::as_str), pointer, "{fault}: {}", results[1]);
    }
}

/// Who waits for it fails with it, and who asks for its id finds it.
#[tokio::test]
async fn a_refused_operation_has_its_id_all_the_same() {
    let text = lines([
        r#"{"id":"a","path":7}"#,
        r#"{"id":"b","path":"/","dependsOn":["a"]}"#,
        r#"{"path":"/","dependsOn":["b"]}"#,
        r#"{"id":"a","path":"/"}"#,
    ]);
    for order in [Order::Fenced, Order::Sequential, Order::Unordered] {
        let results = results_of(&BatchLayer::new().order(order), text.clone()).await;
        let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [400, 424, 424, 400]);
        assert!(results[1]["error"]["detail"].as_str().unwrap().contains("`a`"));
        assert!(results[2]["error"]["detail"].as_str().unwrap().contains("`b`"));
    }
}

/// Also where the slot of the one that failed has long been sent.
#[tokio::test(start_paused = true)]
async fn what_did_not_succeed_has_its_name_when_it_is_gone() {
    let ((pieces, body), (inner, mut calls)) = (by_pieces(), by_hand());
    let mut reading = Reading::new(BatchLayer::new().layer(inner).oneshot(stream_of(body)).await.unwrap());
    pieces.line(r#"{"id":"gone","path":"/"}"#);
    assert!(reading.read_on().is_empty());
    calls.next().await.answer(409);
    assert_eq!(reading.read_on().len(), 1);
    pieces.line(r#"{"path":"/","dependsOn":["gone"]}"#);
    let told = reading.read_on();
    assert_eq!(told[0]["status"], 424);
    assert!(told[0]["error"]["detail"].as_str().unwrap().starts_with("`gone`"), "{told:?}");
    assert!(calls.begun().is_empty());
}

#[tokio::test]
async fn either_media_type_both_ways() {
    for (sent, accept, expected) in [
        (NDJSON, "", NDJSON),
        ("application/jsonl", "", NDJSON),
        ("application/jsonl", "*/*", NDJSON),
        ("Application/X-NDJSON; charset=UTF-8", "application/*", NDJSON),
        (NDJSON, "application/jsonl", "application/jsonl"),
        ("application/jsonl", "application/jsonl", "application/jsonl"),
        (NDJSON, "application/jsonl, application/x-ndjson;q=0.5", "application/jsonl"),
        (NDJSON, "application/json", "application/json"),
        ("application/jsonl", "application/json;q=0.9, */*;q=0.1", "application/json"),
        ("application/json", "application/jsonl", "application/jsonl"),
        ("application/json", "*/*", "application/json"),
        ("application/json", "", "application/json"),
    ] {
        let document = if sent == "application/json" { gets(2).to_string() } else { get_lines(2) };
        let batch = with(stream_of(document), "content-type", sent);
        let batch = if accept.is_empty() { batch } else { with(batch, "accept", accept) };
        let answer = answer(&BatchLayer::new(), batch).await;
        assert_eq!(answer.status, StatusCode::MULTI_STATUS, "{sent} {accept}");
        assert_eq!(answer.headers["content-type"], expected, "{sent} {accept}");
        let found = if expected == "application/json" {
            answer.in_request_order().statuses()
        } else {
            statuses(told(answer.text()))
        };
        assert_eq!(found, [200, 200]);
    }
}

/// The body of a batch that nobody can read is not even asked for.
#[tokio::test]
async fn what_can_not_be_read_or_answered_is_refused_before_it_is_read() {
    for (name, value, expected) in [
        ("content-type", "application/ndjson", 415),
        ("content-type", "application/x-ndjson; charset=utf-16", 415),
        ("content-encoding", "gzip", 415),
        ("accept", "image/png", 406),
        ("accept", "application/x-ndjson;q=0, application/jsonl;q=0, text/html", 406),
    ] {
        let body = Body::from_stream(stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, Infallible>>> {
            unreachable!("it was read")
        }));
        let answer = answer(&BatchLayer::new(), with(stream_of(body), name, value)).await;
        assert_eq!(answer.status, expected, "{name}: {value}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        let accepted = answer.headers.get("accept-post").map(|accepted| accepted.to_str().unwrap().to_owned());
        assert_eq!(accepted.is_some_and(|types| types.contains(NDJSON)), name == "content-type");
    }
}

/// As it was read: with its length, and in request order.
#[tokio::test(start_paused = true)]
async fn a_whole_batch_is_answered_whole_in_lines_too() {
    let inner = service_fn(async |request: SubRequest| {
        let seconds = request.uri().path()[1..].parse().unwrap();
        assert_eq!(request.extensions().get::<BatchContext>().unwrap().total(), Some(3));
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        Ok::<_, Infallible>(Response::builder().header("set-cookie", "a=b").body(Body::empty()).unwrap())
    });
    let batch = with(request(json!([{"path": "/3"}, {"path": "/1"}, {"path": "/2"}])), "accept", NDJSON);
    let response = BatchLayer::new().layer(inner).oneshot(batch).await.unwrap();
    let length = response.body().size_hint().exact();
    let answer = Answer::read(response).await;
    assert_eq!(length, Some(answer.bytes.len() as u64));
    assert_eq!(answer.headers["set-cookie"], "a=b");
    let expected = (0..3).map(|index| json!({"index": index, "status": 200}));
    let summary = json!({"summary": {"total": 3, "succeeded": 3, "failed": 0}});
    assert_eq!(told(answer.text()), expected.chain([summary]).collect::<Vec<_>>());
}

/// There is nothing that an operation may set on an answer whose head has been sent.
#[tokio::test]
async fn cookies_are_left_out_of_a_stream() {
    let inner = service_fn(async |_: SubRequest| {
        Ok::<_, Infallible>(Response::builder().header("set-cookie", "secret=b").body(Body::empty()).unwrap())
    });
    for accept in FORMATS {
        let answer = send(BatchLayer::new().layer(inner), stream_for(accept, get_lines(2))).await;
        assert!(!answer.headers.contains_key("set-cookie") && !answer.text().contains("secret"));
    }
}

#[tokio::test]
async fn a_result_is_one_line_whatever_is_in_it() {
    let bodies = [
        ("application/json", "{\r\n  \"a\": [\n1,\r2\n\n],\n\"b\": \"\\n\\r\"\n}\n"),
        ("application/hal+json", "[\n\n]"),
        ("application/json", "\n\n\"x\"\n"),
        ("application/json", "{\n\"not\": \"JSON\n\"}"),
        ("application/json", "\n"),
        ("text/plain", "one\ntwo\r\n\u{2028}\u{85}three"),
        ("image/png", "\n\r\n"),
    ];
    for streamed in [true, false] {
        for (content_type, body) in bodies {
            for status in [200, 404] {
                let inner = service_fn(move |_: SubRequest| async move {
                    let response = Response::builder().status(status).header("content-type", content_type);
                    Ok::<_, Infallible>(response.header("etag", "\"a\"").body(Body::from(body)).unwrap())
                });
                let (lines, whole) = (stream_of(get_lines(2)), with(request(gets(2)), "accept", NDJSON));
                let answer = send(BatchLayer::new().layer(inner), if streamed { lines } else { whole }).await;
                assert_eq!(answer.text().lines().count(), 3, "{body:?}");
                assert!(!answer.text().contains('\r'));
                // And what it says is what is said in a batch that is read whole.
                let expected = send(BatchLayer::new().layer(inner), request(gets(2))).await;
                assert_eq!(results(told(answer.text())).0, expected.results(), "{body:?}");
            }
        }
    }
}

/// Whatever becomes of an operation.
#[tokio::test(start_paused = true)]
async fn the_server_is_told_of_each_outcome_once() {
    for spawned in [false, true] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sees = Arc::clone(&seen);
        let layer =
            BatchLayer::new().order(Order::Unordered).max_line_bytes(60).operation_timeout(Duration::from_secs(9));
        let layer = layer.on_outcome(move |cx, status, _| {
            assert_eq!(cx.total(), None);
            sees.lock().unwrap().push((cx.index(), cx.id().map(str::to_owned), status.as_u16()));
        });
        let layer = if spawned { layer.spawn() } else { layer };
        let inner = service_fn(async |request: SubRequest| match request.uri().path() {
            "/panic" => panic!("as it was told"),
            "/error" => Err("as it was told"),
            "/hangs" => std::future::pending().await,
            _ => Ok(Response::new(Body::empty())),
        });
        let (pieces, body) = by_pieces();
        pieces.write(lines([
            r#"{"id":"a","path":"/good"}"#,
            r#"{"id":"b","path":"/panic"}"#,
            "",
            r#"{"id":"a","path":"/twice"}"#,
            "bad",
            r#"{"path":"/error"}"#,
            r#"{"path":"/after","dependsOn":["b"]}"#,
            &"long".repeat(30),
            r#"{"path":"/hangs"}"#,
        ]));
        pieces.send(Err("gone".into())).unwrap();
        let reading = Reading::new(layer.layer(inner).oneshot(stream_of(body)).await.unwrap());
        let told = statuses(reading.finish().await);
        let id = |index| [(0, "a"), (1, "b")].iter().find(|(one, _)| *one == index).map(|(_, id)| (*id).to_owned());
        let expected = [200, 500, 400, 400, 500, 424, 413, 504, 400];
        assert_eq!(told, expected.map(u64::from));
        let mut seen = seen.lock().unwrap().clone();
        seen.sort_unstable();
        let expected = expected.into_iter().enumerate().map(|(index, status)| (index, id(index), status));
        assert_eq!(seen, expected.collect::<Vec<_>>());
    }
}

/// One target a line. Some are not for anybody to read.
struct Targets;

impl DecodeLines for Targets {
    fn media_types(&self) -> &[&'static str] {
        &["text/uri-list"]
    }

    fn begin(&self, _cx: DecodeContext<'_>) -> Result<Box<dyn LineDecoder>, Rejection> {
        Ok(Box::new(Self))
    }
}

impl LineDecoder for Targets {
    fn line<'a>(&mut self, cx: DecodeContext<'a>, line: Bytes) -> Option<Draft<'a>> {
        assert_ne!(line, "panic", "as it was told");
        if line.is_empty() {
            return None;
        }
        let mut operation = cx.operation();
        if line.starts_with(b"#") {
            operation.refuse(Problem::new(StatusCode::IM_A_TEAPOT, "a comment"));
        } else {
            operation.target(line, "");
        }
        Some(operation)
    }
}

/// A target may go on on the next line, behind a backslash.
#[derive(Default)]
struct LongTargets(String);

impl DecodeLines for LongTargets {
    fn media_types(&self) -> &[&'static str] {
        &["text/uri-list"]
    }

    fn begin(&self, cx: DecodeContext<'_>) -> Result<Box<dyn LineDecoder>, Rejection> {
        match cx.head().headers.contains_key("x-wrong") {
            true => Err(Rejection::malformed("the head says already that it is wrong")),
            false => Ok(Box::<Self>::default()),
        }
    }
}

impl LineDecoder for LongTargets {
    fn line<'a>(&mut self, cx: DecodeContext<'a>, line: Bytes) -> Option<Draft<'a>> {
        let line = std::str::from_utf8(&line).unwrap();
        self.0 += line.trim_end_matches('\\');
        if line.ends_with('\\') { None } else { self.finish(cx) }
    }

    fn passed_over(&mut self) {
        self.0.clear();
    }

    fn finish<'a>(&mut self, cx: DecodeContext<'a>) -> Option<Draft<'a>> {
        let target = Some(std::mem::take(&mut self.0)).filter(|target| !target.is_empty())?;
        let mut operation = cx.operation();
        operation.target(target.into(), "");
        Some(operation)
    }
}

#[tokio::test]
async fn a_line_decoder_keeps_what_lines_have_begun_until_the_end() {
    let layer = BatchLayer::new().line_decoder(LongTargets::default()).max_line_bytes(9);
    let batch = |text: &str| with(stream_of(text.to_owned()), "content-type", "text/uri-list");
    for (text, expected) in [
        ("/a\\\n/b\n/c", &["/a/b", "/c"][..]),
        ("/a\n/b\\\n", &["/a", "/b"]),
        ("\\\n", &[]),
        ("/a\\\n/b\\", &["/a/b"]),
        // What a line that is passed over was a part of is not carried out without it.
        ("/a\\\n/0123456789\\\n/b\n/c", &["too long", "/b", "/c"]),
    ] {
        let answer = answer(&layer, batch(text)).await;
        let targets = results(told(answer.text())).0.into_iter().map(|result| match result["status"].as_u64() {
            Some(413) => json!("too long"),
            _ => result["data"]["target"].clone(),
        });
        assert_eq!(targets.collect::<Vec<_>>(), expected, "{text:?}");
    }
    let answer = answer(&layer, with(batch("/a"), "x-wrong", "1")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_line_decoder_of_a_users_own_may_refuse_and_may_panic() {
    let batch = |text: &str| with(stream_of(text.to_owned()), "content-type", "text/uri-list");
    let answer = answer(&BatchLayer::new().line_decoder(Targets), batch("/a\r\n# b\n\n//c\npanic\n/d")).await;
    assert_eq!(answer.headers["content-type"], NDJSON);
    let results = results(told(answer.text())).0;
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 418, 400, 500, 200]);
    assert_eq!(results[1]["error"]["detail"], "a comment");
    assert_eq!((&results[0]["data"]["target"], &results[4]["data"]["target"]), (&json!("/a"), &json!("/d")));
    assert!(!answer.text().contains("as it was told"));
}

/// As it does in a batch that is read whole, where nothing has begun yet; here others run.
#[tokio::test]
async fn a_policy_that_panics_takes_nothing_with_it() {
    let layer = BatchLayer::new().allow_targets(|_, target| {
        assert_ne!(target.path(), "/panic", "as it was told");
        target.path() != "/never"
    });
    let text = lines(["/a", "/panic", "/never", "/b"].map(|path| json!({"path": path})));
    let results = results_of(&layer, text).await;
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 500, 403, 200]);
}

/// Takes the place of NDJSON for who asks for it, and is written in request order.
struct Statuses;

impl Encode for Statuses {
    fn media_types(&self) -> &[&'static str] {
        &["text/plain"]
    }

    fn begin(&self, _cx: EncodeContext) -> Box<dyn Encoder> {
        Box::new(Self)
    }
}

impl Encoder for Statuses {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static("text/plain")
    }

    fn start(&mut self, _out: &mut Vec<u8>) {}

    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{} {}\n", outcome.index(), outcome.status().as_u16()).as_bytes());
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"end\n");
    }
}

/// One target a line, answered in that format whatever `Accept` says.
struct PlainTargets;

impl DecodeLines for PlainTargets {
    fn media_types(&self) -> &[&'static str] {
        &["text/plain"]
    }

    fn reply(&self) -> Reply {
        Reply::Always("text/plain")
    }

    fn begin(&self, _cx: DecodeContext<'_>) -> Result<Box<dyn LineDecoder>, Rejection> {
        Ok(Box::new(Self))
    }
}

impl LineDecoder for PlainTargets {
    fn line<'a>(&mut self, cx: DecodeContext<'a>, line: Bytes) -> Option<Draft<'a>> {
        let mut operation = cx.operation();
        operation.target(line, "");
        Some(operation)
    }
}

#[tokio::test(start_paused = true)]
async fn a_format_in_request_order_holds_back_no_more_than_the_window() {
    const MANY: usize = 300;
    let (most, running) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let begun = Arc::clone(&most);
    let inner = service_fn(move |request: SubRequest| {
        let (begun, running) = (Arc::clone(&begun), Arc::clone(&running));
        async move {
            begun.fetch_max(running.fetch_add(1, Relaxed) + 1, Relaxed);
            // The later the sooner.
            let index: u64 = request.uri().path()[1..].parse().unwrap();
            tokio::time::sleep(Duration::from_millis(1000 - index % 100)).await;
            running.fetch_sub(1, Relaxed);
            Ok::<_, Infallible>(Response::new(Body::from(vec![b'x'; 1000])))
        }
    });
    let layer = BatchLayer::new().encoder(Statuses).line_decoder(PlainTargets).stream_window(20).concurrency(100);
    let text: String = (0..MANY).map(|index| format!("/{index}\n")).collect();
    let batch = with(with(stream_of(text), "content-type", "text/plain"), "accept", "application/json");
    let answer = send(layer.layer(inner), batch).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain");
    let expected: String = (0..MANY).map(|index| format!("{index} 200\n")).collect();
    assert_eq!(answer.text(), expected + "end\n");
    assert_eq!(most.load(Relaxed), 20);
}

#[tokio::test]
async fn a_stream_stops_at_a_failure_where_the_server_does() {
    let layer = BatchLayer::new().stop_on_failure().order(Order::Sequential);
    let text = get_lines(2) + "bad\n" + &get_lines(2);
    let results = results_of(&layer, text).await;
    let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 400, 424, 424]);
}

#[tokio::test]
async fn a_stream_can_not_be_an_operation_of_a_batch() {
    let inner = BatchLayer::new().path("/inner").layer(service_fn(mirror));
    let inner = inner.map_request(|request: SubRequest| request.map(Body::new));
    let nested = json!({"method": "POST", "path": "/inner", "headers": {"content-type": NDJSON}, "body": get_lines(1)});
    let answer = send(BatchLayer::new().layer(inner), stream_of(lines([nested]))).await;
    assert_eq!(statuses(told(answer.text())), [400]);
}
