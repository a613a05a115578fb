//! Header names as people write them: Microsoft's clients look them up so, and with regard to case.

use std::fmt::{self, Write};

/// `content-type` as `Content-Type`, `etag` as `ETag`.
pub(in crate::format) struct Canonical<'a>(pub(in crate::format) &'a str);

impl fmt::Display for Canonical<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, word) in self.0.split('-').enumerate() {
            if place > 0 {
                f.write_char('-')?;
            }
            match ODD.iter().find(|odd| odd.eq_ignore_ascii_case(word)) {
                Some(odd) => f.write_str(odd)?,
                None => {
                    let (first, rest) = word.split_at(word.len().min(1));
                    write!(f, "{}{rest}", first.to_ascii_uppercase())?;
                }
            }
        }
        Ok(())
    }
}

/// Words that have more than one capital letter.
const ODD: &[&str] = &["DNT", "EntityId", "ETag", "MaxVersion", "MD5", "OData", "TE", "UA", "WebSocket", "WWW", "XSS"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_people_write_them() {
        for (name, expected) in [
            ("content-type", "Content-Type"),
            ("location", "Location"),
            ("etag", "ETag"),
            ("www-authenticate", "WWW-Authenticate"),
            ("last-modified", "Last-Modified"),
            ("retry-after", "Retry-After"),
            ("content-md5", "Content-MD5"),
            ("odata-version", "OData-Version"),
            ("odata-maxversion", "OData-MaxVersion"),
            ("odata-entityid", "OData-EntityId"),
            ("x-xss-protection", "X-XSS-Protection"),
            ("x-request-id", "X-Request-Id"),
            ("te", "TE"),
            ("te-x", "TE-X"),
            ("tea", "Tea"),
            ("x", "X"),
            ("x--y-", "X--Y-"),
            ("1-2", "1-2"),
        ] {
            assert_eq!(Canonical(name).to_string(), expected);
        }
    }
}
