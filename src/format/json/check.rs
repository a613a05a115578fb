//! Whether bytes are one JSON value. By far the most of what a batch costs would otherwise be spent on this: building
//! nothing and reporting no position, it takes a third of the instructions of a general parser.

use serde::de::IgnoredAny;

/// Whether these bytes are one well-formed JSON value (RFC 8259).
pub(super) fn is_well_formed(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        let check = Check { rest: bytes, nesting: Nesting::default() };
        check.document().unwrap_or_else(|TooDeep| serde_json::from_str::<IgnoredAny>(text).is_ok())
    })
}

struct Check<'a> {
    rest: &'a [u8],
    nesting: Nesting,
}

/// Which levels are objects, the innermost in the lowest bit.
#[derive(Default)]
struct Nesting {
    objects: u64,
    depth: u32,
}

/// Deeper than [`Nesting`] can tell; rare enough for the general parser.
struct TooDeep;

impl Nesting {
    fn enter(&mut self, object: bool) -> Result<(), TooDeep> {
        if self.depth == u64::BITS {
            return Err(TooDeep);
        }
        self.objects = self.objects << 1 | u64::from(object);
        self.depth += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

impl Check<'_> {
    fn document(mut self) -> Result<bool, TooDeep> {
        loop {
            // Here a value has to begin.
            let descends = match self.next() {
                Some(b'{') => {
                    self.nesting.enter(true)?;
                    self.peek() != Some(b'}')
                }
                Some(b'[') => {
                    self.nesting.enter(false)?;
                    self.peek() != Some(b']')
                }
                Some(b'"') if self.string() => false,
                Some(b't') if self.literal(b"rue") => false,
                Some(b'f') if self.literal(b"alse") => false,
                Some(b'n') if self.literal(b"ull") => false,
                Some(first @ (b'-' | b'0'..=b'9')) if self.number(first) => false,
                _ => return Ok(false),
            };
            if descends {
                if self.nesting.in_object() && !self.name() {
                    return Ok(false);
                }
                continue;
            }
            // Here one has ended, and perhaps what it stands in.
            loop {
                if self.nesting.depth == 0 {
                    return Ok(self.next().is_none());
                }
                match (self.next(), self.nesting.in_object()) {
                    (Some(b','), true) if self.name() => break,
                    (Some(b','), false) => break,
                    (Some(b'}'), true) | (Some(b']'), false) => self.nesting.leave(),
                    _ => return Ok(false),
                }
            }
        }
    }

    /// The next byte that isn't white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let (&first, rest) = self.rest.split_first()?;
            if !matches!(first, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(first);
            }
            self.rest = rest;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.rest = &self.rest[1..];
        Some(next)
    }

    /// The name of a member, and the colon.
    fn name(&mut self) -> bool {
        self.next() == Some(b'"') && self.string() && self.next() == Some(b':')
    }

    /// What is behind the opening quote, and the closing one.
    fn string(&mut self) -> bool {
        loop {
            self.rest = &self.rest[plain(self.rest)..];
            match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return true;
                }
                [b'\\', b'u', a, b, c, d, rest @ ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => {
                    self.rest = rest;
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => self.rest = rest,
                _ => return false,
            }
        }
    }

    fn literal(&mut self, tail: &[u8]) -> bool {
        self.rest.strip_prefix(tail).is_some_and(|rest| {
            self.rest = rest;
            true
        })
    }

    /// What is behind the first character.
    fn number(&mut self, first: u8) -> bool {
        let integer = match first {
            b'0' => true,
            b'-' => match self.rest {
                [b'0', rest @ ..] => {
                    self.rest = rest;
                    true
                }
                _ => self.digits(),
            },
            _ => {
                self.digits();
                true
            }
        };
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            if !self.digits() {
                return false;
            }
        }
        if let [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest.strip_prefix(b"+").or(rest.strip_prefix(b"-")).unwrap_or(rest);
            if !self.digits() {
                return false;
            }
        }
        integer
    }

    /// Whether there was at least one.
    fn digits(&mut self) -> bool {
        let rest = self.rest;
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.len() < rest.len()
    }
}

/// How many bytes from the start are neither a quote, nor a backslash, nor a control character.
fn plain(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::MAX / 255;
    let mut at = 0;
    // Eight bytes at a time: in a byte's highest bit stands whether something was borrowed from it, so the lowest such
    // bit is right, and those above it don't matter.
    while let Some(eight) = bytes[at..].first_chunk() {
        let eight = u64::from_le_bytes(*eight);
        let is = |byte: u8| (eight ^ (EACH * u64::from(byte))).wrapping_sub(EACH);
        let control = eight.wrapping_sub(EACH * 0x20);
        let found = (is(b'"') | is(b'\\') | control) & !eight & (EACH * 0x80);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let is_plain = |byte: &&u8| !matches!(byte, 0..=0x1f | b'"' | b'\\');
    at + bytes[at..].iter().take_while(is_plain).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the general parser says.
    fn oracle(bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes).is_ok() && serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
    }

    #[test]
    fn well_formed_is_what_rfc_8259_says() {
        for json in [
            "null",
            " [1e400, -0.5E-3,0] ",
            r#""\ud800""#,
            r#"{"a":{"a":1},"":[ ]}"#,
            "{}",
            "[]",
            "-0",
            r#""\\\"""#,
            "\"ü\"",
        ] {
            assert!(is_well_formed(json.as_bytes()), "{json}");
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
            assert!(!is_well_formed(not.as_bytes()), "{not}");
        }
        assert!(!is_well_formed(b"\"\xff\""));
    }

    #[test]
    fn any_depth() {
        for depth in [63, 64, 65, 5000] {
            let (open, close) = ("[{\"a\":".repeat(depth), "}]".repeat(depth));
            assert!(is_well_formed(format!("{open}1{close}").as_bytes()));
            assert!(!is_well_formed(format!("{open}1{}", &close[1..]).as_bytes()));
        }
    }

    #[test]
    fn plain_is_exact_at_every_offset() {
        for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for at in 0..40 {
                let mut bytes = vec![0xff; 40];
                bytes[at] = special;
                assert_eq!(plain(&bytes), at, "{special}");
            }
        }
        assert_eq!(plain(" !#[]~\u{7f}üÿ\u{10ffff} and so on".as_bytes()), " !#[]~\u{7f}üÿ\u{10ffff} and so on".len());
    }

    proptest! {
        #[test]
        fn agrees_with_the_general_parser(text in r#"[\[\]{}:,"\\ntrue0-9.eE+\-u a-f\n]{0,12}"#) {
            prop_assert_eq!(is_well_formed(text.as_bytes()), oracle(text.as_bytes()), "{}", text);
        }

        /// Nearly right is where a parser errs: take a good one, change or cut it anywhere.
        #[test]
        fn agrees_on_what_is_nearly_json(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
            let good = br#" {"a":[1,-2.5e+3,{"b\u00e9\n":null}],"c":"long enough for words",  "d":[[],{}, true,false]} "#;
            let at = at.index(good.len());
            let mut text = good.to_vec();
            if cut { text.truncate(at) } else { text[at] = byte }
            prop_assert_eq!(is_well_formed(&text), oracle(&text), "{}", String::from_utf8_lossy(&text));
        }
    }
}
