//! Text of an answer, made fit for a report.

/// How many characters of it are repeated.
const LONGEST: usize = 200;

/// Cut, and without characters that a terminal would obey or that turn the text around: who writes the answer doesn't
/// write the report.
pub(super) fn plain(text: &str) -> String {
    let mut plain: String =
        text.chars().take(LONGEST).map(|char| if is_harmless(char) { char } else { '\u{fffd}' }).collect();
    if text.chars().nth(LONGEST).is_some() {
        plain.push('…');
    }
    plain
}

fn is_harmless(char: char) -> bool {
    let is_direction = matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !char.is_control() && !is_direction
}

/// Of bytes that may be no UTF-8.
pub(super) fn lossy(bytes: &[u8]) -> String {
    // A character has four bytes at most, and those behind are not shown.
    plain(&String::from_utf8_lossy(&bytes[..bytes.len().min(4 * (LONGEST + 1))]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_shown() {
        assert_eq!(plain("a\u{1b}[2J\r\n\u{202e}b"), "a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}b");
        assert_eq!(plain(&"ü".repeat(201)), "ü".repeat(200) + "…");
        assert_eq!(lossy(b"\xff!"), "\u{fffd}!");
        assert_eq!(lossy(&[0xf0; 9000]).chars().count(), 201);
    }
}
