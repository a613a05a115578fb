//! What the pages in `docs/` say is so. Their batches and answers are tested where their code is, as doc tests.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{pending, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use serde_json::{Value, json};
use support::{batch, batched, call, response};
use tokio::time::Instant;
use tower::{BoxError, Layer, service_fn};
use tower_multistatus::{BatchContext, BatchLayer, Coordinator, RequestBody, Transaction, TransactionFuture};

fn programs() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/programs.md")).unwrap()
}

#[test]
fn a_format_of_ones_own_takes_forty_lines() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/formats.md")).unwrap();
    let code = part(&page, "```rust\n", "// That is all.");
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    assert!((20..=40).contains(&lines), "{lines}");
}

/// The page from one line to the next one that begins like this.
fn part<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = page.split_once(from).unwrap();
    rest.split_once(to).unwrap().0
}

/// Its tables' rows: what stands in the first two columns.
fn rows(part: &str) -> impl Iterator<Item = (&str, &str)> {
    let rows = part.lines().filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| row.split_once(" | ")).map(|(first, rest)| (first, rest.split(" |").next().unwrap()))
}

/// A service with something at each path that a reference can stumble over.
fn respond(request: Request<Bytes>) -> Response<Bytes> {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
    match request.uri().path() {
        "/nothing" => response(StatusCode::NO_CONTENT, &[], ""),
        "/missing" => response(StatusCode::NOT_FOUND, &[], ""),
        "/text" => response(StatusCode::OK, &[("content-type", "text/plain")], "text"),
        "/twice" => response(StatusCode::OK, JSON, r#"{"y":1,"y":2}"#),
        "/headers" => response(StatusCode::OK, &[("link", "</a>"), ("link", "</b>"), ("location", "//b.example/")], ""),
        "/values" => response(StatusCode::OK, JSON, r#"{"null":null,"object":{},"empty":"","dots":"..","v":"a/b ü"}"#),
        "/large" => {
            response(StatusCode::OK, JSON, format!(r#"{{"half":"{0}","whole":"{0}{0}"}}"#, "x".repeat(1 << 20)))
        }
        "/orders" => response(StatusCode::CREATED, &[("location", "/orders/7")], ""),
        _ => response(StatusCode::OK, &[("content-type", "text/plain")], request.uri().to_string()),
    }
}

/// What a coordinator does wrong.
#[derive(Clone, Copy)]
enum Fault {
    None,
    Begin,
    BeginNever,
    Attach,
    Commit,
    CommitNever,
    CommitPanics,
}

impl Coordinator for Fault {
    fn begin(&self, _batch: &Parts) -> TransactionFuture<Box<dyn Transaction>> {
        match *self {
            Self::Begin => Box::pin(ready(Err("no database".into()))),
            Self::BeginNever => Box::pin(pending()),
            fault => Box::pin(ready(Ok(Box::new(fault) as Box<dyn Transaction>))),
        }
    }
}

impl Transaction for Fault {
    fn attach(&self, _extensions: &mut Extensions) {
        assert!(!matches!(self, Self::Attach));
    }

    fn commit(self: Box<Self>) -> TransactionFuture<()> {
        match *self {
            Self::Commit => Box::pin(ready(Err(BoxError::from("no database")))),
            Self::CommitNever => Box::pin(pending()),
            Self::CommitPanics => panic!("as asked for"),
            _ => Box::pin(ready(Ok(()))),
        }
    }

    fn rollback(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(ready(Ok(())))
    }
}

/// Status and detail of each problem in the answer to this document, or of the one that the answer is.
async fn problems(layer: BatchLayer, document: impl ToString) -> Vec<(String, String)> {
    let answer: Value = serde_json::from_slice(call(batched(layer, respond), batch(document)).await.body()).unwrap();
    let problems = match answer["results"].as_array() {
        Some(results) => results.iter().map(|result| &result["error"]).filter(|error| error.is_object()).collect(),
        None => vec![&answer],
    };
    problems.into_iter().map(|problem| (problem["status"].to_string(), text(&problem["detail"]))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_page_tells_all_answers() {
    let new = BatchLayer::new;
    let a = |path: &str| json!({"id": "a", "path": path});
    let b = json!({"id": "b", "method": "POST", "path": "/"});
    // An operation that takes this from `a` and puts it into its path.
    let put = |from: &str, path: &str| json!({"path": path, "refs": {"x": from}});
    let pair = || json!([{"path": "/", "group": "g"}, {"path": "/", "group": "g"}]);

    let mut told = BTreeSet::new();
    for document in [
        json!([{"path": "/", "dependsOn": "a"}]),
        json!([{"path": "/", "dependsOn": ["a"]}]),
        json!([{"id": "a", "path": "/", "dependsOn": ["a"]}]),
        json!([{"id": "a", "path": "/", "dependsOn": ["b"]}, {"id": "b", "path": "/", "dependsOn": ["a"]}]),
        json!([{"path": "/", "dependsOn": ["b"]}, b]),
        json!([{"path": "/", "refs": []}]),
        json!([{"path": "/", "refs": {"x": 1}}]),
        json!([a("/"), put("a", "/")]),
        json!([a("/"), put("a#y", "/")]),
        json!([a("/"), put("a#/~", "/")]),
        json!([a("/"), put("a@y y", "/")]),
        json!([a("/"), put("a@x-y", "/")]),
        json!([a("/"), {"path": "/{x}", "refs": {"y": "a#"}}]),
        json!([a("/"), put("a#", "/{x")]),
        json!([a("/"), put("a#", "/{x-y}")]),
        json!([a("/"), put("a#", "/{+x}")]),
        json!([a("/"), {"path": "/", "refs": {"x": "a#"}, "headers": {"content-type": "{x}"}}]),
        json!([{"path": "/", "group": 1}]),
        json!([{"path": "/", "group": "g".repeat(257)}]),
        json!([{"path": "/", "group": "g"}, {"path": "/"}, {"path": "/", "group": "g"}]),
        json!([a("/missing"), {"path": "/", "dependsOn": ["a"]}]),
        json!([a("/nothing"), put("a#", "/")]),
        json!([a("/text"), put("a#", "/")]),
        json!([a("/values"), put("a#/y", "/")]),
        json!([a("/twice"), put("a#/y", "/")]),
        json!([a("/headers"), put("a@etag", "/")]),
        json!([a("/headers"), put("a@link", "/")]),
        json!([a("/headers"), put("a@location", "/")]),
        json!([a("/values"), put("a#/null", "/{x}")]),
        json!([a("/values"), put("a#/object", "/{x}")]),
        json!([a("/values"), put("a#/empty", "/{x}")]),
        json!([a("/values"), put("a#/dots", "/{x}")]),
        json!([a("/large"), put("a#/whole", "/")]),
        json!([a("/large"), {"method": "POST", "path": "/", "refs": {"x": "a#/half"}, "body": [{"$ref": "x"}, {"$ref": "x"}]}]),
        json!({"operations": [a("/")], "atomic": 1}),
        json!({"operations": [a("/")], "atomic": true}),
        json!({"operations": [a("/")], "onFailure": 1}),
        json!({"operations": [a("/")], "onFailure": "stop"}),
        pair(),
    ] {
        told.extend(problems(new(), document).await);
    }
    // No `Value` could hold this one.
    let twice = r##"[{"id":"a","path":"/"},{"path":"/","refs":{"x":"a#","x":"a#"}}]"##;
    told.extend(problems(new(), twice).await);

    let stops = new().stop_on_failure();
    told.extend(problems(stops.clone(), json!([a("/missing"), b])).await);
    told.extend(problems(stops, json!({"operations": [a("/")], "onFailure": "continue"})).await);

    let coordinated = new().with_coordinator(Fault::None).allow_atomic();
    for document in [
        json!([{"path": "/", "group": "g"}, {"path": "/missing", "group": "g"}]),
        json!([{"path": "/", "group": "g", "dependsOn": ["b"]}, {"id": "b", "path": "/", "group": "g"}]),
        json!({"operations": [{"path": "/", "group": "g"}], "atomic": true}),
    ] {
        told.extend(problems(coordinated.clone(), document).await);
    }
    for fault in
        [Fault::Begin, Fault::BeginNever, Fault::Attach, Fault::Commit, Fault::CommitNever, Fault::CommitPanics]
    {
        told.extend(problems(new().with_coordinator(fault), pair()).await);
    }

    let page = programs();
    let answers = part(&page, "\n## All answers\n", "\n## ");
    let rows = rows(answers).filter(|(status, _)| status.parse::<u16>().is_ok());
    let shown: BTreeSet<_> = rows.map(|(status, detail)| (status.to_owned(), detail.to_owned())).collect();
    assert_eq!(told.difference(&shown).collect::<Vec<_>>(), Vec::<&_>::new(), "the page doesn't tell these");
    assert_eq!(shown.difference(&told).collect::<Vec<_>>(), Vec::<&_>::new(), "nothing was answered with these");
}

#[tokio::test]
async fn templates_become_what_the_page_shows() {
    let page = programs();
    let mut count = 0;
    for (template, expected) in rows(part(&page, "\n### In a path\n", "\n### ")).skip(1) {
        let (template, expected) = (template.trim_matches('`'), expected.trim_matches('`'));
        let document = json!([
            {"id": "values", "path": "/values"},
            {"id": "order", "path": "/orders"},
            {"path": template, "refs": {"v": "values#/v", "place": "order@location"}},
        ]);
        let answer = call(batched(BatchLayer::new(), respond), batch(document)).await;
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(answer["results"][2]["data"], expected, "{template}: {answer}");
        count += 1;
    }
    assert_eq!(count, 8);
}

/// One character of a picture.
const UNIT: Duration = Duration::from_millis(10);

/// From where to where a line of a picture goes, by the operation.
fn spans(picture: &str) -> BTreeMap<usize, (usize, usize)> {
    let span = |line: &str| {
        let at = |mark| line.chars().position(|character| character == mark);
        Some((at('├')?, at('┤')?))
    };
    picture.lines().enumerate().filter_map(|(index, line)| Some((index, span(line)?))).collect()
}

/// When each operation of this batch begins and ends, if it takes as long as the picture says.
async fn spans_of(document: &str, picture: &BTreeMap<usize, (usize, usize)>, customer: u16) -> Value {
    let ran = Arc::new(Mutex::new(BTreeMap::new()));
    let begin = Instant::now();
    let origin = picture[&0].0;
    let service = service_fn({
        let (ran, picture) = (Arc::clone(&ran), picture.clone());
        move |request: Request<RequestBody<Full<Bytes>>>| {
            let index = request.extensions().get::<BatchContext>().unwrap().index();
            let (ran, span) = (Arc::clone(&ran), picture.get(&index).copied());
            async move {
                let column = || origin + usize::try_from(begin.elapsed().as_millis() / UNIT.as_millis()).unwrap();
                let (from, to) = span.expect("an operation ran that doesn't run in the picture");
                let began = column();
                tokio::time::sleep(UNIT * u32::try_from(to - from).unwrap()).await;
                ran.lock().unwrap().insert(index, (began, column()));
                let status = if index == 0 { customer } else { 200 };
                let response = Response::builder().status(status).header("content-type", "application/json");
                Ok::<_, BoxError>(
                    response.header("location", "/orders/1").body(Full::from(r#"{"id":1,"address":{}}"#))?,
                )
            }
        }
    });
    let answer = call(BatchLayer::new().layer(service), batch(document)).await;
    assert_eq!(*ran.lock().unwrap(), *picture, "{document}");
    serde_json::from_slice(answer.body()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn operations_run_when_the_pictures_say() {
    let page = programs();
    let section = part(&page, "\n## Order and dependencies\n", "\n## ");
    let blocks: Vec<_> = section.split("\n```").skip(1).step_by(2).collect();
    let of = |language: &'static str| {
        blocks.iter().filter_map(move |block| block.strip_prefix(language)?.strip_prefix('\n'))
    };
    let (documents, pictures): (Vec<_>, Vec<_>) = (of("json").step_by(2).collect(), of("text").collect());
    assert_eq!((documents.len(), pictures.len()), (2, 2));
    for ((document, picture), customer) in documents.into_iter().zip(pictures).zip([200, 404]) {
        spans_of(document, &spans(picture), customer).await;
    }
}
