//! Holds results against the operations that were asked for.

use std::collections::HashMap;

use super::{asked::Asked, code::Code, entry::Entry, gather::Gather, shape::Shape, text::plain};

/// Which operations have a result.
pub(super) struct Pairing<'a> {
    asked: &'a Asked,
    by_id: HashMap<&'a str, usize>,
    answered: Vec<bool>,
}

/// So many operations without a result are named.
const NAMED: usize = 8;

impl<'a> Pairing<'a> {
    pub(super) fn new(asked: &'a Asked) -> Self {
        let by_id = asked.operations.iter().enumerate().filter_map(|(index, id)| Some((id.as_deref()?, index)));
        Self { asked, by_id: by_id.collect(), answered: vec![false; asked.operations.len()] }
    }

    pub(super) fn note(&mut self, gather: &mut Gather, place: usize, shape: Shape, entry: &Entry<'_>) {
        if let Some((part, within)) = entry.slot {
            return self.note_part(gather, part, within, entry);
        }
        let told_by_id = matches!(shape, Shape::Responses | Shape::List).then_some(entry.id.as_deref()).flatten();
        if let Some(id) = told_by_id.filter(|_| entry.index.is_none() && !self.by_id.is_empty()) {
            match self.by_id.get(id) {
                Some(&index) => self.answered[index] = true,
                None => gather.find(Code::SurplusResult, format!("no operation has the id `{}`", plain(id))),
            }
            return;
        }
        let index = entry.index.unwrap_or(place);
        let Some(answered) = self.answered.get_mut(index) else {
            let detail = format!("it is of operation {index}, and the batch has {}", self.answered.len());
            gather.find(Code::SurplusResult, detail);
            return;
        };
        *answered = true;
        if let Some(id) = self.asked.operations[index].as_deref() {
            let is_told = matches!(shape, Shape::Results | Shape::Lines | Shape::Responses)
                || shape == Shape::Multistatus && entry.index.is_some();
            if is_told && entry.id.as_deref() != Some(id) {
                let detail = format!("operation {index} has the id `{}`, and its result has not", plain(id));
                gather.find(Code::IdNotEchoed, detail);
            }
        }
    }

    /// Parts are told by their places. One response stands for a change set that has failed.
    fn note_part(&mut self, gather: &mut Gather, part: usize, within: Option<usize>, entry: &Entry<'_>) {
        let Some(unit) = self.asked.units.get(part).cloned() else {
            let detail = format!("it is in part {part}, and the batch has {}", self.asked.units.len());
            return gather.find(Code::SurplusResult, detail);
        };
        let has_failed = entry.status.is_some_and(|status| status >= 400);
        if within.is_none() && has_failed && unit.len() > 1 {
            self.answered[unit].fill(true);
            return;
        }
        let index = unit.start + within.unwrap_or_default();
        if !unit.contains(&index) {
            let detail = format!("it is one more than change set {part} of the batch has requests");
            return gather.find(Code::SurplusResult, detail);
        }
        self.answered[index] = true;
        if let (Some(sent), Some(told)) = (self.asked.operations[index].as_deref(), entry.id.as_deref()) {
            // Google's have a mark.
            if bare(told) != bare(sent) && bare(told).strip_prefix("response-") != Some(bare(sent)) {
                let detail =
                    format!("request {index} has the id `{}`, and its response `{}`", plain(sent), plain(told));
                gather.find(Code::IdNotEchoed, detail);
            }
        }
    }

    pub(super) fn finish(self, gather: &mut Gather) {
        let missing: Vec<_> = (0..self.answered.len()).filter(|index| !self.answered[*index]).collect();
        if missing.is_empty() {
            return;
        }
        let name = |index: &usize| match &self.asked.operations[*index] {
            Some(id) => format!("{index} (`{}`)", plain(id)),
            None => index.to_string(),
        };
        let named: Vec<_> = missing.iter().take(NAMED).map(name).collect();
        let more = if missing.len() > NAMED { format!(" and {} more", missing.len() - NAMED) } else { String::new() };
        let (of, named) = (self.answered.len(), named.join(", "));
        gather.find(Code::MissingResult, format!("of {of} operations these have no result: {named}{more}"));
    }
}

/// Without the angle brackets that a `Content-ID` may have.
fn bare(id: &str) -> &str {
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}
