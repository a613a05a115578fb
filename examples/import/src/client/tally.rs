//! What became of the rows, in numbers; and the first failures in words.

use std::{collections::BTreeMap, fmt};

use indicatif::HumanCount;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Failures that are told in words. All of them are for a file.
const SHOWN: usize = 10;
/// Characters of a reason that are told.
const REASON: usize = 200;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) succeeded: u64,
    /// How many there are of each status.
    failed: BTreeMap<u16, u64>,
    /// Rows that could not be sent.
    unreadable: u64,
    first: Vec<String>,
}

impl Tally {
    pub(crate) fn failed(&mut self, line: u64, status: u16, error: &RawValue) {
        *self.failed.entry(status).or_default() += 1;
        self.show(|| format!("line {line}: {status} {}", reason(error)));
    }

    pub(crate) fn unreadable(&mut self, line: u64, why: &str) {
        self.unreadable += 1;
        self.show(|| format!("line {line}: not sent, for {why}"));
    }

    fn show(&mut self, failure: impl FnOnce() -> String) {
        if self.first.len() < SHOWN {
            self.first.push(failure());
        }
    }

    /// Answered with 400 or above.
    pub(crate) fn refused(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Refused or not sent.
    pub(crate) fn failures(&self) -> u64 {
        self.refused() + self.unreadable
    }

    /// All that are known to have succeeded or failed.
    pub(crate) fn known(&self) -> u64 {
        self.succeeded + self.failures()
    }
}

/// ```text
/// succeeded: 9,990
/// failed: 10 (409: 9, 422: 1)
///   line 17: 409 there is a product with this sku already
/// ```
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "succeeded: {}", HumanCount(self.succeeded))?;
        write!(f, "failed: {}", HumanCount(self.failures()))?;
        let mut kinds: Vec<_> =
            self.failed.iter().map(|(status, count)| format!("{status}: {}", HumanCount(*count))).collect();
        if self.unreadable > 0 {
            kinds.push(format!("not sent: {}", HumanCount(self.unreadable)));
        }
        if !kinds.is_empty() {
            write!(f, " ({})", kinds.join(", "))?;
        }
        for failure in &self.first {
            write!(f, "\n  {failure}")?;
        }
        match self.failures() - self.first.len() as u64 {
            0 => Ok(()),
            more => write!(f, "\n  and {} more", HumanCount(more)),
        }
    }
}

/// A problem document's `detail`, or a text, or else the JSON as it is.
pub(crate) fn reason(error: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }

    let text = serde_json::from_str::<Problem>(error.get()).map(|problem| problem.detail);
    let text = text.or_else(|_| serde_json::from_str::<String>(error.get())).unwrap_or_else(|_| error.get().to_owned());
    // It stands in a line of a terminal.
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(REASON).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn json(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn failures_are_counted_and_the_first_ones_told() {
        let mut tally = Tally { succeeded: 1_234, ..Tally::default() };
        assert_eq!(tally.to_string(), "succeeded: 1,234\nfailed: 0");
        tally.unreadable(2, "it is not UTF-8");
        tally.failed(3, 422, &json("{}"));
        for line in 4..1_004 {
            tally.failed(line, 409, &json(r#"{"title":"Conflict","detail":"it is there"}"#));
        }
        assert_eq!((tally.known(), tally.failures(), tally.refused()), (2_236, 1_002, 1_001));
        let text = tally.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "failed: 1,002 (409: 1,000, 422: 1, not sent: 1)");
        assert_eq!(
            lines[2..5],
            ["  line 2: not sent, for it is not UTF-8", "  line 3: 422 {}", "  line 4: 409 it is there"]
        );
        assert_eq!(lines[12..], ["  and 992 more"]);
    }

    #[test]
    fn a_reason_is_one_line() {
        assert_eq!(reason(&json(r#""a\nb\u001b""#)), "a b ");
        assert_eq!(reason(&json(&format!("\"{}\"", "ä".repeat(1_000)))).chars().count(), 200);
    }
}
