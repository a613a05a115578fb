//! Who the client is, in the words of RFC 7239, and in those that were there before it.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::headers::append;

const FORWARDED: HeaderName = header::FORWARDED;
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whether a header says where a request comes from. Of a client that is no proxy of ours it means nothing.
fn tells_origin(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "forwarded" | "x-real-ip" | "x-client-ip" | "x-cluster-client-ip")
        || name.starts_with("x-forwarded-")
}

/// Adds who has sent a request, and to which host. What a proxy in front has said of it stays if that one is trusted, and
/// is dropped else: anybody could have said it.
pub(crate) fn add(headers: &mut HeaderMap, client: IpAddr, trusted: &[IpAddr]) {
    // As some systems tell of IPv4 on a socket for both.
    let client = client.to_canonical();
    if !trusted.contains(&client) {
        let forged: Vec<_> = headers.keys().filter(|name| tells_origin(name)).cloned().collect();
        for name in forged {
            headers.remove(name);
        }
    }
    let host = headers.get(header::HOST).cloned();
    let mut element = format!("for={}", node(client));
    if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok()) {
        element.push_str(";host=");
        element.push_str(&value(host));
    }
    element.push_str(";proto=http");
    append(headers, FORWARDED, &element);
    append(headers, FOR, &client.to_string());
    // Of these there is one, which the first proxy has set.
    if let (false, Some(host)) = (headers.contains_key(HOST), host) {
        headers.insert(HOST, host);
    }
    if !headers.contains_key(PROTO) {
        headers.insert(PROTO, HeaderValue::from_static("http"));
    }
}

/// RFC 7239 §6: IPv6 in brackets, and these in quotes.
fn node(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("\"[{address}]\""),
    }
}

/// A token, or a string in quotes.
fn value(text: &str) -> String {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_token) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
#[path = "forwarded/tests.rs"]
mod tests;
