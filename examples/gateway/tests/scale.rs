//! Ten thousand operations over twenty upstreams.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Instant;

use common::{Gateway, upstream::Upstream};
use serde_json::json;

const UPSTREAMS: usize = 20;
const OPERATIONS: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_operations_are_spread_over_twenty_upstreams() {
    let upstreams = Upstream::fleet::<UPSTREAMS>();
    let addresses: Vec<_> = upstreams.iter().map(|upstream| upstream.address.to_string()).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let gateway = Gateway::start(&addresses, "--max-operations 10000 --batch-concurrency 256 --batch-timeout 600");

    let began = Instant::now();
    let operations = (0..OPERATIONS).map(|index| json!({"path": format!("/op/{index}?ms=5")})).collect();
    let answer = gateway.batch(operations).await;
    let time = began.elapsed();

    let statuses = answer.statuses();
    assert!(statuses.iter().all(|&status| status == 200), "{statuses:?}");
    let mut shares: Vec<_> = upstreams.iter().map(|upstream| upstream.seen.total()).collect();
    // Each of them was sent once.
    assert_eq!(shares.iter().sum::<usize>(), OPERATIONS);
    let fair = OPERATIONS / UPSTREAMS;
    println!("{OPERATIONS} operations in {:.1} s; the fair share is {fair}", time.as_secs_f64());
    println!("| upstream | operations | of the fair share | at once, at most |\n|---|---|---|---|");
    for (index, upstream) in upstreams.iter().enumerate() {
        let (share, most) = (shares[index], upstream.seen.most());
        println!("| {} | {share} | {:.2} | {most} |", index + 1, share as f64 / fair as f64);
    }
    shares.sort_unstable();
    let (least, most) = (shares[0], shares[UPSTREAMS - 1]);
    println!("least {least}, middle {}, most {most}", shares[UPSTREAMS / 2]);
    assert!(least * 10 >= fair * 3, "{shares:?}");
    assert!(most <= fair * 3, "{shares:?}");
}
