//! What the inspector says of answers: of each fault, of answers as others document them, and of our own.
#![allow(clippy::unwrap_used)]

#[path = "inspect/codes.rs"]
mod codes;
#[path = "inspect/hostile.rs"]
mod hostile;
#[path = "inspect/own.rs"]
mod own;
#[path = "inspect/page.rs"]
mod page;
#[path = "inspect/pairs.rs"]
mod pairs;
#[path = "inspect/reports.rs"]
mod reports;
#[path = "inspect/samples.rs"]
mod samples;
mod support;

use http::Response;
use tower_multistatus::inspect::{self, Code, Report};

fn inspected(text: impl AsRef<[u8]>) -> Report {
    let response: Response<_> = inspect::saved(text.as_ref()).unwrap();
    inspect::response(&response)
}

/// What was found, once each.
fn codes_of(report: &Report) -> Vec<Code> {
    let mut codes: Vec<_> = report.findings().iter().map(|finding| finding.code).collect();
    codes.sort();
    codes.dedup();
    codes
}
