//! What who sends and who reads have in common: rows go out on one side, outcomes come in on the other.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::value::{RawValue, to_raw_value};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time,
};

use crate::{
    failed::FailedRows,
    ledger::{Ledger, NotWaitedFor, WINDOW},
    source::{Chunk, Part, Row, Unreadable},
    tally::Tally,
};

/// For so long nothing is sent. Then a blank line is, or the server would end a batch whose rows come slowly.
const QUIET: Duration = Duration::from_secs(15);
const BLANK: Bytes = Bytes::from_static(b"\n");

pub(crate) struct Import {
    state: Mutex<State>,
    /// A permit for each place in the window.
    room: Semaphore,
    stop: Notify,
}

pub(crate) struct State {
    pub(crate) ledger: Ledger,
    pub(crate) tally: Tally,
    pub(crate) input: Input,
    /// When the last row was sent that had no other one before it to wait for.
    waits_since: Instant,
    failed: Option<FailedRows>,
}

/// How far the file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Open,
    /// All of it.
    Whole,
    /// To a place where it could not go on.
    Failed(String),
    /// Until somebody wanted it to stop.
    Stopped,
}

/// Why an outcome can't be booked.
#[derive(Debug)]
pub(crate) enum Misfit {
    NotWaitedFor,
    FailedRows(String),
}

impl Import {
    pub(crate) fn new(failed: Option<FailedRows>) -> Self {
        let state = State {
            ledger: Ledger::default(),
            tally: Tally::default(),
            input: Input::Open,
            waits_since: Instant::now(),
            failed,
        };
        Self { state: Mutex::new(state), room: Semaphore::new(WINDOW), stop: Notify::new() }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked has ended the import; what is known is still told.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends nothing more, but waits for what was sent.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    /// The next operations to send; `None` if there are no more.
    pub(crate) async fn next(&self, parts: &mut mpsc::Receiver<Part>) -> Option<Bytes> {
        let next = async {
            loop {
                let chunk = match time::timeout(QUIET, parts.recv()).await {
                    Ok(None) => return Err(Input::Whole),
                    Ok(Some(Err(why))) => return Err(Input::Failed(why)),
                    Ok(Some(Ok(chunk))) => chunk,
                    Err(_) if self.state().ledger.total() == 0 => continue,
                    Err(_) => return Ok(BLANK),
                };
                let places = u32::try_from(chunk.rows.len()).expect("a chunk has fewer rows than the window");
                // Given back as the window moves on.
                self.room.acquire_many(places).await.expect("nobody closes it").forget();
                match self.state().sent(chunk) {
                    Ok(operations) if operations.is_empty() => {}
                    Ok(operations) => return Ok(operations),
                    Err(error) => return Err(Input::Failed(failed_rows(&error))),
                }
            }
        };
        let next = tokio::select! {
            next = next => next,
            () = self.stop.notified() => Err(Input::Stopped),
        };
        next.map_err(|input| self.state().input = input).ok()
    }

    /// Books an outcome.
    pub(crate) fn outcome(&self, index: u64, status: u16, error: &RawValue) -> Result<(), Misfit> {
        let moved = self.state().outcome(index, status, error)?;
        self.room.add_permits(moved);
        Ok(())
    }

    /// Whether the server has had something to say for as long as this.
    pub(crate) fn waits_for(&self, time: Duration) -> bool {
        let state = self.state();
        (state.ledger.unanswered() > 0 || state.input != Input::Open) && state.waits_since.elapsed() >= time
    }
}

impl State {
    fn sent(&mut self, chunk: Chunk) -> io::Result<Bytes> {
        for Unreadable { line, why } in chunk.unreadable {
            self.tally.unreadable(line, &why);
            if let Some(failed) = &mut self.failed {
                failed.unreadable(line, &to_raw_value(&why)?)?;
            }
        }
        if self.ledger.unanswered() == 0 {
            self.waits_since = Instant::now();
        }
        chunk.rows.into_iter().for_each(|row| self.ledger.sent(row));
        Ok(chunk.operations)
    }

    fn outcome(&mut self, index: u64, status: u16, error: &RawValue) -> Result<usize, Misfit> {
        let (Row { line, operation, .. }, moved) = self.ledger.answered(index)?;
        if status < 400 {
            self.tally.succeeded += 1;
            return Ok(moved);
        }
        self.tally.failed(line, status, error);
        if let Some(failed) = &mut self.failed {
            failed
                .row(line, Some(status), error, &operation)
                .map_err(|error| Misfit::FailedRows(failed_rows(&error)))?;
        }
        Ok(moved)
    }

    /// Nothing more will be known.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        let Some(failed) = &mut self.failed else { return Ok(()) };
        let mut rest = || -> io::Result<()> {
            let error = to_raw_value("it was sent, and its outcome is not known")?;
            self.ledger.rest().try_for_each(|row| failed.row(row.line, None, &error, &row.operation))?;
            failed.finish()
        };
        rest().map_err(|error| failed_rows(&error))
    }
}

impl From<NotWaitedFor> for Misfit {
    fn from(NotWaitedFor: NotWaitedFor) -> Self {
        Self::NotWaitedFor
    }
}

fn failed_rows(error: &io::Error) -> String {
    format!("the file of failed rows can't be written: {error}")
}
