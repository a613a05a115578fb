//! A request that was sent to an upstream, until it is known how that ended.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{fault::Fault, health::Health, outgoing::Upload};

/// Tells the upstream's health how it ended; also if it just ends, as when its client has gone.
pub(crate) struct Attempt {
    health: Arc<Health>,
    is_trial: bool,
    began: Instant,
    /// How long a request may take.
    timeout: Duration,
    upload: Option<Arc<Upload>>,
    has_ended: bool,
}

impl Attempt {
    pub(crate) fn begin(health: &Arc<Health>, timeout: Duration, upload: Option<Arc<Upload>>) -> Self {
        let (health, is_trial) = (Arc::clone(health), health.begin());
        Self { health, is_trial, began: Instant::now(), timeout, upload, has_ended: false }
    }

    pub(crate) fn answered(mut self) {
        self.has_ended = true;
        self.health.answered();
    }

    pub(crate) fn failed(mut self, fault: &Fault) {
        self.has_ended = true;
        self.health.fault(fault);
        self.end_turn();
    }

    /// It has broken, as it did at another upstream: it is rather the request than either of them.
    pub(crate) fn failed_again(mut self) {
        self.has_ended = true;
        self.end_turn();
    }

    /// If the upstream is still on trial: it isn't after a fault of its own.
    fn end_turn(&self) {
        if self.is_trial {
            self.health.end_turn();
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        self.end_turn();
        let awaits_client = self.upload.as_ref().is_some_and(|upload| upload.state().awaits_client);
        // It has had most of the time that there was, so this is more than an impatient client.
        if !awaits_client && self.began.elapsed() >= self.timeout / 2 {
            self.health.silent();
        }
    }
}
