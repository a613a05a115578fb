//! Of which kind the content of a message is, as its `Content-Type` has it (RFC 9110 §8.3).

use http::{HeaderMap, HeaderValue, header};
use mediatype::{MediaType, ReadParams, names};

/// What reads content of this media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `application/json`, with or without a charset.
    Json,
    /// Another type with the suffix `+json` (RFC 6839 §3.1).
    JsonBased,
    /// `text/*` in UTF-8, and whatever says that it is UTF-8: only of text has that a meaning.
    Text,
    /// Anything else, and what says nothing of itself.
    Binary,
}

impl Family {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        headers.get(header::CONTENT_TYPE).map_or(Self::Binary, Self::from_value)
    }

    fn from_value(value: &HeaderValue) -> Self {
        if value == "application/json" {
            return Self::Json;
        }
        let Some(media_type) = value.to_str().ok().and_then(|value| MediaType::parse(value).ok()) else {
            return Self::Binary;
        };
        if media_type.essence() == MediaType::new(names::APPLICATION, names::JSON) {
            Self::Json
        } else if media_type.suffix == Some(names::JSON) {
            Self::JsonBased
        } else if is_utf8(&media_type)
            && (media_type.ty == names::TEXT || media_type.get_param(names::CHARSET).is_some())
        {
            Self::Text
        } else {
            Self::Binary
        }
    }

    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::JsonBased)
    }
}

/// `type/subtype` in lower case; `None` if it can't be read, or is in another charset than UTF-8.
pub(crate) fn essence(content_type: &str) -> Option<String> {
    let media_type = MediaType::parse(content_type).ok()?;
    is_utf8(&media_type).then(|| media_type.essence().to_string().to_ascii_lowercase())
}

fn is_utf8(media_type: &MediaType<'_>) -> bool {
    media_type.get_param(names::CHARSET).is_none_or(|charset| {
        let charset = charset.unquoted_str();
        ["utf-8", "utf8", "us-ascii"].iter().any(|utf8| charset.eq_ignore_ascii_case(utf8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_content() {
        for (content_type, expected) in [
            ("application/json", Family::Json),
            ("Application/JSON; charset=\"UTF-8\"", Family::Json),
            ("application/problem+json", Family::JsonBased),
            ("application/vnd.acme.v2+json;q=1", Family::JsonBased),
            ("text/plain", Family::Text),
            ("text/html; charset=utf-8", Family::Text),
            ("text/html; charset=iso-8859-1", Family::Binary),
            ("application/xml; charset=utf-8", Family::Text),
            ("application/javascript;charset=\"UTF-8\"", Family::Text),
            ("application/xml; charset=utf-16", Family::Binary),
            ("application/xml", Family::Binary),
            ("application/octet-stream", Family::Binary),
            ("application/jsonp", Family::Binary),
            ("", Family::Binary),
            ("garbage", Family::Binary),
        ] {
            assert_eq!(Family::from_value(&HeaderValue::from_static(content_type)), expected, "{content_type}");
        }
    }
}
