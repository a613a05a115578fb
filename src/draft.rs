//! From what a format has read to a checked operation: the one door, which no format can go around.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::{
    batch::{Label, Message},
    builder::DecodeContext,
    inherit::{self, Class},
    problem::{Problem, shown, step},
    target,
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
    default_content_type: Option<HeaderValue>,
    header_count: usize,
    header_bytes: usize,
    problem: Option<Box<Problem>>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(cx: DecodeContext<'a>) -> Self {
        Self {
            cx,
            label: Label::default(),
            message: Message::default(),
            target_pointer: "/path",
            default_content_type: None,
            header_count: 0,
            header_bytes: 0,
            problem: None,
        }
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
        let limits = &self.cx.config().limits;
        self.header_count += 1;
        self.header_bytes += name.len() + value.len();
        if self.header_count > limits.headers || self.header_bytes > limits.header_bytes {
            let (count, bytes) = (limits.headers, limits.header_bytes);
            return Err(format!("an operation may have {count} headers of {bytes} bytes together at most"));
        }
        let value = HeaderValue::from_bytes(trim(value))
            .map_err(|_| "the value of this header has a character that HTTP does not allow".to_owned())?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "this is not a header name".to_owned())?;
        match inherit::class(&name, &self.cx.config().operation_headers) {
            // Two of them is how one layer's check is made to see another type than the next layer's parser.
            Class::Allowed if name == header::CONTENT_TYPE && self.message.headers.contains_key(&name) => {
                return Err("an operation can have only one `content-type`".to_owned());
            }
            Class::Allowed => {
                self.message.headers.append(name, value);
            }
            Class::Dropped => {}
            Class::Host if value.to_str().is_ok_and(|host| self.cx.is_own_authority(host)) => {}
            Class::Host => return Err("an operation can't be sent to another host than the batch".to_owned()),
            Class::Refused => {
                return Err(format!(
                    "an operation may not set `{}`: set it on the batch, for all operations; or the server's \
                     author may permit it (`BatchLayer::allow_header`)",
                    shown(name.as_str())
                ));
            }
        }
        Ok(())
    }

    /// The headers that have been set so far.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.message.headers
    }

    /// The body, and what it is if no `content-type` header is set, before or after.
    pub fn body(&mut self, body: Bytes, content_type: Option<HeaderValue>) {
        self.message.body = Some(body);
        self.default_content_type = content_type;
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
    pub(crate) fn finish(&mut self) -> Option<Box<Problem>> {
        if let Some(content_type) = self.default_content_type.take() {
            self.message.headers.entry(header::CONTENT_TYPE).or_insert(content_type);
        }
        self.problem.take().or_else(|| self.judge().map(Box::new))
    }

    /// What can be said only of a method and a target together.
    fn judge(&self) -> Option<Problem> {
        let (config, method) = (self.cx.config(), &self.label.method);
        let Some(target) = &self.label.target else {
            return Some(Problem::bad_request("the operation has no target").at(self.target_pointer));
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

/// Without the white space that HTTP allows around a value (RFC 9110 §5.5); a line end is none, but a fault.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
