//! Atomic groups, from their beginning to their end.

use bytes::Bytes;
use http::Request;

use super::{Dispatch, status};
use crate::{
    batch::{State, Verdict},
    groups::{Stage, Staged, in_doubt, rolled_back},
    running::Running,
    watch::Watch,
};

impl<S, F> Dispatch<'_, S, F>
where
    S: FnMut(Request<Option<Bytes>>, &Watch) -> F,
    F: Future<Output = Verdict>,
{
    /// Begins a stage of a group.
    pub(super) fn stage(&mut self, stage: Stage, group: usize) {
        let Some(groups) = &mut self.groups else { return };
        match groups.stage(stage, group, &self.config, self.head) {
            Some(staging) => {
                let deadline = self.deadline();
                self.running.push(Running::group(group, deadline, stage, staging));
            }
            None => self.staged(group, stage.panicked()),
        }
    }

    /// Goes on with a group, or gives its members their outcomes.
    pub(super) fn staged(&mut self, group: usize, staged: Staged) {
        let Some(groups) = &mut self.groups else { return };
        let members = groups.find(group).unwrap_or_default();
        match staged {
            Staged::Begun(Ok(transaction)) => {
                groups.open(group, transaction);
                return self.plan.begun(group, true);
            }
            Staged::Begun(Err(problem)) => {
                members.clone().for_each(|index| self.end(index, Err(problem.clone())));
                self.plan.begun(group, false);
            }
            Staged::Committed(Ok(())) => {
                members.clone().for_each(|index| self.confirm(index));
                self.plan.decided(group, true, false);
            }
            Staged::Committed(Err(problem)) => {
                members.clone().for_each(|index| self.end(index, Err(problem.clone())));
                self.plan.decided(group, false, true);
            }
            Staged::RolledBack => {
                members.clone().for_each(|index| self.roll_back(index));
                let mut outcomes = members.clone().filter_map(|index| self.slots[index].outcome(index));
                let failure = outcomes.any(|outcome| !outcome.is_success());
                self.plan.decided(group, false, failure);
            }
        }
        if let Some(groups) = &mut self.groups {
            groups.ended.extend(members);
        }
    }

    /// Ends a member whose group has not come to its end in time.
    pub(super) fn break_off(&mut self, index: usize) {
        if self.groups.as_ref().is_some_and(|groups| groups.is_committing(index)) {
            self.end(index, Err(Box::new(in_doubt())));
        } else {
            self.roll_back(index);
        }
    }

    /// The outcome of a member of a group that failed: its own if that is why.
    fn roll_back(&mut self, index: usize) {
        match &self.slots[index].state {
            State::Provisional(verdict, _) if !status(verdict).is_success() => self.confirm(index),
            _ => self.end(index, Err(Box::new(rolled_back()))),
        }
    }

    fn confirm(&mut self, index: usize) {
        let watch = self.slots[index].confirm();
        self.tell(index, watch);
    }
}
