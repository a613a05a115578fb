//! What the head of an answer says.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{code::Code, gather::Gather, text::lossy};

/// The value of a header, if it can be read.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether the body is compressed. Where a client has undone that, and kept the header, the body shows it: it is text.
pub(super) fn is_encoded(headers: &HeaderMap, body: &[u8]) -> bool {
    has_encoding(headers) && std::str::from_utf8(body).is_err()
}

fn has_encoding(headers: &HeaderMap) -> bool {
    let is_one = |value: &HeaderValue| !value.is_empty() && !value.as_bytes().eq_ignore_ascii_case(b"identity");
    headers.get_all(header::CONTENT_ENCODING).iter().any(is_one)
}

/// Holds `Content-Length` against the body (RFC 9110 §8.6), if that is as it was sent.
pub(super) fn check_length(gather: &mut Gather, headers: &HeaderMap, length: usize) {
    if has_encoding(headers) && !gather.has(Code::ContentEncoded) {
        return;
    }
    for told in headers.get_all(header::CONTENT_LENGTH) {
        if told.to_str().ok().and_then(|told| told.parse().ok()) != Some(length) {
            let told = lossy(told.as_bytes());
            gather.find(Code::ContentLength, format!("`Content-Length` is {told}, and the body has {length} bytes"));
        }
    }
}

/// What a multistatus should not have.
pub(super) fn check<B>(gather: &mut Gather, response: &Response<B>) {
    let headers = response.headers();
    for (name, code) in [
        (header::LOCATION, Code::LocationOutside),
        (header::ETAG, Code::ValidatorOutside),
        (header::LAST_MODIFIED, Code::ValidatorOutside),
    ] {
        if let Some(value) = headers.get(&name) {
            gather.find(code, format!("the answer has `{name}: {}`", lossy(value.as_bytes())));
        }
    }
    check_caching(gather, response.status(), headers);
}

fn check_caching(gather: &mut Gather, status: StatusCode, headers: &HeaderMap) {
    let control = Control::read(headers);
    if control.forbids {
        return;
    }
    let expires = headers.get(header::EXPIRES).filter(|_| control.age.is_none()).filter(|value| {
        let expires = value.to_str().ok().and_then(|value| httpdate::parse_http_date(value).ok());
        let date = text(headers, &header::DATE).and_then(|date| httpdate::parse_http_date(date).ok());
        // What can't be read is over (RFC 9111 §5.3).
        expires.is_some_and(|expires| expires > date.unwrap_or_else(SystemTime::now))
    });
    let why = match (control.age.filter(|age| *age > 0), expires, control.is_public) {
        (Some(age), ..) => format!("a cache may keep it for {age} s"),
        (None, Some(expires), _) => format!("a cache may keep it until {}", lossy(expires.as_bytes())),
        (None, None, true) if control.age.is_none() => "`Cache-Control: public` lets a cache keep it".to_owned(),
        _ => {
            if status == StatusCode::MULTI_STATUS && control.age.is_none() {
                gather.find(Code::NoCacheControl, "there is no `Cache-Control: no-store`");
            }
            return;
        }
    };
    gather.find(Code::Cacheable, why);
}

/// What `Cache-Control` says (RFC 9111 §5.2.2).
#[derive(Default)]
struct Control {
    /// Not to keep it, or not to use it without asking.
    forbids: bool,
    is_public: bool,
    /// For how long it may be used, in seconds.
    age: Option<u64>,
}

impl Control {
    fn read(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        for directive in values.flat_map(|value| value.split(',')).map(str::trim) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if is("no-store") || is("no-cache") && value.is_empty() {
                control.forbids = true;
            } else if is("public") {
                control.is_public = true;
            } else if is("max-age") || is("s-maxage") {
                // What can't be read is over (RFC 9111 §4.2.1).
                let age = value.trim_matches('"').parse().unwrap_or_default();
                control.age = control.age.max(Some(age));
            }
        }
        control
    }
}
