//! When each operation may run. No async, no I/O: a question and an answer.

use http::Method;

/// In which order the operations of a batch run.
///
/// At most [`concurrency`](crate::BatchLayer::concurrency) of them run at once, whatever the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// Safe operations (GET, HEAD, OPTIONS; RFC 9110 §9.2.1) run side by side; any other waits for all before it, and
    /// all after it wait for it. So the batch means what it would mean sent item by item, and reads are parallel.
    #[default]
    Fenced,
    /// One after the other, in request order.
    Sequential,
    /// All side by side. Only for services where operations of one batch never depend on each other.
    Unordered,
}

/// What the plan has to know of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Safe,
    Unsafe,
    /// Refused before it could run; it has its outcome.
    Refused,
}

impl Kind {
    pub(crate) fn of(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS => Self::Safe,
            _ => Self::Unsafe,
        }
    }
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Start this operation.
    Run(usize),
    /// This one does not run: it was refused, or an earlier one failed.
    Skip(usize),
    /// Nothing can start before something running has completed.
    Wait,
    /// All have been started, skipped or refused, and none is running.
    Done,
}

/// Each operation is named by [`next`](Self::next) once at most, and not before its time.
#[derive(Debug)]
pub(crate) struct Plan {
    order: Order,
    concurrency: usize,
    stop_on_failure: bool,
    kinds: Vec<Kind>,
    cursor: usize,
    running: usize,
    /// An operation runs beside which no other one may.
    fenced: bool,
    failed: bool,
}

impl Plan {
    pub(crate) fn new(order: Order, concurrency: usize, stop_on_failure: bool, kinds: Vec<Kind>) -> Self {
        Self { order, concurrency, stop_on_failure, kinds, cursor: 0, running: 0, fenced: false, failed: false }
    }

    pub(crate) fn next(&mut self) -> Step {
        if let Some(&kind) = self.kinds.get(self.cursor) {
            let stopped = self.stop_on_failure && self.failed;
            if kind != Kind::Refused && !stopped && !self.may_start(kind) {
                return Step::Wait;
            }
            let index = self.cursor;
            self.cursor += 1;
            self.failed |= kind == Kind::Refused;
            if kind == Kind::Refused || stopped {
                return Step::Skip(index);
            }
            self.running += 1;
            self.fenced = self.is_fence(kind);
            return Step::Run(index);
        }
        if self.running == 0 { Step::Done } else { Step::Wait }
    }

    /// Says that a running operation has ended.
    pub(crate) fn complete(&mut self, success: bool) {
        self.running -= 1;
        self.fenced = false;
        self.failed |= !success;
    }

    fn may_start(&self, kind: Kind) -> bool {
        self.running < self.concurrency && !self.fenced && (self.running == 0 || !self.is_fence(kind))
    }

    fn is_fence(&self, kind: Kind) -> bool {
        match self.order {
            Order::Fenced => kind == Kind::Unsafe,
            Order::Sequential => true,
            Order::Unordered => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [Kind; 3] = [Kind::Safe, Kind::Unsafe, Kind::Refused];
    const ORDERS: [Order; 3] = [Order::Fenced, Order::Sequential, Order::Unordered];

    proptest! {
        /// Any kinds, any outcomes, any order of completion.
        #[test]
        fn each_operation_starts_at_most_once_and_never_too_early(
            kinds in prop::collection::vec(prop::sample::select(&KINDS[..]), 1..40),
            order in prop::sample::select(&ORDERS[..]),
            concurrency in 1usize..6,
            stop in any::<bool>(),
            choices in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 40),
        ) {
            let mut plan = Plan::new(order, concurrency, stop, kinds.clone());
            let (mut running, mut seen) = (Vec::new(), Vec::new());
            let mut failure = false;
            let mut choices = choices.into_iter();
            loop {
                match plan.next() {
                    Step::Run(index) => {
                        prop_assert!(kinds[index] != Kind::Refused);
                        prop_assert!(!(stop && failure));
                        prop_assert!(running.len() < concurrency);
                        let alone = |&other: &usize| match order {
                            Order::Fenced => kinds[index] == Kind::Unsafe || kinds[other] == Kind::Unsafe,
                            Order::Sequential => true,
                            Order::Unordered => false,
                        };
                        prop_assert!(!running.iter().any(alone));
                        running.push(index);
                        seen.push(index);
                    }
                    Step::Skip(index) => {
                        prop_assert!(kinds[index] == Kind::Refused || (stop && failure));
                        failure |= kinds[index] == Kind::Refused;
                        seen.push(index);
                    }
                    Step::Wait => {
                        prop_assert!(!running.is_empty(), "waits for nothing");
                        let (which, success) = choices.next().unwrap();
                        running.swap_remove(which.index(running.len()));
                        plan.complete(success);
                        failure |= !success;
                    }
                    Step::Done => break,
                }
            }
            prop_assert!(running.is_empty());
            prop_assert_eq!(seen, (0..kinds.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn reads_are_parallel_and_writes_are_fences() {
        use Kind::{Safe, Unsafe};
        let mut plan = Plan::new(Order::Fenced, 16, false, vec![Safe, Safe, Unsafe, Safe]);
        assert_eq!([plan.next(), plan.next(), plan.next()], [Step::Run(0), Step::Run(1), Step::Wait]);
        plan.complete(true);
        assert_eq!(plan.next(), Step::Wait);
        plan.complete(true);
        assert_eq!([plan.next(), plan.next()], [Step::Run(2), Step::Wait]);
        plan.complete(false);
        assert_eq!([plan.next(), plan.next()], [Step::Run(3), Step::Wait]);
        plan.complete(true);
        assert_eq!(plan.next(), Step::Done);
    }

    #[test]
    fn a_refused_operation_is_a_failure_in_its_place() {
        use Kind::{Refused, Safe};
        let mut plan = Plan::new(Order::Unordered, 16, true, vec![Safe, Refused, Safe]);
        let steps = [plan.next(), plan.next(), plan.next(), plan.next()];
        assert_eq!(steps, [Step::Run(0), Step::Skip(1), Step::Skip(2), Step::Wait]);
    }
}
