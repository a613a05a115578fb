//! RFC 4918 multistatus XML (§13, §14.16, §14.24). For answers only.

use std::{
    borrow::Cow,
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event, attributes::Attribute},
    name::QName,
};

use super::{Encode, EncodeContext, Encoder, ResultOrder, header_text};
use crate::{batch::Outcome, description::description, media_type::Family, problem::reason, target::escaped};

/// Writes `application/xml` or `text/xml`, whichever was asked for.
#[derive(Debug)]
pub(crate) struct Multistatus;

impl Encode for Multistatus {
    fn media_types(&self) -> &[&'static str] {
        &["application/xml", "text/xml"]
    }

    fn order(&self) -> ResultOrder {
        ResultOrder::Completion
    }

    fn begin(&self, cx: EncodeContext) -> Box<dyn Encoder> {
        let stand_in = format!("{}?operation=", escaped(cx.batch_path()));
        Box::new(Responses { cx, stand_in, hrefs: Hrefs::default() })
    }
}

struct Responses {
    cx: EncodeContext,
    /// How the href of an operation begins that can't have its target for one.
    stand_in: String,
    /// Those that stand in the answer already: each may stand there only once (§14.24), and clients key by it.
    hrefs: Hrefs,
}

/// So many hrefs are kept in mind: an answer needn't ever end.
const MOST_HREFS: usize = 1 << 16;

/// By their hashes, which take less room. Where two have the same one, the second gets a stand-in that it wouldn't have
/// needed.
#[derive(Default)]
struct Hrefs {
    hasher: RandomState,
    seen: HashSet<u64>,
}

impl Hrefs {
    /// Whether it is certain that this one has not been seen.
    fn is_new(&mut self, href: &str) -> bool {
        self.seen.len() < MOST_HREFS && self.seen.insert(self.hasher.hash_one(href))
    }
}

impl Encoder for Responses {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(match self.cx.media_type() {
            "text/xml" => "text/xml; charset=utf-8",
            _ => "application/xml; charset=utf-8",
        })
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        let mut xml = Xml::new(out);
        xml.write(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)));
        xml.open("D:multistatus", [("xmlns:D", "DAV:"), ("xmlns:b", "urn:tower-multistatus:1")]);
    }

    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        let href = self.href(outcome);
        let mut xml = Xml::new(out);
        xml.open("D:response", []);
        match &href {
            Some(href) => xml.element("D:href", [], href),
            None => xml.element("D:href", [], &format!("{}{}", self.stand_in, outcome.index())),
        }
        xml.element("D:status", [], &format!("HTTP/1.1 {} {}", outcome.status().as_str(), reason(outcome.status())));
        match outcome.response() {
            Ok(response) => {
                if let Some(description) =
                    description(response.status(), Family::of(response.headers()), response.body())
                {
                    xml.element("D:responsedescription", [], &description);
                }
                if let Some(location) = location(response) {
                    xml.open("D:location", []);
                    xml.element("D:href", [], &location);
                    xml.close("D:location");
                }
            }
            Err(problem) => xml.element("D:responsedescription", [], problem.detail()),
        }
        self.result(outcome, href.is_some(), &mut xml);
        xml.close("D:response");
    }

    /// White space between elements (RFC 4918 §17 has receivers pass over what they don't know).
    fn keep_alive(&self) -> &'static [u8] {
        b"\n"
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        Xml::new(out).close("D:multistatus");
    }
}

impl Responses {
    /// The target, if this is the first operation on it.
    fn href<'o>(&mut self, outcome: Outcome<'o>) -> Option<Cow<'o, str>> {
        let href = escaped(outcome.target()?.as_str());
        // No target may look like one of our stand-ins.
        let is_reserved = href.starts_with(&self.stand_in);
        Some(href).filter(|href| !is_reserved && self.hrefs.is_new(href))
    }

    /// Our extension, last: receivers have to pass over elements that they don't know (§17).
    fn result(&self, outcome: Outcome<'_>, has_own_href: bool, xml: &mut Xml<'_>) {
        let index = outcome.index().to_string();
        let target = outcome.target().filter(|_| !has_own_href).map(http::uri::PathAndQuery::as_str);
        let attributes = [
            Some(("index", &*index)),
            outcome.id().map(|id| ("id", id)),
            Some(("method", outcome.method().as_str())),
            target.map(|target| ("target", target)),
        ];
        xml.open("b:result", attributes.into_iter().flatten());
        match outcome.response() {
            Ok(response) => {
                for name in self.cx.reported(response.headers()) {
                    for value in response.headers().get_all(name) {
                        xml.element("b:header", [("name", name.as_str())], &header_text(value));
                    }
                }
                if !response.body().is_empty() {
                    body(response, xml);
                }
                #[cfg(feature = "grpc")]
                if let Some(status) = outcome.grpc() {
                    grpc(status, xml);
                }
            }
            Err(problem) => xml.element("b:body", [("type", "application/problem+json")], &problem.to_json()),
        }
        xml.close("b:result");
    }
}

fn body(response: &Response<Bytes>, xml: &mut Xml<'_>) {
    let content_type = response.headers().get(header::CONTENT_TYPE).map(header_text);
    let content_type = content_type.as_deref().map(|value| ("type", value));
    let text = match Family::of(response.headers()) {
        Family::Binary => None,
        Family::Json | Family::JsonBased | Family::Text => std::str::from_utf8(response.body()).ok(),
    };
    match text.filter(|text| text.chars().all(is_xml)) {
        Some(text) => xml.element("b:body", content_type, text),
        None => {
            let attributes = content_type.into_iter().chain([("encoding", "base64")]);
            xml.element("b:body", attributes, &STANDARD.encode(response.body()));
        }
    }
}

/// How a call has ended; with what else is said of it, in base64.
#[cfg(feature = "grpc")]
fn grpc(status: &crate::GrpcStatus, xml: &mut Xml<'_>) {
    let code = status.code().to_string();
    let message = Some(("message", status.message())).filter(|(_, message)| !message.is_empty());
    let attributes = [("status", &*code)].into_iter().chain(message);
    xml.element("b:grpc", attributes, &STANDARD.encode(status.details()));
}

/// Where a new or another resource is (§14.9).
fn location(response: &Response<Bytes>) -> Option<String> {
    let tells = response.status() == StatusCode::CREATED || response.status().is_redirection();
    let location = header_text(response.headers().get(header::LOCATION).filter(|_| tells)?);
    // An href has no fragment (§8.3), and a reference relative to the target would be read as relative to the batch.
    let location = location.split('#').next().unwrap_or_default();
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_absolute =
        location.starts_with('/') || location.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme));
    is_absolute.then(|| escaped(location).into_owned())
}

/// Whether XML 1.0 has a place for this character (§2.2 there), even as a reference.
fn is_xml(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Text for an element or an attribute. Line ends and tabs are written as references where a parser would otherwise
/// change them: `\r` everywhere (XML 1.0 §2.11), the others in attributes (§3.3.3).
fn escape(text: &str, in_attribute: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            // Needed only in `]]>`.
            '>' => escaped.push_str("&gt;"),
            '"' if in_attribute => escaped.push_str("&quot;"),
            '\r' => escaped.push_str("&#13;"),
            '\n' if in_attribute => escaped.push_str("&#10;"),
            '\t' if in_attribute => escaped.push_str("&#9;"),
            char if is_xml(char) => escaped.push(char),
            _ => escaped.push(char::REPLACEMENT_CHARACTER),
        }
    }
    escaped
}

/// A writer into a `Vec`, which never fails.
struct Xml<'a>(Writer<&'a mut Vec<u8>>);

impl<'a> Xml<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self(Writer::new(out))
    }

    fn write(&mut self, event: Event<'_>) {
        self.0.write_event(event).expect("a Vec takes all that is written");
    }

    fn open<'s>(&mut self, name: &'static str, attributes: impl IntoIterator<Item = (&'static str, &'s str)>) {
        let mut start = BytesStart::new(name);
        for (key, value) in attributes {
            let value = escape(value, true);
            start.push_attribute(Attribute { key: QName(key), value: Cow::Owned(value) });
        }
        self.write(Event::Start(start));
    }

    fn close(&mut self, name: &'static str) {
        self.write(Event::End(BytesEnd::new(name)));
    }

    fn element<'s>(
        &mut self,
        name: &'static str,
        attributes: impl IntoIterator<Item = (&'static str, &'s str)>,
        text: &str,
    ) {
        self.open(name, attributes);
        self.write(Event::Text(BytesText::from_escaped(escape(text, false))));
        self.close(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hrefs_are_kept_in_mind_as_long_as_there_is_room() {
        let mut hrefs = Hrefs::default();
        let new = (0..2 * MOST_HREFS).filter(|index| hrefs.is_new(&index.to_string())).count();
        assert_eq!((new, hrefs.seen.len()), (MOST_HREFS, MOST_HREFS));
        assert!(!hrefs.is_new("0"));
    }
}
