//! Requests that come alone go through as they are, both ways at the same time; and the gateway ends as it should.

#![allow(clippy::unwrap_used)]

mod common;

use std::{io::Write, sync::atomic::Ordering::SeqCst};

use bytes::Bytes;
use common::{Gateway, client, raw, until, upstream::Upstream};
use http::{Method, Request};
use http_body_util::{BodyExt, Empty, channel::Channel};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;

fn start(upstreams: &[Upstream], options: &str) -> Gateway {
    let addresses: Vec<_> = upstreams.iter().map(|upstream| upstream.address.to_string()).collect();
    Gateway::start(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), options)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_begins_before_it_ends() {
    let upstreams = Upstream::fleet::<1>();
    let gateway = start(&upstreams, "");
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut answer = client.get(format!("http://{}/held", gateway.address).parse().unwrap()).await.unwrap();
    let first = answer.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "first");
    upstreams[0].seen.go.notify_one();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "last");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_piece_comes_back_before_the_next_one_is_sent() {
    let upstreams = Upstream::fleet::<1>();
    let gateway = start(&upstreams, "");
    let client = Client::builder(TokioExecutor::new()).build_http::<Channel<Bytes>>();
    let (mut sender, body) = Channel::new(1);
    sender.send_data("0".into()).await.unwrap();
    let upload = Request::put(format!("http://{}/echo", gateway.address)).body(body).unwrap();
    let mut answer = client.request(upload).await.unwrap().into_body();
    for piece in 0..10 {
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), piece.to_string());
        sender.send_data((piece + 1).to_string().into()).await.unwrap();
    }
    drop(sender);
    assert_eq!(answer.collect().await.unwrap().to_bytes(), "10");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_takes_no_memory() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 4096;
    let upstreams = Upstream::fleet::<1>();
    let gateway = start(&upstreams, "");
    assert_eq!(gateway.request(Method::GET, "/echo").await.status, 200);
    let before = gateway.peak_kib();

    let client = Client::builder(TokioExecutor::new()).build_http::<Channel<Bytes>>();
    let (mut sender, body) = Channel::new(1);
    let upload = Request::post(format!("http://{}/echo", gateway.address)).body(body).unwrap();
    let send = async move {
        let piece = Bytes::from(vec![b'x'; PIECE]);
        for _ in 0..PIECES {
            sender.send_data(piece.clone()).await.unwrap();
        }
    };
    let receive = async {
        let mut answer = client.request(upload).await.unwrap().into_body();
        let mut bytes = 0;
        while let Some(frame) = answer.frame().await {
            bytes += frame.unwrap().into_data().map_or(0, |data| data.len());
        }
        bytes
    };
    let ((), bytes) = tokio::join!(send, receive);

    assert_eq!(bytes, PIECE * PIECES);
    if let (Some(before), Some(after)) = (before, gateway.peak_kib()) {
        println!("{} MiB up and down again: the gateway's peak went from {before} to {after} KiB", bytes >> 20);
        assert!(after - before < 32 * 1024, "{before} KiB before, {after} KiB after");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_goes_in_and_http1_goes_on() {
    let upstreams = Upstream::fleet::<1>();
    let gateway = start(&upstreams, "");
    let client = client::http2();
    let request = Request::post(format!("http://{}/headers", gateway.address))
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers");
    let seen = client::whole(client.request(request.body("body".into()).unwrap()).await.unwrap()).await;
    let lines: Vec<_> = seen.text().lines().collect();
    assert_eq!(lines[0], "POST /headers HTTP/1.1");
    for line in ["cookie: a=1; b=2", &format!("host: {}", gateway.address), "content-length: 4"] {
        assert!(lines.contains(&line), "{line}: {lines:?}");
    }
    assert!(lines.contains(&"via: 2 tower-multistatus-gateway"), "{lines:?}");
    assert!(!seen.text().contains("\nte:"), "{lines:?}");

    let batch = Request::post(format!("http://{}/batch", gateway.address)).header("content-type", "application/json");
    let batch = batch.body(json!([{"path": "/op/1"}, {"path": "/status/404"}]).to_string().into()).unwrap();
    let answer = client::whole(client.request(batch).await.unwrap()).await;
    assert_eq!(answer.status, 207);
    assert!(answer.text().ends_with(r#""summary":{"total":2,"succeeded":1,"failed":1}}"#), "{}", answer.text());
}

/// Who has gone holds no place.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_ends_its_exchange() {
    let upstreams = Upstream::fleet::<1>();
    let gateway = start(&upstreams, "--concurrency 1 --timeout 600");
    let seen = &upstreams[0].seen;
    for id in ["one", "other"] {
        let mut client = std::net::TcpStream::connect(&gateway.address).unwrap();
        client.write_all(format!("GET /op/{id}?ms=600000 HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
        until("it is under way", async || seen.running(&Method::GET) == 1 && seen.count(id) == 1).await;
        drop(client);
        until("it has ended", async || seen.running(&Method::GET) == 0).await;
    }
    assert_eq!(gateway.request(Method::GET, "/op/last").await.status, 200);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_told_to_end_answers_what_it_has() {
    let upstreams = Upstream::fleet::<1>();
    let mut gateway = start(&upstreams, "");
    let batch = json!([{"path": "/held"}]).to_string();
    let client = client::client();
    let request = Request::post(format!("http://{}/batch", gateway.address)).header("content-type", "application/json");
    let answer = tokio::spawn(client.request(request.body(batch.into()).unwrap()));
    until("it is under way", async || upstreams[0].seen.held.load(SeqCst) == 1).await;

    gateway.terminate();
    until("no more connections are taken", async || std::net::TcpStream::connect(&gateway.address).is_err()).await;
    upstreams[0].seen.go.notify_one();
    let answer = client::whole(answer.await.unwrap().unwrap()).await;
    // In base64, for it has no type.
    assert!(answer.text().contains(r#""data":"Zmlyc3RsYXN0""#), "{}", answer.text());
    drop(client);
    assert_eq!(gateway.ended(), 0);
}

#[cfg(unix)]
#[test]
fn a_gateway_that_is_told_to_end_waits_only_so_long() {
    let upstreams = Upstream::fleet::<1>();
    let mut gateway = start(&upstreams, "--drain 0.1 --timeout 600");
    let address = gateway.address.clone();
    let waiting = std::thread::spawn(move || raw::exchange(&address, "GET /held HTTP/1.1\r\nhost: x\r\n\r\n"));
    while upstreams[0].seen.held.load(SeqCst) == 0 {
        std::thread::yield_now();
    }
    gateway.terminate();
    assert_eq!(gateway.ended(), 0);
    let cut = waiting.join().unwrap();
    assert!(cut.ends_with("5\r\nfirst\r\n"), "{cut}");
}
