//! The lines of the answer: a result each, and the summary at the end.

use std::mem;

use memchr::memchr_iter;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    import::{Import, Input, Misfit},
    tally::reason,
};

/// Bytes that a line may have.
const LINE_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The beginning of a line of which the end has not come.
    begun: Vec<u8>,
    summary: Option<Summary>,
    /// Why the server has ended the batch before its end.
    ended: Option<String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    index: Option<u64>,
    status: Option<u16>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    summary: Option<Summary>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Summary {
    total: u64,
    succeeded: u64,
    failed: u64,
}

impl Answer {
    /// Books each result that is there now.
    pub(crate) fn read(&mut self, data: &[u8], import: &Import) -> Result<(), String> {
        let mut lines = mem::take(&mut self.begun);
        lines.extend_from_slice(data);
        let mut begin = 0;
        for end in memchr_iter(b'\n', &lines) {
            self.line(&lines[begin..end], import)?;
            begin = end + 1;
        }
        lines.drain(..begin);
        self.begun = lines;
        if self.begun.len() > LINE_BYTES {
            return Err("a line of it is longer than 16 MiB".to_owned());
        }
        Ok(())
    }

    /// Nothing more comes.
    pub(crate) fn end(mut self, import: &Import) -> Result<(), String> {
        let last = mem::take(&mut self.begun);
        // The summary needs no line end. Half of a result is none.
        if self.line(&last, import).is_err() || self.summary.is_none() {
            return Err("it ends without a summary".to_owned());
        }
        if let Some(why) = self.ended {
            return Err(format!("the server has ended the batch: {why}"));
        }
        let state = import.state();
        if state.input == Input::Open || state.ledger.unanswered() > 0 {
            return Err("the server has ended the batch before it had all rows".to_owned());
        }
        let (tally, total) = (&state.tally, state.ledger.total());
        let ours = Summary { total, succeeded: tally.succeeded, failed: tally.refused() };
        match self.summary {
            Some(summary) if summary == ours => Ok(()),
            summary => Err(format!("{ours:?} is what its results say, and {summary:?} what it says itself")),
        }
    }

    fn line(&mut self, line: &[u8], import: &Import) -> Result<(), String> {
        // So a server says that it is still there.
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let unexpected = |why: &str| {
            let line: String = String::from_utf8_lossy(line).chars().take(200).collect();
            format!("{why}: {line}")
        };
        if self.summary.is_some() {
            return Err(unexpected("something stands behind its summary"));
        }
        match serde_json::from_slice(line) {
            Ok(Line { index: Some(index), status: Some(status), error, .. }) => {
                let error = error.unwrap_or(RawValue::NULL);
                match import.outcome(index, status, error) {
                    Ok(()) => Ok(()),
                    // One more than there are rows: why the server reads no more of them.
                    Err(Misfit::NotWaitedFor) if status >= 400 && index == import.state().ledger.total() => {
                        self.ended = Some(format!("{status} {}", reason(error)));
                        Ok(())
                    }
                    Err(Misfit::NotWaitedFor) => Err(unexpected("it has a result that belongs to no row")),
                    Err(Misfit::FailedRows(why)) => Err(why),
                }
            }
            Ok(Line { summary: Some(summary), .. }) => {
                self.summary = Some(summary);
                Ok(())
            }
            _ => Err(unexpected("it has a line that is no result")),
        }
    }
}
