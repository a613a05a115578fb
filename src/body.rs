//! The bodies on both sides of the layer.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use pin_project_lite::pin_project;
use tower::BoxError;

pin_project! {
    /// The body of what reaches the inner service: the body of a request that is no batch, untouched, or that of an
    /// operation.
    #[derive(Debug)]
    pub struct RequestBody<B> {
        #[pin]
        inner: Either<B, Full<Bytes>>,
    }
}

pin_project! {
    /// The body of an answer: that of the inner service, untouched, or a multistatus.
    #[derive(Debug)]
    pub struct ResponseBody<R> {
        #[pin]
        inner: Either<R, Ours>,
    }
}

/// A multistatus.
pub(crate) enum Ours {
    Whole(Full<Bytes>),
    /// What drives the batch while it is read. Nobody ever waits for the lock: it is there because bodies are shared
    /// between threads by reference, and what runs in a batch can't be.
    Streamed(Mutex<Box<dyn Chunks>>),
}

/// A body in the making.
pub(crate) trait Chunks: Send {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>>;

    /// Goes on with what has begun, while there is no room for another chunk.
    #[cfg(feature = "spawn")]
    fn poll_begun(&mut self, _cx: &mut Context<'_>) {}
}

/// Empty. Some layers make a body of their own and need this.
impl<B> Default for RequestBody<B> {
    fn default() -> Self {
        Self::operation(None)
    }
}

/// Empty. Some layers make a body of their own and need this.
impl<R> Default for ResponseBody<R> {
    fn default() -> Self {
        Self::multistatus(Bytes::new().into())
    }
}

impl<B> From<Bytes> for RequestBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self::operation(Some(bytes))
    }
}

impl<B> RequestBody<B> {
    pub(crate) fn untouched(body: B) -> Self {
        Self { inner: Either::Left(body) }
    }

    pub(crate) fn operation(body: Option<Bytes>) -> Self {
        Self { inner: Either::Right(body.map(Full::new).unwrap_or_default()) }
    }

    /// A copy, for services inside that send a request again, such as retries. Only the body of an operation has one.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        match &self.inner {
            Either::Left(_) => None,
            Either::Right(bytes) => Some(Self { inner: Either::Right(bytes.clone()) }),
        }
    }

    #[cfg(feature = "axum")]
    pub(crate) fn into_inner(self) -> Either<B, Full<Bytes>> {
        self.inner
    }
}

impl<R> ResponseBody<R> {
    pub(crate) fn untouched(body: R) -> Self {
        Self { inner: Either::Left(body) }
    }

    pub(crate) fn multistatus(ours: Ours) -> Self {
        Self { inner: Either::Right(ours) }
    }

    #[cfg(feature = "axum")]
    pub(crate) fn into_inner(self) -> Either<R, Ours> {
        self.inner
    }
}

impl From<Bytes> for Ours {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

impl Ours {
    pub(crate) fn streamed(chunks: impl Chunks + 'static) -> Self {
        Self::Streamed(Mutex::new(Box::new(chunks)))
    }
}

impl fmt::Debug for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => bytes.fmt(f),
            Self::Streamed(_) => f.debug_struct("Streamed").finish_non_exhaustive(),
        }
    }
}

impl Body for Ours {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Whole(bytes) => Pin::new(bytes).poll_frame(cx).map_err(Into::into),
            Self::Streamed(chunks) => {
                let chunks = chunks.get_mut().unwrap_or_else(PoisonError::into_inner);
                chunks.poll_chunk(cx).map_ok(Frame::data)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_end_stream(),
            Self::Streamed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => bytes.size_hint(),
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<R> Body for ResponseBody<R>
where
    R: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Why a body could not be read to its end.
#[derive(Debug)]
pub(crate) enum ReadError {
    TooLarge,
    Body(BoxError),
}

/// In a box, for hardly any body has them.
pub(crate) type Trailers = Option<Box<HeaderMap>>;

pin_project! {
    /// Reads a body whole.
    pub(crate) struct Whole<B> {
        #[pin]
        body: B,
        // Nearly every body is one frame, which is then taken as it is, without a copy.
        first: Bytes,
        all: Vec<u8>,
        frames_in_a_row: usize,
        trailers: Trailers,
    }
}

impl<B> Whole<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    pub(crate) fn new(body: B) -> Self {
        Self { body, first: Bytes::new(), all: Vec::new(), frames_in_a_row: 0, trailers: None }
    }

    /// The body, and its trailers. `charge` is asked before each piece is kept.
    #[inline]
    pub(crate) fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut charge: impl FnMut(usize) -> bool,
    ) -> Poll<Result<(Bytes, Trailers), ReadError>> {
        let mut this = self.project();
        while !this.body.is_end_stream() {
            // A body that is always ready and never ends would otherwise hold the executor, and no time-out could end it.
            if *this.frames_in_a_row == 32 {
                *this.frames_in_a_row = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Poll::Ready(frame) = this.body.as_mut().poll_frame(cx) else {
                *this.frames_in_a_row = 0;
                return Poll::Pending;
            };
            let Some(frame) = frame else { break };
            *this.frames_in_a_row += 1;
            let data = match frame.map_err(|error| ReadError::Body(error.into()))?.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    *this.trailers = frame.into_trailers().ok().map(Box::new);
                    continue;
                }
            };
            if !charge(data.len()) {
                return Poll::Ready(Err(ReadError::TooLarge));
            }
            if this.first.is_empty() {
                *this.first = data;
                continue;
            }
            if this.all.is_empty() {
                this.all.reserve(this.first.len() + data.len());
                this.all.extend_from_slice(this.first);
            }
            this.all.extend_from_slice(&data);
        }
        let all = mem::take(this.all);
        let all = if all.is_empty() { mem::take(this.first) } else { all.into() };
        Poll::Ready(Ok((all, this.trailers.take())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Users box our bodies in ways that need these; what drives a running batch must not take them away.
    #[test]
    fn bodies_are_as_easy_to_handle_as_what_they_wrap() {
        fn easy<T: Send + Sync + Unpin>() {}
        easy::<RequestBody<Full<Bytes>>>();
        easy::<ResponseBody<Full<Bytes>>>();
        easy::<Ours>();
    }
}
