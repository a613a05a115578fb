use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::{
    batch::{Slot, State},
    cookies::Cookies,
    format::{EncodeContext, Encoder},
    negotiate::Formats,
};

/// When the first operation of a large batch ends last, all others wait to be written: not in one go, for others than
/// this task want their turn.
const OUTCOMES_AT_A_TIME: usize = 64;

/// One answer in the making, in request order.
///
/// Each outcome is written, and what it held is freed, as soon as all before it are written: only what has overtaken
/// others waits in memory.
pub(crate) struct Answer {
    encoder: Box<dyn Encoder>,
    status: StatusCode,
    cookies: Cookies,
    body: Vec<u8>,
    written: usize,
}

impl Answer {
    pub(crate) fn begin(formats: &Formats<'_>, cx: EncodeContext) -> Self {
        let (mut encoder, mut body) = (formats.encoder.begin(cx), Vec::with_capacity(1024));
        encoder.start(&mut body);
        Self { encoder, status: formats.encoder.status(), cookies: Cookies::default(), body, written: 0 }
    }

    /// Writes what can be written by now, or a part of it. Whether there may be more.
    pub(crate) fn write(&mut self, slots: &mut [Slot]) -> bool {
        for _ in 0..OUTCOMES_AT_A_TIME {
            let Some(slot) = slots.get_mut(self.written).filter(|slot| slot.is_done()) else { return false };
            for cookie in slot.take_cookies() {
                self.cookies.set(cookie);
            }
            if let Some(outcome) = slot.outcome(self.written) {
                self.encoder.outcome(outcome, &mut self.body);
            }
            slot.state = State::Written;
            self.written += 1;
        }
        true
    }

    pub(crate) fn finish(mut self) -> Response<Bytes> {
        self.encoder.finish(&mut self.body);
        let mut response = Response::new(self.body.into());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.cookies.into_headers();
        response.headers_mut().insert(header::CONTENT_TYPE, self.encoder.content_type());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
