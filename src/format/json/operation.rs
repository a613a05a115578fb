//! One element of the list: taken apart in one pass, then understood.

use std::{collections::HashSet, fmt};

use base64::Engine;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    name::Name,
    values::{BASE64, members, present, shared, string, strings},
};
use crate::{
    builder::DecodeContext,
    draft::Draft,
    media_type::Family,
    problem::{Problem, shown, step},
};

/// The members of an operation as they were written; what each must be is decided later, for a fault in one operation
/// must not stop the reading of the next.
#[derive(Default)]
pub(super) struct Operation<'a> {
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    path: Option<&'a RawValue>,
    url: Option<&'a RawValue>,
    headers: Option<&'a RawValue>,
    body: Option<&'a RawValue>,
    encoding: Option<&'a RawValue>,
    /// In a box, for most operations have nothing of it.
    others: Option<Box<Others<'a>>>,
    /// It may belong to a group, and nobody can tell to which one.
    is_group_unknown: bool,
    fault: Option<Box<Problem>>,
}

/// Reads a document that is one operation.
#[cfg(feature = "ndjson")]
pub(crate) fn read<'a>(cx: DecodeContext<'a>, source: &Bytes) -> Result<Draft<'a>, std::borrow::Cow<'static, str>> {
    let text = std::str::from_utf8(source).map_err(|_| "the line is not UTF-8")?;
    let operation = serde_json::from_str(text).or_else(|_| {
        // Where it is JSON, something in it can't be taken apart.
        serde_json::from_str(text).map(Operation::unreadable)
    });
    let operation = operation.map_err(|error| format!("the line is not valid JSON: {error}"))?;
    Ok(operation.draft(cx, source))
}

/// What an operation has to do with others.
#[derive(Clone, Copy, Default)]
struct Others<'a> {
    depends_on: Option<&'a RawValue>,
    refs: Option<&'a RawValue>,
    group: Option<&'a RawValue>,
}

impl<'a> Operation<'a> {
    fn member(&mut self, name: &str) -> Option<&mut Option<&'a RawValue>> {
        Some(match name {
            "id" => &mut self.id,
            "method" => &mut self.method,
            "path" => &mut self.path,
            "url" => &mut self.url,
            "headers" => &mut self.headers,
            "body" => &mut self.body,
            "encoding" => &mut self.encoding,
            "dependsOn" => &mut self.others.get_or_insert_default().depends_on,
            "refs" => &mut self.others.get_or_insert_default().refs,
            "group" => &mut self.others.get_or_insert_default().group,
            _ => return None,
        })
    }

    /// One that could not even be taken apart.
    pub(super) fn unreadable(raw: &RawValue) -> Self {
        let is_object = raw.get().starts_with('{');
        let detail =
            if is_object { "the operation has a member that can't be read" } else { "an operation must be an object" };
        Self { is_group_unknown: is_object, fault: Some(Box::new(Problem::bad_request(detail))), ..Self::default() }
    }

    fn refuse(&mut self, problem: impl FnOnce() -> Problem) {
        self.fault.get_or_insert_with(|| Box::new(problem()));
    }

    /// Gives each member its meaning. `source` is the document that the members are parts of.
    pub(super) fn draft<'cx>(self, cx: DecodeContext<'cx>, source: &Bytes) -> Draft<'cx> {
        let mut draft = cx.operation();
        if let Some(id) = present(self.id) {
            match string(id) {
                Some(id) => draft.id(&id),
                None => draft.refuse(Problem::bad_request("`id` must be a string").at("/id")),
            }
        }
        if let Some(method) = present(self.method) {
            match string(method) {
                Some(method) => draft.method(&method),
                None => draft.refuse(Problem::bad_request("`method` must be a string").at("/method")),
            }
        }
        let others = self.others.map(|others| *others).unwrap_or_default();
        if self.is_group_unknown {
            draft.unknown_group();
        }
        if let Err(problem) = set_others(&mut draft, others) {
            draft.refuse(problem);
        }
        let target = match (present(self.path), present(self.url)) {
            (Some(_), Some(_)) => {
                draft.refuse(Problem::bad_request("`path` and `url` are the same: give only one").at("/url"));
                None
            }
            (path, url) => path.map(|path| (path, "/path")).or(url.map(|url| (url, "/url"))),
        };
        let has_refs = present(others.refs).is_some_and(|refs| refs.get().len() > "{}".len());
        let is_template = |target: &str| has_refs && target.contains(['{', '}']);
        if let Some((target, pointer)) = target {
            match string(target) {
                Some(target) if is_template(&target) => {
                    draft.target_template(&target, pointer);
                }
                Some(target) => draft.target(shared(source, target), pointer),
                None => draft.refuse(Problem::bad_request("the target must be a string").at(pointer)),
            }
        }
        // Only now, so that the outcome of a faulty operation has its name, method and target if it can.
        if let Some(fault) = self.fault {
            draft.refuse(*fault);
        }
        if draft.is_refused() {
            return draft;
        }
        if let Some(headers) = present(self.headers) {
            if let Err(problem) = set_headers(&mut draft, headers) {
                draft.refuse(problem);
            }
        }
        if let Err(problem) = set_body(&mut draft, source, present(self.body), present(self.encoding)) {
            draft.refuse(problem);
        }
        draft
    }
}

fn set_body(
    draft: &mut Draft<'_>,
    source: &Bytes,
    body: Option<&RawValue>,
    encoding: Option<&RawValue>,
) -> Result<(), Problem> {
    let is_base64 = match encoding.map(string) {
        Some(Some(encoding)) if encoding == "base64" => true,
        Some(_) => return Err(Problem::bad_request("`encoding` can only be `base64`").at("/encoding")),
        None => false,
    };
    let Some(body) = body else { return Ok(()) };
    let is_message = draft.is_call() && !Family::of(draft.headers()).is_json();
    if is_base64 || is_message {
        let detail = if is_base64 { "with `encoding`, `body` must be a string" } else { NO_MESSAGE };
        let text = string(body).ok_or_else(|| Problem::bad_request(detail).at("/body"))?;
        let bytes = BASE64
            .decode(text.as_bytes())
            .map_err(|_| Problem::bad_request("`body` is not base64 (RFC 4648 §4)").at("/body"))?;
        draft.body(bytes.into(), None);
        return Ok(());
    }
    if draft.headers().contains_key(CONTENT_TYPE)
        && !Family::of(draft.headers()).is_json()
        && body.get().starts_with('"')
    {
        let text = string(body)
            .ok_or_else(|| Problem::bad_request("`body` is not Unicode text: it has a lone surrogate").at("/body"))?;
        draft.body(shared(source, text), None);
        return Ok(());
    }
    draft.json_body(source.slice_ref(body.get().as_bytes()));
    Ok(())
}

const NO_MESSAGE: &str = "the `body` of a gRPC call must be a string: its message in base64";

/// `group`: a name. `dependsOn`: ids. `refs`: an object of strings.
fn set_others(draft: &mut Draft<'_>, others: Others<'_>) -> Result<(), Problem> {
    // The group first, for its other members have to know of this one even if the rest is at fault.
    if let Some(group) = present(others.group) {
        let Some(name) = string(group) else {
            draft.unknown_group();
            return Err(Problem::bad_request("`group` must be a string").at("/group"));
        };
        draft.group(&name, "/group");
    }
    if let Some(depends_on) = present(others.depends_on) {
        let ids = strings(depends_on)
            .ok_or_else(|| Problem::bad_request("`dependsOn` must be an array of ids").at("/dependsOn"))?;
        for (nth, id) in ids.iter().enumerate() {
            draft.depends_on(id, format!("/dependsOn/{nth}"));
            if draft.is_refused() {
                break;
            }
        }
    }
    if let Some(refs) = present(others.refs) {
        let refs = members(refs).ok_or_else(|| Problem::bad_request("`refs` must be an object").at("/refs"))?;
        for (name, value) in refs {
            let value = string(value).ok_or_else(|| {
                let detail = "a reference must be a string: `id#/pointer` or `id@header`";
                Problem::bad_request(detail).at(step("/refs", &name))
            })?;
            set_reference(draft, &name, &value)?;
            if draft.is_refused() {
                break;
            }
        }
    }
    Ok(())
}

/// `id#/pointer` or `id@header`. The first `#` or `@` splits, so an id that holds one can't be named.
fn set_reference(draft: &mut Draft<'_>, name: &str, value: &str) -> Result<(), Problem> {
    let (id, rest) = value.split_once(['#', '@']).ok_or_else(|| {
        Problem::bad_request("a reference must be `id#/pointer` or `id@header`").at(step("/refs", name))
    })?;
    if value[id.len()..].starts_with('#') {
        if !matches!(rest.as_bytes(), [] | [b'/', ..]) {
            return Err(Problem::bad_request(BEHIND_THE_SIGN).at(step("/refs", name)));
        }
        draft.body_reference(name, id, rest);
    } else {
        draft.header_reference(name, id, rest);
    }
    Ok(())
}

const BEHIND_THE_SIGN: &str = "what stands behind the first `#` must be a JSON Pointer (RFC 6901); an id that has a `#` or a `@` can't be referred to";

/// Each value a string, or an array of strings.
fn set_headers(draft: &mut Draft<'_>, headers: &RawValue) -> Result<(), Problem> {
    let members = members(headers).ok_or_else(|| {
        let is_object = headers.get().starts_with('{');
        let detail = if is_object { "a name in `headers` is not Unicode text" } else { "`headers` must be an object" };
        Problem::bad_request(detail).at("/headers")
    })?;
    let mut names = HashSet::new();
    for (name, value) in members {
        if draft.is_refused() {
            break;
        }
        if !names.insert(name.to_ascii_lowercase()) {
            let detail = format!("`{}` stands twice in `headers`: use an array", shown(&name));
            return Err(Problem::bad_request(detail).at(step("/headers", &name)));
        }
        let Some(value) = present(Some(value)) else { continue };
        if let Some(value) = string(value) {
            set_header(draft, &name, &value);
            continue;
        }
        let Some(values) = strings(value) else {
            let detail = format!("the value of `{}` must be a string or an array of strings", shown(&name));
            return Err(Problem::bad_request(detail).at(step("/headers", &name)));
        };
        for value in values {
            set_header(draft, &name, &value);
            if draft.is_refused() {
                break;
            }
        }
    }
    Ok(())
}

/// A value that is as a whole the name of a reference in braces stands for what is referred to.
fn set_header(draft: &mut Draft<'_>, name: &str, value: &str) {
    let reference = value.strip_prefix('{').and_then(|value| value.strip_suffix('}'));
    match reference.filter(|reference| draft.has_reference(reference)) {
        Some(reference) => draft.header_from(name, reference),
        None => draft.header(name, value.as_bytes()),
    }
}

impl<'de> Deserialize<'de> for Operation<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OperationVisitor)
    }
}

/// Members that we don't know are passed over; but each one has to be looked for among the others.
pub(in crate::format) const MOST_UNKNOWN: usize = 256;

pub(in crate::format) fn too_many_members() -> Problem {
    Problem::bad_request(format!("the operation has more than {MOST_UNKNOWN} members that are not known here"))
}

struct OperationVisitor;

impl<'de> Visitor<'de> for OperationVisitor {
    type Value = Operation<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an operation")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut operation = Operation::default();
        let mut unknown = None;
        while let Some(Name(name)) = object.next_key()? {
            let value: &RawValue = object.next_value()?;
            let twice = match operation.member(&name) {
                Some(member) => member.replace(value).is_some(),
                None => {
                    let unknown = unknown.get_or_insert_with(HashSet::new);
                    if unknown.len() == MOST_UNKNOWN {
                        operation.refuse(too_many_members);
                        continue;
                    }
                    !unknown.insert(name.clone())
                }
            };
            if twice {
                operation.is_group_unknown |= name == "group";
                operation.refuse(|| {
                    let detail = format!("the member `{}` stands there twice", shown(&name));
                    Problem::bad_request(detail).at(step("", &name))
                });
            }
        }
        Ok(operation)
    }
}
