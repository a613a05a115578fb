//! A batch in the making: what a format fills, slot by slot.

use std::{collections::HashSet, sync::Arc};

use http::{header, request::Parts};

use crate::{
    authority,
    batch::{Batch, Slot, State},
    config::Config,
    draft::Draft,
    problem::Problem,
    rejection::Rejection,
};

/// What a [`Decode`](crate::Decode) reads a batch with: it knows the limits, the batch's own authority and what the
/// server allows.
#[derive(Clone, Copy, Debug)]
pub struct DecodeContext<'a> {
    config: &'a Config,
    head: &'a Parts,
}

impl<'a> DecodeContext<'a> {
    pub(crate) fn new(config: &'a Config, head: &'a Parts) -> Self {
        Self { config, head }
    }

    pub(crate) fn config(&self) -> &'a Config {
        self.config
    }

    /// The batch's request without its body: for parameters of its `Content-Type`, preferences and the like.
    #[must_use]
    pub fn head(&self) -> &'a Parts {
        self.head
    }

    /// An empty batch, to be filled slot by slot. `pointer` is where the list stands in the document, as a JSON
    /// Pointer: problems name the operation by it.
    #[must_use]
    pub fn batch(&self, pointer: &'static str) -> BatchBuilder<'a> {
        BatchBuilder { cx: *self, pointer, slots: Vec::new(), ids: HashSet::new() }
    }

    /// A new operation: GET, with no target yet.
    #[must_use]
    pub fn operation(&self) -> Draft<'a> {
        Draft::new(*self)
    }

    /// How deep JSON may be nested.
    #[must_use]
    pub fn json_depth(&self) -> usize {
        self.config.limits.json_depth
    }

    /// Whether `named` (`host` or `host:port`) is the one that the batch was sent to, or another one of the server's.
    #[must_use]
    pub fn is_own_authority(&self, named: &str) -> bool {
        let outer = match self.head.uri.authority() {
            Some(outer) => Some(authority::host_and_port(outer.as_str())),
            None => self.head.headers.get(header::HOST).and_then(|host| host.to_str().ok()),
        };
        let configured = self.config.authorities.iter().map(String::as_str);
        configured.chain(outer).any(|own| authority::is_same(own, named))
    }
}

/// A batch in the making. See [`DecodeContext::batch`].
#[derive(Debug)]
pub struct BatchBuilder<'a> {
    cx: DecodeContext<'a>,
    pointer: &'static str,
    slots: Vec<Slot>,
    ids: HashSet<Arc<str>>,
}

impl BatchBuilder<'_> {
    /// Adds an operation; one with a fault takes its place in the list all the same, as a refusal.
    ///
    /// # Errors
    ///
    /// Where the batch as a whole must be refused: too many operations, or an id that stands there already.
    pub fn push(&mut self, mut draft: Draft<'_>) -> Result<(), Rejection> {
        let limit = self.cx.config.limits.operations;
        if self.slots.len() >= limit {
            return Err(Rejection::too_many(limit));
        }
        let index = self.slots.len();
        if let Some(id) = &draft.label.id {
            if !self.ids.insert(Arc::clone(id)) {
                let problem = Problem::bad_request("two operations have the same id: make each one unique");
                return Err(problem.at(format!("{}/{index}/id", self.pointer)).into());
            }
        }
        self.slots.push(match draft.finish() {
            None => Slot { label: draft.label, state: State::Ready(draft.message) },
            Some(mut problem) => {
                problem.within(&format!("{}/{index}", self.pointer));
                Slot { label: draft.label, state: State::Refused(problem) }
            }
        });
        Ok(())
    }

    /// The batch, whole.
    ///
    /// # Errors
    ///
    /// An empty batch is a mistake of its sender.
    pub fn finish(self) -> Result<Batch, Rejection> {
        if self.slots.is_empty() {
            return Err(Rejection::malformed("the batch is empty: it needs at least one operation"));
        }
        Ok(Batch { slots: self.slots })
    }
}
