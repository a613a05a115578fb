//! Whose requests are ours: `host` or `host:port` (RFC 3986 §3.2).

/// Without the userinfo that an authority may have.
pub(crate) fn host_and_port(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// Without regard to case, and to a default port that only one of them has.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    let ((one, one_port), (other, other_port)) = (split_port(one), split_port(other));
    let is_default = |port: Option<&str>| matches!(port, None | Some("80" | "443"));
    let same_port = one_port == other_port
        || (one_port.is_none() || other_port.is_none()) && is_default(one_port) && is_default(other_port);
    same_port && one.eq_ignore_ascii_case(other)
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_whatever_the_case_or_the_default_port() {
        for (one, other, same) in [
            ("api.example.com", "API.Example.Com", true),
            ("api.example.com:443", "api.example.com", true),
            ("api.example.com", "api.example.com:80", true),
            ("api.example.com:8080", "api.example.com:8080", true),
            ("[::1]:80", "[::1]", true),
            ("api.example.com:8080", "api.example.com", false),
            ("api.example.com:443", "api.example.com:80", false),
            ("api.example.com", "example.com", false),
            ("[::1]", "[::2]", false),
            ("a@api.example.com", "api.example.com", false),
        ] {
            assert_eq!((is_same(one, other), is_same(other, one)), (same, same), "{one} {other}");
        }
    }
}
