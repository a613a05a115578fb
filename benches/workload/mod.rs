//! What all benches run: one axum app, and three ways to send it the same operations.

use std::{
    cell::LazyCell,
    convert::Infallible,
    fmt::Debug,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::Path,
    http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header},
    routing::{get, post},
};
use futures_util::{future::join_all, stream};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, StreamBody};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tower::{Layer, Service, ServiceExt};
use tower_multistatus::{BatchLayer, Order, Streaming, axum::RouterExt};

/// `GET /users/{id}` answers with 115 bytes of JSON, `POST /echo` with what it was sent.
fn api() -> Router {
    async fn user(Path(id): Path<u64>) -> Json<User> {
        Json(User {
            id,
            name: "Ada Lovelace",
            email: "ada@example.com",
            bio: "Wrote the first program for a machine, in 1843",
        })
    }
    async fn echo(body: Bytes) -> impl axum::response::IntoResponse {
        ([(header::CONTENT_TYPE, "application/json")], body)
    }
    Router::new().route("/users/{id}", get(user)).route("/echo", post(echo))
}

#[derive(Serialize)]
struct User {
    id: u64,
    name: &'static str,
    email: &'static str,
    bio: &'static str,
}

/// One kind of operation, many times over.
#[derive(Clone, Copy)]
enum Operation {
    Get,
    /// With a body of 1 KiB.
    Echo,
}

impl Operation {
    /// The parts of a request that are there before it is sent: making the rest of it is part of what a batch costs.
    fn alone(self) -> impl Fn() -> Request<Body> {
        let (method, uri) = match self {
            Self::Get => (Method::GET, Uri::from_static("/users/17")),
            Self::Echo => (Method::POST, Uri::from_static("/echo")),
        };
        let body = Bytes::from(kibibyte());
        move || {
            let mut request = Request::default();
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            if let Self::Echo = self {
                request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                *request.body_mut() = Body::from(body.clone());
            }
            request
        }
    }

    /// What stands for one in a batch.
    fn entry(self) -> String {
        match self {
            Self::Get => r#"{"path":"/users/17"}"#.to_owned(),
            Self::Echo => format!(r#"{{"method":"POST","path":"/echo","body":{}}}"#, kibibyte()),
        }
    }

    /// A batch of `n` of them.
    fn batch(self, n: usize) -> Bytes {
        format!(r#"{{"operations":[{}]}}"#, vec![self.entry(); n].join(",")).into()
    }

    /// The same as NDJSON.
    fn lines(self, n: usize) -> Bytes {
        (self.entry() + "\n").repeat(n).into()
    }
}

/// `n` GETs as OData has them, where each needs an id.
fn odata(n: usize) -> Bytes {
    let request = |index| format!(r#"{{"id":"{index}","method":"GET","url":"/users/17"}}"#);
    format!(r#"{{"requests":[{}]}}"#, (0..n).map(request).collect::<Vec<_>>().join(",")).into()
}

/// `n` GETs as a multipart, as clients of OData write it.
fn multipart(n: usize) -> Bytes {
    let part = "--batch\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
                GET /users/17 HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n";
    (part.repeat(n) + "--batch--\r\n").into()
}

/// Operations on a service that does nothing, each with an id, and with what `links` says of the one at that index.
fn linked(n: usize, links: impl Fn(usize) -> String) -> Bytes {
    let operation = |index: usize| format!(r#"{{"id":"{index}","path":"/"{}}}"#, links(index));
    format!(r#"{{"operations":[{}]}}"#, (0..n).map(operation).collect::<Vec<_>>().join(",")).into()
}

/// That an operation waits for another one.
fn depends_on(other: usize) -> String {
    format!(r#","dependsOn":["{other}"]"#)
}

fn kibibyte() -> String {
    let item = r#"{"sku":"A-1","quantity":3,"note":"as last time"}"#;
    let items = vec![item; 20].join(",");
    format!(r#"{{"lines":[{items}],"pad":"{}"}}"#, "x".repeat(1024 - 21 - items.len()))
}

/// Limits out of the way of the larger batches; nothing is switched off.
fn layer() -> BatchLayer {
    BatchLayer::new().max_operations(100_000).max_request_bytes(1 << 30).max_response_bytes(1 << 30)
}

/// POSTs side by side, too.
fn unordered() -> BatchLayer {
    layer().order(Order::Unordered)
}

/// What a good engineer writes first: 60 lines, and none of the guards.
fn naive() -> Router {
    #[derive(Deserialize)]
    struct Batch {
        operations: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        id: Option<String>,
        #[serde(default = "get_method")]
        method: String,
        path: String,
        body: Option<Box<RawValue>>,
    }
    #[derive(Serialize)]
    struct Results {
        results: Vec<Entried>,
    }
    #[derive(Serialize)]
    struct Entried {
        index: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Box<RawValue>>,
    }
    fn get_method() -> String {
        "GET".to_owned()
    }

    async fn one(api: Router, index: usize, entry: Entry) -> Entried {
        let mut request = Request::builder().method(entry.method.as_str()).uri(entry.path.as_str());
        let body = match entry.body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(String::from(Box::<str>::from(body)))
            }
            None => Body::empty(),
        };
        let failed = |status: StatusCode| Entried { index, id: None, status: status.as_u16(), data: None };
        let Ok(request) = request.body(body) else { return failed(StatusCode::BAD_REQUEST) };
        let Ok(response) = api.oneshot(request).await;
        let status = response.status().as_u16();
        let Ok(body) = response.into_body().collect().await else { return failed(StatusCode::BAD_GATEWAY) };
        let data = String::from_utf8(body.to_bytes().into()).ok().and_then(|text| RawValue::from_string(text).ok());
        Entried { index, id: entry.id, status, data }
    }

    let inner = api();
    let batch = async move |body: Bytes| {
        let batch: Batch = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
        let entries = batch.operations.into_iter().enumerate();
        let results = join_all(entries.map(|(index, entry)| one(inner.clone(), index, entry))).await;
        let body = serde_json::to_vec(&Results { results }).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok::<_, StatusCode>((StatusCode::MULTI_STATUS, [(header::CONTENT_TYPE, "application/json")], body))
    };
    api().route("/batch", post(batch)).layer(axum::extract::DefaultBodyLimit::disable())
}

fn post_batch(body: Bytes) -> Request<Body> {
    post_as("application/json", body)
}

fn post_as(media_type: &'static str, body: Bytes) -> Request<Body> {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/batch");
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    request
}

/// What a server reads at once: a frame of HTTP/2 holds so much, and hyper's buffer for HTTP/1 begins with half of it.
const FRAME: usize = 16 << 10;

/// A batch of this type, which comes in frames.
fn post_frames(media_type: &'static str, frames: impl Iterator<Item = Bytes> + Send + 'static) -> Request<Body> {
    let frames = stream::iter(frames.map(|frame| Ok::<_, Infallible>(Frame::data(frame))));
    let mut request = post_as(media_type, Bytes::new());
    *request.body_mut() = Body::new(StreamBody::new(frames));
    request
}

/// NDJSON that is there already.
fn post_lines(mut lines: Bytes) -> Request<Body> {
    let frame = move || Some(lines.split_to(lines.len().min(FRAME))).filter(|frame| !frame.is_empty());
    post_frames(NDJSON, std::iter::from_fn(frame))
}

/// What nobody has whole who sends it: each frame is made when the one before it has been read.
fn arriving(entries: impl Iterator<Item = String> + Send + 'static) -> impl Iterator<Item = Bytes> + Send + 'static {
    let mut entries = entries.fuse();
    std::iter::from_fn(move || {
        let mut frame = String::with_capacity(FRAME);
        while frame.len() < FRAME - 64 {
            let Some(entry) = entries.next() else { break };
            frame += &entry;
        }
        Some(Bytes::from(frame)).filter(|frame| !frame.is_empty())
    })
}

const NDJSON: &str = "application/x-ndjson";

/// A service that does nothing, so that what stands around it can be seen.
#[derive(Clone, Copy)]
struct Null;

impl<B> Service<Request<B>> for Null {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// Never a part of its caller, which no real service is.
    #[inline(never)]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        black_box(&request);
        ready(Ok(Response::default()))
    }
}

/// What is measured, by name; the names are those of the table in the README beside this.
pub(crate) const SCENARIOS: [&str; 24] = [
    "inner",
    "naive",
    "batch",
    "bare",
    "streamed",
    "lines",
    "odata",
    "multipart",
    "xml",
    "inner-echo",
    "naive-echo",
    "batch-echo",
    "unordered-echo",
    "streamed-unordered-echo",
    "lines-unordered-echo",
    "arriving-lines",
    "arriving-batch",
    "null",
    "pass-through",
    "apart",
    "chain",
    "chain-ahead",
    "chain-failed",
    "fan",
];

/// Does one of them, with `n` operations, `times` times.
pub(crate) async fn run(scenario: &str, n: usize, times: usize) {
    let operation = if scenario.ends_with("-echo") { Operation::Echo } else { Operation::Get };
    let alone = operation.alone();
    let (batch, lines) = (LazyCell::new(|| operation.batch(n)), LazyCell::new(|| operation.lines(n)));
    let batched = || post_batch(Bytes::clone(&batch));
    let lined = || post_lines(Bytes::clone(&lines));
    // What waits for what, and nothing else that costs much.
    let links: Option<fn(usize, usize) -> String> = match scenario {
        "apart" => Some(|_, _| String::new()),
        "chain" => Some(|index, _| if index == 0 { String::new() } else { depends_on(index - 1) }),
        "chain-ahead" => Some(|index, n| if index + 1 == n { String::new() } else { depends_on(index + 1) }),
        "chain-failed" => {
            Some(|index, _| if index == 0 { r#","body":0,"encoding":0"#.to_owned() } else { depends_on(index - 1) })
        }
        "fan" => Some(|index, _| if index == 0 { String::new() } else { depends_on(0) }),
        _ => None,
    };
    if let Some(links) = links {
        let batch = linked(n, |index| links(index, n));
        return repeat(layer().layer(Null), || post_batch(batch.clone()), times).await;
    }
    match scenario {
        "inner" | "inner-echo" => repeat(api(), alone, n * times).await,
        "naive" | "naive-echo" => repeat(naive(), batched, times).await,
        "batch" | "batch-echo" => repeat(api().batch(layer()), batched, times).await,
        "bare" => repeat(layer().layer(api()), batched, times).await,
        "streamed" => repeat(read(layer().stream(Streaming::On).layer(api())), batched, times).await,
        "lines" => repeat(read(layer().layer(api())), lined, times).await,
        "odata" => {
            let batch = odata(n);
            repeat(layer().layer(api()), || post_batch(batch.clone()), times).await;
        }
        "multipart" => {
            let batch = multipart(n);
            repeat(layer().layer(api()), || post_as("multipart/mixed; boundary=batch", batch.clone()), times).await;
        }
        "xml" => {
            let batch = || {
                let mut request = batched();
                request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/xml"));
                request
            };
            repeat(layer().layer(api()), batch, times).await;
        }
        "unordered-echo" => repeat(unordered().layer(api()), batched, times).await,
        "streamed-unordered-echo" => {
            repeat(read(unordered().stream(Streaming::On).layer(api())), batched, times).await;
        }
        "lines-unordered-echo" => repeat(read(unordered().layer(api())), lined, times).await,
        // One of GETs needn't ever be whole, and so isn't made before it is sent.
        "arriving-lines" => {
            let entry = move |_| operation.entry() + "\n";
            let lines = || post_frames(NDJSON, arriving((0..n).map(entry)));
            repeat(read(layer().layer(api())), lines, times).await;
        }
        "arriving-batch" => {
            let entry = move |index| (if index == 0 { "[" } else { "," }).to_owned() + &operation.entry();
            let batch = || post_frames("application/json", arriving((0..n).map(entry).chain(["]".to_owned()])));
            repeat(read(layer().layer(api())), batch, times).await;
        }
        "null" => repeat(Null, alone, n * times).await,
        "pass-through" => repeat(layer().layer(Null), alone, n * times).await,
        _ => panic!("no such scenario; there are {SCENARIOS:?}"),
    }
}

/// Reads each answer to its end, as it comes.
fn read<S, R>(
    service: S,
) -> impl Service<
    Request<Body>,
    Response = Response<()>,
    Error = Infallible,
    Future: Future<Output = Result<Response<()>, Infallible>>,
>
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible> + Clone,
    R: HttpBody<Error: Debug> + Unpin,
{
    tower::service_fn(move |request| {
        let mut service = service.clone();
        async move {
            let (head, mut body) = service.call(request).await?.into_parts();
            while let Some(frame) = body.frame().await {
                black_box(frame.expect("nothing panics"));
            }
            Ok(Response::from_parts(head, ()))
        }
    })
}

async fn repeat<S, R>(mut service: S, request: impl Fn() -> Request<Body>, times: usize)
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible>,
{
    for _ in 0..times {
        let Ok(service) = service.ready().await;
        let Ok(response) = service.call(request()).await;
        assert!(response.status().is_success());
        black_box(response);
    }
}
