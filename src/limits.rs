use std::time::Duration;

/// What one batch may use.
///
/// Each limit is set by the method of [`BatchLayer`](crate::BatchLayer) that has its name. There is no way to say
/// "unlimited": a batch endpoint multiplies whatever it lets through, so each bound is a number that somebody chose. Only
/// the operations of a stream have none, unless somebody says so: they are never there at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Checked while the batch is parsed, which ends at the first operation too many.
    pub(crate) operations: usize,
    /// Checked before anything is parsed.
    pub(crate) request_bytes: usize,
    /// Bodies of all outcomes together, as the inner service sent them.
    pub(crate) response_bytes: usize,
    pub(crate) concurrency: usize,
    pub(crate) operation_timeout: Duration,
    /// Of an atomic group, from when its transaction has begun until its last member has ended.
    pub(crate) group_timeout: Duration,
    pub(crate) batch_timeout: Duration,
    /// In the place of `batch_timeout`, once an answer is streamed: from one outcome to the next.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) id_bytes: usize,
    pub(crate) target_bytes: usize,
    pub(crate) headers: usize,
    pub(crate) header_bytes: usize,
    pub(crate) json_depth: usize,
    // What is read while it arrives has no end, so these are for what of it is there at a time.
    pub(crate) line_bytes: usize,
    pub(crate) result_bytes: usize,
    /// Lines and results that have not been written. More is read only below this.
    pub(crate) in_flight_bytes: usize,
    /// How many operations after the oldest that has not ended may begin; ids are known as long.
    pub(crate) stream_window: usize,
    pub(crate) stream_operations: Option<usize>,
}

impl Limits {
    /// Where nobody said otherwise, a minute; or more, for an operation that takes all of its time is no standstill.
    pub(crate) fn stream_idle_timeout(&self) -> Duration {
        let longest = self.operation_timeout.max(self.group_timeout);
        self.idle_timeout.unwrap_or_else(|| longest.max(Duration::from_secs(60)))
    }
}

impl Default for Limits {
    /// Large enough for what clients send (Microsoft Graph's 20 operations, a few dozen from a browser), small enough
    /// that a handful of hostile batches doesn't matter.
    fn default() -> Self {
        Self {
            operations: 100,
            request_bytes: 2 << 20,
            response_bytes: 16 << 20,
            concurrency: 16,
            operation_timeout: Duration::from_secs(30),
            group_timeout: Duration::from_secs(30),
            batch_timeout: Duration::from_secs(60),
            idle_timeout: None,
            id_bytes: 256,
            target_bytes: 8 << 10,
            headers: 64,
            header_bytes: 16 << 10,
            json_depth: 64,
            line_bytes: 1 << 20,
            result_bytes: 1 << 20,
            in_flight_bytes: 4 << 20,
            stream_window: 1000,
            stream_operations: None,
        }
    }
}
