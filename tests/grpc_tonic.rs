//! Calls of tonic's services in a batch: over HTTP/1.1 and HTTP/2, behind an interceptor, of the health service, and with
//! grpc-web inside.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::net::SocketAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tonic::{
    Response, Status,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::health_reporter};
use tower_multistatus::BatchLayer;
use users::{
    GetUserRequest, User,
    users_server::{Users, UsersServer},
};

#[allow(unreachable_pub, dead_code, reason = "generated for a module of a library")]
#[path = "../examples/tonic/users.rs"]
mod users;

struct Directory;

#[tonic::async_trait]
impl Users for Directory {
    async fn get_user(&self, request: tonic::Request<GetUserRequest>) -> Result<Response<User>, Status> {
        match request.into_inner().id {
            1 => Ok(Response::new(User { id: 1, name: "Ada".into() })),
            2 => Err(Status::with_details(
                tonic::Code::ResourceExhausted,
                "too many \"Adas\"",
                Bytes::from_static(b"\x08\x08"),
            )),
            3 => panic!("as it was told"),
            id => Err(Status::not_found(format!("there is no user {id}"))),
        }
    }
}

/// Lets in who says the word.
fn check(request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
    match request.metadata().get("authorization") {
        Some(word) if word == "Bearer sesame" => Ok(request),
        _ => Err(Status::unauthenticated("say the word")),
    }
}

/// A server of both, with a batch endpoint.
async fn start(web: bool) -> SocketAddr {
    let (reporter, health) = health_reporter();
    reporter.set_service_status("pkg.Up", ServingStatus::Serving).await;
    let users = UsersServer::with_interceptor(Directory, check);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = TcpIncoming::from(listener);
    let server = Server::builder().accept_http1(true).layer(BatchLayer::new().grpc());
    if web {
        let mut server = server.layer(tonic_web::GrpcWebLayer::new());
        tokio::spawn(server.add_service(users).add_service(health).serve_with_incoming(incoming));
    } else {
        let mut server = server;
        tokio::spawn(server.add_service(users).add_service(health).serve_with_incoming(incoming));
    }
    address
}

fn call(path: &str, message: &impl Message) -> Value {
    json!({
        "method": "POST",
        "path": path,
        "headers": {"content-type": "application/grpc"},
        "body": STANDARD.encode(message.encode_to_vec()),
    })
}

fn get_user(id: u64) -> Value {
    call("/users.v1.Users/GetUser", &GetUserRequest { id })
}

/// Sends these as a batch, and gives back the results.
async fn send(address: SocketAddr, version: Version, operations: Value) -> Vec<Value> {
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).http2_only(version == Version::HTTP_2).build_http();
    let request = Request::post(format!("http://{address}/batch")).header("content-type", "application/json");
    let request = request.header("authorization", "Bearer sesame").version(version);
    let answer = client.request(request.body(operations.to_string().into()).unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (207, version));
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let mut document: Value = serde_json::from_slice(&body).unwrap();
    let Value::Array(results) = document["results"].take() else { panic!("{document}") };
    results
}

fn message<M: Message + Default>(result: &Value) -> M {
    assert_eq!([&result["status"], &result["grpc"]], [&json!(200), &json!({"status": 0})], "{result}");
    let data = result["data"].as_str().unwrap_or_default();
    M::decode(&*STANDARD.decode(data).unwrap()).unwrap()
}

#[derive(Clone, PartialEq, Message)]
struct HealthRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[tokio::test]
async fn outcomes_of_calls_are_outcomes_of_operations() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let address = start(false).await;
        let health =
            |service: &str| call("/grpc.health.v1.Health/Check", &HealthRequest { service: service.to_owned() });
        let operations = json!([
            get_user(1),
            get_user(2),
            get_user(3),
            get_user(99),
            health(""),
            health("pkg.Up"),
            health("pkg.Nowhere"),
            call("/users.v1.Users/Nothing", &GetUserRequest { id: 1 }),
            call("/nobody.v1.Nothing/Nothing", &GetUserRequest { id: 1 }),
            call("/grpc.health.v1.Health/Watch", &HealthRequest::default()),
        ]);
        // `Watch` streams without end, so its time has to.
        let mut operations = operations;
        operations[9]["headers"]["grpc-timeout"] = json!("200m");
        let results = send(address, version, operations).await;
        let statuses: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [200, 429, 500, 404, 200, 200, 404, 501, 501, 504], "{results:#?}");
        assert_eq!(message::<User>(&results[0]), User { id: 1, name: "Ada".into() });
        let details = json!({"status": 8, "message": "too many \"Adas\"", "details": "CAg="});
        assert_eq!([&results[1]["grpc"], &results[1]["error"]], [&details, &json!("too many \"Adas\"")]);
        assert_eq!(results[2].get("grpc"), None);
        assert_eq!(results[3]["grpc"], json!({"status": 5, "message": "there is no user 99"}));
        for up in &results[4..6] {
            assert_eq!(message::<HealthResponse>(up).status, 1);
        }
        assert_eq!(results[7]["grpc"]["status"], 12);
    }
}

#[tokio::test]
async fn an_interceptor_sees_each_call() {
    let address = start(false).await;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::post(format!("http://{address}/batch")).header("content-type", "application/json");
    let answer = client.request(request.body(json!([get_user(1)]).to_string().into()).unwrap()).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let document: Value = serde_json::from_slice(&body).unwrap();
    let result = &document["results"][0];
    assert_eq!(result["status"], 401);
    assert_eq!(result["grpc"], json!({"status": 16, "message": "say the word"}));
}

#[tokio::test]
async fn grpc_web_inside() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let address = start(true).await;
        let web = |mut operation: Value| {
            operation["headers"]["content-type"] = json!("application/grpc-web+proto");
            operation
        };
        // tonic-web would answer in its text form, where no status is to be seen.
        let mut text = web(get_user(99));
        text["headers"]["accept"] = json!("application/grpc-web-text");
        let results = send(address, version, json!([get_user(1), web(get_user(1)), web(get_user(99)), text])).await;
        assert_eq!(message::<User>(&results[0]), message::<User>(&results[1]));
        assert_eq!(results[2]["status"], 404);
        assert_eq!(results[2]["grpc"], json!({"status": 5, "message": "there is no user 99"}));
        assert_eq!([&results[3]["status"], &results[3]["grpc"]], [&results[2]["status"], &results[2]["grpc"]]);
    }
}

/// As axum users have it: a router of services, with plain routes beside them.
#[tokio::test]
async fn routes_beside_plain_ones() {
    use tower_multistatus::axum::RouterExt;

    let routes = Routes::new(UsersServer::with_interceptor(Directory, check)).prepare();
    let router = routes.into_axum_router().route("/plain", axum::routing::get(async || "plain"));
    let app = router.batch(BatchLayer::new().grpc());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    let operations = json!([get_user(1), {"path": "/plain"}, get_user(99), {"path": "/nowhere"}]);
    let results = send(address, Version::HTTP_11, operations).await;
    assert_eq!(message::<User>(&results[0]).name, "Ada");
    assert_eq!(results[1]["data"], "plain");
    assert_eq!(results[2]["status"], 404);
    // tonic's router answers what it doesn't know as a gRPC server would: with a status that only its clients see.
    assert_eq!(results[3]["status"], 200);
}
