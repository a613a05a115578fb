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
pub(crate) fn run<F>(sub_request: F, _spawned: bool) -> F
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
        task::{Context, Poll},
    };

    use futures_util::future::Either;
    use http::StatusCode;
    use tokio::task::JoinHandle;

    use crate::{batch::Verdict, problem::Problem};

    pub(crate) fn run<F>(sub_request: F, spawned: bool) -> Either<F, Task>
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        if spawned { Either::Right(Task(tokio::spawn(sub_request))) } else { Either::Left(sub_request) }
    }

    /// A task that ends with its handle.
    pub(crate) struct Task(JoinHandle<Verdict>);

    impl Future for Task {
        type Output = Verdict;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
            Pin::new(&mut self.0).poll(cx).map(|joined| {
                // Panics of the service have been caught inside; what is left is a runtime that shuts down.
                let problem = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down");
                joined.unwrap_or_else(|_| Err(Box::new(problem())))
            })
        }
    }

    impl Drop for Task {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
}
