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
    grpc,
    inherit::{self, Class},
    json_text,
    needs::{Needs, Value},
    problem::{Problem, shown, step},
    target,
};

mod links;

pub(crate) use self::links::Links;

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
    /// What others of the batch refer to it by, if that isn't its id.
    pub(crate) key: Option<Box<str>>,
    problem: Option<Box<Problem>>,
}

/// How many headers were set, and the bytes of their names and values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeaderSize {
    count: usize,
    bytes: usize,
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
            key: None,
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

    /// What others of the batch refer to it by, and what has to be unique, in place of its id: where ids are only unique
    /// within a part of the batch.
    #[cfg(feature = "multipart")]
    pub(crate) fn key(&mut self, key: &str) {
        self.key = Some(key.into());
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

    /// A header that belongs to the format, whatever else an operation may set.
    #[cfg(any(feature = "multipart", feature = "odata"))]
    pub(crate) fn own_header(&mut self, name: &HeaderName, value: &[u8]) {
        let checked = self.checked_value(name.as_str(), value).map(|value| self.message.headers.append(name, value));
        if let Err(why) = checked {
            self.refuse(Problem::bad_request(why).at(step("/headers", name.as_str())));
        }
    }

    fn checked_value(&mut self, name: &str, value: &[u8]) -> Result<HeaderValue, String> {
        self.count_header(name.len() + value.len())?;
        HeaderValue::from_bytes(trim(value))
            .map_err(|_| "the value of this header has a character that HTTP does not allow".to_owned())
    }

    fn try_header(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        let value = self.checked_value(name, value)?;
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
            // As Google's clients do it with the token of the batch: nobody becomes somebody else by that.
            Class::Refused if inherit::is_repeated(self.cx.head(), &name, &value) => {}
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

    /// Whether it is a call of a gRPC method, by the headers that have been set so far: then the body is one message
    /// ([`BatchLayer::grpc`](crate::BatchLayer::grpc)).
    pub(crate) fn is_call(&self) -> bool {
        grpc::is_call(self.cx.config(), self.headers())
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
        let holes =
            self.links.as_ref().and_then(|links| Some(links.needs.find_holes(std::str::from_utf8(&body).ok()?)));
        self.json_data(body);
        if let (Some(links), Some(holes)) = (&mut self.links, holes) {
            links.needs.holes = holes;
        }
    }

    /// A JSON body in which nothing stands for anything else. It has to be well-formed JSON text, too.
    pub fn json_data(&mut self, body: Bytes) {
        let limit = self.cx.json_depth();
        let Ok(text) = std::str::from_utf8(&body) else {
            return self.refuse(Problem::bad_request("`body` is not UTF-8").at("/body"));
        };
        if json_text::is_deeper_than(limit, text) {
            let detail = format!("`body` is nested more than {limit} levels deep");
            return self.refuse(Problem::bad_request(detail).at("/body"));
        }
        self.body(body, Some(HeaderValue::from_static("application/json")));
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
        if let Some(problem) = grpc::fault(config, method, &self.message.headers) {
            return Some(problem);
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
