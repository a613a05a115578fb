//! Writes requests as a batch, in each format.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, header};
use serde_json::{json, value::RawValue};

use super::{MediaType, Sent};

/// A format in which batches are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    Json,
    OData,
    Lines,
}

impl Format {
    pub(super) const ALL: [Self; 3] = [Self::Json, Self::OData, Self::Lines];

    /// By the first byte of an input. Native JSON and OData are told apart by what follows.
    pub(super) fn of(first: u8) -> Self {
        match first {
            b'l' => Self::Lines,
            _ => Self::Json,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::OData => "application/json",
            Self::Lines => "application/x-ndjson",
        }
    }

    /// Whether the request can be told in it.
    pub(super) fn has_words_for(self, request: &Sent) -> bool {
        match self {
            Self::Json | Self::Lines => are_text(request),
            Self::OData => {
                are_text(request) && request.headers.iter().all(one_value(request)) && odata_body(request, 0).is_some()
            }
        }
    }

    pub(super) fn write(self, requests: &[Sent]) -> String {
        match self {
            Self::Json => {
                format!(r#"{{"operations":[{}]}}"#, requests.iter().map(operation).collect::<Vec<_>>().join(","))
            }
            Self::Lines => requests.iter().map(|request| operation(request) + "\n").collect(),
            Self::OData => {
                let requests: Vec<_> =
                    requests.iter().enumerate().map(|(index, request)| odata_request(index, request)).collect();
                format!(r#"{{"requests":[{}]}}"#, requests.join(","))
            }
        }
    }
}

/// Whether the headers can stand in a string.
fn are_text(request: &Sent) -> bool {
    request.headers.values().all(|value| std::str::from_utf8(value.as_bytes()).is_ok())
}

/// OData has one value for each header, and one that begins like this is a reference.
fn one_value(request: &Sent) -> impl Fn((&HeaderName, &http::HeaderValue)) -> bool {
    |(name, value)| {
        let is_condition = *name == header::IF_MATCH || *name == header::IF_NONE_MATCH;
        request.headers.get_all(name).iter().count() == 1 && !(is_condition && value.as_bytes().starts_with(b"$"))
    }
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
