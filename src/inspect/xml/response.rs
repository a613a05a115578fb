use std::{borrow::Cow, mem};

use base64::{Engine, engine::general_purpose::STANDARD};
use quick_xml::events::BytesStart;

use super::{
    super::{
        code::Code,
        entry::{Body, Entry},
        item::Properties,
        json::describe_body,
        status,
        text::plain,
    },
    element::Element,
};

/// So many names of properties are listed.
const NAMED: usize = 8;

/// A `response`, while it is read.
#[derive(Default)]
pub(super) struct Response {
    entry: Entry<'static>,
    /// Of the `propstat` that is being read.
    properties: Properties,
    has_status: bool,
    has_propstat: bool,
    has_propstat_status: bool,
    condition: Option<String>,
    content_type: Option<String>,
    is_base64: bool,
}

impl Response {
    pub(super) fn start(&mut self, element: Element, name: &str, start: &BytesStart<'_>) {
        match element {
            Element::Condition => {
                self.condition.get_or_insert_with(|| plain(name));
            }
            Element::Propstat => {
                self.has_propstat = true;
                self.has_propstat_status = false;
                self.properties = Properties::default();
            }
            Element::Property => {
                self.properties.count += 1;
                if self.properties.names.len() < NAMED {
                    self.properties.names.push(plain(name));
                }
            }
            Element::Result => {
                self.entry.index = attribute(start, "index").and_then(|index| index.parse().ok());
                self.entry.id = attribute(start, "id").map(Into::into);
            }
            Element::ResultHeader
                if attribute(start, "name").is_some_and(|name| name.eq_ignore_ascii_case("set-cookie")) =>
            {
                self.entry.fault(Code::SetCookieInside, "the result has a `Set-Cookie`");
            }
            Element::ResultBody => {
                self.content_type = attribute(start, "type");
                self.is_base64 = attribute(start, "encoding").as_deref() == Some("base64");
            }
            _ => {}
        }
    }

    /// Takes the text of an element that has come to its end.
    pub(super) fn end(&mut self, element: Element, text: &mut String) {
        let text = if element.has_text() { mem::take(text) } else { String::new() };
        match element {
            Element::Href => self.entry.hrefs.push(text.trim().to_owned().into()),
            Element::Status => {
                self.has_status = true;
                self.entry.status = status::from_line(&mut self.entry, only_line(&text));
            }
            Element::PropstatStatus => {
                self.has_propstat_status = true;
                self.properties.status = status::from_line(&mut self.entry, only_line(&text));
            }
            Element::Propstat => {
                if !self.has_propstat_status {
                    self.entry.fault(Code::ItemWithoutStatus, "a `propstat` has no status");
                }
                self.entry.properties.push(mem::take(&mut self.properties));
            }
            Element::Description => {
                self.entry.description = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
            }
            Element::ResultBody => self.body(text),
            _ => {}
        }
    }

    fn body(&mut self, text: String) {
        let bytes = match self.is_base64.then(|| STANDARD.decode(text.trim()).ok()).flatten() {
            Some(bytes) => bytes,
            None => text.into_bytes(),
        };
        self.entry.body = Some(Body { content_type: self.content_type.take().map(Into::into), bytes: bytes.into() });
    }

    /// Whether it has said anything of a result.
    pub(super) fn is_told(&self) -> bool {
        !self.entry.hrefs.is_empty()
    }

    pub(super) fn entry(mut self) -> Entry<'static> {
        let entry = &mut self.entry;
        if entry.hrefs.iter().all(|href| href.is_empty()) {
            entry.hrefs.clear();
            entry.fault(Code::NoHref, "the response has no href");
        }
        if self.has_status && self.has_propstat {
            entry.fault(Code::StatusAndPropstat, "the response has a status, and a `propstat`");
        }
        if !self.has_status && !self.has_propstat {
            entry.fault(Code::ItemWithoutStatus, "the response has neither a status nor a `propstat`");
        }
        let told = |body: &Body<'_>| describe_body(entry.status?, body);
        let description = entry.description.take().or(self.condition).or_else(|| told(entry.body.as_ref()?));
        entry.description = description;
        self.entry
    }
}

/// Without the line ends and the white space that stand around it where a document is indented. A space at its end is a part
/// of it.
fn only_line(text: &str) -> &str {
    let text = text.trim_start();
    match text.split_once(['\r', '\n']) {
        Some((line, rest)) if rest.trim().is_empty() => line,
        _ => text,
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = start.attributes().with_checks(false).flatten().find(|attribute| attribute.key.as_ref() == name)?;
    let value = attribute.normalized_value(quick_xml::XmlVersion::Explicit1_0).ok();
    value.map(Cow::into_owned)
}
