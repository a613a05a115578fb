//! A [Tower](tower) layer that gives any HTTP service a batch endpoint.
//!
//! A batch request is split into sub-requests, each goes through the wrapped service with all that this service has
//! (auth, limits, tracing), and all outcomes come back in one 207 Multi-Status: as JSON, or as RFC 4918 XML.
//!
//! ```
//! use axum::{Router, extract::Path, routing::get};
//! use tower_multistatus::{BatchLayer, axum::RouterExt};
//! # use http_body_util::BodyExt;
//! # use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let api = Router::new().route("/users/{id}", get(async |Path(id): Path<u32>| axum::Json(id)));
//! let app = api.batch(BatchLayer::new());
//!
//! let batch = http::Request::post("/batch")
//!     .header("content-type", "application/json")
//!     .body(axum::body::Body::from(r#"{"operations":[{"path":"/users/17"},{"path":"/nowhere","id":"b"}]}"#))?;
//! let response = app.oneshot(batch).await?;
//! assert_eq!(response.status(), 207);
//! assert_eq!(
//!     response.into_body().collect().await?.to_bytes(),
//!     concat!(
//!         r#"{"results":[{"index":0,"status":200,"data":17},"#,
//!         r#"{"index":1,"id":"b","status":404,"error":"Not Found"}],"#,
//!         r#""summary":{"total":2,"succeeded":1,"failed":1}}"#,
//!     )
//! );
//! # Ok(())
//! # }
//! ```
//!
//! # The way of a batch
//!
//! ```text
//! Request ─ is it a batch? ─ no ──────────────► inner service, untouched, no allocation
//!              │ yes
//!              ▼
//!  negotiate → read → decode → plan → dispatch → encode → 207
//!   415/406    413    400      order   inner      in request order,
//!              408    Batch            service    each outcome as soon
//!                                      N times    as those before it
//! ```
//!
//! What goes wrong before the plan is a [`Rejection`]: the whole batch is refused, nothing of it ran. From then on the
//! answer is a 207, and whatever goes wrong (a refused operation, an error, a panic, a time-out, an answer that grows
//! too large) is the outcome of one operation, beside the outcomes of its siblings: N operations in, N outcomes out.
//!
//! # What a batch means
//!
//! By default ([`Order::Fenced`]) what it would mean sent item by item: reads run side by side, and a write waits for
//! all before it and holds all after it.
//!
//! An operation can depend on another one and take values from its outcome, by names that it gives itself: `refs` says
//! what a name stands for, and a path (as an RFC 6570 template), a body or a header says where. If an operation doesn't
//! end with a 2xx, those that depend on it don't run.
//!
//! ```
//! use axum::{Json, Router, extract::Path, routing::{get, post}};
//! use serde_json::json;
//! use tower_multistatus::{BatchLayer, axum::RouterExt};
//! # use http_body_util::BodyExt;
//! # use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let api = Router::new()
//!     .route("/users", post(async || Json(json!({"id": 17}))))
//!     .route("/users/{id}", get(async |Path(id): Path<u32>| Json(json!({"id": id, "name": "Ada"}))));
//! let app = api.batch(BatchLayer::new());
//!
//! let batch = http::Request::post("/batch")
//!     .header("content-type", "application/json")
//!     .body(axum::body::Body::from(
//!         r#"[{"id":"new","method":"POST","path":"/users"},{"path":"/users/{user}","refs":{"user":"new#/id"}}]"#,
//!     ))?;
//! let response = app.oneshot(batch).await?;
//! assert_eq!(
//!     response.into_body().collect().await?.to_bytes(),
//!     concat!(
//!         r#"{"results":[{"index":0,"id":"new","status":200,"data":{"id":17}},"#,
//!         r#"{"index":1,"status":200,"data":{"id":17,"name":"Ada"}}],"#,
//!         r#""summary":{"total":2,"succeeded":2,"failed":0}}"#,
//!     )
//! );
//! # Ok(())
//! # }
//! ```
//!
//! The operations of a group count all or none, in a transaction that a [`Coordinator`] begins. `docs/programs.md` in
//! the repository teaches all of this.
//!
//! Answers can be [streamed](BatchLayer::stream): then each result is sent when it is there. With the feature `ndjson` a
//! batch can be a stream too: operations run while it is still being read, a million of them in constant memory.
//! `docs/streams.md` has all of that.
//!
//! `docs/formats.md` compares the formats, and has one of a user's own in 40 lines.
//!
//! With the feature `odata` a batch with `requests` in the place of `operations` is one of OData 4.01, or of Microsoft Graph,
//! and is answered as such. With the feature `multipart` it may be `multipart/mixed`, as clients of OData and of Google send it.
//! `docs/clients.md` shows how they are pointed here.
//!
//! With the feature `inspect` the module `inspect` reads answers, of this crate and of others, and says what is wrong with them.
//! `docs/inspect.md` has all that it can find.
//!
//! Everything that protects the service belongs *inside* of the layer, where each operation passes it: authentication,
//! rate limits, body limits. What stands outside sees one request.
//!
//! The service may be a client, and there may be a fleet behind it: `docs/gateway.md` says which layers go where then.
//!
//! # What an operation is sent with
//!
//! An operation inherits the headers of the batch, but for those that are about the batch's own representation,
//! framing or connection, or meant for it alone (`idempotency-key`, `signature`). It may itself set only `accept`,
//! `accept-language`, `content-type`, `content-language`, `content-encoding`, `if-*`, `prefer`, `range` and
//! `idempotency-key`. Any other refuses it ([`BatchLayer::allow_header`]), except a few that clients add out of habit
//! and that are dropped. Its extensions are empty, but for a [`BatchContext`] and what
//! [`BatchLayer::forward_extension`] names.
//!
//! # Runtime
//!
//! Time-outs need tokio's timer as soon as an operation is pending. Nothing is spawned unless `BatchLayer::spawn`
//! or `BatchLayer::spawn_streams` says so: dropping the [`ResponseFuture`], or the body of a streamed answer, drops what
//! runs.
//!
//! # Features
//!
//! | feature | by default | adds |
//! |---|---|---|
//! | `xml` | yes | answers as RFC 4918 multistatus |
//! | `ndjson` | | batches without end: one operation a line in, one result a line out |
//! | `odata` | | OData 4.01 JSON batches, and Microsoft Graph's `$batch` |
//! | `multipart` | | `multipart/mixed` batches: of OData, with change sets, and of Google |
//! | `grpc` | | `BatchLayer::grpc`: calls of gRPC methods |
//! | `inspect` | | the module `inspect`: says what is in a 207, and what is wrong with it |
//! | `axum` | | the module `axum`: `RouterExt::batch`, [`BatchContext`] as an extractor |
//! | `spawn` | | `BatchLayer::spawn`, `BatchLayer::spawn_streams` |
//! | `tracing` | | a span for each batch and each operation; the causes of failures as events |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used))]

// What a user meets.
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod axum;
mod config;
#[cfg(feature = "inspect")]
#[cfg_attr(docsrs, doc(cfg(feature = "inspect")))]
pub mod inspect;
mod layer;
mod limits;
mod problem;
mod rejection;

// The Tower side.
mod body;
mod future;
mod service;

// The way of a batch, and what its stages speak of.
mod batch;
mod content;
mod pipeline;

// negotiate
mod media_type;
mod negotiate;

// read, decode
mod authority;
mod builder;
mod draft;
mod format;
mod json_text;
mod lines;
mod needs;
#[cfg(any(feature = "inspect", feature = "multipart"))]
mod parts;
mod read;
mod recent;
mod reference;
mod target;
mod template;

// plan
mod graph;
mod plan;
mod window;

// dispatch
mod context;
mod dispatch;
mod extract;
pub mod fault;
mod groups;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(not(feature = "grpc"))]
#[path = "grpc/absent.rs"]
mod grpc;
mod inherit;
mod intake;
mod running;
mod send;
mod spawn;
mod timer;
mod transaction;
mod unwind;
mod watch;

// encode
mod answer;
mod cookies;
#[cfg(any(feature = "inspect", feature = "xml"))]
mod description;
mod stream;

#[cfg(feature = "grpc")]
#[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
pub use crate::grpc::GrpcStatus;
pub use crate::{
    batch::{Batch, Outcome},
    body::{RequestBody, ResponseBody},
    builder::{BatchBuilder, DecodeContext},
    content::Content,
    context::BatchContext,
    draft::Draft,
    format::{Decode, DecodeLines, Encode, EncodeContext, Encoder, LineDecoder, Reply, ResultOrder},
    future::ResponseFuture,
    layer::BatchLayer,
    plan::Order,
    problem::Problem,
    rejection::Rejection,
    service::BatchService,
    stream::Streaming,
    transaction::{Coordinator, Transaction, TransactionFuture},
};

/// The README's code is tested with the rest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So is that of the page about dependencies, references and groups.
#[cfg(doctest)]
#[doc = include_str!("../docs/programs.md")]
struct Programs;

/// And that of the page about formats.
#[cfg(doctest)]
#[doc = include_str!("../docs/formats.md")]
struct Formats;

/// And that of the page about clients, whose other languages `conformance/` runs.
#[cfg(doctest)]
#[doc = include_str!("../docs/clients.md")]
struct Clients;

/// And that of the page about batches without end.
#[cfg(all(doctest, feature = "ndjson"))]
#[doc = include_str!("../docs/streams.md")]
struct Streams;

/// And that of the page about gRPC.
#[cfg(all(doctest, feature = "axum", feature = "grpc"))]
#[doc = include_str!("../docs/tonic.md")]
struct Tonic;

/// And that of the page about answers.
#[cfg(all(doctest, feature = "inspect"))]
#[doc = include_str!("../docs/inspect.md")]
struct Inspect;

/// And that of the page about hyper.
#[cfg(doctest)]
#[doc = include_str!("../docs/hyper.md")]
struct Hyper;

/// And that of the page about gateways.
#[cfg(doctest)]
#[doc = include_str!("../docs/gateway.md")]
struct Gateway;
