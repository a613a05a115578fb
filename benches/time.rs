//! Nanoseconds per operation, and what they are beside each other. The scenarios take turns, so that a machine which
//! is slower for a while is so for all of them; of what each took, the median is told.

mod workload;

use std::time::Instant;

const ROUNDS: usize = 15;

fn main() {
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let rounds = if quick { 1 } else { ROUNDS };
    for (n, times) in [(1, 3000), (10, 600), (100, 100), (1000, 10)] {
        table(&format!("GET × {n}"), &["inner", "naive", "batch", "bare"], n, times, rounds);
    }
    table("echo of 1 KiB × 100", &["inner-echo", "naive-echo", "batch-echo"], 100, 60, rounds);
    table("a request that is no batch", &["null", "pass-through"], 1, 100_000, rounds);
}

/// The first scenario is the inner call alone; the second is what the others are set beside.
fn table(title: &str, scenarios: &[&str], n: usize, times: usize, rounds: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    let mut taken = vec![Vec::new(); scenarios.len()];
    for _ in 0..rounds {
        for (scenario, taken) in scenarios.iter().zip(&mut taken) {
            let start = Instant::now();
            runtime.block_on(workload::run(scenario, n, times));
            taken.push(start.elapsed().as_nanos() as f64 / (n * times) as f64);
        }
    }
    println!("{title:<28} {:>9} {:>12} {:>9}", "ns", "over inner", "× second");
    let medians: Vec<f64> = taken.into_iter().map(median).collect();
    for (scenario, ns) in scenarios.iter().zip(&medians) {
        println!("{scenario:<28} {ns:>9.0} {:>12.0} {:>9.2}", ns - medians[0], ns / medians[1]);
    }
}

fn median(mut taken: Vec<f64>) -> f64 {
    taken.sort_by(f64::total_cmp);
    taken[taken.len() / 2]
}
