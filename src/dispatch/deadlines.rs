use std::{
    mem,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use crate::timer::{Timer, after};

/// When a batch, and what runs of it, has had its time. One timer is for all.
#[derive(Debug)]
pub(super) struct Deadlines {
    timer: Timer,
    /// Of the batch as a whole.
    batch: Instant,
    /// How long nothing may happen, where the batch's deadline goes by that.
    idle_timeout: Option<Duration>,
    /// Something has happened since the clock was looked at.
    has_moved: bool,
    /// Nothing has had its time before this.
    next: Instant,
}

impl Deadlines {
    pub(super) fn new(batch: Instant) -> Self {
        Self { timer: Timer::default(), batch, idle_timeout: None, has_moved: false, next: batch }
    }

    /// From now on the batch's deadline is so far from the last time that something happened.
    pub(super) fn go_by(&mut self, idle_timeout: Option<Duration>) {
        self.idle_timeout = self.idle_timeout.or(idle_timeout);
        self.moved();
    }

    /// Something has happened.
    pub(super) fn moved(&mut self) {
        self.has_moved = true;
    }

    /// One more, of something that runs.
    pub(super) fn add(&mut self, deadline: Instant) {
        self.next = self.next.min(deadline);
    }

    /// Waits until something may have had its time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.restart();
        self.timer.poll_until(self.next, cx)
    }

    /// The time, if something may have had its time by now.
    pub(super) fn passed(&mut self) -> Option<Instant> {
        self.restart();
        Some(Instant::now()).filter(|now| *now >= self.next)
    }

    /// Looks at all deadlines: at those of what runs, and at that of the batch. Whether the batch is over.
    pub(super) fn look(&mut self, now: Instant, running: impl Iterator<Item = Instant>) -> bool {
        self.next = self.batch;
        let mut ends = false;
        for deadline in running {
            if deadline > now {
                self.add(deadline);
            }
            ends |= deadline <= now;
        }
        // Where it is time for a single operation too, its end is something that happens.
        now >= self.batch && !(ends && self.idle_timeout.is_some())
    }

    /// The clock is read only here: at most once, however much has happened.
    fn restart(&mut self) {
        if let (true, Some(idle_timeout)) = (mem::take(&mut self.has_moved), self.idle_timeout) {
            self.batch = after(idle_timeout);
            self.add(self.batch);
        }
    }
}
