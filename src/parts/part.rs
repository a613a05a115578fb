//! One part of a multipart.

use super::{
    MEDIA_TYPE,
    boundary::Boundary,
    fields::{Fields, only},
};
use crate::{media_type::essence, problem::Problem};

/// What a part says of itself, and what is in it.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    /// Also where something is wrong with the rest, so that the client knows whose outcome that is.
    pub(crate) id: Option<String>,
    pub(crate) content: Result<PartContent<'a>, Problem>,
}

#[derive(Debug)]
pub(crate) enum PartContent<'a> {
    /// An HTTP request (RFC 9112 §10.2).
    Http(&'a [u8]),
    /// More parts, between lines with this boundary.
    Multipart(Boundary, &'a [u8]),
}

impl<'a> Part<'a> {
    /// `limit` is how many lines its header may have.
    pub(crate) fn read(bytes: &'a [u8], limit: usize) -> Self {
        let header = Fields::take(bytes);
        let fields = match header.read(limit) {
            Ok(fields) => fields,
            Err(problem) => return Self { id: None, content: Err(problem) },
        };
        match only(&fields, "Content-ID") {
            Ok(id) => {
                Self { id: id.filter(|id| !id.is_empty()).map(str::to_owned), content: content(&fields, header.rest) }
            }
            Err(problem) => Self { id: None, content: Err(problem) },
        }
    }
}

fn content<'a>(fields: &[httparse::Header<'_>], rest: &'a [u8]) -> Result<PartContent<'a>, Problem> {
    if let Some(encoding) = only(fields, "Content-Transfer-Encoding")? {
        if !["binary", "8bit", "7bit"].iter().any(|identity| encoding.eq_ignore_ascii_case(identity)) {
            let detail = "a part has to be sent as it is, with the `Content-Transfer-Encoding` `binary` or none";
            return Err(Problem::bad_request(detail));
        }
    }
    let content_type = only(fields, "Content-Type")?.unwrap_or_default();
    match essence(content_type).as_deref() {
        Some("application/http") => Ok(PartContent::Http(rest)),
        Some(MEDIA_TYPE) => Ok(PartContent::Multipart(Boundary::of(content_type)?, rest)),
        _ => {
            let detail =
                "the `Content-Type` of a part must be `application/http`, or for a change set `multipart/mixed`";
            Err(Problem::bad_request(detail))
        }
    }
}
