use std::sync::Arc;

/// Tells a handler that it runs as an operation of a batch, and as which one.
///
/// Each sub-request has it among its extensions. A client can't forge it, as it could a header; so it is also what
/// keeps a batch from being nested in another one. With the feature `axum` it is an extractor, optional too:
/// `Option<BatchContext>` is `None` for a request that came alone.
///
/// ```
/// use http::Request;
/// use tower_multistatus::BatchContext;
///
/// fn log_line<B>(request: &Request<B>) -> String {
///     match request.extensions().get::<BatchContext>() {
///         Some(cx) => format!("operation {} ({:?}) of a batch of {:?}", cx.index(), cx.id(), cx.total()),
///         None => "a request of its own".to_owned(),
///     }
/// }
/// assert_eq!(log_line(&Request::new(())), "a request of its own");
/// ```
#[derive(Clone, Debug)]
pub struct BatchContext {
    index: usize,
    id: Option<Arc<str>>,
    total: Option<usize>,
}

impl BatchContext {
    pub(crate) fn new(index: usize, id: Option<Arc<str>>, total: Option<usize>) -> Self {
        Self { index, id, total }
    }

    /// The position of the operation in the batch, from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The id that the client gave the operation, if it gave one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// How many operations the batch has; `None` where that isn't known yet, as in a stream.
    #[must_use]
    pub fn total(&self) -> Option<usize> {
        self.total
    }
}
