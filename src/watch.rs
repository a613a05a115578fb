//! What can be seen of an operation from outside: its span, and the time it took.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::batch::Label;

/// Follows one operation from when it is sent until it has an outcome. The default one watches nothing, as is right
/// for an operation that never ran.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    began: Option<Instant>,
    #[cfg(feature = "tracing")]
    span: Option<tracing::Span>,
}

#[cfg(not(feature = "tracing"))]
impl Watch {
    /// The clock is read only if somebody is `timed`.
    pub(crate) fn start(timed: bool, _index: usize, _label: &Label) -> Self {
        Self { began: timed.then(Instant::now) }
    }

    /// Lets `sub_request` run as part of this operation.
    pub(crate) fn over<F: Future>(&self, sub_request: F) -> F {
        sub_request
    }

    /// How long the operation took; zero for one that never ran.
    pub(crate) fn stop(self, _status: StatusCode) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }
}

#[cfg(feature = "tracing")]
impl Watch {
    /// The clock is read only if somebody is `timed`, or if the span is recorded.
    pub(crate) fn start(timed: bool, index: usize, label: &Label) -> Self {
        let span = tracing::info_span!(
            "operation",
            index,
            id = label.id.as_deref(),
            method = %label.method,
            target = label.target.as_ref().map(http::uri::PathAndQuery::as_str),
            status = tracing::field::Empty,
            elapsed = tracing::field::Empty,
        );
        Self { began: (timed || !span.is_disabled()).then(Instant::now), span: Some(span) }
    }

    /// Lets `sub_request` run as part of this operation.
    pub(crate) fn over<F: Future>(&self, sub_request: F) -> tracing::instrument::Instrumented<F> {
        let span = self.span.clone().unwrap_or_else(tracing::Span::none);
        tracing::Instrument::instrument(sub_request, span)
    }

    /// How long the operation took; zero for one that never ran.
    pub(crate) fn stop(self, status: StatusCode) -> Duration {
        let elapsed = self.began.map_or(Duration::ZERO, |began| began.elapsed());
        if let Some(span) = self.span {
            span.record("status", status.as_u16());
            span.record("elapsed", tracing::field::debug(elapsed));
        }
        elapsed
    }
}

/// Puts all that a batch does under one span.
#[cfg(feature = "tracing")]
pub(crate) fn batch<F: Future>(path: &str, answer: F) -> tracing::instrument::Instrumented<F> {
    let fields = tracing::info_span!("batch", path, operations = tracing::field::Empty);
    tracing::Instrument::instrument(answer, fields)
}

/// Puts all that a batch does under one span.
#[cfg(not(feature = "tracing"))]
pub(crate) fn batch<F: Future>(_path: &str, answer: F) -> F {
    answer
}

/// Says how many operations the batch has, once that is known.
pub(crate) fn operations(_total: usize) {
    #[cfg(feature = "tracing")]
    tracing::Span::current().record("operations", _total);
}

/// Tells the server's side, and nobody else, why an operation failed.
pub(crate) fn cause(_what: &str, _error: &dyn std::fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::error!(error = %_error, "{_what}");
}
