//! What waits for what: names become edges, and what can't be is refused before anything runs.
//!
//! Order and dependencies are one graph. What a dependency adds must not contradict what the order fixes; a group is one
//! node of it.

use std::{collections::HashMap, mem, ops::Range, sync::Arc};

use http::StatusCode;

use crate::{
    plan::{Kind, Order},
    problem::{Problem, shown},
};

mod relations;

pub(crate) use self::relations::{Dependency, Membership, On, Relations, Wants};

/// All that has to be known for making a graph.
pub(crate) struct Outline<'a> {
    pub(crate) order: Order,
    /// Of each operation.
    pub(crate) kinds: &'a [Kind],
    pub(crate) ids: &'a HashMap<Arc<str>, usize>,
    /// In request order, and only of operations that say something of others.
    pub(crate) relations: &'a [(usize, Relations)],
    /// The whole batch is one group.
    pub(crate) atomic: bool,
    /// Groups can be carried out.
    pub(crate) coordinated: bool,
}

/// What waits for what. A node is an operation, or a group, which goes by its first member.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    /// One for each operation; those of later members of a group are not used.
    pub(crate) nodes: Vec<Node>,
    /// The groups, in request order.
    pub(crate) groups: Vec<Range<usize>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// How many dependencies have not ended yet.
    pub(crate) unmet: usize,
    /// Who waits for this one.
    pub(crate) dependents: Vec<Edge>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    /// The node that waits.
    pub(crate) dependent: usize,
    /// The operation that it waits for, or the first one of that group.
    pub(crate) dependency: usize,
    /// How that one has to end.
    pub(crate) wants: Wants,
}

/// An operation can't be what it says to be.
pub(crate) type Fault = (usize, Box<Problem>);

impl Graph {
    /// The graph, and which operations have to be refused; `None` where nothing waits for anything but by order.
    pub(crate) fn new(outline: &Outline<'_>) -> (Option<Self>, Vec<Fault>) {
        let mut sketch = Sketch::new(outline);
        sketch.find_groups();
        let edges = sketch.find_edges();
        sketch.refuse_circles(&edges);
        sketch.refuse_siblings();
        sketch.finish(&edges)
    }
}

/// That of the groups, which stand in request order, to which this operation belongs.
pub(crate) fn find_group(groups: &[Range<usize>], index: usize) -> Option<Range<usize>> {
    let after = groups.partition_point(|group| group.start <= index);
    groups[..after].last().filter(|group| group.contains(&index)).cloned()
}

struct Sketch<'a> {
    outline: &'a Outline<'a>,
    /// Of each operation, the first thing that is wrong with it.
    faults: Vec<Option<Box<Problem>>>,
    /// Of each operation: the node that stands for it.
    node_of: Vec<usize>,
    groups: Vec<Range<usize>>,
    /// Of each group that is named: its first member.
    first: HashMap<&'a str, usize>,
}

/// A dependency of which both ends are known.
struct Tie<'a> {
    dependent: usize,
    dependency: usize,
    wants: Wants,
    pointer: &'a str,
}

impl<'a> Sketch<'a> {
    fn new(outline: &'a Outline<'a>) -> Self {
        let total = outline.kinds.len();
        Self {
            outline,
            faults: vec![None; total],
            node_of: (0..total).collect(),
            groups: Vec::new(),
            first: HashMap::new(),
        }
    }

    fn refuse(&mut self, index: usize, problem: impl FnOnce() -> Problem) {
        self.faults[index].get_or_insert_with(|| Box::new(problem()));
    }

    fn is_refused(&self, index: usize) -> bool {
        self.outline.kinds[index] == Kind::Refused || self.faults[index].is_some()
    }

    fn find_groups(&mut self) {
        if self.outline.atomic {
            for (index, relations) in self.outline.relations {
                let Some(group) = &relations.group else { continue };
                self.refuse(*index, || Problem::bad_request("an atomic batch is one group already").at(group.pointer));
            }
            return self.group(&(0..self.outline.kinds.len()).collect::<Vec<_>>(), "");
        }
        let (mut groups, mut places) = (Vec::new(), HashMap::new());
        for (index, relations) in self.outline.relations {
            let Some(Membership { name, pointer }) = &relations.group else { continue };
            self.first.entry(name).or_insert(*index);
            let place = *places.entry(name).or_insert(groups.len());
            groups.resize_with(groups.len().max(place + 1), || (Vec::new(), *pointer));
            groups[place].0.push(*index);
        }
        groups.iter().for_each(|(members, pointer)| self.group(members, pointer));
        if self.outline.relations.iter().any(|(_, relations)| relations.is_group_unknown) {
            groups.into_iter().flat_map(|(members, _)| members).for_each(|index| self.refuse(index, sibling_unknown));
        }
    }

    /// `pointer` is where a member says that it is one.
    fn group(&mut self, members: &[usize], pointer: &str) {
        let (Some(&first), Some(&last)) = (members.first(), members.last()) else { return };
        if last - first + 1 != members.len() {
            members.iter().for_each(|&index| self.refuse(index, || apart().at(pointer)));
        } else if self.outline.coordinated {
            self.node_of[first..=last].fill(first);
            self.groups.push(first..last + 1);
        } else if members.len() > 1 {
            members.iter().for_each(|&index| self.refuse(index, || not_coordinated().at(pointer)));
        }
    }

    /// Resolves names, and refuses what can't be waited for.
    fn find_edges(&mut self) -> Vec<Tie<'a>> {
        let outline = self.outline;
        // How many unsafe operations stand before each one.
        let fences: Vec<usize> = std::iter::once(0)
            .chain(outline.kinds.iter().scan(0, |fences, &kind| {
                *fences += usize::from(kind == Kind::Unsafe);
                Some(*fences)
            }))
            .collect();
        let mut edges = Vec::new();
        for (index, relations) in outline.relations {
            let rule = if relations.is_conditional { Wants::End } else { Wants::Success };
            for Dependency { on, wants, pointer } in &relations.dependencies {
                let (index, wants) = (*index, wants.unwrap_or(rule));
                let fault = match self.find(on) {
                    None => Some(unknown(on)),
                    Some(other) if other == index => Some(itself()),
                    Some(other) if self.node_of[other] == self.node_of[index] => match (on, wants) {
                        (On::Group(_), _) => Some(itself()),
                        // Members run in request order, and only while those before them have succeeded.
                        (On::Operation(id), _) if other > index => Some(later_in_group(id)),
                        (On::Operation(id), Wants::Failure) => Some(never_in_group(id)),
                        (On::Operation(_), Wants::Success | Wants::End) => None,
                    },
                    Some(other) if other > index && self.is_held_back(index, other, &fences) => Some(crossing(on)),
                    Some(other) => {
                        edges.push(Tie { dependent: index, dependency: other, wants, pointer });
                        None
                    }
                };
                if let Some(problem) = fault {
                    self.refuse(index, || problem.at(pointer.as_str()));
                }
            }
        }
        edges.retain(|edge| !self.is_refused(edge.dependent));
        edges
    }

    /// The operation of this name, or the first one of the group.
    fn find(&self, on: &On) -> Option<usize> {
        match on {
            On::Operation(id) => self.outline.ids.get(&**id).copied(),
            On::Group(name) => self.first.get(&**name).copied(),
        }
    }

    /// Whether the order has a later operation wait for an earlier one.
    fn is_held_back(&self, earlier: usize, later: usize, fences: &[usize]) -> bool {
        match self.outline.order {
            Order::Unordered => false,
            Order::Sequential => true,
            // Where an unsafe one is among them, or is one of them; a group is unsafe if a member is.
            Order::Fenced => fences[self.members(later).end] > fences[self.members(earlier).start],
        }
    }

    fn members(&self, index: usize) -> Range<usize> {
        find_group(&self.groups, index).unwrap_or(index..index + 1)
    }

    /// Refuses who depends on somebody that depends on it again.
    fn refuse_circles(&mut self, edges: &[Tie<'a>]) {
        let circles = circles(self.node_of.len(), edges.iter().map(|edge| self.ends(edge)));
        let mut named: HashMap<usize, Vec<(usize, &str)>> = HashMap::new();
        for edge in edges {
            let (dependent, dependency) = self.ends(edge);
            if circles[dependent] == circles[dependency] {
                named.entry(circles[dependent]).or_default().push((edge.dependent, edge.pointer));
            }
        }
        if named.is_empty() {
            return;
        }
        let ids: HashMap<usize, &str> = self.outline.ids.iter().map(|(id, &index)| (index, &**id)).collect();
        for mut members in named.into_values() {
            members.sort_unstable();
            members.dedup_by_key(|member| member.0);
            let detail = format!("these operations depend on each other in a circle: {}", names(&members, &ids));
            for (index, pointer) in members {
                self.refuse(index, || Problem::bad_request(detail.clone()).at(pointer));
            }
        }
    }

    fn ends(&self, edge: &Tie<'_>) -> (usize, usize) {
        (self.node_of[edge.dependent], self.node_of[edge.dependency])
    }

    /// A group of which one member can't run can't be carried out.
    fn refuse_siblings(&mut self) {
        let groups = mem::take(&mut self.groups);
        let (broken, whole): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.clone().any(|index| self.is_refused(index)));
        for index in broken.into_iter().flatten() {
            self.node_of[index] = index;
            if !self.is_refused(index) {
                self.refuse(index, sibling_refused);
            }
        }
        self.groups = whole;
    }

    fn finish(self, edges: &[Tie<'_>]) -> (Option<Graph>, Vec<Fault>) {
        let mut nodes = Vec::new();
        for edge in edges.iter().filter(|edge| !self.is_refused(edge.dependent)) {
            nodes.resize(self.node_of.len(), Node::default());
            let (dependent, dependency) = self.ends(edge);
            nodes[dependent].unmet += 1;
            let edge = Edge { dependent, dependency: edge.dependency, wants: edge.wants };
            nodes[dependency].dependents.push(edge);
        }
        if !self.groups.is_empty() {
            nodes.resize(self.node_of.len(), Node::default());
        }
        let faults = self.faults.into_iter().enumerate();
        let faults = faults.filter_map(|(index, fault)| Some((index, fault?))).collect();
        (Some(Graph { nodes, groups: self.groups }).filter(|graph| !graph.nodes.is_empty()), faults)
    }
}

/// Which circle each node belongs to: nodes that can reach each other have the same number (the strongly connected
/// components, by Kosaraju's algorithm). Without recursion, for a chain may be as long as the batch.
fn circles(total: usize, edges: impl Iterator<Item = (usize, usize)>) -> Vec<usize> {
    let (mut forward, mut backward) = (vec![Vec::new(); total], vec![Vec::new(); total]);
    for (from, to) in edges {
        forward[from].push(to);
        backward[to].push(from);
    }
    let mut left = Vec::with_capacity(total);
    let mut seen = vec![false; total];
    for start in 0..total {
        visit(start, &forward, &mut seen, |node| left.push(node));
    }
    let mut circles = vec![0; total];
    let mut seen = vec![false; total];
    for &start in left.iter().rev() {
        visit(start, &backward, &mut seen, |node| circles[node] = start);
    }
    circles
}

/// Goes to all nodes that can be reached and have not been seen, and tells each one when it leaves it.
fn visit(start: usize, edges: &[Vec<usize>], seen: &mut [bool], mut leave: impl FnMut(usize)) {
    if mem::replace(&mut seen[start], true) {
        return;
    }
    let mut path = vec![(start, edges[start].iter())];
    while let Some((node, next)) = path.last_mut() {
        match next.next() {
            Some(&to) if !mem::replace(&mut seen[to], true) => path.push((to, edges[to].iter())),
            Some(_) => {}
            None => {
                leave(*node);
                path.pop();
            }
        }
    }
}

/// What the client calls operations; a few of them, for there may be many.
fn names(members: &[(usize, &str)], ids: &HashMap<usize, &str>) -> String {
    const TOLD: usize = 5;
    let names = members.iter().take(TOLD).map(|(index, _)| match ids.get(index) {
        Some(id) => format!("`{}`", shown(id)),
        None => format!("operation {index}"),
    });
    let mut text = names.collect::<Vec<_>>().join(", ");
    if members.len() > TOLD {
        text += &format!(" and {} more", members.len() - TOLD);
    }
    text
}

fn unknown(on: &On) -> Problem {
    Problem::bad_request(match on {
        On::Operation(id) => format!("no operation of the batch has the id `{}`", shown(id)),
        On::Group(name) => format!("no operation of the batch belongs to the group `{}`", shown(name)),
    })
}

fn itself() -> Problem {
    Problem::bad_request("an operation can't depend on itself")
}

fn never_in_group(id: &str) -> Problem {
    let detail = format!(
        "it was to run only if `{}` did not succeed, and then the group of both is rolled back; none of it was carried out",
        shown(id)
    );
    Problem::new(StatusCode::FAILED_DEPENDENCY, detail)
}

fn later_in_group(id: &str) -> Problem {
    let detail = format!("`{}` comes later in the same group, whose operations run in request order", shown(id));
    Problem::bad_request(detail)
}

fn crossing((On::Operation(name) | On::Group(name)): &On) -> Problem {
    let detail = format!(
        "`{}` comes later, and the order of the batch has it wait for this operation, which so can depend only on \
         earlier ones",
        shown(name)
    );
    Problem::bad_request(detail)
}

fn apart() -> Problem {
    Problem::bad_request("the operations of a group must stand side by side")
}

fn sibling_unknown() -> Problem {
    let detail = "an operation of the batch could not be read, and may have belonged to this group; none of the group was \
                  carried out";
    Problem::new(StatusCode::FAILED_DEPENDENCY, detail)
}

fn sibling_refused() -> Problem {
    let detail = "another operation of the same group was refused, so none of the group was carried out";
    Problem::new(StatusCode::FAILED_DEPENDENCY, detail)
}

fn not_coordinated() -> Problem {
    Problem::new(
        StatusCode::NOT_IMPLEMENTED,
        "this server has no transactions, so it can't carry out operations all or none: none was carried out",
    )
}
