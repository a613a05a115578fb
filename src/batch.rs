use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{Entry, SET_COOKIE},
    uri::PathAndQuery,
};

use crate::{context::BatchContext, problem::Problem, watch::Watch};

/// What a batch request holds: one list of slots, in request order. None is ever added, dropped or moved once a
/// [`BatchBuilder`](crate::BatchBuilder) has made it: N operations in, N outcomes out.
#[derive(Debug)]
pub struct Batch {
    pub(crate) slots: Vec<Slot>,
}

/// One place of the list, and how far it has come.
#[derive(Debug)]
pub(crate) enum Slot {
    /// Checked; what stands here is exactly what will be sent.
    Ready(Operation),
    /// Handed to the inner service.
    Running(Label, Watch),
    /// Answered, or refused at some stage: here all ends.
    Done(Outcome),
}

/// One operation that has passed every check.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) label: Label,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
}

/// What stays of an operation when it has been sent: enough to name it in the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Label {
    pub(crate) id: Option<Arc<str>>,
    pub(crate) method: Method,
    /// Absent where the target was refused, for then it must not be repeated to anybody as if it were one.
    pub(crate) target: Option<PathAndQuery>,
}

/// A response with its body read, or the reason why there is none.
pub(crate) type Verdict = Result<Response<Bytes>, Box<Problem>>;

/// What became of one operation: a response of the inner service, or a [`Problem`] of our own making.
#[derive(Debug)]
pub struct Outcome {
    index: usize,
    label: Label,
    verdict: Verdict,
}

impl Slot {
    /// Takes out the operation in order to send it. `None` if it was sent, or refused, before.
    pub(crate) fn take(&mut self, watch: impl FnOnce(&Label) -> Watch) -> Option<(Operation, &Watch)> {
        let Self::Ready(operation) = self else { return None };
        let running = Self::Running(operation.label.clone(), watch(&operation.label));
        match (std::mem::replace(self, running), &*self) {
            (Self::Ready(operation), Self::Running(_, watch)) => Some((operation, watch)),
            _ => None,
        }
    }

    /// Ends this slot, with this verdict unless it has one, and gives back what watched it.
    pub(crate) fn end(&mut self, index: usize, verdict: Verdict) -> (&Outcome, Watch) {
        let (label, watch) = match self {
            Self::Ready(operation) => (std::mem::take(&mut operation.label), Watch::default()),
            Self::Running(label, watch) => (std::mem::take(label), std::mem::take(watch)),
            Self::Done(outcome) => return (outcome, Watch::default()),
        };
        *self = Self::Done(Outcome { index, label, verdict });
        match self {
            Self::Done(outcome) => (outcome, watch),
            Self::Ready(_) | Self::Running(..) => unreachable!("it was made an outcome in the line before"),
        }
    }
}

impl Outcome {
    pub(crate) fn new(index: usize, label: Label, verdict: Verdict) -> Self {
        Self { index, label, verdict }
    }

    /// The position of the operation in the batch, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The id that the client gave the operation, if it gave one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.label.id.as_deref()
    }

    /// The method of the operation; GET where the operation had none that could be read.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.label.method
    }

    /// The target of the operation; `None` where it was refused.
    #[must_use]
    pub fn target(&self) -> Option<&PathAndQuery> {
        self.label.target.as_ref()
    }

    /// The status, of the response or of the problem.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match &self.verdict {
            Ok(response) => response.status(),
            Err(problem) => problem.status(),
        }
    }

    /// The response of the inner service without its `set-cookie` headers, or why there is none.
    pub fn response(&self) -> Result<&Response<Bytes>, &Problem> {
        self.verdict.as_ref().map_err(AsRef::as_ref)
    }

    pub(crate) fn context(&self, total: usize) -> BatchContext {
        BatchContext::new(self.index, self.label.id.clone(), Some(total))
    }

    /// Whether the status is below 400.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status().as_u16() < 400
    }

    /// Takes the cookies out: a script that reads the answer must not see those that are `HttpOnly`.
    pub(crate) fn take_cookies(&mut self) -> Vec<HeaderValue> {
        match &mut self.verdict {
            // Looking through a few names costs less than one lookup by hash.
            Ok(response) if response.headers().keys().any(|name| name == SET_COOKIE) => {
                match response.headers_mut().entry(SET_COOKIE) {
                    Entry::Occupied(entry) => entry.remove_entry_mult().1.collect(),
                    Entry::Vacant(_) => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }
}
