//! Batches with `requests`, and answers with `responses`.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::fmt::Debug;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use http_body_util::Full;
use serde_json::{Value, json};
use tower::Service;

use crate::support::{Plain, batch, call};

/// A batch to this path.
pub(crate) fn to(path: &str, document: impl Into<Bytes>) -> Request<Plain> {
    let request = Request::post(path).header("host", "api.example.com").header("content-type", "application/json");
    request.body(Full::new(document.into())).unwrap()
}

/// Posts a batch of these requests, and gives back the responses.
pub(crate) async fn responses_of<S, R>(service: S, requests: Value) -> Vec<Value>
where
    S: Service<Request<Plain>, Response = Response<R>, Error: Debug>,
    R: Body<Data = Bytes, Error: Debug>,
{
    responses(&call(service, batch(json!({"requests": requests}))).await)
}

/// The responses of an answer, when all that holds for any of them has been checked.
pub(crate) fn responses(answer: &Response<Bytes>) -> Vec<Value> {
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let mut document: Value = serde_json::from_slice(answer.body()).unwrap();
    let Value::Array(responses) = document["responses"].take() else { panic!("`responses` is no array") };
    assert_eq!(document, json!({"responses": null}));
    responses.iter().for_each(assert_shape);
    responses
}

fn assert_shape(response: &Value) {
    let members = response.as_object().unwrap();
    let known = ["id", "atomicityGroup", "status", "headers", "body"];
    assert!(members.keys().all(|name| known.contains(&name.as_str())), "{response}");
    assert!(response["id"].is_string() || response["id"].is_null() && members.contains_key("id"), "{response}");
    assert!(response["status"].is_u64(), "{response}");
    assert!(response["headers"].as_object().unwrap().values().all(Value::is_string), "{response}");
    assert!(members.contains_key("body"), "{response}");
}

/// Checks that a response is a refusal of our own, and gives back what it says.
pub(crate) fn error(response: &Value, status: u64) -> &Value {
    assert_eq!(response["status"], status, "{response}");
    assert_eq!(response["headers"], json!({"Content-Type": "application/json"}));
    let error = &response["body"]["error"];
    assert!(error["code"].is_string() && error["message"].is_string(), "{response}");
    error
}
