//! The HTTP request in a part (RFC 9112).

use std::str;

use bytes::Bytes;

use crate::{
    builder::DecodeContext,
    draft::Draft,
    format::odata_protocol,
    parts::{Fields, only, without_line_end},
    problem::Problem,
};

/// A request, taken apart but for its fields.
#[derive(Debug)]
pub(super) struct Request<'a> {
    method: &'a str,
    target: &'a [u8],
    header: Fields<'a>,
}

impl<'a> Request<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Problem> {
        let bytes = without_blank_lines(bytes);
        let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
        let (line, rest) = bytes.split_at(end);
        let (method, target) = request_line(without_line_end(line)).ok_or_else(|| {
            let detail =
                "the part must begin with a request line: `GET /path HTTP/1.1` (RFC 9112 §3), also without the version";
            Problem::bad_request(detail)
        })?;
        Ok(Self { method, target, header: Fields::take(rest) })
    }

    /// The fields of its header.
    pub(super) fn fields(&self, limit: usize) -> Result<Vec<httparse::Header<'_>>, Problem> {
        self.header.read(limit)
    }

    /// Where it goes. `follow` tells whom a `$id` means.
    pub(super) fn set_line(
        &self,
        draft: &mut Draft<'_>,
        cx: DecodeContext<'_>,
        source: &Bytes,
        follow: impl FnOnce(&str) -> Result<String, Problem>,
    ) {
        draft.method(self.method);
        odata_protocol::set_target(draft, cx, source.slice_ref(self.target), "/target", follow);
    }

    /// What it is sent with.
    pub(super) fn set_content(
        &self,
        fields: &[httparse::Header<'_>],
        draft: &mut Draft<'_>,
        source: &Bytes,
        follow: impl Fn(&str) -> Result<String, Problem>,
    ) -> Result<(), Problem> {
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            if is("Transfer-Encoding") {
                return Err(Problem::bad_request("the body of a part can't be chunked: send it as it is"));
            }
            if !is("Content-ID") && !is("Content-Length") && !draft.is_refused() {
                odata_protocol::set_header(draft, field.name, field.value, &follow);
            }
        }
        let length = only(fields, "Content-Length")?.map(number).transpose()?;
        let body = body(self.header.rest, length)?;
        if !body.is_empty() {
            draft.body(source.slice_ref(body), None);
        }
        Ok(())
    }
}

/// A method and a target. The version may be missing, and has to be one of HTTP/1 where it isn't.
fn request_line(line: &[u8]) -> Option<(&str, &[u8])> {
    let (method, rest) = line.split_at(memchr::memchr(b' ', line)?);
    let method = str::from_utf8(method).ok().filter(|method| !method.is_empty())?;
    let rest = &rest[1..];
    let Some(space) = memchr::memrchr(b' ', rest) else { return Some((method, rest)) };
    match &rest[space + 1..] {
        b"HTTP/1.1" | b"HTTP/1.0" => Some((method, &rest[..space])),
        other if other.len() >= 5 && other[..5].eq_ignore_ascii_case(b"HTTP/") => None,
        _ => Some((method, rest)),
    }
}

fn number(digits: &str) -> Result<usize, Problem> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .parse()
        .ok()
        .filter(|_| is_plain)
        .ok_or_else(|| Problem::bad_request("the `Content-Length` of the request is not a number of bytes"))
}

/// As long as it says to be. Some clients write more empty lines before it or behind it than they should, so one that doesn't
/// say its length begins where these end.
fn body(bytes: &[u8], length: Option<usize>) -> Result<&[u8], Problem> {
    let from_text = without_blank_lines(bytes);
    let Some(length) = length else { return Ok(from_text) };
    let is_whole = |bytes: &&[u8]| bytes.get(length..).is_some_and(|rest| without_blank_lines(rest).is_empty());
    let found = [bytes, from_text].into_iter().find(is_whole);
    found.map(|bytes| &bytes[..length]).ok_or_else(|| {
        let there = bytes.len();
        let detail =
            format!("the body has {there} bytes, and its `Content-Length` says {length}: count bytes, or leave it out");
        Problem::bad_request(detail)
    })
}

fn without_blank_lines(mut bytes: &[u8]) -> &[u8] {
    while let [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines() {
        for (line, expected) in [
            ("GET /a HTTP/1.1", Some(("GET", "/a"))),
            ("get a HTTP/1.0", Some(("get", "a"))),
            ("GET /a", Some(("GET", "/a"))),
            ("GET http://host/a?b HTTP/1.1", Some(("GET", "http://host/a?b"))),
            // Whose fault it is stands in what is said of the target.
            ("GET /a b HTTP/1.1", Some(("GET", "/a b"))),
            ("GET  /a HTTP/1.1", Some(("GET", " /a"))),
            ("GET /a  HTTP/1.1", Some(("GET", "/a "))),
            ("GET /a ", Some(("GET", "/a "))),
            ("GET ", Some(("GET", ""))),
            ("GET /a HTTP/2", None),
            ("GET /a HTTP/1.1x", None),
            ("GET /a http/1.1", None),
            ("GET", None),
            (" /a HTTP/1.1", None),
            ("", None),
        ] {
            let expected = expected.map(|(method, target)| (method, target.as_bytes()));
            assert_eq!(request_line(line.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn bodies_with_and_without_a_length() {
        for (bytes, length, expected) in [
            ("", None, Some("")),
            ("abc", None, Some("abc")),
            ("\r\n\nabc\r\n", None, Some("abc\r\n")),
            ("\r\n", None, Some("")),
            ("", Some(0), Some("")),
            ("\r\n\r\n", Some(0), Some("")),
            ("abc", Some(3), Some("abc")),
            ("abc\r\n\r\n", Some(3), Some("abc")),
            ("abc\r\n", Some(5), Some("abc\r\n")),
            ("\r\nabc", Some(3), Some("abc")),
            ("\r\nabc", Some(5), Some("\r\nabc")),
            ("abc", Some(2), None),
            ("abc", Some(4), None),
            ("abc", Some(0), None),
            ("abc", Some(usize::MAX), None),
        ] {
            let body = body(bytes.as_bytes(), length).ok();
            assert_eq!(body, expected.map(str::as_bytes), "{bytes:?} {length:?}");
        }
    }

    #[test]
    fn lengths_are_plain_numbers() {
        assert_eq!(number("17").ok(), Some(17));
        for digits in ["", "+1", "-1", "1,1", "0x1", "1.0", "99999999999999999999999999"] {
            assert!(number(digits).is_err(), "{digits}");
        }
    }
}
