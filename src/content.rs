use std::borrow::Cow;

use crate::{json_text, media_type::Family};

/// What there is to show of an outcome. See [`Outcome::content`](crate::Outcome::content).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content<'a> {
    /// No body.
    Empty,
    /// One JSON value, as the service has written it, or as the [`Problem`](crate::Problem) has it.
    ///
    /// It can be embedded in a JSON document without a further look: any client can read it (RFC 7493 §2.1 and §2.2), and
    /// it is nested no more than 61 levels deep. Between its tokens there may be line ends.
    Json(Cow<'a, str>),
    /// The characters of a `text/*` type in UTF-8, or of any other with `charset=utf-8`.
    Text(&'a str),
    /// Anything else: of another type, of none, or not what its type says that it is.
    Bytes(&'a [u8]),
}

impl<'a> Content<'a> {
    /// The characters of JSON or text, and none where there is no body; `None` where it is bytes.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Empty => Some(""),
            Self::Json(json) => Some(json),
            Self::Text(text) => Some(text),
            Self::Bytes(_) => None,
        }
    }

    /// A body of this family.
    pub(crate) fn new(family: Family, body: &'a [u8]) -> Self {
        let content = match family {
            _ if body.is_empty() => Some(Self::Empty),
            Family::Json | Family::JsonBased => json_text::embeddable(body).map(|json| Self::Json(json.into())),
            Family::Text => std::str::from_utf8(body).ok().map(Self::Text),
            Family::Binary => None,
        };
        // JSON that is none is no text either: beside JSON that is a string, nobody could tell which of the two it is.
        content.unwrap_or(Self::Bytes(body))
    }
}
