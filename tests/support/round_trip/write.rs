//! Writes requests as a batch, in each format.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::header;
use serde_json::{json, value::RawValue};

use super::{MediaType, Sent, respond};

/// A format in which batches are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    OData,
    Lines,
    Multipart,
    /// All of them in one part.
    ChangeSet,
}

impl Format {
    pub(super) const ALL: [Self; 5] = [Self::Json, Self::OData, Self::Lines, Self::Multipart, Self::ChangeSet];

    /// By the first byte of an input. Native JSON and OData are told apart by what follows.
    pub(super) fn of(first: u8) -> Self {
        match first {
            b'l' => Self::Lines,
            b'm' => Self::Multipart,
            _ => Self::Json,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::OData => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Multipart | Self::ChangeSet => "multipart/mixed; boundary=batch",
        }
    }

    /// Whether the request can be told in it, and its outcome too.
    pub(super) fn has_words_for(self, request: &Sent) -> bool {
        match self {
            Self::Json | Self::Lines => are_text(request),
            Self::OData => {
                let has_one = |name| request.headers.get_all(name).iter().count() == 1;
                are_text(request)
                    && !has_reference(request)
                    && request.headers.keys().all(has_one)
                    && odata_body(request, 0).is_some()
            }
            // One of the 64 lines that a part may have is for the length.
            Self::Multipart => !has_reference(request) && !has_delimiter(&request.body) && request.headers.len() < 64,
            Self::ChangeSet => {
                // One that fails has one answer for all.
                respond(request).status().is_success() && Self::Multipart.has_words_for(request)
            }
        }
    }

    pub(super) fn write(self, requests: &[Sent]) -> Vec<u8> {
        match self {
            Self::Json => {
                let operations: Vec<_> = requests.iter().map(operation).collect();
                format!(r#"{{"operations":[{}]}}"#, operations.join(",")).into()
            }
            Self::Lines => requests.iter().map(|request| operation(request) + "\n").collect::<String>().into(),
            Self::OData => {
                let requests = requests.iter().enumerate();
                let requests: Vec<_> = requests.map(|(index, request)| odata_request(index, request)).collect();
                format!(r#"{{"requests":[{}]}}"#, requests.join(",")).into()
            }
            Self::Multipart => multipart(BATCH, requests.iter().map(part)),
            Self::ChangeSet => {
                let content = multipart(CHANGE_SET, requests.iter().map(part));
                multipart(
                    BATCH,
                    [[&b"Content-Type: multipart/mixed; boundary=change_set\r\n\r\n"[..], &content].concat()],
                )
            }
        }
    }
}

/// Whether the headers can stand in a string.
fn are_text(request: &Sent) -> bool {
    request.headers.values().all(|value| std::str::from_utf8(value.as_bytes()).is_ok())
}

/// What stands between parts. What is sent as an input, in multipart, has the first one.
const BATCH: &str = "batch";
const CHANGE_SET: &str = "change_set";

/// Whether there is a line that would be one between parts.
fn has_delimiter(body: &[u8]) -> bool {
    let is_delimiter = |line: &[u8]| {
        [BATCH, CHANGE_SET].iter().any(|boundary| {
            let rest = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary.as_bytes()));
            rest.is_some_and(|rest| rest.strip_prefix(b"--").unwrap_or(rest).trim_ascii().is_empty())
        })
    };
    body.split(|&byte| byte == b'\n').any(is_delimiter)
}

/// To OData a value that begins like this is a reference.
fn has_reference(request: &Sent) -> bool {
    let values = |name| request.headers.get_all(name).iter();
    values(header::IF_MATCH).chain(values(header::IF_NONE_MATCH)).any(|value| value.as_bytes().starts_with(b"$"))
}

/// As native JSON.
fn operation(request: &Sent) -> String {
    let mut headers = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in &request.headers {
        headers.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()));
    }
    let (method, target) = (json!(request.method.as_str()), json!(request.target));
    format!(r#"{{"method":{method},"path":{target},"headers":{}{}}}"#, json!(headers), body(request))
}

fn body(request: &Sent) -> String {
    let text = std::str::from_utf8(&request.body).ok();
    match (request.content_type().map(MediaType::of), text) {
        (_, Some("")) => String::new(),
        (Some(MediaType::Json), Some(json)) if is_plain_json(json) => format!(r#","body":{json}"#),
        (Some(MediaType::Text | MediaType::Binary), Some(text)) => format!(r#","body":{}"#, json!(text)),
        _ => format!(r#","body":{},"encoding":"base64""#, json!(STANDARD.encode(&request.body))),
    }
}

/// As OData, with the index for an id.
fn odata_request(index: usize, request: &Sent) -> String {
    let headers: BTreeMap<_, _> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let (id, method, url) = (json!(index.to_string()), json!(request.method.as_str()), json!(request.target));
    let body = odata_body(request, index).unwrap_or_default();
    format!(r#"{{"id":{id},"method":{method},"url":{url},"headers":{}{body}}}"#, json!(headers))
}

/// JSON, text or base64, as the content type has it; there is no choice.
fn odata_body(request: &Sent, index: usize) -> Option<String> {
    let text = std::str::from_utf8(&request.body).ok();
    Some(match (request.content_type().map(MediaType::of), text) {
        (_, Some("")) => String::new(),
        (Some(MediaType::Json), Some(json)) if is_plain_json(json) => format!(r#","body":{json}"#),
        (Some(MediaType::Text), Some(text)) => format!(r#","body":{}"#, json!(text)),
        (Some(MediaType::Binary), _) => {
            let base64 = STANDARD.encode(&request.body);
            // Either alphabet.
            let base64 = if index % 2 == 0 { base64 } else { base64.replace('+', "-").replace('/', "_") };
            format!(r#","body":{}"#, json!(base64))
        }
        _ => return None,
    })
}

/// Whether this can stand in a batch as it is, also in one line: `null` there would be no body, white space around it
/// would not be a part of it, and the limit is 64 levels.
fn is_plain_json(text: &str) -> bool {
    let levels = text.matches(['[', '{']).count();
    levels <= 64
        && text != "null"
        && !text.contains('\n')
        && serde_json::from_str::<&RawValue>(text).is_ok_and(|value| value.get() == text)
}

fn multipart(boundary: &str, parts: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut document = Vec::new();
    for part in parts {
        document.extend(format!("--{boundary}\r\n").into_bytes());
        document.extend(part);
        document.extend(b"\r\n");
    }
    document.extend(format!("--{boundary}--\r\n").into_bytes());
    document
}

/// As a part of a multipart.
fn part(request: &Sent) -> Vec<u8> {
    let mut part = b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n".to_vec();
    part.extend(format!("{} {} HTTP/1.1\r\n", request.method, request.target).into_bytes());
    for (name, value) in &request.headers {
        part.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    if !request.body.is_empty() {
        part.extend(format!("Content-Length: {}\r\n", request.body.len()).into_bytes());
    }
    part.extend(b"\r\n");
    part.extend(&request.body);
    part
}
