//! Whether what belongs to a batch runs in its own task, or in others.

use std::time::Duration;

use crate::body::{Chunks, Ours};

#[cfg(feature = "spawn")]
mod drive;

/// An answer that goes on by itself, unless nobody takes anything of it for so long; without `patience`, one that goes on
/// while it is read.
pub(crate) fn stream(chunks: impl Chunks + 'static, patience: Option<Duration>) -> Ours {
    match patience {
        #[cfg(feature = "spawn")]
        Some(patience) => Ours::streamed(drive::drive(chunks, patience)),
        _ => Ours::streamed(chunks),
    }
}

/// Without the feature `spawn`, all runs in the task of the batch.
#[cfg(not(feature = "spawn"))]
pub(crate) fn run<F>(sub_request: F, _spawned: bool, _budget: &std::sync::Arc<crate::send::Budget>) -> F
where
    F: Future<Output = crate::batch::Verdict>,
{
    sub_request
}

#[cfg(feature = "spawn")]
pub(crate) use spawned::run;

#[cfg(feature = "spawn")]
mod spawned {
    use std::{
        pin::Pin,
        sync::Arc,
        task::{Context, Poll},
    };

    use futures_util::future::Either;
    use http::StatusCode;
    use tokio::task::JoinHandle;

    use crate::{batch::Verdict, problem::Problem, send::Budget};

    pub(crate) fn run<F>(sub_request: F, spawned: bool, budget: &Arc<Budget>) -> Either<F, Task>
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        if !spawned {
            return Either::Left(sub_request);
        }
        let budget = Arc::clone(budget);
        Either::Right(Task(tokio::spawn(async move { Parcel { verdict: Some(sub_request.await), budget } })))
    }

    /// A verdict on its way from one task to the other. Where nobody takes it, what it has taken of the budget is given back.
    struct Parcel {
        verdict: Option<Verdict>,
        budget: Arc<Budget>,
    }

    impl Drop for Parcel {
        fn drop(&mut self) {
            if let Some(Ok(response)) = self.verdict.take() {
                self.budget.give_back(response.body().len());
            }
        }
    }

    /// A task that ends with its handle.
    pub(crate) struct Task(JoinHandle<Parcel>);

    impl Future for Task {
        type Output = Verdict;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
            Pin::new(&mut self.0).poll(cx).map(|joined| {
                // Panics of the service have been caught inside; what is left is a runtime that shuts down.
                let problem = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down");
                let verdict = joined.ok().and_then(|mut parcel| parcel.verdict.take());
                verdict.unwrap_or_else(|| Err(Box::new(problem())))
            })
        }
    }

    impl Drop for Task {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    #[cfg(test)]
    mod tests {
        use bytes::Bytes;
        use http::Response;

        use super::*;
        use crate::{config::Config, send::Scope};

        /// It may end while its batch has just given it up.
        #[tokio::test]
        async fn what_nobody_takes_is_given_back() {
            let budget = Budget::new(Arc::new(Config::default()), Scope::InFlight);
            let all = Config::default().limits.in_flight_bytes;
            let taken = Arc::clone(&budget);
            let sub_request = async move {
                taken.take(all);
                Ok(Response::new(Bytes::from(vec![0; all])))
            };
            let Either::Right(task) = run(sub_request, true, &budget) else { unreachable!("it was to be spawned") };
            while !task.0.is_finished() {
                tokio::task::yield_now().await;
            }
            assert!(!budget.has_room());
            drop(task);
            assert!(budget.has_room());
        }
    }
}
