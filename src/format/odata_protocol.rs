//! What OData says of batches whatever they are written in (OData Protocol 4.01, section 11.7): where a request goes, what
//! headers it may have, how an error looks. Google's batches need no more than that.

use bytes::Bytes;
use http::HeaderName;
use serde_json::json;

use self::url::Url;
use crate::{
    builder::DecodeContext,
    draft::Draft,
    problem::{Problem, step},
};

mod canonical;
mod prefer;
mod url;

pub(super) use self::{canonical::Canonical, prefer::continue_on_error};

/// Sends a request to where its URL leads. `pointer` is where that stands in the request; `follow` tells what the batch
/// knows that request by which is meant by a `$id`.
pub(super) fn set_target(
    draft: &mut Draft<'_>,
    cx: DecodeContext<'_>,
    url: Bytes,
    pointer: &'static str,
    follow: impl FnOnce(&str) -> Result<String, Problem>,
) {
    let Ok(text) = std::str::from_utf8(&url) else { return draft.target(url, pointer) };
    match Url::parse(text) {
        Url::Path(_) => draft.target(url, pointer),
        Url::Absolute { authority: Some(authority), rest } if cx.is_own_authority(authority) => {
            let is_path = rest.starts_with('/');
            draft.target(if is_path { url.slice_ref(rest.as_bytes()) } else { format!("/{rest}").into() }, pointer);
        }
        Url::Absolute { .. } => {
            let detail = "an operation can't be sent to another server than the batch";
            draft.refuse(Problem::bad_request(detail).at(pointer));
        }
        Url::Relative(relative) => draft.target(format!("{}{relative}", folder(cx)).into(), pointer),
        Url::Reference { id, rest } => match follow(id) {
            Ok(key) => {
                let name = format!("${id}");
                draft.entity_reference(&name, &key, pointer);
                draft.target_below(&name, rest, pointer);
            }
            Err(problem) => draft.refuse(problem.at(pointer)),
        },
    }
}

/// What a relative URL stands below: the path of the batch, up to its last slash.
fn folder(cx: DecodeContext<'_>) -> &str {
    let path = cx.head().uri.path();
    path.rfind('/').map_or("/", |slash| &path[..=slash])
}

/// Sets a header; `$id` in a condition is the `etag` of that response.
pub(super) fn set_header(
    draft: &mut Draft<'_>,
    name: &str,
    value: &[u8],
    follow: impl FnOnce(&str) -> Result<String, Problem>,
) {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    // No entity tag begins like this (RFC 9110 §8.8.3).
    let id = value.strip_prefix(b"$").filter(|_| is("if-match") || is("if-none-match"));
    if let Some(id) = id.and_then(|id| std::str::from_utf8(id).ok()) {
        let pointer = step("/headers", name);
        match follow(id) {
            Ok(key) => {
                let reference = format!("the entity tag for {name}");
                draft.header_reference_at(&reference, &key, "etag", pointer);
                draft.header_from(name, &reference);
            }
            Err(problem) => draft.refuse(problem.at(pointer)),
        }
    } else if let Some(own) = HEADERS.iter().find(|own| is(own.as_str())) {
        draft.own_header(own, value);
    } else {
        draft.header(name, value);
    }
}

/// What OData has of its own, beside what any operation may set.
const HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("consistencylevel"),
    HeaderName::from_static("odata-isolation"),
    HeaderName::from_static("odata-maxversion"),
    HeaderName::from_static("odata-version"),
];

/// As clients of OData and of Google expect it (OData JSON Format 4.01, section 21.1); they can't read problem documents.
/// The code is the reason phrase without its spaces.
pub(super) fn error(problem: &Problem) -> serde_json::Value {
    let code: String = problem.title().chars().filter(char::is_ascii_alphanumeric).collect();
    let mut error = json!({"code": code, "message": problem.detail()});
    if let Some(pointer) = problem.pointer() {
        error["target"] = pointer.into();
    }
    json!({"error": error})
}
