//! Takes out of an outcome the values that other operations have named.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use bytes::Bytes;
use http::{HeaderName, Response, uri::PathAndQuery};
use iri_string::types::{UriAbsoluteStr, UriReferenceStr};

use crate::{
    builder::DecodeContext,
    format::header_text,
    json_text::{self, Token, tokens},
    media_type::Content,
    problem::shown,
    reference::{Extracted, Source, is_location},
    target,
};

/// One value for each source. `left` is how many bytes may still be kept for the references of the batch.
pub(crate) fn extract(
    cx: DecodeContext<'_>,
    target: Option<&PathAndQuery>,
    response: &Response<Bytes>,
    sources: &[&Source],
    left: &mut usize,
) -> Vec<Extracted> {
    let mut body = None;
    let mut headers: HashMap<&HeaderName, Extracted> = HashMap::new();
    let values = sources.iter().map(|source| match source {
        Source::Body(steps) => body.get_or_insert_with(|| Body::new(response, sources)).value(steps, left),
        Source::Header(name) => {
            let value = || share(&serde_json::Value::from(header(cx, target, response, name)?).to_string(), left);
            headers.entry(name).or_insert_with(value).clone()
        }
    });
    values.collect()
}

fn share(json: &str, left: &mut usize) -> Extracted {
    *left = left.checked_sub(json.len()).ok_or("the references of the batch bring in too many bytes")?;
    Ok(json.into())
}

fn header(
    cx: DecodeContext<'_>,
    target: Option<&PathAndQuery>,
    response: &Response<Bytes>,
    name: &HeaderName,
) -> Result<String, Cow<'static, str>> {
    let mut values = response.headers().get_all(name).iter();
    let text = match (values.next(), values.next()) {
        (Some(value), None) => header_text(value).into_owned(),
        (None, _) => return Err(format!("its response has no `{name}`").into()),
        (Some(_), Some(_)) => return Err(format!("its response has more than one `{name}`").into()),
    };
    if is_location(name) {
        return own_path(cx, target, &text).ok_or_else(|| format!("its `{name}` is no place on this server").into());
    }
    Ok(text)
}

/// The path and the query of a URI reference that leads to this server (RFC 9110 §10.2.2).
fn own_path(cx: DecodeContext<'_>, target: Option<&PathAndQuery>, location: &str) -> Option<String> {
    let location = UriReferenceStr::new(location).ok()?;
    let is_own = match (location.scheme_str(), location.authority_str()) {
        (None, None) => true,
        (scheme, Some(authority)) => scheme.is_none_or(is_http) && cx.is_own_authority(authority),
        (Some(_), None) => false,
    };
    // Only the path is taken of it, so any name will do for the host. Targets may have characters that URIs have not.
    let base = format!("http://host{}", target::escaped(target.map_or("/", PathAndQuery::as_str)));
    let resolved = location.resolve_against(UriAbsoluteStr::new(&base).ok().filter(|_| is_own)?).to_string();
    let resolved = UriReferenceStr::new(&resolved).ok()?;
    let path = Some(resolved.path_str()).filter(|path| !path.is_empty()).unwrap_or("/");
    Some(match resolved.query_str() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    })
}

fn is_http(scheme: &str) -> bool {
    ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http))
}

/// A JSON body in which all has been looked for that anybody wants of it.
struct Body<'a> {
    text: Result<&'a str, &'static str>,
    wanted: Wanted<'a>,
}

/// The pointers as a tree, so that a body is gone through once, however many they are.
struct Wanted<'a> {
    branches: HashMap<(usize, &'a str), usize>,
    found: Vec<Found>,
}

#[derive(Clone, Default)]
enum Found {
    #[default]
    Nothing,
    Here(Range<usize>),
    /// An object has the same member twice, and readers differ in which one they take.
    Twice,
    Taken(Extracted),
}

impl<'a> Body<'a> {
    fn new(response: &'a Response<Bytes>, sources: &[&'a Source]) -> Self {
        let mut wanted = Wanted { branches: HashMap::new(), found: vec![Found::Nothing] };
        for source in sources {
            if let Source::Body(steps) = source {
                wanted.add(steps);
            }
        }
        let body = response.body();
        let is_json = Content::of(response.headers()).is_json() && json_text::is_embeddable(body);
        let text = match std::str::from_utf8(body) {
            _ if body.is_empty() => Err("its response has no body"),
            Ok(text) if is_json => Ok(text),
            _ => Err("its response is not JSON"),
        };
        if let Ok(text) = text {
            wanted.search(text);
        }
        Self { text, wanted }
    }

    fn value(&mut self, steps: &[Box<str>], left: &mut usize) -> Extracted {
        let text = self.text?;
        let mut at = 0;
        for step in steps {
            at = self.wanted.branch(at, step).unwrap_or_default();
            if let Found::Twice = self.wanted.found[at] {
                return Err(format!("its response has `{}` twice", pointer(steps)).into());
            }
        }
        let found = &mut self.wanted.found[at];
        let value = match found {
            Found::Nothing | Found::Twice => Err(format!("its response has nothing at `{}`", pointer(steps)).into()),
            Found::Here(range) => share(&text[range.clone()], left),
            Found::Taken(value) => return value.clone(),
        };
        *found = Found::Taken(value.clone());
        value
    }
}

/// As the client wrote it, for a problem's text.
fn pointer(steps: &[Box<str>]) -> String {
    let steps = steps.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")));
    shown(&steps.collect::<String>()).into_owned()
}

impl<'a> Wanted<'a> {
    fn add(&mut self, steps: &'a [Box<str>]) {
        let mut at = 0;
        for step in steps {
            let next = self.found.len();
            at = *self.branches.entry((at, step)).or_insert(next);
            self.found.resize(next.max(at + 1), Found::Nothing);
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
                        self.find(at, start..range.end);
                    }
                }
                (b',', Some(Open { is_object: true, .. })) => is_name = true,
                (b',', Some(array)) => {
                    array.index += 1;
                    at = array.at.and_then(|at| self.branch(at, &array.index.to_string()));
                }
                (b'"', Some(object)) if is_name => {
                    is_name = false;
                    let name = json_text::string(&text[range]);
                    at = object.at.zip(name).and_then(|(at, name)| self.branch(at, &name));
                }
                (b':' | b',', _) => {}
                _ => self.find(at, range),
            }
        }
    }

    fn find(&mut self, at: Option<usize>, range: Range<usize>) {
        if let Some(at) = at {
            self.found[at] = match self.found[at] {
                Found::Nothing => Found::Here(range),
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

    fn value(json: &str, pointer: &str) -> Result<String, String> {
        let response = Response::builder().header("content-type", "application/json");
        let response = response.body(Bytes::copy_from_slice(json.as_bytes())).unwrap();
        let source = Source::parse(&format!("#{pointer}")).unwrap().1;
        let Source::Body(steps) = &source else { unreachable!() };
        let value = Body::new(&response, &[&source]).value(steps, &mut { usize::MAX });
        value.map(|value| value.to_string()).map_err(Cow::into_owned)
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
            assert_eq!(value(json, pointer).as_deref(), Ok(expected), "{pointer}");
        }
        for pointer in ["/a/2", "/a/01", "/a/-", "/a/b", "/x", "/n/0", "/a/1/b/", "/ "] {
            assert!(value(json, pointer).is_err(), "{pointer}");
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
            assert!(value(json, pointer).unwrap_err().contains("twice"), "{json}");
        }
        assert_eq!(value(r#"{"a":{"id":1},"b":{"id":2},"c":1,"c":1}"#, "/a/id").as_deref(), Ok("1"));
    }

    #[test]
    fn one_way_through_the_body_finds_all() {
        let body = r#"{"a":{"b":[10,20]},"c":"x"}"#;
        let response = Response::builder().header("content-type", "application/json").body(Bytes::from(body)).unwrap();
        let texts = ["#/a/b/1", "#/a", "#/c", "#/a/b/1", "#"];
        let sources: Vec<_> = texts.iter().map(|text| Source::parse(text).unwrap().1).collect();
        let sources: Vec<_> = sources.iter().collect();
        let mut found = Body::new(&response, &sources);
        let mut left = 100;
        let values = sources.iter().map(|source| match source {
            Source::Body(steps) => found.value(steps, &mut left).unwrap().to_string(),
            Source::Header(_) => unreachable!(),
        });
        assert_eq!(values.collect::<Vec<_>>(), ["20", r#"{"b":[10,20]}"#, r#""x""#, "20", body]);
        // The same value is counted once.
        assert_eq!(left, 100 - 2 - 13 - 3 - body.len());
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
            let found = value(&json.to_string(), &pointer).ok().map(|text| serde_json::from_str(&text).unwrap());
            prop_assert_eq!(found.as_ref(), json.pointer(&pointer));
        }
    }
}
