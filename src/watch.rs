//! What can be seen from outside: spans, and the time that operations take.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::batch::Label;

/// Follows a batch, or one operation from when it is sent until it has an outcome. The default one watches nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    clock: Clock,
    #[cfg(feature = "tracing")]
    span: Option<tracing::Span>,
}

/// How long an operation takes.
#[derive(Clone, Copy, Debug, Default)]
enum Clock {
    #[default]
    Off,
    Since(Instant),
    Stopped(Duration),
}

impl Clock {
    fn elapsed(self) -> Duration {
        match self {
            Self::Off => Duration::ZERO,
            Self::Since(began) => began.elapsed(),
            Self::Stopped(elapsed) => elapsed,
        }
    }
}

impl Watch {
    /// For an operation that begins. The clock is read only if somebody wants to know the time, or if the span is
    /// recorded.
    pub(crate) fn start(timed: bool, index: usize, label: &Label) -> Self {
        let mut watch = Self::idle(index, label);
        if timed || watch.is_recorded() {
            watch.clock = Clock::Since(Instant::now());
        }
        watch
    }

    /// For an operation that has ended, while its outcome isn't known.
    pub(crate) fn pause(mut self) -> Self {
        if let Clock::Since(_) = self.clock {
            self.clock = Clock::Stopped(self.clock.elapsed());
        }
        self
    }
}

#[cfg(not(feature = "tracing"))]
impl Watch {
    /// For an operation that never runs.
    pub(crate) fn idle(_index: usize, _label: &Label) -> Self {
        Self::default()
    }

    fn is_recorded(&self) -> bool {
        false
    }

    /// What the operations of one batch belong to.
    pub(crate) fn batch(_path: &str) -> Self {
        Self::default()
    }

    /// Lets `work` run as part of what is watched.
    pub(crate) fn over<F: Future>(&self, work: F) -> F {
        work
    }

    /// Does `work` as part of what is watched.
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }

    /// How long the operation took; zero for one that never ran.
    pub(crate) fn stop(self, _status: StatusCode) -> Duration {
        self.clock.elapsed()
    }
}

#[cfg(feature = "tracing")]
impl Watch {
    /// For an operation that never runs.
    pub(crate) fn idle(index: usize, label: &Label) -> Self {
        let span = tracing::info_span!(
            "operation",
            index,
            id = label.id.as_deref(),
            method = %label.method,
            target = label.target.as_ref().map(http::uri::PathAndQuery::as_str),
            status = tracing::field::Empty,
            elapsed = tracing::field::Empty,
        );
        Self { clock: Clock::Off, span: Some(span).filter(|span| !span.is_disabled()) }
    }

    fn is_recorded(&self) -> bool {
        self.span.is_some()
    }

    /// What the operations of one batch belong to.
    pub(crate) fn batch(path: &str) -> Self {
        let span = tracing::info_span!("batch", path, operations = tracing::field::Empty);
        Self { clock: Clock::Off, span: Some(span) }
    }

    /// Lets `work` run as part of what is watched.
    pub(crate) fn over<F: Future>(&self, work: F) -> tracing::instrument::Instrumented<F> {
        let span = self.span.clone().unwrap_or_else(tracing::Span::none);
        tracing::Instrument::instrument(work, span)
    }

    /// Does `work` as part of what is watched.
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.span {
            Some(span) => span.in_scope(work),
            None => work(),
        }
    }

    /// How long the operation took; zero for one that never ran.
    pub(crate) fn stop(self, status: StatusCode) -> Duration {
        let elapsed = self.clock.elapsed();
        if let Some(span) = self.span {
            span.record("status", status.as_u16());
            span.record("elapsed", tracing::field::debug(elapsed));
        }
        elapsed
    }
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
