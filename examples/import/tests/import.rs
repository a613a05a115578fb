//! The client imports into the server, over a real socket.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::common::{Imported, Server, import, ndjson};

mod common;

#[test]
fn all_rows_are_imported() {
    let server = Server::start();
    let file = server.rows("products.csv", "10000");

    let imported = server.import(&file, &[]);

    assert_eq!((imported.code, imported.stdout.as_str()), (0, "succeeded: 10,000\nfailed: 0\n"), "{imported:?}");
    assert_eq!(imported.stderr, "");
    assert_eq!(server.count(), 10_000);
    let last = json!({"sku": "A-0000009999", "name": "Clock 9999", "price": 199});
    assert_eq!(server.get("/products/A-0000009999"), last);
}

#[test]
fn ndjson_is_imported_as_well() {
    let server = Server::start();
    let file = server.rows("products.ndjson", "10000 --ndjson --shuffled");

    let imported = server.import(&file, &[]);

    assert_eq!((imported.code, imported.stdout.as_str()), (0, "succeeded: 10,000\nfailed: 0\n"), "{imported:?}");
    assert_eq!(server.count(), 10_000);
}

#[test]
fn duplicates_are_told_and_kept_for_another_try() {
    let server = Server::start();
    let file = server.rows("products.csv", "10000 --duplicates 100");
    let failed = server.path("failed.ndjson");

    let imported = server.import(&file, &["--failed", failed.to_str().unwrap()]);

    assert_eq!(imported.code, 1, "{imported:?}");
    let lines: Vec<_> = imported.stdout.lines().collect();
    assert_eq!(lines[..2], ["succeeded: 9,900", "failed: 100 (409: 100)"]);
    let told = lines[2..12].iter().filter(|line| line.ends_with(": 409 there is a product with this sku already"));
    assert_eq!(told.count(), 10, "{lines:?}");
    assert_eq!(lines[12..], ["  and 90 more"]);
    assert_eq!(server.count(), 9_900);

    // The first hundredth row is one; the header row is the first line.
    let mut rows = ndjson(&fs::read_to_string(&failed).unwrap());
    rows.sort_by_key(|row| row["line"].as_u64());
    assert_eq!(rows.len(), 100);
    // It, or the one that it repeats, whichever came later.
    let first = &rows[0];
    assert_eq!(first["status"], 409);
    assert_eq!(first["error"]["title"], "Conflict");
    assert_eq!(first["operation"]["path"], "/products");

    // It is not lost by being read and written at once.
    let imported = server.import(&failed, &["--failed", failed.to_str().unwrap()]);
    assert_eq!(imported.code, 2, "{imported:?}");
    assert!(imported.stderr.ends_with("failed.ndjson can't be written while it is read\n"), "{imported:?}");

    // Imported again it is the same operations, which fail again.
    let again = server.path("again.ndjson");
    let imported = server.import(&failed, &["--failed", again.to_str().unwrap()]);
    assert_eq!(imported.code, 1, "{imported:?}");
    assert!(imported.stdout.starts_with("succeeded: 0\nfailed: 100 (409: 100)\n"), "{imported:?}");
    let operations = |rows: &[Value]| {
        let mut operations: Vec<_> = rows.iter().map(|row| row["operation"].to_string()).collect();
        operations.sort();
        operations
    };
    assert_eq!(operations(&ndjson(&fs::read_to_string(again).unwrap())), operations(&rows));
}

#[test]
fn each_bad_row_of_csv_is_told_and_the_others_are_imported() {
    let server = Server::start();
    let mut csv =
        b"price,sku,remark,name\n1,A-1,,Lamp\n1.5,A-2,,Lamp\n2,A-3\n3,A-4,,\xff\n\n4,A-5,,\"a \"\"big\"\"\n".to_vec();
    csv.extend_from_slice(b"lamp\"\n-5,A-6,,Lamp\n6,A 7,,Lamp\n7,A-8,,\n8,A-9,\"?\",Lamp");
    let failed = server.path("failed.ndjson");

    let imported = server.import(&server.file("bad.csv", csv), &["--failed", failed.to_str().unwrap()]);

    assert_eq!(imported.code, 1, "{imported:?}");
    assert!(imported.stdout.starts_with("succeeded: 3\nfailed: 6 (422: 4, not sent: 2)\n"), "{imported:?}");
    for told in [
        "  line 3: 422 Failed to deserialize the JSON body into the target type: price: ",
        "  line 4: not sent, for it has 2 fields, and the header row has 4\n",
        "  line 5: not sent, for it is not UTF-8\n",
        "  line 9: 422 Failed to deserialize the JSON body into the target type: price: ",
        "  line 10: 422 a sku has 1 to 64 letters, digits, `-` or `_`\n",
        "  line 11: 422 a name has 1 to 1024 bytes\n",
    ] {
        assert!(imported.stdout.contains(told), "{told}: {}", imported.stdout);
    }
    assert_eq!(server.get("/products/A-5")["name"], "a \"big\"\nlamp");
    assert_eq!(server.count(), 3);
    assert_eq!(ndjson(&fs::read_to_string(failed).unwrap()).len(), 6);
}

#[test]
fn each_bad_line_of_ndjson_is_told_and_the_others_are_imported() {
    let server = Server::start();
    let lines = [
        r#"{"method":"POST","path":"/products","body":{"sku":"A-1","name":"Lamp","price":1}}"#,
        "no JSON",
        "",
        "  ",
        r#"{"sku":"A-2","name":"Lamp","price":1}"#,
        r#"{"path":"/products/A-9"}"#,
        r#"{"method":"POST","path":"/products","body":{"sku":"A-3","name":"Lamp","price":1}}"#,
    ];
    let failed = server.path("failed.ndjson");
    let file = server.file("bad.jsonl", lines.join("\r\n"));

    let imported = server.import(&file, &["--failed", failed.to_str().unwrap()]);

    assert_eq!(imported.code, 1, "{imported:?}");
    assert!(imported.stdout.starts_with("succeeded: 2\nfailed: 3 (400: 2, 404: 1)\n"), "{imported:?}");
    assert_eq!(server.count(), 2);
    let mut rows = ndjson(&fs::read_to_string(&failed).unwrap());
    rows.sort_by_key(|row| row["line"].as_u64());
    let lines: Vec<_> = rows.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 5, 6]);
    assert_eq!(rows[0]["operation"], "no JSON");

    // What is no JSON is not made JSON by that it was kept.
    let imported = server.import(&failed, &[]);
    assert!(imported.stdout.starts_with("succeeded: 0\nfailed: 3 (400: 2, 404: 1)\n"), "{imported:?}");
}

#[test]
fn a_quote_that_is_not_closed_costs_no_memory_and_no_row_before_it() {
    let server = Server::start();
    let csv = format!("sku,name,price\nA-1,Lamp,1\nA-2,\"Lamp,1\n{}", "A-3,Lamp,1\n".repeat(1_000_000));

    let imported = server.import(&server.file("open.csv", csv), &[]);

    assert_eq!((imported.code, imported.stdout.as_str()), (2, "succeeded: 1\nfailed: 0\n"), "{imported:?}");
    let expected =
        "not sent: any row behind line 2, for a row has more than 4 MiB: is there a quote that isn't closed?\n";
    assert_eq!(imported.stderr, expected);
}

#[test]
fn a_file_that_can_not_be_imported_is_refused_at_once() {
    let server = Server::start();
    let other_columns = server.file("other.csv", "id,name\n1,Lamp\n");
    let fine = server.file("fine.csv", "sku,name,price\nA-1,Lamp,1\n");
    let missing = server.path("missing.csv");

    let imported = server.import(&other_columns, &[]);
    assert_eq!(
        (imported.code, imported.stderr.trim()),
        (2, "not sent: any row, for the header row has no column `sku`")
    );
    let imported = server.import(&missing, &[]);
    assert_eq!(imported.code, 2, "{imported:?}");
    assert!(imported.stderr.starts_with("not sent: any row, for "), "{imported:?}");
    for options in [&["--from", "x"][..], &["--what"], &["http://more"]] {
        assert_eq!(server.import(&fine, options).code, 2);
    }
    assert_eq!(server.import(&server.file("empty.csv", ""), &[]).code, 2);
    assert_eq!(server.count(), 0);
}

#[test]
fn no_rows_are_no_failure() {
    let server = Server::start();
    for (name, nothing) in [("rows.csv", "sku,name,price\n"), ("rows.ndjson", " \n\n")] {
        let imported = server.import(&server.file(name, nothing), &[]);
        assert_eq!((imported.code, imported.stdout.as_str()), (0, "succeeded: 0\nfailed: 0\n"), "{imported:?}");
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn a_server_without_a_batch_endpoint_is_told_from_one() {
    let server = Server::start();
    let file = server.rows("products.csv", "100");

    let url = format!("{}/products?", server.address);
    let imported: Imported = import(&file, &url).output().unwrap().into();
    assert_eq!(imported.code, 2, "{imported:?}");
    assert!(imported.stderr.starts_with("the batch was refused: 4"), "{imported:?}");
    assert!(imported.stderr.ends_with("\nnothing was imported\n"), "{imported:?}");

    let mut server = server;
    server.crash();
    let imported = server.import(&file, &[]);
    assert_eq!(imported.code, 2, "{imported:?}");
    assert!(imported.stderr.contains("can't be reached"), "{imported:?}");
}

#[test]
fn an_import_goes_on_from_a_line() {
    let server = Server::start();
    let file = server.rows("products.csv", "1000");

    let imported = server.import(&file, &["--from", "902"]);

    assert_eq!((imported.code, imported.stdout.as_str()), (0, "succeeded: 100\nfailed: 0\n"), "{imported:?}");
    assert_eq!(server.count(), 100);
    assert_eq!(server.get("/products/A-0000000900")["price"], 1_000);
}

/// An import of what comes through a pipe.
fn through_a_pipe(server: &Server) -> Child {
    import("-", &server.address).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_for_rows(server: &Server, count: u64) {
    let began = Instant::now();
    while server.count() < count {
        assert!(began.elapsed() < Duration::from_secs(20), "{} rows", server.count());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn rows_that_come_slowly_are_imported_as_they_come() {
    let server = Server::start();
    let mut child = through_a_pipe(&server);
    let mut stdin = child.stdin.take().unwrap();

    stdin.write_all(b"sku,name,price\nA-1,Lamp,1\nA-").unwrap();
    wait_for_rows(&server, 1);
    stdin.write_all(b"2,Lamp,1\n").unwrap();
    wait_for_rows(&server, 2);
    drop(stdin);

    let imported = Imported::from(child.wait_with_output().unwrap());
    assert_eq!((imported.code, imported.stdout.as_str()), (0, "succeeded: 2\nfailed: 0\n"), "{imported:?}");
}

#[cfg(unix)]
#[test]
fn an_import_that_is_interrupted_tells_how_far_it_is() {
    let server = Server::start();
    let mut child = through_a_pipe(&server);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"sku,name,price\nA-1,Lamp,1\nA-2,Lamp,1\n").unwrap();
    wait_for_rows(&server, 2);

    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());

    // The pipe is still open.
    let imported = Imported::from(child.wait_with_output().unwrap());
    assert_eq!((imported.code, imported.stdout.as_str()), (2, "succeeded: 2\nfailed: 0\n"), "{imported:?}");
    assert_eq!(imported.stderr, "not sent: any row behind line 3\n");
    drop(stdin);
}

#[test]
fn a_server_that_crashes_has_what_it_has_told() {
    let mut server = Server::start();
    let rows = 50_000;
    let file = server.rows("products.csv", &rows.to_string());
    let failed = server.path("failed.ndjson");
    let mut client = import(&file, &server.address);
    client.args(["--failed", failed.to_str().unwrap()]);
    let child = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_rows(&server, 2_000);

    server.crash_and_restart();

    let imported = Imported::from(child.wait_with_output().unwrap());
    assert_eq!(imported.code, 2, "{imported:?}");
    assert!(imported.stderr.starts_with("the answer was cut off: "), "{imported:?}");
    let succeeded = number(imported.stdout.strip_prefix("succeeded: ").unwrap());
    let unknown = number(imported.stderr.split("whether ").nth(1).unwrap());
    let count = server.count();
    assert!(succeeded >= 1_000 && count >= succeeded && count <= succeeded + unknown, "{count}, {imported:?}");
    // Those are in the file.
    let rest = ndjson(&fs::read_to_string(&failed).unwrap());
    assert_eq!(rest.len() as u64, unknown);
    assert!(rest.iter().all(|row| row["status"].is_null() && row["operation"]["path"] == "/products"));

    // The rest, from where the client says: no row is lost, and none is there twice.
    let from = imported.stderr.split("`--from ").nth(1).unwrap().split('`').next().unwrap();
    let again = server.import(&file, &["--from", from]);
    assert_eq!(again.code, i32::from(!again.stdout.ends_with("failed: 0\n")), "{again:?}");
    assert_eq!(server.count(), rows);
}

/// `1,234 rows` is 1234.
fn number(text: &str) -> u64 {
    let digits = text.split_whitespace().next().unwrap().replace(',', "");
    digits.parse().unwrap()
}
