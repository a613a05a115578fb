//! What has been found so far.

use std::collections::HashMap;

use super::{code::Code, finding::Finding, severity::Severity};

/// So many results are listed in a report; all are counted.
pub(super) const MOST_ITEMS: usize = 10_000;

/// So many findings of one code are listed.
const MOST_OF_A_CODE: usize = 100;

/// So many multistatuses stand in one another before one isn't looked into.
const DEEPEST: usize = 4;

/// Takes what is found, and bounds it.
#[derive(Default)]
pub(super) struct Gather {
    pub(super) findings: Vec<Finding>,
    /// How many findings there was no room for.
    pub(super) left_out: usize,
    pub(super) worst: Option<Severity>,
    /// Outcomes are unknown, for the answer could not be read to its end.
    pub(super) is_unreadable: bool,
    /// An operation has failed, however deep inside.
    pub(super) has_failures: bool,
    counts: HashMap<Code, usize>,
    listed: usize,
    path: Vec<usize>,
}

impl Gather {
    /// Adds a finding about the result that is being looked at, or about the whole.
    pub(super) fn find(&mut self, code: Code, detail: impl Into<String>) {
        self.worst = self.worst.max(Some(code.severity()));
        self.is_unreadable |= code.is_unreadable();
        let count = self.counts.entry(code).or_default();
        *count += 1;
        if *count > MOST_OF_A_CODE {
            self.left_out += 1;
            return;
        }
        self.findings.push(Finding { code, at: self.path.clone(), detail: detail.into() });
    }

    /// Whether something like it was found already.
    pub(super) fn has(&self, code: Code) -> bool {
        self.counts.contains_key(&code)
    }

    /// Goes on with the result at this place.
    pub(super) fn enter(&mut self, place: usize) {
        self.path.push(place);
    }

    /// Goes back to what that one stands in.
    pub(super) fn leave(&mut self) {
        self.path.pop();
    }

    /// Whether a multistatus in the result that is being looked at would be too deep inside.
    pub(super) fn is_too_deep(&self) -> bool {
        self.path.len() > DEEPEST
    }

    /// Whether another result can be listed.
    pub(super) fn has_room(&mut self) -> bool {
        self.listed += 1;
        self.listed <= MOST_ITEMS
    }
}
