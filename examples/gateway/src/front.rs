//! What happens to a request, or to an operation, before it goes to an upstream, and to the answer after that.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service, ServiceExt};
use tower_multistatus::RequestBody;

use crate::{
    answer::Answer,
    fault::{Fault, problem},
    forwarded, headers,
    outgoing::{Outgoing, Upload},
};

/// From where a request came. The batch layer hands it on to operations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Sends each request once through what is inside, within a time.
#[derive(Clone)]
pub(crate) struct Front<S> {
    inner: S,
    timeout: Duration,
    trusted: Arc<[IpAddr]>,
}

impl<S> Front<S> {
    pub(crate) fn new(inner: S, timeout: Duration, trusted: &[IpAddr]) -> Self {
        Self { inner, timeout, trusted: trusted.into() }
    }
}

impl<S> Service<Request<RequestBody<Incoming>>> for Front<S>
where
    S: Service<Request<Outgoing>, Response = Response<Answer>, Error = BoxError, Future: Send> + Clone + Send + 'static,
{
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Answer>, BoxError>>;

    /// Always: the wait for a place in the queue belongs to the time of a request, and so into its future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Incoming>>) -> Self::Future {
        let Self { inner, timeout, trusted } = self.clone();
        Box::pin(async move {
            let mut request = request.map(Outgoing::new);
            if let Some(refusal) = refusal(&mut request) {
                return Ok(refusal.map(Answer::Whole));
            }
            headers::for_upstream(&mut request);
            if let Some(&Peer(address)) = request.extensions().get() {
                forwarded::add(request.headers_mut(), address.ip(), &trusted);
            }
            let is_head = request.method() == Method::HEAD;
            let upload = request.body().upload();
            let mut response = within(timeout, upload.as_deref(), inner.oneshot(request)).await?;
            // It was asked for no other protocol.
            if response.status().is_informational() {
                return Err(Fault::Broken("the upstream answered with a 1xx".into()).into());
            }
            headers::for_client(&mut response, is_head);
            *response.version_mut() = Version::HTTP_11;
            Ok(response)
        })
    }
}

/// The answer to what is not sent on.
fn refusal(request: &mut Request<Outgoing>) -> Option<Response<Bytes>> {
    if *request.method() == Method::CONNECT {
        return Some(problem(StatusCode::NOT_IMPLEMENTED, "the gateway opens no tunnels"));
    }
    if headers::asks_for_upgrade(request.headers()) {
        return Some(problem(StatusCode::NOT_IMPLEMENTED, "the gateway passes on no upgrades, such as WebSocket"));
    }
    // RFC 9112 §3.2. Two of them are read as one by some servers and as the other one by others.
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let is_missing = hosts == 0 && request.version() == Version::HTTP_11 && request.uri().authority().is_none();
    if hosts > 1 || is_missing {
        return Some(problem(StatusCode::BAD_REQUEST, "a request has one Host"));
    }
    hops(request)
}

/// RFC 9110 §7.6.2: a client may ask how far a request gets.
fn hops(request: &mut Request<Outgoing>) -> Option<Response<Bytes>> {
    if !matches!(*request.method(), Method::OPTIONS | Method::TRACE) {
        return None;
    }
    let left: u32 = request.headers().get(header::MAX_FORWARDS)?.to_str().ok()?.parse().ok()?;
    let Some(fewer) = left.checked_sub(1) else {
        let is_trace = *request.method() == Method::TRACE;
        return Some(match is_trace {
            true => problem(StatusCode::NOT_IMPLEMENTED, "the gateway doesn't tell what it was sent"),
            false => problem(StatusCode::OK, "this is the gateway"),
        });
    };
    request.headers_mut().insert(header::MAX_FORWARDS, HeaderValue::from(fewer));
    None
}

/// The answer, if it begins in time. While the body of a request comes, its time begins anew with each piece.
async fn within<T>(
    time: Duration,
    upload: Option<&Upload>,
    answer: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    let (mut answer, mut end) = (pin!(answer), pin!(sleep(time)));
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = &mut end => {}
        }
        let upload = upload.map(Upload::state).unwrap_or_default();
        match upload.moved.map(|moved| moved + time) {
            Some(later) if later > Instant::now() => end.as_mut().reset(later),
            _ if upload.awaits_client => return Err(Fault::Stalled.into()),
            _ => return Err(Fault::Slow.into()),
        }
    }
}
