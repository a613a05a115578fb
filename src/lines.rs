//! The lines of a body, while it arrives.

use std::{
    future::poll_fn,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use memchr::memchr;
use tower::BoxError;

use crate::rejection::Rejection;

/// A body that is always ready would otherwise hold the executor.
const FRAMES_PER_POLL: usize = 32;

/// One line at a time. No more is read of the body than that takes, so whoever sends it is slowed down.
pub(crate) struct Lines {
    body: UnsyncBoxBody<Bytes, BoxError>,
    /// Bytes that a line may have.
    limit: usize,
    /// What of the last frame has not been looked at.
    rest: Bytes,
    /// The beginning of a line of which the end has not come.
    begun: Vec<u8>,
    /// That line is too long, which has been told.
    skips: bool,
    /// Nothing more comes.
    end: Option<End>,
    frames: usize,
}

pub(crate) enum Line {
    /// Without its end.
    Whole(Bytes),
    TooLong,
    /// The body broke off here, perhaps within a line.
    Broken(BoxError),
}

impl Line {
    /// How many bytes had to be looked at for it, at least.
    pub(crate) fn cost(&self, limit: usize) -> usize {
        match self {
            Self::Whole(line) => line.len(),
            Self::TooLong => limit,
            Self::Broken(_) => 0,
        }
    }
}

enum End {
    Whole,
    Broken(Option<BoxError>),
}

impl Lines {
    /// Asks for the beginning of the body, and waits one turn for it: then a client that has sent `Expect: 100-continue` is
    /// told to go on, as it would not be once the head of the answer has been sent.
    ///
    /// A body of which it is known from the start that it is empty is refused; of others it is known too late.
    pub(crate) async fn begin<B>(body: B, limit: usize) -> Result<Self, Rejection>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let mut lines = Self {
            body: body.map_err(Into::into).boxed_unsync(),
            limit,
            rest: Bytes::new(),
            begun: Vec::new(),
            skips: false,
            end: None,
            frames: 0,
        };
        if lines.body.is_end_stream() {
            return Err(Rejection::empty());
        }
        let mut has_asked = false;
        poll_fn(|cx| {
            if lines.fill(cx).is_ready() || mem::replace(&mut has_asked, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        Ok(lines)
    }

    /// The next line; `None` behind the last one.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Line>> {
        loop {
            if let Some(line) = self.take() {
                self.frames = 0;
                return Poll::Ready(Some(line));
            }
            if let Some(end) = &mut self.end {
                let begun = mem::take(&mut self.begun);
                return Poll::Ready(match end {
                    End::Broken(error) => error.take().map(Line::Broken),
                    End::Whole if begun.is_empty() => None,
                    End::Whole => Some(line(begun.into_boxed_slice().into())),
                });
            }
            ready!(self.fill(cx));
        }
    }

    /// A line out of what is there.
    fn take(&mut self) -> Option<Line> {
        loop {
            let end = memchr(b'\n', &self.rest);
            let piece = &self.rest[..end.unwrap_or(self.rest.len())];
            let is_too_long = self.begun.len() + piece.len() > self.limit;
            let line = match end {
                _ if self.skips => None,
                _ if is_too_long => Some(Line::TooLong),
                // By a copy of its own, for a slice of the frame would keep all of it in memory.
                Some(_) if self.begun.is_empty() => Some(line(Bytes::copy_from_slice(piece))),
                Some(_) => {
                    self.begun.extend_from_slice(piece);
                    Some(line(mem::take(&mut self.begun).into_boxed_slice().into()))
                }
                None => {
                    self.begun.extend_from_slice(piece);
                    None
                }
            };
            if is_too_long {
                self.begun = Vec::new();
            }
            self.rest.advance(end.map_or(self.rest.len(), |end| end + 1));
            self.skips = end.is_none() && (self.skips || is_too_long);
            if line.is_some() || end.is_none() {
                return line;
            }
        }
    }

    /// Waits for more of the body.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.end.is_some() {
            return Poll::Ready(());
        }
        if self.frames == FRAMES_PER_POLL {
            self.frames = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.frames = 0;
            return Poll::Pending;
        };
        self.frames += 1;
        match frame {
            Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
            Some(Err(error)) => self.end = Some(End::Broken(Some(error))),
            None => self.end = Some(End::Whole),
        }
        Poll::Ready(())
    }
}

fn line(mut line: Bytes) -> Line {
    if line.ends_with(b"\r") {
        line.truncate(line.len() - 1);
    }
    Line::Whole(line)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    use super::*;

    /// The lines of a body that comes in these pieces, as text.
    async fn lines(pieces: Vec<Vec<u8>>, limit: usize) -> Vec<String> {
        let frames = pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(piece))));
        let Ok(mut lines) = Lines::begin(StreamBody::new(stream::iter(frames)), limit).await else { return Vec::new() };
        let mut all = Vec::new();
        while let Some(line) = poll_fn(|cx| lines.poll_next(cx)).await {
            all.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(&line).into_owned(),
                Line::TooLong => "too long".to_owned(),
                Line::Broken(error) => error.to_string(),
            });
        }
        all
    }

    /// The same, read in the plainest way.
    fn expected(body: &[u8], limit: usize) -> Vec<String> {
        let mut lines: Vec<_> = body.split(|&byte| byte == b'\n').collect();
        if lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
        let text = |line: &[u8]| {
            if line.len() > limit {
                return "too long".to_owned();
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            String::from_utf8_lossy(line).into_owned()
        };
        lines.into_iter().map(text).collect()
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_body_is_cut(
            body in "[ab \r\n\t]{0,60}",
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            limit in 0usize..8,
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| body.as_bytes()[cut[0]..cut[1]].to_vec()).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert_eq!(runtime.block_on(lines(pieces, limit)), expected(body.as_bytes(), limit));
        }
    }
}
