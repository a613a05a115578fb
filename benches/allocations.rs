//! Allocations per operation. They are the same in each run.

mod workload;

use allocation_counter::measure;

const GETS: [&str; 8] = ["naive", "batch", "bare", "streamed", "lines", "odata", "multipart", "xml"];
const ECHOES: [&str; 5] =
    ["naive-echo", "batch-echo", "unordered-echo", "streamed-unordered-echo", "lines-unordered-echo"];

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    // The first time sets up what is kept; the difference between two lengths leaves out what is done once a run.
    let allocations = |scenario, n, times| {
        let run = |times| measure(|| runtime.block_on(workload::run(scenario, n, times))).count_total;
        run(1);
        (run(3 * times) - run(times)) as f64 / (2 * times * n) as f64
    };
    println!("{:<24} {:>10} {:>10}", "allocations", "all", "over inner");
    for (inner, others) in [("inner", &GETS[..]), ("inner-echo", &ECHOES)] {
        let alone = allocations(inner, 100, 10);
        println!("{inner:<24} {alone:>10.2}");
        for scenario in others {
            let all = allocations(scenario, 100, 10);
            println!("{scenario:<24} {all:>10.2} {:>10.2}", all - alone);
        }
    }
    let alone = allocations("null", 1, 100);
    let through = allocations("pass-through", 1, 100);
    println!("{:<24} {through:>10.2} {:>10.2}", "pass-through", through - alone);
}
