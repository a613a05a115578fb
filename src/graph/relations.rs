use std::sync::Arc;

/// What an operation says of others, by their names.
#[derive(Debug, Default)]
pub(crate) struct Relations {
    pub(crate) dependencies: Vec<Dependency>,
    /// One of these is a condition, which takes the place of the rule for those that have none of their own.
    pub(crate) is_conditional: bool,
    pub(crate) group: Option<Membership>,
    /// What it says of its group can't be read.
    pub(crate) is_group_unknown: bool,
}

/// To belong to a group.
#[derive(Debug)]
pub(crate) struct Membership {
    /// Of the group.
    pub(crate) name: Arc<str>,
    /// Where that is said, as a JSON Pointer into the operation.
    pub(crate) pointer: &'static str,
}

#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) on: On,
    /// How that one has to end; `None` leaves it to the rule: with a success, or somehow where there is a condition.
    pub(crate) wants: Option<Wants>,
    /// Where that is said, as a JSON Pointer into the operation.
    pub(crate) pointer: String,
}

/// What can be depended on.
#[derive(Debug)]
pub(crate) enum On {
    /// An operation, by its id.
    Operation(Box<str>),
    /// A group, by its name.
    Group(Box<str>),
}

/// How a dependency has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    Success,
    Failure,
    /// Either will do.
    End,
}
