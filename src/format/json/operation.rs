//! One element of the list: taken apart in one pass, then understood.

use std::{borrow::Cow, collections::HashSet, fmt};

use base64::{Engine, alphabet, engine};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::value::{self, Name};
use crate::{
    builder::DecodeContext,
    draft::Draft,
    media_type::Content,
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
    fault: Option<Box<Problem>>,
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
            _ => return None,
        })
    }

    /// One that could not even be taken apart.
    pub(super) fn unreadable(raw: &RawValue) -> Self {
        let detail = if raw.get().starts_with('{') {
            "the operation has a member that can't be read"
        } else {
            "an operation must be an object"
        };
        Self { fault: Some(Box::new(Problem::bad_request(detail))), ..Self::default() }
    }

    fn refuse(&mut self, problem: Problem) {
        self.fault.get_or_insert_with(|| Box::new(problem));
    }

    /// Gives each member its meaning. `source` is the document that the members are parts of.
    pub(super) fn draft<'cx>(self, cx: DecodeContext<'cx>, source: &Bytes) -> Draft<'cx> {
        let mut draft = cx.operation();
        if let Some(id) = present(self.id) {
            match value::string(id) {
                Some(id) => draft.id(&id),
                None => draft.refuse(Problem::bad_request("`id` must be a string").at("/id")),
            }
        }
        if let Some(method) = present(self.method) {
            match value::string(method) {
                Some(method) => draft.method(&method),
                None => draft.refuse(Problem::bad_request("`method` must be a string").at("/method")),
            }
        }
        let target = match (present(self.path), present(self.url)) {
            (Some(_), Some(_)) => {
                draft.refuse(Problem::bad_request("`path` and `url` are the same: give only one").at("/url"));
                None
            }
            (path, url) => path.map(|path| (path, "/path")).or(url.map(|url| (url, "/url"))),
        };
        if let Some((target, pointer)) = target {
            match value::string(target) {
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
        if let Err(problem) = set_body(&mut draft, cx, source, present(self.body), present(self.encoding)) {
            draft.refuse(problem);
        }
        draft
    }
}

/// `null` for an optional member means that it isn't there.
fn present(member: Option<&RawValue>) -> Option<&RawValue> {
    member.filter(|value| value.get() != "null")
}

/// A part of the source, without a copy; or what became of it where it had escapes.
fn shared(source: &Bytes, text: Cow<'_, str>) -> Bytes {
    match text {
        Cow::Borrowed(text) => source.slice_ref(text.as_bytes()),
        Cow::Owned(text) => text.into(),
    }
}

fn set_body(
    draft: &mut Draft<'_>,
    cx: DecodeContext<'_>,
    source: &Bytes,
    body: Option<&RawValue>,
    encoding: Option<&RawValue>,
) -> Result<(), Problem> {
    let is_base64 = match encoding.map(value::string) {
        Some(Some(encoding)) if encoding == "base64" => true,
        Some(_) => return Err(Problem::bad_request("`encoding` can only be `base64`").at("/encoding")),
        None => false,
    };
    let Some(body) = body else { return Ok(()) };
    if is_base64 {
        let text = value::string(body)
            .ok_or_else(|| Problem::bad_request("with `encoding`, `body` must be a string").at("/body"))?;
        let bytes = BASE64
            .decode(text.as_bytes())
            .map_err(|_| Problem::bad_request("`body` is not base64 (RFC 4648 §4)").at("/body"))?;
        draft.body(bytes.into(), None);
        return Ok(());
    }
    if draft.headers().contains_key(CONTENT_TYPE)
        && !Content::of(draft.headers()).is_json()
        && body.get().starts_with('"')
    {
        let text = value::string(body)
            .ok_or_else(|| Problem::bad_request("`body` is not Unicode text: it has a lone surrogate").at("/body"))?;
        draft.body(shared(source, text), None);
        return Ok(());
    }
    if value::is_deeper_than(cx.json_depth(), body.get()) {
        let limit = cx.json_depth();
        return Err(Problem::bad_request(format!("`body` is nested more than {limit} levels deep")).at("/body"));
    }
    draft.body(source.slice_ref(body.get().as_bytes()), Some(HeaderValue::from_static("application/json")));
    Ok(())
}

/// Padding is by choice, as senders disagree about it.
const BASE64: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new().with_decode_padding_mode(engine::DecodePaddingMode::Indifferent),
);

/// Each value a string, or an array of strings.
fn set_headers(draft: &mut Draft<'_>, headers: &RawValue) -> Result<(), Problem> {
    let not_an_object = || Problem::bad_request("`headers` must be an object").at("/headers");
    if !headers.get().starts_with('{') {
        return Err(not_an_object());
    }
    let members: Members<'_> = serde_json::from_str(headers.get())
        .map_err(|_| Problem::bad_request("a name in `headers` is not Unicode text").at("/headers"))?;
    let mut names = HashSet::new();
    for (name, value) in members.0 {
        if draft.is_refused() {
            break;
        }
        if !names.insert(name.to_ascii_lowercase()) {
            let detail = format!("`{}` stands twice in `headers`: use an array", shown(&name));
            return Err(Problem::bad_request(detail).at(step("/headers", &name)));
        }
        let Some(value) = present(Some(value)) else { continue };
        if let Some(value) = value::string(value) {
            draft.header(&name, value.as_bytes());
            continue;
        }
        let values: Option<Vec<_>> = match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
            Ok(values) => values.into_iter().map(value::string).collect(),
            Err(_) => None,
        };
        let Some(values) = values else {
            let detail = format!("the value of `{}` must be a string or an array of strings", shown(&name));
            return Err(Problem::bad_request(detail).at(step("/headers", &name)));
        };
        for value in values {
            draft.header(&name, value.as_bytes());
            if draft.is_refused() {
                break;
            }
        }
    }
    Ok(())
}

/// An object as a list, so that nothing is lost of it.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = object.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

impl<'de> Deserialize<'de> for Operation<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OperationVisitor)
    }
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
                    if matches!(&*name, "dependsOn" | "refs" | "group") && !is_nothing(value) {
                        operation.refuse(unsupported(&name));
                    }
                    !unknown.get_or_insert_with(HashSet::new).insert(name.clone())
                }
            };
            if twice {
                let detail = format!("the member `{}` stands there twice", shown(&name));
                operation.refuse(Problem::bad_request(detail).at(step("", &name)));
            }
        }
        Ok(operation)
    }
}

/// `null`, an empty array or an empty object.
fn is_nothing(value: &RawValue) -> bool {
    value.get() == "null" || value.get().bytes().all(|byte| b"[]{} \t\r\n".contains(&byte))
}

/// Their meaning is the sender's safety: passing over them would carry out what must not be.
fn unsupported(name: &str) -> Problem {
    let detail = format!("this server does not support `{name}`; the operation was not carried out");
    Problem::new(StatusCode::NOT_IMPLEMENTED, detail).at(format!("/{name}"))
}
