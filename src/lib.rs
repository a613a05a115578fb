//! A Tower layer that gives any HTTP service a batch endpoint.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used))]

// What a user meets.
mod config;
mod context;
mod layer;
mod limits;
mod problem;
mod rejection;

// The Tower side.
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod axum;
mod body;
mod future;
mod service;

// The way of the data.
mod pipeline;

mod media_type;
mod negotiate;

mod batch;
mod draft;
mod format;
mod target;

mod inherit;
mod plan;

mod dispatch;
pub mod fault;
mod send;
mod spawn;
mod timer;
mod watch;

mod answer;

pub use crate::{
    batch::{Batch, Outcome},
    body::{RequestBody, ResponseBody},
    context::BatchContext,
    draft::{BatchBuilder, DecodeContext, Draft},
    format::{Decode, Encode, EncodeContext, Encoder},
    future::ResponseFuture,
    layer::BatchLayer,
    plan::Order,
    problem::Problem,
    rejection::Rejection,
    service::BatchService,
};
