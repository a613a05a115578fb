//! Who is meant by a `Content-ID`.
//!
//! It should be unique within the batch (OData Protocol 4.01, section 11.7.3). Until 4.0 it had to be only within a change
//! set, and most clients count from 1 in each of them.

use std::collections::HashMap;

use crate::problem::{Problem, shown};

/// A place for ids of its own: outside of all change sets, or within one, by its number.
pub(super) type Scope = Option<usize>;

/// The ids of the requests that have come so far.
#[derive(Debug, Default)]
pub(super) struct ContentIds(HashMap<Box<str>, Scopes>);

/// Where an id stands.
#[derive(Debug, Default)]
struct Scopes {
    outside: bool,
    /// The last of the change sets that have it.
    last: Option<usize>,
    /// There is more than one of these.
    many: bool,
}

impl ContentIds {
    /// Adds that of a request, which later ones may then refer to.
    pub(super) fn add(&mut self, id: &str, scope: Scope) {
        let scopes = self.0.entry(id.into()).or_default();
        match scope {
            None => scopes.outside = true,
            Some(_) => {
                scopes.many |= scopes.last.is_some_and(|last| Some(last) != scope);
                scopes.last = scope;
            }
        }
    }

    /// What the batch knows that request by which is meant by `$id`: the nearest one that has come before, that of the own
    /// change set first.
    pub(super) fn find(&self, id: &str, scope: Scope) -> Result<String, Problem> {
        let scopes = self.0.get(id).ok_or_else(|| {
            Problem::bad_request(format!("no request before this one has the `Content-ID` `{}`", shown(id)))
        })?;
        match scopes.last {
            last if last.is_some() && last == scope => Ok(key(id, scope)),
            _ if scopes.outside => Ok(key(id, None)),
            last if !scopes.many => Ok(key(id, last)),
            _ => {
                let id = shown(id);
                let detail =
                    format!("several change sets before this request have a `Content-ID` `{id}`: make it unique");
                Err(Problem::bad_request(detail))
            }
        }
    }
}

/// What the batch knows a request by.
pub(super) fn key(id: &str, scope: Scope) -> String {
    match scope {
        None => id.to_owned(),
        Some(number) => format!("{id} of {}", change_set(number)),
    }
}

/// What a change set is called.
pub(super) fn change_set(number: usize) -> String {
    format!("change set {number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_one_is_meant() {
        let mut ids = ContentIds::default();
        let found = |ids: &ContentIds, scope| ids.find("1", scope).ok();
        assert_eq!(found(&ids, None), None);
        ids.add("1", Some(1));
        assert_eq!(found(&ids, Some(1)).as_deref(), Some("1 of change set 1"));
        assert_eq!(found(&ids, Some(2)).as_deref(), Some("1 of change set 1"));
        assert_eq!(found(&ids, None).as_deref(), Some("1 of change set 1"));
        ids.add("1", Some(2));
        assert_eq!(found(&ids, Some(2)).as_deref(), Some("1 of change set 2"));
        assert_eq!([found(&ids, Some(3)), found(&ids, None)], [None, None], "it could be either");
        ids.add("1", None);
        assert_eq!(found(&ids, Some(3)).as_deref(), Some("1"));
        assert_eq!(found(&ids, None).as_deref(), Some("1"));
        assert_eq!(ids.find("2", None).ok(), None);
    }
}
