use std::{collections::HashMap, mem, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{Entry, SET_COOKIE},
    uri::PathAndQuery,
};

use crate::{
    config::Config,
    content::Content,
    graph::Graph,
    media_type::Family,
    needs::Needs,
    plan::{Kind, Order},
    problem::Problem,
    watch::Watch,
};

/// What a batch request holds: one list of slots, in request order. None is ever dropped or moved once a
/// [`BatchBuilder`](crate::BatchBuilder) has made it: N operations in, N outcomes out.
#[derive(Debug)]
pub struct Batch {
    pub(crate) slots: Vec<Slot>,
    /// In what it was read, where several formats share a media type.
    pub(crate) dialect: Option<&'static str>,
    pub(crate) groups: Memberships,
    pub(crate) order: Order,
    pub(crate) stop_on_failure: bool,
    /// What waits for what, where anything does but by order.
    pub(crate) graph: Option<Graph>,
    pub(crate) uses: Uses,
}

impl Batch {
    /// One of which all is still to come.
    pub(crate) fn to_come(config: &Config) -> Self {
        let (order, stop_on_failure) = (config.order.unwrap_or_default(), config.stop_on_failure);
        Self {
            slots: Vec::new(),
            dialect: None,
            groups: Memberships::default(),
            order,
            stop_on_failure,
            graph: None,
            uses: Uses::new(),
        }
    }
}

/// For each operation that others refer to: which ones, by which of their references.
pub(crate) type Uses = HashMap<usize, Vec<(usize, usize)>>;

/// In request order, the operations that belong to a group, and its name.
#[derive(Debug, Default)]
pub(crate) struct Memberships(pub(crate) Vec<(usize, Arc<str>)>);

impl Memberships {
    fn of(&self, index: usize) -> Option<Membership<'_>> {
        let place = self.0.binary_search_by_key(&index, |(member, _)| *member).ok()?;
        let group = &self.0[place].1;
        Some(Membership { group, is_last: self.0.get(place + 1).is_none_or(|(_, next)| next != group) })
    }
}

/// Of one operation.
#[derive(Clone, Copy, Debug)]
struct Membership<'a> {
    group: &'a str,
    /// No other member of the group stands behind it.
    #[cfg_attr(not(feature = "multipart"), allow(dead_code, reason = "only change sets are written as a whole"))]
    is_last: bool,
}

/// One place of the list.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) label: Label,
    pub(crate) state: State,
}

/// How far an operation has come.
#[derive(Debug)]
pub(crate) enum State {
    /// Checked; what stands here is exactly what will be sent.
    Ready(Message),
    /// Faulty; this will be its outcome when its turn comes.
    Refused(Box<Problem>),
    /// Handed to the inner service.
    Running(Watch),
    /// Answered, as a member of a group: what becomes of it depends on the others.
    /// In a box, for it would make all slots larger.
    Provisional(Box<(Verdict, Option<Watch>)>),
    /// Answered, or refused at some stage: here all ends.
    Done(Verdict),
    /// In the answer, and no longer in memory.
    Written,
}

/// What names an operation, in its request and in the answer.
#[derive(Debug, Default)]
pub(crate) struct Label {
    pub(crate) id: Option<Arc<str>>,
    pub(crate) method: Method,
    /// Absent where the target was refused, for then it must not be repeated to anybody as if it were one.
    pub(crate) target: Option<PathAndQuery>,
}

/// What else there is of an operation.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// What it takes from others first.
    pub(crate) needs: Option<Box<Needs>>,
}

/// A response with its body read, or the reason why there is none.
pub(crate) type Verdict = Result<Response<Bytes>, Box<Problem>>;

impl Slot {
    pub(crate) fn new(label: Label, message: Message, problem: Option<Box<Problem>>) -> Self {
        let state = problem.map_or(State::Ready(message), State::Refused);
        Self { label, state }
    }

    /// What the plan has to know of it.
    pub(crate) fn kind(&self) -> Kind {
        match self.state {
            State::Ready(_) => Kind::of(&self.label.method),
            _ => Kind::Refused,
        }
    }

    /// Keeps an outcome that is not the last word.
    pub(crate) fn hold(&mut self, verdict: Verdict) {
        let watch = match mem::replace(&mut self.state, State::Written) {
            State::Running(watch) => Some(watch.pause()),
            _ => None,
        };
        self.state = State::Provisional(Box::new((verdict, watch)));
    }

    /// Gives this slot its outcome, and gives back what watched it if it ran. One that was refused keeps to that.
    pub(crate) fn end(&mut self, verdict: Verdict) -> Option<Watch> {
        match mem::replace(&mut self.state, State::Done(verdict)) {
            State::Running(watch) => return Some(watch),
            State::Provisional(kept) => return kept.1,
            State::Refused(problem) => self.state = State::Done(Err(problem)),
            State::Ready(_) | State::Done(_) | State::Written => {}
        }
        None
    }

    /// Gives back an outcome that was kept.
    pub(crate) fn release(&mut self) -> Option<Verdict> {
        match mem::replace(&mut self.state, State::Written) {
            State::Provisional(kept) => {
                let (verdict, watch) = *kept;
                self.state = watch.map_or(State::Written, State::Running);
                Some(verdict)
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// What this operation takes from others, as long as it hasn't begun.
    pub(crate) fn needs(&self) -> Option<&Needs> {
        match &self.state {
            State::Ready(message) => message.needs.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn needs_mut(&mut self) -> Option<&mut Needs> {
        match &mut self.state {
            State::Ready(message) => message.needs.as_deref_mut(),
            _ => None,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// The outcome, once there is one.
    pub(crate) fn outcome(&self, index: usize) -> Option<Outcome<'_>> {
        match &self.state {
            State::Done(verdict) => Some(Outcome { index, label: &self.label, verdict, membership: None }),
            _ => None,
        }
    }

    /// Takes the cookies out: a script that reads the answer must not see those that are `HttpOnly`.
    pub(crate) fn take_cookies(&mut self) -> Vec<HeaderValue> {
        match &mut self.state {
            // Looking through a few names costs less than one lookup by hash.
            State::Done(Ok(response)) if response.headers().keys().any(|name| name == SET_COOKIE) => {
                match response.headers_mut().entry(SET_COOKIE) {
                    Entry::Occupied(entry) => entry.remove_entry_mult().1.collect(),
                    Entry::Vacant(_) => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }
}

/// What became of one operation: a response of the inner service, or a [`Problem`] of our own making.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    index: usize,
    label: &'a Label,
    verdict: &'a Verdict,
    membership: Option<Membership<'a>>,
}

impl<'a> Outcome<'a> {
    pub(crate) fn within(self, groups: &'a Memberships) -> Self {
        Self { membership: groups.of(self.index), ..self }
    }

    /// The position of the operation in the batch, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The id that the client gave the operation, if it gave one.
    #[must_use]
    pub fn id(&self) -> Option<&'a str> {
        self.label.id.as_deref()
    }

    /// The name of the group that the operation belongs to, if it belongs to one.
    #[must_use]
    pub fn group(&self) -> Option<&'a str> {
        self.membership.map(|membership| membership.group)
    }

    /// Whether it is the last one of its group.
    #[cfg(feature = "multipart")]
    pub(crate) fn ends_group(&self) -> bool {
        self.membership.is_some_and(|membership| membership.is_last)
    }

    /// The method of the operation; GET where the operation had none that could be read.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        &self.label.method
    }

    /// The target of the operation; `None` where it was refused.
    #[must_use]
    pub fn target(&self) -> Option<&'a PathAndQuery> {
        self.label.target.as_ref()
    }

    /// The status, of the response or of the problem.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.verdict {
            Ok(response) => response.status(),
            Err(problem) => problem.status(),
        }
    }

    /// The response of the inner service without its `set-cookie` headers.
    ///
    /// # Errors
    ///
    /// The reason why there is none.
    pub fn response(&self) -> Result<&'a Response<Bytes>, &'a Problem> {
        self.verdict.as_ref().map_err(AsRef::as_ref)
    }

    /// How the call of a gRPC method has ended; `None` where the operation was none, or did not get as far
    /// ([`BatchLayer::grpc`](crate::BatchLayer::grpc)).
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    #[must_use]
    pub fn grpc(&self) -> Option<&'a crate::GrpcStatus> {
        self.response().ok()?.extensions().get()
    }

    /// The body, as an encoder has to show it; that of a problem is its document
    /// ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457), `application/problem+json`).
    ///
    /// JSON is looked through to its end each time that this is called.
    ///
    /// ```
    /// use tower_multistatus::{Content, Outcome};
    ///
    /// /// What follows the status in a line of text.
    /// fn show(outcome: Outcome<'_>) -> String {
    ///     match outcome.content() {
    ///         Content::Empty => String::new(),
    ///         Content::Json(json) => json.replace(['\r', '\n'], " "),
    ///         Content::Text(text) => format!("{text:?}"),
    ///         Content::Bytes(bytes) => format!("{} bytes", bytes.len()),
    ///         other => format!("{other:?}"),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn content(&self) -> Content<'a> {
        match self.verdict {
            Ok(response) => Content::new(Family::of(response.headers()), response.body()),
            Err(problem) => Content::Json(problem.to_json().into()),
        }
    }

    /// Whether the status is below 400.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status().as_u16() < 400
    }
}
