//! OData 4.01 JSON batches (OData JSON Format 4.01, section 19), and the `$batch` of Microsoft Graph, which is nearly the
//! same.
//!
//! Its media type is that of native JSON, whose reader tells the two apart: this one has a top-level member `requests`.

use http::StatusCode;

use super::{Encode, EncodeContext, Encoder, ResultOrder};

mod container;
mod members;
mod names;
mod request;
mod responses;

pub(super) use self::container::decode;

/// A dialect of `application/json`.
const DIALECT: &str = "odata";

/// Writes answers to batches that were read so.
#[derive(Debug)]
pub(crate) struct OData;

impl Encode for OData {
    fn media_types(&self) -> &[&'static str] {
        &["application/json"]
    }

    fn dialect(&self) -> Option<&'static str> {
        Some(DIALECT)
    }

    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    fn order(&self) -> ResultOrder {
        ResultOrder::Completion
    }

    fn begin(&self, cx: EncodeContext) -> Box<dyn Encoder> {
        Box::new(responses::Responses::new(cx))
    }
}
