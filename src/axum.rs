//! For axum's users.
//!
//! # The right place for the layer
//!
//! axum's `Router::layer` runs *after* routing and wraps each route on its own. A batch endpoint made so could reach
//! only the route that it stands in; so `Router::new().route(…).layer(BatchLayer::new())` compiles, and then answers
//! each batch with a 500 that says what follows here. Wrap the whole router:
//!
//! ```
//! use axum::{Router, extract::Path, routing::get};
//! use tower_multistatus::{BatchLayer, axum::RouterExt};
//!
//! let api = Router::new().route("/users/{id}", get(async |Path(id): Path<u32>| format!("user {id}")));
//! let app: Router = api.batch(BatchLayer::new());
//! # drop(app);
//! ```
//!
//! Whatever the router has (state, layers, fallbacks) each operation passes. What stands outside, around `app`, sees
//! one request.
//!
//! Without the feature `axum` the same is
//! `Router::new().fallback_service(ServiceBuilder::new().layer(BatchLayer::new()).service(api))`. [`RouterExt::batch`]
//! also saves the allocation, one each way, by which axum makes its own body type of ours.

use std::{convert::Infallible, net::SocketAddr};

use ::axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, FromRequestParts, OptionalFromRequestParts, Request},
    response::Response,
};
use bytes::Bytes;
use http::{StatusCode, request::Parts};
use http_body_util::{Either, Full};
use tower::{
    Layer,
    util::{MapRequest, MapResponse},
};

use crate::{BatchContext, BatchLayer, RequestBody, ResponseBody, body::Ours};

/// Adds [`batch`](RouterExt::batch) to axum's `Router`.
pub trait RouterExt: sealed::Sealed {
    /// Gives all that this router serves a batch endpoint. To be called last, when routes, state and layers are there.
    ///
    /// Operations see the `ConnectInfo<SocketAddr>` of the batch, if the server provides it.
    fn batch(self, layer: BatchLayer) -> Router;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for ::axum::Router {}
}

impl RouterExt for Router {
    fn batch(self, layer: BatchLayer) -> Router {
        let api = MapRequest::new(self, unwrap_request as fn(_) -> _);
        let batch = layer.forward_extension::<ConnectInfo<SocketAddr>>().layer(api);
        Router::new().fallback_service(MapResponse::new(batch, unwrap_response as fn(_) -> _))
    }
}

// An untouched body is axum's own; ours becomes one without a second box.

fn unwrap_request(request: Request<RequestBody<Body>>) -> Request {
    request.map(|body| match body.into_inner() {
        Either::Left(untouched) => untouched,
        Either::Right(bytes) => from_bytes(bytes),
    })
}

fn unwrap_response(response: Response<ResponseBody<Body>>) -> Response {
    response.map(|body| match body.into_inner() {
        Either::Left(untouched) => untouched,
        Either::Right(Ours::Whole(bytes)) => from_bytes(bytes),
        Either::Right(streamed) => Body::new(streamed),
    })
}

fn from_bytes(bytes: Full<Bytes>) -> Body {
    bytes.into_inner().map_or_else(Body::empty, Body::from)
}

impl<S: Sync> FromRequestParts<S> for BatchContext {
    type Rejection = (StatusCode, &'static str);

    /// Outside of a batch this is a 500, as with other extensions that are missing; ask for an
    /// `Option<BatchContext>` where a handler serves both.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let missing = (StatusCode::INTERNAL_SERVER_ERROR, "this handler serves only operations of a batch");
        parts.extensions.get::<Self>().cloned().ok_or(missing)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for BatchContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}
