//! Each example as a process of its own, over a real socket.

#![allow(clippy::unwrap_used)]

#[cfg(feature = "xml")]
use std::collections::HashMap;
use std::{
    env, fs,
    io::{BufRead, BufReader, Lines, Write},
    net::TcpListener,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    str, thread,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header, request::Builder};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, Error},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

#[allow(unreachable_pub, reason = "generated for a module of a library")]
#[path = "../examples/tonic/users.rs"]
mod users;

/// Cargo tells tests where binaries are, but not where examples are: beside the directory of the tests.
fn program(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    profile.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

/// A running example. It ends when this is dropped, however the test ends.
struct Example {
    child: Child,
    /// Held open, for a process that prints to nobody panics.
    stdout: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Example {
    fn start(name: &str) -> Self {
        Self::start_with(name, [])
    }

    fn start_with<const N: usize>(name: &str, variables: [(&str, &str); N]) -> Self {
        let mut example = Self::spawn(name, variables);
        let line = example.line();
        example.url = line.strip_prefix("listening on ").expect("the address comes first").to_owned();
        example
    }

    fn spawn<const N: usize>(name: &str, variables: [(&str, &str); N]) -> Self {
        let path = program(name);
        let mut child = Command::new(&path)
            .env("LISTEN", "127.0.0.1:0")
            .env("RUST_BACKTRACE", "0")
            .envs(variables)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; `cargo build --examples` makes it, as does `cargo test` without `--test`",
                    path.display()
                )
            });
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, stdout, url: String::new() }
    }

    fn line(&mut self) -> String {
        self.stdout.next().expect("the example goes on printing").unwrap()
    }

    async fn try_send(&self, request: Builder, body: impl Into<Bytes>) -> Result<Response<Bytes>, Error> {
        let mut request = request.body(Full::new(body.into())).unwrap();
        let mut client = Client::builder(TokioExecutor::new());
        client.http2_only(request.version() == Version::HTTP_2);
        *request.uri_mut() = format!("{}{}", self.url, request.uri()).parse().unwrap();
        let (head, body) = client.build_http().request(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await.unwrap().to_bytes()))
    }

    async fn send(&self, request: Builder, body: impl Into<Bytes>) -> Response<Bytes> {
        self.try_send(request, body).await.unwrap()
    }

    async fn get(&self, target: &str) -> Response<Bytes> {
        self.send(Request::get(target), "").await
    }

    async fn batch(&self, request: Builder, operations: Value) -> Response<Bytes> {
        let answer = self.send(request.header("content-type", "application/json"), operations.to_string()).await;
        assert_eq!(answer.status(), StatusCode::MULTI_STATUS, "{:?}", answer.body());
        assert_eq!(answer.headers()["cache-control"], "no-store");
        answer
    }

    async fn results(&self, request: Builder, operations: Value) -> Vec<Value> {
        let answer = self.batch(request, operations).await;
        assert_eq!(answer.headers()["content-type"], "application/json");
        results(answer.body())
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself; the test has seen that, if it minds.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The results of an answer in JSON, after a look at whether they and the summary fit together.
fn results(answer: &[u8]) -> Vec<Value> {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    let results = answer["results"].as_array().unwrap().clone();
    let succeeded = statuses(&results).into_iter().filter(|status| *status < 400).count();
    let (total, failed) = (results.len(), results.len() - succeeded);
    assert_eq!(answer["summary"], json!({"total": total, "succeeded": succeeded, "failed": failed}));
    assert!(results.iter().enumerate().all(|(index, result)| result["index"] == index));
    results
}

fn statuses(results: &[Value]) -> Vec<u64> {
    results.iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn quickstart() {
    let mut example = Example::spawn("quickstart", []);

    let curl = example.line();
    let (url, rest) = curl.strip_prefix("curl -i ").unwrap().split_once(' ').unwrap();
    let batch = rest.strip_prefix("-H 'content-type: application/json' -d '").unwrap().strip_suffix('\'').unwrap();
    example.url = url.strip_suffix("/batch").unwrap().to_owned();

    assert_eq!(example.line(), "");
    assert_eq!(example.line(), "HTTP/1.1 207 Multi-Status");
    let printed = example.line();
    assert_eq!(statuses(&results(printed.as_bytes())), [200, 404, 201]);

    // It stays up, and the line that it prints does what it says.
    let answer = example.batch(Request::post("/batch"), serde_json::from_str(batch).unwrap()).await;
    assert_eq!(answer.body(), printed.as_bytes());
}

#[tokio::test]
async fn hyper() {
    let example = Example::start("hyper");
    let operations = json!({"operations": [
        {"path": "/hello/Ada"},
        {"method": "POST", "path": "/length", "headers": {"content-type": "text/plain"}, "body": "twelve bytes"},
        {"path": "/nowhere"},
    ]});
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let alone = example.send(Request::get("/hello/Ada").version(version), "").await;
        assert_eq!((alone.version(), alone.body().as_ref()), (version, &b"Hello, Ada!"[..]));

        let answer = example.batch(Request::post("/batch").version(version), operations.clone()).await;
        assert_eq!(answer.version(), version);
        let results = results(answer.body());
        assert_eq!(statuses(&results), [200, 200, 404]);
        assert_eq!(results[0]["data"], "Hello, Ada!");
        assert_eq!(results[1]["data"], "12");
        assert_eq!(results[2]["error"], "there is nothing here");
    }
}

#[tokio::test]
async fn auth() {
    let example = Example::start_with("auth", [("BUDGET", "3")]);
    let batch = || Request::post("/batch");
    let (ada, grace) = ("Bearer ada-secret", "Bearer grace-secret");

    let results = example.results(batch(), json!([{"path": "/health"}, {"path": "/me"}])).await;
    assert_eq!(statuses(&results), [200, 401]);
    assert_eq!(results[1]["headers"]["www-authenticate"], "Bearer");

    let operations = json!([{"path": "/me"}, {"path": "/me"}, {"path": "/me"}, {"path": "/me"}, {"path": "/health"}]);
    let results = example.results(batch().header("authorization", ada), operations).await;
    let (within, beyond): (Vec<&Value>, Vec<_>) = results[..4].iter().partition(|result| result["status"] == 200);
    assert!(within.iter().all(|result| result["data"] == json!({"name": "Ada"})), "{within:?}");
    // Each operation is counted, and what came without a token was not.
    let [beyond] = beyond[..] else { panic!("{beyond:?}") };
    assert_eq!(beyond["status"], 429);
    let wait: u64 = beyond["headers"]["retry-after"].as_str().unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    assert_eq!(results[4]["status"], 200);

    // The budget is the token's, not the batch's.
    let alone = example.send(Request::get("/me").header("authorization", ada), "").await;
    assert_eq!(alone.status(), StatusCode::TOO_MANY_REQUESTS);

    // Nobody becomes somebody else in the middle of a batch.
    let operations = json!([{"path": "/me", "headers": {"authorization": ada}}, {"path": "/me"}]);
    let results = example.results(batch().header("authorization", grace), operations).await;
    assert_eq!(statuses(&results), [400, 200]);
    assert_eq!(results[1]["data"], json!({"name": "Grace"}));
}

#[tokio::test]
async fn tonic() {
    use ::tonic::Code;
    use prost::Message;
    use users::{GetUserRequest, User, users_client::UsersClient};

    let example = Example::start("tonic");
    let ada = User { id: 1, name: "Ada".into() };

    let mut client = UsersClient::connect(example.url.clone()).await.unwrap();
    assert_eq!(client.get_user(GetUserRequest { id: 1 }).await.unwrap().into_inner(), ada);
    assert_eq!(client.get_user(GetUserRequest { id: 99 }).await.unwrap_err().code(), Code::NotFound);

    let call = |id| {
        json!({
            "method": "POST",
            "path": "/users.v1.Users/GetUser",
            "headers": {"content-type": "application/grpc"},
            "body": STANDARD.encode(GetUserRequest { id }.encode_to_vec()),
        })
    };
    let answer = example.batch(Request::post("/batch"), json!([call(1), call(99)])).await;
    assert_eq!(answer.version(), Version::HTTP_11);
    let results = results(answer.body());

    assert_eq!(results[0]["status"], 200);
    assert_eq!(results[0]["headers"], json!({"content-type": "application/grpc"}));
    assert_eq!(results[0]["encoding"], "base64");
    let message = STANDARD.decode(results[0]["data"].as_str().unwrap()).unwrap();
    assert_eq!(User::decode(&*message).unwrap(), ada);
    assert_eq!(results[0]["grpc"], json!({"status": 0}));

    assert_eq!(results[1]["status"], 404);
    assert_eq!(results[1]["grpc"], json!({"status": 5, "message": "there is no user 99"}));
}

#[tokio::test]
async fn the_simulator_has_every_status() {
    let example = Example::start("simulator");
    for code in 200..600_u16 {
        let answer =
            example.send(Request::get(format!("/api/status/{code}?x=%C3%A4")).header("accept", "application/json"), "");
        let answer = answer.await;
        assert_eq!(answer.status(), code);
        match code {
            204 | 205 | 304 => assert!(answer.body().is_empty(), "{code}"),
            207 => assert_eq!(statuses(&results(answer.body())), [200, 404, 423]),
            code => {
                let said: Value = serde_json::from_slice(answer.body()).unwrap();
                let request = json!({"method": "GET", "path": format!("/api/status/{code}"), "query": "x=%C3%A4"});
                assert!(
                    ["method", "path", "query"].iter().all(|name| said["request"][name] == request[name]),
                    "{said}"
                );
                assert_eq!(said["request"]["headers"]["accept"], "application/json");
                assert_eq!(said["status"]["code"], code);
                assert_eq!(said["status"]["reason"], json!(answer.status().canonical_reason()));
                assert_eq!(said["status"]["rfc"].is_string(), answer.status().canonical_reason().is_some(), "{said}");
            }
        }
    }
    for (code, header) in [
        (201, "location"),
        (302, "location"),
        (304, "etag"),
        (401, "www-authenticate"),
        (405, "allow"),
        (407, "proxy-authenticate"),
        (416, "content-range"),
        (429, "retry-after"),
        (503, "retry-after"),
    ] {
        let answer = example.get(&format!("/api/status/{code}")).await;
        assert!(answer.headers().contains_key(header), "{code}");
    }
    for code in ["100", "103", "199", "600", "0", "-1", "65736", "x", "%20"] {
        let answer = example.get(&format!("/api/status/{code}")).await;
        assert_eq!(
            (answer.status(), &answer.headers()["content-type"]),
            (StatusCode::BAD_REQUEST, &"application/problem+json".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn the_simulator_in_a_batch() {
    let example = Example::start("simulator");
    let codes: Vec<u16> = (200..600).filter(|code| *code != 207).collect();
    let operations: Value = codes.iter().map(|code| json!({"path": format!("/api/status/{code}")})).collect();
    let results = example.results(Request::post("/batch"), operations).await;
    assert_eq!(statuses(&results), codes.iter().map(|&code| u64::from(code)).collect::<Vec<_>>());
    // A 1xx is explained, and its siblings go on.
    let operations =
        json!([{"path": "/api/status/101"}, {"path": "/api/status/204"}, {"path": "/api/status/207?statuses=200,x"}]);
    let results = example.results(Request::post("/batch"), operations).await;
    assert_eq!(statuses(&results), [400, 204, 400]);
    assert!(results[0]["error"]["detail"].as_str().unwrap().contains("1xx"));
    assert!(results[2]["error"]["detail"].as_str().unwrap().contains("`x`"));
}

#[cfg(feature = "xml")]
#[tokio::test]
async fn the_simulator_speaks_xml_unless_json_is_wanted() {
    let example = Example::start("simulator");
    for (accept, content_type) in [
        (None, "application/xml; charset=utf-8"),
        (Some("*/*"), "application/xml; charset=utf-8"),
        (Some("text/html, application/xml;q=0.9, */*;q=0.8"), "application/xml; charset=utf-8"),
        (Some("application/json"), "application/json"),
    ] {
        let request = Request::get("/api/status/207?statuses=201,%20424");
        let request = accept.into_iter().fold(request, |request, accept| request.header("accept", accept));
        let answer = example.send(request, "").await;
        assert_eq!((answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()), (207, content_type));
        let text = str::from_utf8(answer.body()).unwrap();
        if content_type.starts_with("application/xml") {
            let xml = roxmltree::Document::parse(text).unwrap();
            let statuses =
                xml.descendants().filter(|node| node.has_tag_name(("DAV:", "status"))).map(|node| node.text());
            let expected = ["HTTP/1.1 201 Created", "HTTP/1.1 424 Failed Dependency"].map(Some);
            assert_eq!(statuses.collect::<Vec<_>>(), expected);
        } else {
            assert_eq!(statuses(&results(answer.body())), [201, 424]);
        }
    }
}

/// One request to `conformance`, and the status that it has.
struct Try {
    method: Method,
    target: &'static str,
    content_type: Option<&'static str>,
    body: &'static [u8],
    status: u16,
}

impl Try {
    fn request(&self) -> Builder {
        let request = Request::builder().method(&self.method).uri(self.target);
        match self.content_type {
            Some(content_type) => request.header(header::CONTENT_TYPE, content_type),
            None => request,
        }
    }

    /// The same as an operation. JSON is sent as JSON, and what is not JSON as base64, whatever it says that it is.
    fn operation(&self) -> Value {
        let mut operation = json!({"method": self.method.as_str(), "path": self.target});
        if let Some(content_type) = self.content_type {
            operation["headers"] = json!({"content-type": content_type});
        }
        match serde_json::from_slice::<Value>(self.body) {
            Ok(body) if self.content_type == Some(JSON) => operation["body"] = body,
            _ if self.body.is_empty() => {}
            _ => {
                operation["body"] = STANDARD.encode(self.body).into();
                operation["encoding"] = "base64".into();
            }
        }
        operation
    }
}

const JSON: &str = "application/json";

/// All routes in all their ways, in an order in which later ones show what earlier ones did.
fn tries() -> Vec<Try> {
    let get = |target, status| (Method::GET, target, None, "", status);
    let head = |target, status| (Method::HEAD, target, None, "", status);
    let delete = |target, status| (Method::DELETE, target, None, "", status);
    let post = |target, content_type, body, status| (Method::POST, target, content_type, body, status);
    let put = |target, body, status| (Method::PUT, target, Some(JSON), body, status);
    let patch = |target, body, status| (Method::PATCH, target, Some(JSON), body, status);
    [
        get("/users/1", 200),
        get("/users/99", 404),
        get("/users/nobody", 404),
        get("/users/01", 404),
        head("/users/1", 200),
        head("/users/99", 404),
        post("/users", Some(JSON), r#"{"name":"Eve","email":"eve@example.com"}"#, 201),
        post("/users", Some(JSON), r#"{"name":"Eve"#, 400),
        post("/users", None, r#"{"name":"Eve","email":"eve@example.com"}"#, 400),
        post("/users", Some(JSON), r#"{"name":"Eve"}"#, 422),
        post("/users", Some(JSON), "[]", 422),
        get("/users/4", 200),
        put("/users/4", r#"{"name":"Eva","email":"eva@example.com"}"#, 200),
        put("/users/4", r#"{"name":"Eva"}"#, 422),
        put("/users/4", "name=Eva", 400),
        put("/users/99", r#"{"name":"Eva","email":"eva@example.com"}"#, 404),
        put("/users/nobody", "", 404),
        patch("/users/4", r#"{"email":"eva@example.org"}"#, 200),
        patch("/users/4", r#"{"email":7}"#, 422),
        patch("/users/nobody", "{", 404),
        get("/users/4", 200),
        delete("/users/4", 204),
        delete("/users/4", 404),
        delete("/users/nobody", 404),
        get("/users/4", 404),
        post("/users/1", Some(JSON), "{}", 405),
        post("/users/nobody", Some(JSON), "{}", 404),
        get("/slow/1", 200),
        get("/slow/soon", 400),
        get("/blob/0", 200),
        get("/blob/300", 200),
        get("/blob/67108865", 400),
        get("/blob/some", 400),
        post("/echo", Some(JSON), r#"{"a":[1,"<&>"]}"#, 200),
        post("/echo", Some("text/plain"), "a < b & c > d", 200),
        post("/echo", Some("image/x"), "\u{0}\u{ff}", 200),
        post("/echo", None, "what is this?", 200),
        post("/echo", None, "", 200),
        get("/nowhere", 404),
        get("/boom/once", 404),
    ]
    .into_iter()
    .map(|(method, target, content_type, body, status)| Try {
        method,
        target,
        content_type,
        body: body.as_bytes(),
        status,
    })
    .collect()
}

/// What each of them gets when it comes alone, one after the other.
async fn alone(tries: &[Try]) -> Vec<Response<Bytes>> {
    let example = Example::start("conformance");
    let mut responses = Vec::new();
    for one in tries {
        let response = example.send(one.request(), one.body).await;
        assert_eq!(response.status(), one.status, "{} {}: {:?}", one.method, one.target, response.body());
        if one.status >= 400 {
            assert_eq!(response.headers()["content-type"], JSON, "{} {}", one.method, one.target);
            let is_told = || serde_json::from_slice::<Value>(response.body()).unwrap()["message"].is_string();
            assert!(one.method == Method::HEAD || is_told(), "{} {}", one.method, one.target);
        }
        responses.push(response);
    }
    responses
}

/// The result that says the same as a response.
fn result(index: usize, response: &Response<Bytes>) -> Value {
    let (head, body) = response.clone().into_parts();
    let mut result = json!({"index": index, "status": head.status.as_u16()});
    let member = if head.status.as_u16() < 400 { "data" } else { "error" };
    let content_type = head.headers.get("content-type").map(|value| value.to_str().unwrap());
    match content_type {
        _ if body.is_empty() && member == "data" => {}
        _ if body.is_empty() => result[member] = head.status.canonical_reason().into(),
        Some(JSON) => result[member] = serde_json::from_slice(&body).unwrap(),
        Some(text) if text.starts_with("text/") => result[member] = str::from_utf8(&body).unwrap().into(),
        _ => {
            result[member] = STANDARD.encode(&body).into();
            result["encoding"] = "base64".into();
        }
    }
    for name in ["content-type", "location", "allow"] {
        if let Some(value) = head.headers.get(name).filter(|value| *value != JSON || body.is_empty()) {
            result["headers"][name] = value.to_str().unwrap().into();
        }
    }
    result
}

#[tokio::test]
async fn conformance_means_the_same_in_a_batch() {
    let tries = tries();
    let expected = alone(&tries).await;
    let example = Example::start("conformance");

    let operations = tries.iter().map(Try::operation).collect();
    let results = example.results(Request::post("/batch"), operations).await;
    assert_eq!(results.len(), expected.len());
    for ((index, response), (one, found)) in expected.iter().enumerate().zip(tries.iter().zip(&results)) {
        assert_eq!(*found, result(index, response), "{} {}", one.method, one.target);
    }

    let user = r#"{"id":1,"name":"Ada","email":"ada@example.com"}"#;
    assert_eq!(expected[0].body(), user);
    let created = expected.iter().find(|response| response.status() == StatusCode::CREATED).unwrap();
    assert_eq!(created.headers()["location"], "/users/4");
    assert_eq!(created.body(), r#"{"id":4,"name":"Eve","email":"eve@example.com"}"#);
    let results = example.results(Request::post("/$batch"), json!([{"path": "/users/1"}])).await;
    assert_eq!(results[0]["data"], serde_json::from_str::<Value>(user).unwrap());
}

#[cfg(feature = "xml")]
#[tokio::test]
async fn conformance_means_the_same_in_xml() {
    let tries = tries();
    let expected = alone(&tries).await;
    let example = Example::start("conformance");

    let operations = tries.iter().map(Try::operation).collect();
    let answer = example.batch(Request::post("/batch").header("accept", "application/xml"), operations).await;
    assert_eq!(answer.headers()["content-type"], "application/xml; charset=utf-8");
    let found = multistatus(str::from_utf8(answer.body()).unwrap());
    assert_eq!(found.len(), expected.len());
    for ((one, response), found) in tries.iter().zip(&expected).zip(&found) {
        let content_type = response.headers().get("content-type").map_or("", |value| value.to_str().unwrap());
        let body = match content_type {
            _ if response.body().is_empty() => None,
            text if text == JSON || text.starts_with("text/") => {
                Some(str::from_utf8(response.body()).unwrap().to_owned())
            }
            _ => Some(STANDARD.encode(response.body())),
        };
        assert_eq!(found["D:response/D:status"], format!("HTTP/1.1 {}", response.status()));
        assert_eq!(found.get("b:result/b:body"), body.as_ref(), "{} {}", one.method, one.target);
        let location = response.headers().get("location").map(|location| location.to_str().unwrap());
        assert_eq!(found.get("D:location/D:href").map(String::as_str), location);
    }
    assert_eq!(found[0]["D:response/D:href"], "/users/1");
}

/// The text of each element, by its name and its parent's, for each response of a multistatus.
#[cfg(feature = "xml")]
fn multistatus(xml: &str) -> Vec<HashMap<String, String>> {
    use quick_xml::{Reader, events::Event};

    let mut reader = Reader::from_str(xml);
    let (mut responses, mut open) = (Vec::<HashMap<_, String>>::new(), Vec::<String>::new());
    loop {
        let event = reader.read_event().unwrap();
        if let Event::Eof = event {
            return responses;
        }
        if let Event::Start(start) = &event {
            open.push(start.name().0.to_owned());
            if open.last().unwrap() == "D:response" {
                responses.push(HashMap::new());
            }
        }
        let text = match &event {
            Event::Text(text) => text.to_string(),
            Event::GeneralRef(reference) => quick_xml::escape::resolve_predefined_entity(reference).unwrap().to_owned(),
            _ => String::new(),
        };
        if let ([.., parent, name], Some(response)) = (&open[..], responses.last_mut()) {
            *response.entry(format!("{parent}/{name}")).or_default() += &text;
        }
        if let Event::End(_) = event {
            open.pop();
        }
    }
}

#[tokio::test]
async fn conformance_survives_a_panic() {
    let example = Example::start("conformance");

    let operations = json!([{"path": "/users/1"}, {"path": "/boom"}, {"path": "/users/2"}]);
    assert_eq!(statuses(&example.results(Request::post("/batch"), operations).await), [200, 500, 200]);
    assert_eq!(example.get("/users/1").await.status(), StatusCode::OK);

    assert!(example.try_send(Request::get("/boom"), "").await.is_err());
    assert_eq!(example.get("/users/1").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn conformance_understands_odata() {
    let example = Example::start("conformance");
    let eve = json!({"name": "Eve", "email": "eve@example.com"});
    let send = async |requests: Value| {
        let request = Request::post("/$batch").header("content-type", "application/json");
        let answer = example.send(request, json!({"requests": requests}).to_string()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let mut answer: Value = serde_json::from_slice(answer.body()).unwrap();
        let Value::Array(responses) = answer["responses"].take() else { panic!("{answer}") };
        responses
    };
    let responses = send(json!([
        {"id": "1", "method": "post", "url": "/users", "body": eve},
        {"id": "2", "method": "patch", "url": "$1", "dependsOn": ["1"], "body": {"email": "eve@example.org"}},
        {"id": "3", "method": "get", "url": "users/nobody"},
    ]));
    let responses = responses.await;
    assert_eq!(statuses(&responses), [201, 200, 404]);
    assert_eq!(responses[0]["headers"], json!({"Content-Type": "application/json", "Location": "/users/4"}));
    assert_eq!(responses[1]["body"], json!({"id": 4, "name": "Eve", "email": "eve@example.org"}));
    assert_eq!(responses[2]["body"], json!({"message": "Not Found"}));

    let group = json!([
        {"id": "1", "atomicityGroup": "g", "method": "delete", "url": "/users/4"},
        {"id": "2", "atomicityGroup": "g", "method": "delete", "url": "/users/nobody"},
        {"id": "3", "method": "get", "url": "/users/4", "dependsOn": ["g"], "if": "not $g/$succeeded"},
    ]);
    assert_eq!(statuses(&send(group).await), [424, 404, 200]);
}

#[tokio::test]
async fn conformance_takes_a_failed_group_back() {
    let example = Example::start("conformance");
    let eve = json!({"name": "Eve", "email": "eve@example.com"});
    let group = |last: &str| {
        json!([
            {"id": "new", "method": "POST", "path": "/users", "group": "g", "body": eve},
            {"method": "PATCH", "path": "/users/1", "group": "g", "refs": {"name": "new#/name"}, "body": {"name": {"$ref": "name"}}},
            {"path": "/users/{id}", "group": "g", "refs": {"id": "new#/id"}},
            {"path": last, "group": "g"},
            {"path": "{+it}", "refs": {"it": "new@location"}},
        ])
    };

    let results = example.results(Request::post("/batch"), group("/users/nobody")).await;
    assert_eq!(statuses(&results), [424, 424, 424, 404, 424]);
    assert!(results[0]["error"]["detail"].as_str().unwrap().contains("rolled back"), "{results:?}");
    assert_eq!(example.get("/users/4").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(example.get("/users/1").await.body(), r#"{"id":1,"name":"Ada","email":"ada@example.com"}"#);

    let results = example.results(Request::post("/batch"), group("/users/2")).await;
    assert_eq!(statuses(&results), [201, 200, 200, 200, 200]);
    assert_eq!(results[2]["data"], results[4]["data"]);
    assert_eq!(example.get("/users/4").await.body(), r#"{"id":4,"name":"Eve","email":"eve@example.com"}"#);
    assert_eq!(example.get("/users/1").await.body(), r#"{"id":1,"name":"Eve","email":"ada@example.com"}"#);

    let atomic = json!({"atomic": true, "operations": [
        {"method": "DELETE", "path": "/users/4"},
        {"method": "DELETE", "path": "/users/nobody"},
    ]});
    assert_eq!(statuses(&example.results(Request::post("/batch"), atomic).await), [424, 404]);
    assert_eq!(example.get("/users/4").await.status(), StatusCode::OK);

    let stop = json!({"onFailure": "stop", "operations": [{"path": "/users/nobody"}, {"method": "DELETE", "path": "/users/4"}]});
    assert_eq!(statuses(&example.results(Request::post("/batch"), stop).await), [404, 424]);
    assert_eq!(example.get("/users/4").await.status(), StatusCode::OK);
}

/// Runs `inspect` to its end: its exit code, what it has printed, and what it has complained of.
fn inspect(words: &[&str], stdin: &str) -> (i32, String, String) {
    let mut child = Command::new(program("inspect"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that doesn't read it has ended already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn batch_file(name: &str, batch: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&path, batch).unwrap();
    path
}

#[test]
fn inspect_tells_what_a_server_answers() {
    let example = Example::start("conformance");
    let url = format!("{}/batch", example.url);
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/inspect.md")).unwrap();
    let shown = page.split("\n```text\n").nth(1).unwrap().split("```").next().unwrap();
    let file = batch_file("page.json", r#"[{"path":"/users/1"},{"path":"/users/nobody"}]"#);
    assert_eq!(inspect(&[&url, "--batch", &file], "").1, shown);

    let multipart = "--b=1\r\nContent-Type: application/http\r\n\r\nGET /users/99 HTTP/1.1\r\n\r\n--b=1--\r\n";
    for (name, batch, code, shape) in [
        ("good.json", r#"[{"path":"/users/1"},{"path":"/users/2"}]"#, 0, "`results` in JSON, 2 results"),
        ("failing.json", r#"{"operations":[{"path":"/users/1"},{"path":"/users/99"}]}"#, 1, "2 results: 1 succeeded"),
        ("graph.json", r#"{"requests":[{"id":"1","method":"get","url":"/users/99"}]}"#, 1, "`responses` of OData"),
        ("lines.ndjson", "{\"path\":\"/users/1\"}\n{\"path\":\"/users/2\"}\n", 0, "one result a line"),
        ("parts.mime", multipart, 1, "multipart/mixed"),
        ("refused.json", "[]", 1, "400 Bad Request: no results"),
    ] {
        let file = batch_file(name, batch);
        let (found, report, complaint) = inspect(&[&url, "--batch", &file], "");
        assert_eq!((found, &*complaint), (code, ""), "{name}: {report}");
        assert!(report.contains(shape) && !report.contains('\u{1b}'), "{name}: {report}");
    }
}

#[cfg(feature = "xml")]
#[test]
fn inspect_sends_headers_and_prints_json() {
    let example = Example::start("conformance");
    let file = batch_file("xml.json", r#"[{"path":"/users/1"},{"path":"/users/99"}]"#);
    let url = format!("{}/batch", example.url);
    let (code, report, _) = inspect(&[&url, "--batch", &file, "--header", "accept: text/xml", "--json"], "");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((code, &report["exitCode"]), (1, &json!(1)));
    assert_eq!(report["contents"]["shape"], "multistatus");
    assert_eq!(report["contents"]["items"][1]["href"], "/users/99");
    // An answer in another format is inspected all the same.
    let words = [&*url, "--batch", &file, "--content-type", "application/json", "--method", "POST"];
    assert_eq!(inspect(&words, "").0, 1);
}

#[test]
fn inspect_reads_what_curl_has_saved() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/nextcloud-propfind.http");
    let (code, report, _) = inspect(&["--file", sample], "");
    assert_eq!(code, 0, "{report}");
    assert!(report.contains("/remote.php/dav/files/ada/"), "{report}");

    let (code, report, _) =
        inspect(&["--file", "-"], &fs::read_to_string(sample).unwrap().replace("</d:multistatus>", ""));
    assert_eq!(code, 3, "{report}");
    assert!(report.contains("error cut-off"), "{report}");

    let saved = "HTTP/2 207 \ncontent-type: application/json\n\n{\"results\":[{\"status\":\"200\"}]}";
    let (code, report, _) = inspect(&["--file", "-"], saved);
    assert_eq!(code, 2, "{report}");
    assert!(report.contains("warning status-as-text #0"), "{report}");

    let batch = batch_file("saved.json", r#"[{"path":"/a"},{"path":"/b"}]"#);
    let (code, report, _) = inspect(&["--file", "-", "--batch", &batch], saved);
    assert!(code == 2 && report.contains("error missing-result"), "{report}");
}

#[test]
fn inspect_tells_that_an_answer_breaks_off() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
        while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        let head = "HTTP/1.1 207 Multi-Status\r\ncontent-type: application/x-ndjson\r\ncontent-length: 99\r\n\r\n";
        writeln!(stream, "{head}{{\"index\":0,\"status\":200}}").unwrap();
    });
    let (code, report, complaint) = inspect(&[&url], "");
    server.join().unwrap();
    assert_eq!(code, 3, "{report}");
    assert!(report.contains("1 succeeded") && report.contains("error cut-off"), "{report}");
    assert!(report.contains("error content-length") && complaint.contains("after 25 bytes"), "{complaint}{report}");
}

#[test]
fn inspect_says_why_there_is_nothing_to_inspect() {
    let (code, help, _) = inspect(&["--help"], "");
    assert!(code == 0 && help.contains("--batch FILE"), "{help}");
    for (words, why) in [
        (&[][..], "a URL is missing"),
        (&["https://example.com/"], "curl -i … 'https://example.com/' | inspect --file -"),
        (&["/batch"], "begins with `http://`"),
        (&["--file", "-", "--file", "-"], "one answer at a time"),
        (&["--file"], "--file needs a value"),
        (&["--what"], "--what is unknown"),
        (&["--file", "/nowhere/at/all"], "/nowhere/at/all: "),
        (&["--file", "-"], "a saved response begins with a status line"),
        (&["--file", "-", "--header", "x"], "`x` is no header"),
        (&["--file", "-", "--batch", "/nowhere/at/all"], "/nowhere/at/all: "),
        (&["http://127.0.0.1:1/"], "http://127.0.0.1:1/: "),
    ] {
        let (code, report, complaint) = inspect(words, "what?");
        assert_eq!((code, &*report), (4, ""), "{words:?}");
        assert!(complaint.contains(why), "{words:?}: {complaint}");
    }
}
