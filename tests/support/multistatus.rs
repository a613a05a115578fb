//! A strict reader of multistatus documents, which knows nothing of how they are written: RFC 4918 §13 and §14, and
//! this crate's own extension.

use std::{collections::HashSet, iter::Peekable};

use base64::{Engine, engine::general_purpose::STANDARD};
use roxmltree::{Document, Node};

const DAV: &str = "DAV:";
const OURS: &str = "urn:tower-multistatus:1";

/// One `response` of a multistatus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) href: String,
    pub(crate) status: u16,
    pub(crate) description: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) index: usize,
    pub(crate) id: Option<String>,
    pub(crate) method: String,
    pub(crate) target: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Body>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) content_type: Option<String>,
    pub(crate) encoding: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// Reads a document, or says where it breaks the grammar.
pub(crate) fn read(document: &[u8]) -> Result<Vec<Entry>, String> {
    let text = std::str::from_utf8(document).map_err(|error| error.to_string())?;
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let root = document.root_element();
    require(root.has_tag_name((DAV, "multistatus")), "the root is no `multistatus`")?;
    let mut children = elements(root)?;
    let mut entries = Vec::new();
    while let Some(response) = children.next_if(|child| child.has_tag_name((DAV, "response"))) {
        entries.push(entry(response)?);
    }
    end(children)?;
    let mut hrefs = HashSet::new();
    require(entries.iter().all(|entry| hrefs.insert(&entry.href)), "an href stands there twice (§14.24)")?;
    Ok(entries)
}

/// `(href, status, responsedescription?, location?)`, which is §14.24 for one that is no answer to PROPFIND, and then
/// our own element, as §17 allows it.
fn entry(response: Node<'_, '_>) -> Result<Entry, String> {
    let mut children = elements(response)?;
    let href = text(required(&mut children, DAV, "href")?)?;
    require(href.starts_with('/') && is_uri_reference(&href), "`href` is no absolute path (§8.3)")?;
    let status = status(&text(required(&mut children, DAV, "status")?)?)?;
    let description = optional(&mut children, DAV, "responsedescription").map(text).transpose()?;
    let location = optional(&mut children, DAV, "location").map(location).transpose()?;
    let result = required(&mut children, OURS, "result")?;
    end(children)?;

    let mut children = elements(result)?;
    let mut headers = Vec::new();
    while let Some(header) = optional(&mut children, OURS, "header") {
        let name = header.attribute("name").ok_or("a header without a name")?;
        headers.push((name.to_owned(), text(header)?));
    }
    let body = optional(&mut children, OURS, "body").map(body).transpose()?;
    end(children)?;

    let attribute = |name| result.attribute(name).map(str::to_owned);
    let known = ["index", "id", "method", "target"];
    require(result.attributes().all(|one| known.contains(&one.name())), "an unknown attribute")?;
    let index = result.attribute("index").and_then(|index| index.parse().ok()).ok_or("a result without an index")?;
    let method = attribute("method").ok_or("a result without a method")?;
    let (id, target) = (attribute("id"), attribute("target"));
    Ok(Entry { href, status, description, location, index, id, method, target, headers, body })
}

/// A status line without its end (RFC 9112 §4; RFC 4918 §14.28).
fn status(line: &str) -> Result<u16, String> {
    let mut parts = line.splitn(3, ' ');
    require(parts.next() == Some("HTTP/1.1"), "`status` is no status line")?;
    let code = parts.next().filter(|code| code.len() == 3).and_then(|code| code.parse().ok());
    let code = code.filter(|code| (100..1000).contains(code)).ok_or("`status` has no code of three digits")?;
    require(parts.next().is_some_and(|reason| !reason.is_empty()), "`status` has no reason")?;
    Ok(code)
}

/// `(href)`, and only one (§14.9).
fn location(location: Node<'_, '_>) -> Result<String, String> {
    let mut children = elements(location)?;
    let href = text(required(&mut children, DAV, "href")?)?;
    end(children)?;
    require(is_uri_reference(&href), "the `location` is no URI")?;
    Ok(href)
}

fn body(body: Node<'_, '_>) -> Result<Body, String> {
    let content = text(body)?;
    let attribute = |name| body.attribute(name).map(str::to_owned);
    let bytes = match body.attribute("encoding") {
        Some("base64") => STANDARD.decode(content).map_err(|error| error.to_string())?,
        Some(other) => return Err(format!("unknown encoding {other}")),
        None => content.into_bytes(),
    };
    Ok(Body { content_type: attribute("type"), encoding: attribute("encoding"), bytes })
}

/// RFC 3986 as far as its characters go; no fragment (RFC 4918 §8.3).
fn is_uri_reference(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(&byte);
    let is_escape = |rest: &[u8]| rest.get(1..3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    let bytes = text.as_bytes();
    !text.is_empty() && (0..bytes.len()).all(|at| is_plain(bytes[at]) || bytes[at] == b'%' && is_escape(&bytes[at..]))
}

/// The children of an element that has no text of its own.
fn elements<'a, 'input>(node: Node<'a, 'input>) -> Result<Peekable<impl Iterator<Item = Node<'a, 'input>>>, String> {
    let blank = |child: Node<'_, '_>| child.text().is_some_and(|text| text.trim().is_empty());
    require(node.children().all(|child| child.is_element() || blank(child)), "text where only elements belong")?;
    Ok(node.children().filter(Node::is_element).peekable())
}

/// The text of an element that has no children.
fn text(node: Node<'_, '_>) -> Result<String, String> {
    require(node.children().all(|child| child.is_text()), "elements where only text belongs")?;
    Ok(node.children().filter_map(|child| child.text()).collect())
}

fn optional<'a, 'input: 'a>(
    children: &mut Peekable<impl Iterator<Item = Node<'a, 'input>>>,
    namespace: &str,
    name: &str,
) -> Option<Node<'a, 'input>> {
    children.next_if(|child| child.has_tag_name((namespace, name)))
}

fn required<'a, 'input: 'a>(
    children: &mut Peekable<impl Iterator<Item = Node<'a, 'input>>>,
    namespace: &str,
    name: &str,
) -> Result<Node<'a, 'input>, String> {
    optional(children, namespace, name).ok_or_else(|| format!("no `{name}` in its place"))
}

fn end<'a, 'input: 'a>(mut children: Peekable<impl Iterator<Item = Node<'a, 'input>>>) -> Result<(), String> {
    match children.next() {
        Some(child) => Err(format!("`{}` out of its place", child.tag_name().name())),
        None => Ok(()),
    }
}

fn require(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
