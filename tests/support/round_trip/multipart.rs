//! Reads answers that are multiparts, strictly as they have to be written (RFC 2046 §5.1, RFC 9112 §2.1).

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::{
    MediaType,
    read::{Body, Told, header_text},
};

/// In request order. What stands in a multipart of its own is a change set.
pub(super) fn read(content_type: &str, body: &[u8]) -> Vec<Told> {
    let boundary = content_type.strip_prefix("multipart/mixed; boundary=").expect("it is the last parameter, unquoted");
    assert!(boundary.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{boundary}");
    let body = [b"\r\n", body].concat();
    let delimiter = format!("\r\n--{boundary}");
    let mut pieces = split(&body, delimiter.as_bytes()).into_iter();
    assert_eq!(pieces.next(), Some(&b""[..]), "there is no preamble");
    assert!(matches!(pieces.next_back(), Some(b"--" | b"--\r\n")), "it is not closed");
    let part = |piece: &[u8]| {
        let (fields, rest) = fields(piece.strip_prefix(b"\r\n").expect("a delimiter is a line"));
        match &*field(&fields, "Content-Type").expect("each part has one") {
            "application/http" => vec![response(rest)],
            multipart => read(multipart, rest),
        }
    };
    pieces.flat_map(part).collect()
}

fn response(bytes: &[u8]) -> Told {
    let (line, rest) = line(bytes);
    let line = std::str::from_utf8(line).expect("it is plain");
    let (code, reason) = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split_once(' ')).expect("a status line");
    assert!(!reason.is_empty());
    let (fields, body) = fields(rest);
    assert_eq!(field(&fields, "Content-Length"), Some(body.len().to_string()));
    Told {
        status: code.parse::<StatusCode>().expect("it has three digits"),
        content_type: field(&fields, "Content-Type").map(MediaType::told),
        bodies: vec![Body::Bytes(Bytes::copy_from_slice(body))],
    }
}

/// A name and a value.
type Field<'a> = (&'a [u8], &'a [u8]);

/// Up to an empty line, and what is behind it.
fn fields(mut rest: &[u8]) -> (Vec<Field<'_>>, &[u8]) {
    let mut fields = Vec::new();
    loop {
        let (field, behind) = line(rest);
        rest = behind;
        if field.is_empty() {
            return (fields, rest);
        }
        let colon = field.windows(2).position(|two| two == b": ").expect("a name and a value");
        fields.push((&field[..colon], &field[colon + 2..]));
    }
}

/// The value of the only field of this name.
fn field(fields: &[Field<'_>], name: &str) -> Option<String> {
    let mut values = fields.iter().filter(|(other, _)| *other == name.as_bytes()).map(|(_, value)| *value);
    let value = values.next();
    assert_eq!(values.next(), None, "two of {name}");
    value.map(|value| header_text(&HeaderValue::from_bytes(value).expect("it was one")))
}

fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.windows(2).position(|two| two == b"\r\n").expect("a line ends with CRLF");
    (&bytes[..end], &bytes[end + 2..])
}

fn split<'a>(mut bytes: &'a [u8], delimiter: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while let Some(at) = bytes.windows(delimiter.len()).position(|window| window == delimiter) {
        pieces.push(&bytes[..at]);
        bytes = &bytes[at + delimiter.len()..];
    }
    pieces.push(bytes);
    pieces
}
