//! What can be said of a JSON value without building it.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;

/// The text of a JSON string, in place where it has no escapes. `None` for any other value, and for a string that no
/// Unicode text is (a lone surrogate).
pub(super) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if !inner.as_bytes().contains(&b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw.get()).ok().map(Cow::Owned)
}

/// Whether a well-formed value is nested deeper than this.
pub(super) fn is_deeper_than(limit: usize, json: &str) -> bool {
    let openings = memchr::memchr2_iter(b'[', b'{', json.as_bytes()).count();
    // There can't be more levels than brackets, so that most values needn't be looked at closely.
    openings > limit && depth(json) > limit
}

fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0, 0);
    let mut rest = json.as_bytes();
    while let Some((&byte, mut after)) = rest.split_first() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth -= 1,
            b'"' => {
                while let Some(end) = memchr::memchr2(b'"', b'\\', after) {
                    let is_escape = after[end] == b'\\';
                    after = &after[end + 1 + usize::from(is_escape)..];
                    if !is_escape {
                        break;
                    }
                }
            }
            _ => {}
        }
        rest = after;
    }
    deepest
}

/// The name of a member, in place where it has no escapes.
pub(super) struct Name<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a member")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        assert_eq!(depth("1"), 0);
        assert_eq!(depth(r#"{"a":[{}],"b":{}}"#), 3);
        assert_eq!(depth(r#"["[[[", "\"[[", "\\", []]"#), 2);
        let deep = "[".repeat(65) + &"]".repeat(65);
        assert!(is_deeper_than(64, &deep));
        assert!(!is_deeper_than(65, &deep));
        assert!(!is_deeper_than(64, &format!("[{}]", vec!["[]"; 100].join(","))));
    }
}
