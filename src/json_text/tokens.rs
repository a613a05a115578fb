//! Takes well-formed JSON text apart without building anything of it.

use std::ops::Range;

/// One token of JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The first byte: one of `{}[]:,"`, or the beginning of a number or a literal.
    pub(crate) first: u8,
    /// Where it stands in the text.
    pub(crate) range: Range<usize>,
}

/// All tokens of a text that is known to be one well-formed JSON value (RFC 8259); of any other, whatever is found.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = Token> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        at += bytes[at..].iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))?;
        let (start, first) = (at, bytes[at]);
        at += match first {
            b'"' => string_len(&bytes[at..]),
            b'{' | b'}' | b'[' | b']' | b':' | b',' => 1,
            _ => bytes[at..].iter().position(|byte| b",:]} \t\n\r".contains(byte)).unwrap_or(bytes.len() - at),
        };
        Some(Token { first, range: start..at })
    })
}

/// With both quotes.
fn string_len(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_are_whole() {
        let text = r#" {"a\"":[-1.5e3,true,"\\",""] }"#;
        let found: Vec<_> = tokens(text).map(|token| &text[token.range]).collect();
        assert_eq!(found, ["{", r#""a\"""#, ":", "[", "-1.5e3", ",", "true", ",", r#""\\""#, ",", r#""""#, "]", "}"]);
    }

    proptest! {
        /// Whatever stands there, it ends, and all that is left out is white space.
        #[test]
        fn nothing_is_lost(text in r#"[\[\]{}:," \\a1é-]{0,40}"#) {
            let (mut end, mut kept) = (0, String::new());
            for token in tokens(&text) {
                prop_assert!(token.range.start >= end && token.range.end > token.range.start);
                end = token.range.end;
                kept.push_str(&text[token.range]);
            }
            prop_assert_eq!(kept.replace(' ', ""), text.replace(' ', ""));
        }
    }
}
