use std::{error::Error, fmt};

use bytes::Bytes;
use http::{Response, StatusCode, Version, response::Builder};

use crate::parts::{Fields, without_line_end};

/// So many lines may a saved head have.
const MOST_FIELDS: usize = 1024;

/// Reads a response as `curl -i` saves it: a status line (also one of HTTP/2 or HTTP/3), headers, an empty line, the body.
/// Heads before the last one are passed over: of interim responses (1xx), of redirects that were followed (`-L`), of
/// challenges that were answered (401, 407), and of proxies.
///
/// # Errors
///
/// Where it doesn't begin with such a head.
///
/// ```
/// let saved = "HTTP/1.1 100 Continue\r\n\r\nHTTP/2 207 \r\ncontent-type: application/json\r\n\r\n{}";
/// let response = tower_multistatus::inspect::saved(saved.as_bytes())?;
/// assert_eq!((response.status().as_u16(), response.body().as_ref()), (207, &b"{}"[..]));
/// # Ok::<(), tower_multistatus::inspect::NotSaved>(())
/// ```
pub fn saved(bytes: &[u8]) -> Result<Response<Bytes>, NotSaved> {
    let mut rest = bytes;
    loop {
        let (status, head, body) = head(rest)?;
        let is_followed = body.starts_with(b"HTTP/") && !matches!(status.as_u16(), 207 | 500..);
        if is_followed && self::head(body).is_ok() {
            rest = body;
            continue;
        }
        let response = head.body(Bytes::copy_from_slice(body));
        return response.map_err(|_| NotSaved("a header of the saved response has a name or a value that can't be"));
    }
}

fn head(bytes: &[u8]) -> Result<(StatusCode, Builder, &[u8]), NotSaved> {
    let (line, rest) = bytes.split_at(memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1));
    let (version, status) = status_line(without_line_end(line)).ok_or(NotSaved(
        "a saved response begins with a status line, as `curl -i` writes it: `HTTP/1.1 207 Multi-Status`",
    ))?;
    let fields = Fields::take(rest);
    let mut head = Response::builder().version(version).status(status);
    let found = fields.read(MOST_FIELDS).map_err(|_| NotSaved("the header of the saved response can't be read"))?;
    for field in found {
        head = head.header(field.name, field.value);
    }
    Ok((status, head, fields.rest))
}

fn status_line(line: &[u8]) -> Option<(Version, StatusCode)> {
    let mut words = std::str::from_utf8(line).ok()?.splitn(3, ' ');
    let version = match words.next()? {
        "HTTP/0.9" => Version::HTTP_09,
        "HTTP/1.0" => Version::HTTP_10,
        "HTTP/1.1" => Version::HTTP_11,
        "HTTP/2" | "HTTP/2.0" => Version::HTTP_2,
        "HTTP/3" | "HTTP/3.0" => Version::HTTP_3,
        _ => return None,
    };
    Some((version, words.next()?.parse().ok()?))
}

/// Bytes that are no saved response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSaved(&'static str);

impl fmt::Display for NotSaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for NotSaved {}
