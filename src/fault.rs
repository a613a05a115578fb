//! Which status an error of the inner service is.
//!
//! An error inside a batch is one operation's outcome. [`status`] is what decides by default; a gateway, where an
//! error means that an upstream could not be reached, says
//! [`with_error_status`](crate::BatchLayer::with_error_status)`(fault::gateway)`. The error's text never reaches the
//! client; with the feature `tracing` it is logged.

use std::error::Error;

use http::StatusCode;
use tower::{BoxError, load_shed::error::Overloaded, timeout::error::Elapsed};

/// 503 for an overload, 504 for a time-out, 500 for all else.
///
/// The causes are looked through too, so that what `Buffer` passes on is found.
///
/// ```
/// use http::StatusCode;
/// use tower::load_shed::error::Overloaded;
/// use tower_multistatus::fault;
///
/// assert_eq!(fault::status(&Overloaded::new()), StatusCode::SERVICE_UNAVAILABLE);
/// assert_eq!(fault::status(&std::fmt::Error), StatusCode::INTERNAL_SERVER_ERROR);
/// assert_eq!(fault::gateway(&std::fmt::Error), StatusCode::BAD_GATEWAY);
/// ```
#[must_use]
pub fn status(error: &(dyn Error + 'static)) -> StatusCode {
    known(error).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// 503 for an overload, 504 for a time-out, 502 for all else.
#[must_use]
pub fn gateway(error: &(dyn Error + 'static)) -> StatusCode {
    known(error).unwrap_or(StatusCode::BAD_GATEWAY)
}

fn known(error: &(dyn Error + 'static)) -> Option<StatusCode> {
    causes(error).find_map(|cause| {
        if cause.is::<Overloaded>() {
            Some(StatusCode::SERVICE_UNAVAILABLE)
        } else if cause.is::<Elapsed>() || cause.is::<tokio::time::error::Elapsed>() {
            Some(StatusCode::GATEWAY_TIMEOUT)
        } else {
            None
        }
    })
}

/// An error, and what caused it, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Whether a body was ended by a limit that stands outside of the batch layer.
pub(crate) fn is_length_limit(error: &BoxError) -> bool {
    causes(error.as_ref()).any(|cause| cause.is::<http_body_util::LengthLimitError>())
}
