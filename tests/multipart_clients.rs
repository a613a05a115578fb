//! What clients have sent, byte by byte: Python's google-api-python-client and pyodata, and from npm odata (o.js), odata-batch,
//! @odata/client and SAP's @sap-cloud-sdk/odata-v4.
//!
//! Each request has to reach the service as the client means it. `conformance/` has the clients themselves, and what they
//! make of the answers.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[path = "support/multipart.rs"]
mod multipart_support;
mod support;

use bytes::Bytes;
use http::{Extensions, Request, StatusCode, request};
use http_body_util::Full;
use multipart_support::{Part, Single, parts};
use serde_json::Value;
use support::{Plain, batched, call, echo};
use tower_multistatus::{BatchLayer, Coordinator, Transaction, TransactionFuture};

/// Change sets are carried out, without anything being held back.
#[derive(Clone)]
struct Pretend;

impl Coordinator for Pretend {
    fn begin(&self, _: &request::Parts) -> TransactionFuture<Box<dyn Transaction>> {
        Box::pin(async { Ok(Box::new(Self) as Box<dyn Transaction>) })
    }
}

impl Transaction for Pretend {
    fn attach(&self, _: &mut Extensions) {}

    fn commit(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async { Ok(()) })
    }

    fn rollback(self: Box<Self>) -> TransactionFuture<()> {
        Box::pin(async { Ok(()) })
    }
}

/// The request as it was recorded.
fn recorded(bytes: &'static [u8]) -> Request<Plain> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Request::new(&mut headers);
    let length = head.parse(bytes).unwrap().unwrap();
    let request = Request::builder().method(head.method.unwrap()).uri(head.path.unwrap());
    let request = head.headers.iter().fold(request, |request, header| request.header(header.name, header.value));
    request.body(Full::new(Bytes::from_static(&bytes[length..]))).unwrap()
}

/// What came of it: for each response what the service was sent, or the status; those of a change set are indented.
async fn seen(bytes: &'static [u8]) -> Vec<String> {
    let request = recorded(bytes);
    let layer = BatchLayer::new().path(request.uri().path()).with_coordinator(Pretend);
    let answer = call(batched(layer, echo), request).await;
    let mut seen = Vec::new();
    for part in parts(&answer) {
        match part {
            Part::Single(single) => seen.push(line(&single)),
            Part::ChangeSet(singles) => seen.extend(singles.iter().map(|single| format!("  {}", line(single)))),
        }
    }
    seen
}

fn line(single: &Single) -> String {
    // A response to HEAD has none.
    if single.status != StatusCode::OK || single.body.is_empty() {
        return single.status.to_string();
    }
    let sent = single.json();
    let body = match &sent["body"] {
        Value::String(text) => text.trim().to_owned(),
        bytes => bytes.to_string(),
    };
    format!("{} {} {body}", sent["method"].as_str().unwrap(), sent["target"].as_str().unwrap()).trim_end().to_owned()
}

#[tokio::test]
async fn google_api_python_client() {
    assert_eq!(
        seen(include_bytes!("recorded/google-api-python-client-1.http")).await,
        [
            "GET /users/1?alt=json",
            r#"POST /users?alt=json {"name": "Zo\u00eb \u6f22\u5b57 \ud83e\udd80", "email": "zoe@example.com"}"#,
            r#"PUT /users/1?alt=json {"name": "Ada L.", "email": "a@example.org"}"#,
            r#"PATCH /users/2?alt=json {"name": "G \"quoted\" \u00e9"}"#,
            "DELETE /users/3",
            "GET /users/%C3%BC%20%F0%9F%A6%80?alt=json",
        ]
    );
    assert_eq!(
        seen(include_bytes!("recorded/google-api-python-client-3.http")).await,
        [
            "GET /blob/16",
            r#"POST /echo {"a":1}"#,
            "POST /echo [110,97,239,118,101,32,116,101,120,116]",
            "200",
            "DELETE /users/3",
            "POST /users",
        ]
    );
}

/// Its ids come back as it looks them up.
#[tokio::test]
async fn google_api_python_client_finds_its_ids() {
    let request = recorded(include_bytes!("recorded/google-api-python-client-1.http"));
    let answer = parts(&call(batched(BatchLayer::new(), echo), request).await);
    let ids: Vec<_> = answer.iter().map(|part| part.single().id.clone().unwrap()).collect();
    let base = "<response-520f48fc-c518-4d82-b4fb-4ff62b36dfa9 + ";
    assert!(ids.iter().all(|id| id.starts_with(base) && id.ends_with('>')), "{ids:?}");
}

#[tokio::test]
async fn o_js() {
    assert_eq!(
        seen(include_bytes!("recorded/o.js-1.http")).await,
        [
            r#"  POST /users {"name":"Zoë 漢字 🦀","email":"zoe@example.com"}"#,
            r#"  PUT /users/1 {"name":"Ada L.","email":"a@example.org"}"#,
            r#"  PATCH /users/2 {"name":"é"}"#,
            "  DELETE /users/3",
            // One GET stands in the epilogue of the change set, where nobody looks for it.
            "GET /users/2",
        ]
    );
    assert_eq!(
        seen(include_bytes!("recorded/o.js-2.http")).await,
        [
            "GET /users/1",
            r#"POST /users {"name":"Zoë 漢字 🦀","email":"zoe@example.com"}"#,
            r#"PUT /users/1 {"name":"Ada L.","email":"a@example.org"}"#,
            r#"PATCH /users/2 {"name":"é"}"#,
            "DELETE /users/3",
            "GET /users/2",
        ]
    );
}

/// It puts everything into change sets, and `null` where there is no body.
#[tokio::test]
async fn odata_batch() {
    assert_eq!(
        seen(include_bytes!("recorded/odata-batch-1.http")).await,
        [
            r#"  POST /users {"name":"Zoë 漢字 🦀","email":"zoe@example.com"}"#,
            r#"  PATCH /users/2 {"name":"é"}"#,
            r#"  PUT /users/1 {"name":"Ada L.","email":"a@example.org"}"#,
            "  DELETE /users/3 null",
            "  GET /users/1 null",
        ]
    );
}

/// Its own `Content-Length` is wrong, and its query not percent-encoded.
#[tokio::test]
async fn odata_client() {
    assert_eq!(
        seen(include_bytes!("recorded/odata-client-1.http")).await,
        [
            "GET /users/1",
            "400",
            r#"  POST /users {"name":"Eve","email":"eve@example.com"}"#,
            r#"  PUT /users/1 {"name":"Ada L.","email":"ada@example.org"}"#,
            r#"  PATCH /users/2 {"email":"g@example.org"}"#,
            "  DELETE /users/3",
            "400",
        ]
    );
}

#[tokio::test]
async fn pyodata() {
    assert_eq!(
        seen(include_bytes!("recorded/pyodata-1.http")).await,
        [
            "GET /users%281%29",
            r#"  POST /users {"id": 9, "name": "Zo\u00eb \u6f22\u5b57 \ud83e\udd80", "email": "zoe@example.com"}"#,
            r#"  PATCH /users%282%29 {"name": "\u00e9"}"#,
            r#"  PUT /users%281%29 {"name": "Ada L.", "email": "a@example.org"}"#,
            "  DELETE /users%283%29",
            "GET /users?%24top=1&%24filter=name+eq+%27Zo%C3%AB%27",
        ]
    );
}

#[tokio::test]
async fn sap_cloud_sdk() {
    for bytes in
        [&include_bytes!("recorded/sap-cloud-sdk-v4-1.http")[..], include_bytes!("recorded/sap-cloud-sdk-v4-3.http")]
    {
        assert_eq!(
            seen(bytes).await,
            [
                "GET /users(id=1)",
                r#"  POST /users {"name":"Zoë 漢字 🦀","email":"zoe@example.com"}"#,
                r#"  PATCH /users(id=2) {"name":"é"}"#,
                r#"  PUT /users(id=1) {"id":1,"name":"Ada L.","email":"a@example.org"}"#,
                "  DELETE /users(id=3)",
                r#"  POST /users {"name":"Eve","email":"eve@example.com"}"#,
                "GET /users?$filter=(name%20eq%20'Zo%C3%AB%20''x''')&$top=1",
            ]
        );
    }
}
