//! Writes the outcomes as a list of parts.

use std::{borrow::Cow, fmt::Write, mem};

use http::{HeaderMap, HeaderValue, StatusCode};
use uuid::Uuid;

use super::Layout;
use crate::{
    batch::Outcome,
    format::{
        EncodeContext, Encoder,
        odata_protocol::{Canonical, error},
    },
    parts::MEDIA_TYPE,
    problem::reason,
};

/// The parts of one answer.
pub(super) struct Responses {
    cx: EncodeContext,
    layout: Layout,
    list: List,
    change_set: Option<ChangeSet>,
}

impl Responses {
    pub(super) fn new(cx: EncodeContext, layout: Layout) -> Self {
        Self { cx, layout, list: List::new("batchresponse"), change_set: None }
    }

    /// Writes one that has come to its end.
    fn write_change_set(&mut self, change_set: ChangeSet, out: &mut Vec<u8>) {
        self.list.next(out);
        match change_set.failure {
            Some(failure) => out.extend_from_slice(&failure.part),
            None => {
                let mut parts = change_set.parts;
                change_set.list.finish(&mut parts);
                print(out, format_args!("Content-Type: {}\r\n\r\n", change_set.list.content_type()));
                out.extend_from_slice(&parts);
            }
        }
    }
}

impl Encoder for Responses {
    fn content_type(&self) -> HeaderValue {
        self.list.content_type().try_into().expect("the boundary is of letters, digits, `_` and `-`")
    }

    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        if matches!(self.layout, Layout::Flat) || outcome.group().is_none() {
            self.list.next(out);
            return write_part(&self.cx, outcome, out);
        }
        let mut change_set = self.change_set.take().unwrap_or_else(ChangeSet::new);
        change_set.add(&self.cx, outcome);
        if outcome.ends_group() {
            self.write_change_set(change_set, out);
        } else {
            self.change_set = Some(change_set);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.list.finish(out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Parts between lines with the same boundary.
struct List {
    /// 122 random bits: nobody who has a part in a body can know it, so that none ends before its end.
    boundary: String,
    has_begun: bool,
}

impl List {
    fn new(kind: &str) -> Self {
        Self { boundary: format!("{kind}_{}", Uuid::new_v4()), has_begun: false }
    }

    /// The boundary needs no quotes; some clients can't read any, or take all behind it for a part of it.
    fn content_type(&self) -> String {
        format!("{MEDIA_TYPE}; boundary={}", self.boundary)
    }

    /// Writes what stands before the next part. The line end before a boundary belongs to it.
    fn next(&mut self, out: &mut Vec<u8>) {
        if mem::replace(&mut self.has_begun, true) {
            out.extend_from_slice(b"\r\n");
        }
        print(out, format_args!("--{}\r\n", self.boundary));
    }

    fn finish(&self, out: &mut Vec<u8>) {
        print(out, format_args!("\r\n--{}--", self.boundary));
    }
}

/// One that has not come to its end: what its part looks like depends on all of its outcomes.
struct ChangeSet {
    list: List,
    parts: Vec<u8>,
    failure: Option<Failure>,
}

/// In the place of all.
struct Failure {
    part: Vec<u8>,
    /// It is a consequence of another one, which better tells why.
    is_consequence: bool,
}

impl ChangeSet {
    fn new() -> Self {
        Self { list: List::new("changesetresponse"), parts: Vec::new(), failure: None }
    }

    fn add(&mut self, cx: &EncodeContext, outcome: Outcome<'_>) {
        if outcome.status().is_success() {
            if self.failure.is_none() {
                self.list.next(&mut self.parts);
                write_part(cx, outcome, &mut self.parts);
            }
            return;
        }
        let is_consequence = outcome.response().is_err() && outcome.status() == StatusCode::FAILED_DEPENDENCY;
        if self.failure.as_ref().is_none_or(|failure| failure.is_consequence && !is_consequence) {
            let mut part = Vec::new();
            write_part(cx, outcome, &mut part);
            self.failure = Some(Failure { part, is_consequence });
        }
    }
}

/// One response, as it would be sent alone (RFC 9112 §2.1). It always has a header, for without one some clients don't find
/// where it ends.
fn write_part(cx: &EncodeContext, outcome: Outcome<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
    if let Some(id) = outcome.id() {
        print(out, format_args!("Content-ID: {}\r\n", content_id(id)));
    }
    print(out, format_args!("\r\nHTTP/1.1 {} {}\r\n", outcome.status().as_str(), reason(outcome.status())));
    match outcome.response() {
        Ok(response) => {
            write_fields(cx, response.headers(), out);
            write_body(response.body(), out);
        }
        Err(problem) => {
            out.extend_from_slice(b"Content-Type: application/json\r\n");
            write_body(error(problem).to_string().as_bytes(), out);
        }
    }
}

fn write_fields(cx: &EncodeContext, headers: &HeaderMap, out: &mut Vec<u8>) {
    for name in cx.reported(headers) {
        for value in headers.get_all(name) {
            print(out, format_args!("{}: ", Canonical(name.as_str())));
            // No value has a line end in it.
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn write_body(body: &[u8], out: &mut Vec<u8>) {
    print(out, format_args!("Content-Length: {}\r\n\r\n", body.len()));
    out.extend_from_slice(body);
}

/// As the client has sent it; in angle brackets with a mark, as Google has it. One of another format, that would not be the
/// same in a header, is percent-encoded.
fn content_id(id: &str) -> Cow<'_, str> {
    if HeaderValue::from_bytes(id.as_bytes()).is_err() || id != id.trim_matches([' ', '\t']) {
        let mut encoded = String::new();
        for byte in id.bytes() {
            match byte {
                b'%' => encoded.push_str("%25"),
                b'!'..=b'~' => encoded.push(char::from(byte)),
                _ => write!(encoded, "%{byte:02X}").expect("a string takes all that is written"),
            }
        }
        return encoded.into();
    }
    match id.strip_prefix('<').filter(|id| id.ends_with('>')) {
        Some(rest) => format!("<response-{rest}").into(),
        None => id.into(),
    }
}

fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    std::io::Write::write_fmt(out, text).expect("a Vec takes all that is written");
}
