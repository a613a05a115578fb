use std::{borrow::Cow, error::Error, fmt};

use http::StatusCode;
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// Why one operation, or one whole batch, was refused: the members of an RFC 9457 problem document.
///
/// The `type` is always `about:blank`, so by RFC 9457 §4.2.1 the `title` is the status' reason phrase. What a person
/// needs to know stands in `detail`.
///
/// ```
/// use http::StatusCode;
/// use tower_multistatus::Problem;
///
/// let problem = Problem::new(StatusCode::BAD_REQUEST, "`path` must begin with `/`").at("/operations/3/path");
/// assert_eq!(
///     serde_json::to_value(&problem)?,
///     serde_json::json!({
///         "type": "about:blank",
///         "title": "Bad Request",
///         "status": 400,
///         "detail": "`path` must begin with `/`",
///         "pointer": "/operations/3/path",
///     })
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    pointer: Option<String>,
}

impl Problem {
    /// A problem with this status; `detail` says what is wrong and what to do about it.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), pointer: None }
    }

    /// A 400: the sender has to change something.
    #[must_use]
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Names the place that is at fault, as a JSON Pointer (RFC 6901) into the batch.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// The same, with one thing more to be said.
    pub(crate) fn and(mut self, detail: &str) -> Self {
        self.detail = format!("{}; {detail}", self.detail).into();
        self
    }

    /// The document, as JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a problem has only string keys and plain values")
    }

    /// Puts `prefix` before the pointer, so that a place in an operation becomes one in the batch.
    pub(crate) fn within(&mut self, prefix: &str) {
        self.pointer.get_or_insert_default().insert_str(0, prefix);
    }

    /// The status of the slot, or of the whole answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The status' reason phrase.
    #[must_use]
    pub fn title(&self) -> &'static str {
        reason(self.status)
    }

    /// What is wrong, and what to do about it.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The place that is at fault, as a JSON Pointer (RFC 6901) into the batch.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        self.pointer.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_str(), self.title(), self.detail)
    }
}

impl Error for Problem {}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = 4 + usize::from(self.pointer.is_some());
        let mut document = serializer.serialize_struct("Problem", members)?;
        document.serialize_field("type", "about:blank")?;
        document.serialize_field("title", self.title())?;
        document.serialize_field("status", &self.status.as_u16())?;
        document.serialize_field("detail", &self.detail)?;
        if let Some(pointer) = &self.pointer {
            document.serialize_field("pointer", pointer)?;
        }
        document.end()
    }
}

/// How much of a name that the client chose is repeated to it.
const SHOWN: usize = 64;

/// A name for a problem's text: cut, for what is wrong may be long.
pub(crate) fn shown(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]).into(),
        None => name.into(),
    }
}

/// A JSON Pointer, and the member of that name in what it points to (RFC 6901 §3). Without the last step where the name
/// is too long to be repeated.
pub(crate) fn step(pointer: &str, name: &str) -> String {
    if name.len() > SHOWN {
        return pointer.to_owned();
    }
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The reason phrase of a status; for one that no RFC names, that of its class (RFC 9110 §15).
pub(crate) fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or(match status.as_u16() / 100 {
        1 => "Informational",
        2 => "Success",
        3 => "Redirection",
        4 => "Client Error",
        5 => "Server Error",
        _ => "Unknown",
    })
}
