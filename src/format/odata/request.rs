//! One element of `requests`.

use std::collections::HashSet;

use base64::Engine;
use bytes::Bytes;
use http::{HeaderName, header::CONTENT_TYPE};
use serde_json::value::RawValue;

use super::{
    members::Request,
    names::{DependsOn, Names},
    url::Url,
};
use crate::{
    builder::DecodeContext,
    draft::Draft,
    format::json::values::{BASE64, BASE64URL, members, present, shared, string, strings},
    media_type::Family,
    problem::{Problem, shown, step},
    rejection::Rejection,
};

/// What has been read so far.
pub(super) struct Requests<'a> {
    cx: DecodeContext<'a>,
    source: &'a Bytes,
    /// What a relative URL stands below: the path of the batch, up to its last slash.
    folder: &'a str,
    names: Names,
}

impl<'a> Requests<'a> {
    pub(super) fn new(cx: DecodeContext<'a>, source: &'a Bytes) -> Self {
        let path = cx.head().uri.path();
        Self { cx, source, folder: path.rfind('/').map_or("/", |slash| &path[..=slash]), names: Names::default() }
    }

    /// Makes an operation of the next one.
    ///
    /// # Errors
    ///
    /// Where its id is the name of a group, or the other way round.
    pub(super) fn draft(&mut self, raw: &'a RawValue) -> Result<Draft<'a>, Rejection> {
        let request = Request::read(raw);
        let mut draft = self.cx.operation();
        let id = request.id.and_then(string);
        match &id {
            Some(id) => draft.id(id),
            None => draft.refuse(Problem::bad_request("`id` is required, and must be a string").at("/id")),
        }
        let group = self.fill(&mut draft, request);
        self.names.add(id.as_deref(), group).map(|()| draft)
    }

    /// Gives each member its meaning; back comes the group that it belongs to.
    fn fill(&self, draft: &mut Draft<'_>, request: Request<'a>) -> Option<Box<str>> {
        match request.method.and_then(string) {
            Some(method) => draft.method(&method),
            None => draft.refuse(Problem::bad_request("`method` is required, and must be a string").at("/method")),
        }
        if request.is_group_unknown {
            draft.unknown_group();
        }
        let mut on = DependsOn::default();
        if let Err(problem) = self.set_others(draft, &mut on, &request) {
            draft.refuse(problem);
        }
        match request.url.and_then(string) {
            Some(url) => self.set_target(draft, &on, shared(self.source, url)),
            None => draft.refuse(Problem::bad_request("`url` is required, and must be a string").at("/url")),
        }
        // Only now, so that the outcome of a faulty operation has its name, method and target if it can.
        if let Some(fault) = request.fault {
            draft.refuse(*fault);
        }
        if draft.is_refused() {
            return on.group;
        }
        if let Some(headers) = request.headers {
            if let Err(problem) = self.set_headers(draft, &on, headers) {
                draft.refuse(problem);
            }
        }
        if let Some(body) = request.body {
            if let Err(problem) = set_body(draft, self.source, body) {
                draft.refuse(problem);
            }
        }
        on.group
    }

    /// `atomicityGroup`: a name. `dependsOn`: names. `if`: an expression.
    fn set_others(&self, draft: &mut Draft<'_>, on: &mut DependsOn, request: &Request<'_>) -> Result<(), Problem> {
        // The group first, for its other members have to know of this one even if the rest is at fault.
        if let Some(group) = request.group {
            let Some(name) = string(group) else {
                draft.unknown_group();
                return Err(Problem::bad_request("`atomicityGroup` must be a string").at("/atomicityGroup"));
            };
            draft.group(&name, "/atomicityGroup");
            on.group = Some(name.into());
        }
        if let Some(depends_on) = request.depends_on {
            let names = strings(depends_on).ok_or_else(|| {
                Problem::bad_request("`dependsOn` must be an array of ids and names of groups").at("/dependsOn")
            })?;
            for (nth, name) in names.iter().enumerate() {
                self.names.depend(draft, on, name, format!("/dependsOn/{nth}"));
                if draft.is_refused() {
                    break;
                }
            }
        }
        if let Some(condition) = request.condition {
            let text = string(condition)
                .ok_or_else(|| Problem::bad_request("`if` must be an expression, a string").at("/if"))?;
            self.names.condition(draft, &text);
        }
        Ok(())
    }

    /// Each value a string; `$id` in a condition is the `etag` of that response.
    fn set_headers(&self, draft: &mut Draft<'_>, on: &DependsOn, headers: &RawValue) -> Result<(), Problem> {
        let members = members(headers).ok_or_else(|| {
            Problem::bad_request("`headers` must be an object, and can't be read as one").at("/headers")
        })?;
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
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            // No entity tag begins like this (RFC 9110 §8.8.3).
            if let Some(id) = value.strip_prefix('$').filter(|_| is("if-match") || is("if-none-match")) {
                self.names.reference(on, id).map_err(|problem| problem.at(at()))?;
                let reference = format!("the entity tag for {name}");
                draft.header_reference_at(&reference, id, "etag", at());
                draft.header_from(&name, &reference);
            } else if let Some(own) = HEADERS.iter().find(|own| is(own.as_str())) {
                draft.own_header(own, value.as_bytes());
            } else {
                draft.header(&name, value.as_bytes());
            }
        }
        Ok(())
    }

    fn set_target(&self, draft: &mut Draft<'_>, on: &DependsOn, url: Bytes) {
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
            Url::Reference { id, rest } => match self.names.reference(on, id) {
                Ok(()) => {
                    let name = format!("${id}");
                    draft.entity_reference(&name, id, "/url");
                    draft.target_below(&name, rest, "/url");
                }
                Err(problem) => draft.refuse(problem.at("/url")),
            },
        }
    }
}

/// What the format has of its own, beside what any operation may set.
const HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("consistencylevel"),
    HeaderName::from_static("odata-isolation"),
    HeaderName::from_static("odata-maxversion"),
    HeaderName::from_static("odata-version"),
];

/// JSON as it is, text as a string, anything else as base64url, or, as Microsoft Graph has it, base64.
fn set_body(draft: &mut Draft<'_>, source: &Bytes, body: &RawValue) -> Result<(), Problem> {
    let family = match draft.headers().contains_key(CONTENT_TYPE) {
        true => Family::of(draft.headers()),
        false => Family::Json,
    };
    if family.is_json() {
        draft.json_data(source.slice_ref(body.get().as_bytes()));
        return Ok(());
    }
    let text = string(body).ok_or_else(|| {
        let detail = "a `body` that is not JSON, by its `content-type`, must be a string";
        Problem::bad_request(detail).at("/body")
    })?;
    if family == Family::Text {
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
