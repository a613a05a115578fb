//! A coordinator that writes down what becomes of its transactions, and does what the test says.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::{Extensions, StatusCode, request::Parts};
use tokio::sync::Semaphore;
use tower_multistatus::{BatchContext, Coordinator, Problem, Transaction, TransactionFuture};

/// What was done, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn push(&self, line: impl Into<String>) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(line.into());
    }

    /// What was done since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Something that says when it is dropped.
    pub(crate) fn guard(&self, what: impl Into<String>) -> Guard {
        Guard { log: self.clone(), what: what.into() }
    }
}

#[derive(Debug)]
pub(crate) struct Guard {
    log: Log,
    what: String,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.log.push(format!("{} dropped", self.what));
    }
}

/// How a step of a transaction goes.
#[derive(Clone, Debug, Default)]
pub(crate) enum Go {
    #[default]
    Well,
    /// Only when the test lets it.
    When(Arc<Semaphore>),
    Hang,
    /// With an error whose text is nobody's business.
    Fail,
    /// With an error that is to be told.
    Refuse(StatusCode),
    /// In the call.
    Panic,
    /// In the future, at once or a little later.
    PanicInside,
    PanicLater,
}

impl Go {
    fn call(&self) {
        assert!(!matches!(self, Self::Panic), "secret of the call");
    }

    async fn inside(&self) -> Result<(), tower::BoxError> {
        match self {
            Self::Well | Self::Panic => Ok(()),
            Self::When(gate) => {
                gate.acquire().await?.forget();
                Ok(())
            }
            Self::Hang => std::future::pending().await,
            Self::Fail => Err("secret of the error".into()),
            Self::Refuse(status) => Err(Problem::new(*status, "said by the coordinator").into()),
            Self::PanicInside => panic!("secret of the future"),
            Self::PanicLater => {
                tokio::task::yield_now().await;
                panic!("secret of the future");
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) log: Log,
    pub(crate) begin: Go,
    /// Only whether it panics.
    pub(crate) attach: Go,
    pub(crate) commit: Go,
    pub(crate) rollback: Go,
    /// Transactions panic when they are dropped.
    pub(crate) explosive: bool,
    /// Handles to them do.
    pub(crate) explosive_handles: bool,
    /// How many have begun.
    pub(crate) count: Arc<AtomicUsize>,
}

impl Coordinator for Recorder {
    fn begin(&self, _: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
        let number = self.count.fetch_add(1, Relaxed);
        self.log.push(format!("begin {number}"));
        self.begin.call();
        let recorder = self.clone();
        Box::pin(async move {
            recorder.begin.inside().await?;
            Ok(Box::new(Recorded { recorder, number, is_over: false }) as Box<dyn Transaction>)
        })
    }
}

struct Recorded {
    recorder: Recorder,
    number: usize,
    is_over: bool,
}

/// What the handlers of members find.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) number: usize,
    explosive: bool,
}

impl Transaction for Recorded {
    fn attach(&self, extensions: &mut Extensions) {
        let index = extensions.get::<BatchContext>().unwrap().index();
        self.recorder.log.push(format!("attach {} to {index}", self.number));
        extensions.insert(Handle { number: self.number, explosive: self.recorder.explosive_handles });
        self.recorder.attach.call();
    }

    fn commit(mut self: Box<Self>) -> TransactionFuture<()> {
        self.recorder.log.push(format!("commit {}", self.number));
        self.recorder.commit.call();
        Box::pin(async move {
            self.recorder.commit.inside().await?;
            self.recorder.log.push(format!("committed {}", self.number));
            self.is_over = true;
            Ok(())
        })
    }

    fn rollback(mut self: Box<Self>) -> TransactionFuture<()> {
        self.recorder.log.push(format!("rollback {}", self.number));
        self.recorder.rollback.call();
        Box::pin(async move {
            self.recorder.rollback.inside().await?;
            self.recorder.log.push(format!("rolled back {}", self.number));
            self.is_over = true;
            Ok(())
        })
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if !self.is_over {
            self.recorder.log.push(format!("transaction {} dropped", self.number));
        }
        explode(self.recorder.explosive);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        explode(self.explosive);
    }
}

/// A second panic during a first one would end the process, whoever catches what.
fn explode(explosive: bool) {
    assert!(!explosive || std::thread::panicking(), "on the way down");
}
