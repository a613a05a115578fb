use std::{error::Error, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, header, uri::PathAndQuery};

use crate::{
    context::BatchContext,
    fault,
    format::{Decoder, Encode, json},
    inherit::Forward,
    limits::Limits,
    plan::Order,
    rejection::Rejection,
    stream::Streaming,
    transaction::Coordinator,
};

/// All that a [`BatchLayer`](crate::BatchLayer) has been told. Shared by every batch, changed by none.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) mount: Mount,
    pub(crate) limits: Limits,
    /// `None` leaves it to the format.
    pub(crate) order: Option<Order>,
    pub(crate) stop_on_failure: bool,
    /// A batch may say by itself what happens after a failure.
    pub(crate) allow_on_failure: bool,
    /// A batch may be one group as a whole.
    pub(crate) allow_atomic: bool,
    pub(crate) coordinator: Option<Arc<dyn Coordinator>>,
    pub(crate) assume_whole_service: bool,
    /// Operations may be calls of gRPC methods.
    #[cfg(feature = "grpc")]
    pub(crate) grpc: bool,
    /// Operations are tasks of their own.
    pub(crate) spawn: bool,
    /// Streamed answers are.
    pub(crate) spawn_streams: bool,
    pub(crate) streaming: Streaming,
    /// After so much silence something is sent.
    pub(crate) keep_alive: Option<Duration>,
    /// Other names of the server, beside the one that the batch was sent to.
    pub(crate) authorities: Vec<String>,
    /// What an operation may set, beside what any may.
    pub(crate) operation_headers: Vec<HeaderName>,
    /// What of an operation's response is told in the answer.
    pub(crate) result_headers: Vec<HeaderName>,
    pub(crate) forwards: Vec<Forward>,
    pub(crate) decoders: Vec<Decoder>,
    /// In order of the server's preference.
    pub(crate) encoders: Vec<Arc<dyn Encode>>,
    /// By media type, in place of the encoder's; the last one counts.
    pub(crate) answer_statuses: Vec<(&'static str, StatusCode)>,
    pub(crate) target_policy: Option<Arc<TargetPolicy>>,
    pub(crate) error_status: Arc<ErrorStatus>,
    pub(crate) render_rejection: Arc<RenderRejection>,
    pub(crate) on_outcome: Option<Arc<OnOutcome>>,
}

pub(crate) type TargetPolicy = dyn Fn(&Method, &PathAndQuery) -> bool + Send + Sync;
pub(crate) type ErrorStatus = dyn Fn(&(dyn Error + 'static)) -> StatusCode + Send + Sync;
pub(crate) type RenderRejection = dyn Fn(&Rejection) -> Response<Bytes> + Send + Sync;
pub(crate) type OnOutcome = dyn Fn(&BatchContext, StatusCode, Duration) + Send + Sync;

impl Config {
    /// Whether the answer tells this header of a response. A length never: it would be the wrong one. Nor cookies: they
    /// are set by the answer as a whole.
    pub(crate) fn tells(&self, name: &HeaderName) -> bool {
        // The list is asked last: nearly every response has a length.
        *name != header::CONTENT_LENGTH && *name != header::SET_COOKIE && self.result_headers.contains(name)
    }

    /// How long a streamed answer that goes on by itself may wait to be read on.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.spawn_streams.then(|| self.limits.stream_idle_timeout())
    }
}

/// Which requests are batches.
#[derive(Clone, Debug)]
pub(crate) enum Mount {
    Paths(Vec<String>),
    EveryPost,
}

impl Mount {
    pub(crate) fn is_batch<B>(&self, request: &Request<B>) -> bool {
        *request.method() == Method::POST && (matches!(self, Self::EveryPost) || self.names(request.uri().path()))
    }

    pub(crate) fn names(&self, path: &str) -> bool {
        match self {
            Self::Paths(paths) => paths.iter().any(|one| one == path),
            Self::EveryPost => false,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mount: Mount::Paths(vec!["/batch".to_owned()]),
            limits: Limits::default(),
            order: None,
            stop_on_failure: false,
            allow_on_failure: false,
            allow_atomic: false,
            coordinator: None,
            assume_whole_service: false,
            #[cfg(feature = "grpc")]
            grpc: false,
            spawn: false,
            spawn_streams: false,
            streaming: Streaming::default(),
            keep_alive: None,
            authorities: Vec::new(),
            operation_headers: Vec::new(),
            result_headers: vec![
                header::CONTENT_TYPE,
                // Without these two a body that is compressed, or a part, can't be told from a whole one.
                header::CONTENT_ENCODING,
                header::CONTENT_RANGE,
                header::LOCATION,
                header::ETAG,
                header::LAST_MODIFIED,
                header::RETRY_AFTER,
                header::ALLOW,
                header::LINK,
                header::WWW_AUTHENTICATE,
            ],
            forwards: Vec::new(),
            decoders: vec![
                Decoder::Whole(Arc::new(json::Json)),
                #[cfg(feature = "ndjson")]
                Decoder::Lines(Arc::new(crate::format::ndjson::Ndjson)),
                #[cfg(feature = "multipart")]
                Decoder::Whole(Arc::new(crate::format::multipart::Multipart)),
            ],
            encoders: vec![
                Arc::new(json::Json),
                #[cfg(feature = "xml")]
                Arc::new(crate::format::multistatus::Multistatus),
                #[cfg(feature = "ndjson")]
                Arc::new(crate::format::ndjson::Ndjson),
                #[cfg(feature = "odata")]
                Arc::new(crate::format::odata::OData),
                #[cfg(feature = "multipart")]
                Arc::new(crate::format::multipart::Layout::Flat),
                #[cfg(feature = "multipart")]
                Arc::new(crate::format::multipart::Layout::Nested),
            ],
            answer_statuses: Vec::new(),
            target_policy: None,
            error_status: Arc::new(fault::status),
            render_rejection: Arc::new(Rejection::to_response),
            on_outcome: None,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("mount", &self.mount)
            .field("limits", &self.limits)
            .field("order", &self.order)
            .field("stop_on_failure", &self.stop_on_failure)
            .field("allow_on_failure", &self.allow_on_failure)
            .field("allow_atomic", &self.allow_atomic)
            .field("spawn", &self.spawn)
            .field("spawn_streams", &self.spawn_streams)
            .field("streaming", &self.streaming)
            .field("keep_alive", &self.keep_alive)
            .field("authorities", &self.authorities)
            .field("operation_headers", &self.operation_headers)
            .field("result_headers", &self.result_headers)
            .field("answer_statuses", &self.answer_statuses)
            .finish_non_exhaustive()
    }
}
