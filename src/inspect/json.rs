//! Results in JSON.

use serde::de::IgnoredAny;

use super::{
    code::Code, contents::Contents, entry::Entry, gather::Gather, read::Source, results::Results, shape::Shape,
    text::plain,
};
use crate::json_text::is_deeper_than;

mod children;
mod item;

pub(super) use self::{
    children::{Child, children},
    item::{STATUSES, describe as describe_body, result},
};

/// The levels that common parsers read.
const DEEPEST: usize = 64;

/// So many results are looked at to tell whether it is a list of results.
pub(super) const TRIED: usize = 8;

pub(super) fn read(gather: &mut Gather, source: &Source<'_>, text: &str) -> Option<Contents> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        let code = if error.is_eof() { Code::CutOff } else { Code::Syntax };
        gather.find(code, format!("the body is not JSON: {}", describe(&error)));
    }
    if is_deeper_than(DEEPEST, text) {
        gather.find(Code::TooDeep, format!("the document is nested deeper than {DEEPEST} levels"));
    }
    let (shape, list) = find(source, text)?;
    check_members(gather, "the document", text);
    let mut results = Results::new(shape, source.pairing());
    for child in children(list) {
        let mut entry = Entry { is_left_out: shape == Shape::WordPress && child.value == "null", ..Entry::default() };
        if child.is_whole && !entry.is_left_out {
            result(gather, &mut entry, shape, child.value);
        }
        if child.is_whole {
            results.add(gather, entry);
        }
    }
    if shape == Shape::Results {
        summary(gather, text, &results.contents);
    }
    Some(results.finish(gather))
}

/// What it looks like, and where the list is.
fn find<'a>(source: &Source<'_>, text: &'a str) -> Option<(Shape, &'a str)> {
    let is_list = |list: &str| list.starts_with('[') && (source.is_multistatus() || has_statuses(list));
    if text.trim_start().starts_with('[') {
        let list = text.trim_start();
        // An array of anything else is no answer to a batch.
        return has_statuses(list).then_some((Shape::List, list));
    }
    let named = |wanted: &str| {
        let child = children(text).find(|child| child.name.as_deref() == Some(wanted))?;
        Some(child.value).filter(|list| is_list(list) || *list == "[]")
    };
    if let Some(list) = named("results") {
        return Some((Shape::Results, list));
    }
    if let Some(list) = named("responses") {
        let is_wordpress = source.status != 200 && !children(list).take(TRIED).any(|child| has(child.value, &["id"]));
        return Some((if is_wordpress { Shape::WordPress } else { Shape::Responses }, list));
    }
    let list = children(text).find(|child| child.value.starts_with('[') && has_statuses(child.value))?;
    Some((Shape::List, list.value))
}

fn has_statuses(list: &str) -> bool {
    children(list).take(TRIED).any(|child| has(child.value, STATUSES))
}

fn has(object: &str, names: &[&str]) -> bool {
    object.starts_with('{')
        && children(object).any(|child| child.name.as_deref().is_some_and(|name| names.contains(&name)))
}

/// Holds the counts of a `summary` against the results.
pub(super) fn summary(gather: &mut Gather, text: &str, contents: &Contents) {
    let Some(summary) = children(text).find(|child| child.name.as_deref() == Some("summary")) else { return };
    for (name, counted) in
        [("total", contents.total), ("succeeded", contents.succeeded), ("failed", contents.failed + contents.unknown())]
    {
        let told = children(summary.value).find(|child| child.name.as_deref() == Some(name));
        if let Some(told) = told.filter(|told| told.value.parse() != Ok(counted)) {
            let detail = format!("`{name}` is {}, and there are {counted}", plain(told.value));
            gather.find(Code::SummaryWrong, detail);
        }
    }
}

/// Says which members of an object stand there twice.
fn check_members(gather: &mut Gather, what: &str, object: &str) {
    let mut names = std::collections::HashSet::new();
    for name in children(object).filter_map(|child| child.name) {
        if names.contains(&name) {
            gather.find(Code::DuplicateMember, format!("`{}` stands twice in {what}", plain(&name)));
        }
        names.insert(name);
    }
}

/// What a parser says, without text of the document.
pub(super) fn describe(error: &serde_json::Error) -> String {
    plain(&error.to_string())
}
