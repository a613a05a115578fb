//! Writes the outcomes as a list of results, with a summary.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde::Serialize;

use crate::{
    batch::Outcome,
    content::Content,
    format::{EncodeContext, Encoder, header_text},
    media_type::Family,
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
            Ok(response) => {
                self.response(outcome, response, out);
                #[cfg(feature = "grpc")]
                if let Some(status) = outcome.grpc() {
                    out.extend_from_slice(br#","grpc":"#);
                    write(out, status);
                }
            }
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
        let family = Family::of(response.headers());
        let content = Content::new(family, response.body());
        // Then the value tells by itself what it is.
        let is_plain = family == Family::Json && matches!(content, Content::Json(_));
        let mut opening: &[u8] = br#","headers":{"#;
        for name in self.cx.reported(response.headers()) {
            if is_plain && name == header::CONTENT_TYPE {
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
        if matches!(content, Content::Empty) && outcome.is_success() {
            return;
        }
        out.extend_from_slice(if outcome.is_success() { br#","data":"# } else { br#","error":"# });
        match content {
            Content::Empty => write(out, reason(outcome.status())),
            Content::Json(json) => out.extend_from_slice(json.as_bytes()),
            Content::Text(text) => write(out, text),
            Content::Bytes(bytes) => {
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

pub(in crate::format) fn write(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("a Vec takes all that is written, and no map with odd keys is");
}

fn write_values<'a>(out: &mut Vec<u8>, mut values: impl Iterator<Item = Cow<'a, str>>) {
    match (values.next(), values.next()) {
        (Some(only), None) => write(out, &only),
        (first, second) => write(out, &first.into_iter().chain(second).chain(values).collect::<Vec<_>>()),
    }
}
