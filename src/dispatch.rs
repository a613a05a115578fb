//! Drives a plan over the inner service.

use std::{
    borrow::Cow,
    collections::VecDeque,
    future::poll_fn,
    mem,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{Request, StatusCode, request::Parts};
use tokio::time::Instant;

use self::deadlines::Deadlines;
use crate::{
    batch::{Batch, Slot, State, Uses, Verdict},
    config::Config,
    context::BatchContext,
    groups::{Groups, Open, Stage},
    grpc,
    inherit::Inheritance,
    intake::Intake,
    plan::{Plan, Step, Why},
    problem::{Problem, shown},
    running::{Ended, Place, Running},
    send::Budget,
    timer::after,
    watch::Watch,
    window::Window,
};

mod atomic;
mod deadlines;
mod intake;
mod values;

/// After this many operations that begin or end in one poll the executor gets its turn: a batch whose operations are all
/// ready at once would otherwise hold a thread for as long as it lasts.
const STEPS_PER_POLL: usize = 32;

/// The operations of one batch, on their way through the inner service.
///
/// `send` begins one sub-request. All run in the task that polls this, so dropping it drops them.
pub(crate) struct Dispatch<S, F> {
    config: Arc<Config>,
    /// Of the batch's request.
    head: Parts,
    budget: Arc<Budget>,
    inheritance: Inheritance,
    send: S,
    plan: Plan,
    slots: Window<Slot>,
    /// How many there will be, if that is known.
    total: Option<usize>,
    /// Where further ones come from.
    intake: Option<Box<Intake>>,
    uses: Uses,
    /// Bytes of values that may still be kept for references, and bytes that these may still bring in.
    values_left: usize,
    references_left: usize,
    running: FuturesUnordered<Running<F>>,
    /// Where the next operation is polled for the first time. Most end there, and the place is used again.
    place: Place<F>,
    /// Behind what runs, so that handles to a transaction are dropped before it is.
    groups: Option<Box<Groups>>,
    /// Slots that have got their outcomes, and have not been told yet.
    ended: VecDeque<usize>,
    deadlines: Deadlines,
    /// Where the search for unfinished operations goes on, once time has run out.
    overdue: Option<usize>,
    turn: Turn,
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
        head: Parts,
        batch: Batch,
        inheritance: Inheritance,
        budget: Arc<Budget>,
        batch_deadline: Instant,
        send: S,
    ) -> Self {
        let Batch { slots, order, stop_on_failure, graph, uses, .. } = batch;
        let (kinds, total) = (slots.iter().map(Slot::kind).collect(), Some(slots.len()));
        Self {
            groups: graph.as_ref().filter(|graph| !graph.groups.is_empty()).map(|_| Box::default()),
            plan: Plan::new(order, config.limits.concurrency, stop_on_failure, kinds, graph),
            values_left: config.limits.request_bytes,
            references_left: config.limits.request_bytes,
            config,
            head,
            budget,
            inheritance,
            send,
            slots: slots.into(),
            total,
            intake: None,
            uses,
            running: FuturesUnordered::new(),
            place: Place::empty(),
            ended: VecDeque::new(),
            deadlines: Deadlines::new(batch_deadline),
            overdue: None,
            turn: Turn::default(),
        }
    }

    /// Waits for the next slot that gets its outcome; `None` when there are no more.
    pub(crate) async fn next(&mut self) -> Option<usize> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Goes on after what may have been a long pause: what runs is looked at before anything new begins, and the pause
    /// is not the batch's.
    pub(crate) fn resume(&mut self) {
        self.turn = Turn::default();
        self.deadlines.go_by(self.config.limits.idle_timeout);
    }

    /// In request order, all slots that are not forgotten.
    pub(crate) fn slots(&mut self) -> &mut Window<Slot> {
        &mut self.slots
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        let next = self.poll_turn(cx);
        match &next {
            Poll::Ready(Some(_)) => {
                self.turn.steps += 1;
                self.deadlines.moved();
            }
            Poll::Ready(None) | Poll::Pending => self.turn = Turn::default(),
        }
        next
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        loop {
            if self.turn.steps >= STEPS_PER_POLL {
                return self.yield_now(cx);
            }
            if let Some(index) = self.ended.pop_front() {
                return Poll::Ready(Some(index));
            }
            if let Some(from) = self.overdue {
                return Poll::Ready(self.end_overdue(from));
            }
            // What runs already comes before what could be started: operations that are always ready must not keep it,
            // or its time-out, from being seen.
            if !self.turn.looked && !self.running.is_empty() {
                match self.look(cx) {
                    Some(Some(index)) => return Poll::Ready(Some(index)),
                    Some(None) => {
                        self.turn.steps += 1;
                        continue;
                    }
                    None => {}
                }
            }
            self.turn.looked = true;
            match self.plan.next() {
                Step::Starve if self.take_in(cx).is_ready() => continue,
                Step::Starve | Step::Wait => match self.look(cx) {
                    Some(Some(index)) => return Poll::Ready(Some(index)),
                    Some(None) => {}
                    None => {
                        ready!(self.deadlines.poll(cx));
                        self.expire();
                    }
                },
                Step::Done => return Poll::Ready(None),
                step => {
                    if let Some(index) = self.take_step(step, cx) {
                        return Poll::Ready(Some(index));
                    }
                }
            }
            self.turn.steps += 1;
        }
    }

    /// What can be done at once. Within: the slot that has its outcome by that, if one has.
    #[inline]
    fn take_step(&mut self, step: Step, cx: &mut Context<'_>) -> Option<usize> {
        match step {
            Step::Run(index) => match self.start(index, cx) {
                Poll::Ready(verdict) => return self.complete(index, verdict),
                Poll::Pending => {}
            },
            Step::Skip(index, why) => {
                let problem = self.skipped(why);
                self.end(index, Err(Box::new(problem)));
                return Some(index);
            }
            Step::Begin(group) => self.stage(Stage::Begin, group),
            Step::Commit(group) => self.stage(Stage::Commit, group),
            Step::Rollback(group) => self.stage(Stage::Rollback, group),
            Step::Starve | Step::Wait | Step::Done => {}
        }
        None
    }

    /// Goes on with what has begun, and begins nothing else: of a group that has begun, the next member is a part of it. What
    /// ends meanwhile is told later.
    #[cfg(feature = "spawn")]
    pub(crate) fn poll_begun(&mut self, cx: &mut Context<'_>) {
        // The pause is the reader's, which has a limit of its own.
        self.deadlines.moved();
        for _ in 0..STEPS_PER_POLL {
            if self.overdue.is_some() {
                return;
            }
            if let Some(step) = self.plan.next_due() {
                let ended = self.take_step(step, cx);
                self.ended.extend(ended);
            } else if let Some(ended) = self.look(cx) {
                self.ended.extend(ended);
            } else if self.deadlines.poll(cx).is_ready() {
                self.expire();
            } else {
                return;
            }
        }
        cx.waker().wake_by_ref();
    }

    fn yield_now(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        // Not before all that may have ended has been looked at.
        if self.turn.looked {
            self.expire();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends one operation. Most are ready at once, and never leave their place.
    fn start(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<Verdict> {
        let (timed, total) = (self.config.on_outcome.is_some(), self.total);
        if self.slots[index].needs().is_some() {
            if let Err(problem) = self.fill(index) {
                return Poll::Ready(Err(problem));
            }
        }
        let Slot { label, state } = &mut self.slots[index];
        let watch = Watch::start(timed, index, label);
        let State::Ready(message) = mem::replace(state, State::Running(Watch::default())) else {
            unreachable!("the plan names each slot once, and no refused one")
        };
        let context = BatchContext::new(index, label.id.clone(), total);
        let mut request = self.inheritance.request(label, message, context);
        let time = grpc::time(&self.config, request.headers());
        let group = self.plan.group_of(index).and_then(|group| self.groups.as_ref()?.open(group.start));
        if let Some(group) = group {
            if let Err(problem) = group.attach(&mut request) {
                *state = State::Running(watch);
                return Poll::Ready(Err(problem));
            }
        }
        let of_group = group.map(Open::deadline);
        let sub_request = (self.send)(request, &watch);
        *state = State::Running(watch);
        self.place.set(sub_request);
        let first = self.place.poll(cx).expect("it was just put there");
        if first.is_ready() {
            self.place.clear();
        } else {
            let place = mem::replace(&mut self.place, Place::empty());
            let deadline = self.deadline(time, of_group);
            self.running.push(Running::operation(index, deadline, place));
        }
        first
    }

    /// Of what begins now, and may want less time than it could have, or have to end before it has had that.
    fn deadline(&mut self, time: Option<Duration>, latest: Option<Instant>) -> Instant {
        let most = self.config.limits.operation_timeout;
        let own = after(time.map_or(most, |time| time.min(most)));
        let deadline = latest.map_or(own, |latest| latest.min(own));
        self.deadlines.add(deadline);
        deadline
    }

    /// Looks at what runs; `None` where nothing of it has ended. Within: the slot that has its outcome by that, if one
    /// has.
    fn look(&mut self, cx: &mut Context<'_>) -> Option<Option<usize>> {
        match self.running.poll_next_unpin(cx) {
            Poll::Ready(Some(Ended::Operation(index, verdict))) => Some(self.complete(index, verdict)),
            Poll::Ready(Some(Ended::Group(group, staged))) => {
                self.staged(group, staged);
                Some(None)
            }
            Poll::Ready(None) | Poll::Pending => None,
        }
    }

    /// Takes the verdict on an operation; `None` where its group has the last word.
    #[inline(always)]
    fn complete(&mut self, index: usize, verdict: Verdict) -> Option<usize> {
        if !self.uses.is_empty() {
            self.give_values(index, &verdict);
        }
        self.plan.complete(index, status(&verdict));
        if self.plan.group_of(index).is_some() {
            self.slots[index].hold(verdict);
            return None;
        }
        self.end(index, verdict);
        Some(index)
    }

    /// Gives a slot its outcome, unless it has one, and tells who wants to know.
    fn end(&mut self, index: usize, verdict: Verdict) {
        let total = self.total;
        let slot = &mut self.slots[index];
        let watch = slot.end(verdict);
        let Some(outcome) = slot.outcome(index) else { return };
        let elapsed = watch.unwrap_or_else(|| Watch::idle(index, &slot.label)).stop(outcome.status());
        if let Some(on_outcome) = &self.config.on_outcome {
            on_outcome(&BatchContext::new(index, slot.label.id.clone(), total), outcome.status(), elapsed);
        }
    }

    fn skipped(&self, why: Why) -> Problem {
        let id = |index: usize| match self.slots.get(index) {
            Some(slot) => slot.label.id.as_deref().unwrap_or_default(),
            None => self.intake.as_ref().and_then(|intake| intake.recent.id(index)).unwrap_or_default(),
        };
        let detail = match why {
            Why::Dependency(index) => {
                format!("`{}`, which this operation or its group depends on, did not succeed", shown(id(index))).into()
            }
            Why::Condition(index) => {
                let id = shown(id(index));
                format!("`{id}` succeeded, and this operation or its group was to run only if it didn't").into()
            }
            Why::Refused | Why::Stopped => Cow::from("another operation failed, and the batch stops at that"),
        };
        Problem::new(StatusCode::FAILED_DEPENDENCY, detail + "; this one was not carried out")
    }

    /// Ends what has had its time. Where that is the whole batch's, all that is left is overdue.
    fn expire(&mut self) {
        let Some(now) = self.deadlines.passed().filter(|_| self.overdue.is_none()) else { return };
        if self.deadlines.look(now, self.running.iter().map(|running| running.deadline)) {
            self.running.clear();
            self.groups.iter_mut().for_each(|groups| groups.abandon());
            self.overdue = Some(0);
            return;
        }
        for running in self.running.iter_mut().filter(|running| running.deadline <= now) {
            running.expire();
        }
    }

    /// Ends the first slot from this one on that hasn't ended yet.
    fn end_overdue(&mut self, from: usize) -> Option<usize> {
        let mut left = from.max(self.slots.start())..self.slots.end();
        let left = left.find(|&index| !matches!(self.slots[index].state, State::Done(_) | State::Written));
        let Some(index) = left else { return self.give_up() };
        self.overdue = Some(index + 1);
        match self.slots[index].state {
            State::Provisional(_) => self.break_off(index),
            State::Running(_) => self.end(index, Err(Box::new(self.overran(index)))),
            _ => self.end(index, Err(Box::new(not_begun()))),
        }
        Some(index)
    }
}

fn status(verdict: &Verdict) -> StatusCode {
    match verdict {
        Ok(response) => response.status(),
        Err(problem) => problem.status(),
    }
}

fn not_begun() -> Problem {
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "the batch reached its time limit before this operation began; it was not carried out",
    )
}
