//! What must hold of any bytes that are sent as a JSON batch, native or of OData, or as a multipart. It is fuzzed, and tested
//! over the seeds.
#![allow(dead_code, reason = "a fuzz target uses one of the two")]

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{Extensions, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use serde_json::value::RawValue;
use tower::{Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Coordinator, Order, RequestBody, Transaction, TransactionFuture};

type Plain = Full<Bytes>;
type Members<'a> = HashMap<String, &'a RawValue>;

/// Sends `document` as a batch, to a server as it is by default and to one that lets clients do more, and checks the
/// answers: N results for N operations, or a refusal of the whole. Gives back the status by default, and how many
/// operations have failed.
pub(crate) fn check(document: &[u8]) -> (StatusCode, usize) {
    let transactions = Counted::default();
    let lenient = BatchLayer::new().order(Order::Unordered).allow_atomic().allow_on_failure();
    check_with(lenient.with_coordinator(transactions.clone()), document);
    // Each one that has begun has come to its end, and no member was left alone with it.
    assert_eq!(transactions.begun.load(Relaxed), transactions.ended.load(Relaxed));
    check_with(BatchLayer::new(), document)
}

/// The same for a multipart, whose boundary is `batch`.
pub(crate) fn check_parts(document: &[u8]) -> (StatusCode, usize) {
    let transactions = Counted::default();
    // Clients repeat the name of the server in each part.
    let layer = || BatchLayer::new().authority("localhost");
    check_parts_with(layer().with_coordinator(transactions.clone()), document);
    assert_eq!(transactions.begun.load(Relaxed), transactions.ended.load(Relaxed));
    check_parts_with(layer(), document)
}

fn check_parts_with(layer: BatchLayer, document: &[u8]) -> (StatusCode, usize) {
    let answer = post(layer, "multipart/mixed; boundary=batch", document);
    let status = answer.status();
    if status != StatusCode::OK {
        assert!(status == StatusCode::BAD_REQUEST || status == StatusCode::PAYLOAD_TOO_LARGE, "{status}");
        let problem: Members<'_> = read(answer.body());
        assert_eq!(problem["status"].get(), status.as_str());
        return (status, 0);
    }
    let content_type = answer.headers()[header::CONTENT_TYPE].to_str().expect("it is ASCII");
    let boundary = content_type.strip_prefix("multipart/mixed; boundary=").expect("it has one parameter");
    let whole = answer.body().strip_suffix(b"\r\n").expect("the last line has an end");
    let failed = parts(boundary, whole).into_iter().filter(|part| match change_set(part) {
        Some((boundary, set)) => {
            assert!(!parts(boundary, set).into_iter().any(is_failed_part), "it would be one response");
            false
        }
        None => is_failed_part(part),
    });
    (status, failed.count())
}

/// What stands between lines with this boundary.
fn parts<'a>(boundary: &str, body: &'a [u8]) -> Vec<&'a [u8]> {
    let (opening, closing) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}--"));
    let rest = body.strip_prefix(opening.as_bytes()).expect("it begins with its boundary");
    let mut rest = rest.strip_suffix(closing.as_bytes()).expect("it ends with its boundary");
    let (between, mut parts) = (format!("\r\n{opening}"), Vec::new());
    while let Some(end) = find(rest, &between) {
        parts.push(&rest[..end]);
        rest = &rest[end + between.len()..];
    }
    parts.push(rest);
    parts
}

/// Its boundary, and what is in it.
fn change_set(part: &[u8]) -> Option<(&str, &[u8])> {
    let rest = part.strip_prefix(b"Content-Type: multipart/mixed; boundary=")?;
    let end = find(rest, "\r\n\r\n")?;
    Some((std::str::from_utf8(&rest[..end]).ok()?, &rest[end + 4..]))
}

fn is_failed_part(part: &[u8]) -> bool {
    let head = b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n";
    let rest = part.strip_prefix(head).expect("its header begins so");
    let response = &rest[find(rest, "\r\nHTTP/1.1 ").expect("a response is in it") + 11..];
    let body = &response[find(response, "\r\n\r\n").expect("its header has an end") + 4..];
    match &response[..3] {
        b"200" => false,
        b"400" | b"424" | b"501" => {
            let body: HashMap<String, HashMap<String, String>> = read(body);
            assert!(["code", "message"].iter().all(|name| body["error"].contains_key(*name)));
            true
        }
        other => panic!("no operation can end with {other:?}"),
    }
}

fn find(bytes: &[u8], what: &str) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what.as_bytes())
}

fn check_with(layer: BatchLayer, document: &[u8]) -> (StatusCode, usize) {
    let answer = post(layer, "application/json", document);
    let (status, members): (_, Members<'_>) = (answer.status(), read(answer.body()));
    if status == StatusCode::OK {
        let responses: Vec<Members<'_>> = read(members["responses"].get().as_bytes());
        assert_eq!(responses.len(), count(document, "requests"));
        return (status, responses.iter().filter(|response| is_failed_response(response)).count());
    }
    if status != StatusCode::MULTI_STATUS {
        assert!(status == StatusCode::BAD_REQUEST || status == StatusCode::PAYLOAD_TOO_LARGE, "{status}");
        assert_eq!(members["status"].get(), status.as_str());
        return (status, 0);
    }
    let results: Vec<Members<'_>> = read(members["results"].get().as_bytes());
    let summary: HashMap<String, usize> = read(members["summary"].get().as_bytes());
    let failed = results.iter().enumerate().filter(|(index, result)| is_failure(*index, result)).count();
    assert_eq!(results.len(), count(document, "operations"));
    assert_eq!(
        [summary["total"], summary["succeeded"], summary["failed"]],
        [results.len(), results.len() - failed, failed]
    );
    (status, failed)
}

/// Counts transactions.
#[derive(Clone, Default)]
struct Counted {
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

/// What each member of a group finds, and nobody else.
#[derive(Clone)]
struct Handle;

impl Coordinator for Counted {
    fn begin(&self, _: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
        self.begun.fetch_add(1, Relaxed);
        let transaction = Box::new(self.clone());
        Box::pin(async { Ok(transaction as Box<dyn Transaction>) })
    }
}

impl Transaction for Counted {
    fn attach(&self, extensions: &mut Extensions) {
        assert!(extensions.insert(Handle).is_none(), "a member has one transaction");
    }

    fn commit(self: Box<Self>) -> TransactionFuture<()> {
        self.ended.fetch_add(1, Relaxed);
        Box::pin(async { Ok(()) })
    }

    fn rollback(self: Box<Self>) -> TransactionFuture<()> {
        self.commit()
    }
}

/// The service below never fails, so whatever fails was refused, or depends on what was; and a panic there would be a
/// 500.
fn is_failure(index: usize, result: &Members<'_>) -> bool {
    assert_eq!(result["index"].get(), index.to_string());
    match result["status"].get() {
        "200" => false,
        "400" | "424" | "501" => {
            let problem: Members<'_> = read(result["error"].get().as_bytes());
            assert_eq!(problem["status"].get(), result["status"].get());
            true
        }
        other => panic!("no operation can end with {other}"),
    }
}

/// The same in an answer to OData.
fn is_failed_response(response: &Members<'_>) -> bool {
    assert!(response.contains_key("headers") && response.contains_key("body"));
    let id: Option<String> = read(response["id"].get().as_bytes());
    match response["status"].get() {
        "200" => {
            assert!(id.is_some());
            false
        }
        "400" | "424" | "501" => {
            let body: HashMap<String, HashMap<String, String>> = read(response["body"].get().as_bytes());
            assert!(["code", "message"].iter().all(|name| body["error"].contains_key(*name)));
            true
        }
        other => panic!("no operation can end with {other}"),
    }
}

/// Counted in another way than the decoder's: as values that nobody has looked into.
fn count(document: &[u8], list: &str) -> usize {
    let list = match document.trim_ascii_start().first() {
        Some(b'{') => read::<Members<'_>>(document)[list].get().as_bytes(),
        _ => document,
    };
    read::<Vec<&RawValue>>(list).len()
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> T {
    serde_json::from_slice(json).expect("it is JSON of this shape")
}

fn post(layer: BatchLayer, content_type: &str, document: &[u8]) -> Response<Bytes> {
    let request = Request::post("/batch").header(header::CONTENT_TYPE, content_type);
    let request = request.body(Full::new(Bytes::copy_from_slice(document))).expect("all of its parts are valid");
    let answer = async {
        let (head, body) = layer.layer(service_fn(echo)).oneshot(request).await?.into_parts();
        Ok::<_, Infallible>(Response::from_parts(head, body.collect().await.expect("the answer is whole").to_bytes()))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it needs no threads and no I/O");
    runtime.block_on(answer).expect("a batch never fails")
}

/// Answers with the body that it gets, whatever that says that it is, and with the target for a location.
async fn echo(request: Request<RequestBody<Plain>>) -> Result<Response<Plain>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("it is whole already").to_bytes();
    let target = head.uri.to_string();
    assert!(target.starts_with('/') && !target.starts_with("//") && target.is_ascii(), "{target}");
    assert!(!matches!(head.method, Method::CONNECT | Method::TRACE));
    let forbidden = ["authorization", "cookie", "host", "transfer-encoding", "x-real-ip"];
    assert!(!forbidden.iter().any(|name| head.headers.contains_key(*name)), "{:?}", head.headers);
    let length =
        head.headers.get(header::CONTENT_LENGTH).map_or("0", |length| length.to_str().expect("it is a number"));
    assert_eq!(length, body.len().to_string());
    let mut response = Response::new(Full::new(body));
    let location = HeaderValue::from_str(&target).expect("it is ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    if let Some(content_type) = head.headers.get(header::CONTENT_TYPE) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
    }
    Ok(response)
}
