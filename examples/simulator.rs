//! Answers with the status that it is asked for: for trying out what a client does with each, alone and in a batch.
//!
//! ```console
//! $ cargo run --example simulator
//! $ curl -i localhost:3000/api/status/404
//! $ curl -i 'localhost:3000/api/status/207?statuses=200,404,423'
//! $ curl -i localhost:3000/batch -H 'content-type: application/json' -d '[
//!     {"path":"/api/status/201"},{"path":"/api/status/204"},{"path":"/api/status/301"},{"path":"/api/status/401"},
//!     {"path":"/api/status/418"},{"path":"/api/status/503"},{"path":"/api/status/103"},
//!     {"path":"/api/status/207?statuses=200,404"}]'
//! ```
//!
//! | route | answer |
//! |---|---|
//! | any method, `/api/status/{code}` | that status, the headers that go with it, and JSON which describes request and status |
//! | `/api/status/207?statuses=…` | a multistatus of these: in XML, or in JSON where `accept` prefers that |
//!
//! 204, 205 and 304 have no body. A code below 200 is a 400 that says why no server can end with it.

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, Request},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tower::ServiceExt;
use tower_multistatus::{BatchLayer, axum::RouterExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app()).await?)
}

fn app() -> Router {
    // One of each status there can be, in one batch.
    Router::new().route("/api/status/{code}", any(simulate)).batch(BatchLayer::new().max_operations(400))
}

async fn simulate(Path(code): Path<String>, request: Request) -> Response {
    let status = match parse(&code) {
        Ok(status) => status,
        Err(why) => return problem(why),
    };
    if status != StatusCode::MULTI_STATUS {
        return answer(status, &request);
    }
    match Query::<Items>::try_from_uri(request.uri()) {
        Ok(Query(items)) => multistatus(&items.statuses, request.headers().get(header::ACCEPT).cloned()).await,
        Err(rejection) => problem(&rejection.body_text()),
    }
}

/// What a 207 consists of.
#[derive(Deserialize)]
struct Items {
    #[serde(default = "Items::usual")]
    statuses: String,
}

impl Items {
    fn usual() -> String {
        "200,404,423".into()
    }
}

fn parse(code: &str) -> Result<StatusCode, &'static str> {
    match code.parse() {
        Ok(100..200_u16) => {
            Err("a server can't end with a 1xx: these are sent before the last word, which is a status from 200 \
                                 on (RFC 9110 §15.2)")
        }
        Ok(code @ 200..600) => StatusCode::from_u16(code).map_err(|_| "no status"),
        _ => Err("a status is a number from 200 to 599 (RFC 9110 §15)"),
    }
}

fn problem(detail: &str) -> Response {
    let problem = json!({"type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail});
    let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
    (StatusCode::BAD_REQUEST, content_type, problem.to_string()).into_response()
}

/// A batch of simulated statuses, sent through the layer: what comes out is what any batch gets.
async fn multistatus(statuses: &str, accept: Option<HeaderValue>) -> Response {
    let mut operations = Vec::new();
    for code in statuses.split(',').map(str::trim) {
        match parse(code) {
            Ok(status) => operations.push(json!({"path": format!("/api/status/{}", status.as_u16())})),
            Err(why) => {
                return problem(&format!("`statuses` has `{}`: {why}", code.chars().take(20).collect::<String>()));
            }
        }
    }
    // Where it is all the same to the client, as RFC 4918 has it.
    let accept = accept.filter(|accept| accept != "*/*").unwrap_or(HeaderValue::from_static("application/xml"));
    let batch = Request::post("/batch").header(header::CONTENT_TYPE, "application/json").header(header::ACCEPT, accept);
    let batch = batch.body(Body::from(Value::from(operations).to_string())).expect("all of its parts are valid");
    app().oneshot(batch).await.into_response()
}

fn answer(status: StatusCode, request: &Request) -> Response {
    let headers = usual_headers(status).map(|(name, value)| (name, HeaderValue::from_static(value)));
    let mut response = match status {
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED => status.into_response(),
        _ => (status, Json(describe(status, request))).into_response(),
    };
    response.headers_mut().extend(headers);
    if *request.method() == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

/// What a server has to send with it, or should (RFC 9110 §15, RFC 4918 §11, RFC 6585).
fn usual_headers(status: StatusCode) -> impl Iterator<Item = (HeaderName, &'static str)> {
    let headers: &[(HeaderName, &str)] = match status.as_u16() {
        201 | 202 | 300..=303 | 307 | 308 => &[(header::LOCATION, "/api/status/200")],
        304 => &[(header::ETAG, "\"simulated\""), (header::CACHE_CONTROL, "max-age=60")],
        401 => &[(header::WWW_AUTHENTICATE, "Bearer realm=\"simulator\"")],
        405 => &[(header::ALLOW, "GET, HEAD")],
        407 => &[(header::PROXY_AUTHENTICATE, "Basic realm=\"simulator\"")],
        413 | 429 | 503 => &[(header::RETRY_AFTER, "5")],
        415 => &[(header::ACCEPT, "application/json")],
        416 => &[(header::CONTENT_RANGE, "bytes */1000")],
        426 => &[(header::UPGRADE, "h2c"), (header::CONNECTION, "upgrade")],
        451 => &[(header::LINK, "<https://authority.example/>; rel=\"blocked-by\"")],
        _ => &[],
    };
    headers.iter().cloned()
}

fn describe(status: StatusCode, request: &Request) -> Value {
    let mut headers = Map::new();
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes());
        let joined = match headers.get(name.as_str()).and_then(Value::as_str) {
            Some(first) => format!("{first}, {value}"),
            None => value.into_owned(),
        };
        headers.insert(name.to_string(), joined.into());
    }
    let (class, section) = class(status);
    json!({
        "request": {
            "method": request.method().as_str(),
            "path": request.uri().path(),
            "query": request.uri().query(),
            "headers": headers,
        },
        "status": {
            "code": status.as_u16(),
            "reason": status.canonical_reason(),
            "class": class,
            "rfc": rfc(status).or(status.canonical_reason().map(|_| section)),
        },
    })
}

fn class(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() / 100 {
        2 => ("Successful", "RFC 9110 §15.3"),
        3 => ("Redirection", "RFC 9110 §15.4"),
        4 => ("Client Error", "RFC 9110 §15.5"),
        _ => ("Server Error", "RFC 9110 §15.6"),
    }
}

/// Where it is described, if not in RFC 9110.
fn rfc(status: StatusCode) -> Option<&'static str> {
    Some(match status.as_u16() {
        207 => "RFC 4918 §11.1",
        208 => "RFC 5842 §7.1",
        226 => "RFC 3229 §10.4.1",
        418 => "RFC 2324 §2.3.2",
        423 => "RFC 4918 §11.3",
        424 => "RFC 4918 §11.4",
        425 => "RFC 8470 §5.2",
        428 => "RFC 6585 §3",
        429 => "RFC 6585 §4",
        431 => "RFC 6585 §5",
        451 => "RFC 7725 §3",
        506 => "RFC 2295 §8.1",
        507 => "RFC 4918 §11.5",
        508 => "RFC 5842 §7.2",
        510 => "RFC 2774 §7",
        511 => "RFC 6585 §6",
        _ => return None,
    })
}
