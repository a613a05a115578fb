//! Results in the parts of a multipart.

use super::{
    asked::Asked,
    code::Code,
    contents::Contents,
    entry::{Body, Entry},
    gather::Gather,
    json::describe_body,
    read::Source,
    results::Results,
    shape::Shape,
    status,
    text::lossy,
};
use crate::parts::{Boundary, Fields, Part, PartContent, without_line_end};

/// So many lines may the header of a part have.
const MOST_FIELDS: usize = 256;

pub(super) fn read(gather: &mut Gather, source: &Source<'_>, body: &[u8]) -> Option<Contents> {
    let said = source.content_type.unwrap_or_default();
    let (boundary, fault) = match Boundary::of(said) {
        Ok(boundary) => (boundary, None),
        Err(problem) => (of_first_line(body)?, Some(problem)),
    };
    // By its looks alone it may be anything, as a text that begins with two hyphens.
    if let Some(problem) = fault {
        let detail = format!("the first line is taken for the boundary, for {}", problem.detail());
        gather.find(Code::Boundary, detail);
    }
    let mut reading = Reading { results: Results::new(Shape::Multipart, source.pairing()), has_bare_lf: false };
    for (place, bytes) in boundary.split(body).enumerate() {
        match bytes {
            Ok(bytes) => reading.part(gather, place, bytes),
            Err(problem) => {
                let code = if boundary.stands_in(body) { Code::CutOff } else { Code::Boundary };
                gather.find(code, problem.detail());
            }
        }
    }
    if reading.has_bare_lf {
        gather.find(Code::BareLf, "a line of the multipart ends with a line feed alone");
    }
    Some(reading.results.finish(gather))
}

/// Adds the requests of a batch.
pub(super) fn requests(content_type: Option<&str>, body: &[u8], asked: &mut Asked) -> Option<()> {
    let boundary = Boundary::of(content_type?).ok()?;
    for part in boundary.split(body) {
        let part = Part::read(part.ok()?, MOST_FIELDS);
        match part.content {
            Ok(PartContent::Multipart(inner, content)) => {
                let parts = inner.split(content).collect::<Result<Vec<_>, _>>().ok()?;
                asked.push_all(parts.into_iter().map(request_id));
            }
            Ok(PartContent::Http(request)) => asked.push(part.id.or_else(|| inner_id(request))),
            Err(_) => asked.push(part.id),
        }
    }
    Some(())
}

fn request_id(part: &[u8]) -> Option<String> {
    let part = Part::read(part, MOST_FIELDS);
    part.id.or_else(|| match part.content {
        Ok(PartContent::Http(request)) => inner_id(request),
        _ => None,
    })
}

/// Some clients write the id among the headers of the request.
fn inner_id(request: &[u8]) -> Option<String> {
    let (_, rest) = first_line(request);
    let header = Fields::take(rest);
    let fields = header.read(MOST_FIELDS).ok()?;
    crate::parts::only(&fields, "Content-ID").ok()?.map(str::to_owned)
}

struct Reading<'a> {
    results: Results<'a>,
    has_bare_lf: bool,
}

impl Reading<'_> {
    fn part(&mut self, gather: &mut Gather, place: usize, bytes: &[u8]) {
        let part = self.take(bytes);
        match part.content {
            Ok(PartContent::Multipart(boundary, content)) => {
                for (within, bytes) in boundary.split(content).enumerate() {
                    match bytes {
                        Ok(bytes) => {
                            let part = self.take(bytes);
                            self.response(gather, (place, Some(within)), part, bytes);
                        }
                        Err(problem) => {
                            gather.find(Code::CutOff, format!("in change set {place}: {}", problem.detail()));
                        }
                    }
                }
            }
            _ => self.response(gather, (place, None), part, bytes),
        }
    }

    fn take<'b>(&mut self, bytes: &'b [u8]) -> Part<'b> {
        self.look_at_lines(bytes, Fields::take(bytes).rest);
        Part::read(bytes, MOST_FIELDS)
    }

    /// Bodies may be anything; what stands before `rest` are lines.
    fn look_at_lines(&mut self, bytes: &[u8], rest: &[u8]) {
        let lines = &bytes[..bytes.len().saturating_sub(rest.len())];
        let is_bare = |at: usize| at == 0 || lines[at - 1] != b'\r';
        self.has_bare_lf = self.has_bare_lf || memchr::memchr_iter(b'\n', lines).any(is_bare);
    }

    fn response(&mut self, gather: &mut Gather, slot: (usize, Option<usize>), part: Part<'_>, bytes: &[u8]) {
        let mut entry = Entry { slot: Some(slot), id: part.id.map(Into::into), ..Entry::default() };
        match part.content {
            Ok(PartContent::Http(content)) => self.http(&mut entry, content),
            Ok(PartContent::Multipart(..)) => entry.fault(Code::PartHeader, "a change set stands in a change set"),
            Err(problem) => {
                let content = content_of(bytes);
                let what = if content.len() == bytes.len() { "the part has no header" } else { problem.detail() };
                entry.fault(Code::PartHeader, what);
                if content.starts_with(b"HTTP/") {
                    self.http(&mut entry, content);
                }
            }
        }
        self.results.add(gather, entry);
    }

    /// The response in a part, as it would be sent alone (RFC 9112 §10.2).
    fn http<'b>(&mut self, entry: &mut Entry<'b>, bytes: &'b [u8]) {
        let bytes = without_blank_lines(bytes);
        let (line, rest) = first_line(bytes);
        entry.status = match std::str::from_utf8(line) {
            Ok(line) => status::from_line(entry, line),
            Err(_) => {
                entry.fault(Code::StatusLine, format!("`{}` is no status line", lossy(line)));
                None
            }
        };
        let header = Fields::take(rest);
        self.look_at_lines(bytes, header.rest);
        let mut content_type = None;
        match header.read(MOST_FIELDS) {
            Ok(fields) => {
                for field in fields {
                    let is = |name: &str| field.name.eq_ignore_ascii_case(name);
                    if is("Set-Cookie") {
                        entry.fault(Code::SetCookieInside, "the response has a `Set-Cookie`");
                    } else if is("Content-Type") {
                        content_type = Some(String::from_utf8_lossy(field.value).into_owned());
                    } else if is("Content-Length") {
                        check_length(entry, field.value, header.rest);
                    }
                }
            }
            Err(_) => entry.fault(Code::PartHeader, "the header of the response in it can't be read (RFC 9112 §5)"),
        }
        let body = Body { content_type: content_type.map(Into::into), bytes: without_blank_lines(header.rest).into() };
        if let Some(status) = entry.status {
            entry.description = describe_body(status, &body);
        }
        entry.body = Some(body);
    }
}

/// Some servers write empty lines before the body or behind it.
fn check_length(entry: &mut Entry<'_>, told: &[u8], body: &[u8]) {
    let length = std::str::from_utf8(told).ok().and_then(|told| told.parse::<usize>().ok());
    let is_whole = |body: &[u8]| {
        length.and_then(|length| body.get(length..)).is_some_and(|rest| without_blank_lines(rest).is_empty())
    };
    if !is_whole(body) && !is_whole(without_blank_lines(body)) {
        let detail = format!("its `Content-Length` is {}, and its body has {} bytes", lossy(told), body.len());
        entry.fault(Code::PartLength, detail);
    }
}

/// What stands behind the header of a part; all of it where it has none, and begins with what should be in it.
fn content_of(bytes: &[u8]) -> &[u8] {
    let content = without_blank_lines(bytes);
    if content.starts_with(b"HTTP/") { content } else { without_blank_lines(Fields::take(bytes).rest) }
}

fn without_blank_lines(mut bytes: &[u8]) -> &[u8] {
    while let [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = bytes.split_at(memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1));
    (without_line_end(line), rest)
}

/// The boundary, as the body has it where its type doesn't say.
fn of_first_line(body: &[u8]) -> Option<Boundary> {
    let name = first_line(without_blank_lines(body)).0.strip_prefix(b"--")?;
    let name = std::str::from_utf8(name).ok()?.trim_end();
    let is_plain = !name.is_empty() && !name.contains(['"', '\\']);
    is_plain.then(|| Boundary::of(&format!("multipart/mixed; boundary=\"{name}\"")).ok()).flatten()
}
