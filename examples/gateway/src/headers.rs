//! What is meant for one connection only is not passed on (RFC 9110 §7.6.1), and framing is made anew.

use std::collections::HashSet;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;

use crate::outgoing::Outgoing;

/// Who has passed the message on, as `Via` tells it.
const PSEUDONYM: &str = "tower-multistatus-gateway";

/// Makes of the head of a request what an upstream is sent.
pub(crate) fn for_upstream(request: &mut Request<Outgoing>) {
    let version = std::mem::replace(request.version_mut(), Version::HTTP_11);
    let authority = request.uri().authority().map(|authority| {
        // RFC 9110 §4.2.4: who the user is stays where it is.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        HeaderValue::from_str(host)
    });
    let length = request.body().size_hint().exact();
    let may_have_body = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    let headers = request.headers_mut();
    strip(headers);
    // hyper has asked for the body already, or does it when the body is read.
    headers.remove(header::EXPECT);
    // What frames the body is what has been read of it, and never what was said of it.
    headers.remove(header::CONTENT_LENGTH);
    if let Some(length) = length.filter(|&length| length > 0 || may_have_body) {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    // The name in the target is the one that counts (RFC 9112 §3.2.2).
    if let Some(Ok(host)) = authority {
        headers.insert(header::HOST, host);
    }
    join_cookies(headers);
    append(headers, header::VIA, &format!("{} {PSEUDONYM}", protocol(version)));
}

/// Makes of the head of an answer what the client is sent.
pub(crate) fn for_client<B>(response: &mut Response<B>, is_head: bool)
where
    B: Body,
{
    let version = protocol(response.version());
    let has_content = !is_head && response.status() != StatusCode::NOT_MODIFIED;
    let length = response.body().size_hint().exact();
    let headers = response.headers_mut();
    strip(headers);
    // Without content it is the length that there would be.
    if has_content && length.is_none_or(|length| headers.get(header::CONTENT_LENGTH) != Some(&length.into())) {
        headers.remove(header::CONTENT_LENGTH);
    }
    append(headers, header::VIA, &format!("{version} {PSEUDONYM}"));
}

/// Whether a client asks for another protocol on its connection. An offer of HTTP/2 may be passed over.
pub(crate) fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let others = values(headers, &header::UPGRADE).any(|protocol| !protocol.eq_ignore_ascii_case("h2c"));
    others && values(headers, &header::CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"))
}

fn strip(headers: &mut HeaderMap) {
    let named: HashSet<HeaderName> = values(headers, &header::CONNECTION)
        .filter_map(|option| option.parse().ok())
        .filter(|name| !is_protected(name))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        headers.remove(name);
    }
}

/// Who the client is, and where it comes from. A client must not be able to take away what a proxy in front has said of
/// it, or half of a request that is checked by both halves, by naming it in `Connection`.
fn is_protected(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "content-length" | "cookie" | "host" | "origin" | "via")
        || ["amzn", "auth", "client", "forwarded", "-ip", "sec-", "user"].iter().any(|part| name.contains(part))
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// HTTP/2 may split them, and HTTP/1.1 doesn't know that (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let ([_, _, ..], Ok(joined)) = (&cookies[..], HeaderValue::from_bytes(&cookies.join(&b"; "[..]))) {
        headers.insert(header::COOKIE, joined);
    }
}

/// One more element of a list, in one line with those that are there: some readers look at one line only.
pub(crate) fn append(headers: &mut HeaderMap, name: HeaderName, element: &str) {
    let mut list: Vec<_> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    list.push(element.as_bytes());
    let Ok(joined) = HeaderValue::from_bytes(&list.join(&b", "[..])) else { return };
    headers.insert(name, joined);
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

#[cfg(test)]
#[path = "headers/tests.rs"]
mod tests;
