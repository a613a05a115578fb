//! Whether bytes are JSON that can stand in an answer. Most of what a batch costs would otherwise be spent on this:
//! building nothing and telling no position, it takes a third of the instructions of a general parser.

/// Whether these bytes are one JSON value (RFC 8259) that any client can read.
///
/// What parsers disagree about is none (RFC 7493 §2): a lone surrogate, a number beyond a double, nesting of more than
/// 64 levels. The operation that sent it would else make the whole answer unreadable, and hide its siblings' outcomes.
pub(super) fn is_embeddable(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok() && document(bytes).is_some()
}

/// Which levels are objects, the innermost in the lowest bit.
#[derive(Clone, Copy, Default)]
struct Nesting {
    objects: u64,
    depth: u32,
}

impl Nesting {
    fn enter(self, object: bool) -> Option<Self> {
        let depth = self.depth + 1;
        (depth <= u64::BITS).then_some(Self { objects: self.objects << 1 | u64::from(object), depth })
    }

    fn leave(self) -> Self {
        Self { objects: self.objects >> 1, depth: self.depth - 1 }
    }

    fn is_object(self) -> bool {
        self.objects & 1 == 1
    }
}

// All of these take where they begin, and give back where they have ended, or `None` where there is no such thing.

fn document(bytes: &[u8]) -> Option<()> {
    let (mut at, mut nesting) = (0, Nesting::default());
    loop {
        // Here a value has to begin.
        at = space(bytes, at);
        let first = *bytes.get(at)?;
        at += 1;
        match first {
            b'"' => at = string(bytes, at)?,
            b'{' | b'[' => {
                nesting = nesting.enter(first == b'{')?;
                at = space(bytes, at);
                // The closing bracket is two more than the opening one in ASCII.
                if *bytes.get(at)? != first + 2 {
                    at = if first == b'{' { name(bytes, at)? } else { at };
                    continue;
                }
            }
            b't' => at = literal(bytes, at, b"rue")?,
            b'f' => at = literal(bytes, at, b"alse")?,
            b'n' => at = literal(bytes, at, b"ull")?,
            _ => at = number(bytes, at - 1)?,
        }
        // Here one has ended, and perhaps what it stands in.
        loop {
            at = space(bytes, at);
            if nesting.depth == 0 {
                return (at == bytes.len()).then_some(());
            }
            let next = *bytes.get(at)?;
            at += 1;
            match (next, nesting.is_object()) {
                (b',', true) => {
                    at = name(bytes, space(bytes, at))?;
                    break;
                }
                (b',', false) => break,
                (b'}', true) | (b']', false) => nesting = nesting.leave(),
                _ => return None,
            }
        }
    }
}

#[inline]
fn space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The name of a member, and the colon.
fn name(bytes: &[u8], at: usize) -> Option<usize> {
    let quote = bytes.get(at) == Some(&b'"');
    let at = space(bytes, string(bytes, at + 1).filter(|_| quote)?);
    (bytes.get(at) == Some(&b':')).then_some(at + 1)
}

/// What is behind the opening quote, and the closing one.
#[inline(always)]
fn string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = plain(bytes, at);
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = escape(bytes, at + 1)?,
            _ => return None,
        }
    }
}

/// What is behind the backslash.
fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match *bytes.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => match code_unit(bytes, at + 1)? {
            0xd800..=0xdbff if bytes.get(at + 5..at + 7)? == b"\\u" => {
                matches!(code_unit(bytes, at + 7)?, 0xdc00..=0xdfff).then_some(at + 11)
            }
            0xd800..=0xdfff => None,
            _ => Some(at + 5),
        },
        _ => None,
    }
}

fn code_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?.iter();
    digits.map(|&digit| char::from(digit).to_digit(16)).try_fold(0, |unit, digit| Some(unit << 4 | digit?))
}

fn literal(bytes: &[u8], at: usize, tail: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(tail).then_some(at + tail.len())
}

fn number(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + usize::from(bytes[start] == b'-');
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(bytes, at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    let mut large = at - start > 300;
    if let Some(b'e' | b'E') = bytes.get(at) {
        let exponent = at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits(bytes, exponent)?;
        large |= at - exponent > 2;
    }
    if large {
        let value: f64 = std::str::from_utf8(&bytes[start..at]).ok()?.parse().ok()?;
        return value.is_finite().then_some(at);
    }
    Some(at)
}

/// At least one.
fn digits(bytes: &[u8], at: usize) -> Option<usize> {
    let count = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(at + count)
}

/// Passes over what is neither a quote, nor a backslash, nor a control character.
#[inline(always)]
fn plain(bytes: &[u8], mut at: usize) -> usize {
    const EACH: u64 = u64::MAX / 255;
    // Eight bytes at a time: in a byte's highest bit stands whether something was borrowed from it, so the lowest such
    // bit is right, and those above it don't matter.
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let eight = u64::from_le_bytes(*eight);
        let is = |byte: u8| (eight ^ (EACH * u64::from(byte))).wrapping_sub(EACH);
        let control = eight.wrapping_sub(EACH * 0x20);
        let found = (is(b'"') | is(b'\\') | control) & !eight & (EACH * 0x80);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(b' '..=b'!' | b'#'..=b'[' | b']'..) = bytes.get(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the general parser says, which builds all values and refuses those that it can't.
    fn oracle(bytes: &[u8]) -> bool {
        serde_json::from_slice::<serde_json::Value>(bytes).is_ok()
    }

    #[test]
    fn json_is_what_rfc_8259_says() {
        for json in [
            "null",
            " [1e300, -0.5E-3,0, 1e-999] ",
            r#""\ud83d\ude00 \u00e9""#,
            r#"{"a":{"a":1},"":[ ]}"#,
            "{}",
            "[]",
            "-0",
            r#""\\\"""#,
            "\"ü\"",
        ] {
            assert!(is_embeddable(json.as_bytes()), "{json}");
        }
        for not in [
            "",
            " ",
            "nul",
            "nulll",
            "[1,]",
            "[,]",
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "\"a\nb\"",
            "\"",
            "\"\\\"",
            "{} {}",
            "{a:1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "[}",
            "{]",
            "]",
            "[",
            "{",
            "'a'",
            "\u{feff}{}",
            "\"\\u12g4\"",
            "\"\\x\"",
            "[1 2]",
            "{\"a\" 1}",
        ] {
            assert!(!is_embeddable(not.as_bytes()), "{not}");
        }
        assert!(!is_embeddable(b"\"\xff\""));
    }

    #[test]
    fn what_some_clients_can_not_read() {
        let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
        assert!(is_embeddable(nested(64).as_bytes()));
        assert!(!is_embeddable(nested(65).as_bytes()));
        let digits = "9".repeat(400);
        for json in ["1e400", "-1e309", &digits, r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800x""#] {
            assert!(!is_embeddable(json.as_bytes()), "{json}");
            assert!(!oracle(json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn plain_is_exact_at_every_offset() {
        for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for at in 0..40 {
                let mut bytes = vec![0xff; 40];
                bytes[at] = special;
                assert_eq!(plain(&bytes, 0), at, "{special}");
            }
        }
        let text = " !#[]~\u{7f}üÿ\u{10ffff} and so on".as_bytes();
        assert_eq!(plain(text, 0), text.len());
    }

    proptest! {
        #[test]
        fn agrees_with_the_general_parser(text in r#"[\[\]{}:,"\\ntrue0-9.eE+\-u a-f\n]{0,12}"#) {
            prop_assert_eq!(is_embeddable(text.as_bytes()), oracle(text.as_bytes()), "{}", text);
        }

        /// Nearly right is where a parser errs: take a good one, change or cut it anywhere.
        #[test]
        fn agrees_on_what_is_nearly_json(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
            let good = br#" {"a":[1,-2.5e+3,{"b\u00e9\n":null}],"c":"long enough for words",  "d":[[],{}, true,false]} "#;
            let at = at.index(good.len());
            let mut text = good.to_vec();
            if cut { text.truncate(at) } else { text[at] = byte }
            prop_assert_eq!(is_embeddable(&text), oracle(&text), "{}", String::from_utf8_lossy(&text));
        }
    }
}
