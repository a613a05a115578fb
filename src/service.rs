use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::{BoxError, Service};

use crate::{
    body::{RequestBody, ResponseBody},
    config::Config,
    future::ResponseFuture,
    pipeline,
};

/// Answers batches by means of the service that it wraps, and lets all else through. Made by
/// [`BatchLayer`](crate::BatchLayer).
///
/// Its readiness is that of the wrapped service. Its errors are those of the wrapped service for requests that are not
/// batches; a batch never fails, whatever goes wrong is said in its answer.
#[derive(Clone, Debug)]
pub struct BatchService<S> {
    inner: S,
    config: Arc<Config>,
    /// The inner service is one axum route, so the other routes would be out of reach.
    misplaced: bool,
}

impl<S> BatchService<S> {
    pub(crate) fn new(inner: S, config: Arc<Config>) -> Self {
        let misplaced = !config.assume_whole_service && is_axum_route(std::any::type_name::<S>());
        Self { inner, config, misplaced }
    }

    /// The wrapped service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The wrapped service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Takes the wrapped service out.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// Looks inside of the name, for another layer may stand between.
fn is_axum_route(name: &str) -> bool {
    name.contains("axum::routing::route::Route")
}

/// The services that can be wrapped, in one name instead of a clause wherever one is used.
pub(crate) trait Inner<B>
where
    Self: Service<
            Request<RequestBody<B>>,
            Response = Response<Self::ResponseBody>,
            Error: Into<BoxError>,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static,
    B: Send + 'static,
{
    type ResponseBody: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

impl<S, B, R> Inner<B> for S
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type ResponseBody = R;
}

impl<S, B, R> Service<Request<B>> for BatchService<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !self.config.mount.is_batch(&request) {
            return ResponseFuture::pass_through(self.inner.call(request.map(RequestBody::untouched)));
        }
        // The service that was made ready is given up, and what it has reserved with it: kept while the batch is read,
        // or while its operations wait for their turn, it would starve others, or be what they wait for.
        let fresh = self.inner.clone();
        drop(mem::replace(&mut self.inner, fresh.clone()));
        ResponseFuture::batch(pipeline::answer(fresh, request, Arc::clone(&self.config), self.misplaced))
    }
}
