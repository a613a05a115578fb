//! A batch in the making: what a format fills, slot by slot.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderName, header, request::Parts};

use crate::{
    authority,
    batch::{Batch, Memberships, Message, Slot, State, Uses},
    config::Config,
    draft::{Draft, Links},
    graph::{Graph, Outline, Relations},
    plan::Order,
    problem::Problem,
    rejection::Rejection,
};

/// What a [`Decode`](crate::Decode) reads a batch with: it knows the limits, the batch's own authority and what the
/// server allows.
#[derive(Clone, Copy, Debug)]
pub struct DecodeContext<'a> {
    config: &'a Config,
    head: &'a Parts,
    most_dependencies: usize,
}

/// How many others an operation of a stream may depend on. All that are within reach, times all that may wait, would be a
/// million edges.
const MOST_STREAM_DEPENDENCIES: usize = 100;

impl<'a> DecodeContext<'a> {
    pub(crate) fn new(config: &'a Config, head: &'a Parts) -> Self {
        Self { config, head, most_dependencies: config.limits.operations }
    }

    /// For batches that are read while they arrive.
    pub(crate) fn of_stream(config: &'a Config, head: &'a Parts) -> Self {
        Self { config, head, most_dependencies: MOST_STREAM_DEPENDENCIES }
    }

    pub(crate) fn most_dependencies(&self) -> usize {
        self.most_dependencies
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
        BatchBuilder {
            cx: *self,
            pointer,
            dialect: None,
            slots: Vec::new(),
            ids: HashMap::new(),
            relations: Vec::new(),
            order: self.config.order.unwrap_or_default(),
            atomic: false,
            stop_on_failure: self.config.stop_on_failure,
        }
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

    /// Whether the answer tells this header of a response.
    pub(crate) fn tells(&self, name: &HeaderName) -> bool {
        self.config.tells(name)
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
    dialect: Option<&'static str>,
    slots: Vec<Slot>,
    ids: HashMap<Arc<str>, usize>,
    /// Of those that have any, in request order.
    relations: Vec<(usize, Relations)>,
    order: Order,
    atomic: bool,
    stop_on_failure: bool,
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
        if let Some(key) = draft.key.take().map(Arc::from).or_else(|| draft.label.id.clone()) {
            if self.ids.insert(key, index).is_some() {
                let problem = Problem::bad_request("two operations have the same id: make each one unique");
                return Err(problem.at(format!("{}/{index}/id", self.pointer)).into());
            }
        }
        let mut problem = draft.finish();
        if let Some(links) = draft.take_links() {
            let Links { relations, mut needs } = *links;
            self.relations.push((index, relations));
            if !needs.references.is_empty() {
                needs.pointer = self.pointer_to(index);
                draft.message.needs = Some(Box::new(needs));
            }
        }
        if let Some(problem) = &mut problem {
            problem.within(&self.pointer_to(index));
        }
        self.slots.push(Slot::new(draft.label, draft.message, problem));
        Ok(())
    }

    fn pointer_to(&self, index: usize) -> String {
        format!("{}/{index}", self.pointer)
    }

    /// In which dialect of its media type the batch is written, so that it is answered in the same one
    /// ([`Encode::dialect`](crate::Encode::dialect)).
    pub fn dialect(&mut self, dialect: &'static str) {
        self.dialect = Some(dialect);
    }

    /// In which order the operations of this format run, where the server's author has not chosen one
    /// ([`BatchLayer::order`](crate::BatchLayer::order)).
    pub fn default_order(&mut self, order: Order) {
        self.order = self.cx.config.order.unwrap_or(order);
    }

    /// All operations are one atomic group.
    ///
    /// # Errors
    ///
    /// Where the server doesn't allow that ([`BatchLayer::allow_atomic`](crate::BatchLayer::allow_atomic)).
    pub fn atomic(&mut self) -> Result<(), Rejection> {
        if !self.cx.config.allow_atomic {
            return Err(Rejection::malformed("this server does not allow atomic batches; nothing was carried out"));
        }
        self.atomic = true;
        Ok(())
    }

    /// Whether the rest is left out after the first failure, whatever the server does by default.
    ///
    /// # Errors
    ///
    /// Where the server has it otherwise, and doesn't leave it to the batch
    /// ([`BatchLayer::allow_on_failure`](crate::BatchLayer::allow_on_failure)).
    pub fn stop_on_failure(&mut self, stop: bool) -> Result<(), Rejection> {
        if stop != self.cx.config.stop_on_failure && !self.cx.config.allow_on_failure {
            let does = if stop { "goes on after a failure" } else { "stops at the first failure" };
            let refusal = format!("this server {does}, and a batch can't change it; nothing was carried out");
            return Err(Rejection::malformed(refusal));
        }
        self.stop_on_failure = stop;
        Ok(())
    }

    /// The client would like the rest to be left out after the first failure, or not. To stop is granted; to go on only
    /// where the server goes on anyway, or leaves it to the batch.
    #[cfg(any(feature = "multipart", feature = "odata"))]
    pub(crate) fn prefer_to_stop(&mut self, stop: bool) {
        self.stop_on_failure = stop || self.stop_on_failure && !self.cx.config.allow_on_failure;
    }

    /// The batch, whole.
    ///
    /// # Errors
    ///
    /// An empty batch is a mistake of its sender.
    pub fn finish(mut self) -> Result<Batch, Rejection> {
        if self.slots.is_empty() {
            return Err(Rejection::empty());
        }
        let graph = if self.atomic || !self.relations.is_empty() { self.graph() } else { None };
        Ok(Batch {
            dialect: self.dialect,
            groups: self.groups(),
            order: self.order,
            stop_on_failure: self.stop_on_failure,
            uses: self.uses(),
            slots: self.slots,
            graph,
        })
    }

    /// Refuses what can't be, now that all operations are known.
    fn graph(&mut self) -> Option<Graph> {
        let (graph, faults) = Graph::new(&Outline {
            order: self.order,
            kinds: &self.slots.iter().map(Slot::kind).collect::<Vec<_>>(),
            ids: &self.ids,
            relations: &self.relations,
            atomic: self.atomic,
            coordinated: self.cx.config.coordinator.is_some(),
        });
        for (index, mut problem) in faults {
            problem.within(&self.pointer_to(index));
            // What was wrong with the operation itself comes first.
            if let State::Ready(_) = self.slots[index].state {
                self.slots[index].state = State::Refused(problem);
            }
        }
        graph
    }

    fn groups(&self) -> Memberships {
        let members = self.relations.iter();
        Memberships(
            members.filter_map(|(index, relations)| Some((*index, relations.group.as_ref()?.name.clone()))).collect(),
        )
    }

    fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for (index, _) in &self.relations {
            let State::Ready(Message { needs: Some(needs), .. }) = &self.slots[*index].state else { continue };
            for (nth, reference) in needs.references.iter().enumerate() {
                if let Some(&source) = self.ids.get(&*reference.id) {
                    uses.entry(source).or_default().push((*index, nth));
                }
            }
        }
        uses
    }
}
