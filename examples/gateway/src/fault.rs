//! What can go wrong between a request and its answer, which status that is, and whether the request was sent.

use std::{error::Error, fmt};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use tower::BoxError;

/// Why there is no answer of an upstream.
#[derive(Debug)]
pub(crate) enum Fault {
    /// There was no connection: nothing was sent.
    Refused(BoxError),
    /// It was sent, or a part of it, and then the connection broke, or what came was no HTTP.
    Broken(BoxError),
    /// The body of the request could not be read to its end: that is the client's doing.
    Body(BoxError),
    /// The client has stopped to send the body of its request.
    Stalled,
    /// No answer in time.
    Slow,
    /// There is no upstream that takes connections, and so nothing was sent.
    AllDown,
    /// The request is no such as can be sent on.
    Unfit(BoxError),
}

impl Fault {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Refused(_) | Self::Broken(_) => StatusCode::BAD_GATEWAY,
            Self::Body(_) | Self::Unfit(_) => StatusCode::BAD_REQUEST,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::Slow => StatusCode::GATEWAY_TIMEOUT,
            Self::AllDown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn detail(&self) -> &'static str {
        match self {
            Self::Refused(_) => "no connection to the upstream; the request was not sent",
            Self::Broken(_) => "the upstream broke off the exchange; the request may have been carried out",
            Self::Body(_) => "the body of the request could not be read to its end",
            Self::Stalled => "the body of the request has not come in time",
            Self::Slow => "no upstream answered in time; the request may have been carried out",
            Self::AllDown => "no upstream can be reached; the request was not sent",
            Self::Unfit(_) => "the request can't be sent on",
        }
    }
}

/// The fault behind an error. The stack's own errors are faults; a buffer that has ended is the one that isn't.
fn fault<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Fault> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

/// The status of an error, for the batch layer and for requests that come alone.
pub(crate) fn status(error: &(dyn Error + 'static)) -> StatusCode {
    fault(error).map_or_else(|| tower_multistatus::fault::gateway(error), Fault::status)
}

/// The answer to a request that came alone.
pub(crate) fn answer(error: &BoxError) -> Response<Bytes> {
    let detail = fault(error.as_ref()).map_or("the gateway could not send the request on", Fault::detail);
    problem(status(error.as_ref()), detail)
}

/// An answer of the gateway itself (RFC 9457). `detail` has nothing that JSON would escape.
pub(crate) fn problem(status: StatusCode, detail: &'static str) -> Response<Bytes> {
    let title = status.canonical_reason().unwrap_or_default();
    let code = status.as_u16();
    let body = format!(r#"{{"type":"about:blank","title":"{title}","status":{code},"detail":"{detail}"}}"#);
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(cause) | Self::Broken(cause) | Self::Body(cause) | Self::Unfit(cause) => Some(cause.as_ref()),
            Self::Stalled | Self::Slow | Self::AllDown => None,
        }
    }
}
