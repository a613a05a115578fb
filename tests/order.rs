//! When each operation begins, how many run at once, and who is told.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, response::IntoResponse};
use common::{Body, SubRequest, get, gets, post, request, send, soon, stage::Stage};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{BoxError, Layer, service_fn, util::BoxCloneSyncService};
use tower_multistatus::{BatchContext, BatchLayer, Order};

/// Operations of these methods, aimed at `/0`, `/1` and so on.
fn operations<const N: usize>(methods: [&str; N]) -> Value {
    methods.iter().enumerate().map(|(index, method)| json!({"method": method, "path": format!("/{index}")})).collect()
}

#[tokio::test(start_paused = true)]
async fn reads_run_side_by_side_and_writes_alone() {
    let mut stage = Stage::new(&BatchLayer::new(), operations(["GET", "HEAD", "POST", "DELETE", "OPTIONS", "GET"]));
    assert_eq!(stage.begin(), ["/0", "/1"]);
    stage.answer("/1", 200);
    assert!(stage.begin().is_empty(), "a write waits for all before it");
    stage.answer("/0", 200);
    assert_eq!(stage.begin(), ["/2"]);
    stage.answer("/2", 500);
    assert_eq!(stage.begin(), ["/3"], "and a failure is nobody else's");
    stage.answer("/3", 204);
    assert_eq!(stage.begin(), ["/4", "/5"]);
    stage.answer("/5", 200);
    stage.answer("/4", 404);
    assert_eq!(stage.end().await.statuses(), [200, 200, 500, 204, 404, 200]);
}

#[tokio::test(start_paused = true)]
async fn a_method_that_nobody_knows_is_a_write() {
    let mut stage = Stage::new(&BatchLayer::new(), operations(["GET", "QUERY", "GET"]));
    assert_eq!(stage.begin(), ["/0"]);
    stage.answer("/0", 200);
    assert_eq!(stage.begin(), ["/1"]);
    stage.answer("/1", 200);
    assert_eq!(stage.begin(), ["/2"]);
    stage.answer("/2", 200);
    assert_eq!(stage.end().await.statuses(), [200; 3]);
}

#[tokio::test(start_paused = true)]
async fn sequential_operations_run_one_after_the_other() {
    let mut stage = Stage::new(&BatchLayer::new().order(Order::Sequential), operations(["GET", "GET", "POST"]));
    for target in ["/0", "/1", "/2"] {
        assert_eq!(stage.begin(), [target]);
        assert!(stage.begin().is_empty());
        stage.answer(target, 200);
    }
    assert_eq!(stage.end().await.statuses(), [200; 3]);
}

#[tokio::test(start_paused = true)]
async fn unordered_operations_run_all_at_once() {
    let mut stage = Stage::new(&BatchLayer::new().order(Order::Unordered), operations(["POST", "GET", "PUT"]));
    assert_eq!(stage.begin(), ["/0", "/1", "/2"]);
    for (target, status) in [("/2", 202), ("/0", 200), ("/1", 201)] {
        stage.answer(target, status);
    }
    assert_eq!(stage.end().await.statuses(), [200, 201, 202], "in the order of the request all the same");
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_holds_nobody_up() {
    let mut batch = operations(["GET", "POST", "GET"]);
    batch[1]["path"] = json!("nowhere");
    let mut stage = Stage::new(&BatchLayer::new(), batch);
    assert_eq!(stage.begin(), ["/0", "/2"]);
    stage.answer("/0", 200);
    stage.answer("/2", 200);
    assert_eq!(stage.end().await.statuses(), [200, 400, 200]);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_at_once() {
    let mut stage = Stage::new(&BatchLayer::new().concurrency(2), gets(5));
    assert_eq!(stage.begin(), ["/0", "/1"]);
    assert!(stage.begin().is_empty());
    stage.answer("/1", 200);
    assert_eq!(stage.begin(), ["/2"], "one ends, one begins");
    stage.answer("/0", 200);
    stage.answer("/2", 200);
    assert_eq!(stage.begin(), ["/3", "/4"]);
    stage.answer("/3", 200);
    assert!(stage.begin().is_empty());
    stage.answer("/4", 200);
    assert_eq!(stage.end().await.statuses(), [200; 5]);
}

#[tokio::test(start_paused = true)]
async fn sixteen_at_once_by_default_and_never_none() {
    let mut stage = Stage::new(&BatchLayer::new(), gets(20));
    assert_eq!(stage.begin().len(), 16);
    let mut stage = Stage::new(&BatchLayer::new().concurrency(0), gets(20));
    assert_eq!(stage.begin().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_nothing_begins() {
    let mut stage = Stage::new(&BatchLayer::new().stop_on_failure().concurrency(2), gets(5));
    assert_eq!(stage.begin(), ["/0", "/1"]);
    stage.answer("/0", 399);
    assert_eq!(stage.begin(), ["/2"], "which is no failure");
    stage.answer("/1", 400);
    assert!(stage.begin().is_empty());
    stage.answer("/2", 200);
    let answer = stage.end().await;
    assert_eq!(answer.statuses(), [399, 400, 200, 424, 424], "what had begun came to its end");
    assert_eq!(answer[3]["error"]["title"], "Failed Dependency");
}

#[tokio::test(start_paused = true)]
async fn a_refused_operation_is_a_failure_to_those_behind_it() {
    let mut batch = operations(["POST", "POST", "POST", "POST"]);
    batch[1]["path"] = json!("nowhere");
    batch[3]["path"] = json!("nowhere");
    let mut stage = Stage::new(&BatchLayer::new().stop_on_failure(), batch);
    assert_eq!(stage.begin(), ["/0"]);
    stage.answer("/0", 200);
    assert_eq!(stage.end().await.statuses(), [200, 400, 424, 400]);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_is_a_failure_to_those_behind_it() {
    let layer = BatchLayer::new().stop_on_failure().order(Order::Sequential);
    let hang = service_fn(|_: SubRequest| std::future::pending::<Result<Response<Body>, Infallible>>());
    assert_eq!(soon(post(layer.layer(hang), gets(3))).await.statuses(), [504, 424, 424]);
}

/// What `on_outcome` is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Telling>>>);

type Telling = (usize, Option<String>, u16, Duration);

impl Told {
    fn by(&self, layer: BatchLayer) -> BatchLayer {
        let told = self.clone();
        layer.on_outcome(move |cx, status, elapsed| {
            assert_eq!(cx.total(), Some(6));
            let id = cx.id().map(str::to_owned);
            told.0.lock().unwrap().push((cx.index(), id, status.as_u16(), elapsed));
        })
    }

    /// By index; each index once.
    fn sorted(&self) -> Vec<(Option<String>, u16, Duration)> {
        let mut told = std::mem::take(&mut *self.0.lock().unwrap());
        told.sort();
        assert!(told.iter().map(|told| told.0).eq(0..6), "{told:?}");
        told.into_iter().map(|(_, id, status, elapsed)| (id, status, elapsed)).collect()
    }
}

/// Answers after as many seconds as the target says.
fn seconds() -> BoxCloneSyncService<SubRequest, Response<Body>, BoxError> {
    BoxCloneSyncService::new(service_fn(|request: SubRequest| async move {
        match request.uri().path().trim_start_matches('/') {
            "fail" => Err("failed".into()),
            "panic" => panic!("as it was told"),
            seconds => {
                sleep(Duration::from_secs(seconds.parse()?)).await;
                Ok(Response::new(Body::empty()))
            }
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_told_once() {
    let told = Told::default();
    let batch = json!([
        {"path": "/3", "id": "slow"},
        {"path": "/0"},
        {"path": "nowhere", "id": "refused"},
        {"path": "/fail"},
        {"path": "/panic"},
        {"path": "/77"},
    ]);
    for layer in [BatchLayer::new(), BatchLayer::new().spawn()] {
        let answer = soon(post(told.by(layer).layer(seconds()), batch.clone())).await;
        let outcomes = told.sorted();
        assert_eq!(answer.statuses(), outcomes.iter().map(|(_, status, _)| u64::from(*status)).collect::<Vec<_>>());
        let ids: Vec<_> = outcomes.iter().map(|(id, ..)| id.as_deref()).collect();
        assert_eq!(ids, [Some("slow"), None, Some("refused"), None, None, None]);
        assert_eq!(answer.statuses(), [200, 200, 400, 500, 500, 504]);
        let elapsed: Vec<_> = outcomes.iter().map(|(.., elapsed)| elapsed.as_secs()).collect();
        assert_eq!(elapsed, [3, 0, 0, 0, 0, 30]);
    }
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_told_once_after_a_failure() {
    let told = Told::default();
    let mut batch = json!([{"path": "/fail"}, {"path": "/0"}, {"path": "/0"}, {"path": "/0"}, {"path": "/0"}, {}]);
    batch[1]["path"] = json!("nowhere");
    let layer = told.by(BatchLayer::new().stop_on_failure());
    let answer = post(layer.layer(seconds()), batch).await;
    assert_eq!(answer.statuses(), [500, 400, 424, 424, 424, 400]);
    let outcomes = told.sorted();
    assert_eq!(outcomes.iter().map(|(_, status, _)| *status).collect::<Vec<_>>(), [500, 400, 424, 424, 424, 400]);
    assert!(outcomes.iter().all(|(.., elapsed)| elapsed.is_zero()));
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_told_once_when_the_batchs_time_is_over() {
    let told = Told::default();
    let answer = soon(post(told.by(patient()).layer(seconds()), overlong_operations())).await;
    assert_eq!(answer.statuses(), [200, 504, 504, 504, 504, 504]);
    let elapsed: Vec<_> = told.sorted().iter().map(|(.., elapsed)| elapsed.as_secs()).collect();
    assert_eq!(elapsed, [1, 59, 0, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_even_if_the_batchs_time_is_over_before_its_turn() {
    let told = Told::default();
    let mut batch = overlong_operations();
    batch[4]["path"] = json!("nowhere");
    let answer = soon(post(told.by(patient()).layer(seconds()), batch)).await;
    assert_eq!(answer.statuses(), [200, 504, 504, 504, 400, 504]);
    assert_eq!(told.sorted()[4].1, 400);
}

/// Six operations, of which the second takes longer than a batch may.
fn overlong_operations() -> Value {
    [1, 90, 1, 1, 1, 1].iter().map(|seconds| json!({"path": format!("/{seconds}")})).collect()
}

fn patient() -> BatchLayer {
    BatchLayer::new().order(Order::Sequential).operation_timeout(Duration::from_secs(100))
}

#[tokio::test]
async fn a_handler_knows_which_operation_it_is() {
    let inner = service_fn(|request: SubRequest| async move {
        let said = match request.extensions().get::<BatchContext>() {
            Some(cx) => json!([cx.index(), cx.id(), cx.total()]),
            None => json!("alone"),
        };
        Ok::<_, Infallible>(Json(said).into_response())
    });
    let batch = json!([{"path": "/a", "id": "first"}, {"path": "b"}, {"path": "/c"}]);
    for layer in [BatchLayer::new(), BatchLayer::new().spawn()] {
        let service = layer.layer(inner);
        let answer = post(service.clone(), batch.clone()).await;
        assert_eq!(answer.data(), [&json!([0, "first", 3]), &Value::Null, &json!([2, null, 3])]);
        assert_eq!(send(service, get("/")).await.json, "alone");
    }
}

#[tokio::test]
async fn an_operation_has_no_extensions_but_those_that_are_forwarded() {
    #[derive(Clone)]
    struct Claims(&'static str);
    #[derive(Clone)]
    struct Private;

    let inner = service_fn(|request: SubRequest| async move {
        assert!(request.extensions().get::<Private>().is_none());
        let claims = request.extensions().get::<Claims>().map_or("nobody", |claims| claims.0);
        Ok::<_, Infallible>(claims.into_response())
    });
    let batch = || {
        let mut batch: Request<Body> = request(gets(2));
        batch.extensions_mut().insert(Claims("Ada"));
        batch.extensions_mut().insert(Private);
        batch
    };
    let answer = send(BatchLayer::new().layer(inner), batch()).await;
    assert_eq!(answer.data(), ["nobody", "nobody"]);
    let forwarding = BatchLayer::new().forward_extension::<Claims>();
    assert_eq!(send(forwarding.layer(inner), batch()).await.data(), ["Ada", "Ada"]);
    // What isn't there is no reason to fail.
    assert_eq!(post(forwarding.layer(inner), gets(1)).await.data(), ["nobody"]);
}

#[tokio::test]
async fn an_answer_is_207_whatever_became_of_the_operations() {
    let inner = service_fn(|request: SubRequest| async move {
        let status: StatusCode = request.uri().path()[1..].parse().unwrap();
        Ok::<_, Infallible>(status.into_response())
    });
    for statuses in [[200, 201], [404, 503], [204, 302]] {
        let operations = statuses.iter().map(|status| json!({"path": format!("/{status}")})).collect();
        let answer = post(BatchLayer::new().layer(inner), operations).await;
        assert_eq!(answer.status, StatusCode::MULTI_STATUS);
        assert_eq!(answer.statuses(), statuses);
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
}
