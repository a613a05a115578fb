//! From what a format has read to a checked operation: the one door, which no format can go around.

use std::mem;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{self, Entry},
};

use crate::{
    batch::{Label, Message},
    builder::DecodeContext,
    graph::{Dependency, Relations},
    inherit::{self, Class},
    json_text,
    needs::{Needs, Value},
    problem::{Problem, shown, step},
    reference::{Reference, Source, is_location},
    target, template,
};

/// No registered method has half as many bytes.
const LONGEST_METHOD: usize = 64;

/// One operation in the making. Each part is checked as it is set; the first fault is kept and becomes the operation's
/// outcome. See [`DecodeContext::operation`].
#[derive(Debug)]
pub struct Draft<'a> {
    cx: DecodeContext<'a>,
    pub(crate) label: Label,
    pub(crate) message: Message,
    /// Where the target stands in the operation.
    target_pointer: &'static str,
    /// The content type is what the body seems to be; nobody has said so.
    has_default_type: bool,
    size: HeaderSize,
    links: Option<Box<Links>>,
    problem: Option<Box<Problem>>,
}

/// How many headers were set, and the bytes of their names and values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeaderSize {
    count: usize,
    bytes: usize,
}

/// What an operation has to do with others; most have nothing.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) relations: Relations,
    pub(crate) needs: Needs,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(cx: DecodeContext<'a>) -> Self {
        Self {
            cx,
            label: Label::default(),
            message: Message::default(),
            target_pointer: "/path",
            has_default_type: false,
            size: HeaderSize::default(),
            links: None,
            problem: None,
        }
    }

    /// One that was checked before, for what has only now become known of it.
    pub(crate) fn resume(cx: DecodeContext<'a>, label: Label, message: Message, needs: &Needs) -> Self {
        let HeaderSize { mut count, mut bytes } = needs.size;
        // These are still to come, once more.
        for (name, value) in &needs.headers {
            count -= 1;
            bytes -= name.len() + value.literal().map_or(0, HeaderValue::len);
        }
        let size = HeaderSize { count, bytes };
        Self { label, message, size, target_pointer: needs.target_pointer, ..Self::new(cx) }
    }

    /// The client's name for the operation.
    pub fn id(&mut self, id: &str) {
        let limit = self.cx.config().limits.id_bytes;
        if id.len() > limit {
            return self.refuse(Problem::bad_request(format!("an id may have {limit} bytes at most")).at("/id"));
        }
        self.label.id = Some(id.into());
    }

    /// The method, in any case. GET where it isn't called.
    pub fn method(&mut self, method: &str) {
        if method.len() > LONGEST_METHOD {
            return self.refuse(Problem::bad_request("this is not an HTTP method").at("/method"));
        }
        let parsed = if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
            Method::from_bytes(method.to_ascii_uppercase().as_bytes())
        } else {
            Method::from_bytes(method.as_bytes())
        };
        match parsed {
            Ok(Method::CONNECT | Method::TRACE) => {
                self.refuse(Problem::bad_request("CONNECT and TRACE can't be operations").at("/method"));
            }
            Ok(method) => self.label.method = method,
            Err(_) => self.refuse(Problem::bad_request("this is not an HTTP method").at("/method")),
        }
    }

    /// The target, in origin-form: a path that begins with `/`, and perhaps a query. `pointer` is where it stands in
    /// the operation, as a JSON Pointer.
    pub fn target(&mut self, target: Bytes, pointer: &'static str) {
        self.target_pointer = pointer;
        match target::parse(target, self.cx.config().limits.target_bytes) {
            Ok(target) => self.label.target = Some(target),
            Err(why) => self.refuse(Problem::bad_request(why).at(pointer)),
        }
        if let Some(links) = &mut self.links {
            links.needs.target = None;
        }
    }

    /// A header. One that no operation may set refuses it; one without a meaning in a batch is passed over.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        // What is refused anyway may be long, and is no reason for work.
        if self.problem.is_some() {
            return;
        }
        if let Err(why) = self.try_header(name, value) {
            self.refuse(Problem::bad_request(why).at(step("/headers", name)));
        }
    }

    fn try_header(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        self.count_header(name.len() + value.len())?;
        let value = HeaderValue::from_bytes(trim(value))
            .map_err(|_| "the value of this header has a character that HTTP does not allow".to_owned())?;
        let (name, class) = self.class(name)?;
        match class {
            // Two of them is how one layer's check is made to see another type than the next layer's parser.
            Class::Allowed if name == header::CONTENT_TYPE => {
                let is_first = self.message.headers.insert(name, value).is_none();
                if !is_first && !mem::take(&mut self.has_default_type) {
                    return Err("an operation can have only one `content-type`".to_owned());
                }
            }
            Class::Allowed => match &mut self.links {
                // What is not known yet comes first.
                Some(links) if links.needs.has_header(&name) => {
                    links.needs.headers.push((name.as_str().into(), Value::Literal(value)));
                }
                _ => {
                    self.message.headers.append(name, value);
                }
            },
            Class::Dropped => {}
            Class::Host if value.to_str().is_ok_and(|host| self.cx.is_own_authority(host)) => {}
            Class::Host => return Err("an operation can't be sent to another host than the batch".to_owned()),
            Class::Refused => return Err(not_allowed(&name)),
        }
        Ok(())
    }

    fn count_header(&mut self, bytes: usize) -> Result<(), String> {
        let limits = &self.cx.config().limits;
        self.size.count += 1;
        self.size.bytes += bytes;
        if self.size.count > limits.headers || self.size.bytes > limits.header_bytes {
            let (count, bytes) = (limits.headers, limits.header_bytes);
            return Err(format!("an operation may have {count} headers of {bytes} bytes together at most"));
        }
        Ok(())
    }

    fn class(&self, name: &str) -> Result<(HeaderName, Class), String> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "this is not a header name".to_owned())?;
        let class = inherit::class(&name, &self.cx.config().operation_headers);
        Ok((name, class))
    }

    /// The headers that have been set so far.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.message.headers
    }

    /// The body, and what it is if no `content-type` header is set, before or after.
    pub fn body(&mut self, body: Bytes, content_type: Option<HeaderValue>) {
        self.message.body = Some(body);
        if let Some(links) = &mut self.links {
            links.needs.holes.clear();
        }
        let Some(content_type) = content_type else { return };
        if let Entry::Vacant(entry) = self.message.headers.entry(header::CONTENT_TYPE) {
            entry.insert(content_type);
            self.has_default_type = true;
        }
    }

    /// A JSON body. Where the operation has [references](Self::body_reference), each object in it that is exactly
    /// `{"$ref": "name"}`, with one of their names, becomes the value of that reference; all else is data.
    ///
    /// `body` has to be well-formed JSON text.
    pub fn json_body(&mut self, body: Bytes) {
        let limit = self.cx.json_depth();
        let Ok(text) = std::str::from_utf8(&body) else {
            return self.refuse(Problem::bad_request("`body` is not UTF-8").at("/body"));
        };
        if json_text::is_deeper_than(limit, text) {
            let detail = format!("`body` is nested more than {limit} levels deep");
            return self.refuse(Problem::bad_request(detail).at("/body"));
        }
        self.body(body.clone(), Some(HeaderValue::from_static("application/json")));
        if let Some(links) = &mut self.links {
            links.needs.find_holes(text);
        }
    }

    /// Whether it has a fault already, so that nothing more need be read of it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.problem.is_some()
    }

    /// Refuses this operation, unless it has been refused before. A pointer is relative to the operation.
    pub fn refuse(&mut self, problem: Problem) {
        self.problem.get_or_insert_with(|| Box::new(problem));
    }

    /// What is wrong with it, now that nothing more will be set.
    #[inline]
    pub(crate) fn finish(&mut self) -> Option<Box<Problem>> {
        match self.problem.take() {
            None => self.judge().map(Box::new),
            problem => problem,
        }
    }

    /// What can be said only of a method and a target together.
    fn judge(&self) -> Option<Problem> {
        let (config, method) = (self.cx.config(), &self.label.method);
        let Some(target) = &self.label.target else {
            // Where it is not known yet, this is asked again when it is.
            let is_to_come = self.links.as_ref().is_some_and(|links| links.needs.target.is_some());
            let problem = || Problem::bad_request("the operation has no target").at(self.target_pointer);
            return (!is_to_come).then(problem);
        };
        if *method == Method::POST && config.mount.names(target.path()) {
            return Some(Problem::bad_request("a batch can't be an operation of a batch").at(self.target_pointer));
        }
        match &config.target_policy {
            Some(policy) if !policy(method, target) => {
                let problem = Problem::new(StatusCode::FORBIDDEN, "this target may not be used in a batch");
                Some(problem.at(self.target_pointer))
            }
            _ => None,
        }
    }
}

/// How it hangs together with other operations of the batch.
impl Draft<'_> {
    /// It runs only after the operation of this id has ended with a 2xx; if that doesn't happen, it is a 424. `pointer`
    /// is where that is said, as a JSON Pointer into the operation.
    ///
    /// Whether there is such an operation, and whether it can be waited for, is known only when the batch is whole
    /// ([`BatchBuilder::finish`](crate::BatchBuilder::finish)). If not, this one is refused then.
    pub fn depends_on(&mut self, id: &str, pointer: impl Into<String>) {
        let limit = self.cx.config().limits.operations;
        let dependencies = &mut self.links().relations.dependencies;
        // Each reference may add one to those that are named by themselves.
        if dependencies.len() >= 2 * limit {
            let detail =
                format!("an operation may depend on {limit} others at most, as many as a batch has operations");
            return self.refuse(Problem::bad_request(detail).at("/dependsOn"));
        }
        dependencies.push(Dependency { id: id.into(), pointer: pointer.into() });
    }

    /// It belongs to the atomic group of this name: its operations count all or none. They have to stand side by side in
    /// the batch, and are a 501 each where the server has no
    /// [coordinator](crate::BatchLayer::with_coordinator), unless it is one alone.
    pub fn group(&mut self, name: &str) {
        let limit = self.cx.config().limits.id_bytes;
        if name.len() > limit {
            let detail = format!("the name of a group may have {limit} bytes at most");
            self.unknown_group();
            return self.refuse(Problem::bad_request(detail).at("/group"));
        }
        self.links().relations.group = Some(name.into());
    }

    /// It may belong to a group, and what the client says of that can't be read: so none of the batch's groups is carried
    /// out, for it could be without one of its members.
    pub fn unknown_group(&mut self) {
        self.links().relations.is_group_unknown = true;
    }

    /// A name for a value in the JSON body of another operation's outcome; `pointer` is a JSON Pointer (RFC 6901), the
    /// empty one for the whole body. This operation runs only after that one has ended with a 2xx.
    ///
    /// To be called before what uses the name: [`target_template`](Self::target_template),
    /// [`header_from`](Self::header_from) and [`json_body`](Self::json_body).
    pub fn body_reference(&mut self, name: &str, id: &str, pointer: &str) {
        let source = Source::body(pointer, self.cx.json_depth());
        self.reference(name, id, source);
    }

    /// The same for a header of the outcome: one of those that the answer tells, or `location` or `content-location`, of
    /// which the value is only the path and the query.
    pub fn header_reference(&mut self, name: &str, id: &str, header: &str) {
        let source = Source::header(header).and_then(|(source, header)| {
            // Clients get to know a header by a reference just as they do by a result.
            if is_location(&header) || self.cx.tells(&header) {
                return Ok(source);
            }
            Err(format!(
                "`{}` can't be referred to, for the answer doesn't tell it (`BatchLayer::result_header`)",
                shown(header.as_str())
            ))
        });
        self.reference(name, id, source);
    }

    fn reference(&mut self, name: &str, id: &str, source: Result<Source, String>) {
        let (pointer, limit) = (step("/refs", name), self.cx.config().limits.operations);
        let source = match source {
            Ok(source) => source,
            Err(why) => return self.refuse(Problem::bad_request(why).at(pointer)),
        };
        if self.links().needs.references.len() >= limit {
            let detail = format!("an operation may have {limit} references at most, as many as a batch has operations");
            return self.refuse(Problem::bad_request(detail).at("/refs"));
        }
        self.depends_on(id, pointer.clone());
        if !self.links().needs.add(Reference { name: name.into(), id: id.into(), source, value: None }) {
            let detail = format!("`{}` stands twice in `refs`", shown(name));
            self.refuse(Problem::bad_request(detail).at(pointer));
        }
    }

    /// Whether any reference was given: without, nothing is to be taken for one.
    #[must_use]
    pub fn has_references(&self) -> bool {
        self.links.as_ref().is_some_and(|links| !links.needs.references.is_empty())
    }

    /// Whether a reference of this name was given.
    #[must_use]
    pub fn has_reference(&self, name: &str) -> bool {
        self.links.as_ref().is_some_and(|links| links.needs.find(name).is_some())
    }

    /// The target as an RFC 6570 URI template: `/orders/{order}/lines`. Its names are those of
    /// [references](Self::body_reference), which must have been given already. Values are percent-encoded, but for a location
    /// in `{+name}`. What comes of it is checked as [`target`](Self::target) checks what it is given. `pointer` is where
    /// it stands in the operation.
    pub fn target_template(&mut self, template: &str, pointer: &'static str) {
        self.target_pointer = pointer;
        let limit = self.cx.config().limits.target_bytes;
        let parsed = if template.len() > limit {
            Err("the target is too long".to_owned())
        } else {
            self.links().needs.template(template)
        };
        match parsed {
            Ok(plain) if plain.has_no_names() => self.target(template.to_owned().into(), pointer),
            Ok(template) => {
                // What is wrong with it whatever the values are is better told now.
                self.target(template.sample().into(), pointer);
                self.label.target = None;
                self.links().needs.target = Some(template);
            }
            Err(why) => {
                // What is no template is most often wrong in a way that has a better name.
                if !template::is_template(template) {
                    self.target(template.replace(['{', '}'], "x").into(), pointer);
                    self.label.target = None;
                }
                self.refuse(Problem::bad_request(why).at(pointer));
            }
        }
    }

    /// A header that has the value of a [reference](Self::body_reference), which must have been given already. Which headers
    /// may be set is the same as for [`header`](Self::header), but for `content-type`, which can't be taken from another
    /// operation.
    pub fn header_from(&mut self, name: &str, reference: &str) {
        if self.problem.is_some() {
            return;
        }
        if let Err(why) = self.try_header_from(name, reference) {
            self.refuse(Problem::bad_request(why).at(step("/headers", name)));
        }
    }

    fn try_header_from(&mut self, name: &str, reference: &str) -> Result<(), String> {
        // One name may stand there for as many values as a batch has room for.
        self.count_header(name.len())?;
        match self.class(name)? {
            (_, Class::Dropped) => Ok(()),
            (header, Class::Allowed) if header != header::CONTENT_TYPE => {
                let needs = &mut self.links().needs;
                let index = needs.find(reference).ok_or_else(|| format!("`refs` has no `{}`", shown(reference)))?;
                needs.headers.push((name.into(), Value::Reference(index)));
                Ok(())
            }
            (header, Class::Allowed | Class::Host) => Err(format!("`{header}` can't be taken from another operation")),
            (header, Class::Refused) => Err(not_allowed(&header)),
        }
    }

    pub(crate) fn take_links(&mut self) -> Option<Box<Links>> {
        let mut links = self.links.take()?;
        links.needs.size = self.size;
        links.needs.target_pointer = self.target_pointer;
        Some(links)
    }

    fn links(&mut self) -> &mut Links {
        self.links.get_or_insert_default()
    }
}

fn not_allowed(name: &HeaderName) -> String {
    format!(
        "an operation may not set `{}`: set it on the batch, for all operations; or the server's author may permit it \
         (`BatchLayer::allow_header`)",
        shown(name.as_str())
    )
}

/// Without the white space that HTTP allows around a value (RFC 9110 §5.5); a line end is none, but a fault.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
