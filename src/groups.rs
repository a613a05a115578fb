//! The atomic groups of one batch, and their transactions.

use std::{
    collections::{HashMap, HashSet},
    mem,
    pin::Pin,
};

use http::{Request, StatusCode, request::Parts};
use tokio::time::Instant;
use tower::BoxError;

use crate::{
    config::Config,
    problem::Problem,
    transaction::{Transaction, TransactionFuture},
    unwind::caught,
    watch,
};

/// A group goes by its first member.
#[derive(Default)]
pub(crate) struct Groups {
    open: HashMap<usize, Open>,
    committing: HashSet<usize>,
}

/// A transaction that has begun.
pub(crate) struct Open {
    transaction: Box<dyn Transaction>,
    deadline: Instant,
}

impl Open {
    /// When the members have had their time.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Gives a member the handle to its transaction.
    pub(crate) fn attach<B>(&self, request: &mut Request<B>) -> Result<(), Box<Problem>> {
        let extensions = request.extensions_mut();
        if caught(|| self.transaction.attach(extensions)).is_some() {
            return Ok(());
        }
        watch::cause("the coordinator panicked", &"at a member of a group");
        // A handle may panic too, on its way down.
        caught(|| drop(mem::take(extensions)));
        let detail = "the operation could not be given the transaction of its group; it was not carried out";
        Err(Box::new(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)))
    }
}

/// What is done with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Begin,
    Commit,
    Rollback,
}

/// What came of it.
pub(crate) enum Staged {
    Begun(Result<Box<dyn Transaction>, Box<Problem>>),
    Committed(Result<(), Box<Problem>>),
    RolledBack,
}

/// One of these on its way.
pub(crate) type Staging = Pin<Box<dyn Future<Output = Staged> + Send>>;

impl Groups {
    pub(crate) fn is_committing(&self, group: usize) -> bool {
        self.committing.contains(&group)
    }

    /// Starts what is to be done; `None` where that panics.
    pub(crate) fn stage(&mut self, stage: Stage, group: usize, config: &Config, batch: &Parts) -> Option<Staging> {
        let error_status = config.error_status.clone();
        let problem = move |error: BoxError, what: &'static str| {
            watch::cause(what, &error);
            let problem = match error.downcast::<Problem>() {
                Ok(problem) => problem,
                Err(error) => Box::new(Problem::new(error_status(error.as_ref()), what)),
            };
            // A failure can't look like a success.
            let is_failure = problem.status().is_client_error() || problem.status().is_server_error();
            if is_failure { problem } else { Box::new(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, what)) }
        };
        Some(match stage {
            Stage::Begin => {
                let coordinator = config.coordinator.as_ref()?;
                let begun = caught(|| coordinator.begin(batch))?;
                Box::pin(async move { Staged::Begun(begun.await.map_err(|error| problem(error, NOT_BEGUN))) })
            }
            Stage::Commit => {
                self.committing.insert(group);
                let transaction = self.open.remove(&group)?.transaction;
                let committed = caught(|| transaction.commit())?;
                Box::pin(
                    async move { Staged::Committed(committed.await.map_err(|error| problem(error, NOT_COMMITTED))) },
                )
            }
            Stage::Rollback => {
                let transaction = self.open.remove(&group)?.transaction;
                let rolled_back: TransactionFuture<()> = caught(|| transaction.rollback())?;
                Box::pin(async move {
                    if let Err(error) = rolled_back.await {
                        watch::cause("the transaction of a group could not be rolled back", &error);
                    }
                    Staged::RolledBack
                })
            }
        })
    }

    pub(crate) fn begun(&mut self, group: usize, transaction: Box<dyn Transaction>, deadline: Instant) {
        self.open.insert(group, Open { transaction, deadline });
    }

    pub(crate) fn open(&self, group: usize) -> Option<&Open> {
        self.open.get(&group)
    }

    /// Drops all transactions, which rolls them back.
    pub(crate) fn abandon(&mut self) {
        for open in mem::take(&mut self.open).into_values() {
            if caught(|| drop(open)).is_none() {
                watch::cause("a transaction panicked", &"when it was dropped");
            }
        }
    }
}

/// When a client hangs up too.
impl Drop for Groups {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl Stage {
    /// It took longer than an operation may.
    pub(crate) fn timed_out(self) -> Staged {
        self.failed(match self {
            Self::Begin => Problem::new(StatusCode::SERVICE_UNAVAILABLE, NOT_BEGUN),
            Self::Commit | Self::Rollback => in_doubt(),
        })
    }

    pub(crate) fn panicked(self) -> Staged {
        watch::cause("the coordinator panicked", &"see the panic's own message");
        self.failed(match self {
            Self::Begin => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, NOT_BEGUN),
            Self::Commit | Self::Rollback => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, IN_DOUBT),
        })
    }

    fn failed(self, problem: Problem) -> Staged {
        match self {
            Self::Begin => Staged::Begun(Err(Box::new(problem))),
            Self::Commit => Staged::Committed(Err(Box::new(problem))),
            Self::Rollback => Staged::RolledBack,
        }
    }
}

const NOT_BEGUN: &str = "the transaction of the group could not begin; nothing of the group was carried out";
const NOT_COMMITTED: &str = "the transaction of the group could not be committed";
const IN_DOUBT: &str = "the commit of the group did not come to its end; the group may have been carried out, or not";

/// For a commit that was broken off.
pub(crate) fn in_doubt() -> Problem {
    Problem::new(StatusCode::GATEWAY_TIMEOUT, IN_DOUBT)
}

/// For an operation that succeeded, or didn't begin, in a group that failed.
pub(crate) fn rolled_back() -> Problem {
    let detail = "another operation of the group did not succeed, so the group was rolled back";
    Problem::new(StatusCode::FAILED_DEPENDENCY, detail)
}
