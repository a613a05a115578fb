//! An answer that is sent while its batch still runs.

use std::{
    mem,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use tokio::time::Instant;
use tower::BoxError;

use crate::{
    answer::Answer,
    batch::Verdict,
    body::Chunks,
    dispatch::Dispatch,
    format::ResultOrder,
    timer::{Timer, after},
    watch::Watch,
};

/// Which answers are sent while their batch still runs. See [`BatchLayer::stream`](crate::BatchLayer::stream).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Streaming {
    /// None: each answer is sent when it is whole.
    #[default]
    Off,
    /// All of them.
    On,
    /// Those to batches of at least so many operations.
    From(usize),
}

impl Streaming {
    pub(crate) fn applies_to(self, operations: usize) -> bool {
        match self {
            Self::Off => false,
            Self::On => true,
            Self::From(least) => operations >= least,
        }
    }
}

/// So many bytes are sent at once where that many are there; fewer where there is nothing more to be had at once.
const CHUNK: usize = 16 << 10;

/// One result may be some megabytes. It is sent in copies of so many, for a slice would keep all of it in memory as long as
/// somebody between us and the client has it.
const PIECE: usize = 64 << 10;

/// Drives a batch while the answer is read. Who reads slowly slows the batch down; who stops reading stops it.
pub(crate) struct Streamed<S, F> {
    answer: Answer,
    /// Of what is being sent.
    rest: Bytes,
    /// Until all have ended.
    operations: Option<Dispatch<S, F>>,
    order: ResultOrder,
    /// What the operations belong to.
    watch: Watch,
    silence: Silence,
    has_begun: bool,
    /// The batch goes on for the first time, or for the first time since results were handed over.
    resumes: bool,
    /// Something has just been handed over, and the executor is given its turn before anything more is done.
    rests: bool,
    /// At work; it stays so where a hook or an encoder panics.
    works: bool,
}

impl<S, F> Streamed<S, F> {
    pub(crate) fn new(answer: Answer, operations: Dispatch<S, F>, keep_alive: Option<Duration>, watch: Watch) -> Self {
        let order = answer.order();
        let (operations, silence) = (Some(operations), Silence::new(keep_alive));
        Self {
            answer,
            rest: Bytes::new(),
            operations,
            order,
            watch,
            silence,
            has_begun: false,
            resumes: true,
            rests: false,
            works: false,
        }
    }
}

/// Within the batch's span, as all else that its operations do.
impl<S, F> Drop for Streamed<S, F> {
    fn drop(&mut self) {
        let operations = self.operations.take();
        self.watch.within(|| drop(operations));
    }
}

impl<S, F> Chunks for Streamed<S, F>
where
    S: FnMut(Request<Option<Bytes>>, &Watch) -> F + Send,
    F: Future<Output = Verdict> + Send,
{
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        // What was left half done must not be closed as if it were whole.
        if mem::replace(&mut self.works, true) {
            return Poll::Ready(Some(Err("the answer of a batch was given up at a panic".into())));
        }
        let watch = self.watch.clone();
        let chunk = watch.within(|| self.poll(cx));
        self.works = false;
        chunk.map(|chunk| chunk.map(Ok))
    }

    #[cfg(feature = "spawn")]
    fn poll_begun(&mut self, cx: &mut Context<'_>) {
        if let Some(operations) = self.operations.as_mut().filter(|_| !self.works) {
            self.works = true;
            self.watch.within(|| operations.poll_begun(cx));
            self.works = false;
        }
    }
}

impl<S, F> Streamed<S, F>
where
    S: FnMut(Request<Option<Bytes>>, &Watch) -> F,
    F: Future<Output = Verdict>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if mem::take(&mut self.rests) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.rest.is_empty() {
            return Poll::Ready(self.hand_over());
        }
        // The head is sent with the first piece, and must not wait for what operations do before they wait.
        if !mem::replace(&mut self.has_begun, true) && self.answer.len() > 0 {
            return Poll::Ready(self.hand_over());
        }
        // Much time may have passed since the last piece was taken.
        if let Some(operations) = self.operations.as_mut().filter(|_| mem::take(&mut self.resumes)) {
            operations.resume();
        }
        while self.answer.len() < CHUNK {
            let Some(operations) = &mut self.operations else { break };
            let may_be_more = self.order == ResultOrder::Request && self.answer.write(operations.slots());
            // Here only what waits to be written is in memory, while an answer that is sent whole holds all of it.
            operations.written(self.answer.take_freed());
            if may_be_more {
                continue;
            }
            match operations.poll_next(cx) {
                Poll::Ready(Some(index)) => {
                    if self.order == ResultOrder::Completion {
                        self.answer.write_one(index, &mut operations.slots()[index]);
                        operations.free_line(index);
                    }
                }
                Poll::Ready(None) => {
                    self.answer.end();
                    self.operations = None;
                }
                Poll::Pending if self.answer.len() > 0 => break,
                Poll::Pending => {
                    // No reason to resume: else the time in which nothing happens would never be over.
                    let filler = self.silence.poll(self.answer.keep_alive(), cx);
                    self.rests = filler.is_ready();
                    return filler.map(Some);
                }
            }
        }
        Poll::Ready(self.hand_over())
    }

    /// What is to be sent next; `None` at the end.
    fn hand_over(&mut self) -> Option<Bytes> {
        self.silence.end();
        self.resumes = true;
        // Who reads on at once, time after time, would otherwise hold the executor as long as the batch lasts.
        self.rests = self.operations.is_some();
        if self.rest.is_empty() {
            let all = self.answer.take();
            if all.len() <= PIECE {
                return Some(all).filter(|all| !all.is_empty());
            }
            self.rest = all;
        }
        let length = self.rest.len().min(PIECE);
        Some(Bytes::copy_from_slice(&self.rest.split_to(length)))
    }
}

/// How long nothing has been sent. Proxies take a connection that is silent for dead.
struct Silence {
    longest: Option<Duration>,
    /// Since the last chunk, once there was nothing to send.
    deadline: Option<Instant>,
    timer: Timer,
}

impl Silence {
    fn new(longest: Option<Duration>) -> Self {
        Self { longest, deadline: None, timer: Timer::default() }
    }

    /// Something is sent.
    fn end(&mut self) {
        self.deadline = None;
    }

    /// What may be sent where there is nothing else, when it is time for that.
    fn poll(&mut self, filler: &'static [u8], cx: &mut Context<'_>) -> Poll<Bytes> {
        let Some(longest) = self.longest.filter(|_| !filler.is_empty()) else { return Poll::Pending };
        let deadline = *self.deadline.get_or_insert_with(|| after(longest));
        ready!(self.timer.poll_until(deadline, cx));
        self.end();
        Poll::Ready(Bytes::from_static(filler))
    }
}
