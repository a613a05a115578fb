//! What the tests share: services to put a batch layer over, and ways to send a batch and to read its answer.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{convert::Infallible, fmt::Debug};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneService};
use tower_multistatus::{BatchContext, BatchLayer, BatchService, RequestBody};

#[cfg(feature = "xml")]
pub(crate) mod multistatus;

/// The bodies that the tests send.
pub(crate) type Plain = Full<Bytes>;
/// A service of the kind that `service` makes.
pub(crate) type Inner<B> = BoxCloneService<Request<B>, Response<Plain>, Infallible>;

/// A service that answers each request by `respond`: some at once, others a little later, so that outcomes come in
/// another order than their operations.
pub(crate) fn service<B>(respond: impl Fn(Request<Bytes>) -> Response<Bytes> + Clone + Send + 'static) -> Inner<B>
where
    B: Body<Data = Bytes, Error: Debug> + Send + 'static,
{
    BoxCloneService::new(service_fn(move |request: Request<B>| {
        let respond = respond.clone();
        async move {
            for _ in 0..request.uri().path().len() % 3 {
                tokio::task::yield_now().await;
            }
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("the tests send whole bodies").to_bytes();
            Ok(respond(Request::from_parts(head, body)).map(Full::new))
        }
    }))
}

/// The same under a batch layer.
pub(crate) fn batched(
    layer: BatchLayer,
    respond: impl Fn(Request<Bytes>) -> Response<Bytes> + Clone + Send + 'static,
) -> BatchService<Inner<RequestBody<Plain>>> {
    layer.layer(service(respond))
}

/// Answers with all that it has received.
pub(crate) fn echo(request: Request<Bytes>) -> Response<Bytes> {
    let context = request.extensions().get::<BatchContext>();
    let body = std::str::from_utf8(request.body());
    json_response(
        StatusCode::OK,
        &json!({
            "method": request.method().as_str(),
            "target": request.uri().to_string(),
            "version": format!("{:?}", request.version()),
            "headers": header_lists(request.headers()),
            "body": body.map_or_else(|_| json!(request.body().as_ref()), Value::from),
            "context": context.map(|cx| json!({"index": cx.index(), "id": cx.id(), "total": cx.total()})),
        }),
    )
}

fn header_lists(headers: &HeaderMap) -> Value {
    let values = |name| headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    headers.keys().map(|name| (name.to_string(), values(name).collect::<Value>())).collect()
}

pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response<Bytes> {
    response(status, &[("content-type", "application/json")], body.to_string())
}

pub(crate) fn response(status: StatusCode, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Bytes> {
    let builder = Response::builder().status(status);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, value.as_bytes()));
    builder.body(body.into()).expect("the tests write valid headers")
}

/// A batch to `/batch`, as most clients send it.
pub(crate) fn batch(document: impl ToString) -> Request<Plain> {
    batch_as("application/json", document.to_string())
}

pub(crate) fn batch_as(content_type: &str, document: impl Into<Bytes>) -> Request<Plain> {
    let request = Request::post("/batch").header(header::HOST, "api.example.com");
    let request = request.header(header::CONTENT_TYPE, content_type);
    request.body(Full::new(document.into())).expect("the tests write valid headers")
}

/// Adds a header to a request.
pub(crate) fn with(mut request: Request<Plain>, name: &'static str, value: &str) -> Request<Plain> {
    request.headers_mut().append(name, value.parse().expect("the tests write valid headers"));
    request
}

pub(crate) async fn call<S, R>(service: S, request: Request<Plain>) -> Response<Bytes>
where
    S: Service<Request<Plain>, Response = Response<R>, Error: Debug>,
    R: Body<Data = Bytes, Error: Debug>,
{
    let (head, body) = service.oneshot(request).await.expect("a batch never fails").into_parts();
    Response::from_parts(head, body.collect().await.expect("the answer is whole").to_bytes())
}

/// For tests that are no tokio tests, as proptest's are not.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("it needs neither I/O nor threads").block_on(future)
}

/// Posts a batch, and gives back its results.
pub(crate) async fn results_of<S, R>(service: S, document: impl ToString) -> Vec<Value>
where
    S: Service<Request<Plain>, Response = Response<R>, Error: Debug>,
    R: Body<Data = Bytes, Error: Debug>,
{
    results(&call(service, batch(document)).await)
}

/// The results of a multistatus, when all that holds for any of them has been checked.
pub(crate) fn results(answer: &Response<Bytes>) -> Vec<Value> {
    assert_eq!(answer.status(), StatusCode::MULTI_STATUS, "{:?}", answer.body());
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let mut document: Value = serde_json::from_slice(answer.body()).expect("the answer is JSON");
    let Value::Array(results) = document["results"].take() else { panic!("`results` is no array") };
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index);
        let other = if status(result) < 400 { "error" } else { "data" };
        assert_eq!(result.get(other), None, "{result}");
    }
    let failed = results.iter().filter(|result| status(result) >= 400).count();
    let summary = json!({"total": results.len(), "succeeded": results.len() - failed, "failed": failed});
    assert_eq!(document, json!({"results": null, "summary": summary}));
    results
}

pub(crate) fn status(result: &Value) -> u64 {
    result["status"].as_u64().expect("`status` is a number")
}

/// Checks that an answer refuses the batch as a whole, and gives back the problem document.
pub(crate) fn refusal(answer: &Response<Bytes>, status: StatusCode) -> Value {
    assert_eq!(answer.status(), status, "{:?}", answer.body());
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let problem = serde_json::from_slice(answer.body()).expect("the answer is JSON");
    assert_problem(&problem, status.as_u16().into());
    problem
}

/// Checks that a result is a refusal of our own, and gives back the problem document.
pub(crate) fn refused(result: &Value, status: u64) -> &Value {
    assert_eq!(result["status"], status, "{result}");
    assert_problem(&result["error"], status);
    &result["error"]
}

fn assert_problem(problem: &Value, status: u64) {
    assert_eq!(problem["type"], "about:blank", "{problem}");
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
}
