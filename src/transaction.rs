//! Atomic groups: all of their operations count, or none.

use std::{future::Future, pin::Pin};

use http::{Extensions, request::Parts};
use tower::BoxError;

/// The future of one step of a [`Transaction`].
pub type TransactionFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Begins a transaction for each atomic group of operations. See [`BatchLayer::with_coordinator`].
///
/// The members of a group run in request order, each through the whole wrapped service, and each finds among its
/// extensions what [`Transaction::attach`] has put there. If all of them end with a 2xx, the transaction is committed;
/// at the first one that doesn't, it is rolled back, and the outcomes of the others are 424 (Failed Dependency).
///
/// What handlers do elsewhere than in the transaction (a mail, a call to another server) can't be taken back by it.
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use http::{Extensions, request::Parts};
/// use tower_multistatus::{BatchLayer, Coordinator, Transaction, TransactionFuture};
///
/// /// All that there is to be remembered.
/// #[derive(Clone, Default)]
/// struct Memory(Arc<Mutex<Vec<String>>>);
///
/// /// What one group wants to add to it. Handlers find it among the extensions of their request.
/// #[derive(Clone)]
/// struct Draft(Arc<Mutex<Vec<String>>>);
///
/// struct Open {
///     memory: Memory,
///     draft: Draft,
/// }
///
/// impl Coordinator for Memory {
///     fn begin(&self, _batch: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
///         let open = Open { memory: self.clone(), draft: Draft(Arc::default()) };
///         Box::pin(async { Ok(Box::new(open) as Box<dyn Transaction>) })
///     }
/// }
///
/// impl Transaction for Open {
///     fn attach(&self, extensions: &mut Extensions) {
///         extensions.insert(self.draft.clone());
///     }
///
///     fn commit(self: Box<Self>) -> TransactionFuture<()> {
///         Box::pin(async move {
///             let mut added = self.draft.0.lock().map_err(|_| "a handler panicked")?;
///             self.memory.0.lock().map_err(|_| "a handler panicked")?.append(&mut added);
///             Ok(())
///         })
///     }
///
///     fn rollback(self: Box<Self>) -> TransactionFuture<()> {
///         Box::pin(async { Ok(()) })
///     }
/// }
///
/// let layer = BatchLayer::new().with_coordinator(Memory::default());
/// ```
///
/// `examples/transactions` does the same with a real database.
///
/// [`BatchLayer::with_coordinator`]: crate::BatchLayer::with_coordinator
pub trait Coordinator: Send + Sync + 'static {
    /// Begins a transaction. `batch` is the head of the batch's request: its extensions tell, for example, whose
    /// database it is. The future can't borrow it: take what it needs before the `async` block.
    ///
    /// The future may wait as long as an operation may ([`BatchLayer::operation_timeout`]). The members then have
    /// [`BatchLayer::group_timeout`] together, and so long may what the transaction locks be held by one client.
    ///
    /// # Errors
    ///
    /// Then no member of the group is carried out. An error that is a [`Problem`](crate::Problem) is the outcome of each
    /// of them; of any other one they learn no more than its status ([`BatchLayer::with_error_status`]).
    ///
    /// [`BatchLayer::operation_timeout`]: crate::BatchLayer::operation_timeout
    /// [`BatchLayer::group_timeout`]: crate::BatchLayer::group_timeout
    /// [`BatchLayer::with_error_status`]: crate::BatchLayer::with_error_status
    fn begin(&self, batch: &Parts) -> TransactionFuture<Box<dyn Transaction>>;
}

impl<C: Coordinator + ?Sized> Coordinator for std::sync::Arc<C> {
    fn begin(&self, batch: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
        (**self).begin(batch)
    }
}

/// One transaction, from its beginning to [`commit`](Self::commit) or [`rollback`](Self::rollback).
///
/// Where neither is called, because the client hangs up, time runs out or the runtime shuts down, it is dropped, and
/// that has to roll it back without awaiting anything, as dropping a transaction of sqlx does.
pub trait Transaction: Send + 'static {
    /// Puts a handle to this transaction where the handler of a member finds it. Called for each member, just before it
    /// is sent.
    ///
    /// The handle is shared with whatever the handler does with it: one that is kept beyond the response must find the
    /// transaction closed.
    fn attach(&self, extensions: &mut Extensions);

    /// All members ended with a 2xx.
    ///
    /// When the future is dropped before its end, because time runs out or the client hangs up, nobody can tell what
    /// became of the transaction: to the client it is a 504 that says so.
    ///
    /// # Errors
    ///
    /// Then all members have failed, with the [`Problem`](crate::Problem) that the error is, or with the status of any
    /// other error.
    fn commit(self: Box<Self>) -> TransactionFuture<()>;

    /// A member did not end with a 2xx.
    ///
    /// With `BatchLayer::spawn`, a member whose time ran out may still be at work, until its next `await`: what it does
    /// with its handle must not count any more.
    ///
    /// # Errors
    ///
    /// Are told to `tracing` only: for the client the group has failed already.
    fn rollback(self: Box<Self>) -> TransactionFuture<()>;
}
