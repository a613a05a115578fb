//! Values that operations take from the outcomes of others.

use std::mem;

use bytes::Bytes;
use http::{Request, StatusCode};

use super::Dispatch;
use crate::{
    batch::{Slot, State, Verdict},
    builder::DecodeContext,
    extract::extract,
    problem::Problem,
    unwind::caught,
    watch::{self, Watch},
};

impl<S, F> Dispatch<S, F>
where
    S: FnMut(Request<Option<Bytes>>, &Watch) -> F,
    F: Future<Output = Verdict>,
{
    /// Gives an operation what it takes from others.
    pub(super) fn fill(&mut self, index: usize) -> Result<(), Box<Problem>> {
        let Slot { label, state } = &mut self.slots[index];
        let State::Ready(message) = state else { return Ok(()) };
        let mut message = mem::take(message);
        if let Some(needs) = message.needs.take() {
            let cx = DecodeContext::new(&self.config, &self.head);
            // The server's policy on targets is asked in there, and may panic: what runs already must go on.
            let filled = caught(|| needs.fill(cx, label, message, &mut self.references_left));
            message = filled.unwrap_or_else(|| Err(Box::new(not_filled())))?;
        }
        *state = State::Ready(message);
        Ok(())
    }

    /// Gives others the values that they take from this outcome.
    pub(super) fn give_values(&mut self, index: usize, verdict: &Verdict) {
        let (Some(mut uses), Ok(response)) = (self.uses.remove(&index), verdict) else { return };
        if !response.status().is_success() {
            return;
        }
        // Some have ended already, for another reason.
        uses.retain(|&(user, _)| self.slots[user].needs().is_some());
        let sources = uses.iter().filter_map(|&(user, nth)| Some(&self.slots[user].needs()?.references[nth].source));
        let (cx, label) = (DecodeContext::new(&self.config, &self.head), &self.slots[index].label);
        let sources: Vec<_> = sources.collect();
        let values = caught(|| extract(cx, label, response, &sources, &mut self.values_left)).unwrap_or_default();
        for ((user, nth), value) in uses.into_iter().zip(values) {
            if let Some(needs) = self.slots[user].needs_mut() {
                needs.references[nth].value = Some(value);
            }
        }
    }
}

fn not_filled() -> Problem {
    watch::cause("an operation could not be made", &"see the panic's own message");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the operation could not be made; it was not carried out")
}
