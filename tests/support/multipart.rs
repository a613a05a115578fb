//! Multipart batches, and answers to them.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::fmt::Debug;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use serde_json::{Value, json};
use tower::Service;

use crate::support::{Plain, batch_as, call};

/// One part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Single(Single),
    ChangeSet(Vec<Single>),
}

/// The response in a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Single {
    pub(crate) id: Option<String>,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Part {
    pub(crate) fn single(&self) -> &Single {
        match self {
            Self::Single(single) => single,
            Self::ChangeSet(_) => panic!("a change set: {self:?}"),
        }
    }

    pub(crate) fn change_set(&self) -> &[Single] {
        match self {
            Self::Single(_) => panic!("no change set: {self:?}"),
            Self::ChangeSet(singles) => singles,
        }
    }
}

impl Single {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|header| header.0 == name);
        let value = values.next().map(|header| header.1.as_str());
        assert_eq!(values.next(), None, "{name} stands there twice");
        value
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks that it is a refusal of our own, and gives back what it says.
    pub(crate) fn error(&self, status: u16) -> (String, Value) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("Content-Type"), Some("application/json"));
        let error = self.json()["error"].take();
        assert!(error["code"].is_string(), "{self:?}");
        (error["message"].as_str().unwrap().to_owned(), error["target"].clone())
    }
}

/// Parts between lines with the boundary `b`, in a batch.
pub(crate) fn of(parts: &[&str]) -> Request<Plain> {
    batch_as("multipart/mixed; boundary=b", between("b", parts))
}

pub(crate) fn between(boundary: &str, parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
    format!("{parts}--{boundary}--\r\n")
}

/// A part with this request in it.
pub(crate) fn http(request: &str) -> String {
    format!("Content-Type: application/http\r\n\r\n{request}")
}

/// The same with an id.
pub(crate) fn named(id: &str, request: &str) -> String {
    format!("Content-Type: application/http\r\nContent-ID: {id}\r\n\r\n{request}")
}

/// A part with these parts in it.
pub(crate) fn change_set(parts: &[&str]) -> String {
    format!("Content-Type: multipart/mixed; boundary=c\r\n\r\n{}", between("c", parts))
}

/// Posts a batch of these parts, and gives back those of the answer.
pub(crate) async fn parts_of<S, R>(service: S, batch: &[&str]) -> Vec<Part>
where
    S: Service<Request<Plain>, Response = Response<R>, Error: Debug>,
    R: Body<Data = Bytes, Error: Debug>,
{
    parts(&call(service, of(batch)).await)
}

/// The parts of an answer, when all that holds for any of them has been checked.
pub(crate) fn parts(answer: &Response<Bytes>) -> Vec<Part> {
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let content_type = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
    let whole = answer.body().strip_suffix(b"\r\n").expect("the last line has an end");
    split(boundary(content_type, "batchresponse_"), whole).into_iter().map(part).collect()
}

/// The name of the boundary: the last parameter, without quotes, 122 random bits.
fn boundary<'a>(content_type: &'a str, kind: &str) -> &'a str {
    let boundary = content_type.strip_prefix("multipart/mixed; boundary=").expect("the boundary is the only parameter");
    let uuid = boundary.strip_prefix(kind).expect("its name says of what it is");
    let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert!(uuid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()), "{uuid}");
    assert_eq!(uuid.as_bytes()[14], b'4', "a random one (RFC 9562 §5.4)");
    boundary
}

/// Strictly: nothing before, nothing behind, CRLF everywhere.
fn split<'a>(boundary: &str, whole: &'a [u8]) -> Vec<&'a [u8]> {
    let (opening, closing) = (format!("--{boundary}\r\n"), format!("\r\n--{boundary}--"));
    let rest = whole.strip_prefix(opening.as_bytes()).expect("it begins with its boundary");
    let rest = rest.strip_suffix(closing.as_bytes()).expect("it ends with its boundary");
    cut(rest, format!("\r\n{opening}").as_bytes())
}

fn cut<'a>(mut bytes: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while let Some(at) = memchr::memmem::find(bytes, separator) {
        pieces.push(&bytes[..at]);
        bytes = &bytes[at + separator.len()..];
    }
    pieces.push(bytes);
    pieces
}

fn part(bytes: &[u8]) -> Part {
    let (head, content) = halves(bytes);
    if let Some(content_type) = head.strip_prefix("Content-Type: multipart/") {
        let content_type = format!("multipart/{content_type}");
        let parts = split(boundary(&content_type, "changesetresponse_"), content);
        return Part::ChangeSet(parts.into_iter().map(|bytes| single(&halves(bytes))).collect());
    }
    Part::Single(single(&(head, content)))
}

/// A header without the line end of its last field, and what stands behind the empty line.
fn halves(bytes: &[u8]) -> (String, &[u8]) {
    let at = memchr::memmem::find(bytes, b"\r\n\r\n").expect("there is an empty line");
    (String::from_utf8(bytes[..at].to_vec()).unwrap(), &bytes[at + 4..])
}

fn single((head, content): &(String, &[u8])) -> Single {
    let head = head.strip_prefix("Content-Type: application/http\r\nContent-Transfer-Encoding: binary");
    let head = head.expect("its header begins so");
    let id = head.strip_prefix("\r\nContent-ID: ").map(str::to_owned);
    assert!(id.is_some() || head.is_empty(), "{head:?}");
    let (head, body) = halves(content);
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap();
    let (status, reason) = line.strip_prefix("HTTP/1.1 ").unwrap().split_once(' ').unwrap();
    assert_eq!(status.len(), 3);
    assert!(!reason.is_empty(), "{line}");
    let mut headers: Vec<_> = lines
        .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap())
        .collect();
    let (name, length) = headers.pop().expect("there always is a header");
    assert_eq!([name, length], ["Content-Length".to_owned(), body.len().to_string()]);
    assert!(headers.iter().all(|(name, _)| name.starts_with(|first: char| first.is_ascii_uppercase())), "{headers:?}");
    Single { id, status: status.parse().unwrap(), headers, body: Bytes::copy_from_slice(body) }
}

/// As results of native JSON would have it, for comparing.
pub(crate) fn outline(parts: &[Part]) -> Value {
    let one = |single: &Single| json!([single.id, single.status]);
    parts
        .iter()
        .map(|part| match part {
            Part::Single(single) => one(single),
            Part::ChangeSet(singles) => json!({"change set": singles.iter().map(one).collect::<Vec<_>>()}),
        })
        .collect()
}
