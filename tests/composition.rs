//! Operations that hang together in any way mean what a patient client would do by hand: send one request after the
//! other, take values out of the answers with its own JSON library, and put them into the next request.
#![allow(clippy::unwrap_used)]

#[path = "composition/memory.rs"]
mod memory;
mod support;

use std::{collections::BTreeSet, ops::Range};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use memory::Memory;
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::TestCaseResult,
};
use serde_json::{Map, Value, json};
use support::{Plain, batch, block_on, call, json_response, refused, response, results};
use tower::{Layer, ServiceBuilder, limit::ConcurrencyLimitLayer, service_fn, util::BoxCloneService};
use tower_multistatus::{BatchLayer, Order, RequestBody};

/// The service itself. Under `/count` it remembers POSTs, and tells what it remembers; under `/status` it fails, or
/// doesn't; all else depends on the request alone.
fn respond(memory: &Memory, request: &Request<Bytes>) -> Response<Bytes> {
    let target = request.uri().to_string();
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let prefer: Vec<_> = request.headers().get_all("prefer").iter().map(HeaderValue::as_bytes).collect();
    let mut json = json!({
        "target": target,
        "method": request.method().as_str(),
        "prefer": prefer.iter().map(|value| String::from_utf8_lossy(value)).collect::<Value>(),
        "body": body,
        "list": [target.len(), [true, null], {"a/b~": "x y/ü&"}],
        "empty": "",
        "dots": "..",
        "line": "a\nb",
    });
    let mut segments = request.uri().path().split('/').skip(1);
    match (segments.next(), segments.next()) {
        (Some("status"), Some(status)) => return json_response(status.parse().unwrap(), &json),
        (Some("count"), _) => {
            let memory = request.extensions().get::<Memory>().unwrap_or(memory);
            if *request.method() == Method::POST {
                memory.push(format!("{target} {body}"));
            }
            json["count"] = json!(memory.lines());
        }
        _ => {}
    }
    let location = match target.len() % 6 {
        0 => "/echo/here?x=%20#y",
        1 => "http://api.example.com/echo/absolute",
        2 => "next",
        3 => "http://evil.example/echo",
        4 => "//api.example.com/echo/other?",
        _ => "",
    };
    let tag = format!("\"{}\"", target.len());
    let mut headers = vec![("content-type", "application/json"), ("etag", &*tag)];
    headers.extend((!location.is_empty()).then_some(("location", location)));
    response(StatusCode::OK, &headers, json.to_string())
}

/// The service with pauses, which are different for each request.
fn service(
    memory: &Memory,
    pauses: Vec<u8>,
) -> BoxCloneService<Request<RequestBody<Plain>>, Response<Plain>, std::convert::Infallible> {
    let memory = memory.clone();
    BoxCloneService::new(service_fn(move |request: Request<RequestBody<Plain>>| {
        let (memory, pause) = (memory.clone(), pauses[request.uri().to_string().len() % pauses.len()]);
        async move {
            for _ in 0..pause {
                tokio::task::yield_now().await;
            }
            let (head, body) = request.into_parts();
            let request = Request::from_parts(head, body.collect().await.unwrap().to_bytes());
            Ok(respond(&memory, &request).map(Full::new))
        }
    }))
}

#[derive(Clone, Debug)]
struct Operation {
    method: &'static str,
    path: &'static str,
    depends_on: BTreeSet<usize>,
    references: Vec<Reference>,
}

/// Each one has a name of its own: `r0`, `r1` and so on.
#[derive(Clone, Debug)]
struct Reference {
    source: usize,
    what: &'static str,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Before all else; for a location only.
    Start,
    Segment,
    Query,
    Header,
    Body,
    Nowhere,
}

#[derive(Clone, Debug)]
struct Case {
    order: Order,
    stop: bool,
    concurrency: usize,
    spawned: bool,
    limited: bool,
    pauses: Vec<u8>,
    operations: Vec<Operation>,
    groups: Vec<Range<usize>>,
}

fn case() -> impl Strategy<Value = Case> {
    let good = [
        "#",
        "#/target",
        "#/method",
        "#/list/0",
        "#/list/1/0",
        "#/list/2/a~1b~0",
        "#/body",
        "#/body/own",
        "@etag",
        "@location",
        "@location",
        "@location",
    ];
    // What is missing, or not everywhere in its place.
    let odd = ["#/list/1", "#/list/1/1", "#/empty", "#/dots", "#/line", "#/nothing", "#/count/0", "@link"];
    let whats = prop_oneof![4 => select(good.to_vec()), 1 => select(odd.to_vec())];
    let places = select(vec![
        Place::Start,
        Place::Segment,
        Place::Query,
        Place::Header,
        Place::Body,
        Place::Body,
        Place::Nowhere,
    ]);
    let reference = (any::<Index>(), whats, places);
    // Most look back, as those of clients do.
    let ahead = || prop::bool::weighted(0.08);
    let paths = ["/echo", "/echo/a", "/echo/ab", "/echo/abc", "/echo/abcd", "/count", "/count/b", "/status/201"];
    let bad = ["/status/302", "/status/404", "nowhere"];
    let operation = (
        select(vec!["GET", "GET", "GET", "POST", "PUT"]),
        prop_oneof![14 => select(paths.to_vec()), 1 => select(bad.to_vec())],
        prop::collection::vec((any::<Index>(), ahead()), 0..2),
        prop::collection::vec((reference, ahead()), 0..3),
    );
    let ways = (
        select(&[Order::Fenced, Order::Sequential, Order::Unordered][..]),
        any::<bool>(),
        1usize..5,
        any::<bool>(),
        any::<bool>(),
    );
    let groups = prop::collection::vec((any::<Index>(), 1usize..4), 0..3);
    (ways, prop::collection::vec(0u8..4, 1..5), prop::collection::vec(operation, 1..10), groups).prop_map(
        |((order, stop, concurrency, spawned, limited), pauses, operations, groups)| {
            let total = operations.len();
            let other = |own: usize, index: Index, ahead: bool| match own {
                _ if ahead => Some(index.index(total)),
                0 => None,
                _ => Some(index.index(own)),
            };
            let operations = operations.into_iter().enumerate().map(|(own, (method, path, depends_on, references))| {
                let path = match path {
                    // Without an order, nothing may depend on it.
                    "/count" | "/count/b" if order == Order::Unordered => "/echo/c",
                    path => path,
                };
                let depends_on = depends_on.into_iter().filter_map(|(index, ahead)| other(own, index, ahead)).collect();
                let references = references.into_iter().filter_map(|((index, what, place), ahead)| {
                    let place = if place == Place::Start && what != "@location" { Place::Body } else { place };
                    Some(Reference { source: other(own, index, ahead)?, what, place })
                });
                let mut references: Vec<_> = references.collect();
                // A path has one beginning.
                if references.iter().filter(|reference| reference.place == Place::Start).count() > 1 {
                    references.remove(0);
                }
                Operation { method, path, depends_on, references }
            });
            let operations: Vec<_> = operations.collect();
            let mut free = 0;
            let groups = groups.into_iter().filter_map(|(start, len)| {
                let start = start.index(total).max(free);
                let group = start..(start + len).min(total);
                free = group.end;
                (!group.is_empty()).then_some(group)
            });
            let stop = stop && order == Order::Sequential;
            Case { order, stop, concurrency, spawned, limited, pauses, groups: groups.collect(), operations }
        },
    )
}

/// As it is written in a batch.
fn written(case: &Case, own: usize) -> Value {
    let operation = &case.operations[own];
    let (mut path, mut query, mut prefer, mut body, mut refs) =
        (operation.path.to_owned(), String::new(), Vec::new(), Vec::new(), Map::new());
    for (nth, reference) in operation.references.iter().enumerate() {
        let name = format!("r{nth}");
        match reference.place {
            Place::Start => path = format!("{{+{name}}}"),
            Place::Segment => {}
            Place::Query => query += &format!("&q={{{name}}}"),
            Place::Header => prefer.push(format!("{{{name}}}")),
            Place::Body => body.push(json!({"$ref": name})),
            Place::Nowhere => {}
        }
        refs.insert(name, json!(format!("n{}{}", reference.source, reference.what)));
    }
    for (nth, reference) in operation.references.iter().enumerate() {
        if reference.place == Place::Segment {
            path += &format!("/{{r{nth}}}");
        }
    }
    let target = if query.is_empty() { path } else { format!("{path}?{}", &query[1..]) };
    let depends_on: Value = operation.depends_on.iter().map(|other| format!("n{other}")).collect();
    let mut written = json!({"id": format!("n{own}"), "method": operation.method, "path": target, "dependsOn": depends_on, "headers": {"prefer": prefer}, "body": {"values": body, "own": own}});
    if !refs.is_empty() {
        written["refs"] = Value::Object(refs);
    }
    if let Some(group) = case.groups.iter().find(|group| group.contains(&own)) {
        written["group"] = json!(format!("{group:?}"));
    }
    written
}

/// What a client does by hand, and the rules by which it knows what it can't do.
struct Client<'a> {
    case: &'a Case,
    memory: Memory,
    /// The responses, or the statuses of what was not sent.
    outcomes: Vec<Option<Result<Response<Bytes>, u16>>>,
    /// What was sent.
    targets: Vec<String>,
    failed: bool,
}

impl Client<'_> {
    fn group(&self, own: usize) -> Range<usize> {
        self.case.groups.iter().find(|group| group.contains(&own)).cloned().unwrap_or(own..own + 1)
    }

    fn is_member(&self, own: usize) -> bool {
        self.case.groups.iter().any(|group| group.contains(&own))
    }

    fn needs(&self, own: usize) -> BTreeSet<usize> {
        let operation = &self.case.operations[own];
        operation
            .depends_on
            .iter()
            .copied()
            .chain(operation.references.iter().map(|reference| reference.source))
            .collect()
    }

    fn is_faulty(&self, own: usize) -> bool {
        let operation = &self.case.operations[own];
        let starts = operation.references.iter().any(|reference| reference.place == Place::Start);
        operation.path == "nowhere" && !starts
    }

    /// Who can't run whatever happens, by trying all that could be.
    fn refuse(&mut self) {
        let case = self.case;
        let all = 0..case.operations.len();
        let is_fence = |other: usize| case.operations[other].method != "GET" && !self.is_faulty(other);
        let crosses = |own: usize, other: usize| {
            other > own
                && match case.order {
                    Order::Sequential => true,
                    Order::Fenced => (self.group(own).start..self.group(other).end).any(is_fence),
                    _ => false,
                }
        };
        let is_impossible = |own: usize| {
            self.needs(own).into_iter().any(|other| match self.group(own) == self.group(other) {
                true => other >= own,
                false => crosses(own, other),
            })
        };
        let mut refused: Vec<_> = all.clone().map(|own| self.is_faulty(own) || is_impossible(own)).collect();
        // From which group one comes to which, in any number of steps.
        let start = |own: usize| self.group(own).start;
        let ties: BTreeSet<_> = all
            .clone()
            .filter(|&own| !refused[own])
            .flat_map(|own| self.needs(own).into_iter().map(move |other| (own, other)))
            .filter(|&(own, other)| start(own) != start(other))
            .collect();
        let mut ways: BTreeSet<_> = ties.iter().map(|&(own, other)| (start(own), start(other))).collect();
        loop {
            let longer: BTreeSet<_> = ways
                .iter()
                .flat_map(|&(from, via)| ways.iter().filter(move |way| way.0 == via).map(move |way| (from, way.1)))
                .filter(|way| !ways.contains(way))
                .collect();
            if longer.is_empty() {
                break;
            }
            ways.extend(longer);
        }
        for &(own, other) in &ties {
            refused[own] |= ways.contains(&(start(other), start(own)));
        }
        for own in all {
            if refused[own] {
                self.outcomes[own] = Some(Err(400));
            } else if self.is_member(own) && self.group(own).any(|member| refused[member]) {
                self.outcomes[own] = Some(Err(424));
            }
        }
    }

    /// Everything in request order, but first what it needs.
    fn run(&mut self, own: usize) {
        let group = self.group(own);
        if self.outcomes[own].is_some() {
            return self.look_at(own..own + 1);
        }
        let needs: BTreeSet<_> =
            group.clone().flat_map(|member| self.needs(member)).filter(|other| !group.contains(other)).collect();
        for &other in &needs {
            if self.outcomes[other].is_none() {
                self.run(other);
            }
        }
        let skipped = self.case.stop && self.failed || needs.iter().any(|&other| !self.is_success(other));
        let before = self.memory.copy();
        for member in group.clone() {
            let failed =
                skipped || !group.clone().take_while(|&other| other < member).all(|other| self.is_success(other));
            self.outcomes[member] = Some(if failed { Err(424) } else { self.send(member) });
        }
        if let Some(failure) = group.clone().find(|&member| !self.is_success(member)) {
            self.memory = before;
            group.clone().filter(|&member| member != failure).for_each(|member| self.outcomes[member] = Some(Err(424)));
        }
        self.look_at(group);
    }

    fn look_at(&mut self, operations: Range<usize>) {
        self.failed |= operations.into_iter().any(|own| self.status(own) >= 400);
    }

    fn status(&self, own: usize) -> u16 {
        match self.outcomes[own].as_ref().unwrap() {
            Ok(response) => response.status().as_u16(),
            Err(status) => *status,
        }
    }

    fn is_success(&self, own: usize) -> bool {
        (200..300).contains(&self.status(own))
    }

    fn send(&mut self, own: usize) -> Result<Response<Bytes>, u16> {
        let request = self.request(own).ok_or(424_u16)?;
        self.targets[own] = request.uri().to_string();
        Ok(respond(&self.memory, &request))
    }

    /// With all values in their places; `None` where one is missing, or can't stand there.
    fn request(&self, own: usize) -> Option<Request<Bytes>> {
        let operation = &self.case.operations[own];
        let (mut path, mut segments, mut query, mut prefer, mut body) =
            (operation.path.to_owned(), String::new(), String::new(), Vec::new(), Vec::new());
        for reference in &operation.references {
            let value = self.value(reference)?;
            match reference.place {
                Place::Start => path = value.as_str()?.to_owned(),
                Place::Segment => {
                    let text = text(&value).filter(|text| !text.is_empty())?;
                    segments += &format!("/{}", percent_encoded(&text));
                }
                Place::Query => query += &format!("&q={}", percent_encoded(&text(&value)?)),
                Place::Header => prefer.push(HeaderValue::from_bytes(text(&value)?.as_bytes()).ok()?),
                Place::Body => body.push(value),
                Place::Nowhere => {}
            }
        }
        path += &segments;
        let target = if query.is_empty() { path } else { format!("{path}?{}", &query[1..]) };
        // Behind the query that a location may have, all of this leads nowhere.
        let path = target.split('?').next()?;
        if path.contains("%5C") || path.split('/').any(|segment| segment == "..") {
            return None;
        }
        let body = json!({"values": body, "own": own}).to_string();
        let mut request = Request::builder().method(operation.method).uri(target).body(Bytes::from(body)).unwrap();
        for value in prefer {
            request.headers_mut().append("prefer", value);
        }
        Some(request)
    }

    fn value(&self, reference: &Reference) -> Option<Value> {
        let response = self.outcomes[reference.source].as_ref()?.as_ref().ok()?;
        if let Some(pointer) = reference.what.strip_prefix('#') {
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            return body.pointer(pointer).cloned();
        }
        let header = response.headers().get(&reference.what[1..])?.to_str().unwrap();
        if reference.what != "@location" {
            return Some(json!(header));
        }
        let own = ["http://api.example.com", "//api.example.com"];
        let path = own.iter().find_map(|own| header.strip_prefix(own)).unwrap_or(header);
        let path = path.split('#').next().unwrap();
        if path.starts_with('/') {
            return Some(json!(path));
        }
        if path.contains(':') {
            return None;
        }
        let base = self.targets[reference.source].split('?').next().unwrap();
        Some(json!(format!("{}/{path}", &base[..base.rfind('/').unwrap()])))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn check(case: &Case) -> TestCaseResult {
    let total = case.operations.len();
    let mut client = Client {
        case,
        memory: Memory::default(),
        outcomes: vec![None; total],
        targets: vec![String::new(); total],
        failed: false,
    };
    client.refuse();
    (0..total).for_each(|own| client.run(own));

    let memory = Memory::default();
    let layer = BatchLayer::new().order(case.order).concurrency(case.concurrency).with_coordinator(memory.clone());
    let layer = if case.spawned { layer.spawn() } else { layer };
    let layer = if case.stop { layer.stop_on_failure() } else { layer };
    let limit = if case.limited { 1 } else { 100 };
    let inner =
        ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(limit)).service(service(&memory, case.pauses.clone()));
    let operations: Value = (0..total).map(|own| written(case, own)).collect();
    let results = results(&block_on(call(layer.layer(inner), batch(&operations))));
    prop_assert_eq!(results.len(), total);
    for (own, result) in results.iter().enumerate() {
        prop_assert_eq!(&result["status"], client.status(own), "{} of {}: {}", own, operations, result);
        match client.outcomes[own].as_ref().unwrap() {
            Err(status) => drop(refused(result, u64::from(*status))),
            Ok(response) => {
                let told = result.get("data").or(result.get("error"));
                let expected: Value = serde_json::from_slice(response.body()).unwrap();
                prop_assert_eq!(told, Some(&expected), "{} of {}", own, operations);
                let location = response.headers().get(header::LOCATION).map(|location| location.to_str().unwrap());
                prop_assert_eq!(result["headers"]["location"].as_str(), location);
            }
        }
    }
    prop_assert_eq!(memory.lines(), client.memory.lines(), "{}", operations);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn a_batch_means_what_a_client_would_do_by_hand(case in case()) {
        check(&case)?;
    }
}
