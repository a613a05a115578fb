//! What runs, and was not ready at once.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::time::Instant;

use crate::{
    batch::Verdict,
    groups::{Stage, Staged, Staging},
    problem::Problem,
    unwind::caught,
    watch,
};

/// Where a future lives, once it has been polled.
pub(crate) struct Place<F>(Pin<Box<Option<F>>>);

impl<F> Place<F> {
    pub(crate) fn empty() -> Self {
        Self(Box::pin(None))
    }

    /// For the next one.
    pub(crate) fn set(&mut self, future: F) {
        self.0.set(Some(future));
    }

    /// A panic on the way down is the service's, as one on the way up would be.
    pub(crate) fn clear(&mut self) {
        if caught(|| self.0.set(None)).is_none() {
            watch::cause("the inner service panicked", &"when its future was dropped");
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Poll<F::Output>>
    where
        F: Future,
    {
        self.0.as_mut().as_pin_mut().map(|future| future.poll(cx))
    }
}

/// When a client hangs up too: siblings have permits to give back.
impl<F> Drop for Place<F> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A sub-request, or a stage of a group that goes by its first member.
pub(crate) struct Running<F> {
    index: usize,
    pub(crate) deadline: Instant,
    job: Job<F>,
    waker: Option<Waker>,
    is_overdue: bool,
}

/// Its place is empty once its time has run out.
enum Job<F> {
    Operation(Place<F>),
    Group(Stage, Place<Staging>),
}

/// What has come to its end.
pub(crate) enum Ended {
    Operation(usize, Verdict),
    Group(usize, Staged),
}

impl<F> Running<F> {
    pub(crate) fn operation(index: usize, deadline: Instant, place: Place<F>) -> Self {
        Self { index, deadline, job: Job::Operation(place), waker: None, is_overdue: false }
    }

    pub(crate) fn group(index: usize, deadline: Instant, stage: Stage, staging: Staging) -> Self {
        let mut place = Place::empty();
        place.set(staging);
        Self { index, deadline, job: Job::Group(stage, place), waker: None, is_overdue: false }
    }

    /// Its time has run out. It is looked at once more: what was ready by then has not timed out, and nobody else would
    /// give back what its outcome has taken.
    pub(crate) fn expire(&mut self) {
        self.is_overdue = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn give_up(&mut self) {
        match &mut self.job {
            Job::Operation(place) => place.clear(),
            Job::Group(_, place) => place.clear(),
        }
    }
}

impl<F: Future<Output = Verdict>> Running<F> {
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let index = self.index;
        Poll::Ready(match &mut self.job {
            Job::Operation(place) => {
                let verdict = place.poll(cx).unwrap_or_else(|| Poll::Ready(Err(Box::new(timed_out()))));
                Ended::Operation(index, ready!(verdict))
            }
            Job::Group(stage, place) => {
                let staged = caught(|| place.poll(cx)).unwrap_or_else(|| Some(Poll::Ready(stage.panicked())));
                Ended::Group(index, ready!(staged.unwrap_or_else(|| Poll::Ready(stage.timed_out()))))
            }
        })
    }
}

impl<F: Future<Output = Verdict>> Future for Running<F> {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let mut ended = self.poll_job(cx);
        if ended.is_pending() && self.is_overdue {
            self.give_up();
            ended = self.poll_job(cx);
        }
        if ended.is_pending() {
            // Only `expire` needs it, and it stays the same as long as this stands in the queue.
            self.waker.get_or_insert_with(|| cx.waker().clone());
        }
        ended
    }
}

pub(crate) fn timed_out() -> Problem {
    Problem::new(
        http::StatusCode::GATEWAY_TIMEOUT,
        "the operation did not end within its time limit; it may have been carried out",
    )
}
