//! One sub-request, from the inner service's readiness to the last byte of its response.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicIsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, response::Parts};
use pin_project_lite::pin_project;
use tower::{BoxError, ServiceExt, util::Oneshot};

use crate::{
    batch::Verdict,
    body::{ReadError, RequestBody, Trailers, Whole},
    config::Config,
    grpc::Call,
    problem::Problem,
    service::Inner,
    unwind::caught,
    watch,
};

/// What all sub-requests of one batch share.
#[derive(Debug)]
pub(crate) struct Budget {
    config: Arc<Config>,
    scope: Scope,
    /// Bytes that there is still room for.
    left: AtomicIsize,
}

/// Which bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those of an answer that is sent when it is whole.
    Answer,
    /// Those that are held at once of an answer that is streamed.
    Held,
    /// Those of lines and results that are held at once. They only keep others from being read: what runs can't wait for
    /// room, or all that run might wait for each other. So each result has a limit of its own.
    InFlight,
}

impl Budget {
    pub(crate) fn new(config: Arc<Config>, scope: Scope) -> Arc<Self> {
        let limit = match scope {
            Scope::Answer | Scope::Held => config.limits.response_bytes,
            Scope::InFlight => config.limits.in_flight_bytes,
        };
        Arc::new(Self { config, scope, left: AtomicIsize::new(signed(limit)) })
    }

    /// Whether not all is taken.
    pub(crate) fn has_room(&self) -> bool {
        self.left.load(Relaxed) > 0
    }

    /// For what is held in any case.
    pub(crate) fn take(&self, bytes: usize) {
        self.left.fetch_sub(signed(bytes), Relaxed);
    }

    /// For what doesn't get into the answer after all, or has been sent.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.left.fetch_add(signed(bytes), Relaxed);
    }

    /// Takes bytes for a response that has taken `taken` already; whether it may have them.
    #[inline]
    fn charge(&self, bytes: usize, taken: usize) -> bool {
        if self.scope == Scope::InFlight {
            let fits = taken.saturating_add(bytes) <= self.config.limits.result_bytes;
            if fits {
                self.take(bytes);
            }
            return fits;
        }
        let bytes = signed(bytes);
        self.left.fetch_update(Relaxed, Relaxed, |left| Some(left - bytes).filter(|&left| left >= 0)).is_ok()
    }
}

/// No memory has as many bytes as this could not tell.
fn signed(bytes: usize) -> isize {
    bytes.try_into().unwrap_or(isize::MAX)
}

pin_project! {
    /// One sub-request on its way. Whatever goes wrong is its verdict; no error and no panic gets past this.
    ///
    /// By hand rather than as an `async fn`, which keeps what it was called with beside what it makes of it: each one is
    /// moved a few times before it is polled.
    pub(crate) struct Sending<S, B>
    where
        S: Inner<B>,
        B: Send,
        B: 'static,
    {
        #[pin]
        state: State<S, B>,
        budget: Arc<Budget>,
        is_head: bool,
        // Of a gRPC method, which has a way of its own to say how it went.
        call: Option<Call>,
        // Bytes that the response has taken of the answer's; given back when it doesn't get there.
        charged: usize,
    }

    impl<S, B> PinnedDrop for Sending<S, B>
    where
        S: Inner<B>,
        B: Send,
        B: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            if this.charged > 0 {
                this.budget.give_back(this.charged);
            }
        }
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Inner<B>,
        B: Send,
        B: 'static,
    {
        Calling {
            #[pin]
            response: Oneshot<S, Request<RequestBody<B>>>,
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
pub(crate) fn send<S, B>(service: S, mut request: Request<Option<Bytes>>, budget: Arc<Budget>) -> Sending<S, B>
where
    S: Inner<B>,
    B: Send + 'static,
{
    let is_head = *request.method() == Method::HEAD;
    let call = Call::begin(&budget.config, &mut request);
    let response = service.oneshot(request.map(RequestBody::operation));
    Sending { state: State::Calling { response }, budget, is_head, call, charged: 0 }
}

impl<S, B> Future for Sending<S, B>
where
    S: Inner<B>,
    B: Send + 'static,
{
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let polled = caught(|| self.as_mut().poll_verdict(cx));
        if matches!(polled, Some(Poll::Pending)) {
            return Poll::Pending;
        }
        // It may panic, or panic once more, on its way down.
        let ended = caught(|| self.as_mut().project().state.set(State::Ended));
        if let (Some(Poll::Ready(Ok(_))), Some(())) = (&polled, ended) {
            *self.project().charged = 0;
        }
        polled.filter(|_| ended.is_some()).unwrap_or_else(|| {
            watch::cause("the inner service panicked", &"see the panic's own message");
            Poll::Ready(Err(Box::new(failure(StatusCode::INTERNAL_SERVER_ERROR))))
        })
    }
}

impl<S, B> Sending<S, B>
where
    S: Inner<B>,
    B: Send + 'static,
{
    fn poll_verdict(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Ended => unreachable!("polled after its verdict"),
                StateProj::Calling { response } => match ready!(response.poll(cx)) {
                    // Never the last word of a service (RFC 9110 §15.2); a server couldn't send it either.
                    Ok(response) if response.status().is_informational() => {
                        return Poll::Ready(Err(Box::new(failure(StatusCode::INTERNAL_SERVER_ERROR))));
                    }
                    Ok(response) => {
                        let (head, body) = response.into_parts();
                        // As a server would on a connection (RFC 9110 §6.4.1): these have no content, whatever the
                        // service says.
                        if *this.is_head || has_no_content(head.status) {
                            return Poll::Ready(verdict(
                                *this.call,
                                head,
                                Bytes::new(),
                                None,
                                this.budget,
                                this.charged,
                            ));
                        }
                        this.state.set(State::Reading { head: Some(head), body: Whole::new(body) });
                    }
                    Err(error) => return Poll::Ready(Err(Box::new(fault(&this.budget.config, &error.into())))),
                },
                StateProj::Reading { head, body } => {
                    let charge = |bytes| {
                        let fits = this.budget.charge(bytes, *this.charged);
                        *this.charged += if fits { bytes } else { 0 };
                        fits
                    };
                    return Poll::Ready(match ready!(body.poll_read(cx, charge)) {
                        Ok((body, trailers)) => {
                            let head = head.take().expect("a verdict ends this state");
                            verdict(*this.call, head, body, trailers, this.budget, this.charged)
                        }
                        Err(ReadError::Body(error)) => Err(Box::new(fault(&this.budget.config, &error))),
                        Err(ReadError::TooLarge) => Err(Box::new(over_budget(this.budget))),
                    });
                }
            }
        }
    }
}

/// What is said of a whole response.
#[inline]
fn verdict(
    call: Option<Call>,
    head: Parts,
    body: Bytes,
    trailers: Trailers,
    budget: &Budget,
    charged: &mut usize,
) -> Verdict {
    let Some(call) = call else { return Ok(Response::from_parts(head, body)) };
    let response = call.read(head, body, trailers)?;
    // A message has lost its frame, and a failure has got a text: whoever gives the bytes back knows only of these.
    let kept = response.body().len();
    if kept > *charged && !budget.charge(kept - *charged, *charged) {
        return Err(Box::new(over_budget(budget)));
    }
    budget.give_back(charged.saturating_sub(kept));
    *charged = kept;
    Ok(response)
}

/// RFC 9110 §15.3.5, §15.3.6 and §15.4.5.
fn has_no_content(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The error's text is for the server's log only.
fn fault(config: &Config, error: &BoxError) -> Problem {
    watch::cause("the inner service failed", error);
    failure((config.error_status)(error.as_ref()))
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

fn over_budget(budget: &Budget) -> Problem {
    let limits = &budget.config.limits;
    let detail = match (budget.scope, limits.response_bytes) {
        (Scope::Answer, limit) => format!(
            "the operation was carried out, but with its result the answer would have more than {limit} bytes: read \
             the result in a batch of fewer operations, or alone"
        ),
        (Scope::Held, limit) => format!(
            "the operation was carried out, but with its result more than {limit} bytes would be held at once: read it \
             alone"
        ),
        (Scope::InFlight, _) => format!(
            "the operation was carried out, but a result may have {} bytes at most: read it alone",
            limits.result_bytes
        ),
    };
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail)
}
