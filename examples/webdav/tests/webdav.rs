//! The server as a process of its own, over a socket. What an operation does in a batch it has to do alone.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use roxmltree::{Document, Node};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower_multistatus::inspect;

/// A running server over a directory of its own.
struct Server {
    child: Child,
    url: String,
    _directory: TempDir,
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tower-multistatus-webdav"));
        // Its own, which nobody removes who is killed.
        let directory = TempDir::new().unwrap();
        command.env("DIRECTORY", directory.path());
        let mut child = command.env("LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = stdout.next().unwrap().unwrap();
        Self {
            child,
            url: line.strip_prefix("listening on ").unwrap().to_owned(),
            _directory: directory,
            _stdout: stdout,
        }
    }

    async fn send(&self, method: &str, path: &str, headers: &Value, body: &str) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let headers = headers.as_object().into_iter().flatten();
        let request = headers.fold(request, |request, (name, value)| request.header(name, value.as_str().unwrap()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }

    async fn batch(&self, accept: &str, operations: &[Value]) -> Response<Bytes> {
        let headers = json!({"content-type": "application/json", "accept": accept});
        let answer = self.send("POST", "/batch", &headers, &json!({"operations": operations}).to_string()).await;
        assert_eq!(answer.status(), 207, "{:?}", answer.body());
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const FIND: &str = r#"<?xml version="1.0"?><D:propfind xmlns:D="DAV:"><D:prop><D:getcontentlength/><D:resourcetype/></D:prop></D:propfind>"#;
const PATCH: &str = r#"<?xml version="1.0"?><D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><D:getetag>mine</D:getetag></D:prop></D:set></D:propertyupdate>"#;

/// A morning in a directory: methods of WebDAV, some of which fail.
fn program() -> Vec<Value> {
    let xml = |method: &str, path: &str, depth: &str, body: &str| {
        json!({"method": method, "path": path, "body": body,
            "headers": {"content-type": "application/xml; charset=utf-8", "depth": depth}})
    };
    let to = |method: &str, path: &str, destination: &str, overwrite: &str| json!({"method": method, "path": path, "headers": {"destination": destination, "overwrite": overwrite}});
    let put = |path: &str, text: &str| json!({"method": "PUT", "path": path, "headers": {"content-type": "text/plain"}, "body": text});
    vec![
        json!({"method": "MKCOL", "path": "/a/"}),
        json!({"method": "MKCOL", "path": "/a/"}),
        put("/a/one", "1"),
        put("/a/two & more", "percent-encode me"),
        put("/a/two%20%26%20more", "22"),
        put("/nowhere/three", "3"),
        xml("PROPFIND", "/a/", "1", FIND),
        xml("PROPPATCH", "/a/one", "0", PATCH),
        to("COPY", "/a/", "/b/", "F"),
        to("COPY", "/a/one", "/b/one", "F"),
        to("MOVE", "/b/one", "/b/eins", "T"),
        to("COPY", "/none", "/b/none", "T"),
        xml("PROPFIND", "/b/", "1", FIND),
        xml("PROPFIND", "/none", "0", FIND),
        json!({"method": "OPTIONS", "path": "/b/"}),
        json!({"path": "/b/eins"}),
        json!({"method": "DELETE", "path": "/a/"}),
        json!({"path": "/a/one"}),
    ]
}

fn results(answer: &Response<Bytes>) -> Vec<Value> {
    let mut document: Value = serde_json::from_slice(answer.body()).unwrap();
    let Value::Array(results) = document["results"].take() else { panic!("{document}") };
    results
}

/// Statuses by href of a multistatus: of the response itself, or of what was asked of it.
fn statuses(xml: &str) -> Vec<(String, Vec<String>)> {
    let document = Document::parse(xml).unwrap();
    let named = |name: &'static str| move |node: &Node<'_, '_>| node.has_tag_name(("DAV:", name));
    assert!(named("multistatus")(&document.root_element()), "{xml}");
    let mut found: Vec<_> = (document.root_element().children().filter(named("response")))
        .map(|response| {
            let href = response.children().find(named("href")).unwrap().text().unwrap().to_owned();
            let statuses = response.descendants().filter(named("status"));
            (href, statuses.map(|status| status.text().unwrap().to_owned()).collect())
        })
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn a_batch_does_what_its_operations_do_alone() {
    let (together, alone) = (Server::start(), Server::start());
    let program = program();
    let results = results(&together.batch("application/json", &program).await);
    assert_eq!(results.len(), program.len());
    let found: Vec<_> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    let expected = [201, 405, 201, 400, 201, 409, 207, 207, 201, 412, 201, 404, 207, 404, 200, 200, 204, 404];
    assert_eq!(found, expected);
    for (operation, result) in program.iter().zip(&results) {
        let (method, path) = (operation["method"].as_str().unwrap_or("GET"), operation["path"].as_str().unwrap());
        if path.contains(' ') {
            continue;
        }
        let body = operation["body"].as_str().unwrap_or_default();
        let response = alone.send(method, path, &operation["headers"], body).await;
        assert_eq!(result["status"], response.status().as_u16(), "{method} {path}");
        let text = std::str::from_utf8(response.body()).unwrap();
        if response.status() == 207 {
            // It is kept whole, and says the same; the order within is that of the file system.
            assert_eq!(result["headers"]["content-type"], response.headers()["content-type"].to_str().unwrap());
            assert_eq!(result.get("encoding"), None, "XML in UTF-8 is text");
            assert_eq!(statuses(result["data"].as_str().unwrap()), statuses(text), "{method} {path}");
        } else if response.status() == 200 && method == "GET" {
            // A file server says of what kind a file is by its name, and of none without one.
            assert_eq!(result["data"], "MQ==");
            assert_eq!(text, "1");
        }
    }
}

#[tokio::test]
async fn a_multistatus_in_a_multistatus_is_found_whole() {
    let server = Server::start();
    let results = results(&server.batch("application/json", &program()).await);
    let inner = statuses(results[6]["data"].as_str().unwrap());
    let hrefs: Vec<_> = inner.iter().map(|(href, _)| href.as_str()).collect();
    assert_eq!(hrefs, ["/a/", "/a/one", "/a/two%20%26%20more"]);
    for (href, statuses) in &inner {
        assert_eq!(statuses[0], "HTTP/1.1 200 OK", "{href}");
    }
    // A 207 is a success, whatever is in it; so who wants to know has to look.
    let patched = statuses(results[7]["data"].as_str().unwrap());
    assert_eq!(patched, [("/a/one".to_owned(), vec!["HTTP/1.1 403 Forbidden".to_owned()])]);
}

/// The inner ones are text in the outer one, so nobody takes their responses for its own.
#[tokio::test]
async fn in_xml_the_inner_ones_are_text() {
    let server = Server::start();
    let answer = server.batch("application/xml", &program()).await;
    let xml = std::str::from_utf8(answer.body()).unwrap();
    let document = Document::parse(xml).unwrap();
    let responses = document.descendants().filter(|node| node.has_tag_name(("DAV:", "response"))).count();
    assert_eq!(responses, program().len());
    let bodies = document.descendants().filter(|node| node.has_tag_name(("urn:tower-multistatus:1", "body")));
    let inner: Vec<_> = bodies.filter_map(|body| body.text().filter(|text| text.contains("multistatus"))).collect();
    assert_eq!(inner.len(), 3);
    assert!(inner.iter().all(|text| !statuses(text).is_empty()));
}

/// The inspector looks into the inner ones, in JSON and in XML, and finds what the batch counts as a success.
#[tokio::test]
async fn the_inspector_finds_what_an_inner_one_hides() {
    for accept in ["application/json", "application/xml"] {
        let server = Server::start();
        let answer = server.batch(accept, &program()).await;
        let report = inspect::response(&answer);
        let contents = report.contents().unwrap();
        assert_eq!(contents.total, program().len(), "{report}");
        let inner: Vec<_> = contents.items.iter().filter_map(|item| Some((item.place, item.inner.as_ref()?))).collect();
        assert_eq!(inner.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [6, 7, 12], "{report}");
        assert_eq!([inner[0].1.total, inner[1].1.total, inner[2].1.total], [3, 1, 3]);
        assert_eq!((contents.items[7].status, inner[1].1.failed), (Some(207), 1), "{report}");
        assert_eq!(report.exit_code(), 1, "{report}");
    }
}

/// What comes alone goes to the file server as it is.
#[tokio::test]
async fn a_plain_client_sees_a_file_server() {
    let server = Server::start();
    assert_eq!(server.send("PUT", "/file", &Value::Null, "text").await.status(), 201);
    let found = server.send("PROPFIND", "/", &json!({"depth": "1"}), "").await;
    assert_eq!(found.status(), 207);
    assert_eq!(statuses(std::str::from_utf8(found.body()).unwrap()).len(), 2);
    assert_eq!(server.send("GET", "/file", &Value::Null, "").await.body(), "text");
}
