//! What stands between parts (RFC 2046 §5.1.1).

use mediatype::{MediaType, Name, ReadParams};

use crate::problem::Problem;

const NAME: Name<'static> = Name::new_unchecked("boundary");

/// RFC 2046 §5.1.1.
const LONGEST: usize = 70;

/// The line that parts stand between: two hyphens, and what the content type says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Boundary(String);

impl Boundary {
    /// That of a `multipart` content type.
    ///
    /// # Errors
    ///
    /// Where it has none that could be meant.
    pub(crate) fn of(content_type: &str) -> Result<Self, Problem> {
        let media_type = MediaType::parse(content_type).map_err(|_| Problem::bad_request(UNREADABLE))?;
        if media_type.params().any(|(name, _)| is_encoded(name.as_str())) {
            return Err(Problem::bad_request(ENCODED));
        }
        let mut values =
            media_type.params().filter(|(name, _)| *name == NAME).map(|(_, value)| value.unquoted_str().into_owned());
        match (values.next(), values.next()) {
            (Some(value), None) if is_boundary(&value) => Ok(Self(format!("--{value}"))),
            (Some(_), None) => Err(Problem::bad_request(UNREADABLE)),
            (None, _) => Err(Problem::bad_request("the `Content-Type` of a multipart needs a `boundary`")),
            (Some(_), Some(_)) => Err(Problem::bad_request("the `Content-Type` has more than one `boundary`")),
        }
    }

    /// The parts, one after the other; in the place of the last one an error, where no closing delimiter is behind it: then
    /// some may be missing.
    pub(crate) fn split<'a>(&'a self, body: &'a [u8]) -> impl Iterator<Item = Result<&'a [u8], Problem>> {
        let mut lines = Lines { body, start: 0 };
        let mut part = None;
        let mut has_ended = false;
        std::iter::from_fn(move || {
            while !has_ended {
                let Some(line) = lines.next() else {
                    has_ended = true;
                    let detail = if part.is_some() { CUT_OFF } else { NO_DELIMITER };
                    return Some(Err(Problem::bad_request(detail)));
                };
                let delimiter = match self.delimiter(line) {
                    None if part.is_none() && self.is_marked(line) => Err(MARKED),
                    None => continue,
                    Some(Delimiter::Torn) => Err(TORN),
                    Some(delimiter) => Ok(delimiter),
                };
                has_ended = delimiter != Ok(Delimiter::Opening);
                if let Err(why) = delimiter {
                    return Some(Err(Problem::bad_request(why)));
                }
                // The line end before a delimiter belongs to it. An empty part has none but that of the delimiter before.
                let found = part.replace(lines.start).map(|start| body.get(start..lines.start - line.len()));
                if let Some(found) = found {
                    return Some(Ok(without_line_end(found.unwrap_or_default())));
                }
            }
            None
        })
    }

    /// Whether any line is a delimiter.
    #[cfg(feature = "inspect")]
    pub(crate) fn stands_in(&self, body: &[u8]) -> bool {
        Lines { body, start: 0 }.any(|line| self.delimiter(line).is_some())
    }

    /// Only a whole line is a delimiter, or one boundary could be taken for another which it is the beginning of. White
    /// space may stand behind it.
    fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        let rest = without_line_end(line).strip_prefix(self.0.as_bytes())?;
        let (delimiter, padding) = match rest {
            [b'-', b'-', padding @ ..] => (Delimiter::Closing, padding),
            padding => (Delimiter::Opening, padding),
        };
        let is_padding = padding.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
        is_padding.then_some(if padding.contains(&b'\r') { Delimiter::Torn } else { delimiter })
    }

    fn is_marked(&self, line: &[u8]) -> bool {
        line.strip_prefix(MARK).is_some_and(|line| self.delimiter(line).is_some())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delimiter {
    Opening,
    Closing,
    /// With a carriage return that ends no line: one to some readers, and none to others.
    Torn,
}

/// `boundary*`, `boundary*0`: those that understand it would take it, and not the plain one beside it.
fn is_encoded(name: &str) -> bool {
    name.split_once('*').is_some_and(|(name, _)| NAME == *name)
}

/// RFC 2046 §5.1.1, and any other character that is visible: some clients take these too.
fn is_boundary(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !text.ends_with(' ')
}

const UNREADABLE: &str = "the `boundary` of a multipart must have 1 to 70 visible characters, and must stand in quotes if it \
                          has others than letters, digits and `-._+'` (RFC 2046 §5.1.1)";

const ENCODED: &str = "the `boundary` of a multipart can't be encoded, or in pieces (RFC 2231)";

const NO_DELIMITER: &str = "the multipart has no line with its boundary; the `boundary` of the `Content-Type` is without the \
                            two hyphens that such a line begins with";

const CUT_OFF: &str = "the multipart is cut off: no line with the boundary and two hyphens behind it ends it";

/// What some writers put before any text. Taken for a preamble, which nobody reads, it would take the first part with it.
const MARK: &[u8] = "\u{feff}".as_bytes();

const TORN: &str = "a line with the boundary ends with a carriage return more than it should";

const MARKED: &str = "the multipart begins with a byte order mark, which would hide its first part: leave that out";

/// Lines, with their ends.
struct Lines<'a> {
    body: &'a [u8],
    /// Of the next one.
    start: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.body[self.start..];
        let line = &rest[..memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1)];
        self.start += line.len();
        Some(line).filter(|line| !line.is_empty())
    }
}

/// Without one CRLF or LF at the end.
pub(crate) fn without_line_end(bytes: &[u8]) -> &[u8] {
    match bytes {
        [rest @ .., b'\r', b'\n'] | [rest @ .., b'\n'] => rest,
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_as_clients_write_them() {
        for (content_type, expected) in [
            ("multipart/mixed; boundary=batch_36522ad7-fc75-4b56", Some("batch_36522ad7-fc75-4b56")),
            ("multipart/mixed;boundary=b", Some("b")),
            (
                "multipart/mixed; boundary=\"===============7330845974216740156==\"",
                Some("===============7330845974216740156=="),
            ),
            ("multipart/mixed; Boundary=\"a b\"", Some("a b")),
            ("multipart/mixed; boundary=\"a\\\"b\"", Some("a\"b")),
            ("multipart/mixed; charset=utf-8; boundary=b; x=y", Some("b")),
            ("multipart/mixed", None),
            ("multipart/mixed; boundary=", None),
            ("multipart/mixed; boundary=\"\"", None),
            ("multipart/mixed; boundary=\"a \"", None),
            ("multipart/mixed; boundary=a; boundary=b", None),
            ("multipart/mixed; boundary=a; boundary*=utf-8''b", None),
            ("multipart/mixed; Boundary*0=a; boundary*1=b", None),
            ("multipart/mixed; boundary=a=b", None),
            ("multipart/mixed; boundary=\"ä\"", None),
            ("multipart/mixed; boundary=\"a\tb\"", None),
            (
                "multipart/mixed; boundary=1234567890123456789012345678901234567890123456789012345678901234567890",
                Some("1234567890123456789012345678901234567890123456789012345678901234567890"),
            ),
            ("multipart/mixed; boundary=12345678901234567890123456789012345678901234567890123456789012345678901", None),
        ] {
            let boundary = Boundary::of(content_type).ok().map(|boundary| boundary.0);
            assert_eq!(boundary, expected.map(|text| format!("--{text}")), "{content_type}");
        }
    }

    #[test]
    fn parts_stand_between_whole_lines() {
        for (body, expected) in [
            ("--b\r\none\r\n--b\r\ntwo\r\n--b--\r\n", Ok(&["one", "two"][..])),
            ("--b\none\n--b\ntwo\n--b--", Ok(&["one", "two"])),
            ("preamble\r\n--b\r\none\r\n--b--\r\nepilogue\r\n--b\r\n", Ok(&["one"])),
            ("--b \t\r\none\r\n--b-- \r\n", Ok(&["one"])),
            ("--b\r\n\r\none\r\n\r\n--b--", Ok(&["\r\none\r\n"])),
            ("--b\r\n--b\r\n\r\n--b--", Ok(&["", ""])),
            ("--b--", Ok(&[])),
            ("--b\n--b--", Ok(&[""])),
            ("--b\none\n--bb\n--b-\n --b\n--B\nx--b\n--b--", Ok(&["one\n--bb\n--b-\n --b\n--B\nx--b"])),
            ("--b\none\n--b---\n--b--x\n--b--", Ok(&["one\n--b---\n--b--x"])),
            ("--b\none\r--b--\n--b--", Ok(&["one\r--b--"])),
            ("--b\r\r\none\r\n--b--", Err(TORN)),
            ("--b\r\none\r\n--b\r \r\ntwo\r\n--b--", Err(TORN)),
            ("--b\r\none\r\n--b--\r", Err(TORN)),
            ("", Err(NO_DELIMITER)),
            ("b\r\none\r\nb--", Err(NO_DELIMITER)),
            ("\u{feff}--b\none\n--b\ntwo\n--b--", Err(MARKED)),
            ("\u{feff}preamble\n--b\none\n\u{feff}--b\n--b--", Ok(&["one\n\u{feff}--b"])),
            ("--b", Err(CUT_OFF)),
            ("--b\r\none", Err(CUT_OFF)),
            ("--b\r\none\r\n--b", Err(CUT_OFF)),
            ("--b\r\none\r\n--b-", Err(CUT_OFF)),
            ("--b\r\none\r\n--b\r\n", Err(CUT_OFF)),
        ] {
            let boundary = Boundary("--b".to_owned());
            let parts: Result<Vec<_>, _> = boundary.split(body.as_bytes()).collect();
            let parts = parts.map_err(|problem| problem.detail().to_owned());
            let expected = expected.map(|parts| parts.iter().map(|part| part.as_bytes()).collect());
            assert_eq!(parts, expected.map_err(str::to_owned), "{body:?}");
        }
    }
}
