//! Formats that a user has written.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_multistatus::{
    Batch, BatchLayer, Content, Decode, DecodeContext, DecodeLines, Draft, Encode, EncodeContext, Encoder, LineDecoder,
    Order, Outcome, Rejection, Reply, RequestBody,
};

/// `METHOD TARGET BODY` in each line; a line in the answer for each.
struct Lines {
    media_type: [&'static str; 1],
    reply: Reply,
    dialect: Option<&'static str>,
}

impl Decode for Lines {
    fn media_types(&self) -> &[&'static str] {
        &self.media_type
    }

    fn reply(&self) -> Reply {
        self.reply
    }

    fn decode(&self, cx: DecodeContext<'_>, body: Bytes) -> Result<Batch, Rejection> {
        let text = std::str::from_utf8(&body).map_err(|_| Rejection::malformed("the batch is not UTF-8"))?;
        let mut batch = cx.batch("");
        if let Some(dialect) = self.dialect {
            batch.dialect(dialect);
            batch.default_order(Order::Unordered);
        }
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let mut operation = cx.operation();
            operation.method(words.next().unwrap_or_default());
            if let Some(body) = words.clone().nth(1) {
                operation.body(body.to_owned().into(), Some(HeaderValue::from_static("text/plain")));
            }
            operation.target(words.next().unwrap_or_default().to_owned().into(), "/target");
            if cx.head().headers.contains_key("x-typed") {
                operation.header("content-type", b"text/markdown");
            }
            batch.push(operation)?;
        }
        batch.finish()
    }
}

impl Encode for Lines {
    fn media_types(&self) -> &[&'static str] {
        &self.media_type
    }

    fn dialect(&self) -> Option<&'static str> {
        self.dialect
    }

    fn status(&self) -> StatusCode {
        StatusCode::ACCEPTED
    }

    fn begin(&self, cx: EncodeContext) -> Box<dyn Encoder> {
        Box::new(Written(cx, self.dialect))
    }
}

struct Written(EncodeContext, Option<&'static str>);

impl Encoder for Written {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(self.0.media_type())
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.1.unwrap_or(self.0.batch_path()).as_bytes());
    }

    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        let said = match outcome.response() {
            Ok(response) => String::from_utf8_lossy(response.body()).into_owned(),
            Err(problem) => problem.pointer().unwrap_or_default().to_owned(),
        };
        out.extend_from_slice(format!(" {}:{}:{said}", outcome.index(), outcome.status().as_u16()).as_bytes());
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b" end");
    }
}

fn lines(media_type: &'static str, reply: Reply) -> Lines {
    Lines { media_type: [media_type], reply, dialect: None }
}

/// Reads another media type, as a batch to be answered in a dialect of `text/lines`; or writes that dialect.
fn dialect(media_type: &'static str, dialect: &'static str) -> Lines {
    Lines { media_type: [media_type], reply: Reply::Prefer("text/lines"), dialect: Some(dialect) }
}

/// Says what it was sent.
async fn send(layer: BatchLayer, request: Request<Body>) -> Response<String> {
    let inner = service_fn(|request: Request<RequestBody<Body>>| async move {
        let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
        let said = format!("{} {} {content_type:?}", request.method(), request.uri());
        Ok::<_, Infallible>(Response::new(Body::from(said)))
    });
    let (head, body) = layer.layer(inner).oneshot(request).await.unwrap().into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    Response::from_parts(head, String::from_utf8(text.into()).unwrap())
}

fn request(media_type: &str, document: &'static str) -> Request<Body> {
    Request::post("/batch").header("content-type", media_type).body(Body::from(document)).unwrap()
}

#[tokio::test]
async fn a_format_of_the_users_has_the_guards_of_ours() {
    let layer = BatchLayer::new().format(lines("text/lines", Reply::Prefer("text/lines")));
    let answer = send(layer, request("text/lines", "get /a\nPOST /b some text\nGET /../x\nTRACE /c")).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (202, &"text/lines".parse().unwrap()));
    assert_eq!(
        answer.body(),
        "/batch 0:200:GET /a None 1:200:POST /b Some(\"text/plain\") 2:400:/2/target 3:400:/3/method end"
    );
}

#[tokio::test]
async fn a_header_that_is_set_after_the_body_counts_too() {
    let layer = BatchLayer::new().format(lines("text/lines", Reply::Prefer("text/lines")));
    let mut request = request("text/lines", "PUT /b text");
    request.headers_mut().insert("x-typed", HeaderValue::from_static("yes"));
    assert_eq!(send(layer, request).await.body(), "/batch 0:200:PUT /b Some(\"text/markdown\") end");
}

#[tokio::test]
async fn a_policys_refusal_points_at_the_target_as_the_format_has_it() {
    let layer = BatchLayer::new()
        .format(lines("text/lines", Reply::Prefer("text/lines")))
        .allow_targets(|_, target| target.path().starts_with("/public/"));
    assert_eq!(send(layer, request("text/lines", "GET /private")).await.body(), "/batch 0:403:/0/target end");
}

#[tokio::test]
async fn a_format_of_the_users_comes_before_ours() {
    for media_type in ["application/json", "application/vnd.acme+json"] {
        let layer = BatchLayer::new().format(lines(media_type, Reply::Prefer(media_type)));
        let answer = send(layer, request(media_type, "GET /a")).await;
        assert_eq!(answer.body(), "/batch 0:200:GET /a None end", "{media_type}");
    }
    // And ours is still there for what it doesn't accept.
    let layer = BatchLayer::new().format(lines("text/lines", Reply::Prefer("text/lines")));
    assert_eq!(send(layer, request("application/json", r#"[{"path":"/a"}]"#)).await.status(), 207);
}

#[tokio::test]
async fn accept_chooses_unless_the_format_leaves_no_choice() {
    let answered = async |reply, accept: &str| {
        let mut request = request("text/lines", "GET /a");
        request.headers_mut().insert("accept", accept.parse().unwrap());
        let answer = send(BatchLayer::new().format(lines("text/lines", reply)), request).await;
        answer.headers()["content-type"].clone()
    };
    let (prefer, always) = (Reply::Prefer("text/lines"), Reply::Always("text/lines"));
    assert_eq!(answered(prefer, "*/*").await, "text/lines");
    assert_eq!(answered(prefer, "application/json").await, "application/json");
    assert_eq!(answered(prefer, "image/png").await, "application/problem+json");
    assert_eq!(answered(always, "application/json").await, "text/lines");
    assert_eq!(answered(always, "image/png").await, "text/lines");
}

#[tokio::test]
async fn a_batch_is_answered_in_its_dialect_if_there_is_one() {
    let beginning = async |layer: BatchLayer, read_as: &'static str| {
        let layer = layer.decoder(dialect("text/loud", "loud")).decoder(dialect("text/low", "low"));
        let answer = send(layer.decoder(lines("text/lines", Reply::Prefer("text/lines"))), request(read_as, "GET /a"));
        answer.await.body().split(' ').next().unwrap().to_owned()
    };
    let plain = || lines("text/lines", Reply::Prefer("text/lines"));
    for layer in [
        BatchLayer::new().encoder(plain()).encoder(dialect("text/lines", "loud")),
        BatchLayer::new().encoder(dialect("text/lines", "loud")).encoder(plain()),
    ] {
        assert_eq!(beginning(layer.clone(), "text/lines").await, "/batch", "one for a dialect replaces no other");
        assert_eq!(beginning(layer.clone(), "text/loud").await, "loud");
        assert_eq!(beginning(layer, "text/low").await, "/batch", "nobody writes that dialect");
    }
    let layer = BatchLayer::new().encoder(dialect("text/lines", "loud"));
    assert_eq!(beginning(layer, "text/lines").await, "loud", "nobody else writes that media type");
}

#[tokio::test]
async fn a_dialect_is_asked_for_only_where_its_media_type_is_wanted() {
    let layer = BatchLayer::new().decoder(dialect("text/loud", "loud")).encoder(dialect("text/lines", "loud"));
    let answered = async |accept: &'static str| {
        let mut request = request("text/loud", "GET /a");
        request.headers_mut().insert("accept", HeaderValue::from_static(accept));
        send(layer.clone(), request).await.headers()["content-type"].clone()
    };
    assert_eq!(answered("*/*").await, "text/lines");
    assert_eq!(answered("application/json").await, "application/json");
    assert_eq!(answered("image/png").await, "application/problem+json");
}

#[tokio::test(start_paused = true)]
async fn a_format_may_have_an_order_of_its_own_unless_the_server_has_one() {
    let slow_and_fast = async |layer: BatchLayer| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::clone(&log);
        let inner = service_fn(move |request: Request<RequestBody<Body>>| {
            let ended = Arc::clone(&ended);
            async move {
                tokio::time::sleep(Duration::from_secs(u64::from(request.uri() == "/slow"))).await;
                ended.lock().unwrap().push(request.uri().to_string());
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        });
        let batch = request("text/loud", "POST /slow\nPOST /fast");
        layer.decoder(dialect("text/loud", "loud")).layer(inner).oneshot(batch).await.unwrap();
        log.lock().unwrap().join(" ")
    };
    assert_eq!(slow_and_fast(BatchLayer::new()).await, "/fast /slow");
    for order in [Order::Fenced, Order::Sequential] {
        assert_eq!(slow_and_fast(BatchLayer::new().order(order)).await, "/slow /fast");
    }
}

/// Whatever it reads: a request for `/s`, called `s`, and an operation that is made so.
struct Made(fn(&mut Draft<'_>));

impl Decode for Made {
    fn media_types(&self) -> &[&'static str] {
        &["text/lines"]
    }

    fn decode(&self, cx: DecodeContext<'_>, _: Bytes) -> Result<Batch, Rejection> {
        let (mut batch, mut source, mut made) = (cx.batch(""), cx.operation(), cx.operation());
        source.id("s");
        source.target(Bytes::from_static(b"/s"), "/target");
        batch.push(source)?;
        (self.0)(&mut made);
        batch.push(made)?;
        batch.finish()
    }
}

/// What was sent for it, or its problem.
async fn made(make: fn(&mut Draft<'_>)) -> String {
    let inner = service_fn(|request: Request<RequestBody<Body>>| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let said = format!("{} {}", head.uri, String::from_utf8_lossy(&body));
        let json = if head.uri == "/s" { r#"{"id":17}"#.to_owned() } else { serde_json::Value::from(said).to_string() };
        let response = Response::builder().header("content-type", "application/json").body(Body::from(json));
        Ok::<_, Infallible>(response.unwrap())
    });
    let answer = BatchLayer::new().decoder(Made(make)).layer(inner).oneshot(request("text/lines", "")).await.unwrap();
    let answer = answer.into_body().collect().await.unwrap().to_bytes();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let result = &answer["results"][1];
    let said = result.get("data").unwrap_or(&result["error"]["detail"]);
    said.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_format_can_use_references_as_ours_does() {
    let sent = made(|operation| {
        operation.body_reference("x", "s", "/id");
        operation.target_template("/{x}", "/target");
        operation.json_body(Bytes::from_static(br#"[{"$ref":"x"}]"#));
    });
    assert_eq!(sent.await, "/17 [17]");
    let refused = made(|operation| {
        operation.target_template("/{x}", "/target");
        operation.body_reference("x", "s", "/id");
    });
    assert_eq!(refused.await, "there is no reference `x`", "names come before what uses them");
}

#[tokio::test]
async fn a_format_can_have_conditions_and_depend_on_groups() {
    let sent = made(|operation| {
        operation.target(Bytes::from_static(b"/y"), "/target");
        operation.run_if("s", true, "/if");
    });
    assert_eq!(sent.await, "/y ");
    let left_out = made(|operation| {
        operation.target(Bytes::from_static(b"/y"), "/target");
        operation.run_if("s", false, "/if");
    });
    let detail =
        "`s` succeeded, and this operation or its group was to run only if it didn't; this one was not carried out";
    assert_eq!(left_out.await, detail);
    let refused = made(|operation| {
        operation.target(Bytes::from_static(b"/y"), "/target");
        operation.depends_on_group("s", "/after");
    });
    assert_eq!(refused.await, "no operation of the batch belongs to the group `s`");
}

/// Whatever it reads: operations of a stream, made so.
struct MadeInLines(fn(&mut Draft<'_>));

impl DecodeLines for MadeInLines {
    fn media_types(&self) -> &[&'static str] {
        &["text/lines"]
    }

    fn begin(&self, _: DecodeContext<'_>) -> Result<Box<dyn LineDecoder>, Rejection> {
        Ok(Box::new(Self(self.0)))
    }
}

impl LineDecoder for MadeInLines {
    fn line<'a>(&mut self, cx: DecodeContext<'a>, line: Bytes) -> Option<Draft<'a>> {
        let mut operation = cx.operation();
        operation.target(line, "/target");
        (self.0)(&mut operation);
        Some(operation)
    }
}

#[tokio::test]
async fn in_a_stream_there_are_neither_conditions_nor_groups() {
    type Make = fn(&mut Draft<'_>);
    let cases: [(Make, &str); 5] = [
        (|operation| operation.group("g", "/group"), "can't be a group"),
        (|operation| operation.depends_on_group("g", "/after"), "can't be a group"),
        (|operation| operation.run_if("s", true, "/if"), "can't have conditions"),
        (|operation| operation.run_if_group("g", false, "/if"), "can't have conditions"),
        (|operation| operation.body_reference("x", "s", "/id"), "can't take values"),
    ];
    for (make, word) in cases {
        let layer = BatchLayer::new().line_decoder(MadeInLines(make));
        let answer = send(layer, request("text/lines", "/a")).await;
        assert!(answer.body().contains(word), "{word}: {}", answer.body());
    }
}

#[tokio::test]
async fn what_a_format_says_last_counts() {
    let sent = made(|operation| operation.target_template("/x", "/target"));
    assert_eq!(sent.await, "/x ", "a template without names");
    let sent = made(|operation| {
        operation.body_reference("x", "s", "/id");
        operation.target_template("/{x}", "/target");
        operation.target(Bytes::from_static(b"/y"), "/target");
    });
    assert_eq!(sent.await, "/y ");
    let sent = made(|operation| {
        operation.body_reference("x", "s", "/id");
        operation.target(Bytes::from_static(b"/y"), "/target");
        operation.target_template("/{x}", "/target");
    });
    assert_eq!(sent.await, "/17 ");
    let sent = made(|operation| {
        operation.body_reference("x", "s", "/id");
        operation.target(Bytes::from_static(b"/y"), "/target");
        operation.json_body(Bytes::from_static(br#"[1,2,3,{"$ref":"x"}]"#));
        operation.json_body(Bytes::from_static(br#"{"$ref":"x"}"#));
    });
    assert_eq!(sent.await, "/y 17");
    let sent = made(|operation| {
        operation.body_reference("x", "s", "/id");
        operation.target(Bytes::from_static(b"/y"), "/target");
        operation.json_body(Bytes::from_static(br#"[1,2,3,{"$ref":"x"}]"#));
        operation.body(Bytes::from_static(b"text"), None);
    });
    assert_eq!(sent.await, "/y text");
}

/// Of each outcome, what there is of it to be shown.
struct Contents;

impl Encode for Contents {
    fn media_types(&self) -> &[&'static str] {
        &["text/contents"]
    }

    fn begin(&self, _cx: EncodeContext) -> Box<dyn Encoder> {
        Box::new(Self)
    }
}

impl Encoder for Contents {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static("text/contents")
    }

    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        let content = outcome.content();
        assert_eq!(content.as_str().is_none(), matches!(content, Content::Bytes(_)));
        out.extend_from_slice(format!("{content:?}\n").as_bytes());
    }
}

#[tokio::test]
async fn an_outcome_tells_what_there_is_to_show() {
    let echo = service_fn(|request: Request<RequestBody<Body>>| async move {
        let (head, body) = request.into_parts();
        let mut response = Response::new(body);
        if let Some(content_type) = head.headers.get(header::CONTENT_TYPE) {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
        }
        Ok::<_, Infallible>(response)
    });
    let service = BatchLayer::new().max_operations(1).encoder(Contents).layer(echo);
    for (content_type, body, expected) in [
        (None, &b""[..], "Empty"),
        (Some("text/plain"), b"", "Empty"),
        (Some("application/json"), b" {\"a\":\n1}", r#"Json(" {\"a\":\n1}")"#),
        (Some("application/hal+json; x=y"), b"\"abc\"", r#"Json("\"abc\"")"#),
        (Some("application/hal+json"), b"abc", "Bytes([97, 98, 99])"),
        (Some("application/json"), b"1e400", "Bytes([49, 101, 52, 48, 48])"),
        (Some("text/plain"), b"\"abc\"", r#"Text("\"abc\"")"#),
        (Some("text/plain"), b"\xff", "Bytes([255])"),
        (Some("text/plain; charset=latin1"), b"a", "Bytes([97])"),
        (Some("image/png"), b"a", "Bytes([97])"),
        (None, b"a", "Bytes([97])"),
    ] {
        let headers =
            content_type.map(|value| format!(r#""headers":{{"content-type":"{value}"}},"#)).unwrap_or_default();
        let body = STANDARD.encode(body);
        let document = format!(r#"[{{"path":"/",{headers}"body":"{body}","encoding":"base64"}}]"#);
        let batch =
            Request::post("/batch").header("content-type", "application/json").header("accept", "text/contents");
        let answer = service.clone().oneshot(batch.body(Body::from(document)).unwrap()).await.unwrap();
        let said = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(said, format!("{expected}\n"), "{content_type:?}");
    }
    let answer = send(BatchLayer::new().encoder(Contents), with_accept(request("application/json", "[{}]"))).await;
    let problem = r#"Json("{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400"#;
    assert!(answer.body().starts_with(problem), "{}", answer.body());
}

fn with_accept(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/contents"));
    request
}
