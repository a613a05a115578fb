//! What becomes of each fault, as README.md says.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::sleep,
    time::Duration,
};

use common::{
    Gateway,
    raw::{Raw, exchange, nobody},
    upstream::Upstream,
};
use http::Method;
use serde_json::json;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
const NONE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";

/// What the only upstream of a gateway does, and what is seen of it: a GET and a POST that come alone, and the same two
/// in a batch. `502 ×3` is a 502, and that it was sent three times.
const FAULTS: [(&str, Fault, [&str; 4]); 9] = [
    ("takes no connection", Fault::Nobody, ["503 ×0", "503 ×0", "503 ×0", "503 ×0"]),
    ("closes the connection without an answer", Fault::Says(""), ["502 ×3", "502 ×1", "502 ×3", "502 ×1"]),
    ("says what is no HTTP", Fault::Says("hello\r\n\r\n"), ["502 ×3", "502 ×1", "502 ×3", "502 ×1"]),
    (
        "breaks off in the head of its answer",
        Fault::Says("HTTP/1.1 200 OK\r\ncontent-le"),
        ["502 ×3", "502 ×1", "502 ×3", "502 ×1"],
    ),
    (
        "breaks off in the body of its answer",
        Fault::Says("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhel"),
        ["200, cut off ×1", "200, cut off ×1", "502 ×3", "502 ×1"],
    ),
    (
        "answers with another protocol, unasked",
        Fault::Says("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        ["502 ×1", "502 ×1", "502 ×1", "502 ×1"],
    ),
    ("says nothing", Fault::Silent, ["504 ×1", "504 ×1", "504 ×1", "504 ×1"]),
    ("answers 503 itself", Fault::Says(NONE), ["503 ×1", "503 ×1", "503 ×1", "503 ×1"]),
    ("breaks off once, and then answers", Fault::Once, ["200 ×2", "502 ×1", "200 ×2", "502 ×1"]),
];

#[derive(Clone, Copy)]
enum Fault {
    Nobody,
    Says(&'static str),
    Silent,
    Once,
}

/// An upstream with that fault, a gateway before it, and one request.
async fn see(fault: Fault, method: Method, in_batch: bool) -> String {
    let raw = match fault {
        Fault::Nobody => None,
        Fault::Says(text) => Some(Raw::start(move |_| text)),
        Fault::Once => Some(Raw::start(|number| if number == 0 { "" } else { OK })),
        Fault::Silent => Some(Raw::start(|_| {
            sleep(Duration::from_secs(60));
            ""
        })),
    };
    let address = raw.as_ref().map_or_else(nobody, |raw| raw.address.clone());
    // Nothing else here depends on a time-out.
    let timeout = if matches!(fault, Fault::Silent) { "1" } else { "60" };
    let gateway = Gateway::start(&[&address], &format!("--timeout {timeout}"));
    let status = if in_batch {
        let answer = gateway.batch(vec![json!({"method": method.as_str(), "path": "/"})]).await;
        answer.statuses()[0].to_string()
    } else {
        alone(&gateway, &method)
    };
    format!("{status} ×{}", raw.map_or(0, |raw| raw.requests()))
}

fn alone(gateway: &Gateway, method: &Method) -> String {
    let head = format!("{method} / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let answer = exchange(&gateway.address, &format!("{head}content-length: 0\r\n\r\n"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let is_whole = body.len() == length.parse::<usize>().unwrap();
    if is_whole { status.to_owned() } else { format!("{status}, cut off") }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_what_the_readme_says() {
    let readme = include_str!("../README.md");
    let mut rows = Vec::new();
    for (what, fault, expected) in FAULTS {
        let mut seen = Vec::new();
        for in_batch in [false, true] {
            for method in [Method::GET, Method::POST] {
                seen.push(see(fault, method, in_batch).await);
            }
        }
        let row = format!("| {what} | {} |", seen.join(" | "));
        println!("{row}");
        assert_eq!(seen, expected, "{what}");
        rows.push(row);
    }
    for row in rows {
        assert!(readme.lines().any(|line| line == row), "README.md has no such row: {row}");
    }
}

/// A client that breaks off, or sends nothing more, is not the upstream's fault.
#[test]
fn what_the_client_does_is_told_to_the_client() {
    let upstream = Upstream::start(0);
    let gateway = Gateway::start(&[&upstream.address.to_string()], "--timeout 1");
    let head = "POST /op/body HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";

    let broken = exchange(&gateway.address, &format!("{head}transfer-encoding: chunked\r\n\r\nno chunk\r\n"));
    assert!(broken.starts_with("HTTP/1.1 400 "), "{broken}");

    let echo = head.replace("/op/body", "/status/200");
    // Without an answer that begins earlier.
    let silent = Raw::start(|_| {
        sleep(Duration::from_secs(60));
        ""
    });
    let slow = Gateway::start(&[&silent.address], "--timeout 1");
    let stalled = exchange(&slow.address, &format!("{echo}content-length: 9\r\n\r\nhel"));
    assert!(stalled.starts_with("HTTP/1.1 408 "), "{stalled}");

    // Nothing of that counts against the upstream.
    let well = exchange(&gateway.address, "GET /op/well HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(well.starts_with("HTTP/1.1 200 "), "{well}");
}

/// As long as something moves, an upload has time.
#[test]
fn a_slow_upload_is_no_time_out() {
    let upstream = Upstream::start(0);
    let gateway = Gateway::start(&[&upstream.address.to_string()], "--timeout 1");
    let mut stream = TcpStream::connect(&gateway.address).unwrap();
    let head = "POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 20\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..20 {
        sleep(Duration::from_millis(100));
        stream.write_all(b"x").unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n20"), "{answer}");
}

/// One that takes requests and answers none is left alone in the end, although it takes connections.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_says_nothing_is_left_alone() {
    let silent = Raw::start(|_| {
        sleep(Duration::from_secs(60));
        ""
    });
    let upstream = Upstream::start(0);
    let gateway = Gateway::start(
        &[&silent.address, &upstream.address.to_string()],
        "--timeout 0.5 --backoff 60 --max-backoff 60",
    );
    for _ in 0..10 {
        let operations = (0..10).map(|index| json!({"path": format!("/op/{index}")})).collect();
        gateway.batch(operations).await;
    }
    let before = silent.requests();
    assert!(before >= 5, "{before}");
    let operations = (0..100).map(|index| json!({"path": format!("/op/{index}")})).collect();
    assert_eq!(gateway.batch(operations).await.statuses(), [200; 100]);
    assert_eq!(silent.requests(), before);
}
