//! The body of an answer on its way back.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};

use crate::{fault::Fault, health::Health};

/// The body of an upstream's answer. It holds the exchange's place until its end.
pub(crate) struct Exchanged {
    body: Incoming,
    /// How long the upstream may say nothing.
    patience: Duration,
    silence: Option<Pin<Box<Sleep>>>,
    health: Option<Arc<Health>>,
    _place: OwnedSemaphorePermit,
}

impl Exchanged {
    pub(crate) fn new(body: Incoming, patience: Duration, place: OwnedSemaphorePermit) -> Self {
        Self { body, patience, silence: None, health: None, _place: place }
    }

    /// Tells when the body breaks off.
    pub(crate) fn told_to(mut self, health: Arc<Health>) -> Self {
        self.health = Some(health);
        self
    }
}

impl Body for Exchanged {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            let silence = this.silence.get_or_insert_with(|| Box::pin(sleep(this.patience)));
            ready!(silence.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Fault::Slow)));
        };
        this.silence = None;
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                let fault = Fault::Broken(error.into());
                if let Some(health) = &this.health {
                    health.fault(&fault);
                }
                fault
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What goes back to the client, or into the slot of an operation.
pub(crate) enum Answer {
    /// What has been read, or was said by the gateway itself.
    Whole(Bytes),
    /// What has been read, and the rest of it.
    Begun(Bytes, Exchanged),
}

impl From<Exchanged> for Answer {
    fn from(body: Exchanged) -> Self {
        Self::Begun(Bytes::new(), body)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let (Self::Whole(read) | Self::Begun(read, _)) = &mut *self;
        if !read.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(read)))));
        }
        match &mut *self {
            Self::Whole(_) => Poll::Ready(None),
            Self::Begun(_, rest) => Pin::new(rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(read) => read.is_empty(),
            Self::Begun(read, rest) => read.is_empty() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(read) => SizeHint::with_exact(read.len() as u64),
            Self::Begun(read, rest) if read.is_empty() => rest.size_hint(),
            Self::Begun(..) => SizeHint::default(),
        }
    }
}
