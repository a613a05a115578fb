//! Atomic groups, from their beginning to their end.

use bytes::Bytes;
use http::Request;

use super::{Dispatch, status};
use crate::{
    batch::{State, Verdict},
    groups::{Stage, Staged, in_doubt, rolled_back},
    intake::stood_still,
    problem::Problem,
    running::{Running, timed_out},
    timer::after,
    watch::Watch,
};

/// What there is to add to a member's own problem.
const ROLLED_BACK: &str = "its group was rolled back";

impl<S, F> Dispatch<S, F>
where
    S: FnMut(Request<Option<Bytes>>, &Watch) -> F,
    F: Future<Output = Verdict>,
{
    /// Begins a stage of a group.
    pub(super) fn stage(&mut self, stage: Stage, group: usize) {
        let Some(groups) = &mut self.groups else { return };
        match groups.stage(stage, group, &self.config, &self.head) {
            Some(staging) => {
                let deadline = self.deadline(None, None);
                self.running.push(Running::group(group, deadline, stage, staging));
            }
            None => self.staged(group, stage.panicked()),
        }
    }

    /// Goes on with a group, or gives its members their outcomes.
    pub(super) fn staged(&mut self, group: usize, staged: Staged) {
        let Some(groups) = &mut self.groups else { return };
        let members = self.plan.group_of(group).unwrap_or_default();
        let committed = match staged {
            Staged::Begun(Ok(transaction)) => {
                groups.begun(group, transaction, after(self.config.limits.group_timeout));
                return self.plan.begun(group);
            }
            Staged::Begun(Err(problem)) | Staged::Committed(Err(problem)) => {
                members.clone().for_each(|index| self.revoke(index, problem.clone()));
                false
            }
            Staged::Committed(Ok(())) => {
                members.clone().for_each(|index| self.confirm(index));
                true
            }
            Staged::RolledBack => {
                members.clone().for_each(|index| self.roll_back(index));
                false
            }
        };
        let mut outcomes = members.clone().filter_map(|index| self.slots[index].outcome(index));
        let failure = outcomes.any(|outcome| !outcome.is_success());
        self.plan.decided(group, committed, failure);
        self.ended.extend(members);
    }

    /// Ends a member whose group has not come to its end in time.
    pub(super) fn break_off(&mut self, index: usize) {
        let group = self.plan.group_of(index).unwrap_or_default().start;
        if self.groups.as_ref().is_some_and(|groups| groups.is_committing(group)) {
            self.revoke(index, Box::new(in_doubt()));
        } else {
            self.roll_back(index);
        }
    }

    /// Says of an operation that was still at work what became of it.
    pub(super) fn overran(&self, index: usize) -> Problem {
        match self.plan.group_of(index) {
            Some(_) => timed_out().and(ROLLED_BACK),
            None if self.intake.is_some() => stood_still(),
            None => timed_out(),
        }
    }

    /// The outcome of a member of a group that failed: its own if that is why.
    fn roll_back(&mut self, index: usize) {
        let is_why = matches!(&self.slots[index].state, State::Provisional(kept) if !status(&kept.0).is_success());
        if !is_why {
            return self.revoke(index, Box::new(rolled_back()));
        }
        if let Some(verdict) = self.slots[index].release() {
            self.end(index, verdict.map_err(|problem| Box::new(problem.and(ROLLED_BACK))));
        }
    }

    /// Puts a problem in the place of an outcome, which has taken of the answer's bytes.
    fn revoke(&mut self, index: usize, problem: Box<Problem>) {
        if let Some(Ok(response)) = self.slots[index].release() {
            self.budget.give_back(response.body().len());
        }
        self.end(index, Err(problem));
    }

    /// Makes the outcome that was kept the last word.
    fn confirm(&mut self, index: usize) {
        if let Some(verdict) = self.slots[index].release() {
            self.end(index, verdict);
        }
    }
}
