//! A WebDAV server over a directory, with a batch endpoint at `/batch`. The README beside it has the rest.

use std::{convert::Infallible, env, io};

use bytes::Bytes;
use dav_server::{DavHandler, fakels::FakeLs, localfs::LocalFs};
use http::{HeaderName, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_multistatus::{BatchLayer, RequestBody};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Removed when this ends.
    let temporary = tempfile::tempdir()?;
    let directory = env::var_os("DIRECTORY").unwrap_or_else(|| temporary.path().into());
    let files = DavHandler::builder()
        .filesystem(LocalFs::new(directory, false, false, false))
        .locksystem(FakeLs::new())
        .build_handler();

    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    tokio::select! {
        served = serve(listener, files) => served,
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}

async fn serve(listener: TcpListener, files: DavHandler) -> Result<(), Error> {
    let layer = layer();
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(connection(stream, layer.clone(), files.clone()));
    }
}

/// What operations of WebDAV may say beside what any may (RFC 4918 §10).
fn layer() -> BatchLayer {
    let names = ["depth", "destination", "overwrite", "if", "lock-token", "timeout"];
    let layer =
        names.into_iter().fold(BatchLayer::new(), |layer, name| layer.allow_header(HeaderName::from_static(name)));
    layer.result_header(HeaderName::from_static("lock-token"))
}

async fn connection(stream: TcpStream, layer: BatchLayer, files: DavHandler) {
    let handle = move |request: Request<RequestBody<Incoming>>| handle(files.clone(), request);
    let service = TowerToHyperService::new(ServiceBuilder::new().layer(layer).service(service_fn(handle)));
    let connection = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
        eprintln!("connection broke: {error}");
    }
}

/// A file server knows one kind of body and of error; those of a batch are others.
async fn handle(
    files: DavHandler,
    request: Request<RequestBody<Incoming>>,
) -> Result<Response<impl http_body::Body<Data = Bytes, Error = io::Error>>, Infallible> {
    Ok(files.handle(request.map(|body| body.map_err(|error: BoxError| io::Error::other(error)))).await)
}
