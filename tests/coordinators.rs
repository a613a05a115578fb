//! What coordinators do wrong, and time: a group fails by it, and never the batch.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::time::Duration;

use common::{
    Answer, Body, SubRequest, post,
    recorder::{Go, Handle, Log, Recorder},
    request, soon,
    ways::{Inner, in_every_way},
};
use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_test::{assert_pending, task};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Order};

/// A group of three between two others.
fn batch() -> Value {
    json!([
        {"path": "/x"},
        {"path": "/a", "group": "g", "id": "a"},
        {"path": "/b", "group": "g"},
        {"path": "/c", "group": "g"},
        {"path": "/y", "dependsOn": ["a"]},
        {"path": "/z"},
    ])
}

/// The same, where the last member takes too long, or fails.
fn batch_with(last: &str) -> Value {
    let mut batch = batch();
    batch[3]["path"] = json!(last);
    batch
}

/// Writes down what runs, and when it is dropped. `/hang` takes two minutes, and `/fail` fails.
fn inner(log: &Log) -> Inner {
    let log = log.clone();
    Inner::new(service_fn(move |request: SubRequest| {
        let guard = log.guard(request.uri().path());
        async move {
            let target = request.uri().path().to_owned();
            let _request = request;
            let _guard = guard;
            match &*target {
                "/fail" => Err(BoxError::from("as it was told")),
                "/hang" => {
                    tokio::time::sleep(Duration::from_secs(120)).await;
                    Ok(Response::new(Body::empty()))
                }
                _ => Ok(Response::new(Body::empty())),
            }
        }
    }))
}

fn ordered(recorder: &Recorder) -> BatchLayer {
    BatchLayer::new().order(Order::Sequential).with_coordinator(recorder.clone())
}

/// In each way in which operations can run.
async fn answer(change: impl Fn(&mut Recorder), operations: &Value) -> (Answer, Vec<String>) {
    let mut recorder = Recorder::default();
    change(&mut recorder);
    let make = || {
        let fresh = Recorder { log: Log::default(), count: Default::default(), ..recorder.clone() };
        (ordered(&fresh), inner(&fresh.log))
    };
    in_every_way(make, operations).await;
    let answer = soon(post(ordered(&recorder).layer(inner(&recorder.log)), operations.clone())).await;
    assert!(!answer.text().contains("secret"), "{}", answer.text());
    (answer, recorder.log.take())
}

fn detail(result: &Value) -> &str {
    result["error"]["detail"].as_str().unwrap()
}

const PANICS: [Go; 3] = [Go::Panic, Go::PanicInside, Go::PanicLater];

#[tokio::test(start_paused = true)]
async fn where_a_transaction_can_not_begin_nothing_of_the_group_runs() {
    let rows = [(Go::Fail, 500, 0), (Go::Refuse(StatusCode::LOCKED), 423, 0), (Go::Hang, 503, 30)];
    for (begin, status, seconds) in rows.into_iter().chain(PANICS.map(|panic| (panic, 500, 0))) {
        let start = Instant::now();
        let recorder = Recorder { begin: begin.clone(), ..Recorder::default() };
        let once = soon(post(ordered(&recorder).layer(inner(&recorder.log)), batch())).await;
        assert_eq!(start.elapsed().as_secs(), seconds, "{begin:?}");
        let (answer, log) = answer(|recorder| recorder.begin = begin.clone(), &batch()).await;
        assert_eq!(once.json, answer.json);
        assert_eq!(answer.statuses(), [200, status, status, status, 424, 200], "{begin:?}");
        assert_eq!(log, ["/x dropped", "begin 0", "/z dropped"], "{begin:?}");
        let told = if status == 423 { "said by the coordinator" } else { "nothing of the group was carried out" };
        assert!((1..4).all(|member| detail(&answer[member]).contains(told)), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_transaction_can_not_be_committed_all_members_have_failed() {
    let rows = [(Go::Fail, 500, 0), (Go::Refuse(StatusCode::CONFLICT), 409, 0), (Go::Hang, 504, 30)];
    for (commit, status, seconds) in rows.into_iter().chain(PANICS.map(|panic| (panic, 500, 0))) {
        let start = Instant::now();
        let recorder = Recorder { commit: commit.clone(), ..Recorder::default() };
        soon(post(ordered(&recorder).layer(inner(&recorder.log)), batch())).await;
        assert_eq!(start.elapsed().as_secs(), seconds, "{commit:?}");
        let (answer, log) = answer(|recorder| recorder.commit = commit.clone(), &batch()).await;
        assert_eq!(answer.statuses(), [200, status, status, status, 424, 200], "{commit:?}");
        let told = match commit {
            Go::Refuse(_) => "said by the coordinator",
            Go::Fail => "could not be committed",
            // Nobody knows how far it has come.
            _ => "may have been carried out",
        };
        assert!((1..4).all(|member| detail(&answer[member]).contains(told)), "{commit:?} {answer:?}");
        assert_eq!(log[log.len() - 3..], ["commit 0", "transaction 0 dropped", "/z dropped"], "{commit:?} {log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn how_a_rollback_goes_is_nobodys_business() {
    let rows = [Go::Fail, Go::Refuse(StatusCode::CONFLICT), Go::Hang];
    for rollback in rows.into_iter().chain(PANICS) {
        let (answer, log) = answer(|recorder| recorder.rollback = rollback.clone(), &batch_with("/fail")).await;
        assert_eq!(answer.statuses(), [200, 424, 424, 500, 424, 200], "{rollback:?}");
        assert!(detail(&answer[1]).contains("rolled back") && detail(&answer[2]).contains("rolled back"));
        assert_eq!(log[log.len() - 3..], ["rollback 0", "transaction 0 dropped", "/z dropped"], "{rollback:?} {log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_gets_no_transaction_has_failed() {
    for explosive in [false, true] {
        let change = |recorder: &mut Recorder| {
            recorder.attach = Go::Panic;
            recorder.explosive = explosive;
            recorder.explosive_handles = explosive;
        };
        let (answer, log) = answer(change, &batch()).await;
        assert_eq!(answer.statuses(), [200, 500, 424, 424, 424, 200]);
        assert!(detail(&answer[1]).contains("was not carried out"), "{}", answer[1]);
        assert_eq!(log[..4], ["/x dropped", "begin 0", "attach 0 to 1", "rollback 0"], "{log:?}");
    }
}

/// An error is the status that the server says, where it is no problem of the coordinator's own.
#[tokio::test(start_paused = true)]
async fn an_error_of_the_coordinator_is_the_status_that_the_server_says() {
    for (begin, commit, status) in [
        (Go::Fail, Go::Well, 502),
        (Go::Well, Go::Fail, 502),
        (Go::Refuse(StatusCode::GONE), Go::Well, 410),
        (Go::Well, Go::Refuse(StatusCode::GONE), 410),
    ] {
        let recorder = Recorder { begin, commit, ..Recorder::default() };
        let layer = ordered(&recorder).with_error_status(|_| StatusCode::BAD_GATEWAY);
        let answer = soon(post(layer.layer(inner(&recorder.log)), batch())).await;
        assert_eq!(answer.statuses(), [200, status, status, status, 424, 200]);
    }
}

/// Whatever way a transaction goes down.
#[tokio::test(start_paused = true)]
async fn a_transaction_that_panics_when_it_is_dropped_breaks_no_batch() {
    for (begin, commit, rollback, last, statuses) in [
        // All has been said and done by then, but not that all is well.
        (Go::Well, Go::Well, Go::Well, "/c", [500, 500, 500]),
        (Go::Well, Go::Fail, Go::Well, "/c", [500, 500, 500]),
        (Go::Well, Go::Hang, Go::Well, "/c", [504, 504, 504]),
        (Go::Well, Go::Panic, Go::Well, "/c", [500, 500, 500]),
        (Go::Well, Go::PanicLater, Go::Well, "/c", [500, 500, 500]),
        (Go::Well, Go::Well, Go::Well, "/fail", [424, 424, 500]),
        (Go::Well, Go::Well, Go::Fail, "/fail", [424, 424, 500]),
        (Go::Well, Go::Well, Go::Hang, "/fail", [424, 424, 500]),
        (Go::Well, Go::Well, Go::PanicLater, "/fail", [424, 424, 500]),
        (Go::Well, Go::Well, Go::Well, "/hang", [424, 424, 504]),
        (Go::Hang, Go::Well, Go::Well, "/c", [503, 503, 503]),
    ] {
        let change = |recorder: &mut Recorder| {
            recorder.begin = begin.clone();
            recorder.commit = commit.clone();
            recorder.rollback = rollback.clone();
            recorder.explosive = true;
        };
        let (answer, _) = answer(change, &batch_with(last)).await;
        let [a, b, c] = statuses;
        assert_eq!(answer.statuses(), [200, a, b, c, 424, 200], "{commit:?} {rollback:?} {last}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_panics_when_it_is_dropped_is_its_members_failure() {
    let (answer, log) = answer(|recorder| recorder.explosive_handles = true, &batch()).await;
    assert_eq!(answer.statuses(), [200, 500, 424, 424, 424, 200]);
    assert!(log.contains(&"rolled back 0".into()), "{log:?}");
}

/// A layer whose batch has no more time than one of its operations.
fn hurried(recorder: &Recorder) -> BatchLayer {
    let long = Duration::from_secs(100);
    ordered(recorder).operation_timeout(long).group_timeout(long).batch_timeout(Duration::from_secs(50))
}

#[tokio::test(start_paused = true)]
async fn the_batchs_time_ends_what_is_open() {
    const BEGUN: &str = "may have been carried out";
    const NOT_BEGUN: &str = "was not carried out";
    const ROLLED_BACK: &str = "rolled back";
    for (change, last, statuses, told) in [
        // At a member, at the beginning, at the commit, at the rollback.
        (Recorder::default(), "/hang", [424, 424, 504], [ROLLED_BACK; 3]),
        (Recorder { begin: Go::Hang, ..Recorder::default() }, "/c", [504; 3], [NOT_BEGUN; 3]),
        (Recorder { commit: Go::Hang, ..Recorder::default() }, "/c", [504; 3], [BEGUN; 3]),
        (
            Recorder { rollback: Go::Hang, ..Recorder::default() },
            "/fail",
            [424, 424, 500],
            [ROLLED_BACK, ROLLED_BACK, "failed"],
        ),
    ] {
        for explosive in [false, true] {
            let make = || {
                let fresh = Recorder { log: Log::default(), count: Default::default(), explosive, ..change.clone() };
                (hurried(&fresh), inner(&fresh.log))
            };
            let start = Instant::now();
            let (layer, service) = make();
            soon(post(layer.layer(service), batch_with(last))).await;
            assert_eq!(start.elapsed().as_secs(), 50);
            let answer = in_every_way(make, &batch_with(last)).await;
            let [a, b, c] = statuses;
            assert_eq!(answer.statuses(), [200, a, b, c, 504, 504], "{change:?}");
            for (member, told) in told.iter().enumerate() {
                assert!(detail(&answer[member + 1]).contains(told), "{}", answer[member + 1]);
            }
            assert!(detail(&answer[4]).contains(NOT_BEGUN) && detail(&answer[5]).contains(NOT_BEGUN));
        }
    }
}

/// So long can a client hold what the transaction locks, and no longer.
#[tokio::test(start_paused = true)]
async fn a_groups_time_ends_the_member_that_runs() {
    let recorder = Recorder::default();
    let (layer, start) = (ordered(&recorder).group_timeout(Duration::from_secs(5)), Instant::now());
    let answer = soon(post(layer.layer(inner(&recorder.log)), batch_with("/hang"))).await;
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(answer.statuses(), [200, 424, 424, 504, 424, 200]);
    assert!(detail(&answer[3]).ends_with("its group was rolled back"), "{}", answer[3]);
    assert!(recorder.log.take().contains(&"rolled back 0".into()));
}

/// The operations first, for they may still use the transaction that they have been given; and nobody is told of a
/// rollback that is still to come.
#[tokio::test(start_paused = true)]
async fn what_is_open_when_time_is_over_is_dropped_in_order() {
    let recorder = Recorder::default();
    let log = recorder.log.clone();
    let layer = hurried(&recorder).on_outcome(move |cx, _, _| log.push(format!("told of {}", cx.index())));
    soon(post(layer.layer(inner(&recorder.log)), batch_with("/hang"))).await;
    let log = recorder.log.take();
    assert_eq!(log[log.len() - 8..][..4], ["attach 0 to 3", "/hang dropped", "transaction 0 dropped", "told of 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_rolls_everything_back() {
    let groups = json!([
        {"path": "/a", "group": "g"},
        {"path": "/hang", "group": "g"},
        {"path": "/b", "group": "h"},
        {"path": "/hang", "group": "h"},
        {"path": "/c", "group": "i"},
    ]);
    for explosive in [false, true] {
        let recorder = Recorder { commit: Go::Hang, explosive, ..Recorder::default() };
        let layer = ordered(&recorder).order(Order::Unordered);
        let mut batch = task::spawn(layer.layer(inner(&recorder.log)).oneshot(request(&groups)));
        assert_pending!(batch.poll());
        let log = recorder.log.take();
        assert!(log.contains(&"commit 2".into()) && log.contains(&"attach 1 to 3".into()), "{log:?}");
        drop(batch);
        let log = recorder.log.take();
        assert_eq!(log.len(), 5, "{log:?}");
        assert_eq!(log.iter().filter(|line| *line == "/hang dropped").count(), 2);
        let place = |line: &str| log.iter().position(|other| other == line).unwrap();
        for number in 0..2 {
            let last = log.iter().rposition(|other| other == "/hang dropped").unwrap();
            assert!(place(&format!("transaction {number} dropped")) > last, "{log:?}");
        }
        place("transaction 2 dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_while_a_transaction_begins_leaves_none() {
    for begin in [Go::Hang, Go::PanicLater] {
        let recorder = Recorder { begin, ..Recorder::default() };
        let mut answer = task::spawn(ordered(&recorder).layer(inner(&recorder.log)).oneshot(request(batch())));
        assert_pending!(answer.poll());
        drop(answer);
        assert!(!recorder.log.take().iter().any(|line| line.starts_with("attach") || line.starts_with("commit")));
    }
}

/// A handle that outlives its operation is the handler's own fault, and nobody waits for it.
#[tokio::test(start_paused = true)]
async fn a_handle_may_be_kept() {
    let (keep, kept) = std::sync::mpsc::channel();
    let service = service_fn(move |mut request: SubRequest| {
        keep.send(request.extensions_mut().remove::<Handle>()).unwrap();
        async { Ok::<_, BoxError>(Response::new(Body::empty())) }
    });
    let recorder = Recorder::default();
    let answer = soon(post(ordered(&recorder).layer(service), batch())).await;
    assert_eq!(answer.statuses(), [200; 6]);
    assert_eq!(kept.try_iter().flatten().map(|handle| handle.number).collect::<Vec<_>>(), [0; 3]);
}
