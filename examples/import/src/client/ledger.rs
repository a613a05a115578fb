//! Which rows have no outcome yet.
//!
//! Results come in any order, each with the index of its operation. What is kept is a window: from the first row without
//! an outcome to the last one that was sent. The rows before it are forgotten, and those behind it are still in the file.

use std::collections::VecDeque;

use crate::source::Row;

/// How many rows there may be from the first one without an outcome to the last one that was sent. Whoever sends waits
/// for room, so this bounds the memory; it has to be more than the server has under way at once, or the server waits.
pub(crate) const WINDOW: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Those with an outcome have left their place.
    window: VecDeque<Option<Row>>,
    /// The index of the first place in the window.
    first: u64,
    unanswered: usize,
    /// The line of the row that was sent last.
    last_line: u64,
    /// How many bytes of the file the rows before the window take up, about.
    bytes: u64,
}

/// There is no such row, or it has an outcome already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotWaitedFor;

impl Ledger {
    pub(crate) fn sent(&mut self, row: Row) {
        self.last_line = row.line;
        self.window.push_back(Some(row));
        self.unanswered += 1;
    }

    /// Gives back the row, and how many places the window has moved on.
    pub(crate) fn answered(&mut self, index: u64) -> Result<(Row, usize), NotWaitedFor> {
        let place = index.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let place = place.and_then(|place| self.window.get_mut(place));
        let row = place.and_then(Option::take).ok_or(NotWaitedFor)?;
        self.unanswered -= 1;
        if index == self.first {
            self.bytes = row.end;
        }
        let mut moved = 0;
        while let Some(None) = self.window.front() {
            self.window.pop_front();
            moved += 1;
        }
        self.first += moved as u64;
        Ok((row, moved))
    }

    /// How many rows were sent.
    pub(crate) fn total(&self) -> u64 {
        self.first + self.window.len() as u64
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// Those without an outcome, in their order.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &Row> {
        self.window.iter().flatten()
    }

    pub(crate) fn last_line(&self) -> u64 {
        self.last_line
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;

    use super::*;

    fn ledger(rows: u64) -> Ledger {
        let mut ledger = Ledger::default();
        for index in 0..rows {
            ledger.sent(Row { line: index + 2, end: (index + 1) * 10, operation: Bytes::new() });
        }
        ledger
    }

    #[test]
    fn the_window_begins_at_the_first_row_without_an_outcome() {
        let mut ledger = ledger(4);
        for (index, line, moved, bytes) in [(1, 3, 0, 0), (0, 2, 2, 10), (3, 5, 0, 10), (2, 4, 2, 30)] {
            let (row, has_moved) = ledger.answered(index).unwrap();
            assert_eq!((row.line, has_moved, ledger.bytes()), (line, moved, bytes));
        }
        assert_eq!((ledger.total(), ledger.unanswered(), ledger.rest().count()), (4, 0, 0));
    }

    #[test]
    fn a_row_has_one_outcome() {
        let mut ledger = ledger(3);
        ledger.answered(0).unwrap();
        ledger.answered(2).unwrap();
        for index in [0, 2, 3, u64::MAX] {
            assert_eq!(ledger.answered(index).unwrap_err(), NotWaitedFor);
        }
        let rest: Vec<_> = ledger.rest().map(|row| row.line).collect();
        assert_eq!((rest, ledger.unanswered(), ledger.last_line()), (vec![3], 1, 4));
    }
}
