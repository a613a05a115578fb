//! Drives a plan over the inner service.

use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{Request, StatusCode};
use tokio::time::Instant;

use crate::{
    batch::{Batch, Slot, State, Verdict},
    config::Config,
    context::BatchContext,
    inherit::Inheritance,
    plan::{Kind, Plan, Step},
    problem::Problem,
    timer::{Timer, after},
    unwind::caught,
    watch::{self, Watch},
};

/// After this many operations that begin or end in one poll the executor gets its turn: a batch whose operations are all
/// ready at once would otherwise hold a thread for as long as it lasts.
const STEPS_PER_POLL: usize = 32;

/// The operations of one batch, on their way through the inner service.
///
/// `send` begins one sub-request. All run in the task that polls this, so dropping it drops them.
pub(crate) struct Dispatch<S, F> {
    config: Arc<Config>,
    inheritance: Inheritance,
    send: S,
    plan: Plan,
    slots: Vec<Slot>,
    running: FuturesUnordered<Running<F>>,
    /// Where the next operation is polled for the first time. Most end there, and the place is used again.
    place: Place<F>,
    timer: Timer,
    batch_deadline: Instant,
    /// No time runs out before this.
    next_deadline: Instant,
    /// Where the search for unfinished operations goes on, once time has run out.
    overdue: Option<usize>,
    turn: Turn,
}

/// Where a sub-request lives, once it has been polled.
struct Place<F>(Pin<Box<Option<F>>>);

impl<F> Place<F> {
    fn empty() -> Self {
        Self(Box::pin(None))
    }

    /// A panic on the way down is the service's, as one on the way up would be.
    fn clear(&mut self) {
        if caught(|| self.0.set(None)).is_none() {
            watch::cause("the inner service panicked", &"when its future was dropped");
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Option<Poll<F::Output>>
    where
        F: Future,
    {
        self.0.as_mut().as_pin_mut().map(|sub_request| sub_request.poll(cx))
    }
}

/// When a client hangs up too: siblings have permits to give back.
impl<F> Drop for Place<F> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What is left of the current poll.
#[derive(Debug, Default)]
struct Turn {
    steps: usize,
    /// The running operations have been looked at since the last time that the executor was given back.
    looked: bool,
}

impl<S, F> Dispatch<S, F>
where
    S: FnMut(Request<Option<Bytes>>, &Watch) -> F,
    F: Future<Output = Verdict>,
{
    pub(crate) fn new(
        config: Arc<Config>,
        batch: Batch,
        inheritance: Inheritance,
        batch_deadline: Instant,
        send: S,
    ) -> Self {
        let slots = batch.slots;
        let kinds = slots.iter().map(|slot| match slot.state {
            State::Ready(_) => Kind::of(&slot.label.method),
            _ => Kind::Refused,
        });
        Self {
            plan: Plan::new(config.order, config.limits.concurrency, config.stop_on_failure, kinds.collect()),
            config,
            inheritance,
            send,
            slots,
            running: FuturesUnordered::new(),
            place: Place::empty(),
            timer: Timer::default(),
            batch_deadline,
            next_deadline: batch_deadline,
            overdue: None,
            turn: Turn::default(),
        }
    }

    /// Waits for the next slot that gets its outcome; `None` when there are no more.
    pub(crate) async fn next(&mut self) -> Option<usize> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// All slots, in request order.
    pub(crate) fn slots(&mut self) -> &mut [Slot] {
        &mut self.slots
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        let next = self.poll_turn(cx);
        match &next {
            Poll::Ready(Some(_)) => self.turn.steps += 1,
            Poll::Ready(None) | Poll::Pending => self.turn = Turn::default(),
        }
        next
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        if self.turn.steps >= STEPS_PER_POLL {
            return self.yield_now(cx);
        }
        // What runs already comes before what could be started: operations that are always ready must not keep it, or
        // its time-out, from being seen.
        if !self.turn.looked && !self.running.is_empty() {
            if let Poll::Ready(Some(index)) = self.poll_running(cx) {
                return Poll::Ready(Some(index));
            }
        }
        self.turn.looked = true;
        loop {
            if let Some(from) = self.overdue {
                return Poll::Ready(self.end_overdue(from));
            }
            match self.plan.next() {
                Step::Run(index) => {
                    if let Poll::Ready(verdict) = self.start(index, cx) {
                        return Poll::Ready(Some(self.complete(index, verdict)));
                    }
                    self.turn.steps += 1;
                    if self.turn.steps >= STEPS_PER_POLL {
                        return self.yield_now(cx);
                    }
                }
                Step::Skip(index) => {
                    self.end(index, Err(Box::new(skipped())));
                    return Poll::Ready(Some(index));
                }
                Step::Wait => match self.poll_running(cx) {
                    Poll::Ready(Some(index)) => return Poll::Ready(Some(index)),
                    Poll::Ready(None) | Poll::Pending => {
                        ready!(self.timer.poll_until(self.next_deadline, cx));
                        self.expire(Instant::now());
                    }
                },
                Step::Done => return Poll::Ready(None),
            }
        }
    }

    fn yield_now(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        self.expire(Instant::now());
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends one operation. Most are ready at once, and never leave their place.
    fn start(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<Verdict> {
        let (timed, total) = (self.config.on_outcome.is_some(), self.slots.len());
        let Slot { label, state } = &mut self.slots[index];
        let watch = Watch::start(timed, index, label);
        let State::Ready(message) = mem::replace(state, State::Running(Watch::default())) else {
            unreachable!("the plan names each slot once, and no refused one")
        };
        let context = BatchContext::new(index, label.id.clone(), Some(total));
        let request = self.inheritance.request(label, message, context);
        let sub_request = (self.send)(request, &watch);
        *state = State::Running(watch);
        self.place.0.set(Some(sub_request));
        let first = self.place.poll(cx).expect("it was just put there");
        if first.is_ready() {
            self.place.clear();
        } else {
            let place = mem::replace(&mut self.place, Place::empty());
            let deadline = after(self.config.limits.operation_timeout);
            self.next_deadline = self.next_deadline.min(deadline);
            self.running.push(Running { index, deadline, place, waker: None });
        }
        first
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        let Some((index, verdict)) = ready!(self.running.poll_next_unpin(cx)) else { return Poll::Ready(None) };
        Poll::Ready(Some(self.complete(index, verdict)))
    }

    fn complete(&mut self, index: usize, verdict: Verdict) -> usize {
        let success = self.end(index, verdict);
        self.plan.complete(success);
        index
    }

    /// Gives a slot its outcome, unless it has one, and tells who wants to know. Whether it is a success.
    fn end(&mut self, index: usize, verdict: Verdict) -> bool {
        let total = self.slots.len();
        let slot = &mut self.slots[index];
        let watch = slot.end(verdict);
        let Some(outcome) = slot.outcome(index) else { return false };
        let elapsed = watch.unwrap_or_else(|| Watch::idle(index, &slot.label)).stop(outcome.status());
        if let Some(on_outcome) = &self.config.on_outcome {
            on_outcome(&BatchContext::new(index, slot.label.id.clone(), Some(total)), outcome.status(), elapsed);
        }
        outcome.is_success()
    }

    /// Drops what has had its time. Where that is the whole batch's, all that is left is overdue.
    fn expire(&mut self, now: Instant) {
        if now < self.next_deadline || self.overdue.is_some() {
            return;
        }
        let is_over = now >= self.batch_deadline;
        self.next_deadline = self.batch_deadline;
        for running in self.running.iter_mut() {
            if is_over || running.deadline <= now {
                running.expire();
            } else {
                self.next_deadline = self.next_deadline.min(running.deadline);
            }
        }
        if is_over {
            self.running.clear();
            self.overdue = Some(0);
        }
    }

    /// Ends the first slot from this one on that hasn't ended yet.
    fn end_overdue(&mut self, from: usize) -> Option<usize> {
        let index = (from..self.slots.len())
            .find(|&index| !matches!(self.slots[index].state, State::Done(_) | State::Written))?;
        let begun = matches!(self.slots[index].state, State::Running(_));
        self.overdue = Some(index + 1);
        self.end(index, Err(Box::new(if begun { timed_out() } else { not_begun() })));
        Some(index)
    }
}

/// A sub-request that was not ready at once.
struct Running<F> {
    index: usize,
    deadline: Instant,
    /// Empty once its time has run out.
    place: Place<F>,
    waker: Option<Waker>,
}

impl<F> Running<F> {
    fn expire(&mut self) {
        self.place.clear();
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl<F: Future<Output = Verdict>> Future for Running<F> {
    type Output = (usize, Verdict);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let verdict = match self.place.poll(cx) {
            Some(Poll::Ready(verdict)) => verdict,
            Some(Poll::Pending) => {
                // Only `expire` needs it, and it stays the same as long as this stands in the queue.
                self.waker.get_or_insert_with(|| cx.waker().clone());
                return Poll::Pending;
            }
            None => Err(Box::new(timed_out())),
        };
        Poll::Ready((self.index, verdict))
    }
}

fn timed_out() -> Problem {
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "the operation did not end within its time limit; it may have been carried out",
    )
}

fn not_begun() -> Problem {
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "the batch reached its time limit before this operation began; it was not carried out",
    )
}

fn skipped() -> Problem {
    Problem::new(StatusCode::FAILED_DEPENDENCY, "an earlier operation failed; this one was not carried out")
}
