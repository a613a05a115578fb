//! What a service remembers, and transactions on it.

use std::sync::{Arc, Mutex};

use http::{Extensions, request::Parts};
use tower_multistatus::{Coordinator, Transaction, TransactionFuture};

/// What the service remembers: how often it was posted to, and with what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<String>>>);

impl Memory {
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lines())))
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Coordinator for Memory {
    fn begin(&self, _: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
        let open = Open { memory: self.clone(), copy: self.copy() };
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(Box::new(open) as Box<dyn Transaction>)
        })
    }
}

struct Open {
    memory: Memory,
    copy: Memory,
}

impl Transaction for Open {
    fn attach(&self, extensions: &mut Extensions) {
        extensions.insert(self.copy.clone());
    }

    fn commit(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            *self.memory.0.lock().unwrap() = self.copy.lines();
            Ok(())
        })
    }

    fn rollback(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async { Ok(()) })
    }
}
