use http::StatusCode;

use crate::media_type::Family;

/// A sentence for people (RFC 4918 §14.25): what the body of a failure says, if that is short.
pub(crate) fn description(status: StatusCode, content: Family, body: &[u8]) -> Option<String> {
    const SHORT: usize = 256;
    // A longer document is no sentence, and taking it apart would need many times its size.
    const LONGEST_DOCUMENT: usize = 64 << 10;
    if status.as_u16() < 400 || body.len() > LONGEST_DOCUMENT {
        return None;
    }
    let body = std::str::from_utf8(body).ok()?;
    match content {
        Family::Json | Family::JsonBased => {
            let json: serde_json::Value = serde_json::from_str(body).ok()?;
            let candidates = ["/detail", "/title", "/message", "/error/message", "/error"];
            let mut texts = candidates.into_iter().filter_map(|pointer| json.pointer(pointer)?.as_str());
            texts.find(|text| !text.is_empty()).map(|text| text.chars().take(SHORT).collect())
        }
        Family::Text => Some(body.trim()).filter(|text| !text.is_empty() && text.len() <= SHORT).map(str::to_owned),
        Family::Binary => None,
    }
}
