//! What a body is: as its type says, and by its looks.

use mediatype::{MediaType, names};

use super::json::children;

/// A way of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Xml,
    Json,
    Lines,
    Multipart,
}

impl Kind {
    /// That of a media type; `None` for those that no results are written in.
    pub(super) fn of_type(content_type: &str) -> Option<Self> {
        let media_type = MediaType::parse(content_type).ok()?;
        if media_type.ty == names::MULTIPART {
            return Some(Self::Multipart);
        }
        let subtype = media_type.suffix.unwrap_or(media_type.subty);
        let is = |name: &str| subtype.as_str().eq_ignore_ascii_case(name);
        match media_type.ty {
            _ if media_type.ty != names::APPLICATION && media_type.ty != names::TEXT => None,
            _ if is("xml") => Some(Self::Xml),
            _ if is("json") => Some(Self::Json),
            _ if ["x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "x-jsonlines"].into_iter().any(is) => {
                Some(Self::Lines)
            }
            _ => None,
        }
    }

    /// That of a body by its beginning, where `said` decides what looks alike.
    pub(super) fn of_body(body: &[u8], said: Option<Self>) -> Option<Self> {
        match body.trim_ascii_start() {
            [b'<', ..] => Some(Self::Xml),
            rest @ [b'{', ..] => Some(if is_lines(rest, said) { Self::Lines } else { Self::Json }),
            [b'[', ..] => Some(Self::Json),
            [b'-', b'-', ..] => Some(Self::Multipart),
            // Before the first boundary may stand a text.
            _ => said.filter(|kind| *kind == Self::Multipart),
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Xml => "XML",
            Self::Json => "JSON",
            Self::Lines => "JSON by lines",
            Self::Multipart => "a multipart",
        }
    }
}

/// Whether the first line is a JSON object, and the body isn't that alone; or could be that alone, and is said to be.
fn is_lines(body: &[u8], said: Option<Kind>) -> bool {
    let end = memchr::memchr(b'\n', body).unwrap_or(body.len());
    let (first, rest) = body.split_at(end);
    let Ok(first) = std::str::from_utf8(first) else { return said == Some(Kind::Lines) };
    if serde_json::from_str::<serde::de::IgnoredAny>(first).is_err() {
        return said == Some(Kind::Lines) && rest.is_empty();
    }
    let is_alone = rest.trim_ascii().is_empty();
    let has_list = || children(first).any(|child| child.value.starts_with('['));
    !is_alone || said == Some(Kind::Lines) && !has_list()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_types_and_of_bodies() {
        for (content_type, expected) in [
            ("text/xml; charset=\"utf-8\"", Some(Kind::Xml)),
            ("application/dav+xml", Some(Kind::Xml)),
            ("Application/JSON;odata.metadata=minimal", Some(Kind::Json)),
            ("application/problem+json", Some(Kind::Json)),
            ("application/x-ndjson", Some(Kind::Lines)),
            ("multipart/mixed; boundary=b", Some(Kind::Multipart)),
            ("text/html", None),
            ("image/svg+xml", None),
            ("", None),
            ("json", None),
        ] {
            assert_eq!(Kind::of_type(content_type), expected, "{content_type}");
        }
        for (body, said, expected) in [
            (" <a/>", None, Some(Kind::Xml)),
            ("[1]\n", None, Some(Kind::Json)),
            ("{}\n{}", None, Some(Kind::Lines)),
            ("{}\n", None, Some(Kind::Json)),
            ("{}\n", Some(Kind::Lines), Some(Kind::Lines)),
            ("{\"a\":1", Some(Kind::Lines), Some(Kind::Lines)),
            ("{\n}", None, Some(Kind::Json)),
            ("{\n}", Some(Kind::Lines), Some(Kind::Json)),
            (r#"{"results":[]}"#, Some(Kind::Lines), Some(Kind::Json)),
            ("--b\n", None, Some(Kind::Multipart)),
            ("Hello\n--b\n", Some(Kind::Multipart), Some(Kind::Multipart)),
            ("Hello", None, None),
            ("", None, None),
        ] {
            assert_eq!(Kind::of_body(body.as_bytes(), said), expected, "{body}");
        }
    }
}
