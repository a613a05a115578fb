//! A request, taken apart; what each member must be is decided later.

use std::{collections::HashSet, fmt};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{
    format::json::{MOST_UNKNOWN, Name, too_many_members, values::present},
    problem::{Problem, shown, step},
};

/// The members of a request as they were written. `null` for one means that it isn't there.
#[derive(Default)]
pub(super) struct Request<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) method: Option<&'a RawValue>,
    pub(super) url: Option<&'a RawValue>,
    pub(super) headers: Option<&'a RawValue>,
    pub(super) body: Option<&'a RawValue>,
    pub(super) group: Option<&'a RawValue>,
    pub(super) depends_on: Option<&'a RawValue>,
    pub(super) condition: Option<&'a RawValue>,
    /// It may belong to a group, and nobody can tell to which one.
    pub(super) is_group_unknown: bool,
    pub(super) fault: Option<Box<Problem>>,
}

impl<'a> Request<'a> {
    pub(super) fn read(raw: &'a RawValue) -> Self {
        serde_json::from_str(raw.get()).unwrap_or_else(|_| {
            let is_object = raw.get().starts_with('{');
            let detail =
                if is_object { "the request has a member that can't be read" } else { "a request must be an object" };
            let fault = Some(Box::new(Problem::bad_request(detail)));
            Self { is_group_unknown: is_object, fault, ..Self::default() }
        })
    }

    fn member(&mut self, name: &str) -> Option<&mut Option<&'a RawValue>> {
        Some(match name {
            "id" => &mut self.id,
            "method" => &mut self.method,
            "url" => &mut self.url,
            "headers" => &mut self.headers,
            "body" => &mut self.body,
            "atomicityGroup" => &mut self.group,
            "dependsOn" => &mut self.depends_on,
            "if" => &mut self.condition,
            _ => return None,
        })
    }

    fn refuse(&mut self, problem: impl FnOnce() -> Problem) {
        self.fault.get_or_insert_with(|| Box::new(problem()));
    }
}

impl<'de> Deserialize<'de> for Request<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RequestVisitor)
    }
}

struct RequestVisitor;

impl<'de> Visitor<'de> for RequestVisitor {
    type Value = Request<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request")
    }

    /// A name that stands there twice is no choice of ours, even with `null`.
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut request = Request::default();
        let (mut names, mut unknown) = (HashSet::new(), 0);
        while let Some((Name(name), value)) = object.next_entry::<_, &RawValue>()? {
            if names.contains(&name) {
                request.is_group_unknown |= name == "atomicityGroup";
                request.refuse(|| {
                    let detail = format!("the member `{}` stands there twice", shown(&name));
                    Problem::bad_request(detail).at(step("", &name))
                });
                continue;
            }
            match request.member(&name) {
                Some(member) => *member = present(Some(value)),
                None if unknown == MOST_UNKNOWN => {
                    request.refuse(too_many_members);
                    continue;
                }
                None => unknown += 1,
            }
            names.insert(name);
        }
        Ok(request)
    }
}
