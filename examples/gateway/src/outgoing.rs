//! The body of a request on its way to an upstream.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;
use tower::BoxError;
use tower_multistatus::RequestBody;

/// The body of an operation, or of a request that came alone; that one is passed on as it comes.
pub(crate) struct Outgoing {
    body: RequestBody<Incoming>,
    /// Of a body that is still coming.
    upload: Option<Arc<Upload>>,
}

impl Outgoing {
    pub(crate) fn new(body: RequestBody<Incoming>) -> Self {
        let comes = !body.is_end_stream() && body.try_clone().is_none();
        Self { body, upload: comes.then(Arc::default) }
    }

    /// A copy, to send it again. What comes from a client's connection can't be had twice.
    pub(crate) fn try_clone(&self) -> Option<Self> {
        let body = if self.body.is_end_stream() { RequestBody::default() } else { self.body.try_clone()? };
        Some(Self { body, upload: None })
    }

    pub(crate) fn upload(&self) -> Option<Arc<Upload>> {
        self.upload.clone()
    }
}

/// How far the body of a request is.
#[derive(Debug, Default)]
pub(crate) struct Upload(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    /// When the last piece of it came.
    pub(crate) moved: Option<Instant>,
    /// The upstream would take more, and the client sends nothing.
    pub(crate) awaits_client: bool,
}

impl Upload {
    pub(crate) fn state(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, moved: bool, awaits_client: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.awaits_client = awaits_client;
        if moved {
            state.moved = Some(Instant::now());
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(upload) = &self.upload {
            upload.set(polled.is_ready(), polled.is_pending());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
