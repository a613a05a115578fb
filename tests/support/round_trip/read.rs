//! Reads answers, in each format, as clients would that know nothing of how they are written.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

use super::{MediaType, multipart};

/// What an answer tells of one operation.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) content_type: Option<String>,
    /// The body; or all that it may have been, where the format leaves that open.
    pub(super) bodies: Vec<Body>,
}

/// What a body may have been.
#[derive(Debug)]
pub(super) enum Body {
    /// These bytes.
    Bytes(Bytes),
    /// JSON that stands in the answer, which says nothing of the white space around it.
    Json(String),
    /// The same in a line, where line ends are spaces.
    JsonLine(String),
}

impl Body {
    /// Whether this tells of such a body.
    pub(super) fn tells(&self, body: &[u8]) -> bool {
        let trimmed = || body.trim_ascii();
        match self {
            Self::Bytes(bytes) => bytes == body,
            Self::Json(json) => json.as_bytes() == trimmed(),
            Self::JsonLine(json) => {
                json.bytes().eq(trimmed().iter().map(|byte| if b"\r\n".contains(byte) { b' ' } else { *byte }))
            }
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Bytes(text.into())
    }
}

/// The status of each operation, or of the refusal of all.
pub(super) fn statuses(answer: &Response<Bytes>) -> Vec<StatusCode> {
    match answer.status() {
        StatusCode::OK | StatusCode::MULTI_STATUS => outcomes(answer).iter().map(|told| told.status).collect(),
        _ => {
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
            Vec::new()
        }
    }
}

/// In request order.
pub(super) fn outcomes(answer: &Response<Bytes>) -> Vec<Told> {
    let content_type = answer.headers()[header::CONTENT_TYPE].to_str().expect("it is plain");
    if answer.status() == StatusCode::OK && content_type.starts_with("multipart/") {
        return multipart::read(content_type, answer.body());
    }
    let text = std::str::from_utf8(answer.body()).expect("all other formats are text");
    match (answer.status(), content_type) {
        (StatusCode::OK, "application/json") => odata(text),
        (StatusCode::MULTI_STATUS, "application/json") => native(text),
        (_, "application/x-ndjson") => lines(text),
        #[cfg(feature = "xml")]
        (_, "application/xml; charset=utf-8") => xml(answer.body()),
        other => panic!("no such format: {other:?}"),
    }
}

/// One result of native JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    index: usize,
    #[serde(rename = "id")]
    _id: Option<String>,
    status: u16,
    #[serde(default)]
    headers: HashMap<String, Value>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
    #[serde(default)]
    encoding: Option<String>,
}

/// `null` is a value too.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    total: usize,
    succeeded: usize,
    failed: usize,
}

fn native(text: &str) -> Vec<Told> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Answer<'a> {
        #[serde(borrow)]
        results: Vec<Entry<'a>>,
        summary: Summary,
    }

    let answer: Answer<'_> = read(text);
    told(answer.results, &answer.summary, Body::Json)
}

fn lines(text: &str) -> Vec<Told> {
    #[derive(Deserialize)]
    struct Last {
        summary: Summary,
    }

    let mut lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last: Last = read(lines.pop().expect("there is a summary"));
    told(lines.into_iter().map(read).collect(), &last.summary, Body::JsonLine)
}

fn told(mut results: Vec<Entry<'_>>, summary: &Summary, json: fn(String) -> Body) -> Vec<Told> {
    results.sort_by_key(|result| result.index);
    assert!(results.iter().enumerate().all(|(index, result)| result.index == index), "an index is missing");
    let succeeded = results.iter().filter(|result| result.status < 400).count();
    assert_eq!([summary.total, summary.succeeded], [results.len(), succeeded]);
    assert_eq!(summary.failed, results.len() - succeeded);
    results.into_iter().map(|entry| result(entry, json)).collect()
}

fn result(result: Entry<'_>, json: fn(String) -> Body) -> Told {
    let status = StatusCode::from_u16(result.status).expect("it has three digits");
    let (value, other) = if result.status < 400 { (result.data, result.error) } else { (result.error, result.data) };
    assert!(other.is_none(), "`data` and `error`");
    let content_type = result.headers.get("content-type").map(|value| value.as_str().expect("one value").to_owned());
    let Some(value) = value.map(RawValue::get) else {
        return Told { status, content_type, bodies: vec![Body::Bytes(Bytes::new())] };
    };
    if let Some(encoding) = result.encoding {
        assert_eq!(encoding, "base64");
        return Told { status, content_type: content_type.map(MediaType::told), bodies: vec![decoded(value)] };
    }
    // A value that says nothing of itself is JSON.
    let content_type = content_type.unwrap_or_else(|| "application/json".to_owned());
    let mut bodies = alternatives(value, MediaType::of(&content_type), json);
    // A phrase in the place of no body; nobody can tell it from one that says the same.
    if result.status >= 400 && text(value).as_deref() == Some(reason(status)) {
        bodies.push(Body::Bytes(Bytes::new()));
    }
    Told { status, content_type: Some(MediaType::told(content_type)), bodies }
}

fn reason(status: StatusCode) -> &'static str {
    let of_class = if status.is_client_error() { "Client Error" } else { "Server Error" };
    status.canonical_reason().unwrap_or(of_class)
}

/// JSON is what stands there, text what the string says; of an odd type nobody can tell which it is.
fn alternatives(value: &str, kind: MediaType, json: fn(String) -> Body) -> Vec<Body> {
    match kind {
        MediaType::Json => vec![json(value.to_owned())],
        MediaType::Text => vec![text(value).expect("text is a string").into()],
        // Only a phrase in the place of no body is neither.
        MediaType::Binary => Vec::new(),
        MediaType::Odd => text(value).map(Body::from).into_iter().chain([json(value.to_owned())]).collect(),
    }
}

/// A response of OData. What its body is, the content type says alone.
fn odata(document: &str) -> Vec<Told> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Answer<'a> {
        #[serde(borrow)]
        responses: Vec<Response<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Response<'a> {
        #[serde(rename = "id")]
        _id: Option<String>,
        #[serde(rename = "atomicityGroup")]
        _group: Option<String>,
        status: u16,
        headers: BTreeMap<String, String>,
        #[serde(borrow)]
        body: &'a RawValue,
    }

    let told = |mut response: Response<'_>| {
        let value = response.body.get();
        let content_type = response.headers.remove("Content-Type");
        let kind = content_type.as_deref().map_or(MediaType::Binary, MediaType::of);
        let mut bodies = alternatives(value, kind, Body::Json);
        match kind {
            _ if value == "null" && content_type.is_none() => bodies.push(Body::Bytes(Bytes::new())),
            // What is no JSON in spite of its type is a string, which may be JSON as well.
            MediaType::Json => bodies.extend(text(value).map(Body::from)),
            // And what is no text is base64.
            MediaType::Text | MediaType::Odd => bodies.extend(text(value).and_then(|value| base64(&value))),
            MediaType::Binary => bodies.push(decoded(value)),
        }
        let status = StatusCode::from_u16(response.status).expect("it has three digits");
        Told { status, content_type: content_type.map(MediaType::told), bodies }
    };
    read::<Answer<'_>>(document).responses.into_iter().map(told).collect()
}

#[cfg(feature = "xml")]
fn xml(document: &[u8]) -> Vec<Told> {
    let mut entries = super::multistatus::read(document).expect("it is a multistatus");
    entries.sort_by_key(|entry| entry.index);
    assert!(entries.iter().enumerate().all(|(index, entry)| entry.index == index), "an index is missing");
    let told = |entry: super::multistatus::Entry| {
        let status = StatusCode::from_u16(entry.status).expect("it has three digits");
        let (content_type, body) = entry.body.map_or_else(Default::default, |body| (body.content_type, body.bytes));
        Told { status, content_type: content_type.map(MediaType::told), bodies: vec![Body::Bytes(body.into())] }
    };
    entries.into_iter().map(told).collect()
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// What a string says; `None` where it is another value.
fn text(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

fn decoded(value: &str) -> Body {
    text(value).and_then(|value| base64(&value)).expect("it is base64")
}

fn base64(text: &str) -> Option<Body> {
    STANDARD.decode(text).ok().map(|bytes| Body::Bytes(bytes.into()))
}

/// A header's value as an answer tells it (RFC 9110 §5.5).
pub(super) fn header_text(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    std::str::from_utf8(bytes).map_or_else(|_| bytes.iter().map(|&byte| char::from(byte)).collect(), str::to_owned)
}
