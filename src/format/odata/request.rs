//! One element of `requests`.

use std::collections::HashSet;

use base64::Engine;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::value::RawValue;

use super::{
    members::Request,
    names::{DependsOn, Names},
};
use crate::{
    builder::DecodeContext,
    draft::Draft,
    format::{
        json::values::{BASE64, BASE64URL, members, present, shared, string, strings},
        odata_protocol::{set_header, set_target},
    },
    media_type::Family,
    problem::{Problem, shown, step},
    rejection::Rejection,
};

/// What has been read so far.
pub(super) struct Requests<'a> {
    cx: DecodeContext<'a>,
    source: &'a Bytes,
    names: Names,
}

impl<'a> Requests<'a> {
    pub(super) fn new(cx: DecodeContext<'a>, source: &'a Bytes) -> Self {
        Self { cx, source, names: Names::default() }
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
            Some(url) => {
                set_target(draft, self.cx, shared(self.source, url), "/url", |id| self.names.reference(&on, id));
            }
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

    /// Each value a string.
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
            set_header(draft, &name, value.as_bytes(), |id| self.names.reference(on, id));
        }
        Ok(())
    }
}

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
    if family == Family::Text && !draft.is_call() {
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
