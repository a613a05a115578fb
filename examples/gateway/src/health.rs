//! Whether an upstream takes requests: what is known of it, and who finds out when it does again.

use std::{
    fmt,
    future::poll_fn,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::time::sleep;
use tower::{
    Service,
    util::rng::{HasherRng, Rng},
};

use crate::fault::Fault;

/// The first rest after an exchange that broke is so much shorter than after a refusal: just so long that what is sent once
/// more goes elsewhere. A request that breaks each server that it comes to must not take them all away from others.
const REST: u32 = 16;
/// So long is the one request of a trial waited for, before another one is let in.
const TRIAL: Duration = Duration::from_secs(1);
/// So many requests in a row without an answer in their time make an upstream that says nothing.
const SILENCES: u32 = 5;

/// The bounds of how long an upstream is left alone: after the first fault, and after many in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) last: Duration,
}

/// What is known of one upstream.
pub(crate) struct Health {
    origin: Uri,
    connector: HttpConnector,
    backoff: Backoff,
    state: Mutex<State>,
    /// Of who waits for this upstream: one task, which sends all requests.
    waker: AtomicWaker,
}

struct State {
    condition: Condition,
    /// In a row: an answer ends them.
    faults: u32,
    silences: u32,
    /// How often it has been left alone.
    rests: u64,
    rng: HasherRng,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Up,
    /// It takes connections again. One request at a time, until one of them is answered.
    Trial {
        taken: bool,
    },
    /// It has broken off an exchange. That may be for the request's sake, so it is left alone for a moment only, and
    /// requests wait rather than fail if all others are in the same condition.
    Resting,
    /// It took no connection. There is no sense in waiting for it.
    Down,
}

impl Health {
    pub(crate) fn new(origin: Uri, connector: HttpConnector, backoff: Backoff) -> Arc<Self> {
        let (faults, silences, rests, rng) = (0, 0, 0, HasherRng::new());
        let state = Mutex::new(State { condition: Condition::Up, faults, silences, rests, rng });
        Arc::new(Self { origin, connector, backoff, state, waker: AtomicWaker::new() })
    }

    /// Pending while no request should be sent there.
    pub(crate) fn poll_admits(&self, cx: &mut Context<'_>) -> Poll<()> {
        // First, or a change in between would be missed. It also wakes who waits for a place: the last upstream that was
        // up may be down then.
        self.waker.register(cx.waker());
        match self.state().condition {
            Condition::Up | Condition::Trial { taken: false } => Poll::Ready(()),
            Condition::Trial { taken: true } | Condition::Resting | Condition::Down => Poll::Pending,
        }
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state().condition == Condition::Down
    }

    pub(crate) fn rests(&self) -> u64 {
        self.state().rests
    }

    /// A request is sent there; whether it is that of a trial.
    pub(crate) fn begin(self: &Arc<Self>) -> bool {
        let mut state = self.state();
        let is_trial = matches!(state.condition, Condition::Trial { .. });
        if is_trial {
            state.condition = Condition::Trial { taken: true };
            tokio::spawn(Self::go_on(Arc::downgrade(self)));
        }
        is_trial
    }

    /// An exchange has failed.
    pub(crate) fn fault(self: &Arc<Self>, fault: &Fault) {
        match fault {
            Fault::Refused(_) => self.leave_alone(Condition::Down, fault),
            Fault::Broken(_) => self.leave_alone(Condition::Resting, fault),
            // These say nothing about it.
            Fault::Body(_) | Fault::Stalled | Fault::Slow | Fault::AllDown | Fault::Unfit(_) => {}
        }
    }

    fn leave_alone(self: &Arc<Self>, condition: Condition, why: &dyn fmt::Display) {
        let mut state = self.state();
        // One that is gone breaks all its exchanges at once. That is one fault, not many.
        if matches!(state.condition, Condition::Resting | Condition::Down) {
            return;
        }
        let Backoff { first, last } = self.backoff;
        let is_down = condition == Condition::Down;
        let pause =
            state.pause(if is_down { self.backoff } else { Backoff { first: first / REST, last: first.min(last) } });
        state.rests += 1;
        state.condition = condition;
        drop(state);
        if is_down {
            self.say(format_args!("is down: {why}"));
        }
        self.waker.wake();
        tokio::spawn(watch(Arc::downgrade(self), pause));
    }

    /// Lets another request in, if the one of the trial takes its time.
    async fn go_on(health: Weak<Self>) {
        sleep(TRIAL).await;
        if let Some(health) = health.upgrade() {
            health.end_turn();
        }
    }

    /// Lets another request in, if one was on trial.
    pub(crate) fn end_turn(&self) {
        let mut state = self.state();
        if state.condition == (Condition::Trial { taken: true }) {
            state.condition = Condition::Trial { taken: false };
            drop(state);
            self.waker.wake();
        }
    }

    /// An exchange was answered.
    pub(crate) fn answered(&self) {
        let mut state = self.state();
        state.silences = 0;
        let was_trial = matches!(state.condition, Condition::Trial { .. });
        if was_trial {
            state.condition = Condition::Up;
        }
        if state.condition == Condition::Up {
            state.faults = 0;
        }
        drop(state);
        if was_trial {
            self.waker.wake();
        }
    }

    /// It was given up for having said nothing for long.
    pub(crate) fn silent(self: &Arc<Self>) {
        let mut state = self.state();
        state.silences += 1;
        if state.silences < SILENCES {
            return;
        }
        state.silences = 0;
        drop(state);
        self.leave_alone(Condition::Down, &"it takes requests and answers none of them");
    }

    async fn connects(&self) -> bool {
        let mut connector = self.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx)).await.is_ok() && connector.call(self.origin.clone()).await.is_ok()
    }

    fn say(&self, what: fmt::Arguments<'_>) {
        // There is nobody to be told that nobody reads.
        let _ = writeln!(io::stderr(), "{} {what}", self.origin);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Twice as long after each fault, up to a bound, and at random between a half of that and all of it: gateways that
    /// have lost the same upstream shouldn't come back all at once.
    fn pause(&mut self, Backoff { first, last }: Backoff) -> Duration {
        let doubled = 2_u32.saturating_pow(self.faults);
        self.faults = self.faults.saturating_add(1);
        first.saturating_mul(doubled).min(last).mul_f64(0.5 + self.rng.next_f64() / 2.0)
    }
}

/// Connects now and then, until that works. So no request has to find out.
async fn watch(health: Weak<Health>, mut pause: Duration) {
    loop {
        sleep(pause).await;
        let Some(health) = health.upgrade() else { return };
        let connects = health.connects().await;
        let mut state = health.state();
        let was_down = state.condition == Condition::Down;
        if connects {
            state.condition = Condition::Trial { taken: false };
            drop(state);
            if was_down {
                health.say(format_args!("takes connections again"));
            }
            return health.waker.wake();
        }
        pause = state.pause(health.backoff);
        state.condition = Condition::Down;
        drop(state);
        if !was_down {
            health.say(format_args!("is down"));
        }
        health.waker.wake();
    }
}

#[cfg(test)]
#[path = "health/tests.rs"]
mod tests;
