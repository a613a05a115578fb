use std::{borrow::Cow, error::Error, fmt};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::Problem;

/// Why a whole batch was refused. Nothing of it ran.
///
/// It is answered as an `application/problem+json` document (RFC 9457), whatever the client accepts, unless
/// [`BatchLayer::with_rejection`](crate::BatchLayer::with_rejection) says otherwise.
///
/// | predicate | status |
/// |---|---|
/// | [`is_malformed`](Self::is_malformed) | 400 Bad Request |
/// | [`is_not_acceptable`](Self::is_not_acceptable) | 406 Not Acceptable |
/// | [`is_timeout`](Self::is_timeout) | 408 Request Timeout |
/// | [`is_too_large`](Self::is_too_large) | 413 Payload Too Large |
/// | [`is_unsupported_media_type`](Self::is_unsupported_media_type) | 415 Unsupported Media Type |
/// | [`is_misplaced`](Self::is_misplaced) | 500 Internal Server Error |
#[derive(Clone, Debug)]
pub struct Rejection(Box<Refusal>);

#[derive(Clone, Debug)]
struct Refusal {
    problem: Problem,
    /// Tells the client what it could have sent.
    hint: Option<(HeaderName, HeaderValue)>,
    /// A status can't tell: a format of the user's may have a 500 of its own.
    is_misplaced: bool,
}

impl Rejection {
    /// A 400: the batch can't be understood.
    #[must_use]
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::bad_request(detail).into()
    }

    pub(crate) fn not_acceptable(offered: &[&str]) -> Self {
        Problem::new(
            StatusCode::NOT_ACCEPTABLE,
            format!("`Accept` allows none of what a batch can be answered in: {}", offered.join(", ")),
        )
        .into()
    }

    pub(crate) fn timeout() -> Self {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "the batch did not arrive within its time limit; nothing of it ran")
            .into()
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a batch may have {limit} bytes at most; send several smaller ones"),
        )
        .into()
    }

    pub(crate) fn too_many(limit: usize) -> Self {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a batch may have {limit} operations at most; send several smaller ones"),
        )
        .into()
    }

    /// 415 with `Accept-Post` (W3C LDP §7.1), which tells what a POST may carry.
    pub(crate) fn unsupported_media_type(accepted: &[&str]) -> Self {
        let accepted = accepted.join(", ");
        let problem = Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!(
                "the `Content-Type` of a batch must be one of: {accepted} (and the charset, if any, utf-8; a parameter \
                 that has others than letters, digits and `-._+'` in quotes)"
            ),
        );
        Self::from(problem).hinting(HeaderName::from_static("accept-post"), &accepted)
    }

    /// 415 with `Accept-Encoding`, as RFC 9110 §15.5.16 has it for content codings.
    pub(crate) fn compressed() -> Self {
        let problem = Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a compressed batch is not understood: send it without `Content-Encoding`, or have the server \
             decompress requests in a layer outside of the batch layer",
        );
        Self::from(problem).hinting(header::ACCEPT_ENCODING, "identity")
    }

    pub(crate) fn empty() -> Self {
        Self::malformed("the batch is empty: it needs at least one operation")
    }

    pub(crate) fn nested() -> Self {
        Self::malformed("a batch can't be an operation of another batch")
    }

    pub(crate) fn misplaced() -> Self {
        let problem = Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "BatchLayer was given to axum's `Router::layer`, which wraps each route on its own, so that a batch would \
             never reach the other routes. Wrap the whole router instead: `router.batch(BatchLayer::new())` (feature \
             `axum`), or `Router::new().fallback_service(ServiceBuilder::new().layer(BatchLayer::new())\
             .service(router))`. If this really is what you want, say `.assume_whole_service()`",
        );
        Self(Box::new(Refusal { problem, hint: None, is_misplaced: true }))
    }

    fn hinting(mut self, name: HeaderName, value: &str) -> Self {
        self.0.hint = HeaderValue::from_str(value).ok().map(|value| (name, value));
        self
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.problem.status()
    }

    /// What is said to the client.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// The batch can't be read: syntax, container, an empty batch, duplicate ids, a nested batch.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        self.status() == StatusCode::BAD_REQUEST
    }

    /// `Accept` allows no format that the server writes.
    #[must_use]
    pub fn is_not_acceptable(&self) -> bool {
        self.status() == StatusCode::NOT_ACCEPTABLE
    }

    /// The batch timeout ended while the batch was still being read.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.status() == StatusCode::REQUEST_TIMEOUT
    }

    /// Too many bytes or too many operations.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        self.status() == StatusCode::PAYLOAD_TOO_LARGE
    }

    /// No format reads this `Content-Type`, or the body is compressed.
    #[must_use]
    pub fn is_unsupported_media_type(&self) -> bool {
        self.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE
    }

    /// The layer wraps a single axum route; a mistake of the server's author, not of the client.
    #[must_use]
    pub fn is_misplaced(&self) -> bool {
        self.0.is_misplaced
    }

    /// The answer that is sent where nobody said otherwise; a custom one may start from it.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.problem().to_json()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.0.hint.clone());
        response
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Refusal { problem, hint: None, is_misplaced: false }))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.problem())
    }
}

impl Error for Rejection {}
