//! A batch endpoint on an axum app. Run it, and paste the line that it prints:
//!
//! ```console
//! $ cargo run --example quickstart
//! ```

use axum::{Json, Router, extract::Path, http::StatusCode, response::IntoResponse, routing};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tower_multistatus::{BatchLayer, axum::RouterExt};

const BATCH: &str = r#"{"operations":[{"path":"/users/17"},{"path":"/users/0"},{"method":"POST","path":"/users","body":{"name":"Eve"}}]}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let api = Router::new().route("/users/{id}", routing::get(user)).route("/users", routing::post(create));
    let app = api.batch(BatchLayer::new());

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    let url = format!("http://{}/batch", listener.local_addr()?);
    let server = tokio::spawn(axum::serve(listener, app).into_future());

    println!("curl -i {url} -H 'content-type: application/json' -d '{BATCH}'\n");
    let request = http::Request::post(&url).header("content-type", "application/json").body(BATCH.to_owned())?;
    let response = Client::builder(TokioExecutor::new()).build_http().request(request).await?;
    println!("{:?} {}", response.version(), response.status());
    println!("{}", String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()));
    Ok(server.await??)
}

async fn user(Path(id): Path<u32>) -> Result<Json<Value>, StatusCode> {
    if id == 17 { Ok(Json(json!({"id": id, "name": "Ada"}))) } else { Err(StatusCode::NOT_FOUND) }
}

async fn create(Json(user): Json<Value>) -> impl IntoResponse {
    (StatusCode::CREATED, [("location", "/users/18")], Json(json!({"id": 18, "name": user["name"]})))
}
