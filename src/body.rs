//! The bodies on both sides of the layer.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full};
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
        inner: Either<R, Full<Bytes>>,
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

    pub(crate) fn multistatus(bytes: Bytes) -> Self {
        Self { inner: Either::Right(Full::new(bytes)) }
    }

    #[cfg(feature = "axum")]
    pub(crate) fn into_inner(self) -> Either<R, Full<Bytes>> {
        self.inner
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

/// Reads a body whole. `charge` is asked before each piece is kept. Trailers are passed over.
pub(crate) async fn read<B>(body: B, charge: impl FnMut(usize) -> bool) -> Result<Bytes, ReadError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut pieces = Pieces { body: pin!(body), charge, taken: 0 };
    // Nearly every body is one frame, which is then taken as it is, without a copy.
    let Some(first) = pieces.next().await? else { return Ok(Bytes::new()) };
    let Some(second) = pieces.next().await? else { return Ok(first) };
    let mut whole = BytesMut::with_capacity(first.len() + second.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(more) = pieces.next().await? {
        whole.extend_from_slice(&more);
    }
    Ok(whole.freeze())
}

struct Pieces<'a, B, C> {
    body: Pin<&'a mut B>,
    charge: C,
    taken: usize,
}

impl<B, C> Pieces<'_, B, C>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
    C: FnMut(usize) -> bool,
{
    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        while !self.body.is_end_stream() {
            self.taken += 1;
            // A body that is always ready and never ends would otherwise hold the executor, and no time-out could end it.
            if self.taken % 32 == 0 {
                yield_now().await;
            }
            let Some(frame) = self.body.frame().await else { break };
            let Ok(data) = frame.map_err(|error| ReadError::Body(error.into()))?.into_data() else { continue };
            if !(self.charge)(data.len()) {
                return Err(ReadError::TooLarge);
            }
            return Ok(Some(data));
        }
        Ok(None)
    }
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
