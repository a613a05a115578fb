use std::{collections::HashMap, ops::Range};

use super::{Token, string, tokens};

/// Where in a JSON text the values stand that some JSON Pointers (RFC 6901) name.
///
/// The pointers are a tree, so that the text is gone through once, however many they are.
pub(crate) struct Places<'a> {
    /// From a node, by a step, to the next one; the first node is the whole document.
    branches: HashMap<(usize, &'a str), usize>,
    nodes: Vec<Found>,
}

/// Where one of the values stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Nowhere,
    /// The number of the place, and its text.
    Here(usize, Range<usize>),
    /// An object on the way has the same member twice, and readers differ in which one they take.
    Twice,
}

#[derive(Clone)]
enum Found {
    Nothing,
    Once(Range<usize>),
    Twice,
}

impl<'a> Places<'a> {
    /// Looks for all of them. The pointers are lists of unescaped steps, and the text has to be well-formed.
    pub(crate) fn find(pointers: impl Iterator<Item = &'a [Box<str>]>, text: &str) -> Self {
        let mut places = Self { branches: HashMap::new(), nodes: vec![Found::Nothing] };
        for steps in pointers {
            let mut at = 0;
            for step in steps {
                let next = places.nodes.len();
                at = *places.branches.entry((at, step)).or_insert(next);
                places.nodes.resize(next.max(at + 1), Found::Nothing);
            }
        }
        places.search(text);
        places
    }

    /// Where the value of one of those pointers stands.
    pub(crate) fn get(&self, steps: &[Box<str>]) -> Place {
        let mut at = 0;
        for step in steps {
            let Some(next) = self.branch(at, step) else { return Place::Nowhere };
            at = next;
            if let Found::Twice = self.nodes[at] {
                return Place::Twice;
            }
        }
        match &self.nodes[at] {
            Found::Nothing => Place::Nowhere,
            Found::Once(range) => Place::Here(at, range.clone()),
            Found::Twice => Place::Twice,
        }
    }

    fn branch(&self, at: usize, step: &str) -> Option<usize> {
        self.branches.get(&(at, step)).copied()
    }

    fn search(&mut self, text: &str) {
        /// An object or an array that has begun.
        struct Open {
            at: Option<usize>,
            start: usize,
            is_object: bool,
            index: usize,
        }
        let mut open: Vec<Open> = Vec::new();
        // The place of the value to come, if anybody wants something of it.
        let mut at = Some(0);
        let mut is_name = false;
        for Token { first, range } in tokens(text) {
            match (first, open.last_mut()) {
                (b'{' | b'[', _) => {
                    is_name = first == b'{';
                    open.push(Open { at, start: range.start, is_object: is_name, index: 0 });
                    at = at.filter(|_| !is_name).and_then(|at| self.branch(at, "0"));
                }
                (b'}' | b']', _) => {
                    is_name = false;
                    if let Some(Open { at, start, .. }) = open.pop() {
                        self.note(at, start..range.end);
                    }
                }
                (b',', Some(Open { is_object: true, .. })) => is_name = true,
                (b',', Some(array)) => {
                    array.index += 1;
                    at = array.at.and_then(|at| self.branch(at, &array.index.to_string()));
                }
                (b'"', Some(object)) if is_name => {
                    is_name = false;
                    let name = string(&text[range]);
                    at = object.at.zip(name).and_then(|(at, name)| self.branch(at, &name));
                }
                (b':' | b',', _) => {}
                _ => self.note(at, range),
            }
        }
    }

    fn note(&mut self, at: Option<usize>, range: Range<usize>) {
        if let Some(at) = at {
            self.nodes[at] = match self.nodes[at] {
                Found::Nothing => Found::Once(range),
                _ => Found::Twice,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// For pointers without escapes that matter here.
    fn place<'a>(text: &'a str, pointer: &str) -> Result<&'a str, Place> {
        let steps: Vec<Box<str>> =
            pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~").into()).collect();
        match Places::find(std::iter::once(&*steps), text).get(&steps) {
            Place::Here(_, range) => Ok(&text[range]),
            other => Err(other),
        }
    }

    #[test]
    fn values_are_taken_byte_for_byte() {
        let json =
            r#" {"a":[1, {"b": 1.50, "c\u0022":"\ud834\udd1e"} ],"":{"/~":null}, "n":12345678901234567890.10 } "#;
        for (pointer, expected) in [
            ("", json.trim()),
            ("/a/0", "1"),
            ("/a/1/b", "1.50"),
            ("/a/1/c\"", r#""\ud834\udd1e""#),
            ("//~1~0", "null"),
            ("/n", "12345678901234567890.10"),
        ] {
            assert_eq!(place(json, pointer), Ok(expected), "{pointer}");
        }
        for pointer in ["/a/2", "/a/01", "/a/-", "/a/b", "/x", "/n/0", "/a/1/b/", "/ "] {
            assert_eq!(place(json, pointer), Err(Place::Nowhere), "{pointer}");
        }
    }

    #[test]
    fn what_readers_disagree_about_is_no_value() {
        for (json, pointer) in [
            (r#"{"id":1,"id":2}"#, "/id"),
            (r#"{"a":{"id":1},"a":{}}"#, "/a/id"),
            (r#"{"a":{},"a":{"id":1}}"#, "/a/id"),
            (r#"{"id":1,"\u0069d":2}"#, "/id"),
        ] {
            assert_eq!(place(json, pointer), Err(Place::Twice), "{json}");
        }
        assert_eq!(place(r#"{"a":{"id":1},"b":{"id":2},"c":1,"c":1}"#, "/a/id"), Ok("1"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            r#"[a-c/~"\\0-2{}\[\],:é]{0,4}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(r#"[a-b/~"0-1]{0,2}"#, inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// serde_json's own pointers are the oracle.
        #[test]
        fn pointers_find_what_serde_json_finds(json in any_json(), pointer in r#"(/(a|b|0|1|~0|~1|"){0,2}){0,4}"#) {
            let text = json.to_string();
            let found = place(&text, &pointer).ok().map(|text| serde_json::from_str(text).unwrap());
            prop_assert_eq!(found.as_ref(), json.pointer(&pointer));
        }
    }
}
