//! What the server's side can see: one span for a batch, one for each operation in it, and the errors that no answer
//! tells.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{
    Body, SubRequest, get, gets,
    lines::{Reading, Write, by_pieces, lines, results, stream_of},
    post, request_with, send, soon,
};
use futures_util::stream;
use http::{Extensions, Response, StatusCode, request::Parts};
use serde_json::json;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchContext, BatchLayer, Coordinator, Order, Streaming, Transaction, TransactionFuture};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Keeps all spans and events of the thread.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<Entry>>>);

/// A span, or an event.
#[derive(Clone, Debug, Default)]
struct Entry {
    name: &'static str,
    /// The place of the span that it stands in.
    parent: Option<usize>,
    fields: Fields,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<const N: usize> PartialEq<[(&'static str, &str); N]> for Fields {
    fn eq(&self, other: &[(&'static str, &str); N]) -> bool {
        self.0.iter().map(|(name, value)| (*name, value.as_str())).eq(other.iter().copied())
    }
}

/// Where a span stands in the list.
struct Place(usize);

impl Capture {
    fn start() -> (Self, DefaultGuard) {
        let capture = Self::default();
        (capture.clone(), tracing_subscriber::registry().with(capture).set_default())
    }

    fn push(&self, entry: Entry) -> Place {
        let mut entries = self.0.lock().unwrap();
        entries.push(entry);
        Place(entries.len() - 1)
    }

    /// All of one name, in order.
    fn named(&self, name: &str) -> Vec<Entry> {
        self.0.lock().unwrap().iter().filter(|entry| entry.name == name).cloned().collect()
    }

    /// The span that something stands in.
    fn parent(&self, entry: &Entry) -> Entry {
        self.0.lock().unwrap()[entry.parent.unwrap()].clone()
    }

    /// Errors, each with the index of the operation that it is of.
    fn errors(&self) -> Vec<(String, String)> {
        let errors = self.named("error");
        errors
            .iter()
            .map(|error| (self.parent(error).fields.0["index"].clone(), error.fields.0["error"].clone()))
            .collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let span = cx.span(id).unwrap();
        let parent = span.parent().map(|parent| parent.extensions().get::<Place>().unwrap().0);
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let place = self.push(Entry { name: span.name(), parent, fields });
        span.extensions_mut().insert(place);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        let place = cx.span(id).unwrap().extensions().get::<Place>().unwrap().0;
        values.record(&mut self.0.lock().unwrap()[place].fields);
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let parent = cx.event_span(event).map(|span| span.extensions().get::<Place>().unwrap().0);
        let mut fields = Fields::default();
        event.record(&mut fields);
        let name = if *event.metadata().level() == tracing::Level::ERROR { "error" } else { "event" };
        self.push(Entry { name, parent, fields });
    }
}

/// Does what the target says, and says so.
async fn obey(request: SubRequest) -> Result<Response<Body>, BoxError> {
    let target = request.uri().path();
    tracing::info!(target, "before");
    match target.trim_start_matches('/') {
        "fail" => return Err("secret of the call".into()),
        "break" => {
            let broken = stream::iter([Ok("half"), Err(BoxError::from("secret of the body"))]);
            return Ok(Response::new(Body::from_stream(broken)));
        }
        "panic" => panic!("secret of the panic"),
        seconds => tokio::time::sleep(Duration::from_secs(seconds.parse()?)).await,
    }
    tracing::info!(target, "after");
    Ok(Response::new(Body::empty()))
}

/// The one with tasks comes last: one that is dropped later, when another subscriber is the default one, would close that
/// one's spans.
fn all_modes() -> [BatchLayer; 3] {
    [BatchLayer::new(), BatchLayer::new().stream(Streaming::On), BatchLayer::new().spawn()]
}

#[tokio::test(start_paused = true)]
async fn one_span_for_the_batch_and_one_for_each_operation() {
    for layer in all_modes() {
        let (capture, _guard) = Capture::start();
        let batch = json!([
            {"path": "/3?x=y", "id": "slow"},
            {"method": "PATCH", "path": "/0"},
            {"path": "/fail"},
            {"path": "/99"},
        ]);
        assert_eq!(soon(post(layer.layer(service_fn(obey)), batch)).await.statuses(), [200, 200, 500, 504]);

        let [batch] = capture.named("batch").try_into().unwrap();
        assert_eq!(batch.parent, None);
        assert_eq!(batch.fields, [("operations", "4"), ("path", "/batch")]);
        let operations = capture.named("operation");
        assert!(operations.iter().all(|operation| capture.parent(operation).name == "batch"));
        let [slow, patch, fail, over] = operations.try_into().unwrap();
        assert_eq!(
            slow.fields,
            [
                ("elapsed", "3s"),
                ("id", "slow"),
                ("index", "0"),
                ("method", "GET"),
                ("status", "200"),
                ("target", "/3?x=y"),
            ]
        );
        // One that isn't there is not told; nor is the time of what takes none, but as such.
        let rest = |index, method, status, target, elapsed| {
            [("elapsed", elapsed), ("index", index), ("method", method), ("status", status), ("target", target)]
        };
        assert_eq!(patch.fields, rest("1", "PATCH", "200", "/0", "0ns"));
        assert_eq!(fail.fields, rest("2", "GET", "500", "/fail", "0ns"));
        assert_eq!(over.fields, rest("3", "GET", "504", "/99", "30s"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_says_stands_in_its_operations_span() {
    for layer in all_modes() {
        let (capture, _guard) = Capture::start();
        let batch = json!([{"path": "/2"}, {"path": "/1"}, {"path": "/3"}]);
        soon(post(layer.layer(service_fn(obey)), batch)).await;
        let events = capture.named("event");
        assert_eq!(events.len(), 6);
        for event in events {
            let operation = capture.parent(&event);
            assert_eq!(operation.name, "operation");
            assert_eq!(event.fields.0["target"], operation.fields.0["target"], "{}", event.fields.0["message"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_cause_of_a_failure_is_for_the_log_only() {
    for layer in all_modes() {
        let (capture, _guard) = Capture::start();
        let batch = json!([{"path": "/fail"}, {"path": "/0"}, {"path": "/break"}, {"path": "/panic"}]);
        let answer = soon(post(layer.order(Order::Sequential).layer(service_fn(obey)), batch)).await;
        assert_eq!(answer.statuses(), [500, 200, 500, 500]);
        assert!(!answer.text().contains("secret"));
        let errors = capture.errors();
        let [fail, broken, panic] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!(*fail, ("0".into(), "secret of the call".into()));
        assert_eq!(*broken, ("2".into(), "secret of the body".into()));
        // A panic's message is the panic hook's business; but that there was one, and where, is told.
        assert_eq!(panic.0, "3");
    }
}

#[tokio::test]
async fn why_a_batch_broke_off_is_for_the_log_only() {
    let (capture, _guard) = Capture::start();
    let broken = stream::iter([Ok(gets(1).to_string()), Err("secret of the batch")]);
    let answer = send(BatchLayer::new().layer(service_fn(obey)), request_with(Body::from_stream(broken))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(!answer.text().contains("secret"));
    let [error] = capture.named("error").try_into().unwrap();
    assert_eq!(error.fields.0["error"], "secret of the batch");
    assert_eq!(capture.parent(&error).name, "batch");
}

#[tokio::test(start_paused = true)]
async fn what_the_batchs_time_ends_has_its_span_ended_too() {
    for layer in all_modes() {
        let (capture, _guard) = Capture::start();
        let layer = layer.operation_timeout(Duration::from_secs(100)).order(Order::Sequential);
        let batch = json!([{"path": "/1"}, {"path": "/99"}, {"path": "/0"}]);
        assert_eq!(soon(post(layer.layer(service_fn(obey)), batch)).await.statuses(), [200, 504, 504]);
        let ends = capture.named("operation").into_iter();
        let ends: Vec<_> =
            ends.map(|mut span| ["index", "status", "elapsed"].map(|name| span.fields.0.remove(name))).collect();
        let ends: Vec<_> = ends.iter().map(|end| end.each_ref().map(Option::as_deref)).collect();
        assert_eq!(ends[1], [Some("1"), Some("504"), Some("59s")]);
        assert_eq!(ends[2], [Some("2"), Some("504"), Some("0ns")], "which has never begun");
        assert_eq!(ends.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_no_batch_has_no_span_of_ours() {
    let (capture, _guard) = Capture::start();
    send(BatchLayer::new().layer(service_fn(obey)), get("/0")).await;
    let entries = capture.0.lock().unwrap();
    assert_eq!(entries.len(), 2, "what the handler says");
    assert!(entries.iter().all(|entry| entry.parent.is_none()));
}

/// Its transactions come to no good end.
struct Stopping;

impl Coordinator for Stopping {
    fn begin(&self, _: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
        Box::pin(async { Ok(Box::new(Stopping) as Box<dyn Transaction>) })
    }
}

impl Transaction for Stopping {
    fn attach(&self, extensions: &mut Extensions) {
        assert_ne!(extensions.get::<BatchContext>().unwrap().id(), Some("unattached"), "as it was told");
    }

    fn commit(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async { Err("secret of the commit".into()) })
    }

    fn rollback(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async { Err("secret of the rollback".into()) })
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_an_operation_waited_for_it_has_one_span() {
    let (capture, _guard) = Capture::start();
    let batch = json!([
        {"path": "/1", "id": "a"},
        {"path": "/{x}", "refs": {"x": "a#/x"}, "id": "unfilled"},
        {"path": "/0", "dependsOn": ["unfilled"]},
        {"path": "/2", "group": "g"},
        {"path": "/0", "group": "g", "id": "unattached"},
        {"path": "/0", "group": "g"},
        {"path": "/3", "group": "h"},
        {"path": "/0", "group": "h"},
    ]);
    let layer = BatchLayer::new().order(Order::Sequential).with_coordinator(Stopping);
    let answer = soon(post(layer.layer(service_fn(obey)), batch)).await;
    assert_eq!(answer.statuses(), [200, 424, 424, 424, 500, 424, 500, 500]);
    assert!(!answer.text().contains("secret"));
    let spans = capture.named("operation").into_iter();
    let mut spans: Vec<_> = spans
        .map(|mut span| ["index", "status", "elapsed"].map(|name| span.fields.0.remove(name).unwrap_or_default()))
        .collect();
    spans.sort();
    let expected = [("424", "2s"), ("500", "0ns"), ("424", "0ns"), ("500", "3s"), ("500", "0ns")];
    let expected = [("200", "1s"), ("424", "0ns"), ("424", "0ns")].into_iter().chain(expected).enumerate();
    let expected = expected.map(|(index, (status, elapsed))| [index.to_string(), status.into(), elapsed.into()]);
    assert_eq!(spans, expected.collect::<Vec<_>>());
    let errors: Vec<_> = capture.named("error").into_iter().map(|error| error.fields.0["error"].clone()).collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert_eq!(errors[1..], ["secret of the rollback", "secret of the commit"]);
}

/// With a clock that goes.
#[tokio::test]
async fn what_never_ran_took_no_time() {
    let (capture, _guard) = Capture::start();
    let (told, times) = std::sync::mpsc::channel();
    let layer = BatchLayer::new().on_outcome(move |_, status, elapsed| told.send((status.as_u16(), elapsed)).unwrap());
    post(layer.layer(service_fn(obey)), json!([{"path": "nowhere"}])).await;
    assert_eq!(times.try_iter().collect::<Vec<_>>(), [(400, Duration::ZERO)]);
    let [span] = capture.named("operation").try_into().unwrap();
    assert_eq!((span.fields.0["status"].as_str(), span.fields.0["elapsed"].as_str()), ("400", "0ns"));
}

/// Each operation as it comes; how many there were is told when that is known.
#[tokio::test(start_paused = true)]
async fn a_stream_of_lines_has_the_same_spans() {
    for layer in all_modes() {
        let (capture, _guard) = Capture::start();
        let (pieces, body) = by_pieces();
        pieces.write(lines([json!({"path": "/1", "id": "a"}), json!({"path": "/fail"}), json!(7)]));
        let mut reading = Reading::new(layer.layer(service_fn(obey)).oneshot(stream_of(body)).await.unwrap());
        for _ in 0..3 {
            reading.line().await;
        }
        assert_eq!(capture.named("batch")[0].fields, [("path", "/batch")]);
        pieces.send(Err("secret of the stream".into())).unwrap();
        let (results, _) = results(reading.finish().await);
        assert_eq!(results.len(), 4);
        assert!(!format!("{results:?}").contains("secret"));

        let [batch] = capture.named("batch").try_into().unwrap();
        assert_eq!(batch.fields, [("operations", "4"), ("path", "/batch")]);
        let operations = capture.named("operation");
        assert!(operations.iter().all(|operation| capture.parent(operation).name == "batch"));
        let mut told: Vec<_> =
            operations.iter().map(|entry| (&*entry.fields.0["index"], &*entry.fields.0["status"])).collect();
        told.sort_unstable();
        assert_eq!(told, [("0", "200"), ("1", "500"), ("2", "400"), ("3", "400")]);
        let causes: Vec<_> = capture.named("error").iter().map(|error| error.fields.0["error"].clone()).collect();
        assert_eq!(causes, ["secret of the call", "secret of the stream"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_which_nothing_comes_is_counted_too() {
    for layer in all_modes() {
        let (capture, _guard) = Capture::start();
        let (pieces, body) = by_pieces();
        pieces.write(lines([json!({"path": "/1"})]));
        let reading = Reading::new(layer.layer(service_fn(obey)).oneshot(stream_of(body)).await.unwrap());
        assert_eq!(results(reading.finish().await).0[1]["status"], 408);
        assert_eq!(capture.named("batch")[0].fields, [("operations", "2"), ("path", "/batch")]);
    }
}
