//! What can be said of JSON text without building values of it.

use std::borrow::Cow;

mod check;
mod places;
mod tokens;

pub(crate) use self::{
    check::embeddable,
    places::{Place, Places},
    tokens::{Token, tokens},
};

/// The text of a JSON string, in place where it has no escapes. `None` for any other value, and for a string that no
/// Unicode text is (a lone surrogate).
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.as_bytes().contains(&b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}

/// Whether a well-formed value is nested deeper than this.
pub(crate) fn is_deeper_than(limit: usize, json: &str) -> bool {
    let openings = memchr::memchr2_iter(b'[', b'{', json.as_bytes()).count();
    // There can't be more levels than brackets, so that most values needn't be looked at closely.
    openings > limit && depth(json) > limit
}

fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for token in tokens(json) {
        match token.first {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
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
