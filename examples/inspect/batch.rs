//! What a batch is, by its looks.

use http::HeaderValue;

/// Its content type.
pub(crate) fn content_type(body: &[u8]) -> Option<HeaderValue> {
    let text = std::str::from_utf8(body).ok()?.trim_start();
    match text.as_bytes().first()? {
        b'[' => Some(HeaderValue::from_static("application/json")),
        b'{' => {
            // The first line of a JSON batch is whole only if it is the only one.
            let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
            let is_whole = serde_json::from_str::<serde_json::Value>(first).is_ok();
            let is_lines = is_whole && !rest.trim().is_empty();
            Some(HeaderValue::from_static(if is_lines { "application/x-ndjson" } else { "application/json" }))
        }
        b'<' => Some(HeaderValue::from_static("application/xml")),
        b'-' => {
            let boundary = text.lines().next()?.strip_prefix("--")?.trim_end();
            format!("multipart/mixed; boundary=\"{boundary}\"").try_into().ok()
        }
        _ => None,
    }
}
