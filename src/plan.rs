//! When each operation may run. No async, no I/O: a question and an answer.

use std::ops::Range;

use http::{Method, StatusCode};

use self::waiting::{Progress, Waiting};
use crate::{graph::Graph, window::Window};

mod waiting;

/// In which order the operations of a batch run.
///
/// At most [`concurrency`](crate::BatchLayer::concurrency) of them run at once, whatever the order.
///
/// What operations say of each other is added to the order, and takes nothing away from it: one that depends on another
/// one waits for it also where the order would let both run at once. One that depends on a later one, which the order has
/// wait for it, is refused. A group runs its members one after the other, and is to the others like one operation: an
/// unsafe one if a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// Safe operations (GET, HEAD, OPTIONS; RFC 9110 §9.2.1) run side by side; any other waits for all before it, and
    /// all after it wait for it. So the batch means what it would mean sent item by item, and reads are parallel.
    #[default]
    Fenced,
    /// One after the other, in request order.
    Sequential,
    /// All side by side, except where one operation says that it depends on another one. Only for services where
    /// operations of one batch never depend on each other without saying so.
    Unordered,
}

/// What the plan has to know of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Safe,
    Unsafe,
    /// Refused before it could run; it has its outcome.
    Refused,
    /// It has ended, with a 2xx or not.
    Ended {
        success: bool,
    },
}

impl Kind {
    pub(crate) fn of(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS => Self::Safe,
            _ => Self::Unsafe,
        }
    }
}

/// What is to be done next. A group goes by its first member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start this operation.
    Run(usize),
    /// This one does not run.
    Skip(usize, Why),
    /// Begin the transaction of this group.
    Begin(usize),
    /// All members of the group have succeeded.
    Commit(usize),
    /// One of them has not.
    Rollback(usize),
    /// Nothing can start before something running has ended.
    Wait,
    /// Another one could start, if there were one.
    Starve,
    /// All have been started or skipped, none is running, and none will come.
    Done,
}

/// Why an operation does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was refused, and has its outcome.
    Refused,
    /// Another one failed, and the batch was to stop then.
    Stopped,
    /// This one, which it or its group depends on, did not succeed.
    Dependency(usize),
    /// This one succeeded, and it or its group was to run only if not.
    Condition(usize),
}

/// Each operation is named by [`next`](Self::next) once at most, and not before its time.
///
/// A cursor goes through the batch and lets through what the order allows. Whatever then still waits for another one
/// is parked, and starts when its dependencies have ended. A group is like one operation: it starts as a whole, and
/// counts as one of those that run until it is committed or rolled back.
#[derive(Debug)]
pub(crate) struct Plan {
    order: Order,
    concurrency: usize,
    stop_on_failure: bool,
    /// Of each node; that of a group stands at its first member.
    kinds: Window<Kind>,
    /// More may come.
    is_open: bool,
    cursor: usize,
    running: usize,
    /// What runs is something beside which nothing else may.
    fenced: bool,
    failed: bool,
    /// Most batches have nothing of it.
    waiting: Option<Box<Waiting>>,
}

impl Plan {
    pub(crate) fn new(
        order: Order,
        concurrency: usize,
        stop_on_failure: bool,
        mut kinds: Vec<Kind>,
        graph: Option<Graph>,
    ) -> Self {
        for group in graph.iter().flat_map(|graph| &graph.groups) {
            if kinds[group.clone()].contains(&Kind::Unsafe) {
                kinds[group.start] = Kind::Unsafe;
            }
        }
        let waiting = graph.map(|graph| Box::new(Waiting::new(graph)));
        Self {
            order,
            concurrency,
            stop_on_failure,
            kinds: kinds.into(),
            is_open: false,
            cursor: 0,
            running: 0,
            fenced: false,
            failed: false,
            waiting,
        }
    }

    /// More operations are still to come.
    pub(crate) fn open(&mut self) {
        self.is_open = true;
    }

    /// One more operation has come, which waits for earlier ones. No more than `window` are kept in mind.
    pub(crate) fn push(&mut self, kind: Kind, dependencies: &[usize], window: usize) {
        let node = self.kinds.end();
        if !dependencies.is_empty() && self.waiting.is_none() {
            self.waiting = Some(Box::new(Waiting::since(self.kinds.start(), node)));
        }
        self.kinds.push(kind);
        if let Some(waiting) = &mut self.waiting {
            waiting.push(dependencies, &self.kinds);
            waiting.nodes.keep(window);
        }
        self.kinds.keep(window);
    }

    /// No more will come.
    pub(crate) fn close(&mut self) {
        self.is_open = false;
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Step {
        if self.waiting.is_some() {
            if let Some(step) = self.next_waiting() {
                return step;
            }
        }
        let node = self.cursor;
        let Some(&kind) = self.kinds.get(node) else {
            return match (self.is_open, self.running) {
                (true, running) if running < self.concurrency && !self.fenced => Step::Starve,
                (false, 0) => Step::Done,
                _ => Step::Wait,
            };
        };
        let skip = match kind {
            Kind::Refused => Some(Why::Refused),
            _ => self.stopped(),
        };
        if skip.is_none() && !(self.running < self.concurrency && self.is_let_through(node)) {
            return Step::Wait;
        }
        self.cursor += self.len(node);
        match skip {
            Some(why) => self.skip(node, why),
            None => self.start(node),
        }
    }

    /// What follows at once from what has happened: a group that has begun goes on.
    #[cfg(feature = "spawn")]
    pub(crate) fn next_due(&mut self) -> Option<Step> {
        self.waiting.as_mut()?.due.pop_front()
    }

    /// The members of the group that this operation belongs to.
    #[inline]
    pub(crate) fn group_of(&self, index: usize) -> Option<Range<usize>> {
        self.waiting.as_ref()?.group_of(index)
    }

    /// Says that a running operation has ended.
    #[inline]
    pub(crate) fn complete(&mut self, index: usize, status: StatusCode) {
        if self.waiting.as_mut().is_none_or(|waiting| !waiting.go_on(index, status)) {
            self.end(index, status.is_success(), status.as_u16() >= 400);
        }
    }

    /// Says that the transaction of a group has begun.
    pub(crate) fn begun(&mut self, group: usize) {
        if let Some(waiting) = &mut self.waiting {
            waiting.due.push_back(Step::Run(group));
        }
    }

    /// Says that a group has come to its end, perhaps before its beginning, and whether one of its members has a status
    /// that is a failure: if the group was rolled back and its only member was redirected, none has.
    pub(crate) fn decided(&mut self, group: usize, committed: bool, failure: bool) {
        self.end(group, committed, failure);
    }

    #[inline]
    fn end(&mut self, node: usize, success: bool, failure: bool) {
        self.running -= 1;
        self.fenced = false;
        self.failed |= failure;
        if self.is_open {
            self.kinds[node] = Kind::Ended { success };
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.settle(node, success);
        }
    }

    /// What comes before the next one in request order. Parks what only its dependencies hold back.
    fn next_waiting(&mut self) -> Option<Step> {
        let waiting = self.waiting.as_mut()?;
        if let Some(step) = waiting.due.pop_front() {
            return Some(step);
        }
        if let Some(&node) = waiting.ready.front() {
            let skip = waiting.nodes[node].failed.or(self.stopped());
            if skip.is_none() && self.running >= self.concurrency {
                return Some(Step::Wait);
            }
            self.waiting.as_mut()?.unpark();
            return Some(match skip {
                Some(why) => self.skip(node, why),
                None => self.start(node),
            });
        }
        while self.cursor < self.kinds.end() {
            let node = self.cursor;
            let is_held = self.kinds[node] == Kind::Refused || self.stopped().is_some() || !self.is_let_through(node);
            let &Progress { unmet, failed, .. } = &self.waiting.as_ref()?.nodes[node];
            if let Some(why) = failed.filter(|_| self.kinds[node] != Kind::Refused) {
                self.cursor += self.len(node);
                return Some(self.skip(node, why));
            }
            if unmet == 0 || is_held {
                break;
            }
            self.waiting.as_mut()?.park(node);
            self.cursor += self.len(node);
        }
        None
    }

    fn stopped(&self) -> Option<Why> {
        (self.stop_on_failure && self.failed).then_some(Why::Stopped)
    }

    fn skip(&mut self, node: usize, why: Why) -> Step {
        self.failed = true;
        if self.is_open {
            self.kinds[node] = Kind::Ended { success: false };
        }
        let rest = node + 1..node + self.len(node);
        if let Some(waiting) = &mut self.waiting {
            waiting.due.extend(rest.map(|index| Step::Skip(index, why)));
            waiting.settle(node, false);
        }
        Step::Skip(node, why)
    }

    #[inline]
    fn start(&mut self, node: usize) -> Step {
        self.running += 1;
        self.fenced = self.is_fence(node);
        if self.group_of(node).is_some() { Step::Begin(node) } else { Step::Run(node) }
    }

    /// Whether the order has nothing against it.
    fn is_let_through(&self, node: usize) -> bool {
        !self.fenced && (!self.is_fence(node) || self.running + self.parked() == 0)
    }

    fn is_fence(&self, node: usize) -> bool {
        match self.order {
            Order::Fenced => self.kinds[node] == Kind::Unsafe,
            Order::Sequential => true,
            Order::Unordered => false,
        }
    }

    fn parked(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.parked)
    }

    /// How many operations a node is.
    fn len(&self, node: usize) -> usize {
        self.group_of(node).map_or(1, |group| group.len())
    }
}

#[cfg(test)]
mod tests;
