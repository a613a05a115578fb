//! One upstream: who it is, how a request is sent to it, and how many at once.

use std::{
    error::Error,
    str::FromStr,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::future::BoxFuture;
use http::{
    Request, Response, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::PollSemaphore;
use tower::Service;

use crate::{answer::Exchanged, fault::Fault, outgoing::Outgoing};

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin(Authority);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{text:?} is no URL: {error}"))?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => {
                return Err(format!("{text:?}: TLS to upstreams is not supported, only http://"));
            }
            _ => return Err(format!("{text:?} must begin with http://")),
        }
        if !matches!(uri.path_and_query().map(PathAndQuery::as_str), None | Some("/")) {
            return Err(format!("{text:?}: an upstream has no path, for requests keep theirs"));
        }
        match uri.authority() {
            Some(authority) if authority.as_str().contains('@') => Err("an upstream has no user".into()),
            Some(authority) => Ok(Self(authority.clone())),
            None => Err(format!("{text:?} names no host")),
        }
    }
}

impl Origin {
    pub(crate) fn uri(&self) -> Result<Uri, http::Error> {
        self.with(PathAndQuery::from_static("/"))
    }

    fn with(&self, target: PathAndQuery) -> Result<Uri, http::Error> {
        Uri::builder().scheme(Scheme::HTTP).authority(self.0.clone()).path_and_query(target).build()
    }
}

/// Sends requests to one upstream, so many at a time, and each with its place until the end of its answer: a limit that
/// lets go at the head of an answer would allow any number of downloads.
pub(crate) struct Upstream {
    origin: Origin,
    client: Client<HttpConnector, Outgoing>,
    /// How long an answer that has begun may make a pause.
    patience: Duration,
    places: PollSemaphore,
    place: Option<OwnedSemaphorePermit>,
}

impl Upstream {
    pub(crate) fn new(
        origin: Origin,
        client: Client<HttpConnector, Outgoing>,
        patience: Duration,
        places: PollSemaphore,
    ) -> Self {
        Self { origin, client, patience, places, place: None }
    }
}

/// The places are shared, and what one of them has taken is its own.
impl Clone for Upstream {
    fn clone(&self) -> Self {
        Self::new(self.origin.clone(), self.client.clone(), self.patience, self.places.clone())
    }
}

impl Service<Request<Outgoing>> for Upstream {
    type Response = Response<Exchanged>;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<Self::Response, Fault>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if self.place.is_none() {
            self.place = ready!(self.places.poll_acquire(cx));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Outgoing>) -> Self::Future {
        let place = self.place.take();
        let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let uri = self.origin.with(target);
        let (mut client, patience) = (self.client.clone(), self.patience);
        Box::pin(async move {
            // A semaphore that is never closed always gives one; without one, nothing is sent.
            let place = place.ok_or(Fault::AllDown)?;
            *request.uri_mut() = uri.map_err(|error| Fault::Unfit(error.into()))?;
            let response = client.call(request).await.map_err(fault)?;
            Ok(response.map(|body: Incoming| Exchanged::new(body, patience, place)))
        })
    }
}

fn fault(error: hyper_util::client::legacy::Error) -> Fault {
    if error.is_connect() {
        return Fault::Refused(error.into());
    }
    let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    // The body is the only part of a request that the user of a client can break.
    if cause.is_some_and(hyper::Error::is_user) { Fault::Body(error.into()) } else { Fault::Broken(error.into()) }
}

#[cfg(test)]
#[path = "upstream/tests.rs"]
mod tests;
