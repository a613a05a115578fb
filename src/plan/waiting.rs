//! What waits for what else than its turn.

use std::{collections::VecDeque, mem, ops::Range};

use http::StatusCode;

use super::{Kind, Step, Why};
use crate::{
    graph::{Edge, Graph, Node, Wants, find_group},
    window::Window,
};

/// What is known of operations that wait for others, and of groups.
#[derive(Debug)]
pub(super) struct Waiting {
    /// In request order.
    groups: Vec<Range<usize>>,
    pub(super) nodes: Window<Progress>,
    /// Nodes that the order has let through, and that have not started.
    pub(super) parked: usize,
    /// Those of them whose dependencies have ended, or which can't run any more.
    pub(super) ready: VecDeque<usize>,
    /// What follows at once from what has happened.
    pub(super) due: VecDeque<Step>,
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    /// How many dependencies have not ended yet.
    pub(super) unmet: usize,
    /// Who waits for this one.
    dependents: Vec<Edge>,
    /// Which dependency did not end as it had to.
    pub(super) failed: Option<Why>,
    is_parked: bool,
}

impl Waiting {
    pub(super) fn new(graph: Graph) -> Self {
        let progress = |Node { unmet, dependents }| Progress { unmet, dependents, ..Progress::default() };
        let nodes: Vec<_> = graph.nodes.into_iter().map(progress).collect();
        Self { groups: graph.groups, nodes: nodes.into(), parked: 0, ready: VecDeque::new(), due: VecDeque::new() }
    }

    /// For a stream in which nothing has waited before; `next` is the place of the first that does.
    pub(super) fn since(start: usize, next: usize) -> Self {
        let mut waiting = Self::new(Graph::default());
        waiting.nodes = Window::from_place(start, (start..next).map(|_| Progress::default()));
        waiting
    }

    pub(super) fn push(&mut self, dependencies: &[usize], kinds: &Window<Kind>) {
        let dependent = self.nodes.end();
        let has_failed = |dependency| matches!(kinds[dependency], Kind::Ended { success: false } | Kind::Refused);
        let failed = dependencies.iter().copied().find(|&dependency| has_failed(dependency));
        let mut progress = Progress { failed: failed.map(Why::Dependency), ..Progress::default() };
        // Where it can't run any more, it waits for nothing.
        for &dependency in dependencies.iter().filter(|_| failed.is_none()) {
            if let Kind::Safe | Kind::Unsafe = kinds[dependency] {
                progress.unmet += 1;
                self.nodes[dependency].dependents.push(Edge { dependent, dependency, wants: Wants::Success });
            }
        }
        self.nodes.push(progress);
    }

    /// The members of the group that this operation belongs to.
    pub(super) fn group_of(&self, index: usize) -> Option<Range<usize>> {
        find_group(&self.groups, index)
    }

    pub(super) fn park(&mut self, node: usize) {
        self.nodes[node].is_parked = true;
        self.parked += 1;
    }

    /// The first of those that are ready takes its turn.
    pub(super) fn unpark(&mut self) {
        self.ready.pop_front();
        self.parked -= 1;
    }

    /// Tells those that wait for this node how it has ended. Each edge is looked at once.
    pub(super) fn settle(&mut self, node: usize, success: bool) {
        for Edge { dependent, dependency, wants } in mem::take(&mut self.nodes[node].dependents) {
            let progress = &mut self.nodes[dependent];
            progress.unmet -= 1;
            match (wants, success) {
                (Wants::Success, false) => _ = progress.failed.get_or_insert(Why::Dependency(dependency)),
                (Wants::Failure, true) => _ = progress.failed.get_or_insert(Why::Condition(dependency)),
                _ => {}
            }
            if progress.is_parked && (progress.unmet == 0 || progress.failed.is_some()) {
                progress.is_parked = false;
                self.ready.push_back(dependent);
            }
        }
    }

    /// Whether an operation that has ended is a member of a group, which then goes on.
    pub(super) fn go_on(&mut self, index: usize, status: StatusCode) -> bool {
        let Some(group) = self.group_of(index) else { return false };
        self.due.push_back(match index + 1 {
            _ if !status.is_success() => Step::Rollback(group.start),
            next if next < group.end => Step::Run(next),
            _ => Step::Commit(group.start),
        });
        true
    }
}
