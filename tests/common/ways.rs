//! One batch in all the ways in which a server may run it.

use http::Response;
use serde_json::Value;
use tower::{BoxError, Layer, ServiceBuilder, util::BoxCloneSyncService};
use tower_multistatus::{BatchLayer, Streaming};

use super::{
    Answer, Body, SubRequest,
    lines::{lines, results, stream_of, told},
    post, soon,
};

pub(crate) type Inner = BoxCloneSyncService<SubRequest, Response<Body>, BoxError>;

/// Sends the batch in each way to a server of its own, and expects the same of all. `make` gives the layer and what it
/// is to stand around.
pub(crate) async fn in_every_way(make: impl Fn() -> (BatchLayer, Inner), operations: &Value) -> Answer {
    let (layer, inner) = make();
    let plain = soon(post(layer.layer(inner), operations.clone())).await;
    type Change = fn(BatchLayer, Inner) -> (BatchLayer, Inner);
    let ways: [(&str, Change); 11] = [
        ("one at a time", |layer, inner| (layer.concurrency(1), inner)),
        ("spawned", |layer, inner| (layer.spawn(), inner)),
        ("spawned one at a time", |layer, inner| (layer.spawn().concurrency(1), inner)),
        ("over a limit", |layer, inner| (layer, limited(inner))),
        ("over a buffer", |layer, inner| (layer, buffered(inner))),
        ("spawned over a limit", |layer, inner| (layer.spawn(), limited(inner))),
        ("spawned over a buffer", |layer, inner| (layer.spawn(), buffered(inner))),
        ("streamed", |layer, inner| (layer.stream(Streaming::On), inner)),
        ("streamed in a task", |layer, inner| (layer.stream(Streaming::On).spawn_streams(), inner)),
        ("streamed and spawned over a limit", |layer, inner| (layer.stream(Streaming::On).spawn(), limited(inner))),
        ("two at a time over a limit", |layer, inner| (layer.concurrency(2), limited(inner))),
    ];
    for (way, change) in ways {
        let (layer, inner) = make();
        let (layer, inner) = change(layer, inner);
        let answer = soon(post(layer.layer(inner), operations.clone())).await.in_request_order();
        assert_eq!(answer.json, plain.json, "{way}");
    }
    for (way, change) in [ways[1], ways[4], ways[5]] {
        let Some(operations) = as_lines(operations).filter(|_| plain.status == 207) else { break };
        let (layer, inner) = make();
        let (layer, inner) = change(layer, inner);
        let answer = soon(super::send(layer.layer(inner), stream_of(operations))).await;
        assert_same(&results(told(answer.text())).0, &plain, way);
    }
    #[cfg(feature = "xml")]
    {
        let (layer, inner) = make();
        let mut request = super::request(operations);
        request.headers_mut().insert("accept", http::HeaderValue::from_static("application/xml"));
        let answer = soon(super::send(layer.layer(inner), request)).await;
        assert_xml(&answer, &plain);
    }
    plain
}

/// The same operations line by line, where they can be told so: what stands in a stream can't be a group, has no values
/// of others, and knows nothing of what is still to come.
fn as_lines(operations: &Value) -> Option<String> {
    let operations = operations.as_array()?;
    let ids: Vec<_> = operations.iter().map(|operation| operation["id"].as_str()).collect();
    let looks_back = |(index, operation): (usize, &Value)| {
        let dependencies = operation["dependsOn"].as_array().into_iter().flatten();
        let known = |id: &Value| !ids[index + 1..].iter().any(|other| other.is_some() && *other == id.as_str());
        operation.get("group").is_none() && operation.get("refs").is_none() && dependencies.into_iter().all(known)
    };
    operations.iter().enumerate().all(looks_back).then(|| lines(operations))
}

/// The same outcomes. Where something is wrong with an operation, each says that in its own words.
fn assert_same(stream: &[Value], plain: &Answer, way: &str) {
    assert_eq!(stream.len(), plain.results().len(), "{way}");
    for (stream, plain) in stream.iter().zip(plain.results()) {
        let told = |result: &Value| {
            let mut result = result.clone();
            let problem = result.get_mut("error").and_then(Value::as_object_mut);
            if let Some(problem) = problem.filter(|problem| problem.contains_key("detail")) {
                problem.retain(|name, _| name != "detail" && name != "pointer");
            }
            result
        };
        assert_eq!(told(stream), told(plain), "in lines, {way}");
    }
}

fn limited(inner: Inner) -> Inner {
    Inner::new(ServiceBuilder::new().concurrency_limit(1).service(inner))
}

fn buffered(inner: Inner) -> Inner {
    Inner::new(ServiceBuilder::new().buffer(1).service(inner))
}

#[cfg(feature = "xml")]
#[path = "../support/multistatus.rs"]
pub(crate) mod multistatus;

/// The same outcomes in XML, as far as both formats tell them.
#[cfg(feature = "xml")]
fn assert_xml(xml: &Answer, json: &Answer) {
    let entries = multistatus::read(&xml.bytes).unwrap();
    assert_eq!(entries.len(), json.results().len());
    for (entry, result) in entries.iter().zip(json.results()) {
        assert_eq!(entry.status, result["status"], "{entry:?}");
        assert_eq!(entry.id.as_deref(), result["id"].as_str());
        let told = result.get("data").or(result.get("error").filter(|error| error.is_object()));
        if let Some(told) = told {
            let body = &entry.body.as_ref().unwrap().bytes;
            let body: Value = serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into());
            assert_eq!(&body, told);
        }
    }
}
