//! What batches of GETs take of memory, read line by line and read whole: the bytes that are live at most, counted by the
//! allocator. Prints a table in Markdown; `memory FILE` draws it as an SVG too. `benches/memory.sh` does that.

mod chart;
mod workload;

use std::time::Instant;

use allocation_counter::measure;
use chart::{Line, thousands};

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let quick = !arguments.iter().any(|argument| argument == "--bench");
    let most = if quick { 1000 } else { 1_000_000 };
    let rows: Vec<Row> =
        [1000, 10_000, 100_000, 1_000_000].into_iter().filter(|n| *n <= most).map(Row::measured).collect();
    print_table(&rows);
    if let Some(file) = arguments.iter().find(|argument| *argument != "--bench") {
        std::fs::write(file, chart(&rows)).expect("a file that can be written");
    }
}

struct Row {
    operations: usize,
    lines: Run,
    /// As far as the limits of the workload go.
    whole: Option<Run>,
}

impl Row {
    fn measured(operations: usize) -> Self {
        let whole = (operations <= 100_000).then(|| Run::measured("arriving-batch", operations));
        Self { operations, lines: Run::measured("arriving-lines", operations), whole }
    }
}

struct Run {
    /// Bytes that are live at most.
    peak: u64,
    /// Operations, in the fastest of some runs: whatever else the machine does only makes them slower.
    per_second: f64,
}

impl Run {
    fn measured(scenario: &str, n: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        // The first time sets up what is kept.
        runtime.block_on(workload::run(scenario, 1, 1));
        let mut run = Self { peak: 0, per_second: 0.0 };
        for _ in 0..(200_000 / n).clamp(5, 50) {
            let start = Instant::now();
            run.peak = measure(|| runtime.block_on(workload::run(scenario, n, 1))).bytes_max;
            run.per_second = run.per_second.max(n as f64 / start.elapsed().as_secs_f64());
        }
        run
    }
}

fn print_table(rows: &[Row]) {
    println!("| operations | line by line | whole | line by line, a second | whole, a second |");
    println!("|---|---|---|---|---|");
    let peak = |run: &Run| format!("{} KiB", thousands(run.peak.div_ceil(1 << 10)));
    let speed = |run: &Run| thousands((run.per_second / 1000.0).round() as u64 * 1000);
    for Row { operations, lines, whole } in rows {
        let [whole_peak, whole_speed] = whole.as_ref().map(|run| [peak(run), speed(run)]).unwrap_or_default();
        println!(
            "| {} | {} | {whole_peak} | {} | {whole_speed} |",
            thousands(*operations as u64),
            peak(lines),
            speed(lines)
        );
    }
}

fn chart(rows: &[Row]) -> String {
    let points = |run: fn(&Row) -> Option<&Run>| {
        rows.iter().filter_map(|row| Some((row.operations as f64, run(row)?.peak as f64 / 1024.0))).collect()
    };
    let lines = Line { name: "line by line", class: "lines", points: points(|row| Some(&row.lines)) };
    let whole = Line { name: "whole", class: "whole", points: points(|row| row.whole.as_ref()) };
    chart::log_log("KiB that are live at most", "operations in a batch", &[whole, lines])
}
