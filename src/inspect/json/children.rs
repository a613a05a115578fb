use std::borrow::Cow;

use crate::json_text::{Token, string, tokens};

/// A member of an object, or an element of an array.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Child<'a> {
    /// Of a member.
    pub(crate) name: Option<Cow<'a, str>>,
    /// Its text.
    pub(crate) value: &'a str,
    /// It is not cut off.
    pub(crate) is_whole: bool,
}

/// Those of an object or an array, one after the other; of any other value there are none. In text that is not
/// well-formed, whatever is found: nothing is built, and each byte is looked at once.
pub(crate) fn children(text: &str) -> impl Iterator<Item = Child<'_>> {
    let mut tokens = tokens(text);
    let first = tokens.next().map(|token| token.first);
    let is_object = first == Some(b'{');
    let mut has_ended = !is_object && first != Some(b'[');
    let mut name = None;
    std::iter::from_fn(move || {
        loop {
            if has_ended {
                return None;
            }
            let Some(Token { first, range }) = tokens.next() else {
                has_ended = true;
                continue;
            };
            let (mut end, mut is_whole) = (range.end, true);
            match first {
                b'}' | b']' => {
                    has_ended = true;
                    continue;
                }
                b':' => continue,
                b',' => {
                    name = None;
                    continue;
                }
                b'"' if is_object && name.is_none() => {
                    name = Some(string(&text[range]).unwrap_or_default());
                    continue;
                }
                b'{' | b'[' => {
                    let mut depth = 1_usize;
                    while depth > 0 {
                        let Some(token) = tokens.next() else { break };
                        end = token.range.end;
                        match token.first {
                            b'{' | b'[' => depth += 1,
                            b'}' | b']' => depth -= 1,
                            _ => {}
                        }
                    }
                    is_whole = depth == 0;
                }
                _ => {}
            }
            return Some(Child { name: name.take(), value: &text[range.start..end], is_whole });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_child_is_taken_as_it_is() {
        let found =
            |text| children(text).map(|child| (child.name, child.value.to_owned(), child.is_whole)).collect::<Vec<_>>();
        let member = |name: &'static str, value: &str| (Some(name.into()), value.to_owned(), true);
        let element = |value: &str| (None, value.to_owned(), true);
        assert_eq!(
            found(r#" {"a":{"b":[1]}, "c\"":"d,}" ,"":null} "#),
            [member("a", r#"{"b":[1]}"#), member("c\"", r#""d,}""#), member("", "null")]
        );
        assert_eq!(found(r#"[1,{"a":[]},[2]]"#), [element("1"), element(r#"{"a":[]}"#), element("[2]")]);
        assert_eq!(found(r#"[1,{"a":[]"#), [element("1"), (None, r#"{"a":[]"#.to_owned(), false)]);
        for text in ["", "1", "\"[1]\"", "{}", "[]", "{", "}", "[1"] {
            assert!(found(text).len() <= 1, "{text}");
        }
    }
}
