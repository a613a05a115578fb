//! Where a request goes.

/// What the `url` of a request is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Url<'a> {
    /// It begins with a slash.
    Path(&'a str),
    /// A whole URL: its authority, and what stands behind it. None where it isn't one of HTTP.
    Absolute { authority: Option<&'a str>, rest: &'a str },
    /// It is meant from where the batch stands.
    Relative(&'a str),
    /// `$id`, and what stands behind it: a slash and more, a query, or nothing.
    Reference { id: &'a str, rest: &'a str },
}

impl<'a> Url<'a> {
    pub(super) fn parse(url: &'a str) -> Self {
        if url.starts_with('/') {
            return Self::Path(url);
        }
        if let Some((scheme, behind)) = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
            let (authority, rest) = behind.split_at(behind.find(['/', '?', '#']).unwrap_or(behind.len()));
            let is_http = ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http));
            return Self::Absolute { authority: is_http.then_some(authority), rest };
        }
        let (segment, rest) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
        match segment.strip_prefix('$') {
            Some(id) if !is_reserved(id) => Self::Reference { id, rest },
            _ => Self::Relative(url),
        }
    }
}

/// RFC 3986 §3.1. What has a colon but no two slashes behind it may be a key: `Customers(Name='a:b')`.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The resources of the system (OData URL Conventions 4.01, section 4), whose names no id can take.
fn is_reserved(name: &str) -> bool {
    let name = name.split_once('(').map_or(name, |(name, _)| name);
    ["all", "batch", "crossjoin", "entity", "id", "metadata", "root"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_kinds_of_urls() {
        let absolute = |authority, rest| Url::Absolute { authority, rest };
        let reference = |id, rest| Url::Reference { id, rest };
        for (url, expected) in [
            ("/a", Url::Path("/a")),
            ("//host/a", Url::Path("//host/a")),
            ("/$1/a", Url::Path("/$1/a")),
            ("a", Url::Relative("a")),
            ("", Url::Relative("")),
            ("?$top=1", Url::Relative("?$top=1")),
            ("Customers('http://x')", Url::Relative("Customers('http://x')")),
            ("Customers(Name='a:b')", Url::Relative("Customers(Name='a:b')")),
            ("a?next=http://x", Url::Relative("a?next=http://x")),
            ("https://host", absolute(Some("host"), "")),
            ("HTTP://host:1/a?b", absolute(Some("host:1"), "/a?b")),
            ("https://host?b", absolute(Some("host"), "?b")),
            ("https://host\\@other/a", absolute(Some("host\\@other"), "/a")),
            ("ftp://host/a", absolute(None, "/a")),
            ("$1", reference("1", "")),
            ("$1/a?b", reference("1", "/a?b")),
            ("$a-b?c", reference("a-b", "?c")),
            ("$", reference("", "")),
            ("$metadata", Url::Relative("$metadata")),
            ("$metadata#a", Url::Relative("$metadata#a")),
            ("$entity?$id=a", Url::Relative("$entity?$id=a")),
            ("$crossjoin(a,b)/c", Url::Relative("$crossjoin(a,b)/c")),
            ("$all/a", Url::Relative("$all/a")),
            ("$batch", Url::Relative("$batch")),
            ("$root/a", Url::Relative("$root/a")),
            ("$id", Url::Relative("$id")),
            ("$ids/a", reference("ids", "/a")),
        ] {
            assert_eq!(Url::parse(url), expected, "{url}");
        }
    }
}
