//! The results of one answer, one after the other.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::{BuildHasher, Hash},
};

use http::StatusCode;

use super::{
    code::Code,
    contents::Contents,
    entry::Entry,
    gather::Gather,
    href::{self, Form},
    item::{Item, Outcome},
    pairing::Pairing,
    read,
    shape::Shape,
    text::plain,
};
use crate::problem::reason;

/// Adds each result to what is known, and says what is wrong with it.
pub(super) struct Results<'a> {
    pub(super) contents: Contents,
    pairing: Option<Pairing<'a>>,
    names: Seen,
    indexes: Seen,
    hrefs: Seen,
    forms: HashSet<Form>,
    with_id: usize,
    without_id: usize,
}

impl<'a> Results<'a> {
    pub(super) fn new(shape: Shape, pairing: Option<Pairing<'a>>) -> Self {
        Self {
            contents: Contents::new(shape),
            pairing,
            names: Seen::default(),
            indexes: Seen::default(),
            hrefs: Seen::default(),
            forms: HashSet::new(),
            with_id: 0,
            without_id: 0,
        }
    }

    pub(super) fn add(&mut self, gather: &mut Gather, mut entry: Entry<'_>) {
        let place = self.contents.total;
        gather.enter(place);
        if entry.status.is_none() && entry.properties.is_empty() && !entry.tells_why_without_status() {
            gather.find(Code::ItemWithoutStatus, "the result has no status");
        }
        for (code, detail) in entry.faults.drain(..) {
            gather.find(code, detail);
        }
        self.check_names(gather, &entry);
        if let Some(pairing) = &mut self.pairing {
            pairing.note(gather, place, self.contents.shape, &entry);
        }
        let item = self.item(gather, place, entry);
        let outcome = item.outcome();
        gather.has_failures |= outcome == Outcome::Failed;
        self.contents.count(outcome);
        if gather.has_room() {
            self.contents.items.push(item);
        }
        gather.leave();
    }

    /// What can be said only now that all are there.
    pub(super) fn finish(self, gather: &mut Gather) -> Contents {
        let lacks_ids = match self.contents.shape {
            // Each has one, by the standard.
            Shape::Responses => self.without_id > 0,
            Shape::List => self.with_id > 0 && self.without_id > 0,
            _ => false,
        };
        if lacks_ids {
            let detail = format!("results with an id: {}, without one: {}", self.with_id, self.without_id);
            gather.find(Code::MixedIds, detail);
        }
        if self.forms.len() > 1 {
            gather.find(Code::MixedHrefs, "some hrefs are whole URLs, and some are paths");
        }
        if let Some(pairing) = self.pairing {
            pairing.finish(gather);
        }
        if self.contents.total == 0 && !gather.is_unreadable {
            gather.find(Code::NoItems, "the list of results is empty");
        }
        self.contents
    }

    fn check_names(&mut self, gather: &mut Gather, entry: &Entry<'_>) {
        if let Some(index) = entry.index {
            if !self.indexes.is_new(index) {
                gather.find(Code::DuplicateIndex, format!("an earlier result has the index {index} too"));
            }
        }
        match &entry.id {
            Some(id) => {
                self.with_id += 1;
                // In a multipart they are unique within a change set; in a stream within a window, and there is the index.
                let scope = entry.slot.and_then(|(part, within)| within.map(|_| part));
                let is_stream = self.contents.shape == Shape::Lines && entry.index.is_some();
                if !is_stream && !self.names.is_new((scope, &**id)) {
                    gather.find(Code::DuplicateId, format!("an earlier result has the id `{}` too", plain(id)));
                }
            }
            None if !entry.is_left_out => self.without_id += 1,
            None => {}
        }
        for href in &entry.hrefs {
            if !self.hrefs.is_new(&**href) {
                gather.find(Code::DuplicateHref, format!("an earlier result has the href `{}` too", plain(href)));
            }
            self.forms.extend(href::check(gather, href));
        }
    }

    fn item(&self, gather: &mut Gather, place: usize, mut entry: Entry<'_>) -> Item {
        let body = entry.body.take().filter(|_| entry.status == Some(StatusCode::MULTI_STATUS.as_u16()));
        let inner = body.and_then(|body| read::inner(gather, &body));
        let mut item = Item {
            place,
            index: entry.index,
            id: entry.id.map(|id| plain(&id)),
            href: entry.hrefs.first().map(|href| plain(href)),
            status: entry.status,
            properties: entry.properties,
            failure: None,
            inner,
        };
        if item.outcome() == Outcome::Failed {
            let status = item.status.and_then(|status| StatusCode::from_u16(status).ok());
            item.failure =
                entry.description.map(|text| plain(&text)).or_else(|| status.map(|status| reason(status).to_owned()));
        }
        item
    }
}

/// What was there already, by hashes, which take less room than the names. No answer can be made so that two names have the
/// same one.
#[derive(Default)]
struct Seen {
    hasher: RandomState,
    seen: HashSet<u64>,
}

impl Seen {
    fn is_new(&mut self, name: impl Hash) -> bool {
        self.seen.insert(self.hasher.hash_one(name))
    }
}
