//! What must hold of any batch in any format: its requests reach the service as they were, in whatever format they are
//! written again, and each way to answer tells the same outcomes. It is fuzzed, and tested over the seeds and over batches
//! of proptest's.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchContext, BatchLayer, Coordinator, RequestBody, Transaction, TransactionFuture};

use self::{media_type::MediaType, read::Told, write::Format};

#[path = "round_trip/media_type.rs"]
mod media_type;
#[path = "round_trip/multipart.rs"]
mod multipart;
#[cfg(feature = "xml")]
#[path = "multistatus.rs"]
mod multistatus;
#[path = "round_trip/read.rs"]
mod read;
#[path = "round_trip/write.rs"]
mod write;

type Plain = Full<Bytes>;

/// A request as the service has got it, without what belongs to its framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Sent {
    /// Its content type, where that is text.
    fn content_type(&self) -> Option<&str> {
        self.headers.get(header::CONTENT_TYPE)?.to_str().ok()
    }
}

/// Sends `input` as a batch, in the format that its first byte stands for, and then all that has reached the service in
/// every format. Gives back how many requests have.
pub(crate) fn check(input: &[u8]) -> usize {
    let Some((&first, document)) = input.split_first() else { return 0 };
    let (format, document) = (Format::of(first), Bytes::copy_from_slice(document));
    let exchange = |accept| exchange(format.content_type(), document.clone(), accept);
    let (answer, sent) = exchange(ACCEPTED[0]);
    let statuses = read::statuses(&answer);
    // A change set that fails has one answer for all.
    assert!(sent.len() <= statuses.len() || format == Format::Multipart);
    for accept in &ACCEPTED[1..] {
        let (other, again) = exchange(accept);
        assert_eq!(again, sent, "{accept}");
        assert_eq!(read::statuses(&other), statuses, "{accept}");
    }
    check_requests(&sent);
    sent.len()
}

/// Writes these requests in every format, and checks that each batch has them reach the service as they are, and that
/// each of its answers tells what the service has said. What a format has no words for is left out of it.
pub(crate) fn check_requests(requests: &[Sent]) {
    for format in Format::ALL {
        let requests: Vec<_> = requests.iter().filter(|request| format.has_words_for(request)).cloned().collect();
        if requests.is_empty() {
            continue;
        }
        let document = Bytes::from(format.write(&requests));
        for accept in ACCEPTED {
            let (answer, sent) = exchange(format.content_type(), document.clone(), accept);
            assert_eq!(sent, requests, "{format:?}: {document:?}");
            assert_tells(&answer, &requests.iter().map(respond).collect::<Vec<_>>());
        }
    }
}

/// These requests as batches, in each format that has words for all of them, as operations that know nothing of each other:
/// content types, and what is of them.
pub(crate) fn written(requests: &[Sent]) -> impl Iterator<Item = (&'static str, Bytes)> {
    let fits = |format: &Format| requests.iter().all(|request| format.has_words_for(request));
    let formats = Format::ALL.into_iter().filter(|format| *format != Format::ChangeSet).filter(fits);
    formats.map(|format| (format.content_type(), format.write(requests).into()))
}

/// Checks that an answer, in whatever format, tells exactly these responses.
pub(crate) fn assert_tells(answer: &Response<Bytes>, responses: &[Response<Bytes>]) {
    let told = read::outcomes(answer);
    assert_eq!(told.len(), responses.len(), "{answer:?}");
    for (told, response) in told.iter().zip(responses) {
        assert_told(told, response, answer);
    }
}

/// All formats of answers that there are.
pub(crate) const ACCEPTED: &[&str] = &[
    "application/json",
    "application/x-ndjson",
    "multipart/mixed",
    #[cfg(feature = "xml")]
    "application/xml",
];

/// What the service says, once it has gone through an answer.
fn assert_told(told: &Told, response: &Response<Bytes>, answer: &Response<Bytes>) {
    assert_eq!(told.status, response.status());
    let body = response.body();
    assert!(told.bodies.iter().any(|told| told.tells(body)), "{told:?} for {response:?} in {:?}", answer.body());
    if !body.is_empty() {
        let content_type = response.headers().get(header::CONTENT_TYPE).map(read::header_text);
        assert_eq!(told.content_type, content_type.map(MediaType::told), "{:?}", answer.body());
    }
}

/// Posts a batch; gives back the answer, and the requests that have reached the service, in request order.
fn exchange(content_type: &str, document: Bytes, accept: &str) -> (Response<Bytes>, Vec<Sent>) {
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let log = Arc::clone(&seen);
    let service = service_fn(move |request: Request<RequestBody<Plain>>| {
        let log = Arc::clone(&log);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("it is whole already").to_bytes();
            let index = head.extensions.get::<BatchContext>().expect("it comes from a batch").index();
            let sent = sent(head, body);
            let response = respond(&sent);
            assert!(log.lock().expect("nobody panics").insert(index, sent).is_none(), "{index} was sent twice");
            Ok::<_, Infallible>(response.map(Full::new))
        }
    });
    let request = Request::post("/batch").header(header::HOST, "api.example.com").header(header::ACCEPT, accept);
    let request = request.header(header::CONTENT_TYPE, content_type).body(Full::new(document));
    let request = request.expect("all of its parts are valid");
    let answer = async {
        let Ok(answer) = layer().layer(service).oneshot(request).await;
        let (head, body) = answer.into_parts();
        Response::from_parts(head, body.collect().await.expect("the answer is whole").to_bytes())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let answer = runtime.expect("it needs neither I/O nor threads").block_on(answer);
    let seen = std::mem::take(&mut *seen.lock().expect("nobody panics"));
    (answer, seen.into_values().collect())
}

/// What one format has by itself is allowed in all; limits are out of the way, for the same is longer in one format than in
/// another.
fn layer() -> BatchLayer {
    let own = ["consistencylevel", "odata-isolation", "odata-maxversion", "odata-version"];
    let layer = own.iter().fold(BatchLayer::new(), |layer, name| layer.allow_header(HeaderName::from_static(name)));
    let layer = layer
        .authority("localhost")
        .with_coordinator(Willing)
        .allow_atomic()
        .allow_on_failure()
        .max_operations(100_000);
    let layer = layer.max_request_bytes(1 << 26).max_response_bytes(1 << 26);
    layer.max_line_bytes(1 << 26).max_result_bytes(1 << 26).max_in_flight_bytes(1 << 26)
}

fn sent(head: Parts, body: Bytes) -> Sent {
    let (target, mut headers) = (head.uri.to_string(), head.headers);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::HOST);
    Sent { method: head.method, target, headers, body }
}

/// The body as it came, with the status that the target ends with, or a 200.
fn respond(sent: &Sent) -> Response<Bytes> {
    let status = sent.target.rsplit(['/', '=']).next().and_then(|end| end.parse().ok());
    let status = status.filter(|status| (200..600).contains(status)).unwrap_or(200);
    // A server wouldn't send what the service has said there (RFC 9110 §6.4.1).
    let has_content = sent.method != Method::HEAD && ![204, 205, 304].contains(&status);
    let mut response = Response::new(if has_content { sent.body.clone() } else { Bytes::new() });
    *response.status_mut() = StatusCode::from_u16(status).expect("it has three digits");
    if let Some(content_type) = sent.headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    }
    response
}

/// Carries out all groups, and does nothing for them.
struct Willing;

impl Coordinator for Willing {
    fn begin(&self, _: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
        Box::pin(async { Ok(Box::new(Self) as Box<dyn Transaction>) })
    }
}

impl Transaction for Willing {
    fn attach(&self, _: &mut Extensions) {}

    fn commit(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async { Ok(()) })
    }

    fn rollback(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async { Ok(()) })
    }
}
