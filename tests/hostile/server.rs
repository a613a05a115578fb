//! The server that is attacked, and what it writes down of all that reaches the service inside.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response, Version, request::Parts};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_http::{decompression::RequestDecompressionLayer, limit::RequestBodyLimitLayer};
use tower_multistatus::{BatchContext, BatchLayer, RequestBody};

use crate::recorder::{Log, Recorder};

/// What the server is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stack {
    #[default]
    Plain,
    /// It goes on answering a client that has closed its writing side.
    HalfOpen,
    /// It has transactions, and leaves it to a batch whether it is one, and whether it stops at a failure.
    Transactions,
    /// Only what is public can be reached by a batch, and what a healthy one asks for.
    Public,
    /// A layer outside decompresses requests.
    Decompressing,
    /// A layer outside reads no more of a request than 1,000 bytes.
    Limited,
}

type Service<B> = BoxCloneSyncService<Request<B>, Response<Body>, BoxError>;

pub(crate) struct Server {
    listener: TcpListener,
    service: Service<Incoming>,
    half_close: bool,
    pub(crate) record: Record,
}

impl Server {
    pub(crate) async fn new(stack: Stack) -> Self {
        let record = Record::default();
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            service: service(stack, &record),
            half_close: stack == Stack::HalfOpen,
            record,
        }
    }

    /// A client, and the connection on the server's side.
    pub(crate) async fn connect(&self) -> (TcpStream, JoinHandle<()>) {
        let (client, accepted) =
            tokio::join!(TcpStream::connect(self.listener.local_addr().unwrap()), self.listener.accept());
        let service = TowerToHyperService::new(self.service.clone());
        let mut http = http1::Builder::new();
        let connection = http.half_close(self.half_close).serve_connection(TokioIo::new(accepted.unwrap().0), service);
        // A client that hangs up, or sends what is no HTTP, is no failure of the server's.
        (client.unwrap(), tokio::spawn(connection.map(drop).boxed()))
    }
}

fn service(stack: Stack, record: &Record) -> Service<Incoming> {
    let layer = BatchLayer::new().also_path("/$batch").authority("public.example.com:8443");
    match stack {
        Stack::Plain | Stack::HalfOpen => outside(layer.layer(inside(record))),
        Stack::Transactions => {
            let coordinator = Recorder { log: record.log.clone(), ..Recorder::default() };
            outside(layer.with_coordinator(coordinator).allow_atomic().allow_on_failure().layer(inside(record)))
        }
        Stack::Public => {
            let layer =
                layer.allow_targets(|_, target| target.path().starts_with("/public/") || target.path() == "/well");
            outside(layer.layer(inside(record)))
        }
        Stack::Decompressing => {
            let stack = ServiceBuilder::new().layer(RequestDecompressionLayer::new()).layer(layer);
            outside(stack.service(inside(record)))
        }
        Stack::Limited => {
            let stack = ServiceBuilder::new().layer(RequestBodyLimitLayer::new(1000)).layer(layer);
            outside(stack.service(inside(record)))
        }
    }
}

fn outside<S, R>(service: S) -> Service<Incoming>
where
    S: tower::Service<Request<Incoming>, Response = Response<R>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    Service::new(service.map_err(Into::into).map_response(|response| response.map(Body::new)))
}

/// The service that is batched, in which there is a second batch endpoint at `/inner`.
fn inside<B>(record: &Record) -> Service<RequestBody<B>>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let record = record.clone();
    let respond = service_fn(move |request: Request<RequestBody<RequestBody<B>>>| {
        let record = record.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            record.write(&head, &body);
            Ok::<_, BoxError>(respond(&head, body))
        }
    });
    let inner = BatchLayer::new().path("/inner").layer(respond);
    Service::new(inner.map_response(|response| response.map(Body::new)))
}

fn respond(head: &Parts, body: Bytes) -> Response<Body> {
    let told = head.headers.get("content-type").cloned();
    let mut response = Response::new(Body::from(serde_json::json!(line(head, &body)).to_string()));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    match head.uri.path() {
        "/echo" => {
            *response.body_mut() = body.into();
            response.headers_mut().extend(told.map(|told| (http::header::CONTENT_TYPE, told)));
        }
        // What was created is said to be where the query says.
        "/created" => {
            *response.status_mut() = http::StatusCode::CREATED;
            let place = head.uri.query().unwrap_or_default().parse().unwrap();
            response.headers_mut().insert("location", place);
            response.headers_mut().insert("etag", http::HeaderValue::from_static("\"1\""));
        }
        "/missing" => *response.status_mut() = http::StatusCode::NOT_FOUND,
        _ => {}
    }
    response
}

/// A request in one line.
fn line(head: &Parts, body: &[u8]) -> String {
    let body: String = String::from_utf8_lossy(body).chars().take(60).collect();
    format!("{} {} {body}", head.method, head.uri).trim_end().to_owned()
}

/// One request that reached the service.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    /// What must never be, whatever is sent.
    pub(crate) fault: Option<&'static str>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Of transactions.
    pub(crate) log: Log,
}

impl Record {
    fn write(&self, head: &Parts, body: &Bytes) {
        let is_operation = head.extensions.get::<BatchContext>().is_some();
        let fault = is_operation.then(|| fault(head, body)).flatten();
        let seen = Seen { line: line(head, body), headers: head.headers.clone(), fault };
        self.seen.lock().unwrap().push(seen);
    }

    /// What has come since the last time.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// Headers about a connection, which no operation has.
const FRAMING: [&str; 12] = [
    "accept-encoding",
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-http-method",
    "x-http-method-override",
];

/// What is wrong with a request that was made of an operation, whatever that was.
fn fault(head: &Parts, body: &[u8]) -> Option<&'static str> {
    let (path, headers) = (head.uri.path(), &head.headers);
    let lengths: Vec<_> = headers.get_all("content-length").iter().map(|value| value.to_str().ok()).collect();
    let length = body.len().to_string();
    // Each decoder on its own: what one of them does is enough.
    let decoded = path.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/");
    let mut segments = decoded.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    if head.version != Version::HTTP_11 {
        Some("it is not HTTP/1.1")
    } else if !path.starts_with('/') || path.starts_with("//") {
        Some("its path may be read as an authority")
    } else if path.contains('\\') || path.to_ascii_lowercase().contains("%5c") {
        Some("its path has a backslash")
    } else if segments.any(|segment| segment == "." || segment == "..") {
        Some("its path has a dot segment")
    } else if headers.get_all("host").iter().count() != 1 {
        Some("it has not one host")
    } else if FRAMING.iter().any(|name| headers.contains_key(*name)) {
        Some("it has a header about a connection")
    } else if !(lengths.is_empty() && body.is_empty() || lengths == [Some(length.as_str())]) {
        Some("its length is not that of its body")
    } else if headers.get_all("content-type").iter().count() > 1 {
        Some("it has two content types")
    } else {
        None
    }
}
