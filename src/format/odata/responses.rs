//! Writes the outcomes as a list of responses.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Response, header};

use crate::{
    batch::Outcome,
    content::Content,
    format::{
        EncodeContext, Encoder, header_text,
        json::write,
        odata_protocol::{Canonical, error},
    },
    media_type::Family,
};

/// The responses of one answer.
pub(super) struct Responses {
    cx: EncodeContext,
    has_begun: bool,
}

impl Responses {
    pub(super) fn new(cx: EncodeContext) -> Self {
        Self { cx, has_begun: false }
    }

    fn response(&self, response: &Response<Bytes>, out: &mut Vec<u8>) {
        let family = Family::of(response.headers());
        let content = Content::new(family, response.body());
        out.extend_from_slice(br#","headers":{"#);
        let mut separator: &[u8] = b"";
        for name in self.cx.reported(response.headers()) {
            // To some clients a type without a body is a body that can't be read.
            if name == header::CONTENT_TYPE && matches!(content, Content::Empty) {
                continue;
            }
            out.extend_from_slice(separator);
            separator = b",";
            write(out, &Canonical(name.as_str()).to_string());
            out.push(b':');
            let values: Vec<_> = response.headers().get_all(name).iter().map(header_text).collect();
            write(out, &values.join(", "));
        }
        out.extend_from_slice(br#"},"body":"#);
        match content {
            Content::Empty => out.extend_from_slice(b"null"),
            Content::Json(json) => out.extend_from_slice(json.as_bytes()),
            Content::Text(text) => write(out, text),
            Content::Bytes(bytes) => match std::str::from_utf8(bytes) {
                // Nothing here could say that JSON is base64, so what only calls itself JSON is shown as it is.
                Ok(text) if family.is_json() => write(out, text),
                _ => write(out, &STANDARD.encode(bytes)),
            },
        }
    }
}

impl Encoder for Responses {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static("application/json")
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"responses":["#);
    }

    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_begun, true) {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"id":"#);
        write(out, &outcome.id());
        if let Some(group) = outcome.group() {
            out.extend_from_slice(br#","atomicityGroup":"#);
            write(out, group);
        }
        out.extend_from_slice(br#","status":"#);
        out.extend_from_slice(outcome.status().as_str().as_bytes());
        match outcome.response() {
            Ok(response) => self.response(response, out),
            Err(problem) => {
                out.extend_from_slice(br#","headers":{"Content-Type":"application/json"},"body":"#);
                write(out, &error(problem));
            }
        }
        out.push(b'}');
    }

    /// White space, as it may stand around any token (RFC 8259 §2).
    fn keep_alive(&self) -> &'static [u8] {
        b"\n"
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"]}");
    }
}
