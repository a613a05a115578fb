//! The layers of tower-http on either side: outside they see one request, inside they see each operation.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, response::Redirect, routing::get};
use common::{Answer, Body, get as plain, gets, post, request, request_with, send, soon};
use futures_util::stream;
use http::{HeaderName, Request, Response, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::CorsLayer,
    decompression::{DecompressionLayer, RequestDecompressionLayer},
    follow_redirect::FollowRedirectLayer,
    limit::RequestBodyLimitLayer,
    normalize_path::NormalizePathLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    timeout::TimeoutLayer,
    trace::{OnRequest, TraceLayer},
    validate_request::ValidateRequestHeaderLayer,
};
use tower_multistatus::{BatchLayer, axum::RouterExt};
use tracing::Span;

/// Tells the length of what it gets, at any path.
fn api() -> Router {
    Router::new().fallback(async |body: String| format!("{} bytes", body.len()))
}

fn header(mut request: Request<Body>, name: HeaderName, value: &'static str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

/// A POST operation with a text of this many bytes.
fn upload(bytes: usize) -> Value {
    json!({"method": "POST", "path": "/", "headers": {"content-type": "text/plain"}, "body": "x".repeat(bytes)})
}

#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn take(&self) -> usize {
        self.0.swap(0, Relaxed)
    }
}

impl<B> OnRequest<B> for Count {
    fn on_request(&mut self, _: &Request<B>, _: &Span) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[tokio::test]
async fn trace() {
    let seen = Count::default();
    let counting = || TraceLayer::new_for_http().on_request(seen.clone());
    let inside = ServiceBuilder::new().layer(BatchLayer::new()).layer(counting()).service(api());
    assert_eq!(post(inside, gets(3)).await.statuses(), [200; 3]);
    assert_eq!(seen.take(), 3);
    let outside = ServiceBuilder::new().layer(counting()).layer(BatchLayer::new()).service(api());
    assert_eq!(post(outside, gets(3)).await.statuses(), [200; 3]);
    assert_eq!(seen.take(), 1);
}

#[tokio::test(start_paused = true)]
async fn timeout() {
    let layer = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1));
    let api = api().route("/0", get(std::future::pending::<()>));
    let inside = ServiceBuilder::new().layer(BatchLayer::new()).layer(layer).service(api.clone());
    assert_eq!(soon(post(inside, gets(2))).await.statuses(), [408, 200]);
    let outside = api.batch(BatchLayer::new()).layer(layer);
    assert_eq!(soon(post(outside.clone(), gets(2))).await.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(post(outside, json!([{"path": "/1"}])).await.statuses(), [200]);
}

#[tokio::test]
async fn compression_outside_compresses_the_answer() {
    let service = ServiceBuilder::new().layer(CompressionLayer::new()).layer(BatchLayer::new()).service(api());
    let batch = || request(gets(50));
    let identity = send(service.clone(), batch()).await;
    assert_eq!(identity.headers.get("content-encoding"), None);
    let compressed = send(service.clone(), header(batch(), header::ACCEPT_ENCODING, "gzip")).await;
    assert_eq!(compressed.status, StatusCode::MULTI_STATUS);
    assert_eq!(compressed.headers["content-encoding"], "gzip");
    assert_eq!(compressed.bytes[..2], [0x1f, 0x8b]);
    let client = ServiceBuilder::new().layer(DecompressionLayer::new()).service(service);
    assert_eq!(send(client, batch()).await.bytes, identity.bytes);
}

#[tokio::test]
async fn compression_inside_leaves_operations_readable() {
    let api = Router::new().fallback(async || "long ".repeat(100));
    let service = ServiceBuilder::new().layer(BatchLayer::new()).layer(CompressionLayer::new()).service(api);
    let operations = json!([{"path": "/"}, {"path": "/", "headers": {"accept-encoding": "gzip"}}]);
    let answer = send(service.clone(), header(request(operations), header::ACCEPT_ENCODING, "gzip, br")).await;
    assert_eq!(answer.data(), ["long ".repeat(100).as_str(); 2]);
    // Alone, it is compressed.
    let alone = send(service, header(plain("/"), header::ACCEPT_ENCODING, "gzip")).await;
    assert_eq!(alone.headers["content-encoding"], "gzip");
}

#[tokio::test]
async fn a_compressed_batch_needs_a_layer_outside() {
    // What the compression layer makes of the document is what a client would send.
    let document = gets(50).to_string();
    let compressing = Router::new().fallback(async move || document).layer(CompressionLayer::new());
    let compressed = send(compressing, header(plain("/"), header::ACCEPT_ENCODING, "gzip")).await;
    let batch = || header(request_with(Body::from(compressed.bytes.clone())), header::CONTENT_ENCODING, "gzip");

    let refused = send(api().batch(BatchLayer::new()), batch()).await;
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(refused.headers["accept-encoding"], "identity");
    let stack = ServiceBuilder::new().layer(RequestDecompressionLayer::new()).layer(BatchLayer::new());
    assert_eq!(send(stack.service(api()), batch()).await.statuses(), [200; 50]);
}

#[tokio::test]
async fn a_body_limit_outside_is_for_the_batch() {
    let service = ServiceBuilder::new().layer(RequestBodyLimitLayer::new(100)).layer(BatchLayer::new()).service(api());
    assert_eq!(post(service.clone(), gets(2)).await.statuses(), [200; 2]);
    // By the length that it tells, and by the one that it turns out to have.
    let told = header(request(gets(50)), header::CONTENT_LENGTH, "900");
    assert_eq!(send(service.clone(), told).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let pieces = stream::iter([Ok::<_, std::io::Error>(gets(50).to_string())]);
    let answer = send(service, request_with(Body::from_stream(pieces))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn a_body_limit_inside_is_for_each_operation() {
    let service = ServiceBuilder::new().layer(BatchLayer::new()).layer(RequestBodyLimitLayer::new(100)).service(api());
    let answer = post(service, json!([upload(100), upload(101), upload(60), upload(60)])).await;
    assert_eq!(answer.statuses(), [200, 413, 200, 200]);
    assert_eq!(answer[0]["data"], "100 bytes");
}

fn preflight() -> Request<Body> {
    let request = Request::options("/batch").header("origin", "https://app.example");
    request.header("access-control-request-method", "POST").body(Body::empty()).unwrap()
}

fn from_the_app(operations: Value) -> Request<Body> {
    header(request(operations), header::ORIGIN, "https://app.example")
}

#[tokio::test]
async fn cors_outside_is_for_the_batch() {
    let never = Router::new().fallback(async || -> () { panic!("a preflight goes no further") });
    let app = never.batch(BatchLayer::new()).layer(CorsLayer::permissive());
    let answer = send(app, preflight()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["access-control-allow-methods"], "*");
    let app = api().batch(BatchLayer::new()).layer(CorsLayer::permissive());
    let answer = send(app, from_the_app(gets(2))).await;
    assert_eq!(answer.statuses(), [200; 2]);
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn cors_inside_sees_the_preflight_and_each_operation() {
    let service = ServiceBuilder::new()
        .layer(BatchLayer::new().result_header(header::ACCESS_CONTROL_ALLOW_ORIGIN))
        .layer(CorsLayer::permissive())
        .service(api());
    let answer = send(service.clone(), preflight()).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    let answer = send(service, from_the_app(gets(2))).await;
    assert_eq!(answer[1]["headers"]["access-control-allow-origin"], "*");
    // A browser that may not read the answer is told so by that of the batch, which only a layer outside can set.
    assert_eq!(answer.headers.get("access-control-allow-origin"), None);
}

#[tokio::test]
#[allow(clippy::result_large_err, reason = "the signature of a check is tower-http's")]
async fn a_bearer_token_is_checked_for_each_operation() {
    let checked = Count::default();
    let counted = checked.clone();
    let auth = ValidateRequestHeaderLayer::custom(move |request: &mut Request<_>| {
        counted.0.fetch_add(1, Relaxed);
        match request.headers().get(header::AUTHORIZATION) {
            Some(token) if token == "Bearer secret" => Ok(()),
            _ => Err(Response::builder().status(401).header("www-authenticate", "Bearer").body(Body::empty()).unwrap()),
        }
    });
    let service = |layer| ServiceBuilder::new().layer(layer).layer(auth.clone()).service(api());
    let answer = post(service(BatchLayer::new()), gets(3)).await;
    assert_eq!(answer.statuses(), [401; 3]);
    assert_eq!(answer[0]["headers"]["www-authenticate"], "Bearer");
    assert_eq!(checked.take(), 3);

    let batch = |operations| header(request(operations), header::AUTHORIZATION, "Bearer secret");
    assert_eq!(send(service(BatchLayer::new()), batch(gets(3))).await.statuses(), [200; 3]);
    assert_eq!(checked.take(), 3);

    // No operation can be somebody else's, unless the server says so.
    let operations = json!([{"path": "/"}, {"path": "/", "headers": {"authorization": "Bearer other"}}]);
    let answer = send(service(BatchLayer::new()), batch(operations.clone())).await;
    assert_eq!(answer.statuses(), [200, 400]);
    let allowing = BatchLayer::new().allow_header(header::AUTHORIZATION);
    assert_eq!(send(service(allowing), batch(operations)).await.statuses(), [200, 401]);
}

/// Those layers outside that may have to answer by themselves need a body that can be empty.
#[tokio::test(start_paused = true)]
async fn layers_outside_of_the_bare_service() {
    let api = api().route("/0", get(std::future::pending::<()>));
    let bare = ServiceBuilder::new().layer(BatchLayer::new()).service(api);
    let cors = ServiceBuilder::new().layer(CorsLayer::permissive()).service(bare.clone());
    assert_eq!(send(cors, preflight()).await.headers["access-control-allow-origin"], "*");
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1));
    let timeout = ServiceBuilder::new().layer(timeout).service(bare.clone());
    assert_eq!(soon(post(timeout, gets(1))).await.status, StatusCode::REQUEST_TIMEOUT);
    let accept = ValidateRequestHeaderLayer::accept("application/json");
    let accept = ServiceBuilder::new().layer(accept).service(bare);
    let answer = send(accept, header(request(gets(1)), header::ACCEPT, "image/png")).await;
    assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE);
}

/// Over a client, an operation is redirected as the client's own requests are.
#[tokio::test]
async fn redirects_are_followed_inside() {
    let upstream =
        Router::new().route("/old", get(async || Redirect::permanent("/new"))).route("/new", get(async || "found"));
    let stack = ServiceBuilder::new().layer(BatchLayer::new()).layer(FollowRedirectLayer::new());
    let mut batch = request(json!([{"path": "/old"}]));
    *batch.uri_mut() = "http://api.example.com/batch".parse().unwrap();
    assert_eq!(send(stack.service(upstream), batch).await.data(), ["found"]);
}

#[tokio::test]
async fn catch_panic_inside_answers_before_the_batch_has_to() {
    let api = api().route("/0", get(async || -> () { panic!("secret") }));
    let outside = ServiceBuilder::new().layer(CatchPanicLayer::new()).layer(BatchLayer::new()).service(api.clone());
    let answer = post(outside, gets(2)).await;
    assert_eq!(answer.statuses(), [500, 200]);
    assert_eq!(answer[0]["error"]["title"], "Internal Server Error");
    let inside = ServiceBuilder::new().layer(BatchLayer::new()).layer(CatchPanicLayer::new()).service(api);
    let answer = post(inside, gets(2)).await;
    assert_eq!(answer.statuses(), [500, 200]);
    assert_eq!(answer[0]["error"], "Service panicked");
}

#[tokio::test]
async fn request_ids() {
    const ID: HeaderName = HeaderName::from_static("x-request-id");
    let layers = || {
        let set = SetRequestIdLayer::new(ID, MakeRequestUuid);
        ServiceBuilder::new().layer(set).layer(PropagateRequestIdLayer::new(ID))
    };
    let ids = |answer: &Answer| -> Vec<_> {
        answer.results().iter().map(|result| result["headers"]["x-request-id"].as_str().unwrap().to_owned()).collect()
    };
    // Made inside, each operation has its own.
    let batch = || BatchLayer::new().result_header(ID);
    let inside = ServiceBuilder::new().layer(batch()).layer(layers()).service(api());
    let answer = post(inside, gets(2)).await;
    assert_ne!(ids(&answer)[0], ids(&answer)[1]);
    // Made outside, it is the batch's, and so that of all its operations.
    let both = ServiceBuilder::new().layer(layers()).layer(batch()).layer(layers()).service(api());
    let answer = post(both, gets(2)).await;
    assert_eq!(ids(&answer), [answer.headers[ID].to_str().unwrap(); 2]);
}

#[tokio::test]
async fn normalized_paths() {
    let api = Router::new().route("/users", get(async || "users"));
    let operations = json!([{"path": "/users"}, {"path": "/users/"}]);
    let with_slash = || {
        let mut batch = request(&operations);
        *batch.uri_mut() = "/batch/".parse().unwrap();
        batch
    };
    let normalize = NormalizePathLayer::trim_trailing_slash;
    let outside = ServiceBuilder::new().layer(normalize()).layer(BatchLayer::new()).service(api.clone());
    assert_eq!(send(outside, with_slash()).await.statuses(), [200, 404]);
    let inside = ServiceBuilder::new().layer(BatchLayer::new()).layer(normalize()).service(api);
    assert_eq!(send(inside.clone(), with_slash()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(post(inside, operations.clone()).await.statuses(), [200, 200]);
}
