//! `multipart/mixed` batches (RFC 2046 §5.1) of `application/http` parts: those of OData, in which a nested multipart is an
//! atomic change set (OData Protocol 4.01, section 11.7.7), and those of Google.
//!
//! What a client sends as `multipart/mixed` is answered so whatever it accepts: those that send it name in `Accept` what the
//! parts shall be.

use bytes::Bytes;
use http::StatusCode;

use super::{Decode, Encode, EncodeContext, Encoder, Reply};
use crate::{batch::Batch, builder::DecodeContext, parts::MEDIA_TYPE, rejection::Rejection};

mod content_ids;
mod request;
mod requests;
mod responses;

/// Reads batches.
#[derive(Debug)]
pub(crate) struct Multipart;

impl Decode for Multipart {
    fn media_types(&self) -> &[&'static str] {
        &[MEDIA_TYPE]
    }

    fn reply(&self) -> Reply {
        Reply::Always(MEDIA_TYPE)
    }

    fn decode(&self, cx: DecodeContext<'_>, body: Bytes) -> Result<Batch, Rejection> {
        requests::decode(cx, &body)
    }
}

/// What an answer looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// One for each operation.
    Flat,
    /// Built like the request: a change set that was carried out is one part with parts in it, and one that was not is one
    /// part. So clients of this format have it, who tell by the place which response is whose.
    Nested,
}

/// How a batch says that it has change sets.
const DIALECT: &str = "change sets";

impl Encode for Layout {
    fn media_types(&self) -> &[&'static str] {
        &[MEDIA_TYPE]
    }

    fn dialect(&self) -> Option<&'static str> {
        matches!(self, Self::Nested).then_some(DIALECT)
    }

    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn begin(&self, cx: EncodeContext) -> Box<dyn Encoder> {
        Box::new(responses::Responses::new(cx, *self))
    }
}
