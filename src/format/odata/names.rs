//! What requests say of each other: ids and names of groups, which are of one kind, and never of what is still to come.

use std::collections::{HashMap, HashSet};

use http::StatusCode;

use crate::{
    draft::Draft,
    problem::{Problem, shown},
    rejection::Rejection,
};

/// The names that have come so far.
#[derive(Default)]
pub(super) struct Names(HashMap<Box<str>, Named>);

enum Named {
    /// With its group, if it belongs to one.
    Request(Option<Box<str>>),
    Group,
}

/// What one request depends on, by what it says.
#[derive(Default)]
pub(super) struct DependsOn {
    /// The group that it belongs to.
    pub(super) group: Option<Box<str>>,
    names: HashSet<Box<str>>,
}

impl Names {
    /// Adds those of a request, which later ones may then use.
    pub(super) fn add(&mut self, id: Option<&str>, group: Option<Box<str>>) -> Result<(), Rejection> {
        if let Some(group) = &group {
            if let Named::Request(_) = self.0.entry(group.clone()).or_insert(Named::Group) {
                return Err(clash(group));
            }
        }
        let Some(id) = id else { return Ok(()) };
        match self.0.insert(id.into(), Named::Request(group)) {
            Some(Named::Group) => Err(clash(id)),
            // Two equal ids are refused by the one who gathers all.
            Some(Named::Request(_)) | None => Ok(()),
        }
    }

    /// `dependsOn`: names of requests or groups that have come before.
    pub(super) fn depend(&self, draft: &mut Draft<'_>, on: &mut DependsOn, name: &str, pointer: String) {
        match self.0.get(name) {
            None => return draft.refuse(unknown(name).at(pointer)),
            Some(Named::Group) => draft.depends_on_group(name, pointer),
            Some(Named::Request(group)) if group.is_none() || *group == on.group => draft.depends_on(name, pointer),
            Some(Named::Request(group)) => {
                let group = shown(group.as_deref().unwrap_or_default());
                let detail = format!(
                    "`{}` belongs to the group `{group}`, on which as a whole requests of no other group can depend",
                    shown(name)
                );
                return draft.refuse(Problem::bad_request(detail).at(pointer));
            }
        }
        on.names.insert(name.into());
    }

    /// `if`: whether one that has come before has succeeded, or has not. No other expression is known here.
    pub(super) fn condition(&self, draft: &mut Draft<'_>, text: &str) {
        let Some((name, succeeds)) = condition(text) else {
            return draft.refuse(Problem::new(StatusCode::FAILED_DEPENDENCY, NO_SUCH_CONDITION).at("/if"));
        };
        match self.0.get(name) {
            None => draft.refuse(unknown(name).at("/if")),
            Some(Named::Group) => draft.run_if_group(name, succeeds, "/if"),
            Some(Named::Request(_)) => draft.run_if(name, succeeds, "/if"),
        }
    }

    /// The id itself, if values of that request can be referred to: it, or its group, has to stand in `dependsOn`.
    pub(super) fn reference(&self, on: &DependsOn, id: &str) -> Result<String, Problem> {
        let is_among = |name: &str| on.names.contains(name);
        match self.0.get(id) {
            Some(Named::Request(group)) if is_among(id) || group.as_deref().is_some_and(is_among) => Ok(id.to_owned()),
            _ => {
                let detail = format!("`${0}` refers to a request, and `dependsOn` does not name `{0}`", shown(id));
                Err(Problem::bad_request(detail))
            }
        }
    }
}

/// `$name/$succeeded`, or that after a `not`.
fn condition(text: &str) -> Option<(&str, bool)> {
    let text = text.trim();
    let (text, succeeds) = match text.strip_prefix("not").filter(|rest| rest.starts_with([' ', '\t', '('])) {
        Some(rest) => {
            let rest = rest.trim();
            let inner = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
            (inner.map_or(rest, str::trim), false)
        }
        None => (text, true),
    };
    let name = text.strip_prefix('$')?.strip_suffix("/$succeeded")?;
    let is_name = |name: &str| !name.contains(['/', '(', ')', '\'', '"']) && !name.contains(char::is_whitespace);
    is_name(name).then_some((name, succeeds))
}

const NO_SUCH_CONDITION: &str = "this server knows no other conditions than `$id/$succeeded` and `not $id/$succeeded`; the \
                                 operation was not carried out";

fn unknown(name: &str) -> Problem {
    let name = shown(name);
    Problem::bad_request(format!("no request before this one has the id `{name}`, and no group is called so"))
}

fn clash(name: &str) -> Rejection {
    Rejection::malformed(format!(
        "`{}` is the id of a request and the name of a group: make each one unique",
        shown(name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_of_two_kinds() {
        for (text, expected) in [
            ("$1/$succeeded", Some(("1", true))),
            (" $a-b/$succeeded ", Some(("a-b", true))),
            ("$not/$succeeded", Some(("not", true))),
            ("not $1/$succeeded", Some(("1", false))),
            ("not  $1/$succeeded", Some(("1", false))),
            ("not($1/$succeeded)", Some(("1", false))),
            ("not ( $1/$succeeded )", Some(("1", false))),
            ("not$1/$succeeded", None),
            ("Not $1/$succeeded", None),
            ("not not $1/$succeeded", None),
            ("not($1/$succeeded", None),
            ("($1/$succeeded)", None),
            ("1/$succeeded", None),
            ("$1/succeeded", None),
            ("$1", None),
            ("$1/Name eq 'x'", None),
            ("$1/$succeeded and $2/$succeeded", None),
            ("$1/$succeeded eq true", None),
            ("$1 /$succeeded", None),
            ("true", None),
            ("", None),
        ] {
            assert_eq!(condition(text), expected, "{text}");
        }
    }
}
