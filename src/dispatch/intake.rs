//! Takes operations in, while others run.

use std::{
    mem,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Request;

use super::Dispatch;
use crate::{
    batch::{Label, Message, Slot, State, Verdict},
    builder::DecodeContext,
    intake::{Intake, Taken, idle},
    watch::{self, Watch},
};

/// What is read of lines in one poll is bounded by this, and by [`STEPS_PER_POLL`](super::STEPS_PER_POLL).
const BYTES_PER_STEP: usize = 16 << 10;

impl<S, F> Dispatch<S, F>
where
    S: FnMut(Request<Option<Bytes>>, &Watch) -> F,
    F: Future<Output = Verdict>,
{
    /// More operations are still to come.
    pub(crate) fn take_from(&mut self, intake: Intake) {
        self.intake = Some(Box::new(intake));
        self.plan.open();
        self.total = None;
        self.deadlines.go_by(Some(self.config.limits.stream_idle_timeout()));
    }

    /// Takes one more operation in, as soon as it has come and there is room for it. Nothing is held for one that has not
    /// come.
    pub(super) fn take_in(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let window = self.config.limits.stream_window;
        // Where nothing else is there, one is read in any case.
        let has_room = self.slots.len() == 0 || self.slots.len() < window && self.budget.has_room();
        let Some(intake) = self.intake.as_mut().filter(|_| has_room) else { return Poll::Pending };
        let line = ready!(intake.poll_line(cx));
        self.deadlines.moved();
        // Reading a long line takes as much time as many short ones, whatever becomes of it.
        let cost = line.as_ref().map_or(0, |line| line.cost(self.config.limits.line_bytes)) / BYTES_PER_STEP;
        let is_end = line.is_none();
        let taken = intake.take(DecodeContext::of_stream(&self.config, &self.head), self.slots.end(), line);
        let Some(Taken { slot, dependencies, size, is_last }) = taken else {
            self.turn.steps += 1 + cost;
            if is_end {
                self.close();
            }
            return Poll::Ready(());
        };
        // It may only be put aside until another one ends, as may any number behind it.
        self.turn.steps += cost + usize::from(!dependencies.is_empty());
        intake.sizes.push(size);
        self.budget.take(size);
        self.plan.push(slot.kind(), &dependencies, window);
        self.slots.push(slot);
        if is_last {
            self.close();
        }
        Poll::Ready(())
    }

    /// No more will come.
    fn close(&mut self) {
        self.plan.close();
        watch::operations(self.slots.end());
        if let Some(intake) = &mut self.intake {
            intake.lines = None;
        }
    }

    /// Ends a stream in which nothing goes on. What comes of it is said in one more outcome.
    pub(super) fn give_up(&mut self) -> Option<usize> {
        self.intake.as_ref()?.lines.as_ref()?;
        let index = self.slots.end();
        self.slots.push(Slot::new(Label::default(), Message::default(), None));
        self.close();
        self.overdue = Some(index + 1);
        self.end(index, Err(Box::new(idle())));
        Some(index)
    }

    /// The line of an operation is no longer in memory once its outcome has been written, which has its target.
    pub(crate) fn free_line(&mut self, index: usize) {
        if let Some(size) = self.intake.as_mut().and_then(|intake| intake.sizes.get_mut(index)) {
            self.budget.give_back(mem::take(size));
        }
    }

    /// Outcomes of so many bytes have been written, and make room for others.
    pub(crate) fn written(&mut self, bytes: usize) {
        self.budget.give_back(bytes);
        let Some(intake) = &mut self.intake else { return };
        while matches!(self.slots.get(self.slots.start()), Some(Slot { state: State::Written, .. })) {
            self.slots.forget();
            self.budget.give_back(intake.sizes.forget().unwrap_or_default());
        }
    }
}
