//! What a group leaves behind: in the server's state, in the answer, and with those who are told.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{
    Answer, Body, SubRequest, post,
    recorder::{Go, Recorder},
    soon,
    stage::Stage,
    ways::{Inner, in_every_way},
};
use http::{Extensions, Method, Response, request::Parts};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::{BoxError, Layer, service_fn};
use tower_multistatus::{BatchLayer, Coordinator, Order, Transaction, TransactionFuture};

type Items = BTreeMap<String, String>;

/// A store of items. A transaction works on a copy of them, which takes their place when it is committed.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Items>>);

/// What handlers work on, if they find it.
#[derive(Clone)]
struct Copied(Store);

struct Open {
    store: Store,
    copy: Store,
}

impl Store {
    fn items(&self) -> Items {
        self.0.lock().unwrap().clone()
    }
}

impl Coordinator for Store {
    fn begin(&self, _: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
        let open = Open { store: self.clone(), copy: Store(Arc::new(Mutex::new(self.items()))) };
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(Box::new(open) as Box<dyn Transaction>)
        })
    }
}

impl Transaction for Open {
    fn attach(&self, extensions: &mut Extensions) {
        extensions.insert(Copied(self.copy.clone()));
    }

    fn commit(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let items = mem::take(&mut *self.copy.0.lock().unwrap());
            if items.contains_key("/items/poison") {
                return Err("a constraint that is looked at only now".into());
            }
            *self.store.0.lock().unwrap() = items;
            Ok(())
        })
    }

    fn rollback(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async { Ok(()) })
    }
}

/// PUT stores the body and says where, in a cookie too; GET gives it back, or is a 404.
fn shop(store: &Store) -> Inner {
    let store = store.clone();
    Inner::new(service_fn(move |request: SubRequest| {
        let store = store.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = String::from_utf8(body.collect().await?.to_bytes().into())?;
            tokio::task::yield_now().await;
            let store = head.extensions.get::<Copied>().map_or(store, |copied| copied.0.clone());
            let (path, mut items) = (head.uri.path().to_owned(), store.0.lock().unwrap());
            let response = Response::builder().header("content-type", "application/json");
            let cookie = |name: &str| format!("{}=1", path.replace('/', "") + name);
            Ok::<_, BoxError>(match (head.method, items.get(&path)) {
                (Method::PUT, _) => {
                    items.insert(path.clone(), body);
                    let response = response.status(201).header("location", &path).header("set-cookie", cookie(""));
                    response.body(Body::from(json!({"stored": path}).to_string()))?
                }
                (_, Some(item)) => response.body(Body::from(item.clone()))?,
                (_, None) => {
                    response.status(404).header("set-cookie", cookie("-missing")).body(Body::from("\"no\""))?
                }
            })
        }
    }))
}

fn put(group: &str, name: &str) -> Value {
    let mut operation = json!({"method": "PUT", "path": format!("/items/{name}"), "body": {"name": name}, "id": name});
    if !group.is_empty() {
        operation["group"] = json!(group);
    }
    operation
}

fn stored<const N: usize>(names: [&str; N]) -> Items {
    names.iter().map(|name| (format!("/items/{name}"), json!({"name": name}).to_string())).collect()
}

fn cookies(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn all_or_nothing_is_stored_in_every_way_of_running() {
    let read = |group: &str, name: &str| json!({"path": format!("/items/{name}"), "group": group});
    let batch = json!([
        put("", "a"),
        put("good", "b"),
        read("good", "b"),
        put("good", "c"),
        put("bad", "d"),
        read("bad", "d"),
        read("bad", "nothing"),
        put("bad", "e"),
        {"path": "/items/b"},
        {"path": "/items/d"},
        put("late", "f"),
        put("late", "poison"),
        {"path": "/items/f", "dependsOn": ["f"]},
        {"path": "/items/c", "dependsOn": ["c"]},
    ]);
    let expected = [201, 201, 200, 201, 424, 424, 404, 424, 200, 404, 500, 500, 424, 200];
    for order in [Order::Fenced, Order::Sequential] {
        let stores = Mutex::new(Vec::new());
        let make = || {
            let store = Store::default();
            stores.lock().unwrap().push(store.clone());
            (BatchLayer::new().order(order).with_coordinator(store.clone()), shop(&store))
        };
        let answer = in_every_way(make, &batch).await;
        assert_eq!(answer.statuses(), expected);
        for store in stores.into_inner().unwrap() {
            assert_eq!(store.items(), stored(["a", "b", "c"]));
        }
    }
}

/// What has been taken back must not be seen, nor leave a session behind.
#[tokio::test]
async fn bodies_and_cookies_of_what_was_rolled_back_are_not_told() {
    let store = Store::default();
    let layer = BatchLayer::new().with_coordinator(store.clone());
    let batch = json!([put("bad", "a"), {"path": "/items/nothing", "group": "bad"}, put("bad", "b"), put("good", "c"), put("late", "poison")]);
    let answer = soon(post(layer.layer(shop(&store)), batch)).await;
    assert_eq!(answer.statuses(), [424, 404, 424, 201, 500]);
    assert_eq!(cookies(&answer), ["itemsnothing-missing=1", "itemsc=1"], "{:?}", answer.headers);
    for text in ["stored\":\"/items/a", "/items/poison", "constraint"] {
        assert!(!answer.text().contains(text), "{}", answer.text());
    }
    assert_eq!(answer[1]["error"], "no", "which is its own");
    for index in [0, 2, 4] {
        assert_eq!(answer[index].get("headers"), None);
        assert_eq!(answer[index]["error"]["type"], "about:blank");
    }
}

/// Nor do they take the place of what is told.
#[tokio::test]
async fn bodies_of_what_was_rolled_back_count_for_nothing() {
    let store = Store::default();
    let layer = BatchLayer::new().with_coordinator(store.clone()).max_response_bytes(100);
    let long = |group: &str, name: &str| put(group, &format!("{name}{}", "x".repeat(40)));
    let missing = json!({"path": "/items/nothing", "group": "bad"});
    let batch =
        json!([long("bad", "a"), missing, long("late", "b"), put("late", "poison"), long("", "c"), long("", "d")]);
    let answer = soon(post(layer.layer(shop(&store)), batch)).await;
    assert_eq!(answer.statuses(), [424, 404, 500, 500, 201, 507]);
}

#[tokio::test]
async fn members_see_what_other_members_have_done_and_said() {
    let store = Store::default();
    let layer = || BatchLayer::new().with_coordinator(store.clone()).order(Order::Sequential);
    let follow = |group: &str| {
        json!([
            put(group, "a"),
            {"path": "{+where}", "refs": {"where": "a@location"}, "group": group, "id": "read"},
            {"method": "PUT", "path": "/items/copy-{name}", "refs": {"name": "read#/name", "all": "read#"}, "body": {"$ref": "all"}, "group": group, "id": "copy"},
        ])
    };
    let answer = soon(post(layer().layer(shop(&store)), follow("g"))).await;
    assert_eq!(answer.statuses(), [201, 200, 201]);
    assert_eq!(store.items()["/items/copy-a"], r#"{"name":"a"}"#);

    // A member that gets no value is a failure like any other.
    let store = Store::default();
    let layer = BatchLayer::new().with_coordinator(store.clone());
    let mut batch = follow("g");
    batch[2]["refs"]["name"] = json!("read#/nothing");
    let answer = soon(post(layer.layer(shop(&store)), batch)).await;
    assert_eq!(answer.statuses(), [424, 424, 424]);
    assert!(answer[0]["error"]["detail"].as_str().unwrap().contains("rolled back"));
    assert!(answer[2]["error"]["detail"].as_str().unwrap().contains("`/nothing`"));
    assert_eq!(store.items(), Items::new());
}

/// A value that was never committed leads nobody anywhere.
#[tokio::test]
async fn what_was_rolled_back_can_not_be_referred_to() {
    for (last, expected) in [("b", [201, 201, 200]), ("poison", [500, 500, 424])] {
        let store = Store::default();
        let batch = json!([put("g", "a"), put("g", last), {"path": "{+a}", "refs": {"a": "a@location"}}]);
        let answer = soon(post(BatchLayer::new().with_coordinator(store.clone()).layer(shop(&store)), batch)).await;
        assert_eq!(answer.statuses(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn each_member_is_told_once_and_only_its_last_word() {
    let seconds = || {
        Inner::new(service_fn(|request: SubRequest| async move {
            let (seconds, status) = request.uri().path()[1..].split_once('/').unwrap();
            tokio::time::sleep(Duration::from_secs(seconds.parse()?)).await;
            Ok(Response::builder().status(status).body(Body::empty())?)
        }))
    };
    let batch = json!([
        {"path": "/1/200", "group": "good"},
        {"path": "/2/200", "group": "good"},
        {"path": "/3/200", "group": "bad", "id": "a"},
        {"path": "/4/409", "group": "bad"},
        {"path": "/5/200", "group": "bad"},
        {"path": "/6/200", "dependsOn": ["a"]},
        {"path": "/7/200", "group": "refused"},
        {"path": "nowhere", "group": "refused"},
        {"path": "/99/200", "group": "slow"},
        {"path": "/1/200", "group": "slow"},
    ]);
    let expected =
        [(200, 1), (200, 2), (424, 3), (409, 4), (424, 0), (424, 0), (424, 0), (400, 0), (504, 30), (424, 0)];
    for (commit, rollback) in [(Go::Well, Go::Well), (Go::Well, Go::Hang), (Go::Hang, Go::Well)] {
        for spawned in [false, true] {
            let told = Arc::new(Mutex::new(Vec::new()));
            let log = Arc::clone(&told);
            let recorder = Recorder { commit: commit.clone(), rollback: rollback.clone(), ..Recorder::default() };
            let layer = BatchLayer::new()
                .with_coordinator(recorder)
                .order(Order::Sequential)
                .batch_timeout(Duration::from_secs(500));
            let layer = if spawned { layer.spawn() } else { layer };
            let layer = layer.on_outcome(move |cx, status, elapsed| {
                log.lock().unwrap().push((cx.index(), status.as_u16(), elapsed.as_secs()));
            });
            let answer = soon_enough(post(layer.layer(seconds()), batch.clone())).await;
            let mut told = mem::take(&mut *told.lock().unwrap());
            told.sort_unstable();
            let mut expected = expected;
            if let Go::Hang = commit {
                // The time is that of the operation, not that of the commit.
                expected[0].0 = 504;
                expected[1].0 = 504;
            }
            assert!(told.iter().map(|told| told.0).eq(0..10), "{told:?}");
            assert_eq!(told.iter().map(|told| (told.1, told.2)).collect::<Vec<_>>(), expected);
            assert_eq!(answer.statuses(), expected.map(|(status, _)| u64::from(status)));
        }
    }
}

/// Batches here have more time than others.
async fn soon_enough<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(600), future).await.expect("it waits forever")
}

#[tokio::test(start_paused = true)]
async fn stopping_at_a_failure_leaves_out_what_is_behind_a_group_that_failed() {
    let batch = |last: &str| json!([put("g", "a"), put("g", last), put("", "c"), put("h", "d"), put("h", "e")]);
    for (last, expected) in [("b", [201, 201, 201, 201, 201]), ("poison", [500, 500, 424, 424, 424])] {
        let store = Store::default();
        let layer = BatchLayer::new().with_coordinator(store.clone()).stop_on_failure();
        let answer = soon(post(layer.layer(shop(&store)), batch(last))).await;
        assert_eq!(answer.statuses(), expected);
        assert_eq!(store.items().is_empty(), last == "poison");
    }
    // A redirection is no failure, though a group of it alone is rolled back.
    let redirect =
        Inner::new(service_fn(|_: SubRequest| async { Ok(Response::builder().status(302).body(Body::empty())?) }));
    for (lines, expected) in [
        (json!([{"path": "/", "group": "g"}, {"path": "/"}]), vec![302, 302]),
        (json!([{"path": "/", "group": "g"}, {"path": "/", "group": "g"}, {"path": "/"}]), vec![302, 424, 424]),
    ] {
        let layer = BatchLayer::new().with_coordinator(Recorder::default()).stop_on_failure().order(Order::Sequential);
        assert_eq!(soon(post(layer.layer(redirect.clone()), lines)).await.statuses(), expected);
    }
    // What a group has begun it carries to its end, whatever fails beside it.
    let recorder = Recorder::default();
    let layer = BatchLayer::new().with_coordinator(recorder).stop_on_failure().order(Order::Unordered);
    let batch = json!([{"path": "/x"}, {"path": "/a", "group": "g"}, {"path": "/b", "group": "g"}]);
    let mut stage = Stage::new(&layer, batch);
    assert_eq!(stage.begin(), ["/x", "/a"]);
    stage.answer("/x", 500);
    assert!(stage.begin().is_empty());
    stage.answer("/a", 200);
    assert_eq!(stage.begin(), ["/b"]);
    stage.answer("/b", 200);
    assert_eq!(stage.end().await.statuses(), [500, 200, 200]);
}
