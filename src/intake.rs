//! Makes operations of lines, while others run.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use tower::BoxError;

use crate::{
    batch::{Label, Message, Slot},
    builder::DecodeContext,
    draft::Links,
    fault,
    format::LineDecoder,
    graph::{Dependency, On},
    lines::{Line, Lines},
    problem::{Problem, shown},
    recent::Recent,
    unwind::caught,
    watch,
    window::Window,
};

/// Where the operations of a stream come from, and what is remembered of them.
pub(crate) struct Intake {
    /// Until the last one has come.
    pub(crate) lines: Option<Lines>,
    decoder: Box<dyn LineDecoder>,
    pub(crate) recent: Recent,
    /// Bytes of the lines of operations whose outcomes have not been written.
    pub(crate) sizes: Window<usize>,
}

/// One operation that has come.
pub(crate) struct Taken {
    pub(crate) slot: Slot,
    pub(crate) dependencies: Vec<usize>,
    pub(crate) size: usize,
    /// None comes after it.
    pub(crate) is_last: bool,
}

impl Intake {
    pub(crate) fn new(lines: Lines, decoder: Box<dyn LineDecoder>) -> Self {
        Self { lines: Some(lines), decoder, recent: Recent::default(), sizes: Window::default() }
    }

    /// Waits for the next line; `None` behind the last one.
    pub(crate) fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Line>> {
        self.lines.as_mut().map_or(Poll::Ready(None), |lines| lines.poll_next(cx))
    }

    /// What becomes of the next line, or of the end, if it is an operation.
    pub(crate) fn take(&mut self, cx: DecodeContext<'_>, index: usize, line: Option<Line>) -> Option<Taken> {
        let limits = &cx.config().limits;
        let taken = match line {
            Some(Line::Whole(line)) => self.read(cx, index, Some(line))?,
            Some(Line::TooLong) => {
                let told = caught(|| self.decoder.passed_over());
                Taken::refused(told.map_or_else(not_read, |()| too_long(limits.line_bytes)))
            }
            Some(Line::Broken(error)) => return Some(Taken { is_last: true, ..Taken::refused(broken(&error)) }),
            None => Taken { is_last: true, ..self.read(cx, index, None)? },
        };
        let is_too_many = limits.stream_operations.is_some_and(|limit| index >= limit);
        Some(if is_too_many { Taken { is_last: true, ..Taken::refused(too_many(index)) } } else { taken })
    }

    /// Without a line: at the end.
    fn read(&mut self, cx: DecodeContext<'_>, index: usize, line: Option<Bytes>) -> Option<Taken> {
        let size = line.as_ref().map_or(0, Bytes::len);
        // What others have written may panic, and so may the server's policy on targets: what runs already must go on.
        let read = caught(|| {
            let draft = match line {
                Some(line) => self.decoder.line(cx, line),
                None => self.decoder.finish(cx),
            };
            let mut draft = draft?;
            let problem = draft.finish();
            let links = draft.take_links();
            Some((draft.label, draft.message, problem, links))
        });
        let Some(read) = read else {
            watch::cause("a line could not be read", &"see the panic's own message");
            return Some(Taken::refused(not_read()));
        };
        let (mut label, message, mut problem, links) = read?;
        let window = cx.config().limits.stream_window;
        self.recent.forget(index.saturating_sub(window));
        let mut dependencies = Vec::new();
        if let Some(links) = links {
            let linked = self.find(*links, window).map(|found| dependencies = found);
            problem = problem.or(linked.map_err(Box::new).err());
        }
        if label.id.as_ref().is_some_and(|id| !self.recent.add(id, index)) {
            // Without it: a client that goes by ids would take this for the outcome of the other one.
            let id = label.id.take().unwrap_or_default();
            problem.get_or_insert_with(|| Box::new(taken_id(&id, window)));
        }
        Some(Taken { slot: Slot::new(label, message, problem), dependencies, size, is_last: false })
    }

    /// Which operations it has to wait for.
    fn find(&self, Links { relations, needs }: Links, window: usize) -> Result<Vec<usize>, Problem> {
        if let Some(group) = relations.group {
            return Err(Problem::bad_request(NO_GROUPS).at(group.pointer));
        }
        if !needs.references.is_empty() {
            return Err(Problem::bad_request(NO_REFERENCES).at("/refs"));
        }
        let found = relations.dependencies.into_iter().map(|Dependency { on, wants, pointer }| match on {
            _ if wants.is_some() => Err(Problem::bad_request(NO_CONDITIONS).at(pointer)),
            On::Operation(id) => self.recent.find(&id).ok_or_else(|| unknown(&id, window).at(pointer)),
            On::Group(_) => Err(Problem::bad_request(NO_GROUPS).at(pointer)),
        });
        let mut found = found.collect::<Result<Vec<_>, _>>()?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

impl Taken {
    fn refused(problem: Problem) -> Self {
        let slot = Slot::new(Label::default(), Message::default(), Some(Box::new(problem)));
        Self { slot, dependencies: Vec::new(), size: 0, is_last: false }
    }
}

const NO_GROUPS: &str =
    "operations of a stream can't be a group: send those that count all or none as a batch that is read whole";

const NO_REFERENCES: &str =
    "operations of a stream can't take values from others: send them as a batch that is read whole";

const NO_CONDITIONS: &str = "operations of a stream can't have conditions: send them as a batch that is read whole";

fn unknown(id: &str, window: usize) -> Problem {
    Problem::bad_request(format!(
        "none of the {window} operations before this one has the id `{}`; those before are forgotten",
        shown(id)
    ))
}

fn taken_id(id: &str, window: usize) -> Problem {
    let id = shown(id);
    Problem::bad_request(format!("one of the {window} operations before this one has the id `{id}` too")).at("/id")
}

fn too_long(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("a line may have {limit} bytes at most; this one was passed over"),
    )
}

fn too_many(limit: usize) -> Problem {
    let detail = format!("a stream may have {limit} operations at most: it ends here, and no more of it was read");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

fn broken(error: &BoxError) -> Problem {
    watch::cause("a stream could not be read", error);
    if fault::is_length_limit(error) {
        let detail = "the server reads no more of a request than this: the stream ends here";
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail);
    }
    Problem::bad_request("the stream broke off here, perhaps within a line: nothing of that line was carried out")
}

fn not_read() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the line could not be read; nothing of it was carried out")
}

/// For an operation that was still at work in a stream in which nothing went on.
pub(crate) fn stood_still() -> Problem {
    let detail = "nothing came and nothing ended within the time limit of the stream, which has ended by that; the operation may \
                  have been carried out";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, detail)
}

/// For a stream in which nothing goes on.
pub(crate) fn idle() -> Problem {
    let detail = "nothing came and nothing ended within the time limit of the stream: it ends here, and no more of it was \
                  read";
    Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
}
