//! Under axum: what operations see of a `Router`, where the layer belongs, and that all else goes through untouched.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use axum::{
    Extension, Json, Router,
    extract::{ConnectInfo, OriginalUri, Path, Query, State},
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{any, get, post as on_post},
};
use bytes::Bytes;
use common::{Answer, Body, post, request, send, serve, soon};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_http::trace::TraceLayer;
use tower_multistatus::{BatchContext, BatchLayer, axum::RouterExt};

fn users() -> Router {
    Router::new().route("/users/{id}", get(async |Path(id): Path<u32>| Json(json!({"id": id})))).route(
        "/users",
        on_post(async |Json(user): Json<Value>| (StatusCode::CREATED, [("location", "/users/1")], Json(user))),
    )
}

/// The two ways to mount the layer right.
fn both(api: &Router, layer: &BatchLayer) -> [Router; 2] {
    let bare = ServiceBuilder::new().layer(layer.clone()).service(api.clone());
    [api.clone().batch(layer.clone()), Router::new().fallback_service(bare)]
}

/// `POST`s a batch to this path.
async fn post_to(app: Router, path: &str, operations: Value) -> Answer {
    let mut request = request(operations);
    *request.uri_mut() = path.parse().unwrap();
    send(app, request).await
}

#[tokio::test]
async fn operations_are_routed() {
    let batch = json!([
        {"path": "/users/17"},
        {"path": "/users/nobody"},
        {"method": "POST", "path": "/users", "body": {"name": "Ada"}},
        {"path": "/nowhere"},
        {"method": "DELETE", "path": "/users/17"},
        {"method": "HEAD", "path": "/users/17"},
    ]);
    let [with_trait, bare] = both(&users(), &BatchLayer::new());
    let answer = post(with_trait, batch.clone()).await;
    assert_eq!(answer.statuses(), [200, 400, 201, 404, 405, 200]);
    assert_eq!(answer[0], json!({"index": 0, "status": 200, "data": {"id": 17}}));
    assert_eq!(answer[2]["data"], json!({"name": "Ada"}));
    assert_eq!(answer[2]["headers"]["location"], "/users/1");
    assert_eq!(answer[4]["headers"]["allow"], "GET,HEAD");
    assert_eq!(answer[5].get("data"), None);
    assert_eq!(post(bare, batch).await.bytes, answer.bytes);
}

#[tokio::test]
async fn a_batch_on_a_route_of_its_own() {
    let api = Router::new().route(
        "/t/{tenant}/users/{id}",
        get(async |Path((tenant, id)): Path<(String, u32)>| format!("{tenant}: {id}")),
    );
    let batch = ServiceBuilder::new().layer(BatchLayer::new().every_post()).service(api.clone().merge(users()));
    let app = api.route_service("/t/{tenant}/batch", batch);

    // The parameter of the batch's own route is not among those of an operation's.
    let operations = json!([{"path": "/t/acme/users/7"}, {"path": "/users/8"}, {"method": "POST", "path": "/users/8"}]);
    let answer = post_to(app.clone(), "/t/acme/batch", operations).await;
    assert_eq!(answer.statuses(), [200, 200, 405]);
    assert_eq!(answer[0]["data"], "acme: 7");
    assert_eq!(answer[1]["data"], json!({"id": 8}));
    // Only a POST is a batch.
    assert_eq!(send(app.clone(), common::get("/t/acme/batch")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(send(app, common::get("/t/acme/users/9")).await.text(), "acme: 9");
}

#[tokio::test]
async fn targets_are_those_that_the_wrapped_router_sees() {
    let echo = Router::new()
        .route("/echo/{*rest}", get(async |uri: Uri, OriginalUri(original): OriginalUri| format!("{uri} {original}")));
    let operations = json!([{"path": "/echo/a?b"}, {"path": "/v1/echo/a"}]);
    for api in both(&echo, &BatchLayer::new()) {
        for app in [Router::new().nest("/v1", api.clone()), Router::new().nest_service("/v1", api)] {
            let answer = post_to(app.clone(), "/v1/batch", operations.clone()).await;
            assert_eq!(answer.statuses(), [200, 404]);
            assert_eq!(answer[0]["data"], "/echo/a?b /echo/a?b");
            assert_eq!(send(app, common::get("/v1/echo/x")).await.text(), "/echo/x /v1/echo/x");
        }
    }
    let nested = Router::new().nest("/v1", echo).batch(BatchLayer::new());
    let answer = post(nested, operations).await;
    assert_eq!(answer.statuses(), [404, 200]);
    assert_eq!(answer[1]["data"], "/echo/a /v1/echo/a");
}

#[tokio::test]
async fn extractors_work_as_they_do_outside_of_a_batch() {
    let api = Router::new()
        .route("/state", get(async |State(state): State<&'static str>| state))
        .route("/query", get(async |Query(query): Query<Value>| Json(query)))
        .route("/body", any(async |body: String| body))
        .route("/headers", get(async |headers: HeaderMap| headers["host"].to_str().unwrap().to_owned()))
        .fallback(async |uri: Uri| (StatusCode::NOT_FOUND, format!("no {uri}")))
        .with_state("the state");
    let batch = json!([
        {"path": "/state"},
        {"path": "/query?a=1&b=%20"},
        {"method": "PUT", "path": "/body", "body": "text", "headers": {"content-type": "text/plain"}},
        {"path": "/headers"},
        {"path": "/else"},
    ]);
    for app in both(&api, &BatchLayer::new()) {
        let answer = post(app, batch.clone()).await;
        let data =
            [json!("the state"), json!({"a": "1", "b": " "}), json!("text"), json!("api.example.com"), Value::Null];
        assert_eq!(answer.data(), data.each_ref());
        assert_eq!(answer[4]["error"], "no /else");
    }
}

#[tokio::test]
async fn each_operation_passes_the_routers_own_layers() {
    let passed = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&passed);
    let count = from_fn(move |request, next: Next| {
        counted.fetch_add(1, Relaxed);
        next.run(request)
    });
    let inside = users()
        .route("/who", get(async |Extension(who): Extension<&'static str>| who))
        .layer(count)
        .layer(Extension("set inside"));
    for app in both(&inside, &BatchLayer::new()) {
        let app = app.layer(Extension("set outside"));
        let answer = post(app.clone(), json!([{"path": "/users/1"}, {"path": "/users/2"}, {"path": "/who"}])).await;
        assert_eq!(answer[2]["data"], "set inside");
        assert_eq!(passed.swap(0, Relaxed), 3);
        send(app, common::get("/users/1")).await;
        assert_eq!(passed.swap(0, Relaxed), 1);
    }
    // What stands outside of the batch sees one request, and nothing of it reaches the operations.
    let api =
        Router::new().route("/who", get(async |who: Option<Extension<&'static str>>| format!("{}", who.is_some())));
    let app = api.batch(BatchLayer::new()).layer(Extension("set outside"));
    assert_eq!(post(app.clone(), json!([{"path": "/who"}])).await.data(), ["false"]);
    assert_eq!(send(app, common::get("/who")).await.text(), "true");
}

#[tokio::test]
async fn a_layer_on_single_routes_says_where_it_belongs() {
    let with_another =
        ServiceBuilder::new().layer(BatchLayer::new()).layer(TraceLayer::new_for_http()).concurrency_limit(9);
    for naive in [
        users().layer(BatchLayer::new()),
        users().route("/batch", on_post(async || "never called")).layer(BatchLayer::new()),
        users().route("/batch", on_post(async || "never called").layer(BatchLayer::new())),
        users().layer(with_another),
    ] {
        let answer = post(naive.clone(), json!([{"path": "/users/1"}])).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(answer.detail().contains("router.batch(BatchLayer::new())"), "{}", answer.detail());
        assert_eq!(send(naive, common::get("/users/1")).await.text(), r#"{"id":1}"#);
    }
}

#[tokio::test]
async fn a_layer_on_a_route_that_leads_everywhere_can_be_told_so() {
    let everything = Router::new().fallback_service(users());
    let batch = json!([{"path": "/users/1"}, {"path": "/nowhere"}]);
    let refused = post(everything.clone().layer(BatchLayer::new()), batch.clone()).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    let answer = post(everything.layer(BatchLayer::new().assume_whole_service()), batch).await;
    assert_eq!(answer.statuses(), [200, 404]);
}

#[tokio::test]
async fn a_handler_can_ask_which_operation_it_is() {
    let api = Router::new()
        .route("/must", get(async |cx: BatchContext| format!("{} {:?} {:?}", cx.index(), cx.id(), cx.total())))
        .route("/may", get(async |cx: Option<BatchContext>| Json(cx.map(|cx| cx.index()))));
    for app in both(&api, &BatchLayer::new()) {
        let answer = post(app.clone(), json!([{"path": "/must", "id": "a"}, {"path": "/may"}])).await;
        assert_eq!(answer.data(), [&json!("0 Some(\"a\") Some(2)"), &json!(1)]);
        assert_eq!(send(app.clone(), common::get("/must")).await.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(send(app, common::get("/may")).await.text(), "null");
    }
}

#[tokio::test]
async fn a_batch_is_no_operation_of_another_one() {
    let inner = users().batch(BatchLayer::new());
    let on_a_route = Router::new().route_service("/other", BatchLayer::new().every_post().layer(users()));
    let app = Router::new().nest("/inner", inner).merge(on_a_route).batch(BatchLayer::new());
    let batch = |path| json!({"method": "POST", "path": path, "body": [{"path": "/users/1"}]});
    let answer = post(app.clone(), json!([batch("/inner/batch"), batch("/batch"), batch("/other")])).await;
    assert_eq!(answer.statuses(), [400; 3]);
    for result in answer.results() {
        let detail = result["error"]["detail"].as_str().unwrap();
        assert!(detail.starts_with("a batch can't be an operation of"), "{detail}");
    }
    // Each of them by itself is one.
    for path in ["/inner/batch", "/other"] {
        assert_eq!(post_to(app.clone(), path, json!([{"path": "/users/1"}])).await.statuses(), [200]);
    }
}

/// Gives back what it gets, trailers too.
async fn mirror(request: Request<Body>) -> Response {
    let seen = request.extensions().get::<&'static str>().copied().unwrap_or("nothing");
    let collected = request.into_body().collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let frames = [Frame::data(collected.to_bytes()), Frame::trailers(trailers)];
    let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
    ([("x-seen", seen)], Body::new(body)).into_response()
}

#[tokio::test]
async fn a_request_that_is_no_batch_is_untouched() {
    for app in both(&Router::new().fallback(mirror), &BatchLayer::new()) {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))]);
        let frames = [Frame::data(Bytes::from("some")), Frame::trailers(trailers.clone())];
        let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
        let mut plain = Request::put("/batch").body(Body::new(body)).unwrap();
        plain.extensions_mut().insert("an extension");
        let response = app.oneshot(plain).await.unwrap();
        assert_eq!(response.headers()["x-seen"], "an extension");
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "some");
    }
}

/// Sends this on a connection of its own; the address that it came from, and the body of the answer.
async fn exchange(address: SocketAddr, operations: Value) -> (SocketAddr, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = operations.to_string();
    let head = "POST /batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close";
    stream.write_all(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (stream.local_addr().unwrap(), serde_json::from_str(body).unwrap())
}

#[tokio::test]
async fn operations_know_where_the_batch_came_from() {
    let api = Router::new().route("/", get(async |ConnectInfo(from): ConnectInfo<SocketAddr>| from.to_string()));
    let [with_trait, bare] = both(&api, &BatchLayer::new());
    let [_, told] = both(&api, &BatchLayer::new().forward_extension::<ConnectInfo<SocketAddr>>());
    for app in [with_trait, told] {
        let (from, answer) = exchange(serve(app).await, json!([{"path": "/"}, {"path": "/"}])).await;
        assert_eq!(answer["results"][0]["data"], from.to_string());
        assert_eq!(answer["results"][1]["data"], from.to_string());
    }
    let (_, answer) = exchange(serve(bare).await, json!([{"path": "/"}])).await;
    assert_eq!(answer["results"][0]["status"], 500, "nothing is forwarded that nobody named");
}

/// Changes the protocol to one that sends back what it gets.
async fn upgrade(mut request: Request<Body>) -> Response {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
    });
    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "echo")]).into_response()
}

#[tokio::test]
async fn an_upgrade_goes_through() {
    for app in both(&Router::new().route("/echo", get(upgrade)), &BatchLayer::new()) {
        let mut stream = TcpStream::connect(serve(app).await).await.unwrap();
        let head = "GET /echo HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\n") {
            answer.push(soon(stream.read_u8()).await.unwrap().into());
        }
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        stream.write_all(b"there").await.unwrap();
        let mut back = [0; 5];
        soon(stream.read_exact(&mut back)).await.unwrap();
        assert_eq!(&back, b"there");
    }
}

#[tokio::test]
async fn an_operation_can_not_upgrade_the_batchs_connection() {
    let api = Router::new().route(
        "/",
        get(async |mut request: Request<Body>| {
            hyper::upgrade::on(&mut request).await.map_or_else(|error| error.to_string(), |_| "upgraded".into())
        }),
    );
    let (_, answer) = exchange(serve(api.batch(BatchLayer::new())).await, json!([{"path": "/"}])).await;
    assert_eq!(answer["results"][0]["data"], "no upgrade available");
}
