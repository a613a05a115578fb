//! A client of the gateway.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use super::Gateway;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// The statuses and the results of a batch.
#[derive(Debug)]
pub(crate) struct Outcomes(pub(crate) Vec<Value>);

impl Outcomes {
    pub(crate) fn statuses(&self) -> Vec<u64> {
        self.0.iter().map(|result| result["status"].as_u64().unwrap()).collect()
    }
}

impl Gateway {
    pub(crate) async fn request(&self, method: Method, path: &str) -> Answer {
        let request = Request::builder().method(method).uri(path).body(Full::default()).unwrap();
        self.send(request).await
    }

    pub(crate) async fn send(&self, mut request: Request<Full<Bytes>>) -> Answer {
        *request.uri_mut() = format!("http://{}{}", self.address, request.uri()).parse().unwrap();
        whole(client().request(request).await.unwrap()).await
    }

    pub(crate) async fn batch(&self, operations: Vec<Value>) -> Outcomes {
        let request = Request::post("/batch").header("content-type", "application/json");
        let answer = self.send(request.body(json!(operations).to_string().into()).unwrap()).await;
        assert_eq!(answer.status, 207, "{}", answer.text());
        let mut answer: Value = serde_json::from_slice(&answer.body).unwrap();
        let Value::Array(results) = answer["results"].take() else { panic!("{answer}") };
        assert_eq!(results.len(), operations.len());
        Outcomes(results)
    }
}

pub(crate) async fn whole(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

pub(crate) fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) fn http2() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}
