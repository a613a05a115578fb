use std::{future::poll_fn, pin::pin, task::Poll};

use bytes::Bytes;
use http_body::Body;
use tokio::time::Instant;
use tower::BoxError;

use crate::{
    body::{ReadError, Whole},
    fault,
    rejection::Rejection,
    timer::Timer,
    watch,
};

/// Reads a batch's body whole, within its limit and its time.
pub(crate) async fn read<B>(body: B, limit: usize, deadline: Instant) -> Result<Bytes, Rejection>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(Rejection::too_large(limit));
    }
    let (mut left, mut whole, mut timer) = (limit, pin!(Whole::new(body)), Timer::default());
    let mut charge = |bytes| left.checked_sub(bytes).map(|rest| left = rest).is_some();
    let read = poll_fn(|cx| match whole.as_mut().poll_read(cx, &mut charge) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        Poll::Pending => timer.poll_until(deadline, cx).map(|()| None),
    });
    match read.await {
        // Trailers of a batch are nobody's.
        Some(Ok((bytes, _))) => Ok(bytes),
        Some(Err(ReadError::TooLarge)) => Err(Rejection::too_large(limit)),
        Some(Err(ReadError::Body(error))) if fault::is_length_limit(&error) => Err(Rejection::too_large(limit)),
        Some(Err(ReadError::Body(error))) => {
            watch::cause("the batch could not be read", &error);
            Err(Rejection::malformed("the batch broke off before its end; nothing of it ran"))
        }
        None => Err(Rejection::timeout()),
    }
}
