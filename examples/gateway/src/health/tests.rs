#![allow(clippy::unwrap_used)]

use std::io;

use futures_util::task::noop_waker;

use super::*;
use crate::attempt::Attempt;

const FIRST: Duration = Duration::from_secs(1);

/// Nobody listens there.
fn health() -> Arc<Health> {
    let origin = Uri::from_static("http://127.0.0.1:1/");
    let backoff = Backoff { first: FIRST, last: FIRST * 8 };
    Health::new(origin, HttpConnector::new(), backoff)
}

fn begin(health: &Arc<Health>) -> Attempt {
    Attempt::begin(health, FIRST, None)
}

fn admits(health: &Health) -> bool {
    health.poll_admits(&mut Context::from_waker(&noop_waker())).is_ready()
}

fn refused() -> Fault {
    Fault::Refused(io::Error::from(io::ErrorKind::ConnectionRefused).into())
}

fn broken() -> Fault {
    Fault::Broken("broken".into())
}

#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_a_bound_and_are_never_the_same() {
    let health = health();
    let mut state = health.state();
    for expected in [1, 2, 4, 8, 8, 8] {
        let (pause, most) = (state.pause(health.backoff), Duration::from_secs(expected));
        assert!(pause >= most / 2 && pause <= most, "{pause:?} of {most:?}");
    }
    let pauses: Vec<_> = (0..10).map(|_| state.pause(health.backoff)).collect();
    assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    // However long it is down.
    state.faults = u32::MAX;
    assert!(state.pause(health.backoff) <= FIRST * 8);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_down_and_a_break_is_a_rest() {
    let health = health();
    begin(&health).failed(&refused());
    assert!(health.is_down() && !admits(&health));
    let other = self::health();
    begin(&other).failed(&broken());
    assert!(!other.is_down() && !admits(&other));
}

#[tokio::test(start_paused = true)]
async fn many_that_break_at_once_are_one_fault() {
    let health = health();
    let attempts: Vec<_> = (0..10).map(|_| begin(&health)).collect();
    for attempt in attempts {
        attempt.failed(&broken());
    }
    assert_eq!(health.state().faults, 1);
    assert_eq!(health.rests(), 1);
    assert!(!health.is_down());
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_has_one_request_at_a_time_until_it_answers() {
    let health = health();
    health.state().condition = Condition::Trial { taken: false };
    assert!(admits(&health));
    let attempt = begin(&health);
    assert!(!admits(&health));
    // Its client has gone.
    drop(attempt);
    assert!(admits(&health));
    let attempt = begin(&health);
    attempt.answered();
    assert!(admits(&health));
    let _one = begin(&health);
    assert!(admits(&health));
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_does_not_keep_others_from_a_trial() {
    let health = health();
    health.state().condition = Condition::Trial { taken: false };
    let _slow = begin(&health);
    assert!(!admits(&health));
    sleep(TRIAL * 2).await;
    assert!(admits(&health));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_breaks_wherever_it_comes_is_one_fault() {
    let health = health();
    for _ in 0..100 {
        begin(&health).failed_again();
    }
    assert!(admits(&health));
    begin(&health).failed(&broken());
    assert_eq!(health.state().faults, 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_client_does_counts_against_nobody() {
    let health = health();
    for fault in [Fault::Body("gone".into()), Fault::Stalled, Fault::Slow, Fault::AllDown] {
        begin(&health).failed(&fault);
    }
    for _ in 0..100 {
        drop(begin(&health));
    }
    assert!(admits(&health));
}

#[tokio::test(start_paused = true)]
async fn one_that_never_answers_is_left_alone_and_one_that_answers_now_and_then_is_not() {
    let health = health();
    let silence = async || {
        let attempt = begin(&health);
        tokio::time::advance(FIRST).await;
        drop(attempt);
    };
    for _ in 0..10 {
        for _ in 0..SILENCES - 1 {
            silence().await;
        }
        begin(&health).answered();
    }
    assert!(admits(&health));
    for _ in 0..SILENCES {
        silence().await;
    }
    assert!(health.is_down());
}
