//! Straight under hyper, without a framework: HTTP/1.1 and HTTP/2 on a real socket, on either side of the layer.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{convert::Infallible, fmt::Debug, net::SocketAddr};

use bytes::Bytes;
use common::{Answer, Body, by_hand, gets, soon};
use http::{Method, Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_multistatus::{BatchLayer, BatchService, RequestBody, fault};

/// Serves this on a port of its own, for as long as the test lasts.
async fn serve<S, R>(service: S, server: auto::Builder<TokioExecutor>) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<R>, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (server, service) = (server.clone(), TowerToHyperService::new(service.clone()));
            tokio::spawn(async move {
                // A client that hangs up is no failure of the test's.
                let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

fn either_version() -> auto::Builder<TokioExecutor> {
    auto::Builder::new(TokioExecutor::new())
}

/// Tells what it got.
async fn mirror(request: Request<RequestBody<Incoming>>) -> Result<Response<Full<Bytes>>, BoxError> {
    let (head, body) = request.into_parts();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())));
    let seen = json!({
        "version": format!("{:?}", head.version),
        "method": head.method.as_str(),
        "uri": head.uri.to_string(),
        "headers": headers.collect::<Value>(),
        "body": std::str::from_utf8(&body.collect().await?.to_bytes())?,
    });
    Ok(Response::builder().header("content-type", "application/json").body(seen.to_string().into())?)
}

type Mirror = BoxCloneSyncService<Request<RequestBody<Incoming>>, Response<Full<Bytes>>, BoxError>;

fn mirroring(layer: BatchLayer) -> BatchService<Mirror> {
    layer.layer(BoxCloneSyncService::new(service_fn(mirror)))
}

fn post(address: SocketAddr, operations: impl std::fmt::Display) -> Request<Full<Bytes>> {
    Request::post(format!("http://{address}/batch"))
        .header("content-type", "application/json")
        .body(operations.to_string().into())
        .unwrap()
}

/// Sends on a connection of its own, by HTTP/1.1 or by HTTP/2 with prior knowledge.
async fn fetch(version: Version, request: Request<Full<Bytes>>) -> (Version, Answer) {
    let mut builder = Client::builder(TokioExecutor::new());
    let client = builder.http2_only(version == Version::HTTP_2).build_http();
    let response = soon(client.request(request)).await.unwrap();
    (response.version(), Answer::read(response).await)
}

#[tokio::test]
async fn a_batch_by_either_version() {
    let address = serve(mirroring(BatchLayer::new()), either_version()).await;
    let operations = json!([
        {"path": "/a?b=c"},
        {"method": "PUT", "path": "/d", "body": {"e": 1}},
        {"path": "/f", "headers": {"host": address.to_string(), "accept-encoding": "gzip", "te": "trailers"}},
        {"path": "/g", "headers": {"host": "elsewhere.example"}},
    ]);
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (answered, answer) = fetch(version, post(address, &operations)).await;
        assert_eq!(answered, version);
        assert_eq!(answer.statuses(), [200, 200, 200, 400]);
        for result in &answer.results()[..3] {
            assert_eq!(result["data"]["version"], "HTTP/1.1");
            assert_eq!(result["data"]["headers"]["host"], address.to_string());
        }
        // In HTTP/2 there is no other form than the whole one, and so operations have it too.
        let base = if version == Version::HTTP_2 { format!("http://{address}") } else { String::new() };
        assert_eq!(answer[0]["data"]["uri"], format!("{base}/a?b=c"));
        assert_eq!(answer[0]["data"]["headers"], json!({"host": address.to_string()}));
        assert_eq!(answer[1]["data"]["method"], "PUT");
        assert_eq!(answer[1]["data"]["body"], r#"{"e":1}"#);
        let headers = json!({"content-length": "7", "content-type": "application/json", "host": address.to_string()});
        assert_eq!(answer[1]["data"]["headers"], headers);
        assert_eq!(answer[2]["data"]["headers"], json!({"host": address.to_string()}));
    }
}

#[tokio::test]
async fn the_answer_tells_its_length() {
    let address = serve(mirroring(BatchLayer::new()), either_version()).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (_, answer) = fetch(version, post(address, gets(3))).await;
        assert_eq!(answer.headers["content-length"], answer.bytes.len().to_string());
    }
}

#[tokio::test]
async fn other_requests_go_through_by_either_version() {
    let address = serve(mirroring(BatchLayer::new()), either_version()).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut plain = post(address, "anything");
        *plain.method_mut() = Method::PUT;
        let (_, answer) = fetch(version, plain).await;
        assert_eq!(answer.json["version"], format!("{version:?}"));
        assert_eq!(answer.json["body"], "anything");
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_batch() {
    let (inner, mut calls) = by_hand();
    let stack = ServiceBuilder::new()
        .map_request(|request: Request<Incoming>| request.map(Body::new))
        .layer(BatchLayer::new().concurrency(2));
    let address = serve(stack.service(inner), either_version()).await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let batch = tokio::spawn(client.request(post(address, gets(5))));
    let running = [calls.next().await, calls.next().await];
    batch.abort();
    for call in running {
        call.dropped().await;
    }
    // The next that comes is of another batch, on the same connection.
    let another = tokio::spawn(client.request(post(address, json!([{"path": "/another"}]))));
    let call = calls.next().await;
    assert_eq!(call.target(), "/another");
    call.answer(204);
    assert_eq!(Answer::read(soon(another).await.unwrap().unwrap()).await.statuses(), [204]);
}

/// A connection whose bytes the test writes itself.
struct Raw(TcpStream);

impl Raw {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The head of a request to `/batch`, which has these lines too.
    async fn write_head(&mut self, lines: &str) {
        self.write(&format!("POST /batch HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{lines}\r\n\r\n"))
            .await;
    }

    /// A head from the other side: its status, and all of it.
    async fn read_head(&mut self) -> (u16, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(soon(self.0.read_u8()).await.unwrap().into());
        }
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_ascii_lowercase())
    }

    /// A whole answer.
    async fn read(&mut self) -> (u16, Value) {
        let (status, head) = self.read_head().await;
        let (_, length) = head.split_once("content-length: ").unwrap();
        let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
        soon(self.0.read_exact(&mut body)).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

#[tokio::test]
async fn a_batch_in_chunks() {
    let address = serve(mirroring(BatchLayer::new()), either_version()).await;
    let mut client = Raw::connect(address).await;
    client.write_head("transfer-encoding: chunked\r\ntrailer: x-sum").await;
    for piece in [r#"[{"path":"/a"},{"meth"#, r#"od":"POST","path":"/b","bo"#, r#"dy":[1,2]}]"#] {
        client.write(&format!("{:x}\r\n{piece}\r\n", piece.len())).await;
        tokio::task::yield_now().await;
    }
    client.write("0\r\nx-sum: 7\r\n\r\n").await;
    let (status, answer) = client.read().await;
    assert_eq!(status, 207);
    // The framing of the batch is none of the operations' business.
    assert_eq!(answer["results"][0]["data"]["headers"], json!({"host": "a"}));
    let headers = json!({"content-length": "5", "content-type": "application/json", "host": "a"});
    assert_eq!(answer["results"][1]["data"]["headers"], headers);
    assert_eq!(answer["results"][1]["data"]["body"], "[1,2]");
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_continue() {
    let address = serve(mirroring(BatchLayer::new()), either_version()).await;
    let mut client = Raw::connect(address).await;
    client.write_head("expect: 100-continue\r\ncontent-length: 15").await;
    assert_eq!(client.read_head().await.0, 100);
    client.write(r#"[{"path": "/"}]"#).await;
    let (status, answer) = client.read().await;
    assert_eq!(status, 207);
    assert_eq!(answer["results"][0]["data"]["headers"], json!({"host": "a"}));
}

#[tokio::test]
async fn a_client_that_waits_is_refused_before_it_sends() {
    let address = serve(mirroring(BatchLayer::new()), either_version()).await;
    for (lines, expected) in [
        ("content-length: 3000000", 413),
        ("content-length: 15\r\ncontent-encoding: gzip", 415),
        ("content-length: 15\r\naccept: image/png", 406),
    ] {
        let mut client = Raw::connect(address).await;
        client.write_head(&format!("expect: 100-continue\r\n{lines}")).await;
        assert_eq!(client.read().await.0, expected);
    }
}

#[tokio::test]
async fn a_batch_that_grows_too_large_is_refused_before_its_end() {
    let address = serve(mirroring(BatchLayer::new().max_request_bytes(1000)), either_version()).await;
    let mut client = Raw::connect(address).await;
    client.write_head("transfer-encoding: chunked").await;
    for _ in 0..2 {
        client.write(&format!("1f5\r\n{:501}\r\n", "[")).await;
    }
    let (status, problem) = client.read().await;
    assert_eq!(status, 413);
    assert_eq!(problem["status"], 413);
}

#[tokio::test]
async fn a_batch_that_says_it_is_too_large_is_refused_by_either_version() {
    let address = serve(mirroring(BatchLayer::new()), either_version()).await;
    // By HTTP/1.1 the server would hang up on what it has not read; so that client sends nothing yet (above).
    let (_, answer) = fetch(Version::HTTP_2, post(address, " ".repeat(3 << 20))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let address = serve(mirroring(BatchLayer::new().max_request_bytes(4 << 20)), either_version()).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let large = format!("{}{}", " ".repeat(3 << 20), gets(1));
        assert_eq!(fetch(version, post(address, large)).await.1.statuses(), [200]);
    }
}

#[tokio::test]
async fn a_connection_outlives_a_refusal() {
    let address = serve(mirroring(BatchLayer::new().max_operations(2)), either_version()).await;
    let (mut client, connection) =
        http1::handshake(TokioIo::new(TcpStream::connect(address).await.unwrap())).await.unwrap();
    tokio::spawn(connection);
    let refused = |name: header::HeaderName, value: &'static str| {
        let mut request = post(address, gets(1));
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    for (request, expected) in [
        (refused(header::CONTENT_TYPE, "text/plain"), 415),
        (refused(header::CONTENT_ENCODING, "gzip"), 415),
        (refused(header::ACCEPT, "image/png"), 406),
        (post(address, "no JSON"), 400),
        (post(address, gets(3)), 413),
        (post(address, gets(2)), 207),
    ] {
        client.ready().await.unwrap();
        let answer = Answer::read(soon(client.send_request(request)).await.unwrap()).await;
        assert_eq!(answer.status, expected);
    }
}

/// A gateway: operations go to another server.
fn gateway(layer: BatchLayer) -> BatchService<Client<HttpConnector, RequestBody<Full<Bytes>>>> {
    layer.with_error_status(fault::gateway).layer(Client::builder(TokioExecutor::new()).build_http())
}

async fn answer<S, R>(service: S, request: Request<Full<Bytes>>) -> Answer
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error: Debug>,
    R: http_body::Body<Data = Bytes, Error: Debug>,
{
    Answer::read(soon(service.oneshot(request)).await.unwrap()).await
}

#[tokio::test]
async fn over_a_client_each_operation_goes_to_the_upstream() {
    let upstream = serve(
        service_fn(async |request: Request<Incoming>| {
            let seen = format!("{:?} {} {}", request.version(), request.method(), request.uri());
            let body = request.into_body().collect().await?.to_bytes();
            let seen = format!("{seen} {}", String::from_utf8_lossy(&body));
            Ok::<_, BoxError>(Response::builder().header("content-type", "text/plain").body(Full::from(seen))?)
        }),
        either_version(),
    )
    .await;
    let operations = json!([
        {"path": "/a?b"},
        {"method": "PATCH", "path": "/c", "body": "text", "headers": {"content-type": "text/plain"}},
    ]);
    let mut batch = post(upstream, operations);
    // As a server would have it that was asked by HTTP/2: the upstream is spoken to in a version of the client's choice.
    *batch.version_mut() = Version::HTTP_2;
    let answer = answer(gateway(BatchLayer::new()), batch).await;
    assert_eq!(answer.data(), ["HTTP/1.1 GET /a?b ", "HTTP/1.1 PATCH /c text"]);
}

#[tokio::test]
async fn a_gateway_on_sockets_on_both_sides() {
    let upstream = serve(mirroring(BatchLayer::new().path("/never")), either_version().http1_only()).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<RequestBody<Incoming>>();
    let stack = ServiceBuilder::new().layer(BatchLayer::new()).map_request(move |mut request: Request<_>| {
        *request.uri_mut() = format!("http://{upstream}{}", request.uri().path()).parse().unwrap();
        request
    });
    let address = serve(stack.service(client), either_version()).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (_, answer) = fetch(version, post(address, gets(20))).await;
        assert_eq!(answer.statuses(), [200; 20]);
        assert_eq!(answer[19]["data"]["uri"], "/19");
        assert_eq!(answer[19]["data"]["version"], "HTTP/1.1");
    }
}

#[tokio::test]
async fn an_upstream_that_can_not_be_reached_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let answer = answer(gateway(BatchLayer::new()), post(nobody, gets(2))).await;
    assert_eq!(answer.statuses(), [502, 502]);
    assert!(!answer.text().contains("refused"), "that is for the server's log");
}

#[tokio::test]
async fn an_upstream_that_breaks_off_its_answer_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut head = [0; 1024];
        assert!(stream.read(&mut head).await? > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await
    });
    let answer = answer(gateway(BatchLayer::new()), post(upstream, gets(1))).await;
    assert_eq!(answer.statuses(), [502]);
}

#[tokio::test]
async fn a_batch_never_fails_the_service_itself() {
    let failing = BatchLayer::new().layer(service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
        Err::<Response<Full<Bytes>>, _>(BoxError::from("secret"))
    }));
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    assert_eq!(answer(failing.clone(), post(nobody, gets(2))).await.statuses(), [500, 500]);
    assert_eq!(answer(failing, post(nobody, "[")).await.status, StatusCode::BAD_REQUEST);
    let infallible = BatchLayer::new().layer(service_fn(async |_: Request<RequestBody<Full<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    assert_eq!(answer(infallible, post(nobody, gets(1))).await.statuses(), [200]);
}
