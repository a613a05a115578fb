//! What a sub-request may be aimed at.

use std::borrow::Cow;

use bytes::Bytes;
use http::uri::PathAndQuery;

/// Reads a target in origin-form (RFC 9112 §3.2.1). It never is a whole URI, so no operation can name another host.
pub(crate) fn parse(target: Bytes, limit: usize) -> Result<PathAndQuery, &'static str> {
    if target.len() > limit {
        return Err("the target is too long");
    }
    check(&target)?;
    PathAndQuery::from_maybe_shared(target).map_err(|_| "the target is not a path with an optional query (RFC 3986 §3)")
}

fn check(target: &[u8]) -> Result<(), &'static str> {
    match target {
        // Some routers and every browser read this as the start of an authority.
        [b'/', b'/', ..] => return Err("the target must not begin with `//`"),
        [b'/', ..] => {}
        _ => return Err("the target must be a path that begins with `/`"),
    }
    // Most targets are plain, and need no closer look.
    if target.iter().all(|&byte| PLAIN[usize::from(byte)]) {
        return Ok(());
    }
    for byte in target {
        match byte {
            b'#' => return Err("the target must not have a fragment: percent-encode `#` as %23"),
            b' ' => return Err("the target has a space: percent-encode it as %20"),
            0..=0x1f | 0x7f => return Err("the target has a control character: percent-encode it"),
            0x80.. => return Err("the target has a character outside of ASCII: percent-encode its UTF-8 bytes"),
            _ => {}
        }
    }
    check_segments(target.split(|&byte| byte == b'?').next().unwrap_or(target))
}

/// Bytes that can neither be wrong in a target nor lead to another place.
const PLAIN: [bool; 256] = {
    let (mut plain, mut byte) = ([false; 256], 0x21);
    while byte < 0x7f {
        plain[byte as usize] = !matches!(byte, b'#' | b'%' | b'.' | b'\\');
        byte += 1;
    }
    plain
};

/// Refuses what inner routers, proxies and file systems disagree about. An escaped slash is a separator to some of
/// them, so it is one here too, but only for finding dot segments: by itself it is fine. Others cut what stands behind a
/// semicolon off first, so that `..;` leads upwards.
fn check_segments(path: &[u8]) -> Result<(), &'static str> {
    let mut dots = Some(0);
    let mut rest = path;
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match rest {
            [b'%', high, low, beyond @ ..] => unescape(*high, *low).map_or((first, after), |byte| (byte, beyond)),
            _ => (first, after),
        };
        match byte {
            b'\\' => return Err("the path must not have a backslash, plain or percent-encoded"),
            b'/' | b';' if matches!(dots, Some(1 | 2)) => return Err(DOTS),
            b'/' => dots = Some(0),
            b'.' => dots = dots.map(|dots| dots + 1),
            _ => dots = None,
        }
        rest = after;
    }
    if matches!(dots, Some(1 | 2)) { Err(DOTS) } else { Ok(()) }
}

const DOTS: &str = "the path must not have `.` or `..` segments, plain or percent-encoded: resolve them first";

fn unescape(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];

/// Percent-encodes what a header or a path may hold, and a URI may not (RFC 3986 §2).
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let is_uri = |at: usize| match bytes[at] {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        byte => matches!(byte, b'!' | b'#'..=b';' | b'=' | b'?'..=b'Z' | b'_' | b'a'..=b'z' | b'~'),
    };
    if (0..bytes.len()).all(is_uri) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 32);
    for (at, &byte) in bytes.iter().enumerate() {
        if is_uri(at) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    encoded.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(target: &'static str) -> bool {
        parse(Bytes::from_static(target.as_bytes()), 8192).is_ok()
    }

    #[test]
    fn what_is_legal_stays_legal() {
        for target in [
            "/",
            "/users/17",
            "/users/17?x=1",
            "/a//b",
            "/@user",
            "/a?next=http://evil.example/..",
            "/a?b=\\",
            "/a?../..",
            "/a?..;/..",
            "/a;b=../c",
            "/...;/a..;",
            "/...",
            "/.well-known/x",
            "/a..b/c.",
            "/%2e%2e%2e/x",
            "/a%2fb",
            "/%zz",
            "/a%",
            "/a?",
            "/a:b@c",
            "/100%25",
            "/%252e%252e/",
        ] {
            assert!(accepted(target), "{target}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for target in [
            "",
            "users",
            "*",
            "http://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "/%5cevil",
            "/%5Cevil",
            "/a\\b",
            "/.",
            "/..",
            "/./a",
            "/../a",
            "/a/..",
            "/a/../b",
            "/a/.",
            "/%2e",
            "/%2E%2e/a",
            "/.%2e/a",
            "/a/%2e.?q",
            "/a%2f..%2fb",
            "/a%2f..",
            "/a/..;/b",
            "/a/..;b=c/d",
            "/.;",
            "/a/%2e.%3b/b",
            "/a%2f..;",
            "/a%z/../b",
            "/a%/..",
            "/a#b",
            "/a?b#c",
            "/a b",
            "/a\r\nb",
            "/a\tb",
            "/a?b\nc",
            "/\0",
            "/\x7f",
            "/ü",
            "/a?ü",
        ] {
            assert!(!accepted(target), "{target:?}");
        }
    }

    #[test]
    fn length_is_bounded() {
        assert!(parse(Bytes::from_static(b"/1234567"), 8).is_ok());
        assert!(parse(Bytes::from_static(b"/12345678"), 8).is_err());
    }
}
