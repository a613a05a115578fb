//! A streamed answer that goes on while nobody reads it.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::mpsc::{self, Receiver, Sender, error::TrySendError},
    task::JoinHandle,
    time::timeout,
};
use tower::BoxError;

use crate::body::Chunks;

/// The end of an answer is told too, or else what was cut off would look like a whole one.
type Piece = Option<Result<Bytes, BoxError>>;

/// What a task of its own has made of an answer so far. Dropping it ends the task.
pub(crate) struct Driven {
    pieces: Receiver<Piece>,
    task: JoinHandle<()>,
    is_over: bool,
}

/// Lets `chunks` go on in a task of its own. It is given up when nobody takes anything of it for so long.
pub(crate) fn drive(chunks: impl Chunks + 'static, patience: Duration) -> Driven {
    let (sender, pieces) = mpsc::channel(1);
    Driven { pieces, task: tokio::spawn(run(chunks, sender, patience)), is_over: false }
}

async fn run(mut chunks: impl Chunks, pieces: Sender<Piece>, patience: Duration) {
    loop {
        let piece = poll_fn(|cx| chunks.poll_chunk(cx)).await;
        let is_last = !matches!(piece, Some(Ok(_)));
        if !hand_over(&mut chunks, piece, &pieces, patience).await || is_last {
            return;
        }
    }
}

/// Whether the piece was taken in time. Until then what has begun goes on.
async fn hand_over(chunks: &mut impl Chunks, piece: Piece, pieces: &Sender<Piece>, patience: Duration) -> bool {
    let piece = match pieces.try_send(piece) {
        Ok(()) => return true,
        Err(TrySendError::Full(piece) | TrySendError::Closed(piece)) => piece,
    };
    let mut sent = pin!(pieces.send(piece));
    let sent = poll_fn(|cx| {
        let sent = sent.as_mut().poll(cx);
        if sent.is_pending() {
            chunks.poll_begun(cx);
        }
        sent
    });
    matches!(timeout(patience, sent).await, Ok(Ok(())))
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Chunks for Driven {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(cx));
        self.is_over = !matches!(piece, Some(Some(Ok(_))));
        Poll::Ready(piece.unwrap_or_else(|| Some(Err(GIVEN_UP.into()))))
    }
}

const GIVEN_UP: &str = "a batch was given up: something in it panicked, or nobody read its answer for too long";
