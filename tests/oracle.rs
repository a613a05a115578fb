//! A batch means what its operations mean one by one: the oracle is the same service, asked with plain requests.
#![allow(clippy::unwrap_used)]

#[path = "support/odata.rs"]
mod odata_support;
#[allow(clippy::duplicate_mod, reason = "both read multistatus")]
#[path = "support/round_trip.rs"]
mod round_trip;
mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use proptest::{prelude::*, sample::select, test_runner::TestCaseResult};
use round_trip::Sent;
use serde_json::{Map, Value, json};
use support::{Plain, batch, batch_as, block_on, call, echo, json_response, refused, response, results, service, with};
use tower::Layer;
use tower_multistatus::{BatchLayer, Order};

/// A shop's worth of HTTP. Under `/items` and `/count` it depends on what was done before; all else is an echo.
fn shop() -> impl Fn(Request<Bytes>) -> Response<Bytes> + Clone + Send + 'static {
    let state = Arc::new(Mutex::new((BTreeMap::<String, (String, Bytes)>::new(), 0_u32)));
    move |request| {
        let (items, count) = &mut *state.lock().unwrap();
        let path = request.uri().path().to_owned();
        match (path.split('/').nth(1), request.method()) {
            (Some("items"), &Method::PUT | &Method::PATCH) => {
                *count += 1;
                let content_type = request.headers().get("content-type").map_or("a/b", |value| value.to_str().unwrap());
                let stored = (content_type.to_owned(), request.body().clone());
                let status = if items.insert(path.clone(), stored).is_none() { 201 } else { 204 };
                let cookie = format!("version={count}; HttpOnly");
                response(StatusCode::from_u16(status).unwrap(), &[("location", &path), ("set-cookie", &cookie)], "")
            }
            (Some("items"), &Method::DELETE) => match items.remove(&path) {
                Some(_) => response(StatusCode::NO_CONTENT, &[], ""),
                None => response(StatusCode::NOT_FOUND, &[], ""),
            },
            (Some("items"), _) => match items.get(&path) {
                Some((content_type, body)) => {
                    let tag = format!("\"{count}\"");
                    let headers =
                        [("content-type", &**content_type), ("etag", &tag), ("link", "</a>"), ("link", "</b>")];
                    response(StatusCode::OK, &headers, body.clone())
                }
                None => response(StatusCode::NOT_FOUND, &[("content-type", "text/plain")], format!("no {path} & <co>")),
            },
            (Some("count"), method) => {
                *count += u32::from(*method == Method::POST);
                json_response(StatusCode::OK, &json!(*count))
            }
            _ => echo(told_alone(request)),
        }
    }
}

/// Without what only an operation has, or only a request of its own.
fn told_alone(mut request: Request<Bytes>) -> Request<Bytes> {
    request.extensions_mut().clear();
    request.headers_mut().remove(header::CONTENT_LENGTH);
    request
}

#[derive(Clone, Debug)]
enum Item {
    Good(Operation),
    Bad(Fault),
}

#[derive(Clone, Debug)]
struct Operation {
    id: Option<String>,
    method: &'static str,
    target: String,
    headers: BTreeMap<&'static str, Vec<String>>,
    body: Payload,
}

#[derive(Clone, Debug)]
enum Payload {
    Nothing,
    Json(Value),
    Text(String),
    Binary(Vec<u8>),
}

/// An operation that is refused, with its id where that can be read.
#[derive(Clone, Copy, Debug)]
struct Fault {
    json: &'static str,
    id: Option<&'static str>,
}

const FAULTS: &[Fault] = &[
    Fault { json: "null", id: None },
    Fault { json: "7", id: None },
    Fault { json: r#""/echo""#, id: None },
    Fault { json: r#"[{"path":"/items/a","method":"DELETE"}]"#, id: None },
    Fault { json: "{}", id: None },
    Fault { json: r#"{"path":7}"#, id: None },
    Fault { json: r#"{"path":"http://evil.example/items/a"}"#, id: None },
    Fault { json: r#"{"path":"//evil.example/items/a"}"#, id: None },
    Fault { json: r#"{"path":"/items/../items/a"}"#, id: None },
    Fault { json: r#"{"path":"/items/a\r\n"}"#, id: None },
    Fault { json: r#"{"path":"/items/a","url":"/items/a"}"#, id: None },
    Fault { json: r#"{"path":"/items/a","id":7}"#, id: None },
    Fault { json: r#"{"path":"/items/a","method":"DELETE","method":"PUT"}"#, id: None },
    Fault { json: r#"{"path":"/items/a","method":"DE LETE"}"#, id: None },
    Fault { json: r#"{"path":"/items/a","method":"CONNECT"}"#, id: None },
    Fault { json: r#"{"path":"/items/a","method":["PUT"]}"#, id: None },
    Fault { json: r#"{"method":"PUT","path":"/items/a","headers":[]}"#, id: None },
    Fault { json: r#"{"method":"PUT","path":"/items/a","headers":{"x-real-ip":"::1"}}"#, id: None },
    Fault { json: r#"{"method":"PUT","path":"/items/a","headers":{"accept":"a\nb"}}"#, id: None },
    Fault { json: r#"{"method":"PUT","path":"/items/a","headers":{"host":"evil.example"}}"#, id: None },
    Fault { json: r#"{"method":"PUT","path":"/items/a","body":"?","encoding":"base64"}"#, id: None },
    Fault { json: r#"{"method":"PUT","path":"/items/a","body":"?","encoding":"gzip"}"#, id: None },
    Fault { json: r#"{"method":"POST","path":"/batch","body":[{"path":"/count","method":"POST"}]}"#, id: None },
    Fault { json: r#"{"id":"bad","method":"DELETE","path":"items/a"}"#, id: Some("bad") },
    Fault { json: r#"{"id":"\u0062ad","path":"/a","path":"/a"}"#, id: Some("bad") },
];

/// The same for requests of OData.
const ODATA_FAULTS: &[Fault] = &[
    Fault { json: "null", id: None },
    Fault { json: "[]", id: None },
    Fault { json: "{}", id: None },
    Fault { json: r#"{"method":"delete","url":"/items/a"}"#, id: None },
    Fault { json: r#"{"id":null,"method":"delete","url":"/items/a"}"#, id: None },
    Fault { json: r#"{"id":7,"method":"delete","url":"/items/a"}"#, id: None },
    Fault { json: r#"{"id":"bad","url":"/items/a"}"#, id: Some("bad") },
    Fault { json: r#"{"id":"bad","method":"delete"}"#, id: Some("bad") },
    Fault { json: r#"{"id":"bad","method":"delete","url":"/items/a","url":"/items/a"}"#, id: Some("bad") },
    Fault { json: r#"{"id":"bad","method":"delete","url":"http://evil.example/items/a"}"#, id: Some("bad") },
    Fault { json: r#"{"id":"bad","method":"delete","url":"x/../items/a"}"#, id: Some("bad") },
    Fault { json: r#"{"id":"bad","method":"delete","url":"$0/items/a"}"#, id: Some("bad") },
    Fault { json: r#"{"id":"bad","method":"delete","url":"/items/a","dependsOn":["nobody"]}"#, id: Some("bad") },
    Fault { json: r#"{"id":"bad","method":"delete","url":"/items/a","dependsOn":"0"}"#, id: Some("bad") },
    Fault { json: r#"{"id":"bad","method":"delete","url":"/items/a","atomicityGroup":1}"#, id: Some("bad") },
    Fault { json: r#"{"id":"bad","method":"delete","url":"/items/a","if":"$nobody/$succeeded"}"#, id: Some("bad") },
    Fault { json: r#"{"id":"bad","method":"put","url":"/items/a","headers":{"accept":["a/b"]}}"#, id: Some("bad") },
    Fault { json: r#"{"id":"bad","method":"put","url":"/items/a","headers":{"x-real-ip":"::1"}}"#, id: Some("bad") },
    Fault {
        json: r#"{"id":"bad","method":"put","url":"/items/a","headers":{"content-type":"a/b"},"body":"?"}"#,
        id: Some("bad"),
    },
    Fault { json: r#"{"id":"bad","method":"post","url":"batch","body":{"requests":[]}}"#, id: Some("bad") },
];

impl Item {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Good(operation) => operation.id.as_deref(),
            Self::Bad(fault) => fault.id,
        }
    }

    fn written(&self) -> String {
        match self {
            Self::Good(operation) => operation.written().to_string(),
            Self::Bad(fault) => fault.json.to_owned(),
        }
    }
}

impl Operation {
    fn written(&self) -> Value {
        let mut members = Map::new();
        if let Some(id) = &self.id {
            members.insert("id".to_owned(), json!(id));
        }
        members.insert("method".to_owned(), json!(self.method));
        members.insert("path".to_owned(), json!(self.target));
        let mut headers: Map<_, _> =
            self.headers.iter().map(|(name, values)| ((*name).to_owned(), json!(values))).collect();
        match &self.body {
            Payload::Nothing => {}
            Payload::Json(value) => drop(members.insert("body".to_owned(), value.clone())),
            Payload::Text(text) => {
                headers.insert("content-type".to_owned(), json!("text/plain"));
                members.insert("body".to_owned(), json!(text));
            }
            Payload::Binary(bytes) => {
                headers.insert("content-type".to_owned(), json!("image/png"));
                members.insert("body".to_owned(), json!(STANDARD.encode(bytes)));
                members.insert("encoding".to_owned(), json!("base64"));
            }
        }
        members.insert("headers".to_owned(), Value::Object(headers));
        Value::Object(members)
    }

    /// As a request of OData, which has an id, and one value for each header.
    fn as_odata(&self, index: usize) -> Value {
        let mut headers: Map<_, _> =
            self.headers.iter().map(|(name, values)| ((*name).to_owned(), json!(values[0]))).collect();
        let body = match &self.body {
            Payload::Nothing => Value::Null,
            Payload::Json(value) => value.clone(),
            Payload::Text(text) => {
                headers.insert("Content-Type".to_owned(), json!("text/plain"));
                json!(text)
            }
            Payload::Binary(bytes) => {
                headers.insert("content-type".to_owned(), json!("image/png"));
                json!(if index % 2 == 0 { STANDARD.encode(bytes) } else { URL_SAFE_NO_PAD.encode(bytes) })
            }
        };
        let url = match index % 3 {
            0 => self.target.clone(),
            1 => format!("https://API.example.com:443{}", self.target),
            // What looks like another scheme must not stand at the beginning.
            _ if self.target.contains("://") => self.target.clone(),
            _ => self.target[1..].to_owned(),
        };
        json!({"id": self.id, "method": self.method, "url": url, "headers": headers, "body": body})
    }

    /// What a batch has to say of it.
    fn sent(&self) -> Sent {
        let (head, _) = self.alone().into_parts();
        let mut headers = head.headers;
        for inherited in ["host", "authorization", "x-tenant"] {
            headers.remove(inherited);
        }
        Sent { method: head.method, target: self.target.clone(), headers, body: self.content().1 }
    }

    fn content(&self) -> (Option<&'static str>, Bytes) {
        match &self.body {
            Payload::Nothing => (None, Bytes::new()),
            Payload::Json(value) => (Some("application/json"), value.to_string().into()),
            Payload::Text(text) => (Some("text/plain"), text.clone().into()),
            Payload::Binary(bytes) => (Some("image/png"), bytes.clone().into()),
        }
    }

    /// The same as a request of its own.
    fn alone(&self) -> Request<Plain> {
        let (content_type, body) = self.content();
        let method = self.method.to_ascii_uppercase();
        let mut request = Request::builder().method(&*method).uri(&self.target).body(Full::new(body)).unwrap();
        let headers = request.headers_mut();
        headers.extend(content_type.map(|value| (header::CONTENT_TYPE, HeaderValue::from_static(value))));
        for (name, values) in &self.headers {
            for value in values {
                headers.append(*name, value.parse().unwrap());
            }
        }
        headers.insert(header::HOST, HeaderValue::from_static("api.example.com"));
        with_credentials(request)
    }
}

/// What is said once for a batch, and again with each request of its own.
fn with_credentials(request: Request<Plain>) -> Request<Plain> {
    with(with(request, "authorization", "Bearer b"), "x-tenant", "t")
}

fn operation(targets: impl Strategy<Value = String>) -> impl Strategy<Value = Operation> {
    let methods = select(&["GET", "get", "HEAD", "OPTIONS", "PUT", "Patch", "POST", "DELETE"][..]);
    let names = select(&["accept", "accept-language", "if-match", "prefer", "range", "idempotency-key"][..]);
    let values = prop::collection::vec("[!-~]([ -~é]{0,6}[!-~])?", 1..3);
    let json = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::collection::btree_map(any::<String>(), any::<Option<u8>>(), 0..3).prop_map(|members| json!(members)),
    ];
    let body = prop_oneof![
        2 => Just(Payload::Nothing),
        1 => json.prop_map(Payload::Json),
        1 => any::<String>().prop_map(Payload::Text),
        1 => any::<Vec<u8>>().prop_map(Payload::Binary),
    ];
    let headers = prop::collection::btree_map(names, values, 0..3);
    (any::<Option<String>>(), methods, targets, headers, body)
        .prop_map(|(id, method, target, headers, body)| Operation { id, method, target, headers, body })
}

fn stateless() -> impl Strategy<Value = String> {
    r"/echo[a-z0-9_~@!$&'()*+,;=:-]{0,3}(/(%20|%C3%BC|\[x\]|\.\.\.|x\.y)?){0,3}(\?([a-z0-9=&/?:@!'.+-]|%2[0-9A-F]){0,8})?"
}

fn stateful() -> impl Strategy<Value = String> {
    prop_oneof![5 => "/items/[ab]", 2 => Just("/count".to_owned()), 1 => stateless()]
}

/// A batch: each id once, some of the operations faulty.
fn items(targets: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<Item>> {
    let item = prop_oneof![5 => operation(targets).prop_map(Item::Good), 1 => select(FAULTS).prop_map(Item::Bad)];
    prop::collection::vec(item, 1..12).prop_map(|mut items| {
        for (index, item) in items.iter_mut().enumerate() {
            match item {
                Item::Good(operation) => drop(operation.id.as_mut().map(|id| id.insert_str(0, &format!("{index}-")))),
                Item::Bad(_) => {}
            }
        }
        let mut taken = false;
        items.retain(
            |item| !matches!(item, Item::Bad(Fault { id: Some(_), .. }) if std::mem::replace(&mut taken, true)),
        );
        items
    })
}

fn written(items: &[Item]) -> String {
    let operations: Vec<_> = items.iter().map(Item::written).collect();
    format!(r#"{{"operations":[{}]}}"#, operations.join(","))
}

/// Asks one fresh service one by one, and nothing for what is faulty.
async fn one_by_one(items: &[Item]) -> Vec<Option<Response<Bytes>>> {
    let service = service(shop());
    let mut answers = Vec::new();
    for item in items {
        answers.push(match item {
            Item::Good(operation) => Some(without_content(operation, call(service.clone(), operation.alone()).await)),
            Item::Bad(_) => None,
        });
    }
    answers
}

/// What a connection would have carried.
fn without_content(operation: &Operation, response: Response<Bytes>) -> Response<Bytes> {
    if operation.method == "HEAD" { response.map(|_| Bytes::new()) } else { response }
}

/// How a response is told in a result.
fn told(result: &mut Map<String, Value>, response: &Response<Bytes>) {
    let content_type = response.headers().get("content-type").map_or("", |value| value.to_str().unwrap());
    let member = if response.status().as_u16() < 400 { "data" } else { "error" };
    let (body, text) = (response.body(), std::str::from_utf8(response.body()));
    let mut says_its_type = false;
    let value = match content_type {
        _ if body.is_empty() && member == "data" => None,
        _ if body.is_empty() => response.status().canonical_reason().map(Value::from),
        "application/json" => {
            says_its_type = true;
            Some(serde_json::from_slice(body).unwrap())
        }
        "text/plain" => Some(json!(text.unwrap())),
        _ => {
            result.insert("encoding".to_owned(), json!("base64"));
            Some(json!(STANDARD.encode(body)))
        }
    };
    result.extend(value.map(|value| (member.to_owned(), value)));
    let mut headers = Map::new();
    for name in ["content-type", "location", "etag", "link"] {
        let values: Vec<_> = response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        match &*values {
            [] => {}
            _ if name == "content-type" && says_its_type => {}
            [only] => drop(headers.insert(name.to_owned(), json!(only))),
            _ => drop(headers.insert(name.to_owned(), json!(values))),
        }
    }
    if !headers.is_empty() {
        result.insert("headers".to_owned(), Value::Object(headers));
    }
}

async fn assert_json(order: Order, items: &[Item]) -> TestCaseResult {
    let layer = BatchLayer::new().order(order).concurrency(3);
    let alone = one_by_one(items).await;
    let answer = call(layer.layer(service(shop())), with_credentials(batch(written(items)))).await;
    let results = results(&answer);
    prop_assert_eq!(results.len(), items.len());
    for (index, (result, (item, alone))) in results.iter().zip(items.iter().zip(&alone)).enumerate() {
        let Some(alone) = alone else {
            let at = refused(result, 400)["pointer"].as_str().and_then(|at| at.strip_prefix("/operations/"));
            prop_assert_eq!(at.and_then(|at| at.split('/').next()), Some(&*index.to_string()));
            prop_assert_eq!(result.get("id").and_then(Value::as_str), item.id());
            continue;
        };
        let mut expected = Map::new();
        expected.insert("index".to_owned(), json!(index));
        expected.extend(item.id().map(|id| ("id".to_owned(), json!(id))));
        expected.insert("status".to_owned(), json!(alone.status().as_u16()));
        told(&mut expected, alone);
        prop_assert_eq!(result, &Value::Object(expected));
    }
    assert_lines(order, items, results).await?;
    assert_cookies(order, &answer, alone)
}

/// The same results line by line, in any order, and behind them the same summary.
async fn assert_lines(order: Order, items: &[Item], mut expected: Vec<Value>) -> TestCaseResult {
    let layer = BatchLayer::new().order(order).concurrency(3);
    let lines: String = items.iter().map(|item| item.written() + "\n").collect();
    let batch = with_credentials(batch_as("application/x-ndjson", lines));
    let answer = call(layer.layer(service(shop())), batch).await;
    let lines = std::str::from_utf8(answer.body()).unwrap().lines();
    let mut told: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = told.pop().unwrap_or_default();
    told.sort_by_key(|result| result["index"].as_u64());
    let failed = expected.iter().filter(|result| result["status"].as_u64() >= Some(400)).count();
    let counts = json!({"total": expected.len(), "succeeded": expected.len() - failed, "failed": failed});
    prop_assert_eq!(summary, json!({"summary": counts}));
    for (told, expected) in told.iter_mut().zip(&mut expected) {
        // Each says in its own words what is wrong, and where that stands in its own document.
        for result in [told, expected] {
            let problem = result.get_mut("error").and_then(Value::as_object_mut);
            if let Some(problem) = problem.filter(|problem| problem.contains_key("detail")) {
                problem.retain(|name, _| name != "detail" && name != "pointer");
            }
        }
    }
    prop_assert_eq!(told, expected);
    Ok(())
}

/// What there is in a batch of OData: each has an id, headers have one value, and none is meant for a reference.
fn as_odata(items: &[Item]) -> Vec<Item> {
    let as_odata = |(index, item): (usize, &Item)| match item {
        Item::Good(operation) => {
            let mut operation = operation.clone();
            operation.id.get_or_insert_with(|| index.to_string());
            for values in operation.headers.values_mut() {
                *values = vec![values.join(", ").replacen('$', "S", 1)];
            }
            Item::Good(operation)
        }
        Item::Bad(_) => Item::Bad(ODATA_FAULTS[index % ODATA_FAULTS.len()]),
    };
    let mut taken = false;
    let mut items: Vec<_> = items.iter().enumerate().map(as_odata).collect();
    items.retain(|item| !matches!(item, Item::Bad(Fault { id: Some(_), .. }) if std::mem::replace(&mut taken, true)));
    items
}

fn written_as_odata(items: &[Item]) -> String {
    let written = |(index, item): (usize, &Item)| match item {
        Item::Good(operation) => operation.as_odata(index).to_string(),
        Item::Bad(fault) => fault.json.to_owned(),
    };
    let requests: Vec<_> = items.iter().enumerate().map(written).collect();
    format!(r#"{{"requests":[{}]}}"#, requests.join(","))
}

async fn assert_odata(order: Order, items: &[Item]) -> TestCaseResult {
    let items = as_odata(items);
    if items.is_empty() {
        return Ok(());
    }
    let layer = BatchLayer::new().order(order).concurrency(3);
    let alone = one_by_one(&items).await;
    let answer = call(layer.layer(service(shop())), with_credentials(batch(written_as_odata(&items)))).await;
    let responses = odata_support::responses(&answer);
    prop_assert_eq!(responses.len(), items.len());
    for (index, (response, (item, alone))) in responses.iter().zip(items.iter().zip(&alone)).enumerate() {
        prop_assert_eq!(response["id"].as_str(), item.id());
        match alone {
            Some(alone) => prop_assert_eq!(response, &told_by_odata(item, alone)),
            None => {
                let error = odata_support::error(response, 400);
                let at = error["target"].as_str().and_then(|at| at.strip_prefix("/requests/"));
                prop_assert_eq!(at.and_then(|at| at.split('/').next()), Some(&*index.to_string()));
            }
        }
    }
    assert_cookies(order, &answer, alone)?;
    assert_pairs(order, &items).await
}

/// How a response is told in the answer to a batch of OData.
fn told_by_odata(item: &Item, response: &Response<Bytes>) -> Value {
    let mut headers = Map::new();
    for (name, canonical) in
        [("content-type", "Content-Type"), ("location", "Location"), ("etag", "ETag"), ("link", "Link")]
    {
        let values: Vec<_> = response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        if !values.is_empty() && (name != "content-type" || !response.body().is_empty()) {
            headers.insert(canonical.to_owned(), json!(values.join(", ")));
        }
    }
    let body = response.body();
    let body = match headers.get("Content-Type").and_then(Value::as_str) {
        _ if body.is_empty() => Value::Null,
        Some("application/json") => serde_json::from_slice(body).unwrap(),
        Some("text/plain") => std::str::from_utf8(body).unwrap().into(),
        _ => STANDARD.encode(body).into(),
    };
    json!({"id": item.id(), "status": response.status().as_u16(), "headers": headers, "body": body})
}

/// In whatever format they are sent, and in whatever format they are answered.
async fn assert_pairs(order: Order, items: &[Item]) -> TestCaseResult {
    let good = |item: &Item| match item {
        Item::Good(operation) => Some(operation.clone()),
        Item::Bad(_) => None,
    };
    let operations: Vec<_> = items.iter().filter_map(good).collect();
    if operations.is_empty() {
        return Ok(());
    }
    let alone = one_by_one(&operations.iter().cloned().map(Item::Good).collect::<Vec<_>>()).await;
    let alone: Vec<_> = alone.into_iter().flatten().collect();
    let requests: Vec<_> = operations.iter().map(Operation::sent).collect();
    let batches: Vec<_> = round_trip::written(&requests).collect();
    prop_assert_eq!(batches.len(), 4, "JSON, OData, lines, multipart");
    for (content_type, document) in &batches {
        for accept in round_trip::ACCEPTED {
            let layer = BatchLayer::new().order(order).concurrency(3);
            let batch = with(with_credentials(batch_as(content_type, document.clone())), "accept", accept);
            round_trip::assert_tells(&call(layer.layer(service(shop())), batch).await, &alone);
        }
    }
    Ok(())
}

/// Cookies of all operations are set by the batch; here they all are the same one, of which the last is kept.
fn assert_cookies(order: Order, answer: &Response<Bytes>, alone: Vec<Option<Response<Bytes>>>) -> TestCaseResult {
    let cookies =
        |response: &Response<Bytes>| response.headers().get_all(header::SET_COOKIE).iter().cloned().collect::<Vec<_>>();
    let last = alone.iter().flatten().flat_map(cookies).last();
    prop_assert_eq!(cookies(answer), last.into_iter().collect::<Vec<_>>(), "{:?}", order);
    Ok(())
}

#[cfg(feature = "xml")]
async fn assert_xml(order: Order, items: &[Item]) -> TestCaseResult {
    use support::multistatus::read;

    let layer = BatchLayer::new().order(order).concurrency(3);
    let alone = one_by_one(items).await;
    let request = with(with_credentials(batch(written(items))), "accept", "application/xml");
    let answer = call(layer.layer(service(shop())), request).await;
    prop_assert_eq!(answer.status(), StatusCode::MULTI_STATUS);
    let entries = read(answer.body()).map_err(TestCaseError::fail)?;
    prop_assert_eq!(entries.len(), items.len());
    for (index, (entry, (item, alone))) in entries.into_iter().zip(items.iter().zip(&alone)).enumerate() {
        prop_assert_eq!(entry.index, index);
        let legible =
            |id: &str| id.chars().map(|char| if is_xml(char) { char } else { '\u{fffd}' }).collect::<String>();
        prop_assert_eq!(entry.id, item.id().map(legible));
        let (Item::Good(operation), Some(alone)) = (item, alone) else {
            prop_assert_eq!(entry.status, 400);
            prop_assert_eq!(entry.body.unwrap().content_type.unwrap(), "application/problem+json");
            continue;
        };
        prop_assert_eq!(entry.status, alone.status().as_u16());
        prop_assert_eq!(entry.method, operation.method.to_ascii_uppercase());
        let expected = alone.headers().iter().filter(|(name, _)| *name != header::SET_COOKIE);
        let expected = expected.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        prop_assert_eq!(entry.headers, expected.collect::<Vec<_>>());
        prop_assert_eq!(entry.body.map_or_else(Vec::new, |body| body.bytes), alone.body().to_vec());
    }
    assert_cookies(order, &answer, alone)
}

/// XML 1.0 §2.2.
#[cfg(feature = "xml")]
fn is_xml(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn check(order: Order, items: &[Item]) -> TestCaseResult {
    block_on(async {
        assert_json(order, items).await?;
        assert_odata(order, items).await?;
        #[cfg(feature = "xml")]
        assert_xml(order, items).await?;
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn fenced_is_one_by_one(items in items(stateful())) {
        check(Order::Fenced, &items)?;
    }

    #[test]
    fn sequential_is_one_by_one(items in items(stateful())) {
        check(Order::Sequential, &items)?;
    }

    /// Only where the operations know nothing of each other.
    #[test]
    fn unordered_is_one_by_one(items in items(stateless())) {
        check(Order::Unordered, &items)?;
    }
}

#[test]
fn a_fault_at_any_position_changes_nothing_else() {
    let good = [
        json!({"id": "a", "method": "PUT", "path": "/items/a", "body": 1}),
        json!({"path": "/items/a"}),
        json!({"id": "c", "method": "POST", "path": "/count"}),
        json!({"path": "/echo/x?y"}),
    ];
    let run = |order, operations: &[String]| {
        let service = BatchLayer::new().order(order).layer(service(shop()));
        results(&block_on(call(service, batch(format!("[{}]", operations.join(","))))))
    };
    let good = good.map(|operation| operation.to_string());
    for order in [Order::Fenced, Order::Sequential] {
        let without = run(order, &good);
        for (fault, position) in FAULTS.iter().flat_map(|fault| (0..=good.len()).map(move |position| (fault, position)))
        {
            let mut operations = good.to_vec();
            operations.insert(position, fault.json.to_owned());
            let mut with = run(order, &operations);
            assert_eq!(with.len(), operations.len());
            let own = with.remove(position);
            refused(&own, 400);
            assert_eq!(own.get("id").and_then(Value::as_str), fault.id, "{fault:?} at {position}");
            for (index, result) in with.iter_mut().enumerate() {
                result["index"] = json!(index);
            }
            assert_eq!(with, without, "{fault:?} at {position}");
        }
    }
}
