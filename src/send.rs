//! One sub-request, from the inner service's readiness to the last byte of its response.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, response::Parts};
use pin_project_lite::pin_project;
use tower::{BoxError, ServiceExt, util::Oneshot};

use crate::{
    batch::Verdict,
    body::{ReadError, RequestBody, Whole},
    config::Config,
    problem::Problem,
    service::Inner,
    watch,
};

/// What all sub-requests of one batch share.
#[derive(Debug)]
pub(crate) struct Means {
    config: Arc<Config>,
    /// Bytes that the answer may still get.
    left: AtomicUsize,
}

impl Means {
    pub(crate) fn new(config: Arc<Config>) -> Arc<Self> {
        let left = AtomicUsize::new(config.limits.response_bytes);
        Arc::new(Self { config, left })
    }
}

pin_project! {
    /// One sub-request on its way. Whatever goes wrong is its verdict; no error and no panic gets past this.
    ///
    /// By hand rather than as an `async fn`, for each one is moved a few times before it is polled, and this is a
    /// third of the size.
    pub(crate) struct Send<S, B>
    where
        S: Inner<B>,
        B: std::marker::Send,
        B: 'static,
    {
        #[pin]
        state: State<S, B>,
        means: Arc<Means>,
        is_head: bool,
        // Bytes that the response has taken of the answer's; given back when it doesn't get there.
        charged: usize,
    }

    impl<S, B> PinnedDrop for Send<S, B>
    where
        S: Inner<B>,
        B: std::marker::Send,
        B: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            if this.charged > 0 {
                this.means.left.fetch_add(this.charged, Relaxed);
            }
        }
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Inner<B>,
        B: std::marker::Send,
        B: 'static,
    {
        Calling {
            #[pin]
            call: Oneshot<S, Request<RequestBody<B>>>,
        },
        Reading {
            head: Option<Parts>,
            #[pin]
            body: Whole<S::ResponseBody>,
        },
        Ended,
    }
}

/// Sends one sub-request.
///
/// The service is readied in the operation's own future: one that waits for its turn holds nothing that another one
/// needs.
#[inline]
pub(crate) fn send<S, B>(service: S, request: Request<Option<Bytes>>, means: Arc<Means>) -> Send<S, B>
where
    S: Inner<B>,
    B: std::marker::Send + 'static,
{
    let is_head = *request.method() == Method::HEAD;
    let call = service.oneshot(request.map(RequestBody::operation));
    Send { state: State::Calling { call }, means, is_head, charged: 0 }
}

impl<S, B> Future for Send<S, B>
where
    S: Inner<B>,
    B: std::marker::Send + 'static,
{
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.as_mut().poll_verdict(cx)));
        if matches!(polled, Ok(Poll::Pending)) {
            return Poll::Pending;
        }
        // Nothing of the service is looked at again after a panic. It may panic once more on its way down.
        let ended = catch_unwind(AssertUnwindSafe(|| self.project().state.set(State::Ended)));
        polled.and_then(|verdict| ended.map(|()| verdict)).unwrap_or_else(|_| {
            watch::cause("the inner service panicked", &"see the panic's own message");
            Poll::Ready(Err(Box::new(failure(StatusCode::INTERNAL_SERVER_ERROR))))
        })
    }
}

impl<S, B> Send<S, B>
where
    S: Inner<B>,
    B: std::marker::Send + 'static,
{
    fn poll_verdict(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Ended => return Poll::Ready(Err(Box::new(failure(StatusCode::INTERNAL_SERVER_ERROR)))),
                StateProj::Calling { call } => match ready!(call.poll(cx)) {
                    Ok(response) => {
                        let (head, body) = response.into_parts();
                        // As a server would on a connection (RFC 9110 §6.4.1): these have no content, whatever the
                        // service says.
                        if *this.is_head || has_no_content(head.status) {
                            return Poll::Ready(Ok(Response::from_parts(head, Bytes::new())));
                        }
                        this.state.set(State::Reading { head: Some(head), body: Whole::new(body) });
                    }
                    Err(error) => return Poll::Ready(Err(Box::new(fault(&this.means.config, &error.into())))),
                },
                StateProj::Reading { head, body } => {
                    let charge = |bytes| {
                        let left = this.means.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes));
                        *this.charged += if left.is_ok() { bytes } else { 0 };
                        left.is_ok()
                    };
                    let read = ready!(body.poll_read(cx, charge));
                    return Poll::Ready(match (read, head.take()) {
                        (Ok(body), Some(head)) => {
                            *this.charged = 0;
                            Ok(Response::from_parts(head, body))
                        }
                        (Err(ReadError::Body(error)), _) => Err(Box::new(fault(&this.means.config, &error))),
                        (Err(ReadError::TooLarge), _) => Err(Box::new(over_budget(this.means))),
                        (Ok(_), None) => Err(Box::new(failure(StatusCode::INTERNAL_SERVER_ERROR))),
                    });
                }
            }
        }
    }
}

/// RFC 9110 §15.3.5, §15.3.6 and §15.4.5.
fn has_no_content(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The error's text is for the server's log only.
fn fault(config: &Config, error: &BoxError) -> Problem {
    watch::cause("the inner service failed", error);
    failure((config.error_status)(error))
}

fn failure(status: StatusCode) -> Problem {
    Problem::new(
        status,
        match status {
            StatusCode::SERVICE_UNAVAILABLE => "the service is overloaded: try again later",
            StatusCode::GATEWAY_TIMEOUT => {
                "the service did not answer in time; the operation may have been carried out"
            }
            StatusCode::BAD_GATEWAY => "the upstream service could not be reached, or broke off its answer",
            _ => "the service failed at this operation",
        },
    )
}

fn over_budget(means: &Means) -> Problem {
    let limit = means.config.limits.response_bytes;
    Problem::new(
        StatusCode::INSUFFICIENT_STORAGE,
        format!(
            "the operation was carried out, but with its result the answer would have more than {limit} bytes: read \
             the result in a batch of fewer operations, or alone"
        ),
    )
}
