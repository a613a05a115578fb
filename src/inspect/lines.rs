//! One result a line, and a summary in the end.

use super::{
    code::Code,
    contents::Contents,
    entry::Entry,
    gather::Gather,
    json::{STATUSES, TRIED, children, describe, result, summary},
    read::Source,
    results::Results,
    shape::Shape,
};

pub(super) fn read(gather: &mut Gather, source: &Source<'_>, text: &str) -> Option<Contents> {
    let mut lines = text.split('\n').map(str::trim).filter(|line| !line.is_empty()).peekable();
    // Any program's log looks like it.
    if !source.is_multistatus() && !lines.clone().take(TRIED).any(is_result) {
        return None;
    }
    let mut results = Results::new(Shape::Lines, source.pairing());
    let mut has_summary = false;
    while let Some(line) = lines.next() {
        let fault = serde_json::from_str::<serde::de::IgnoredAny>(line).err();
        if let Some(error) = &fault {
            if lines.peek().is_none() && error.is_eof() {
                gather.find(Code::CutOff, "the last line ends within a result");
                continue;
            }
            gather.find(Code::Syntax, format!("a line is not JSON: {}", describe(error)));
        }
        let is = |name: &str| children(line).any(|child| child.name.as_deref() == Some(name));
        if fault.is_none() && is("summary") && !is("status") {
            has_summary = true;
            summary(gather, line, &results.contents);
            if lines.peek().is_some() {
                gather.find(Code::SummaryWrong, "there are lines behind the summary");
            }
            continue;
        }
        let mut entry = Entry::default();
        result(gather, &mut entry, Shape::Lines, line);
        results.add(gather, entry);
    }
    if !has_summary && !gather.has(Code::CutOff) {
        gather.find(Code::CutOff, "no line with a `summary` ends the answer");
    }
    Some(results.finish(gather))
}

fn is_result(line: &str) -> bool {
    let is_one = |name: &str| name == "summary" || STATUSES.contains(&name);
    children(line).any(|child| child.name.as_deref().is_some_and(is_one))
}
