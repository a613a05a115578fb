//! Where an answer comes from.

use std::{
    error::Error,
    fs,
    io::{self, Read},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Frame, Incoming};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower_multistatus::inspect;

use crate::options::{Options, Place};

/// Of an answer that is fetched.
const MOST_BYTES: usize = 64 << 20;

const TIME: Duration = Duration::from_secs(60);

pub(crate) async fn response(
    options: &Options,
    batch: Option<&Request<Bytes>>,
) -> Result<Response<Bytes>, Box<dyn Error>> {
    let saved = match &options.place {
        Place::Url(url) => {
            return tokio::time::timeout(TIME, fetch(options, url, batch))
                .await
                .map_err(|_| format!("{url} has not answered within {} s", TIME.as_secs()))?;
        }
        Place::File(path) => fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?,
        Place::Stdin => {
            let mut saved = Vec::new();
            io::stdin().lock().read_to_end(&mut saved)?;
            saved
        }
    };
    Ok(inspect::saved(&saved)?)
}

async fn fetch(
    options: &Options,
    url: &Uri,
    batch: Option<&Request<Bytes>>,
) -> Result<Response<Bytes>, Box<dyn Error>> {
    let mut request = batch.cloned().map(|batch| batch.map(Full::new)).unwrap_or_default();
    let method = if batch.is_some() { Method::POST } else { Method::GET };
    *request.method_mut() = options.method.clone().unwrap_or(method);
    *request.uri_mut() = url.clone();
    for (name, value) in &options.headers {
        match *name {
            // The batch's own, told by its looks, is not the last word.
            header::CONTENT_TYPE => drop(request.headers_mut().insert(name, value.clone())),
            _ => drop(request.headers_mut().append(name, value.clone())),
        }
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.map_err(|error| match error.source() {
        Some(cause) => format!("{url}: {error}: {cause}"),
        None => format!("{url}: {error}"),
    })?;
    let (head, body) = answer.into_parts();
    Ok(Response::from_parts(head, read(body).await))
}

/// What has come, also where it breaks off: that it does is what the report tells.
async fn read(body: Incoming) -> Bytes {
    let mut body = Limited::new(body, MOST_BYTES);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(_trailers)) => {}
            Err(error) => {
                eprintln!("inspect: after {} bytes: {error}", bytes.len());
                break;
            }
        }
    }
    bytes.into()
}
