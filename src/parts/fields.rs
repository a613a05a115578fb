//! The header of a part, or of the request in it.

use std::borrow::Cow;

use super::boundary::without_line_end;
use crate::problem::Problem;

/// A block of header fields (RFC 5322 §2.2, RFC 9112 §5), and what stands behind it.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    /// Each field in one line, and an empty line at the end.
    text: Cow<'a, [u8]>,
    lines: usize,
    pub(crate) rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Takes what stands before the first empty line. A part may end without one.
    pub(crate) fn take(bytes: &'a [u8]) -> Self {
        let (mut end, mut lines, mut is_folded) = (0, 0, false);
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if matches!(line, b"\n" | b"\r\n") {
                let (text, rest) = bytes.split_at(end + line.len());
                let text = if is_folded { unfold(text).into() } else { text.into() };
                return Self { text, lines, rest };
            }
            is_folded |= is_continuation(line);
            end += line.len();
            lines += 1;
        }
        Self { text: [&*unfold(bytes), b"\n\n"].concat().into(), lines, rest: b"" }
    }

    /// The fields, each a name and a value.
    ///
    /// # Errors
    ///
    /// Where they can't be read, or are more than `limit`.
    pub(crate) fn read(&self, limit: usize) -> Result<Vec<httparse::Header<'_>>, Problem> {
        if self.lines > limit {
            return Err(Problem::bad_request(format!("a part may have {limit} header lines at most")));
        }
        let mut fields = vec![httparse::EMPTY_HEADER; self.lines];
        match httparse::parse_headers(&self.text, &mut fields) {
            Ok(httparse::Status::Complete((_, found))) => {
                let found = found.len();
                fields.truncate(found);
                Ok(fields)
            }
            Ok(httparse::Status::Partial) => Err(Problem::bad_request("the header of the part is cut off")),
            Err(error) => {
                Err(Problem::bad_request(format!("the header of the part can't be read (RFC 9112 §5): {error}")))
            }
        }
    }
}

/// The value of the field of this name, if there is one; names are of any case.
///
/// # Errors
///
/// Where there are several, or where it is no text.
pub(crate) fn only<'a>(fields: &[httparse::Header<'a>], name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match std::str::from_utf8(value) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Problem::bad_request(format!("the `{name}` of the part is not UTF-8"))),
        },
        (Some(_), Some(_)) => Err(Problem::bad_request(format!("the part has more than one `{name}`"))),
    }
}

/// A line that belongs to the one before (RFC 5322 §2.2.3, RFC 9112 §5.2).
fn is_continuation(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..])
}

/// Joins what belongs together; a line end with white space around it is one space. Nothing else is taken away: what is a
/// fault stays one.
fn unfold(text: &[u8]) -> Vec<u8> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let mut unfolded = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        // The first line belongs to none.
        if is_continuation(line) && !unfolded.is_empty() {
            unfolded.truncate(without_line_end(&unfolded).len());
            while unfolded.last().is_some_and(is_space) {
                unfolded.pop();
            }
            unfolded.push(b' ');
            unfolded.extend(line.iter().skip_while(|byte| is_space(byte)));
        } else {
            unfolded.extend_from_slice(line);
        }
    }
    unfolded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &str) -> Option<(Vec<(&str, String)>, String)> {
        let fields = Fields::take(bytes.as_bytes());
        let found = fields.read(8).ok()?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let name = |name: &str| bytes.find(name).map(|at| &bytes[at..at + name.len()]);
        let pairs = found.iter().map(|field| Some((name(field.name)?, text(field.value)?)));
        Some((pairs.collect::<Option<_>>()?, text(fields.rest)?))
    }

    #[test]
    fn a_header_ends_with_an_empty_line_or_with_all() {
        for (bytes, fields, rest) in [
            ("a: b\r\nc: d\r\n\r\nrest", &[("a", "b"), ("c", "d")][..], "rest"),
            ("a: b\nc:d\n\n\nrest\n", &[("a", "b"), ("c", "d")], "\nrest\n"),
            ("a: b", &[("a", "b")], ""),
            ("a: b\r\n", &[("a", "b")], ""),
            ("\r\nrest", &[], "rest"),
            ("", &[], ""),
            ("a: b \t\r\n\r\n", &[("a", "b")], ""),
            ("a:\r\n\r\n", &[("a", "")], ""),
        ] {
            let fields = fields.iter().map(|&(name, value)| (name, value.to_owned())).collect();
            assert_eq!(read(bytes), Some((fields, rest.to_owned())), "{bytes:?}");
        }
    }

    #[test]
    fn a_field_may_stand_in_several_lines() {
        for (bytes, value) in [
            ("Content-ID: <a\n + 1>\n\n", "<a + 1>"),
            ("Content-ID: <a \r\n\t\t+ 1>\r\n\r\n", "<a + 1>"),
            ("Content-ID:\r\n <a\r\n  + 1>\r\n\r\n", "<a + 1>"),
            ("Content-ID: <a\n + 1>", "<a + 1>"),
            ("Content-ID: a\r\n \r\n\r\n", "a"),
            ("Content-ID: a\r\n \r\n b\r\n\r\n", "a b"),
        ] {
            assert_eq!(read(bytes).map(|it| it.0), Some(vec![("Content-ID", value.to_owned())]), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [
            " a: b\r\n\r\n",
            "a : b\r\n\r\n",
            "a b\r\n\r\n",
            ": b\r\n\r\n",
            "a: b\rc: d\r\n\r\n",
            "a: b\r\n \rc: d\r\n\r\n",
            "a: b\r\r\n c\r\n\r\n",
            "a: b\r\n\r\r\n c\r\n\r\n",
            "a: b\r\n \x0cc\r\n\r\n",
            "a: b\0\r\n\r\n",
            "ä: b\r\n\r\n",
            "1:\n2:\n3:\n4:\n5:\n6:\n7:\n8:\n9:\n\n",
        ] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }
}
