//! A large batch leaves others their turn, and costs no more than its size.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    convert::Infallible,
    future::poll_fn,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use common::{Answer, Body, SubRequest, by_hand, gets, post, request, soon};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::yield_now, time::sleep};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Order};

const MANY: usize = 100_000;
const FEWER: usize = 10_000;
/// How many outcomes there are in one turn.
const TURN: usize = 32;

/// Limits that are out of the way.
fn roomy() -> BatchLayer {
    BatchLayer::new().max_operations(MANY).max_request_bytes(1 << 30).batch_timeout(Duration::from_secs(3600))
}

async fn at_once(_: SubRequest) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::empty()))
}

/// The answer, how often another task had its turn while there were outcomes, and how often a timer fired.
async fn beside(layer: BatchLayer, operations: Value) -> (Answer, usize, usize) {
    let [turns, ticks, outcomes]: [Arc<AtomicUsize>; 3] = Default::default();
    let counted = Arc::clone(&outcomes);
    let layer = layer.on_outcome(move |_, _, _| {
        counted.fetch_add(1, Relaxed);
    });
    let total = operations.as_array().unwrap().len();
    let in_between = move |outcomes: usize| outcomes > 0 && outcomes < total;

    let (progress, turned) = (Arc::clone(&outcomes), Arc::clone(&turns));
    let neighbour = tokio::spawn(poll_fn(move |cx| {
        turned.fetch_add(usize::from(in_between(progress.load(Relaxed))), Relaxed);
        cx.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    let ticked = Arc::clone(&ticks);
    let timer = tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(1)).await;
            ticked.fetch_add(usize::from(in_between(outcomes.load(Relaxed))), Relaxed);
        }
    });
    let answer = tokio::spawn(post(layer.layer(service_fn(at_once)), operations)).await.unwrap();
    neighbour.abort();
    timer.abort();
    (answer, turns.load(Relaxed), ticks.load(Relaxed))
}

#[test]
fn a_batch_that_never_waits_needs_no_runtime() {
    let mut batch = task::spawn(roomy().layer(service_fn(at_once)).oneshot(request(gets(TURN - 1))));
    assert_eq!(assert_ready_ok!(batch.poll()).status(), StatusCode::MULTI_STATUS);
}

#[tokio::test]
async fn a_timer_ticks_beside_operations_that_are_always_ready() {
    let (answer, turns, ticks) = beside(roomy(), gets(MANY)).await;
    assert_eq!(answer.json["summary"], json!({"total": MANY, "succeeded": MANY, "failed": 0}));
    assert!(ticks > 1, "{ticks}");
    assert!(turns >= MANY / TURN - 1, "{turns}");
}

#[tokio::test]
async fn others_have_their_turn_beside_operations_that_are_refused() {
    let (answer, turns, _) = beside(roomy(), (0..FEWER).map(|_| json!({"path": "nowhere"})).collect()).await;
    assert_eq!(answer.json["summary"], json!({"total": FEWER, "succeeded": 0, "failed": FEWER}));
    assert!(turns >= FEWER / TURN - 1, "{turns}");
}

#[tokio::test]
async fn others_have_their_turn_beside_operations_that_are_skipped() {
    let mut operations = gets(FEWER);
    operations[0]["path"] = json!("nowhere");
    let (answer, turns, _) = beside(roomy().stop_on_failure(), operations).await;
    assert_eq!(answer[FEWER - 1]["status"], 424);
    assert!(turns >= FEWER / TURN - 1, "{turns}");
}

#[tokio::test]
async fn others_have_their_turn_beside_operations_whose_time_is_over() {
    let (answer, turns, _) = beside(roomy().batch_timeout(Duration::ZERO), gets(FEWER)).await;
    // Those of the first turn were carried out before anybody looked at the clock.
    assert_eq!(answer[FEWER - 1]["status"], 504);
    assert!(turns >= FEWER / TURN - 1, "{turns}");
}

#[tokio::test(start_paused = true)]
async fn what_is_woken_comes_before_what_could_be_started() {
    // The second opens the way for the first one; all others are ready at once.
    let (open, opened) = oneshot::channel::<()>();
    let (open, opened) = (Arc::new(Mutex::new(Some(open))), Arc::new(Mutex::new(Some(opened))));
    let service = service_fn(move |request: SubRequest| {
        let (open, opened) = (Arc::clone(&open), Arc::clone(&opened));
        async move {
            match request.uri().path() {
                "/0" => {
                    let opened = opened.lock().unwrap().take().unwrap();
                    opened.await.unwrap();
                }
                "/1" => open.lock().unwrap().take().unwrap().send(()).unwrap(),
                _ => {}
            }
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    });
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let layer = roomy().on_outcome(move |cx, _, _| seen.lock().unwrap().push(cx.index()));
    assert_eq!(soon(post(layer.layer(service), gets(1000))).await.statuses(), [200; 1000]);
    let place = order.lock().unwrap().iter().position(|&index| index == 0).unwrap();
    assert!(place <= TURN, "woken by the second, it ended as number {place}");
}

#[tokio::test(start_paused = true)]
async fn a_time_out_comes_before_what_could_be_started() {
    // One hangs, and the others are ready at once; the clock is put forward after the first turn.
    let service = service_fn(|request: SubRequest| async move {
        if request.uri().path() == "/0" {
            std::future::pending::<()>().await;
        }
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&outcomes);
    let layer = roomy().on_outcome(move |cx, _, _| seen.lock().unwrap().push(cx.index()));
    let mut batch = task::spawn(layer.layer(service).oneshot(request(gets(1000))));
    assert_pending!(batch.poll());
    tokio::time::advance(Duration::from_secs(31)).await;
    let answer = Answer::read(soon(batch).await.unwrap()).await;
    assert_eq!(answer[0]["status"], 504);
    assert_eq!(answer.json["summary"]["succeeded"], 999);
    let place = outcomes.lock().unwrap().iter().position(|&index| index == 0).unwrap();
    assert!(place <= 2 * TURN, "overdue after the first turn, it ended as number {place}");
}

/// What the operations of a batch cost their service. Each one is pending as many times as `waits` says, and wakes
/// itself.
async fn cost(layer: BatchLayer, count: usize, waits: usize) -> usize {
    let polls = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&polls);
    let service = service_fn(move |_: SubRequest| {
        let (polls, mut left) = (Arc::clone(&counted), waits);
        poll_fn(move |cx| {
            polls.fetch_add(1, Relaxed);
            if left == 0 {
                return Poll::Ready(Ok::<_, Infallible>(Response::new(Body::empty())));
            }
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    });
    let answer = soon(post(layer.layer(service), gets(count))).await;
    assert_eq!(answer.json["summary"]["succeeded"], count);
    polls.load(Relaxed)
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_polled_as_often_as_it_is_woken() {
    let count = 2000;
    for concurrency in [1, 16, count] {
        for order in [Order::Fenced, Order::Sequential, Order::Unordered] {
            let layer = || roomy().order(order).concurrency(concurrency);
            assert_eq!(cost(layer(), count, 0).await, count);
            assert_eq!(cost(layer(), count, 1).await, 2 * count);
            assert_eq!(cost(layer(), count, 9).await, 10 * count);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn operations_that_wait_cost_nothing_while_others_go_on() {
    let count = 2000;
    let polls = Arc::<AtomicUsize>::default();
    let (inner, mut calls) = by_hand();
    let counted = Arc::clone(&polls);
    let inner = service_fn(move |request| {
        let (polls, mut call) = (Arc::clone(&counted), inner.clone().oneshot(request));
        poll_fn(move |cx| {
            polls.fetch_add(1, Relaxed);
            std::pin::Pin::new(&mut call).poll(cx)
        })
    });
    let batch = tokio::spawn(post(roomy().concurrency(count).layer(inner), gets(count)));
    // One at a time, the last first: each wakes the batch, and none of the others.
    let mut begun = Vec::new();
    while begun.len() < count {
        begun.push(calls.next().await);
    }
    for call in begun.into_iter().rev() {
        call.answer(200);
        yield_now().await;
    }
    assert_eq!(soon(batch).await.unwrap().json["summary"]["succeeded"], count);
    // Once when it begins, once when it gets a place of its own, once when it is woken.
    assert!(polls.load(Relaxed) <= 3 * count, "{} polls of {count} operations", polls.load(Relaxed));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_written_in_turns() {
    // The first ends last, so that all others wait to be written.
    let (open, opened) = oneshot::channel::<()>();
    let opened = Arc::new(Mutex::new(Some(opened)));
    let inner = service_fn(move |request: SubRequest| {
        let opened = opened.lock().unwrap().take_if(|_| request.uri().path() == "/0");
        async move {
            if let Some(opened) = opened {
                opened.await.unwrap();
            }
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    });
    let mut batch = task::spawn(roomy().layer(inner).oneshot(request(gets(FEWER))));
    let mut turns = 0;
    assert_pending!(batch.poll());
    while batch.is_woken() {
        assert_pending!(batch.poll());
    }
    open.send(()).unwrap();
    while batch.poll().is_pending() {
        assert!(batch.is_woken());
        turns += 1;
    }
    assert!(turns >= FEWER / 64 - 1, "{turns}");
}
