//! How far the import is: a bar, or plain lines where nobody looks at a terminal.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::{ledger::Ledger, tally::Tally};

/// From one plain line to the next.
const INTERVAL: Duration = Duration::from_secs(5);

pub(crate) struct Progress {
    began: Instant,
    /// Bytes of the file, if it is one.
    size: Option<u64>,
    shown: Shown,
}

enum Shown {
    Bar(ProgressBar),
    Lines { next: Instant },
}

impl Progress {
    pub(crate) fn begin(size: Option<u64>) -> Self {
        let began = Instant::now();
        let shown = if io::stderr().is_terminal() {
            let (bar, template) = match size {
                Some(size) => (ProgressBar::new(size), "{wide_bar} {percent:>3} % {msg}, ETA {eta}"),
                None => (ProgressBar::new_spinner(), "{spinner} {elapsed} {msg}"),
            };
            let style = ProgressStyle::with_template(template).expect("a template that stands above is right");
            bar.set_style(style);
            // The time goes on when nothing else does.
            bar.enable_steady_tick(Duration::from_millis(250));
            Shown::Bar(bar)
        } else {
            Shown::Lines { next: began + INTERVAL }
        };
        Self { began, size, shown }
    }

    pub(crate) fn update(&mut self, ledger: &Ledger, tally: &Tally) {
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_position(ledger.bytes());
                bar.set_message(message(tally, self.began.elapsed()));
            }
            Shown::Lines { next } if *next <= Instant::now() => {
                *next = Instant::now() + INTERVAL;
                let elapsed = self.began.elapsed();
                let place = match self.size {
                    Some(size) => format!("{} of {}", HumanBytes(ledger.bytes()), HumanBytes(size)),
                    None => HumanBytes(ledger.bytes()).to_string(),
                };
                eprintln!("{} s: {place}, {}", elapsed.as_secs(), message(tally, elapsed));
            }
            Shown::Lines { .. } => {}
        }
    }

    /// How long it took. What is printed from here on stands in a terminal without a bar.
    pub(crate) fn end(self) -> Duration {
        let elapsed = self.began.elapsed();
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
        elapsed
    }
}

fn message(tally: &Tally, elapsed: Duration) -> String {
    let (rows, failed) = (tally.known(), tally.failures());
    format!("{} rows, {} a second, {} failed", HumanCount(rows), HumanCount(rate(rows, elapsed)), HumanCount(failed))
}

/// Rows a second.
pub(crate) fn rate(rows: u64, elapsed: Duration) -> u64 {
    (rows as f64 / elapsed.as_secs_f64().max(0.001)) as u64
}
