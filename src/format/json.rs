//! The crate's own format: a list of operations in, a list of results out.

use bytes::Bytes;

use super::{Decode, Encode, EncodeContext, Encoder, ResultOrder};
use crate::{batch::Batch, builder::DecodeContext, rejection::Rejection};

mod container;
mod name;
mod operation;
mod results;
pub(super) mod values;

#[cfg(feature = "ndjson")]
pub(super) use self::operation::read as read_operation;
pub(super) use self::results::Results;
#[cfg(feature = "odata")]
pub(super) use self::{
    name::Name,
    operation::{MOST_UNKNOWN, too_many_members},
    results::write,
};

/// Reads and writes native JSON.
#[derive(Debug)]
pub(crate) struct Json;

impl Decode for Json {
    fn media_types(&self) -> &[&'static str] {
        &["application/json"]
    }

    fn accepts(&self, media_type: &str) -> bool {
        media_type == "application/json" || media_type.ends_with("+json")
    }

    fn decode(&self, cx: DecodeContext<'_>, body: Bytes) -> Result<Batch, Rejection> {
        container::decode(cx, &body)
    }
}

impl Encode for Json {
    fn media_types(&self) -> &[&'static str] {
        &["application/json"]
    }

    fn order(&self) -> ResultOrder {
        ResultOrder::Completion
    }

    fn begin(&self, cx: EncodeContext) -> Box<dyn Encoder> {
        Box::new(Results::new(cx))
    }
}
