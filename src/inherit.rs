//! What a sub-request takes from the outer request, and what an operation may set itself.

use std::collections::HashSet;

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Request, Uri, Version,
    header::{self, CONTENT_LENGTH},
    request::Parts,
    uri::{self, PathAndQuery},
};

use crate::{
    authority::host_and_port,
    batch::{Label, Message},
    context::BatchContext,
};

/// Copies one type of extension from the outer request, if it is there.
pub(crate) type Forward = fn(&Extensions, &mut Extensions);

/// Worked out once a batch; each sub-request gets a copy.
pub(crate) struct Inheritance {
    headers: HeaderMap,
    extensions: Extensions,
    /// An authority without a scheme is a CONNECT's target, and can't have a path.
    origin: Option<(uri::Scheme, uri::Authority)>,
}

impl Inheritance {
    pub(crate) fn new(outer: &Parts, forwards: &[Forward]) -> Self {
        let mut extensions = with_room();
        for forward in forwards {
            forward(&outer.extensions, &mut extensions);
        }
        Self {
            headers: inherited_headers(outer),
            extensions,
            origin: outer.uri.scheme().cloned().zip(outer.uri.authority().cloned()),
        }
    }

    /// The sub-request of one operation. Always HTTP/1.1: passed on by a client, an outer HTTP/2 would break
    /// upstreams that speak only HTTP/1.
    #[inline]
    pub(crate) fn request(&self, label: &Label, message: Message, context: BatchContext) -> Request<Option<Bytes>> {
        let length = message.body.as_ref().map(Bytes::len);
        let mut request = Request::new(message.body);
        *request.version_mut() = Version::HTTP_11;
        *request.method_mut() = label.method.clone();
        *request.uri_mut() = self.uri(label.target.clone().expect("an operation without a target was refused"));
        *request.headers_mut() = self.headers(message.headers, length);
        *request.extensions_mut() = self.extensions.clone();
        request.extensions_mut().insert(context);
        request
    }

    /// In origin-form where the outer one was, else (HTTP/2, or a client's request) on the same authority.
    fn uri(&self, target: PathAndQuery) -> Uri {
        let Some((scheme, authority)) = &self.origin else { return target.into() };
        let mut parts = uri::Parts::default();
        parts.path_and_query = Some(target);
        parts.scheme = Some(scheme.clone());
        parts.authority = Some(authority.clone());
        Uri::from_parts(parts).expect("a scheme, an authority and a path are all that a URI needs")
    }

    /// What the operation sets replaces all inherited values of that name.
    fn headers(&self, own: HeaderMap, content_length: Option<usize>) -> HeaderMap {
        let mut headers = if self.headers.is_empty() {
            own
        } else {
            let mut headers = self.headers.clone();
            // Replaces all values of a name that is there.
            headers.extend(own);
            headers
        };
        if let Some(length) = content_length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        headers
    }
}

/// Empty, but with room for what a router and its layers add: a copy has the same room, and needn't grow at each
/// operation.
fn with_room() -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert([(); 0]);
    extensions.insert([(); 1]);
    extensions.insert([(); 2]);
    extensions.insert([(); 3]);
    extensions.clear();
    extensions
}

/// Whether this is the token that the operation has anyway. Of no other header it is told whether a value has been guessed
/// that a proxy may have added.
pub(crate) fn is_repeated(outer: &Parts, name: &HeaderName, value: &HeaderValue) -> bool {
    let mut values = outer.headers.get_all(name).iter();
    *name == header::AUTHORIZATION && (values.next(), values.next()) == (Some(value), None)
}

fn inherited_headers(outer: &Parts) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let options = connection_options(&outer.headers);
    for (name, value) in &outer.headers {
        if is_inherited(name) && (is_protected(name) || !options.contains(name.as_str())) {
            headers.append(name, value.clone());
        }
    }
    // One host, and the one that counts: that of the URI where it has one (RFC 9112 §3.2.2), as in HTTP/2.
    let authority = outer.uri.authority().map(|authority| HeaderValue::from_str(host_and_port(authority.as_str())));
    if let Some(host) = authority.and_then(Result::ok).or_else(|| headers.get(header::HOST).cloned()) {
        headers.insert(header::HOST, host);
    }
    // HTTP/2 may split it, and HTTP/1.1 doesn't know that (RFC 9113 §8.2.3).
    let cookies: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let ([_, _, ..], Ok(joined)) = (&cookies[..], HeaderValue::from_bytes(&cookies.join(&b"; "[..]))) {
        headers.insert(header::COOKIE, joined);
    }
    headers
}

/// Who the client is, and where it comes from. A client must not be able to take this away by naming it in `Connection`,
/// for what an outer proxy has added would go with it. Proxies have many names for it.
fn is_protected(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "cookie" | "host" | "origin" | "via")
        || ["amzn", "auth", "client", "forwarded", "-ip", "sec-", "user"].iter().any(|part| name.contains(part))
}

/// `Connection` may name further headers that are meant for the next hop only (RFC 9110 §7.6.1).
fn connection_options(headers: &HeaderMap) -> HashSet<String> {
    let lines = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|option| option.trim().to_ascii_lowercase()).collect()
}

/// Whether a header of the outer request is about each operation too, rather than about the batch's own
/// representation, its framing, or the batch alone.
fn is_inherited(name: &HeaderName) -> bool {
    let name = name.as_str();
    let prefixes = ["accept", "content-", "if-", "want-", "x-http-method"];
    // `idempotency-key` above all: an inner deduplication would answer every operation with the first one's result.
    let others = [
        "connection",
        "digest",
        "expect",
        "grpc-accept-encoding",
        "grpc-encoding",
        "grpc-timeout",
        "http2-settings",
        "idempotency-key",
        "keep-alive",
        "last-event-id",
        "prefer",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "repr-digest",
        "signature",
        "signature-input",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-method-override",
    ];
    !prefixes.iter().any(|prefix| name.starts_with(prefix)) && !others.contains(&name)
}

/// What happens to a header that an operation sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// It is sent.
    Allowed,
    /// Clients add it out of habit, and it has no meaning inside a batch: ours is right.
    Dropped,
    /// Names the authority; the sender may repeat ours.
    Host,
    /// It might change who the client is, or where it seems to come from: the operation is refused.
    Refused,
}

/// `extra` is what the server's author allows on top; it can't bring back what belongs to the framing.
pub(crate) fn class(name: &HeaderName, extra: &[HeaderName]) -> Class {
    match name.as_str() {
        "host" => Class::Host,
        "connection" | "content-length" | "expect" | "keep-alive" | "te" | "trailer" | "transfer-encoding"
        | "upgrade" => Class::Dropped,
        _ if extra.contains(name) => Class::Allowed,
        "accept" | "accept-language" | "content-encoding" | "content-language" | "content-type" | "idempotency-key"
        | "prefer" | "range" => Class::Allowed,
        conditional if conditional.starts_with("if-") => Class::Allowed,
        "accept-charset" | "accept-encoding" | "mime-version" | "user-agent" => Class::Dropped,
        // What known batch clients add to each operation about themselves.
        "client-request-id"
        | "dataserviceversion"
        | "maxdataserviceversion"
        | "sap-cancel-on-close"
        | "sap-contextid-accept"
        | "sdkversion"
        | "x-csrf-token"
        | "x-goog-api-client"
        | "x-requested-with" => Class::Dropped,
        _ => Class::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_classes() {
        let class = |name| class(&HeaderName::from_static(name), &[]);
        for name in ["accept", "content-type", "if-match", "if-none-match", "range", "idempotency-key"] {
            assert_eq!(class(name), Class::Allowed, "{name}");
        }
        for name in ["content-length", "te", "expect", "accept-encoding", "user-agent", "sdkversion"] {
            assert_eq!(class(name), Class::Dropped, "{name}");
        }
        for name in [
            "authorization",
            "cookie",
            "forwarded",
            "x-forwarded-for",
            "x-real-ip",
            "proxy-authorization",
            "origin",
            "x-anything",
        ] {
            assert_eq!(class(name), Class::Refused, "{name}");
        }
    }

    #[test]
    fn framing_can_not_be_allowed() {
        let name = HeaderName::from_static("transfer-encoding");
        assert_eq!(class(&name, std::slice::from_ref(&name)), Class::Dropped);
    }
}
