//! An answer that is sent while its batch still runs.

use std::{
    mem,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use tokio::time::Instant;

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

/// Drives a batch while the answer is read. Who reads slowly slows the batch down; who stops reading stops it.
pub(crate) struct Streamed<S, F> {
    answer: Answer,
    /// Until all have ended.
    operations: Option<Dispatch<S, F>>,
    order: ResultOrder,
    /// What the operations belong to.
    watch: Watch,
    silence: Silence,
    /// The executor is given its turn before anything more is done.
    rests: bool,
}

impl<S, F> Streamed<S, F>
where
    S: FnMut(Request<Option<Bytes>>, &Watch) -> F,
    F: Future<Output = Verdict>,
{
    pub(crate) fn new(
        answer: Answer,
        mut operations: Dispatch<S, F>,
        keep_alive: Option<Duration>,
        watch: Watch,
    ) -> Self {
        operations.restart_clock();
        let order = answer.order();
        Self { answer, operations: Some(operations), order, watch, silence: Silence::new(keep_alive), rests: false }
    }
}

impl<S, F> Chunks for Streamed<S, F>
where
    S: FnMut(Request<Option<Bytes>>, &Watch) -> F + Send,
    F: Future<Output = Verdict> + Send,
{
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let watch = mem::take(&mut self.watch);
        let chunk = watch.within(|| self.poll(cx));
        self.watch = watch;
        if let Poll::Ready(Some(_)) = chunk {
            self.silence.end();
        }
        chunk
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
        while self.answer.len() < CHUNK {
            let Some(operations) = &mut self.operations else { break };
            // Here only what waits to be written is in memory, while an answer that is sent whole holds all of it.
            operations.give_back(self.answer.take_freed());
            match operations.poll_next(cx) {
                Poll::Ready(Some(index)) => {
                    operations.restart_clock();
                    match self.order {
                        ResultOrder::Completion => self.answer.write_one(index, &mut operations.slots()[index]),
                        ResultOrder::Request => drop(self.answer.write(operations.slots())),
                    }
                }
                // In request order there may be a few of them still to be written.
                Poll::Ready(None) if self.answer.write(operations.slots()) => {}
                Poll::Ready(None) => {
                    self.answer.end();
                    self.operations = None;
                }
                Poll::Pending if self.answer.len() > 0 => {
                    // Who reads on at once, time after time, would otherwise hold the executor as long as the batch
                    // lasts.
                    self.rests = true;
                    break;
                }
                Poll::Pending => return self.silence.poll(self.answer.keep_alive(), cx).map(Some),
            }
        }
        Poll::Ready(Some(self.answer.take()).filter(|chunk| !chunk.is_empty()))
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

    fn end(&mut self) {
        self.deadline = None;
    }

    /// What may be sent where there is nothing else, when it is time for that.
    fn poll(&mut self, filler: &'static [u8], cx: &mut Context<'_>) -> Poll<Bytes> {
        let Some(longest) = self.longest.filter(|_| !filler.is_empty()) else { return Poll::Pending };
        let deadline = *self.deadline.get_or_insert_with(|| after(longest));
        self.timer.poll_until(deadline, cx).map(|()| Bytes::from_static(filler))
    }
}
