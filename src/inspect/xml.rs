//! A multistatus in XML (RFC 4918 §13, §14).

use quick_xml::{
    Error, NsReader,
    errors::IllFormedError,
    escape::resolve_xml_entity,
    events::{BytesRef, BytesStart, Event},
    name::ResolveResult,
};

use super::{
    code::Code, contents::Contents, gather::Gather, read::Source, results::Results, shape::Shape, text::plain,
};

mod element;
mod response;

use self::{element::Element, response::Response};

const DAV: &str = "DAV:";

/// That of this crate's own elements.
const OURS: &str = "urn:tower-multistatus:1";

/// The levels that a report has nothing to say of.
const DEEPEST: usize = 64;

pub(super) fn read(gather: &mut Gather, source: &Source<'_>, text: &str) -> Option<Contents> {
    let mut reader = NsReader::from_str(text);
    let mut reading = Reading::new(Results::new(Shape::Multistatus, source.pairing()));
    loop {
        let (namespace, event) = match reader.read_resolved_event() {
            Ok(found) => found,
            Err(error) => {
                let at = reader.error_position();
                if reading.is_multistatus() || reading.open.is_empty() && !reading.has_root {
                    let code = if is_end(&error) { Code::CutOff } else { Code::Syntax };
                    gather
                        .find(code, format!("the XML is not well-formed at byte {at}: {}", plain(&error.to_string())));
                }
                break;
            }
        };
        let namespace = match namespace {
            ResolveResult::Bound(namespace) => namespace.into_inner(),
            _ => "",
        };
        match event {
            Event::Start(start) => reading.start(gather, namespace, &start),
            Event::Empty(start) => {
                reading.start(gather, namespace, &start);
                reading.end(gather);
            }
            Event::End(_) => reading.end(gather),
            Event::Text(text) => reading.text(gather, &text.xml10_content()),
            Event::CData(text) => reading.text(gather, &text.xml10_content()),
            Event::GeneralRef(reference) => reading.reference(gather, &reference),
            Event::DocType(_) => reading.has_dtd = true,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => {
                reading.eof(gather);
                break;
            }
        }
        // What is no multistatus is not looked at.
        if reading.has_root && !reading.is_multistatus() {
            return None;
        }
    }
    reading.finish(gather)
}

/// Whether it is because there is nothing more.
fn is_end(error: &Error) -> bool {
    match error {
        Error::Syntax(_) => true,
        Error::IllFormed(error) => {
            matches!(error, IllFormedError::MissingEndTag(_) | IllFormedError::UnclosedReference)
        }
        _ => false,
    }
}

struct Reading<'a> {
    results: Results<'a>,
    /// Those that have begun, the innermost last.
    open: Vec<Element>,
    /// How many more have begun in the last of them, of which none matters.
    passed: usize,
    response: Option<Response>,
    text: String,
    /// That of the root: if it is the wrong one, those in it have the same one.
    namespace: String,
    has_root: bool,
    has_dtd: bool,
    is_deep: bool,
    /// The root is a multistatus.
    is_known: bool,
}

impl<'a> Reading<'a> {
    fn new(results: Results<'a>) -> Self {
        Self {
            results,
            open: Vec::new(),
            passed: 0,
            response: None,
            text: String::new(),
            namespace: String::new(),
            has_root: false,
            has_dtd: false,
            is_deep: false,
            is_known: false,
        }
    }

    fn is_multistatus(&self) -> bool {
        self.is_known
    }

    fn start(&mut self, gather: &mut Gather, namespace: &str, start: &BytesStart<'_>) {
        let name = start.local_name();
        let name = name.as_ref();
        if self.open.is_empty() {
            return self.root(gather, namespace, name);
        }
        check_attributes(gather, start);
        if self.open.len() + self.passed == DEEPEST && !self.is_deep {
            self.is_deep = true;
            gather.find(Code::TooDeep, format!("the document is nested deeper than {DEEPEST} levels"));
        }
        let element = (self.passed == 0).then(|| self.child(namespace, name)).flatten();
        let Some(element) = element else {
            self.passed += 1;
            return;
        };
        if element == Element::Response {
            self.response = Some(Response::default());
        }
        if let Some(response) = &mut self.response {
            response.start(element, name, start);
        }
        if element.has_text() {
            self.text.clear();
        }
        self.open.push(element);
    }

    fn child(&self, namespace: &str, name: &str) -> Option<Element> {
        let parent = *self.open.last()?;
        let is_dav = namespace == DAV || namespace == self.namespace;
        parent.child(is_dav, namespace == OURS, name)
    }

    fn root(&mut self, gather: &mut Gather, namespace: &str, name: &str) {
        if self.has_root {
            return gather.find(Code::Syntax, "there is a second root element");
        }
        self.has_root = true;
        if name != "multistatus" {
            return;
        }
        self.is_known = true;
        self.namespace = namespace.to_owned();
        if namespace != DAV {
            let detail = match namespace {
                "" => "`multistatus` is in no namespace".to_owned(),
                other => format!("`multistatus` is in the namespace `{}`", plain(other)),
            };
            gather.find(Code::XmlNamespace, detail);
        }
        self.open.push(Element::Multistatus);
    }

    fn end(&mut self, gather: &mut Gather) {
        if self.passed > 0 {
            self.passed -= 1;
            return;
        }
        let Some(element) = self.open.pop() else { return };
        if element == Element::Response {
            if let Some(response) = self.response.take() {
                self.results.add(gather, response.entry());
            }
        } else if let Some(response) = &mut self.response {
            response.end(element, &mut self.text);
        }
    }

    fn text(&mut self, gather: &mut Gather, text: &str) {
        match self.open.last() {
            Some(element) if self.passed == 0 && element.has_text() => self.text.push_str(text),
            Some(_) => {}
            None if text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).is_empty() => {}
            None => gather.find(Code::Syntax, "there is text outside of the root element"),
        }
    }

    /// What a document type would stand in for it is nobody's business: it is not expanded.
    fn reference(&mut self, gather: &mut Gather, reference: &BytesRef<'_>) {
        let name = reference.xml10_content();
        match (reference.resolve_char_ref(), resolve_xml_entity(&name)) {
            (Ok(Some(char)), _) => self.text(gather, char.encode_utf8(&mut [0; 4])),
            (_, Some(text)) => self.text(gather, text),
            (Ok(None), None) if self.has_dtd => self.text(gather, &format!("&{};", plain(&name))),
            _ => gather.find(Code::Syntax, format!("the reference `&{};` means nothing", plain(&name))),
        }
    }

    fn eof(&mut self, gather: &mut Gather) {
        if !self.open.is_empty() {
            gather.find(Code::CutOff, "the document ends before its last element does");
        }
    }

    fn finish(mut self, gather: &mut Gather) -> Option<Contents> {
        if !self.is_known {
            return None;
        }
        if self.has_dtd {
            gather.find(Code::XmlDtd, "there is a document type, of which nothing was expanded");
        }
        // One that was cut off may have said already what it is about.
        if let Some(response) = self.response.take().filter(Response::is_told) {
            self.results.add(gather, response.entry());
        }
        Some(self.results.finish(gather))
    }
}

/// Whether attributes can be read. To look for those that stand twice takes time with the square of their number.
fn check_attributes(gather: &mut Gather, start: &BytesStart<'_>) {
    const LONGEST: usize = 1 << 10;
    let mut attributes = start.attributes();
    attributes.with_checks(start.attributes_raw().len() <= LONGEST);
    if let Some(error) = attributes.find_map(Result::err) {
        gather.find(Code::Syntax, format!("an attribute can't be read: {}", plain(&error.to_string())));
    }
}
