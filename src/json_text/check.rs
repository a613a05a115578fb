//! Whether bytes are JSON that can stand in an answer. A general parser would spend a quarter of all that a batch costs
//! on this; building nothing and telling no position, it takes two thirds of that.

/// The text of these bytes, if it is one JSON value (RFC 8259) that any client can read.
///
/// What parsers disagree about is none: a lone surrogate, a number beyond a double (RFC 7493 §2.1 and §2.2), deep
/// nesting. The operation that sent it would else make the whole answer unreadable, and hide its siblings' outcomes.
/// Duplicate names are let through, for no parser refuses the rest because of them.
pub(crate) fn embeddable(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|_| is_document(bytes))
}

/// Common parsers stop at 64 levels, and a result stands at the third.
const DEEPEST: u32 = 64 - 3;

/// Which levels are objects, the innermost in the lowest bit.
#[derive(Clone, Copy, Default)]
struct Nesting {
    objects: u64,
    depth: u32,
}

impl Nesting {
    fn enter(self, object: bool) -> Option<Self> {
        let depth = self.depth + 1;
        (depth <= DEEPEST).then_some(Self { objects: self.objects << 1 | u64::from(object), depth })
    }

    fn leave(self) -> Self {
        Self { objects: self.objects >> 1, depth: self.depth - 1 }
    }

    fn is_object(self) -> bool {
        self.objects & 1 == 1
    }
}

/// What is behind the thing that was looked for; `None` where it isn't there.
type Behind<'a> = Option<&'a [u8]>;

/// Never a part of its caller: there it took some hundred instructions more for a KiB.
#[inline(never)]
fn is_document(bytes: &[u8]) -> bool {
    document(bytes).is_some()
}

fn document(mut rest: &[u8]) -> Option<()> {
    let mut nesting = Nesting::default();
    loop {
        // Here a value has to begin.
        let (first, behind) = token(rest)?;
        rest = match first {
            b'"' => string(behind)?,
            b'{' | b'[' => {
                nesting = nesting.enter(first == b'{')?;
                match (first, token(behind)?) {
                    (b'{', (b'}', behind)) | (b'[', (b']', behind)) => {
                        nesting = nesting.leave();
                        behind
                    }
                    (b'{', _) => {
                        rest = name(behind)?;
                        continue;
                    }
                    _ => {
                        rest = behind;
                        continue;
                    }
                }
            }
            b't' => behind.strip_prefix(b"rue")?,
            b'f' => behind.strip_prefix(b"alse")?,
            b'n' => behind.strip_prefix(b"ull")?,
            b'-' | b'0'..=b'9' => number(&rest[rest.len() - behind.len() - 1..])?,
            _ => return None,
        };
        // Here one has ended, and perhaps what it stands in.
        loop {
            if nesting.depth == 0 {
                return token(rest).is_none().then_some(());
            }
            let (next, behind) = token(rest)?;
            rest = behind;
            match (next, nesting.is_object()) {
                (b',', true) => {
                    rest = name(behind)?;
                    break;
                }
                (b',', false) => break,
                (b'}', true) | (b']', false) => nesting = nesting.leave(),
                _ => return None,
            }
        }
    }
}

/// The next byte that is no white space.
#[inline(always)]
fn token(mut rest: &[u8]) -> Option<(u8, &[u8])> {
    loop {
        let (&first, behind) = rest.split_first()?;
        if first > b' ' || !matches!(first, b' ' | b'\n' | b'\r' | b'\t') {
            return Some((first, behind));
        }
        rest = behind;
    }
}

/// The name of a member, and the colon.
#[inline(always)]
fn name(rest: &[u8]) -> Behind<'_> {
    let (quote, behind) = token(rest)?;
    let (colon, behind) = token(string(behind).filter(|_| quote == b'"')?)?;
    (colon == b':').then_some(behind)
}

/// The rest of a string, and the closing quote.
#[inline(always)]
fn string(mut rest: &[u8]) -> Behind<'_> {
    loop {
        let (&special, behind) = rest[plain(rest)..].split_first()?;
        match special {
            b'"' => return Some(behind),
            b'\\' => rest = escape(behind)?,
            _ => return None,
        }
    }
}

/// What is escaped by a backslash.
fn escape(rest: &[u8]) -> Behind<'_> {
    let (&kind, behind) = rest.split_first()?;
    match kind {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(behind),
        b'u' => match code_unit(behind)? {
            (0xd800..=0xdbff, behind) => match code_unit(behind.strip_prefix(b"\\u")?)? {
                (0xdc00..=0xdfff, behind) => Some(behind),
                _ => None,
            },
            (0xdc00..=0xdfff, _) => None,
            (_, behind) => Some(behind),
        },
        _ => None,
    }
}

fn code_unit(rest: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, behind) = rest.split_first_chunk::<4>()?;
    let digits = digits.iter().map(|&digit| char::from(digit).to_digit(16));
    Some((digits.into_iter().try_fold(0, |unit, digit| Some(unit << 4 | digit?))?, behind))
}

fn number(all: &[u8]) -> Behind<'_> {
    let unsigned = all.strip_prefix(b"-").unwrap_or(all);
    let mut rest = match unsigned.strip_prefix(b"0") {
        Some(rest) => rest,
        None => digits(unsigned)?,
    };
    if let Some(fraction) = rest.strip_prefix(b".") {
        rest = digits(fraction)?;
    }
    let mantissa = all.len() - rest.len();
    let mut exponent_digits = 0;
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"+").or(exponent.strip_prefix(b"-")).unwrap_or(exponent);
        rest = digits(exponent)?;
        exponent_digits = exponent.len() - rest.len();
    }
    // A shorter one with at most two digits in its exponent is below the largest double.
    if mantissa > 200 || exponent_digits > 2 {
        let value: f64 = std::str::from_utf8(&all[..all.len() - rest.len()]).ok()?.parse().ok()?;
        return value.is_finite().then_some(rest);
    }
    Some(rest)
}

/// At least one.
fn digits(rest: &[u8]) -> Behind<'_> {
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then(|| &rest[count..])
}

/// How many bytes there are before the first quote, backslash or control character.
#[inline(always)]
fn plain(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::MAX / 255;
    let mut rest = bytes;
    // Eight bytes at a time: in a byte's highest bit stands whether something was borrowed from it, so the lowest such
    // bit is right, and those above it don't matter.
    while let Some((eight, behind)) = rest.split_first_chunk() {
        let eight = u64::from_le_bytes(*eight);
        let is = |byte: u8| (eight ^ (EACH * u64::from(byte))).wrapping_sub(EACH);
        let control = eight.wrapping_sub(EACH * 0x20);
        let found = (is(b'"') | is(b'\\') | control) & !eight & (EACH * 0x80);
        if found != 0 {
            return bytes.len() - rest.len() + (found.trailing_zeros() / 8) as usize;
        }
        rest = behind;
    }
    let is_plain = |byte: &&u8| !matches!(byte, 0..=0x1f | b'"' | b'\\');
    bytes.len() - rest.len() + rest.iter().take_while(is_plain).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_embeddable(bytes: &[u8]) -> bool {
        embeddable(bytes).is_some()
    }
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
        assert!(is_embeddable(nested(61).as_bytes()));
        assert!(!is_embeddable(nested(62).as_bytes()));
        let digits = "9".repeat(400);
        for json in ["1e400", "-1e309", &digits, r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800x""#] {
            assert!(!is_embeddable(json.as_bytes()), "{json}");
            assert!(!oracle(json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn numbers_up_to_the_largest_double() {
        for digits in [1, 2, 199, 200, 201, 209, 210, 250, 299, 300, 301, 308, 309, 310] {
            for exponent in
                ["", "e1", "e9", "e98", "e99", "e100", "e107", "e108", "e109", "e307", "e308", "e309", "e-400"]
            {
                for json in
                    [format!("{}{exponent}", "9".repeat(digits)), format!("-0.{}{exponent}", "9".repeat(digits))]
                {
                    assert_eq!(is_embeddable(json.as_bytes()), oracle(json.as_bytes()), "{json}");
                }
            }
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
        let text = " !#[]~\u{7f}üÿ\u{10ffff} and so on".as_bytes();
        assert_eq!(plain(text), text.len());
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
