//! `docs/inspect.md` tells all that can be found.

use std::fs;

use tower_multistatus::inspect::Code;

use super::inspected;

fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/inspect.md")).unwrap()
}

#[test]
fn the_page_shows_what_is_said() {
    let page = page();
    let (_, rest) = page.split_once("\n```http\n").unwrap();
    let (answer, rest) = rest.split_once("\n```\n").unwrap();
    let (_, rest) = rest.split_once("```text\n").unwrap();
    let (report, _) = rest.split_once("```\n").unwrap();
    assert_eq!(inspected(answer).to_string(), report);
}

#[test]
fn the_page_has_a_row_for_each_code() {
    let page = page();
    let shown: Vec<_> =
        page.lines().filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 4).collect();
    let rows = Code::ALL.iter().map(|code| {
        let (what, why) = (code.what(), code.why());
        format!("| `{code}` | {} | {what} | {}: {why} | {} |", code.severity(), code.harms(), code.section())
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(shown, rows, "these rows belong there:\n{}", rows.join("\n"));
}
