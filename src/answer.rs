use std::mem;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::{
    batch::{Memberships, Slot, State},
    cookies::Cookies,
    format::{Encode, EncodeContext, Encoder, ResultOrder},
    window::Window,
};

/// When the first operation of a large batch ends last, all others wait to be written: not in one go, for others than
/// this task want their turn.
const OUTCOMES_AT_A_TIME: usize = 64;

/// One answer in the making.
///
/// In request order each outcome is written, and what it held is freed, as soon as all before it are written: only what
/// has overtaken others waits in memory.
pub(crate) struct Answer {
    encoder: Box<dyn Encoder>,
    order: ResultOrder,
    status: StatusCode,
    groups: Memberships,
    /// None are kept where the head has been sent already.
    cookies: Option<Cookies>,
    body: Vec<u8>,
    written: usize,
    /// Bytes of the bodies that were written, and are no longer in memory.
    freed: usize,
}

impl Answer {
    pub(crate) fn begin(format: &dyn Encode, cx: EncodeContext, groups: Memberships) -> Self {
        let status = cx.status(format);
        let (mut encoder, mut body) = (format.begin(cx), Vec::with_capacity(1024));
        encoder.start(&mut body);
        Self {
            encoder,
            order: format.order(),
            status,
            groups,
            cookies: Some(Cookies::default()),
            body,
            written: 0,
            freed: 0,
        }
    }

    /// Writes what can be written by now, in request order, or a part of it. Whether there may be more.
    pub(crate) fn write(&mut self, slots: &mut Window<Slot>) -> bool {
        for _ in 0..OUTCOMES_AT_A_TIME {
            let Some(slot) = slots.get_mut(self.written).filter(|slot| slot.is_done()) else { return false };
            self.write_one(self.written, slot);
        }
        true
    }

    /// Writes one outcome, and frees what it held.
    pub(crate) fn write_one(&mut self, index: usize, slot: &mut Slot) {
        for cookie in slot.take_cookies() {
            if let Some(cookies) = &mut self.cookies {
                cookies.set(cookie);
            }
        }
        if let Some(outcome) = slot.outcome(index) {
            self.freed += outcome.response().map_or(0, |response| response.body().len());
            self.encoder.outcome(outcome.within(&self.groups), &mut self.body);
        }
        slot.state = State::Written;
        // It is a part of what the batch was read from, and would keep all of that in memory.
        slot.label.target = None;
        self.written += 1;
    }

    /// The order of results, where they are sent as they come.
    pub(crate) fn order(&self) -> ResultOrder {
        self.order
    }

    /// What may stand between results without a meaning.
    pub(crate) fn keep_alive(&self) -> &'static [u8] {
        self.encoder.keep_alive()
    }

    /// What has been written so far, and not been taken yet.
    pub(crate) fn take(&mut self) -> Bytes {
        mem::take(&mut self.body).into()
    }

    /// How many bytes of bodies have been freed by writing since this was asked the last time.
    pub(crate) fn take_freed(&mut self) -> usize {
        mem::take(&mut self.freed)
    }

    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }

    /// Writes what stands behind the last outcome.
    pub(crate) fn end(&mut self) {
        self.encoder.finish(&mut self.body);
    }

    pub(crate) fn finish(mut self) -> Response<Bytes> {
        self.end();
        let mut response = self.head().map(|()| self.body.into());
        response.headers_mut().extend(self.cookies.map(Cookies::into_headers).unwrap_or_default());
        response
    }

    pub(crate) fn without_cookies(mut self) -> Self {
        self.cookies = None;
        self
    }

    /// The answer without its body, and without cookies.
    pub(crate) fn head(&self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, self.encoder.content_type());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
