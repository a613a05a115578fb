//! A batch to send, an answer to read, and an inner service in the test's own hands.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::{
    fmt::{Debug, Display},
    net::SocketAddr,
    ops::Index,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tower::{BoxError, Service, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_multistatus::RequestBody;

pub(crate) mod lines;
pub(crate) mod recorder;
pub(crate) mod stage;
pub(crate) mod ways;

/// One body for all: axum's takes any other one in.
pub(crate) use axum::body::Body;

/// What an inner service gets.
pub(crate) type SubRequest = Request<RequestBody<Body>>;

/// A request to `/batch`, which holds this document.
pub(crate) fn request(document: impl Display) -> Request<Body> {
    request_with(Body::from(document.to_string()))
}

/// A request to `/batch`, which holds this body.
pub(crate) fn request_with(body: Body) -> Request<Body> {
    Request::post("/batch")
        .header("host", "api.example.com")
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

/// A request that is no batch.
pub(crate) fn get(target: &str) -> Request<Body> {
    Request::get(target).body(Body::empty()).unwrap()
}

/// GETs of `/0`, `/1` and so on.
pub(crate) fn gets(count: usize) -> Value {
    (0..count).map(|index| json!({"path": format!("/{index}")})).collect()
}

/// Sends a batch of these operations, and reads the answer.
pub(crate) async fn post<S, R>(service: S, operations: Value) -> Answer
where
    S: Service<Request<Body>, Response = Response<R>, Error: Debug>,
    R: http_body::Body<Data = Bytes, Error: Debug>,
{
    send(service, request(operations)).await
}

/// Sends any request, and reads the answer.
pub(crate) async fn send<S, R>(service: S, request: Request<Body>) -> Answer
where
    S: Service<Request<Body>, Response = Response<R>, Error: Debug>,
    R: http_body::Body<Data = Bytes, Error: Debug>,
{
    Answer::read(service.oneshot(request).await.unwrap()).await
}

/// An answer, whole. A multistatus can be indexed by operation.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    /// `null` where the answer is not JSON.
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) async fn read<R>(response: Response<R>) -> Self
    where
        R: http_body::Body<Data = Bytes, Error: Debug>,
    {
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        Self { status: head.status, headers: head.headers, bytes, json }
    }

    /// The same with its results in request order, in which those of a streamed answer needn't be.
    pub(crate) fn in_request_order(mut self) -> Self {
        if let Some(results) = self.json["results"].as_array_mut() {
            results.sort_by_key(|result| result["index"].as_u64());
        }
        self
    }

    /// The results, of which there is one for each operation, in its place.
    pub(crate) fn results(&self) -> &[Value] {
        assert_eq!(self.status, StatusCode::MULTI_STATUS, "{self:?}");
        let results = self.json["results"].as_array().unwrap();
        assert!(results.iter().enumerate().all(|(index, result)| result["index"] == index), "{self:?}");
        results
    }

    pub(crate) fn statuses(&self) -> Vec<u64> {
        self.results().iter().map(|result| result["status"].as_u64().unwrap()).collect()
    }

    /// What the operations were answered with, by success.
    pub(crate) fn data(&self) -> Vec<&Value> {
        self.results().iter().map(|result| &result["data"]).collect()
    }

    /// What a refused batch, or one that is its own answer, says of why.
    pub(crate) fn detail(&self) -> &str {
        self.json["detail"].as_str().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }
}

impl Index<usize> for Answer {
    type Output = Value;

    fn index(&self, index: usize) -> &Value {
        &self.results()[index]
    }
}

/// The output of a future that must not wait forever. It has more time than any batch, which on a paused clock is no
/// time at all.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(120), future).await.expect("it waits forever")
}

/// Serves this on a port of its own, for as long as the test lasts.
pub(crate) async fn serve(app: axum::Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

/// An inner service whose calls the test answers.
pub(crate) fn by_hand() -> (BoxCloneSyncService<SubRequest, Response<Body>, BoxError>, Calls) {
    let (begin, begun) = mpsc::unbounded_channel();
    let service = service_fn(move |request: SubRequest| {
        let (answer, answered) = oneshot::channel();
        begin.send(Call { request, answer }).unwrap();
        async move { answered.await.unwrap_or_else(|_| Err("the test let it fall".into())) }
    });
    (BoxCloneSyncService::new(service), Calls { begun })
}

/// The calls of [`by_hand`], as they come.
#[derive(Debug)]
pub(crate) struct Calls {
    begun: mpsc::UnboundedReceiver<Call>,
}

impl Calls {
    /// The next one that begins.
    pub(crate) async fn next(&mut self) -> Call {
        self.next_or_end().await.unwrap()
    }

    /// The next one that begins; `None` once the service is gone, with all that could have called it.
    pub(crate) async fn next_or_end(&mut self) -> Option<Call> {
        soon(self.begun.recv()).await
    }

    /// Those that have begun since the last time.
    pub(crate) fn begun(&mut self) -> Vec<Call> {
        std::iter::from_fn(|| self.begun.try_recv().ok()).collect()
    }
}

#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: SubRequest,
    answer: oneshot::Sender<Result<Response<Body>, BoxError>>,
}

impl Call {
    pub(crate) fn target(&self) -> &str {
        self.request.uri().path()
    }

    pub(crate) fn answer(self, status: u16) {
        self.answer_with(Response::builder().status(status).body(Body::empty()).unwrap());
    }

    pub(crate) fn answer_with(self, response: Response<Body>) {
        self.answer.send(Ok(response)).expect("the operation was dropped");
    }

    /// Whether the operation was dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.answer.is_closed()
    }

    /// Waits until the operation is dropped.
    pub(crate) async fn dropped(mut self) {
        soon(self.answer.closed()).await;
    }
}
