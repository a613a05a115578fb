//! What the program says for itself.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn run(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gateway")).args(arguments.split_whitespace()).output().unwrap()
}

#[test]
fn help_names_each_option_that_the_readme_names() {
    let help = run("--help");
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    let rows = include_str!("../README.md").lines().filter(|line| line.starts_with("| `--"));
    let told: Vec<_> = rows.flat_map(|row| row.split('|').nth(1)).flat_map(|cell| cell.split('`')).collect();
    let told: Vec<_> =
        told.iter().filter_map(|text| text.split(' ').next().filter(|name| name.starts_with("--"))).collect();
    assert!(told.len() > 10, "{told:?}");
    for name in &told {
        assert!(help.contains(&format!("\n  {name} ")), "--help doesn't tell {name}");
    }
    for line in help.lines().filter_map(|line| line.strip_prefix("  --")) {
        let name = format!("--{}", line.split(' ').next().unwrap());
        assert!(name == "--help" || told.contains(&name.as_str()), "README.md doesn't tell {name}");
    }
}

#[test]
fn what_can_not_be_is_told() {
    for (arguments, code, why) in [
        ("--upstream https://example.com", 2, "TLS to upstreams is not supported"),
        ("--upstream http://a --what", 2, "--what"),
        ("--upstream http://a --listen 192.0.2.1:1", 1, "os error"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(why), "{arguments}: {said}");
    }
}
