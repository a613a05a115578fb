//! One element of `requests`.

use std::collections::HashSet;

use base64::Engine;
use bytes::Bytes;
use http::{HeaderName, header::CONTENT_TYPE};
use serde_json::value::RawValue;

use super::url::Url;
use crate::{
    builder::DecodeContext,
    draft::Draft,
    format::json::values::{BASE64, BASE64URL, members, present, shared, string},
    media_type::Content,
    problem::{Problem, shown, step},
};

/// What has been read so far.
pub(super) struct Requests<'a> {
    cx: DecodeContext<'a>,
    source: &'a Bytes,
    /// What a relative URL stands below: the path of the batch, up to its last slash.
    folder: &'a str,
}

impl<'a> Requests<'a> {
    pub(super) fn new(cx: DecodeContext<'a>, source: &'a Bytes) -> Self {
        let path = cx.head().uri.path();
        Self { cx, source, folder: path.rfind('/').map_or("/", |slash| &path[..=slash]) }
    }

    /// Makes an operation of the next one.
    pub(super) fn draft(&mut self, raw: &'a RawValue) -> Draft<'a> {
        let request = Request::read(raw);
        let mut draft = self.cx.operation();
        match request.id.and_then(string) {
            Some(id) => draft.id(&id),
            None => draft.refuse(Problem::bad_request("`id` is required, and must be a string").at("/id")),
        }
        match request.method.and_then(string) {
            Some(method) => draft.method(&method),
            None => draft.refuse(Problem::bad_request("`method` is required, and must be a string").at("/method")),
        }
        match request.url.and_then(string) {
            Some(url) => self.set_target(&mut draft, shared(self.source, url)),
            None => draft.refuse(Problem::bad_request("`url` is required, and must be a string").at("/url")),
        }
        // Only now, so that the outcome of a faulty operation has its name, method and target if it can.
        if let Some(fault) = request.fault {
            draft.refuse(*fault);
        }
        if draft.is_refused() {
            return draft;
        }
        if let Some(headers) = request.headers {
            if let Err(problem) = set_headers(&mut draft, headers) {
                draft.refuse(problem);
            }
        }
        if let Some(body) = request.body {
            if let Err(problem) = set_body(&mut draft, self.source, body) {
                draft.refuse(problem);
            }
        }
        draft
    }

    fn set_target(&self, draft: &mut Draft<'_>, url: Bytes) {
        let text = std::str::from_utf8(&url).expect("it was a string of a document in UTF-8");
        match Url::parse(text) {
            Url::Path(_) => draft.target(url, "/url"),
            Url::Absolute { authority: Some(authority), rest } if self.cx.is_own_authority(authority) => {
                let is_path = rest.starts_with('/');
                draft.target(if is_path { url.slice_ref(rest.as_bytes()) } else { format!("/{rest}").into() }, "/url");
            }
            Url::Absolute { .. } => {
                let detail = "an operation can't be sent to another server than the batch";
                draft.refuse(Problem::bad_request(detail).at("/url"));
            }
            Url::Relative(relative) => draft.target(format!("{}{relative}", self.folder).into(), "/url"),
            Url::Reference { id, .. } => {
                let detail = format!("`${}` can't be referred to", shown(id));
                draft.refuse(Problem::bad_request(detail).at("/url"));
            }
        }
    }
}

/// The members of a request as they were written. `null` for one means that it isn't there.
#[derive(Default)]
struct Request<'a> {
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    url: Option<&'a RawValue>,
    headers: Option<&'a RawValue>,
    body: Option<&'a RawValue>,
    fault: Option<Box<Problem>>,
}

impl<'a> Request<'a> {
    fn read(raw: &'a RawValue) -> Self {
        let mut request = Self::default();
        let Some(members) = members(raw) else {
            let is_object = raw.get().starts_with('{');
            let detail =
                if is_object { "the request has a member that can't be read" } else { "a request must be an object" };
            request.fault = Some(Box::new(Problem::bad_request(detail)));
            return request;
        };
        let mut names = HashSet::new();
        for (name, value) in members {
            if names.contains(&name) {
                let detail = format!("the member `{}` stands there twice", shown(&name));
                let problem = Problem::bad_request(detail).at(step("", &name));
                request.fault.get_or_insert_with(|| Box::new(problem));
                continue;
            }
            if let Some(member) = request.member(&name) {
                *member = present(Some(value));
            }
            names.insert(name);
        }
        request
    }

    fn member(&mut self, name: &str) -> Option<&mut Option<&'a RawValue>> {
        Some(match name {
            "id" => &mut self.id,
            "method" => &mut self.method,
            "url" => &mut self.url,
            "headers" => &mut self.headers,
            "body" => &mut self.body,
            _ => return None,
        })
    }
}

/// What the format has of its own, beside what any operation may set.
const HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("consistencylevel"),
    HeaderName::from_static("odata-isolation"),
    HeaderName::from_static("odata-maxversion"),
    HeaderName::from_static("odata-version"),
];

/// Each value a string.
fn set_headers(draft: &mut Draft<'_>, headers: &RawValue) -> Result<(), Problem> {
    let members = members(headers)
        .ok_or_else(|| Problem::bad_request("`headers` must be an object, and can't be read as one").at("/headers"))?;
    let mut names = HashSet::new();
    for (name, value) in members {
        if draft.is_refused() {
            break;
        }
        let at = || step("/headers", &name);
        if !names.insert(name.to_ascii_lowercase()) {
            return Err(Problem::bad_request(format!("`{}` stands twice in `headers`", shown(&name))).at(at()));
        }
        let Some(value) = present(Some(value)) else { continue };
        let value = string(value).ok_or_else(|| {
            Problem::bad_request(format!("the value of `{}` must be a string", shown(&name))).at(at())
        })?;
        match HEADERS.iter().find(|own| own.as_str().eq_ignore_ascii_case(&name)) {
            Some(own) => draft.own_header(own, value.as_bytes()),
            None => draft.header(&name, value.as_bytes()),
        }
    }
    Ok(())
}

/// JSON as it is, text as a string, anything else as base64url, or, as Microsoft Graph has it, base64.
fn set_body(draft: &mut Draft<'_>, source: &Bytes, body: &RawValue) -> Result<(), Problem> {
    let content = match draft.headers().contains_key(CONTENT_TYPE) {
        true => Content::of(draft.headers()),
        false => Content::Json,
    };
    if content.is_json() {
        draft.json_data(source.slice_ref(body.get().as_bytes()));
        return Ok(());
    }
    let text = string(body).ok_or_else(|| {
        let detail = "a `body` that is not JSON, by its `content-type`, must be a string";
        Problem::bad_request(detail).at("/body")
    })?;
    if content == Content::Text {
        draft.body(shared(source, text), None);
        return Ok(());
    }
    let alphabet = if text.contains(['-', '_']) { &BASE64URL } else { &BASE64 };
    let bytes = alphabet.decode(text.as_bytes()).map_err(|_| {
        let detail = "a `body` that is neither JSON nor text, by its `content-type`, must be base64url or base64 \
                      (RFC 4648)";
        Problem::bad_request(detail).at("/body")
    })?;
    draft.body(bytes.into(), None);
    Ok(())
}
