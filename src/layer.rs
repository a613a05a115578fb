use std::{error::Error, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};
use tower::Layer;

use crate::{
    config::{Config, Mount},
    context::BatchContext,
    plan::Order,
    rejection::Rejection,
    service::BatchService,
    transaction::Coordinator,
};

mod limits;
mod messages;
mod stream;

/// Gives the service that it wraps a batch endpoint.
///
/// As it is made, it answers `POST /batch` in JSON and in XML (and in what features add: NDJSON, OData, multipart), under limits
/// that suit a public server:
///
/// | what | default | set by |
/// |---|---|---|
/// | operations in a batch | 100 | [`max_operations`](Self::max_operations) |
/// | body of the request, and what its references bring in | 2 MiB each | [`max_request_bytes`](Self::max_request_bytes) |
/// | bodies of all outcomes together | 16 MiB | [`max_response_bytes`](Self::max_response_bytes) |
/// | operations that run at once | 16 | [`concurrency`](Self::concurrency) |
/// | time for one operation | 30 s | [`operation_timeout`](Self::operation_timeout) |
/// | time for an atomic group | 30 s | [`group_timeout`](Self::group_timeout) |
/// | time for the whole batch | 60 s | [`batch_timeout`](Self::batch_timeout) |
/// | an id, the name of a group | 256 bytes | [`max_id_bytes`](Self::max_id_bytes) |
/// | a target | 8 KiB | [`max_target_bytes`](Self::max_target_bytes) |
/// | headers of one operation | 64, 16 KiB together | [`max_headers`](Self::max_headers), [`max_header_bytes`](Self::max_header_bytes) |
/// | nesting of JSON in a body | 64 | [`max_json_depth`](Self::max_json_depth) |
///
/// Batches that are read while they arrive (NDJSON) have some of their own: see [`max_line_bytes`](Self::max_line_bytes)
/// and the methods after it.
///
/// ```
/// use std::time::Duration;
/// use http::{HeaderName, Request, Response};
/// use tower::{ServiceBuilder, service_fn};
/// use tower_multistatus::{BatchLayer, Order, RequestBody};
/// # type Body = http_body_util::Full<bytes::Bytes>;
///
/// let service = ServiceBuilder::new()
///     .layer(
///         BatchLayer::new()
///             .path("/api/batch")
///             .max_operations(500)
///             .concurrency(8)
///             .operation_timeout(Duration::from_secs(5))
///             .order(Order::Sequential)
///             .allow_header(HeaderName::from_static("x-tenant"))
///             .allow_targets(|_method, target| target.path().starts_with("/public/")),
///     )
///     .service(service_fn(|_request: Request<RequestBody<Body>>| async {
///         Ok::<_, std::convert::Infallible>(Response::new(Body::default()))
///     }));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct BatchLayer {
    config: Arc<Config>,
}

impl BatchLayer {
    /// `POST /batch`, JSON and XML (and what features add), safe defaults.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

/// Which requests are batches.
impl BatchLayer {
    /// The path of the batch endpoint, instead of `/batch`. Compared as it is, without decoding.
    ///
    /// # Panics
    ///
    /// If it doesn't begin with `/`, for no request could ever match it.
    #[track_caller]
    pub fn path(self, path: impl Into<String>) -> Self {
        let path = absolute(path.into());
        self.with(|config| config.mount = Mount::Paths(vec![path]))
    }

    /// One more path.
    ///
    /// # Panics
    ///
    /// If it doesn't begin with `/`.
    #[track_caller]
    pub fn also_path(self, path: impl Into<String>) -> Self {
        let path = absolute(path.into());
        self.with(|config| match &mut config.mount {
            Mount::Paths(paths) => paths.push(path),
            Mount::EveryPost => {}
        })
    }

    /// Takes each POST that reaches the service for a batch, whatever its path: for a service that stands on a route of
    /// its own, such as `/t/{tenant}/batch`.
    pub fn every_post(self) -> Self {
        self.with(|config| config.mount = Mount::EveryPost)
    }

    /// Another name of the server, as clients behind a proxy may see it: `api.example.com`, or with a port. An operation
    /// may repeat the name that the batch was sent to, or this one; never any other.
    pub fn authority(self, authority: impl Into<String>) -> Self {
        self.with(|config| config.authorities.push(authority.into()))
    }

    /// Says that the wrapped service is all there is to be reached, although it looks like a single axum route.
    ///
    /// axum's `Router::layer` wraps each route on its own. A batch inside of a route can reach nothing but that route,
    /// so by default such a batch is answered with a 500 that tells how to mount the layer.
    pub fn assume_whole_service(self) -> Self {
        self.with(|config| config.assume_whole_service = true)
    }
}

/// How operations run.
impl BatchLayer {
    /// The order of operations, whatever the format; [`Order::Fenced`] by default, unless the format has
    /// [an order of its own](crate::BatchBuilder::default_order).
    pub fn order(self, order: Order) -> Self {
        self.with(|config| config.order = Some(order))
    }

    /// After the first operation that ends with a status from 400 on, no other begins: the rest are 424. A group that has
    /// begun goes on to its end.
    pub fn stop_on_failure(self) -> Self {
        self.with(|config| config.stop_on_failure = true)
    }

    /// Lets a batch say by itself whether it stops at the first failure (`"onFailure": "stop"` or `"continue"`),
    /// whatever [`stop_on_failure`](Self::stop_on_failure) says.
    ///
    /// Without this a batch that asks for what the server doesn't do is refused with a 400.
    pub fn allow_on_failure(self) -> Self {
        self.with(|config| config.allow_on_failure = true)
    }

    /// Carries out atomic groups of operations by transactions of this coordinator. See [`Coordinator`] for an example.
    ///
    /// Without one, operations of a group of several are answered with a 501 each: that all count or none is never
    /// pretended. A group of one operation is then that operation.
    ///
    /// A transaction holds what it locks while its members wait for the layers inside, and others may hold what those
    /// layers give while they wait for the lock: with a concurrency limit of one inside, each waits for the other until
    /// its time is over. Let a limit inside be larger than what may wait for one lock, or put it outside of this layer.
    /// A handler that takes a second connection of a pool, while its group holds the last one, waits for itself likewise.
    pub fn with_coordinator(self, coordinator: impl Coordinator) -> Self {
        self.with(|config| config.coordinator = Some(Arc::new(coordinator)))
    }

    /// Lets a batch be one atomic group as a whole (`"atomic": true`), which needs a
    /// [coordinator](Self::with_coordinator) too. Without this such a batch is refused with a 400.
    ///
    /// The transaction may then be open for as long as a batch may last, and hold what others wait for.
    pub fn allow_atomic(self) -> Self {
        self.with(|config| config.allow_atomic = true)
    }

    /// How many operations of one batch run at once; 16 by default, at least one.
    ///
    /// In a batch that is read while it arrives, no more than its [window](Self::stream_window) either.
    ///
    /// More than the limits of the layers inside only makes operations wait there. Never let the same semaphore guard
    /// the outside and the inside of this layer: a batch that holds it would wait for itself until its time-out.
    pub fn concurrency(self, operations: usize) -> Self {
        self.with(|config| config.limits.concurrency = operations.max(1))
    }

    /// Runs each operation as a task of its own, so that handlers which use much CPU are spread over the runtime's
    /// threads. It needs tokio's runtime.
    ///
    /// Dropping the answer then aborts the tasks at their next `await`; a handler that never awaits runs to its end, and
    /// its result is dropped. So after a time-out an operation may still run beside the next one.
    #[cfg(feature = "spawn")]
    #[cfg_attr(docsrs, doc(cfg(feature = "spawn")))]
    pub fn spawn(self) -> Self {
        self.with(|config| config.spawn = true)
    }

    /// The time of one operation, from when it begins, readiness of the service included; 30 s by default. After it,
    /// the operation is dropped and its outcome is a 504.
    pub fn operation_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.operation_timeout = timeout)
    }

    /// The time of an atomic group, from when its transaction has begun until its last member has ended; 30 s by default.
    /// After it, the member that runs is a 504 and the group is rolled back. Beginning, committing and rolling back may
    /// take as long as an operation each.
    ///
    /// So long can one client hold what a transaction locks; in an answer that is [streamed](Self::stream) as long as it
    /// doesn't read. Where others wait for it, choose a time that they can wait.
    pub fn group_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.group_timeout = timeout)
    }

    /// The time of the whole batch, from the call; 60 s by default. After it, what has not ended is dropped and is a
    /// 504. Where not even the request was read by then, the batch is a 408.
    ///
    /// The clock is looked at when something is pending, and after each 32 operations that begin or end: so many that never
    /// wait may begin after this time.
    pub fn batch_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.batch_timeout = timeout)
    }
}

/// What is said about failures, and to whom.
impl BatchLayer {
    /// Which status an error of the wrapped service is; [`fault::status`](crate::fault::status) by default.
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_multistatus::{BatchLayer, fault};
    ///
    /// // A gateway, where an error means that the upstream could not be reached.
    /// let gateway = BatchLayer::new().with_error_status(fault::gateway);
    /// // One's own judgement first.
    /// let mine = BatchLayer::new().with_error_status(|error| match error.downcast_ref::<std::io::Error>() {
    ///     Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    ///     None => fault::status(error),
    /// });
    /// ```
    pub fn with_error_status(
        self,
        status: impl Fn(&(dyn Error + 'static)) -> StatusCode + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| config.error_status = Arc::new(status))
    }

    /// How the refusal of a whole batch is answered; [`Rejection::to_response`] by default.
    ///
    /// ```
    /// use tower_multistatus::BatchLayer;
    ///
    /// let layer = BatchLayer::new().with_rejection(|rejection| {
    ///     let mut response = rejection.to_response();
    ///     if rejection.is_too_large() {
    ///         response.headers_mut().insert("link", "</help/batches>; rel=help".parse().expect("a valid header"));
    ///     }
    ///     response
    /// });
    /// ```
    pub fn with_rejection(self, render: impl Fn(&Rejection) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        self.with(|config| config.render_rejection = Arc::new(render))
    }

    /// Is called once for each operation, when it has its outcome: for metrics.
    ///
    /// ```
    /// use tower_multistatus::BatchLayer;
    ///
    /// let layer = BatchLayer::new().on_outcome(|cx, status, elapsed| {
    ///     println!("operation {} of {:?}: {status} after {elapsed:?}", cx.index(), cx.total());
    /// });
    /// ```
    ///
    /// The time is zero for an operation that never ran. Where the answer is dropped before its end, because the client
    /// has gone, operations without an outcome are not told.
    pub fn on_outcome(self, observe: impl Fn(&BatchContext, StatusCode, Duration) + Send + Sync + 'static) -> Self {
        self.with(|config| config.on_outcome = Some(Arc::new(observe)))
    }
}

#[track_caller]
fn absolute(path: String) -> String {
    assert!(path.starts_with('/'), "the path of a batch endpoint must begin with `/`, and {path:?} doesn't");
    path
}

impl<S> Layer<S> for BatchLayer {
    type Service = BatchService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BatchService::new(inner, Arc::clone(&self.config))
    }
}
