//! One result in JSON.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::StatusCode;

use super::{
    super::{
        code::Code,
        entry::{Body, Entry},
        gather::Gather,
        shape::Shape,
        status,
        text::plain,
    },
    Child, check_members, children,
};
use crate::{
    description::description,
    json_text::string,
    media_type::{Family, essence},
};

/// The names that a status has in one format or another; the first one that is there is it.
pub(crate) const STATUSES: &[&str] = &["status", "statusCode", "httpStatus", "code"];

/// Takes a result apart.
pub(crate) fn result<'a>(gather: &mut Gather, entry: &mut Entry<'a>, shape: Shape, text: &'a str) {
    if !text.starts_with('{') {
        entry.fault(Code::ItemShape, format!("the result is no object but `{}`", plain(text)));
        return;
    }
    check_members(gather, "a result", text);
    let member = |name: &str| children(text).find(|child| child.name.as_deref() == Some(name)).map(|child| child.value);
    entry.index = member("index").and_then(|index| index.parse().ok());
    if let Some(id) = member("id").filter(|id| *id != "null") {
        if !id.starts_with('"') {
            entry.fault(Code::IdNotText, format!("the id `{}` is no string", plain(id)));
        }
        entry.id = Some(string(id).unwrap_or(Cow::Borrowed(id)));
    }
    entry.status = STATUSES.iter().find_map(|name| member(name)).and_then(|value| take_status(entry, value));
    let headers = Headers::read(entry, member("headers"));
    if let Some(headers) = member("headers") {
        check_members(gather, "the headers of a result", headers);
    }
    let body = ["data", "error", "body"].iter().find_map(|name| member(name)).filter(|body| *body != "null");
    let body = body.map(|body| body_of(body, headers.content_type, member("encoding")));
    if let Some(status) = entry.status.filter(|status| *status >= 400) {
        entry.description = body.as_ref().and_then(|body| describe(status, body));
        if entry.description.is_none() && matches!(shape, Shape::List) {
            entry.description = describe(status, &json(text));
        }
    }
    entry.body = body;
}

/// A number. What is a string is read all the same.
fn take_status(entry: &mut Entry<'_>, value: &str) -> Option<u16> {
    let Some(text) = string(value) else {
        return match value.parse::<u16>() {
            Ok(number) => status::in_range(entry, number),
            Err(_) if value.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
                entry.fault(Code::StatusRange, format!("{} is no status", plain(value)));
                None
            }
            Err(_) => None,
        };
    };
    entry.fault(Code::StatusAsText, format!("the status is the string `{}`", plain(&text)));
    match text.trim().parse() {
        Ok(number) => status::in_range(entry, number),
        Err(_) => status::from_line(entry, &text),
    }
}

/// What matters of the headers of a result.
#[derive(Default)]
struct Headers {
    content_type: Option<String>,
}

impl Headers {
    /// From an object, or from a list of objects with `name` and `value`, as Facebook has them.
    fn read(entry: &mut Entry<'_>, headers: Option<&str>) -> Self {
        let mut found = Self::default();
        for child in headers.into_iter().flat_map(children) {
            let (name, value) = pair(&child);
            if name.eq_ignore_ascii_case("set-cookie") {
                entry.fault(Code::SetCookieInside, "the result has a `Set-Cookie`");
            } else if name.eq_ignore_ascii_case("content-type") {
                found.content_type = string(value).map(Cow::into_owned);
            }
        }
        found
    }
}

fn pair<'a>(child: &'a Child<'_>) -> (Cow<'a, str>, &'a str) {
    match &child.name {
        Some(name) => (Cow::Borrowed(name), child.value),
        None => {
            let member = |name: &str| children(child.value).find(|child| child.name.as_deref() == Some(name));
            let text = |name| member(name).map_or("", |child| child.value);
            (string(text("name")).unwrap_or_default(), text("value"))
        }
    }
}

fn json(text: &str) -> Body<'_> {
    Body { content_type: Some("application/json".into()), bytes: text.as_bytes().into() }
}

/// A value that is embedded, or the text or the bytes that a string stands for.
fn body_of<'a>(value: &'a str, content_type: Option<String>, encoding: Option<&str>) -> Body<'a> {
    let content_type = content_type.map(Into::into);
    let Some(text) = string(value) else {
        return Body { content_type: content_type.or(json(value).content_type), bytes: value.as_bytes().into() };
    };
    let is_base64 = encoding.and_then(string).as_deref() == Some("base64");
    let decoded = is_base64.then(|| STANDARD.decode(text.as_bytes()).ok()).flatten();
    let bytes = match (decoded, text) {
        (Some(bytes), _) => bytes.into(),
        (None, Cow::Borrowed(text)) => text.as_bytes().into(),
        (None, Cow::Owned(text)) => text.into_bytes().into(),
    };
    Body { content_type, bytes }
}

/// What the body of a failure says, where it says what it is, or looks like it.
pub(in super::super) fn describe(status: u16, body: &Body<'_>) -> Option<String> {
    let status = StatusCode::from_u16(status).ok()?;
    let essence = body.content_type.as_deref().and_then(essence).unwrap_or_default();
    let looks_like_json = body.bytes.trim_ascii_start().starts_with(b"{");
    let content = if essence.ends_with("json") || looks_like_json { Family::Json } else { Family::Text };
    description(status, content, &body.bytes)
}
