//! Bytes as text.

use std::borrow::Cow;

use super::{code::Code, gather::Gather};

const MARK: &[u8] = "\u{feff}".as_bytes();

/// Without the byte order mark that it may begin with.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// The text, with a replacement for what is none.
pub(super) fn text<'a>(gather: &mut Gather, bytes: &'a [u8]) -> Cow<'a, str> {
    let text = String::from_utf8_lossy(bytes);
    if matches!(text, Cow::Owned(_)) && std::str::from_utf8(bytes).is_err() {
        gather.find(Code::NotUtf8, "the body is not UTF-8");
    }
    text
}
