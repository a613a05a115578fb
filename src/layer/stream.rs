use std::time::Duration;

use super::BatchLayer;
use crate::stream::Streaming;

/// Answers that are sent while their batch runs.
impl BatchLayer {
    /// Which answers are sent while their batch still runs: status and head at once, and each result when it is there;
    /// [`Streaming::Off`] by default.
    ///
    /// ```
    /// use tower_multistatus::{BatchLayer, Streaming};
    ///
    /// // Small answers are whole and have a length, large ones come bit by bit.
    /// let layer = BatchLayer::new().max_operations(10_000).stream(Streaming::From(100));
    /// ```
    ///
    /// In JSON and in XML the results then stand in the order in which they came: each has its `index`. A client that reads
    /// slowly slows its batch down, and one that goes away ends it. What is cut off can be told from what is whole: it is no
    /// whole document.
    ///
    /// While a client doesn't read, nothing of its batch goes on: what runs keeps what it holds (a permit, the transaction
    /// of a group), and its time-outs are seen only when the client reads again. So a client that stops reading, and stays
    /// connected, holds that for as long as the server lets it. [`spawn_streams`](Self::spawn_streams) is against that; a
    /// time-out for writing, on the server's connections, too.
    ///
    /// When the head has been sent, some things can no longer be done. Cookies that operations set are left out. There is no
    /// `Content-Length`. The batch can't be refused any more, though all that refuses a batch as a whole is known before.
    pub fn stream(self, streaming: Streaming) -> Self {
        self.with(|config| config.streaming = streaming)
    }

    /// In an answer that is [streamed](Self::stream), the time from one outcome to the next, in the place of the
    /// [time of the whole batch](Self::batch_timeout): a batch may then take as long as it goes on. Off by default.
    ///
    /// For a batch that is read while it arrives it is the time in which no line comes and no operation ends. There it can't be
    /// off: it is 60 s by default, or the time of [an operation](Self::operation_timeout) or of a
    /// [group](Self::group_timeout), if that is longer.
    ///
    /// A pause of the client's, in which it doesn't read, doesn't count.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.limits.idle_timeout = Some(timeout))
    }

    /// In an answer that is [streamed](Self::stream), sends a line end after so much silence, for formats where that
    /// means nothing (JSON, XML and NDJSON are such), so that no proxy takes the connection for dead. At least a second; off by default.
    pub fn keep_alive(self, silence: Duration) -> Self {
        self.with(|config| config.keep_alive = Some(silence.max(Duration::from_secs(1))))
    }
}

#[cfg(feature = "spawn")]
#[cfg_attr(docsrs, doc(cfg(feature = "spawn")))]
impl BatchLayer {
    /// Lets each answer that is streamed, be it by [`stream`](Self::stream) or because its batch is read while it arrives,
    /// go on in a task of its own. It needs tokio's runtime.
    ///
    /// Then a client that doesn't read holds nothing for long: what has begun goes on to its end, or to the end of its time,
    /// and nothing new begins. After the [idle time-out](Self::idle_timeout) (where none is set, 60 s, or the time of an
    /// operation or a group if that is longer) the batch is given up: all that is left of it is dropped, and what the client reads then breaks off.
    ///
    /// Dropping the answer ends the task, at the next `await` of what runs in it.
    pub fn spawn_streams(self) -> Self {
        self.with(|config| config.spawn_streams = true)
    }
}

/// Batches that are read while they arrive: NDJSON (feature `ndjson`), and what a
/// [line decoder](Self::line_decoder) reads.
///
/// They have no end, so what bounds a batch as a whole doesn't hold for them: neither
/// [the number of its operations](Self::max_operations), nor [its bytes](Self::max_request_bytes) or
/// [those of its answer](Self::max_response_bytes), nor [its time](Self::batch_timeout). These hold in their place.
impl BatchLayer {
    /// The bytes of a line; 1 MiB by default. A longer one is passed over, and its outcome is a 413.
    pub fn max_line_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.limits.line_bytes = bytes)
    }

    /// The bytes of one outcome's body, as the service sends it; 1 MiB by default. A larger one is a 507, though its
    /// operation was carried out.
    pub fn max_result_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.limits.result_bytes = bytes)
    }

    /// The bytes of lines and of results that have not been written into the answer yet, together; 4 MiB by
    /// default. While there are as many, or more, no line is read.
    ///
    /// What has been read and what runs already isn't held back: so there may be up to
    /// [`max_line_bytes`](Self::max_line_bytes) more, and up to [`max_result_bytes`](Self::max_result_bytes) for each
    /// operation that [runs at once](Self::concurrency).
    pub fn max_in_flight_bytes(self, bytes: usize) -> Self {
        self.with(|config| config.limits.in_flight_bytes = bytes)
    }

    /// How far operations may be apart that know of each other; 1,000 by default, at least 1.
    ///
    /// An operation begins only when the one so many before it has ended, so a slow one is overtaken by no more. Ids have
    /// to be unique among as many, and `dependsOn` can name them; what is further back has been forgotten.
    pub fn stream_window(self, operations: usize) -> Self {
        self.with(|config| config.limits.stream_window = operations.max(1))
    }

    /// How many operations a stream may have; as many as it likes unless this says otherwise. The first one too many is a
    /// 413, and the stream ends with it.
    pub fn max_stream_operations(self, operations: usize) -> Self {
        self.with(|config| config.limits.stream_operations = Some(operations))
    }
}
