//! Writes the outcomes as a list of results, with a summary.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde::Serialize;

use crate::{
    batch::Outcome,
    format::{EncodeContext, Encoder, header_text},
    json_text::is_embeddable,
    media_type::Content,
    problem::reason,
};

/// The results of one answer.
pub(crate) struct Results {
    cx: EncodeContext,
    total: usize,
    succeeded: usize,
}

impl Results {
    pub(crate) fn new(cx: EncodeContext) -> Self {
        Self { cx, total: 0, succeeded: 0 }
    }

    /// Writes one result.
    pub(crate) fn result(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        self.total += 1;
        self.succeeded += usize::from(outcome.is_success());
        out.extend_from_slice(br#"{"index":"#);
        write(out, &outcome.index());
        if let Some(id) = outcome.id() {
            out.extend_from_slice(br#","id":"#);
            write(out, id);
        }
        out.extend_from_slice(br#","status":"#);
        out.extend_from_slice(outcome.status().as_str().as_bytes());
        match outcome.response() {
            Ok(response) => self.response(outcome, response, out),
            Err(problem) => {
                out.extend_from_slice(br#","error":"#);
                write(out, problem);
            }
        }
        out.push(b'}');
    }

    /// Writes the member that sums all results up.
    pub(crate) fn summary(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#""summary":{"total":"#);
        write(out, &self.total);
        out.extend_from_slice(br#","succeeded":"#);
        write(out, &self.succeeded);
        out.extend_from_slice(br#","failed":"#);
        write(out, &(self.total - self.succeeded));
        out.push(b'}');
    }

    fn response(&self, outcome: Outcome<'_>, response: &Response<Bytes>, out: &mut Vec<u8>) {
        let shape = Shape::of(response);
        let mut opening: &[u8] = br#","headers":{"#;
        for name in self.cx.reported(response.headers()) {
            // The value tells by itself that it is JSON.
            if name == header::CONTENT_TYPE && matches!(shape, Shape::PlainJson(_)) {
                continue;
            }
            out.extend_from_slice(opening);
            opening = b",";
            write(out, name.as_str());
            out.push(b':');
            write_values(out, response.headers().get_all(name).iter().map(header_text));
        }
        if opening == b"," {
            out.push(b'}');
        }
        if matches!(shape, Shape::Nothing) && outcome.is_success() {
            return;
        }
        out.extend_from_slice(if outcome.is_success() { br#","data":"# } else { br#","error":"# });
        match shape {
            Shape::Nothing => write(out, reason(outcome.status())),
            Shape::PlainJson(json) | Shape::Json(json) => out.extend_from_slice(json),
            Shape::Text(text) => write(out, text),
            Shape::Binary(bytes) => {
                write(out, &STANDARD.encode(bytes));
                out.extend_from_slice(br#","encoding":"base64""#);
            }
        }
    }
}

impl Encoder for Results {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static("application/json")
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"results":["#);
    }

    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        if self.total > 0 {
            out.push(b',');
        }
        self.result(outcome, out);
    }

    /// White space, as it may stand around any token (RFC 8259 §2).
    fn keep_alive(&self) -> &'static [u8] {
        b"\n"
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"],");
        self.summary(out);
        out.push(b'}');
    }
}

/// How a body stands in a result.
pub(in crate::format) enum Shape<'a> {
    Nothing,
    /// `application/json` that is JSON: as it is, byte for byte.
    PlainJson(&'a [u8]),
    /// The same for a type that is based on JSON, and worth being told.
    Json(&'a [u8]),
    Text(&'a str),
    Binary(&'a [u8]),
}

impl<'a> Shape<'a> {
    pub(in crate::format) fn of(response: &'a Response<Bytes>) -> Self {
        let body: &[u8] = response.body();
        if body.is_empty() {
            return Self::Nothing;
        }
        match Content::of(response.headers()) {
            Content::Json if is_embeddable(body) => Self::PlainJson(body),
            Content::JsonBased if is_embeddable(body) => Self::Json(body),
            Content::Binary => Self::Binary(body),
            // JSON that is none is no reason to fail: it is shown as what it is.
            Content::Json | Content::JsonBased | Content::Text => {
                std::str::from_utf8(body).map_or(Self::Binary(body), Self::Text)
            }
        }
    }
}

pub(in crate::format) fn write(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("a Vec takes all that is written, and no map with odd keys is");
}

fn write_values<'a>(out: &mut Vec<u8>, mut values: impl Iterator<Item = Cow<'a, str>>) {
    match (values.next(), values.next()) {
        (Some(only), None) => write(out, &only),
        (first, second) => write(out, &first.into_iter().chain(second).chain(values).collect::<Vec<_>>()),
    }
}
