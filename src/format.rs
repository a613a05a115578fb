//! Wire formats: how a batch is read, and how a multistatus is written.
//!
//! The two sides are apart, for a format may have only one (RFC 4918 XML is for answers), and any way of reading can
//! be paired with any way of writing. [`negotiate`](crate::negotiate) chooses.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::{
    batch::{Batch, Outcome},
    builder::DecodeContext,
    config::Config,
    draft::Draft,
    rejection::Rejection,
};

pub(crate) mod json;
#[cfg(feature = "multipart")]
pub(crate) mod multipart;
#[cfg(feature = "xml")]
pub(crate) mod multistatus;
#[cfg(feature = "ndjson")]
pub(crate) mod ndjson;
#[cfg(feature = "odata")]
pub(crate) mod odata;
#[cfg(any(feature = "multipart", feature = "odata"))]
mod odata_protocol;

/// Reads a batch.
///
/// A format takes the request's body apart and gives each operation to a [`BatchBuilder`](crate::BatchBuilder), which
/// does all the checking. What makes the whole document unreadable is a [`Rejection`]; whatever is wrong with a single
/// operation is said with [`Draft::refuse`](crate::Draft::refuse), so that the others go on.
///
/// ```
/// use bytes::Bytes;
/// use tower_multistatus::{Batch, BatchLayer, Decode, DecodeContext, Rejection};
///
/// /// One target a line: a batch of GETs.
/// struct Lines;
///
/// impl Decode for Lines {
///     fn media_types(&self) -> &[&'static str] {
///         &["text/uri-list"]
///     }
///
///     fn decode(&self, cx: DecodeContext<'_>, body: Bytes) -> Result<Batch, Rejection> {
///         let text = std::str::from_utf8(&body).map_err(|_| Rejection::malformed("the batch is not UTF-8"))?;
///         let mut batch = cx.batch("");
///         for line in text.lines() {
///             let mut operation = cx.operation();
///             operation.target(body.slice_ref(line.as_bytes()), "");
///             batch.push(operation)?;
///         }
///         batch.finish()
///     }
/// }
///
/// let layer = BatchLayer::new().decoder(Lines);
/// ```
pub trait Decode: Send + Sync + 'static {
    /// The media types that it reads, for [`accepts`](Self::accepts) and for telling a client what it could have sent.
    fn media_types(&self) -> &[&'static str];

    /// Whether it reads this media type: `type/subtype`, in lower case, without parameters.
    fn accepts(&self, media_type: &str) -> bool {
        self.media_types().contains(&media_type)
    }

    /// How to answer a batch that was read so, unless overridden in the first media type that is read, if `Accept` allows it
    /// and the server writes it.
    fn reply(&self) -> Reply {
        Reply::Prefer(self.media_types().first().copied().unwrap_or("application/json"))
    }

    /// Reads a batch from the whole body of a request.
    ///
    /// # Errors
    ///
    /// Where the document can't be read at all.
    fn decode(&self, cx: DecodeContext<'_>, body: Bytes) -> Result<Batch, Rejection>;
}

/// Reads batches while they arrive, line by line.
///
/// An operation is dispatched when its line is there, and the answer is sent meanwhile, whatever
/// [`BatchLayer::stream`](crate::BatchLayer::stream) says. So a batch may be longer than what fits into memory, and little of
/// it is known before it is there: whatever is wrong with a line is said with [`Draft::refuse`], and is the outcome of that
/// operation.
///
/// ```
/// use bytes::Bytes;
/// use tower_multistatus::{BatchLayer, DecodeContext, DecodeLines, Draft, LineDecoder, Rejection};
///
/// /// One target a line: a batch of GETs that needn't ever end.
/// struct Targets;
///
/// impl DecodeLines for Targets {
///     fn media_types(&self) -> &[&'static str] {
///         &["text/uri-list"]
///     }
///
///     fn begin(&self, _cx: DecodeContext<'_>) -> Result<Box<dyn LineDecoder>, Rejection> {
///         Ok(Box::new(Targets))
///     }
/// }
///
/// impl LineDecoder for Targets {
///     fn line<'a>(&mut self, cx: DecodeContext<'a>, line: Bytes) -> Option<Draft<'a>> {
///         if line.is_empty() || line.starts_with(b"#") {
///             return None;
///         }
///         let mut operation = cx.operation();
///         operation.target(line, "");
///         Some(operation)
///     }
/// }
///
/// let layer = BatchLayer::new().line_decoder(Targets);
/// ```
pub trait DecodeLines: Send + Sync + 'static {
    /// The media types that it reads, for [`accepts`](Self::accepts) and for telling a client what it could have sent.
    fn media_types(&self) -> &[&'static str];

    /// Whether it reads this media type: `type/subtype`, in lower case, without parameters.
    fn accepts(&self, media_type: &str) -> bool {
        self.media_types().contains(&media_type)
    }

    /// How to answer a batch that was read so; unless overridden in NDJSON, if `Accept` allows it and the server has it
    /// (feature `ndjson`).
    fn reply(&self) -> Reply {
        Reply::Prefer("application/x-ndjson")
    }

    /// Begins to read one batch.
    ///
    /// # Errors
    ///
    /// Where its [head](DecodeContext::head) says already that it can't be read. Later it is too late for that.
    fn begin(&self, cx: DecodeContext<'_>) -> Result<Box<dyn LineDecoder>, Rejection>;
}

/// Reads one batch, line by line.
pub trait LineDecoder: Send {
    /// One operation, from one line, which is given without its end (LF or CRLF). `None` where it is none: a blank line, a
    /// comment, a heading, or a part of what later lines are.
    ///
    /// A pointer in a problem is relative to the line. A panic is a 500 in the place of the line, and the next one is given to
    /// the same decoder.
    ///
    /// What is kept of lines that were `None` is in nobody's account: it has to be bounded here, and what goes over that
    /// refused.
    fn line<'a>(&mut self, cx: DecodeContext<'a>, line: Bytes) -> Option<Draft<'a>>;

    /// A line was too long ([`BatchLayer::max_line_bytes`](crate::BatchLayer::max_line_bytes)), and its outcome is a 413. What
    /// it may have been a part of must not be carried out without it.
    fn passed_over(&mut self) {}

    /// One more operation, behind the last line: of what the lines before have begun, and none has ended. Not called where the
    /// stream ends too early: the request breaks off, or a limit or a time is over.
    fn finish<'a>(&mut self, _cx: DecodeContext<'a>) -> Option<Draft<'a>> {
        None
    }
}

/// What reads batches, whole or line by line.
#[derive(Clone)]
pub(crate) enum Decoder {
    Whole(Arc<dyn Decode>),
    Lines(Arc<dyn DecodeLines>),
}

impl Decoder {
    pub(crate) fn media_types(&self) -> &[&'static str] {
        match self {
            Self::Whole(decoder) => decoder.media_types(),
            Self::Lines(decoder) => decoder.media_types(),
        }
    }

    pub(crate) fn accepts(&self, media_type: &str) -> bool {
        match self {
            Self::Whole(decoder) => decoder.accepts(media_type),
            Self::Lines(decoder) => decoder.accepts(media_type),
        }
    }

    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::Whole(decoder) => decoder.reply(),
            Self::Lines(decoder) => decoder.reply(),
        }
    }
}

/// In which media type a batch is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// `Accept` decides; this one is taken where it leaves the choice.
    Prefer(&'static str),
    /// This one, whatever `Accept` says: for formats whose clients understand no other answer.
    Always(&'static str),
}

/// In which order results are sent, where they are sent while the batch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResultOrder {
    /// That of the operations: a result waits for those before it.
    Request,
    /// Each one as soon as it is there: for formats whose results say which operation they belong to.
    Completion,
}

/// Writes answers.
///
/// ```
/// use http::HeaderValue;
/// use tower_multistatus::{BatchLayer, Encode, EncodeContext, Encoder, Outcome};
///
/// /// One status a line.
/// struct Statuses;
///
/// impl Encode for Statuses {
///     fn media_types(&self) -> &[&'static str] {
///         &["text/plain"]
///     }
///
///     fn begin(&self, _cx: EncodeContext) -> Box<dyn Encoder> {
///         Box::new(Statuses)
///     }
/// }
///
/// impl Encoder for Statuses {
///     fn content_type(&self) -> HeaderValue {
///         HeaderValue::from_static("text/plain; charset=utf-8")
///     }
///
///     fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
///         out.extend_from_slice(outcome.status().as_str().as_bytes());
///         out.push(b'\n');
///     }
/// }
///
/// let layer = BatchLayer::new().encoder(Statuses);
/// ```
pub trait Encode: Send + Sync + 'static {
    /// The media types that it writes, best first.
    fn media_types(&self) -> &[&'static str];

    /// Which dialect of its media types it writes; none of its own unless overridden.
    ///
    /// Where several encoders write the media type of an answer, the one of the batch's dialect is taken
    /// ([`BatchBuilder::dialect`](crate::BatchBuilder::dialect)), else one that has none.
    fn dialect(&self) -> Option<&'static str> {
        None
    }

    /// The status of the answer; 207 unless overridden, here or by [`BatchLayer::answer_status`](crate::BatchLayer::answer_status).
    fn status(&self) -> StatusCode {
        StatusCode::MULTI_STATUS
    }

    /// In which order the results stand in an answer that is sent while the batch runs; in request order unless
    /// overridden. An answer that is sent when it is whole always is in request order.
    fn order(&self) -> ResultOrder {
        ResultOrder::Request
    }

    /// Begins one answer.
    fn begin(&self, cx: EncodeContext) -> Box<dyn Encoder>;
}

/// Writes one answer, piece by piece, each piece to the end of `out`.
pub trait Encoder: Send {
    /// The `Content-Type` of the answer.
    fn content_type(&self) -> HeaderValue;

    /// What stands before the first outcome; nothing unless overridden.
    fn start(&mut self, _out: &mut Vec<u8>) {}

    /// One outcome. Each operation has exactly one; a batch that is read while it arrives, and ends too early, has one more, at
    /// the place where it ends.
    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>);

    /// What may stand between two outcomes, and before the first and behind the last one, without a meaning: it is sent
    /// where a client would otherwise wait in silence ([`BatchLayer::keep_alive`](crate::BatchLayer::keep_alive)).
    /// Nothing unless overridden.
    fn keep_alive(&self) -> &'static [u8] {
        b""
    }

    /// What stands behind the last outcome; nothing unless overridden.
    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

/// What an [`Encoder`] may need to know of the batch that it answers.
#[derive(Clone)]
pub struct EncodeContext {
    config: Arc<Config>,
    media_type: &'static str,
    batch_path: Arc<str>,
}

impl EncodeContext {
    pub(crate) fn new(config: Arc<Config>, media_type: &'static str, batch_path: &str) -> Self {
        Self { config, media_type, batch_path: batch_path.into() }
    }

    /// Which of [`Encode::media_types`] the client wants.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// The path that the batch was sent to.
    #[must_use]
    pub fn batch_path(&self) -> &str {
        &self.batch_path
    }

    /// The status of an answer that this format writes.
    pub(crate) fn status(&self, format: &dyn Encode) -> StatusCode {
        let mut statuses = self.config.answer_statuses.iter().rev();
        statuses.find(|(media_type, _)| *media_type == self.media_type).map_or_else(|| format.status(), |found| found.1)
    }

    /// The names of those of a response's headers that belong into the answer
    /// ([`BatchLayer::result_header`](crate::BatchLayer::result_header)).
    pub fn reported<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a HeaderName> {
        headers.keys().filter(|name| self.config.tells(name))
    }
}

impl fmt::Debug for EncodeContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodeContext")
            .field("media_type", &self.media_type)
            .field("batch_path", &self.batch_path)
            .finish_non_exhaustive()
    }
}

/// A header's value as text. What is not UTF-8 is read as Latin-1, so that no byte gets lost (RFC 9110 §5.5).
pub(crate) fn header_text(value: &HeaderValue) -> Cow<'_, str> {
    let bytes = value.as_bytes();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}
