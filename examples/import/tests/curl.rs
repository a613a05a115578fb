//! What the README says to type, as it stands there.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use serde_json::{Value, json};

use crate::common::{Server, ndjson};

mod common;

/// The standard output of a line for the shell, run where the files are.
fn sh(server: &Server, line: &str) -> String {
    let line = line.replace("localhost:3000", &server.address);
    let output = Command::new("bash").args(["-c", &line]).current_dir(server.path("")).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn there_is_curl() -> bool {
    let there_is = Command::new("curl").arg("--version").output().is_ok();
    if !there_is {
        println!("skipped: there is no curl");
    }
    there_is
}

#[test]
fn curl_imports_ndjson_and_csv() {
    if !there_is_curl() {
        return;
    }
    for (name, arguments, media_type) in [
        ("products.ndjson", "10000 --duplicates 10 --ndjson", "application/x-ndjson"),
        ("products.csv", "10000 --duplicates 10", "text/csv"),
        ("products.csv", "10000 --duplicates 10 --no-header", "text/csv; header=absent"),
    ] {
        let server = Server::start();
        server.rows(name, arguments);

        let line = format!("curl -sS -X POST -T {name} -H 'content-type: {media_type}' localhost:3000/batch");
        let results = ndjson(&sh(&server, &line));

        let (summary, results) = results.split_last().unwrap();
        assert_eq!(*summary, json!({"summary": {"total": 10_000, "succeeded": 9_990, "failed": 10}}));
        let mut indexes: Vec<_> = results.iter().map(|result| result["index"].as_u64().unwrap()).collect();
        indexes.sort_unstable();
        assert!(indexes.into_iter().eq(0..10_000));
        let failed = results.iter().filter(|result| result["status"] == 409);
        assert_eq!(failed.count(), 10);
        assert_eq!(server.count(), 9_990);
    }
}

#[test]
fn the_readme_shows_what_is_answered() {
    if !there_is_curl() {
        return;
    }
    let server = Server::start();
    let mut shown = 0;
    // Each block for the shell that has an answer behind it.
    for block in include_str!("../README.md").split("```sh\n").skip(1) {
        let (line, rest) = block.split_once("\n```\n").unwrap();
        let Some(answer) = rest.strip_prefix("\n```json\n") else { continue };
        let (answer, _) = answer.split_once("\n```\n").unwrap();
        let sorted = |text: &str| {
            let mut lines = ndjson(text);
            // Each result comes as soon as it is there.
            lines.sort_by_key(|line| line["index"].as_u64().unwrap_or(u64::MAX));
            lines
        };
        let answered: Vec<Value> = sorted(&sh(&server, line));
        assert_eq!(answered, sorted(answer), "{line}\n{answered:#?}");
        shown += 1;
    }
    assert_eq!(shown, 3);
}
