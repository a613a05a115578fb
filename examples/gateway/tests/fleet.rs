//! Upstreams that die and come back, and how much they are sent.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{Gateway, python::Python, raw::Raw, until, upstream::Upstream};
use http::Method;
use serde_json::{Value, json};

/// Operations on `/op/{id}`, each with an id that no other one has.
fn operations(count: usize, methods: &[&str], ms: u64) -> Vec<Value> {
    let method = |index: usize| methods[index % methods.len()];
    (0..count).map(|index| json!({"method": method(index), "path": format!("/op/{index}?ms={ms}")})).collect()
}

fn addresses(upstreams: &[Upstream]) -> Vec<String> {
    upstreams.iter().map(|upstream| upstream.address.to_string()).collect()
}

fn start(upstreams: &[Upstream], options: &str) -> Gateway {
    let addresses = addresses(upstreams);
    Gateway::start(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), options)
}

/// How often an operation was sent to any of them.
fn sent(upstreams: &[Upstream], id: &str) -> usize {
    upstreams.iter().map(|upstream| upstream.seen.count(id)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_killed_in_a_batch_costs_only_what_can_not_be_sent_twice() {
    const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "POST"];
    let mut upstreams = Upstream::fleet::<3>();
    let python = Python::start();
    let mut all = addresses(&upstreams);
    all.extend(python.iter().map(|python| python.address.clone()));
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let gateway = Gateway::start(&all, "--order unordered --batch-concurrency 64");

    let seen = std::sync::Arc::clone(&upstreams[0].seen);
    let kill = async {
        until("there is a POST and a GET under way", async || {
            seen.total() > 10 && seen.running(&Method::POST) > 0 && seen.running(&Method::GET) > 0
        })
        .await;
        upstreams[0].kill();
        seen.total()
    };
    let (answer, before) = tokio::join!(gateway.batch(operations(600, &METHODS, 50)), kill);

    let from_python = python.as_ref().map(Python::counts).unwrap_or_default();
    let mut lost = 0;
    for (index, status) in answer.statuses().into_iter().enumerate() {
        let id = index.to_string();
        let elsewhere = from_python[&id].as_u64().unwrap_or_default() as usize;
        let times = sent(&upstreams, &id) + elsewhere;
        let method = METHODS[index % METHODS.len()];
        if method == "POST" {
            assert!(times <= 1, "{method} {id} was sent {times} times");
            assert!(status == 502 || (status, times) == (200, 1), "{method} {id}: {status}, sent {times} times");
            lost += u32::from(status == 502);
        } else {
            assert!((1..=3).contains(&times), "{method} {id} was sent {times} times");
            assert_eq!(status, 200, "{method} {id}");
        }
    }
    assert!(lost > 0, "at least the one that was under way is lost");
    assert_eq!(seen.total(), before, "what is dead is sent nothing");
    if python.is_some() {
        assert!(from_python.as_object().is_some_and(|counts| !counts.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_comes_back_is_used_again() {
    let mut upstreams = Upstream::fleet::<3>();
    upstreams[1].kill();
    let gateway = start(&upstreams, "--max-backoff 0.5");

    // A POST that was refused has not been sent, and so goes elsewhere.
    assert_eq!(gateway.batch(operations(60, &["GET", "POST", "PUT"], 0)).await.statuses(), [200; 60]);
    assert_eq!(upstreams[1].seen.total(), 0);
    upstreams[1].revive();
    until("it is sent something", async || {
        assert_eq!(gateway.batch(operations(20, &["GET"], 1)).await.statuses(), [200; 20]);
        upstreams[1].seen.total() > 20
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_is_down_is_told_at_once() {
    let mut upstreams = Upstream::fleet::<3>();
    let gateway = start(&upstreams, "--timeout 600 --batch-timeout 600 --max-backoff 0.5");
    assert_eq!(gateway.batch(operations(10, &["GET"], 0)).await.statuses(), [200; 10]);
    upstreams.iter_mut().for_each(Upstream::kill);

    // Ten minutes would pass before a time-out: who comes this far has not waited for one.
    let began = Instant::now();
    for _ in 0..3 {
        let answer = gateway.batch(operations(100, &["GET", "POST", "DELETE"], 0)).await;
        let statuses = answer.statuses();
        assert!(statuses.iter().all(|status| matches!(status, 502 | 503)), "{statuses:?}");
    }
    let alone = gateway.request(Method::GET, "/op/alone").await;
    assert_eq!(alone.status, 503);
    assert_eq!(alone.headers["retry-after"], "1");
    assert_eq!(alone.headers["content-type"], "application/problem+json");
    assert!(began.elapsed() < Duration::from_secs(60));

    upstreams.iter_mut().for_each(Upstream::revive);
    until("all of them answer again", async || {
        gateway.batch(operations(10, &["GET"], 0)).await.statuses() == [200; 10]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_wait_for_a_busy_upstream_are_told_when_it_dies() {
    let mut upstreams = Upstream::fleet::<1>();
    let gateway = start(&upstreams, "--timeout 600 --batch-timeout 600 --concurrency 2 --order unordered");
    let seen = std::sync::Arc::clone(&upstreams[0].seen);
    let kill = async {
        until("it is busy", async || seen.running(&Method::POST) == 2).await;
        upstreams[0].kill();
    };
    let (answer, ()) = tokio::join!(gateway.batch(operations(20, &["POST"], 600_000)), kill);
    let statuses = answer.statuses();
    assert!(statuses.iter().all(|status| matches!(status, 502 | 503)), "{statuses:?}");
    assert_eq!(seen.total(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_has_no_more_at_once_than_it_may() {
    let upstreams = Upstream::fleet::<4>();
    let gateway = start(&upstreams, "--concurrency 3 --batch-concurrency 100");
    let (one, other) =
        tokio::join!(gateway.batch(operations(200, &["GET"], 20)), gateway.batch(operations(200, &["GET"], 20)),);
    assert_eq!((one.statuses(), other.statuses()), (vec![200; 200], vec![200; 200]));
    let most: Vec<_> = upstreams.iter().map(|upstream| upstream.seen.most()).collect();
    assert_eq!(most, [3; 4]);
}

/// Where much fails, retries are a part of what succeeds, and not as many again.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_faults_is_not_multiplied() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for broken_of_three in [1, 2, 3] {
        let answer = move |number| if number % 3 < broken_of_three { "" } else { OK };
        let upstreams: [Raw; 3] = std::array::from_fn(|_| Raw::start(answer));
        let addresses: Vec<_> = upstreams.iter().map(|upstream| upstream.address.as_str()).collect();
        let options = "--retry-reserve 1 --retry-percent 10 --backoff 0.001 --max-backoff 0.002";
        let gateway = Gateway::start(&addresses, options);

        let began = Instant::now();
        let statuses = gateway.batch(operations(500, &["GET"], 0)).await.statuses();
        let attempts: usize = upstreams.iter().map(Raw::requests).sum();
        let answered = statuses.iter().filter(|&&status| status == 200).count();
        // The reserve is for ten seconds, and there anew after them.
        let reserve = 10 * (1 + began.elapsed().as_secs() as usize / 10);
        let bound = statuses.len() + answered / 10 + reserve;
        println!("{broken_of_three} of 3 broken: {attempts} attempts for 500 requests, {bound} allowed");
        assert!(attempts <= bound, "{attempts} attempts, {answered} answered");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 502 | 503)), "{statuses:?}");
        assert_eq!(answered == 0, broken_of_three == 3);
    }
}

/// A dead upstream fails faster than any other one answers. That must not make it attractive.
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_fast_gets_little() {
    let broken = Raw::start(|_| "");
    let upstreams = Upstream::fleet::<3>();
    let mut all = addresses(&upstreams);
    all.push(broken.address.clone());
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let gateway = Gateway::start(&all, "--order unordered --batch-concurrency 32");

    let began = Instant::now();
    let answer = gateway.batch(operations(1000, &["POST"], 5)).await;

    let lost = answer.statuses().iter().filter(|&&status| status == 502).count();
    assert_eq!(lost, broken.requests());
    // The first ones go to all alike, with shorter rests. From then on it is one in 50 ms at most.
    let bound = 64 + began.elapsed().as_millis() as usize / 50;
    println!("{lost} of 1000 POST went to an upstream that breaks each exchange");
    assert!(lost <= bound, "{lost} of 1000 were sent to what breaks them");
    assert_eq!(upstreams.iter().map(|upstream| upstream.seen.total()).sum::<usize>(), 1000 - lost);
}

/// A request that breaks each server it comes to takes none of them away from others.
#[tokio::test(flavor = "multi_thread")]
async fn a_poisonous_request_costs_others_no_answer() {
    let answer = |head: &str| {
        let is_poison = head.starts_with("GET /poison ") || head.starts_with("POST /poison ");
        if is_poison { "" } else { "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" }
    };
    let upstreams: [Raw; 2] = std::array::from_fn(|_| Raw::reading(answer));
    let addresses: Vec<_> = upstreams.iter().map(|upstream| upstream.address.as_str()).collect();
    let gateway = Gateway::start(&addresses, "--order unordered");
    let poison = async {
        for _ in 0..50 {
            let operations = ["GET", "POST"].map(|method| json!({"method": method, "path": "/poison"}));
            assert_eq!(gateway.batch(operations.to_vec()).await.statuses(), [502; 2]);
        }
    };
    let well = async {
        for _ in 0..50 {
            assert_eq!(gateway.batch(operations(10, &["GET", "POST"], 0)).await.statuses(), [200; 10]);
        }
    };
    tokio::join!(poison, well);
}
