//! A stream of lines means what its operations mean one by one, however the lines come, however long each operation
//! takes, and whenever somebody reads the answer.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
#[cfg(feature = "xml")]
use common::ways::multistatus;
use common::{
    Body, SubRequest,
    lines::{NDJSON, in_pieces, results, stream_for, told},
    request, soon,
    ways::Inner,
};
use futures_util::{FutureExt, stream};
use http::{Request, Response};
use http_body_util::BodyExt;
use proptest::{prelude::*, sample::select, test_runner::TestCaseResult};
use serde_json::{Value, json};
use tokio::time::sleep;
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Order};

/// One line.
#[derive(Clone, Debug)]
enum Item {
    Operation(Operation),
    /// Nothing of it can be carried out. It may be JSON.
    Bad(&'static str, bool),
    Blank(&'static str),
}

#[derive(Clone, Debug)]
struct Operation {
    id: Option<String>,
    depends_on: Vec<String>,
    method: &'static str,
    millis: u64,
    end: &'static str,
    body: Option<u8>,
}

/// How a request ends: with this status, or not so well.
const ENDS: &[&str] = &["200", "200", "200", "201", "204", "302", "404", "503", "error", "panic", "late", "broken"];

const BAD: &[(&str, bool)] = &[
    ("7", true),
    ("[]", true),
    ("{}", true),
    (r#"{"path":7}"#, true),
    (r#"{"path":"//a"}"#, true),
    ("{", false),
    ("\"", false),
    (r#"{"path":"/0/1/200"} {"path":"/0/1/200"}"#, false),
    ("{\"path\":\"/0/1/200\u{1}\"}", false),
];

fn item() -> impl Strategy<Value = Item> {
    let id = select(&["a", "b", "c", "d", "e"][..]).prop_map(str::to_owned);
    let methods = select(&["GET", "GET", "GET", "HEAD", "PUT", "POST", "DELETE"][..]);
    let depends_on = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(id.clone(), 1..3)];
    let operation = (prop::option::of(id), depends_on, methods, 0u64..5, select(ENDS), any::<Option<u8>>()).prop_map(
        |(id, depends_on, method, millis, end, body)| Operation { id, depends_on, method, millis, end, body },
    );
    prop_oneof![
        12 => operation.prop_map(Item::Operation),
        1 => select(BAD).prop_map(|(text, is_json)| Item::Bad(text, is_json)),
        1 => select(&["", " ", "\t \t", "\r"][..]).prop_map(Item::Blank),
    ]
}

/// As an operation of the batch, and as the same request alone, it has its place in its target.
fn target(place: usize, Operation { millis, end, .. }: &Operation) -> String {
    format!("/{place}/{millis}/{end}")
}

fn written(place: usize, item: &Item) -> String {
    match item {
        Item::Bad(text, _) | Item::Blank(text) => (*text).to_owned(),
        Item::Operation(operation) => {
            let Operation { id, depends_on, method, body, .. } = operation;
            let target = target(place, operation);
            json!({"id": id, "dependsOn": depends_on, "method": method, "path": target, "body": body}).to_string()
        }
    }
}

/// Makes of any items such as a batch that is read whole could have too: with ids of their own, and dependencies on what
/// is there.
fn tidied(items: Vec<Item>, window: usize) -> Vec<Item> {
    let mut tidy: Vec<Item> = items.into_iter().filter(|item| !matches!(item, Item::Blank(_))).collect();
    let has_id: Vec<_> = tidy.iter().map(|item| matches!(item, Item::Operation(_))).collect();
    for (place, item) in tidy.iter_mut().enumerate() {
        match item {
            Item::Operation(operation) => {
                operation.id = Some(format!("of {place}"));
                let distance = |id: &String| usize::from(id.as_bytes()[0] - b'a') + 1;
                let back = operation.depends_on.iter().map(distance).filter(|distance| *distance <= window);
                let back = back.filter_map(|distance| place.checked_sub(distance).filter(|other| has_id[*other]));
                operation.depends_on = back.map(|other| format!("of {other}")).collect();
            }
            Item::Bad(text, is_json) if !*is_json => *item = Item::Bad("7", true),
            Item::Bad(..) | Item::Blank(_) => {}
        }
    }
    tidy
}

/// How the batch is run, and how it comes and goes.
#[derive(Clone, Debug)]
struct Way {
    order: Order,
    concurrency: usize,
    window: usize,
    /// Only one line at a time has room.
    is_tight: bool,
    spawned: bool,
    around: &'static str,
    accept: &'static str,
    cuts: Vec<(prop::sample::Index, u64)>,
    ends: Vec<bool>,
    rests: Vec<u64>,
}

fn way() -> impl Strategy<Value = Way> {
    let orders = select(&[Order::Fenced, Order::Sequential, Order::Unordered][..]);
    let arounds = select(&["nothing", "a limit", "a buffer"][..]);
    let formats = [NDJSON, "application/json", "application/xml"];
    let accepts = select(formats[..2 + usize::from(cfg!(feature = "xml"))].to_vec());
    let run = (orders, 1usize..6, 1usize..9, prop::bool::weighted(0.1), any::<bool>(), arounds, accepts);
    let cuts = prop::collection::vec((any::<prop::sample::Index>(), 0u64..4), 0..30);
    let flow = (cuts, prop::collection::vec(any::<bool>(), 40), prop::collection::vec(0u64..4, 1..20));
    (run, flow).prop_map(|((order, concurrency, window, is_tight, spawned, around, accept), (cuts, ends, rests))| Way {
        order,
        concurrency,
        window,
        is_tight,
        spawned,
        around,
        accept,
        cuts,
        ends,
        rests,
    })
}

impl Way {
    fn layer(&self) -> BatchLayer {
        let layer = BatchLayer::new().order(self.order).concurrency(self.concurrency).stream_window(self.window);
        let layer = if self.is_tight { layer.max_in_flight_bytes(1) } else { layer };
        if self.spawned { layer.spawn() } else { layer }
    }

    fn around(&self, inner: Inner) -> Inner {
        match self.around {
            "a limit" => Inner::new(ServiceBuilder::new().concurrency_limit(1).service(inner)),
            "a buffer" => Inner::new(ServiceBuilder::new().buffer(1).service(inner)),
            _ => inner,
        }
    }

    /// The lines, with one line end or the other, perhaps without the last one, and cut somewhere.
    fn body(&self, lines: &[String]) -> Body {
        let mut text = String::new();
        for (place, line) in lines.iter().enumerate() {
            text += line;
            text += match (self.ends[place % self.ends.len()], place + 1 == lines.len()) {
                (true, true) => "",
                (true, false) => "\r\n",
                (false, _) => "\n",
            };
        }
        let mut cuts: Vec<_> = self.cuts.iter().map(|(cut, millis)| (cut.index(text.len() + 1), *millis)).collect();
        cuts.extend([(0, 0), (text.len(), 0)]);
        cuts.sort_unstable();
        let text = Bytes::from(text);
        in_pieces(cuts.windows(2).map(|cut| (cut[1].1, text.slice(cut[0].0..cut[1].0))).collect())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Begin(usize),
    /// Nothing is left of it, whether it has answered or not.
    End(usize),
}

#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<Event>>>);

struct Running(Events, usize);

impl Events {
    fn push(&self, event: Event) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(event);
    }

    /// What the batch and its requests alone are sent to.
    fn service(&self) -> Inner {
        let events = self.clone();
        Inner::new(service_fn(move |request: SubRequest| answer(events.clone(), request)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.push(Event::End(self.1));
    }
}

/// Does what the target says. It has ended only when its body has been read.
async fn answer(events: Events, request: SubRequest) -> Result<Response<Body>, BoxError> {
    let (head, body) = request.into_parts();
    let parts: Vec<_> = head.uri.path().split('/').collect();
    let (place, millis, end) = (parts[1].parse()?, Duration::from_millis(parts[2].parse()?), parts[3].to_owned());
    events.push(Event::Begin(place));
    let running = Running(events, place);
    if !millis.is_zero() {
        sleep(millis).await;
    }
    let status = match &*end {
        "error" => return Err("as it was told".into()),
        "panic" => panic!("as it was told"),
        "late" | "broken" => 200,
        status => status.parse()?,
    };
    let body = String::from_utf8(body.collect().await?.to_bytes().into())?;
    // With line ends in it.
    let seen = format!("{:#}\r\n", json!({"method": head.method.as_str(), "place": place, "body": body}));
    let rest = stream::once(async move {
        let _running = running;
        sleep(millis).await;
        match &*end {
            "late" => panic!("as it was told"),
            "broken" => Err(BoxError::from("as it was told")),
            _ => Ok(Bytes::from(seen)),
        }
    });
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Body::from_stream(rest))?)
}

/// What has to come of an operation.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    id: Option<String>,
    status: u64,
    /// `null` where there is none, and where it is a problem's.
    body: Value,
}

/// What each one means alone, and what its lines say of it and others.
async fn expected(items: &[Item], window: usize) -> Vec<Outcome> {
    let service = Events::default().service();
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let Item::Operation(operation) = item else {
            outcomes.push(Outcome { id: None, status: 400, body: Value::Null });
            continue;
        };
        known.retain(|_, other| index - *other <= window);
        let dependencies: Option<Vec<_>> =
            operation.depends_on.iter().map(|id| known.get(&**id).map(|other| outcomes[*other].status)).collect();
        let is_taken = operation.id.as_deref().is_some_and(|id| known.contains_key(id));
        known.extend(operation.id.as_deref().filter(|_| !is_taken).map(|id| (id, index)));
        let (status, body) = match dependencies {
            None => (400, Value::Null),
            _ if is_taken => (400, Value::Null),
            Some(statuses) if statuses.iter().any(|status| !(200..300).contains(status)) => (424, Value::Null),
            Some(_) => alone(&service, index, operation).await,
        };
        outcomes.push(Outcome { id: operation.id.clone().filter(|_| !is_taken), status, body });
    }
    outcomes
}

async fn alone(service: &Inner, place: usize, operation: &Operation) -> (u64, Value) {
    let body = operation.body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let request = Request::builder().method(operation.method).uri(target(place, operation)).body(body.into()).unwrap();
    let answer = async {
        let response = service.clone().oneshot(request).await.ok()?;
        let (head, body) = response.into_parts();
        // As a connection would have it.
        let has_body = operation.method != "HEAD" && head.status != 204;
        let body = if has_body { body.collect().await.ok()?.to_bytes() } else { Bytes::new() };
        Some((head.status.as_u16().into(), serde_json::from_slice(&body).unwrap_or_default()))
    };
    AssertUnwindSafe(answer).catch_unwind().await.ok().flatten().unwrap_or((500, Value::Null))
}

/// Reads the answer piece by piece, with pauses.
async fn read(layer: &BatchLayer, inner: Inner, batch: Request<Body>, rests: &[u64]) -> (String, Bytes) {
    let response = soon(layer.layer(inner).oneshot(batch)).await.unwrap();
    assert_eq!(response.status(), 207);
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let mut body = response.into_body();
    let (mut bytes, mut rests) = (Vec::new(), rests.iter().cycle());
    while let Some(frame) = soon(body.frame()).await {
        bytes.extend_from_slice(frame.unwrap().data_ref().unwrap());
        sleep(Duration::from_millis(*rests.next().unwrap())).await;
    }
    (media_type, bytes.into())
}

/// What an answer tells, in request order.
fn outcomes(media_type: &str, bytes: &[u8]) -> Vec<Outcome> {
    let text = std::str::from_utf8(bytes).unwrap();
    let of_result = |result: &Value| {
        let (id, status) = (result["id"].as_str().map(str::to_owned), result["status"].as_u64().unwrap());
        let body = result.get("data").or(result.get("error")).cloned().unwrap_or_default();
        Outcome { id, status, body: if body.get("place").is_some() { body } else { Value::Null } }
    };
    match media_type {
        NDJSON => results(told(text)).0.iter().map(of_result).collect(),
        "application/json" => {
            let mut answer: Value = serde_json::from_str(text).unwrap();
            let mut lines = std::mem::take(answer["results"].as_array_mut().unwrap());
            lines.push(answer);
            results(lines).0.iter().map(of_result).collect()
        }
        #[cfg(feature = "xml")]
        _ => {
            let mut entries = multistatus::read(bytes).unwrap();
            entries.sort_by_key(|entry| entry.index);
            assert!(entries.iter().enumerate().all(|(index, entry)| entry.index == index));
            let of_entry = |entry: multistatus::Entry| {
                let body = entry.body.map(|body| serde_json::from_slice(&body.bytes).unwrap());
                let body = body.filter(|body: &Value| body.get("place").is_some()).unwrap_or_default();
                Outcome { id: entry.id, status: entry.status.into(), body }
            };
            entries.into_iter().map(of_entry).collect()
        }
        #[cfg(not(feature = "xml"))]
        other => unreachable!("{other}"),
    }
}

/// Nothing began twice, and nothing too early.
fn assert_in_time(items: &[Item], way: &Way, expected: &[Outcome], events: &Events) -> TestCaseResult {
    let operation = |index: usize| match &items[index] {
        Item::Operation(operation) => operation,
        other => unreachable!("{other:?} was carried out"),
    };
    let is_safe = |index: usize| matches!(operation(index).method, "GET" | "HEAD");
    let runs =
        |index: &usize| matches!(&items[*index], Item::Operation(_)) && ![400, 424].contains(&expected[*index].status);
    let (mut begun, mut ended) = (vec![false; items.len()], vec![false; items.len()]);
    for event in events.0.lock().unwrap().iter() {
        let index = match *event {
            Event::Begin(index) => index,
            Event::End(index) => {
                ended[index] = true;
                continue;
            }
        };
        prop_assert!(runs(&index) && !std::mem::replace(&mut begun[index], true), "{} began", index);
        let running = (0..items.len()).filter(|&other| begun[other] && !ended[other]).count();
        prop_assert!(running <= way.concurrency, "{} at once", running);
        for other in (0..index).filter(runs).filter(|&other| !ended[other]) {
            let is_held = match way.order {
                Order::Fenced => !is_safe(index) || !is_safe(other),
                Order::Sequential => true,
                _ => false,
            };
            prop_assert!(!is_held, "{} overtook {}", index, other);
            prop_assert!(index - other < way.window, "{} is too far ahead of {}", index, other);
            let id = operation(other).id.as_ref().filter(|_| expected[other].id.is_some());
            prop_assert!(!id.is_some_and(|id| operation(index).depends_on.contains(id)), "{} needs {}", index, other);
        }
    }
    for index in (0..items.len()).filter(runs) {
        prop_assert!(begun[index] && ended[index], "{} never ran", index);
    }
    Ok(())
}

fn check(items: &[Item], way: &Way, whole: bool) -> TestCaseResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut lines = Vec::new();
        for item in items {
            // Blank ones have no place.
            let place = lines.len() - lines.iter().filter(|line: &&String| line.trim().is_empty()).count();
            lines.push(written(place, item));
        }
        let operations: Vec<_> = items.iter().filter(|item| !matches!(item, Item::Blank(_))).cloned().collect();
        let (events, expected) = (Events::default(), expected(&operations, way.window).await);
        let batch = if whole {
            let mut batch = request(format!("[{}]", lines.join(",")));
            batch.headers_mut().insert("accept", way.accept.parse().unwrap());
            batch
        } else {
            stream_for(way.accept, way.body(&lines))
        };
        let (media_type, bytes) = read(&way.layer(), way.around(events.service()), batch, &way.rests).await;
        prop_assert!(media_type.starts_with(way.accept));
        prop_assert_eq!(outcomes(way.accept, &bytes), &*expected);
        // What isn't read line by line has all of it in its window.
        let window = if whole { usize::MAX } else { way.window };
        assert_in_time(&operations, &Way { window, ..way.clone() }, &expected, &events)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_stream_is_one_by_one(items in prop::collection::vec(item(), 0..40), way in way()) {
        check(&items, &way, false)?;
    }

    /// And so it is the same as a batch that is read whole, where there is one.
    #[test]
    fn a_stream_is_as_a_batch_that_is_read_whole(items in prop::collection::vec(item(), 1..30), way in way()) {
        let items = tidied(items, way.window);
        if !items.is_empty() {
            check(&items, &way, false)?;
            check(&items, &way, true)?;
        }
    }
}
