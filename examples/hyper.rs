//! A batch endpoint on plain hyper, over HTTP/1 and HTTP/2, with no framework: the layer wraps a function.
//!
//! ```console
//! $ cargo run --example hyper
//! $ curl -i localhost:3000/batch -H 'content-type: application/json' -d '{"operations":[
//!     {"path":"/hello/Ada"},
//!     {"method":"POST","path":"/length","headers":{"content-type":"text/plain"},"body":"twelve bytes"},
//!     {"path":"/nowhere"}]}'
//! $ curl -i --http2-prior-knowledge localhost:3000/batch -H 'content-type: application/json' -d '[{"path":"/hello/Ada"}]'
//! $ curl -i localhost:3000/hello/Ada
//! ```

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_multistatus::{BatchLayer, RequestBody};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let service = ServiceBuilder::new().layer(BatchLayer::new()).service(service_fn(handle));

    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let connection = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("connection broke: {error}");
            }
        });
    }
}

/// Its request has the body of the connection or that of an operation, and need not know which. An error ends the
/// connection of a request that came alone; in a batch it is a 500 in the operation's place.
async fn handle(request: Request<RequestBody<Incoming>>) -> Result<Response<Full<Bytes>>, BoxError> {
    let (head, body) = request.into_parts();
    match (head.method, head.uri.path()) {
        (Method::GET, path) if path.starts_with("/hello/") => {
            text(StatusCode::OK, format!("Hello, {}!", &path["/hello/".len()..]))
        }
        (Method::POST, "/length") => {
            let bytes = body.collect().await?.to_bytes();
            text(StatusCode::OK, bytes.len().to_string())
        }
        _ => text(StatusCode::NOT_FOUND, "there is nothing here".into()),
    }
}

fn text(status: StatusCode, text: String) -> Result<Response<Full<Bytes>>, BoxError> {
    Ok(Response::builder().status(status).header("content-type", "text/plain").body(text.into())?)
}
