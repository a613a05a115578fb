use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use proptest::prelude::*;

use super::*;
use crate::graph::{Dependency, Membership, On, Outline, Relations, Wants};

const KINDS: [Kind; 3] = [Kind::Safe, Kind::Unsafe, Kind::Refused];
const ORDERS: [Order; 3] = [Order::Fenced, Order::Sequential, Order::Unordered];
const STATUSES: [StatusCode; 3] = [StatusCode::OK, StatusCode::NOT_MODIFIED, StatusCode::CONFLICT];

/// A batch, and all that can happen to it.
#[derive(Clone, Debug)]
struct Case {
    order: Order,
    concurrency: usize,
    stop: bool,
    kinds: Vec<Kind>,
    ties: Vec<Tie>,
    groups: Vec<Range<usize>>,
    /// What ends next of what runs, and how.
    ends: Vec<(prop::sample::Index, StatusCode)>,
}

/// Who waits, for whom, and on what condition, if on any.
#[derive(Clone, Copy, Debug)]
struct Tie(usize, usize, Option<Wants>);

fn case() -> impl Strategy<Value = Case> {
    let kinds = prop::collection::vec(prop::sample::select(&[KINDS[0], KINDS[0], KINDS[1], KINDS[2]][..]), 1..24);
    let condition = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Wants::Success)),
        1 => Just(Some(Wants::Failure)),
    ];
    let tie = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>(), condition);
    let group = (any::<prop::sample::Index>(), 1usize..5);
    let end =
        (any::<prop::sample::Index>(), prop::sample::select(&[STATUSES[0], STATUSES[0], STATUSES[1], STATUSES[2]][..]));
    (
        prop::sample::select(&ORDERS[..]),
        1usize..5,
        any::<bool>(),
        kinds,
        prop::collection::vec(tie, 0..20),
        prop::collection::vec(group, 0..3),
        prop::collection::vec(end, 100),
    )
        .prop_map(|(order, concurrency, stop, kinds, ties, groups, ends)| {
            let total = kinds.len();
            // Most dependencies look back, as those of clients do.
            let ties = ties.into_iter().map(|(one, other, ahead, wants)| {
                let (one, other) = (one.index(total), other.index(total));
                if ahead { Tie(one, other, wants) } else { Tie(one.max(other), one.min(other), wants) }
            });
            let mut free = 0;
            let groups = groups.into_iter().filter_map(|(start, len)| {
                let start = start.index(total).max(free);
                let group = start..(start + len).min(total);
                free = group.end;
                (!group.is_empty()).then_some(group)
            });
            Case { order, concurrency, stop, ties: ties.collect(), groups: groups.collect(), kinds, ends }
        })
}

impl Case {
    /// What the builder makes of it: the graph, and the kinds with what was refused.
    fn graph(&self) -> (Option<Graph>, Vec<Kind>, Vec<(usize, u16)>) {
        let ids: HashMap<Arc<str>, usize> =
            (0..self.kinds.len()).map(|index| (index.to_string().into(), index)).collect();
        let relations = (0..self.kinds.len()).map(|index| {
            let named = self.ties.iter().filter(|tie| tie.0 == index);
            let dependencies = named.map(|tie| self.dependency(tie)).collect();
            let group = self.groups.iter().find(|group| group.contains(&index));
            let group = group.map(|group| Membership { name: format!("{group:?}").into(), pointer: "/group" });
            let is_conditional = self.is_conditional(index);
            (index, Relations { dependencies, is_conditional, group, ..Relations::default() })
        });
        let (graph, faults) = Graph::new(&Outline {
            order: self.order,
            kinds: &self.kinds,
            ids: &ids,
            relations: &relations.collect::<Vec<_>>(),
            atomic: false,
            coordinated: true,
        });
        let mut kinds = self.kinds.clone();
        for (index, _) in &faults {
            kinds[*index] = Kind::Refused;
        }
        (graph, kinds, faults.into_iter().map(|(index, problem)| (index, problem.status().as_u16())).collect())
    }

    fn dependency(&self, tie: &Tie) -> Dependency {
        let on = match self.named_group(tie) {
            Some(group) => On::Group(format!("{group:?}").into()),
            None => On::Operation(tie.1.to_string().into()),
        };
        Dependency { on, wants: tie.2, pointer: "/dependsOn".to_owned() }
    }

    /// Every other time, where there is a group, it is named rather than its member.
    fn named_group(&self, tie: &Tie) -> Option<Range<usize>> {
        let group = Some(self.group_of(tie.1)).filter(|group| self.groups.contains(group) && !group.contains(&tie.0));
        group.filter(|_| (tie.0 + tie.1) % 2 == 0)
    }

    /// Who is waited for: a group goes by its first member.
    fn awaited(&self, tie: &Tie) -> usize {
        self.named_group(tie).map_or(tie.1, |group| group.start)
    }

    fn is_conditional(&self, index: usize) -> bool {
        self.ties.iter().any(|tie| tie.0 == index && tie.2.is_some())
    }

    /// How the second one has to end for the first one to run.
    fn wants(&self, tie: &Tie) -> Wants {
        tie.2.unwrap_or(if self.is_conditional(tie.0) { Wants::End } else { Wants::Success })
    }

    fn group_of(&self, index: usize) -> Range<usize> {
        self.groups.iter().find(|group| group.contains(&index)).cloned().unwrap_or(index..index + 1)
    }

    fn is_unsafe(&self, kinds: &[Kind], index: usize) -> bool {
        kinds[self.group_of(index)].contains(&Kind::Unsafe)
    }

    /// Whether the order has one of the two wait for the other.
    fn excludes(&self, kinds: &[Kind], one: usize, other: usize) -> bool {
        match self.order {
            Order::Fenced => self.is_unsafe(kinds, one) || self.is_unsafe(kinds, other),
            Order::Sequential => true,
            Order::Unordered => false,
        }
    }

    /// The status of an operation that says something that can't be, whatever the others say.
    fn impossible(&self, index: usize) -> Option<u16> {
        self.ties.iter().filter(|tie| tie.0 == index).find_map(|tie| {
            let &Tie(one, other, _) = tie;
            let is_inside = self.group_of(one) == self.group_of(other);
            let between = self.group_of(one).start..self.group_of(other).end;
            let crosses = other > one
                && match self.order {
                    Order::Fenced => self.kinds[between].contains(&Kind::Unsafe),
                    Order::Sequential => true,
                    Order::Unordered => false,
                };
            match is_inside {
                true if other >= one => Some(400),
                // The group of both is rolled back then.
                true if self.wants(tie) == Wants::Failure => Some(424),
                false if crosses => Some(400),
                _ => None,
            }
        })
    }

    /// Which operations lie on a circle of what was said, by going all ways from each of them. Who is refused for another
    /// reason closes none.
    fn circular(&self) -> Vec<bool> {
        let total = self.kinds.len();
        let node = |index: usize| self.group_of(index).start;
        let is_refused = |index: usize| self.kinds[index] == Kind::Refused || self.impossible(index).is_some();
        let ties: Vec<_> =
            self.ties.iter().filter(|&&Tie(one, other, _)| node(one) != node(other) && !is_refused(one)).collect();
        let mut reaches = vec![vec![false; total]; total];
        for &&Tie(one, other, _) in &ties {
            reaches[node(one)][node(other)] = true;
        }
        for via in 0..total {
            for from in 0..total {
                for to in 0..total {
                    reaches[from][to] |= reaches[from][via] && reaches[via][to];
                }
            }
        }
        let mut circular = vec![false; total];
        for &Tie(one, other, _) in ties {
            circular[one] |= reaches[node(other)][node(one)];
        }
        circular
    }

    /// The status with which each operation is refused before anything runs; 0 for most.
    fn refusals(&self) -> Vec<u16> {
        let circular = self.circular();
        let wrong = |index: usize| {
            let wrong = self.impossible(index).or(circular[index].then_some(400));
            wrong.filter(|_| self.kinds[index] != Kind::Refused)
        };
        let is_broken = |index: usize| {
            let mut members = self.group_of(index);
            members.any(|other| self.kinds[other] == Kind::Refused || wrong(other).is_some())
        };
        let refusal = |index: usize| match (wrong(index), self.kinds[index]) {
            (Some(status), _) => status,
            (None, Kind::Safe | Kind::Unsafe) if is_broken(index) => 424,
            _ => 0,
        };
        (0..self.kinds.len()).map(refusal).collect()
    }
}

/// What is known of an operation from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Running,
    /// Ended, as a member of a group that has not.
    Provisional,
    Ended(bool),
}

/// Goes through a plan as the case has it. With a `window`, the operations come one by one.
fn run_through(case: &Case, kinds: &[Kind], mut plan: Plan, window: Option<usize>) -> Result<(), TestCaseError> {
    let mut fates = vec![Fate::Open; kinds.len()];
    let mut come = if window.is_some() { 0 } else { kinds.len() };
    let mut ends = case.ends.iter();
    // What can end: operations, and stages of groups.
    let mut pending: Vec<Step> = Vec::new();
    let mut open_groups = 0;
    let mut failure = false;
    loop {
        let step = plan.next();
        match step {
            Step::Run(index) | Step::Begin(index) => {
                let group = case.group_of(index);
                let is_member = case.groups.contains(&group);
                prop_assert_eq!(fates[index], Fate::Open);
                prop_assert!(kinds[index] != Kind::Refused);
                if is_member && matches!(step, Step::Run(_)) {
                    prop_assert!(
                        group.clone().take_while(|&other| other < index).all(|other| fates[other] == Fate::Provisional)
                    );
                    fates[index] = Fate::Running;
                } else {
                    prop_assert!(!(case.stop && failure), "begins after a failure");
                    prop_assert!(
                        pending
                            .iter()
                            .filter(
                                |step| matches!(step, Step::Run(index) if !case.groups.contains(&case.group_of(*index)))
                            )
                            .count()
                            + open_groups
                            < case.concurrency
                    );
                    for (other, fate) in
                        fates.iter().enumerate().filter(|(other, _)| case.excludes(kinds, index, *other))
                    {
                        prop_assert!(other >= index || matches!(fate, Fate::Ended(_)), "{} overtakes {}", index, other);
                        prop_assert!(!matches!(fate, Fate::Running | Fate::Provisional), "{} beside {}", index, other);
                    }
                    for tie in case.ties.iter().filter(|tie| group.contains(&tie.0) && !group.contains(&tie.1)) {
                        let is_met = match (fates[case.awaited(tie)], case.wants(tie)) {
                            (Fate::Ended(success), Wants::Success) => success,
                            (Fate::Ended(success), Wants::Failure) => !success,
                            (Fate::Ended(_), Wants::End) => true,
                            _ => false,
                        };
                        prop_assert!(is_met, "{:?}", tie);
                    }
                    if let Step::Run(_) = step {
                        prop_assert!(!is_member);
                        fates[index] = Fate::Running;
                    } else {
                        open_groups += 1;
                    }
                }
                pending.push(step);
            }
            Step::Skip(index, why) => {
                prop_assert_eq!(fates[index], Fate::Open);
                match why {
                    Why::Refused => prop_assert_eq!(kinds[index], Kind::Refused),
                    Why::Stopped => prop_assert!(case.stop && failure),
                    Why::Dependency(other) | Why::Condition(other) => {
                        let wants = if let Why::Dependency(_) = why { Wants::Success } else { Wants::Failure };
                        prop_assert_eq!(fates[other], Fate::Ended(wants == Wants::Failure));
                        let mut ties = case.ties.iter().filter(|tie| case.group_of(index).contains(&tie.0));
                        prop_assert!(ties.any(|tie| case.awaited(tie) == other && case.wants(tie) == wants));
                    }
                }
                fates[index] = Fate::Ended(false);
                failure = true;
            }
            Step::Commit(group) | Step::Rollback(group) => {
                let members = case.group_of(group);
                if let Step::Commit(_) = step {
                    prop_assert!(members.into_iter().all(|index| fates[index] == Fate::Provisional));
                }
                pending.push(step);
            }
            Step::Starve if is_next_there(case, &fates, come, window, ends.clone().next()) => match kinds.get(come) {
                Some(&kind) => {
                    let ties = case.ties.iter().filter(|tie| tie.0 == come).map(|tie| tie.1);
                    plan.push(kind, &ties.collect::<Vec<_>>(), window.unwrap_or_default());
                    come += 1;
                }
                None => plan.close(),
            },
            Step::Wait | Step::Starve => {
                prop_assert!(!pending.is_empty(), "waits for nothing");
                let (which, status) = *ends.next().unwrap();
                let ended = pending.swap_remove(which.index(pending.len()));
                match ended {
                    Step::Run(index) => {
                        let is_member = case.groups.contains(&case.group_of(index));
                        fates[index] = if is_member { Fate::Provisional } else { Fate::Ended(status.is_success()) };
                        failure |= !is_member && status.as_u16() >= 400;
                        plan.complete(index, status);
                    }
                    Step::Begin(group) => {
                        if status.is_success() {
                            plan.begun(group);
                        } else {
                            plan.decided(group, false, true);
                            open_groups -= 1;
                            fates[case.group_of(group)].fill(Fate::Ended(false));
                            failure = true;
                        }
                    }
                    Step::Commit(group) | Step::Rollback(group) => {
                        let committed = status.is_success() && matches!(ended, Step::Commit(_));
                        open_groups -= 1;
                        fates[case.group_of(group)].fill(Fate::Ended(committed));
                        failure |= !committed;
                        plan.decided(group, committed, !committed);
                    }
                    _ => unreachable!(),
                }
            }
            Step::Done => break,
        }
    }
    prop_assert!(pending.is_empty());
    prop_assert!(fates.iter().all(|fate| matches!(fate, Fate::Ended(_))), "{:?}", fates);
    Ok(())
}

/// Whether the next operation of a stream comes before anything ends. It can't come where there is no room for it, and does
/// where nothing runs that could end.
fn is_next_there(
    case: &Case,
    fates: &[Fate],
    come: usize,
    window: Option<usize>,
    chance: Option<&(prop::sample::Index, StatusCode)>,
) -> bool {
    let oldest = fates[..come].iter().position(|fate| !matches!(fate, Fate::Ended(_))).unwrap_or(come);
    let has_room = window.is_some_and(|window| come - oldest < window);
    let is_idle = !fates[..come].contains(&Fate::Running);
    has_room && (is_idle || chance.is_none_or(|(chance, _)| chance.index(case.concurrency + 1) > 0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Any graph, any outcomes, any order of completion.
    #[test]
    fn each_operation_starts_at_most_once_and_never_too_early(case in case()) {
        let (graph, kinds, _) = case.graph();
        let plan = Plan::new(case.order, case.concurrency, case.stop, kinds.clone(), graph);
        run_through(&case, &kinds, plan, None)?;
    }

    /// The same where operations come while others run, and all that is far back is forgotten.
    #[test]
    fn a_stream_is_planned_as_a_batch_is(mut case in case(), window in 1usize..9) {
        case.groups.clear();
        case.ties.retain(|&Tie(one, other, wants)| other < one && one - other <= window && wants.is_none());
        let kinds = case.kinds.clone();
        let mut plan = Plan::new(case.order, case.concurrency, case.stop, Vec::new(), None);
        plan.open();
        run_through(&case, &kinds, plan, Some(window))?;
    }

    /// Who says something that can't be, who is on a circle, and who is in a group with one of them; and nobody else.
    #[test]
    fn what_can_not_be_is_refused_and_nothing_else(case in case()) {
        let (_, _, faults) = case.graph();
        let mut refused = vec![0; case.kinds.len()];
        // What was refused before keeps to that.
        for (index, status) in faults.into_iter().filter(|(index, _)| case.kinds[*index] != Kind::Refused) {
            refused[index] = status;
        }
        prop_assert_eq!(refused, case.refusals());
    }
}

fn plan(order: Order, kinds: Vec<Kind>, ties: &[(usize, usize)], groups: &[Range<usize>]) -> Plan {
    let case = Case {
        order,
        concurrency: 16,
        stop: false,
        kinds,
        ties: ties.iter().map(|&(one, other)| Tie(one, other, None)).collect(),
        groups: groups.to_vec(),
        ends: Vec::new(),
    };
    let (graph, kinds, _) = case.graph();
    Plan::new(order, 16, false, kinds, graph)
}

#[test]
fn reads_are_parallel_and_writes_are_fences() {
    use Kind::{Safe, Unsafe};
    let mut plan = Plan::new(Order::Fenced, 16, false, vec![Safe, Safe, Unsafe, Safe], None);
    assert_eq!([plan.next(), plan.next(), plan.next()], [Step::Run(0), Step::Run(1), Step::Wait]);
    plan.complete(0, StatusCode::OK);
    assert_eq!(plan.next(), Step::Wait);
    plan.complete(1, StatusCode::OK);
    assert_eq!([plan.next(), plan.next()], [Step::Run(2), Step::Wait]);
    plan.complete(2, StatusCode::CONFLICT);
    assert_eq!([plan.next(), plan.next()], [Step::Run(3), Step::Wait]);
    plan.complete(3, StatusCode::OK);
    assert_eq!(plan.next(), Step::Done);
}

#[test]
fn a_refused_operation_is_a_failure_in_its_place() {
    use Kind::{Refused, Safe};
    let mut plan = Plan::new(Order::Unordered, 16, true, vec![Safe, Refused, Safe], None);
    let steps = [plan.next(), plan.next(), plan.next(), plan.next()];
    assert_eq!(steps, [Step::Run(0), Step::Skip(1, Why::Refused), Step::Skip(2, Why::Stopped), Step::Wait]);
}

#[test]
fn a_read_may_wait_for_a_later_read() {
    let mut plan = plan(Order::Fenced, vec![Kind::Safe, Kind::Safe, Kind::Unsafe], &[(0, 1)], &[]);
    assert_eq!([plan.next(), plan.next()], [Step::Run(1), Step::Wait]);
    plan.complete(1, StatusCode::OK);
    assert_eq!([plan.next(), plan.next()], [Step::Run(0), Step::Wait]);
    plan.complete(0, StatusCode::OK);
    assert_eq!(plan.next(), Step::Run(2));
}

#[test]
fn what_depends_on_a_redirection_does_not_run() {
    let mut plan = plan(Order::Unordered, vec![Kind::Safe; 2], &[(1, 0)], &[]);
    assert_eq!([plan.next(), plan.next()], [Step::Run(0), Step::Wait]);
    plan.complete(0, StatusCode::FOUND);
    assert_eq!([plan.next(), plan.next()], [Step::Skip(1, Why::Dependency(0)), Step::Done]);
}

#[test]
fn a_group_is_one_after_the_other_and_waits_as_a_whole() {
    let mut plan =
        plan(Order::Unordered, vec![Kind::Unsafe; 5], &[(2, 0), (3, 2), (4, 1)], std::slice::from_ref(&(1..3)));
    assert_eq!([plan.next(), plan.next()], [Step::Run(0), Step::Wait]);
    plan.complete(0, StatusCode::OK);
    assert_eq!([plan.next(), plan.next()], [Step::Begin(1), Step::Wait]);
    plan.begun(1);
    assert_eq!([plan.next(), plan.next()], [Step::Run(1), Step::Wait]);
    plan.complete(1, StatusCode::OK);
    assert_eq!([plan.next(), plan.next()], [Step::Run(2), Step::Wait]);
    plan.complete(2, StatusCode::OK);
    assert_eq!([plan.next(), plan.next()], [Step::Commit(1), Step::Wait]);
    plan.decided(1, false, true);
    assert_eq!(plan.next(), Step::Skip(3, Why::Dependency(2)));
    assert_eq!([plan.next(), plan.next()], [Step::Skip(4, Why::Dependency(1)), Step::Done]);
}

/// Each would take minutes if it took quadratic time, or overflow the stack if it recursed.
#[test]
fn long_chains_and_wide_fans_are_planned_in_linear_time() {
    const MANY: usize = 200_000;
    let graph = |ties: &[(usize, usize)]| {
        let relations = ties.iter().map(|&(one, other)| {
            let on = On::Operation(other.to_string().into());
            let dependencies = vec![Dependency { on, wants: None, pointer: String::new() }];
            (one, Relations { dependencies, ..Relations::default() })
        });
        Graph::new(&Outline {
            order: Order::Unordered,
            kinds: &[Kind::Safe; MANY],
            ids: &(0..MANY).map(|index| (index.to_string().into(), index)).collect(),
            relations: &relations.collect::<Vec<_>>(),
            atomic: false,
            coordinated: false,
        })
    };
    // How many run, and how many don't, when the first one ends so.
    let run = |ties: &[(usize, usize)], first: StatusCode| {
        let (graph, faults) = graph(ties);
        assert!(faults.is_empty());
        let mut plan = Plan::new(Order::Unordered, 16, false, vec![Kind::Safe; MANY], graph);
        let (mut ran, mut skipped, mut running) = (0, 0, VecDeque::new());
        loop {
            match plan.next() {
                Step::Run(index) => {
                    ran += 1;
                    running.push_back(index);
                }
                Step::Skip(..) => skipped += 1,
                Step::Wait => {
                    plan.complete(running.pop_front().unwrap(), if ran == 1 { first } else { StatusCode::OK })
                }
                Step::Done => return (ran, skipped),
                step => unreachable!("{step:?}"),
            }
        }
    };
    let chain: Vec<_> = (1..MANY).map(|index| (index, index - 1)).collect();
    let ahead: Vec<_> = (0..MANY - 1).map(|index| (index, index + 1)).collect();
    let fan: Vec<_> = (1..MANY).map(|index| (index, 0)).collect();
    for ties in [&chain, &ahead, &fan] {
        assert_eq!(run(ties, StatusCode::OK), (MANY, 0));
        assert_eq!(run(ties, StatusCode::CONFLICT), (1, MANY - 1));
    }
    let circle: Vec<_> = (0..MANY).map(|index| (index, (index + 1) % MANY)).collect();
    assert_eq!(graph(&circle).1.len(), MANY);
}
