//! What the client makes of servers that don't keep to what was agreed, or are gone before the end.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::common::{Imported, import, ndjson};

mod common;

const HEAD: &str =
    "HTTP/1.1 207 Multi-Status\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";

/// A server for one connection, which does as it is told.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || serve(listener.accept().unwrap().0));
    address
}

/// A server that reads all that the client sends, and answers this.
fn answering(answer: String) -> String {
    server(move |mut stream| {
        read_request(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
        hang_up(stream);
    })
}

fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    let mut buffer = [0; 64 * 1024];
    // The last chunk.
    while !request.ends_with(b"\r\n0\r\n\r\n") {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the client has hung up");
        request.extend_from_slice(&buffer[..count]);
    }
}

/// With all that was sent before still to be read: what is closed with something unread is reset.
fn hang_up(mut stream: TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn results(indexes: impl IntoIterator<Item = u64>) -> String {
    indexes.into_iter().map(|index| format!("{{\"index\":{index},\"status\":201}}\n")).collect()
}

fn summary(total: u64, failed: u64) -> String {
    format!("{{\"summary\":{{\"total\":{total},\"succeeded\":{},\"failed\":{failed}}}}}\n", total - failed)
}

/// A file of so many rows, and what is wanted of the failed ones.
struct Place {
    place: TempDir,
    file: PathBuf,
}

impl Place {
    fn with(rows: u64) -> Self {
        let place = TempDir::new().unwrap();
        let file = place.path().join("products.csv");
        let rows = Command::new(env!("CARGO_BIN_EXE_rows")).arg(rows.to_string()).output().unwrap();
        fs::write(&file, rows.stdout).unwrap();
        Self { place, file }
    }

    fn import(&self, address: &str, options: &[&str]) -> Imported {
        let failed = self.place.path().join("failed.ndjson");
        import(&self.file, address).arg("--failed").arg(failed).args(options).output().unwrap().into()
    }

    /// The lines of the rows that were written to the file of failed ones.
    fn failed(&self) -> Vec<u64> {
        let failed = fs::read_to_string(self.place.path().join("failed.ndjson")).unwrap();
        ndjson(&failed).iter().map(|row| row["line"].as_u64().unwrap()).collect()
    }
}

#[test]
fn an_answer_that_breaks_off_is_no_success() {
    let place = Place::with(10);
    let answer = format!("{HEAD}{}{}", chunk(&results(0..4)), chunk(&results([6, 8])));
    // In the middle of a chunk, and in the middle of a line.
    for end in [answer.len(), answer.len() - 5, answer.len() - 10] {
        let imported = place.import(&answering(answer[..end].to_owned()), &[]);
        assert_eq!(imported.code, 2, "{imported:?}");
        assert!(imported.stderr.starts_with("the answer was cut off: "), "{imported:?}");
        // Index 0 is line 2.
        let (known, unknown) =
            if end == answer.len() { (6, [6, 7, 9, 11].to_vec()) } else { (5, [6, 7, 9, 10, 11].to_vec()) };
        assert_eq!(imported.stdout, format!("succeeded: {known}\nfailed: 0\n"), "{imported:?}");
        let expected = format!(
            "not known: whether {} rows between line 6 and line 11 were imported\n\
             `--from 6` imports again from there; what is there already is told by a 409\n",
            unknown.len()
        );
        assert!(imported.stderr.ends_with(&expected), "{imported:?}");
        assert_eq!(place.failed(), unknown);
    }
}

#[test]
fn an_answer_without_a_summary_is_no_success() {
    let place = Place::with(10);

    let imported = place.import(&answering(format!("{HEAD}{}0\r\n\r\n", chunk(&results(0..10)))), &[]);

    assert_eq!((imported.code, imported.stdout.as_str()), (2, "succeeded: 10\nfailed: 0\n"), "{imported:?}");
    assert_eq!(imported.stderr, "the answer was cut off: it ends without a summary\n");
    assert!(place.failed().is_empty());
}

#[test]
fn an_answer_that_ends_with_the_connection_is_whole_if_its_summary_is_there() {
    let place = Place::with(10);
    let head = "HTTP/1.1 207 Multi-Status\r\ncontent-type: application/jsonl\r\nconnection: close\r\n\r\n";
    let lines = results((0..10).rev());

    let imported = place.import(&answering(format!("{head}{lines}\n{}", summary(10, 0))), &[]);
    assert_eq!(imported.code, 0, "{imported:?}");

    let imported = place.import(&answering(format!("{head}{lines}")), &[]);
    assert_eq!(imported.code, 2, "{imported:?}");
    assert_eq!(imported.stderr, "the answer was cut off: it ends without a summary\n");
}

#[test]
fn a_server_that_ends_the_batch_says_why() {
    let place = Place::with(10);
    let problem = |index: u64| {
        format!("{{\"index\":{index},\"status\":413,\"error\":{{\"detail\":\"a stream may have 4 operations\"}}}}\n")
    };

    // It has read no more than this.
    let answer = chunk(&(results(0..4) + &problem(4) + &summary(5, 1)));
    let imported = place.import(&answering(format!("{HEAD}{answer}0\r\n\r\n")), &[]);
    assert_eq!(imported.code, 2, "{imported:?}");
    assert!(imported.stdout.starts_with("succeeded: 4\nfailed: 1 (413: 1)\n"), "{imported:?}");
    assert!(imported.stderr.contains("the server has ended the batch before it had all rows\n"), "{imported:?}");
    assert!(imported.stderr.contains("whether 5 rows between line 7 and line 11"), "{imported:?}");

    // It has read all, and then something has happened.
    let answer = chunk(&(results(0..10) + &problem(10) + &summary(11, 1)));
    let imported = place.import(&answering(format!("{HEAD}{answer}0\r\n\r\n")), &[]);
    assert_eq!((imported.code, imported.stdout.as_str()), (2, "succeeded: 10\nfailed: 0\n"), "{imported:?}");
    assert!(imported.stderr.ends_with(": 413 a stream may have 4 operations\n"), "{imported:?}");
}

#[test]
fn results_that_can_not_be_are_noticed() {
    let place = Place::with(10);
    for (lines, why) in [
        (results(0..11), "it has a result that belongs to no row: {\"index\":10,\"status\":201}"),
        (results([0, 0]), "it has a result that belongs to no row: {\"index\":0,\"status\":201}"),
        (
            results(0..10) + &summary(11, 1),
            "Summary { total: 10, succeeded: 10, failed: 0 } is what its results say, and",
        ),
        (results(0..10) + &summary(10, 0) + "{}\n", "something stands behind its summary: {}"),
        ("{\"index\":0}\n".to_owned(), "it has a line that is no result: {\"index\":0}"),
        ("what?\n".to_owned(), "it has a line that is no result: what?"),
    ] {
        let imported = place.import(&answering(format!("{HEAD}{}0\r\n\r\n", chunk(&lines))), &[]);
        assert_eq!(imported.code, 2, "{imported:?}");
        assert!(imported.stderr.starts_with(&format!("the answer was cut off: {why}")), "{imported:?}");
    }
}

#[test]
fn an_answer_that_is_no_stream_is_not_taken_for_one() {
    let place = Place::with(10);
    let answer = |head: &str, body: &str| format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());

    let refused = answer("415 Unsupported Media Type", r#"{"title":"…","detail":"no format reads it"}"#);
    let imported = place.import(&answering(refused), &[]);
    assert_eq!((imported.code, imported.stdout.as_str()), (2, ""), "{imported:?}");
    let expected = "the batch was refused: 415 Unsupported Media Type: no format reads it\nnothing was imported\n";
    assert_eq!(imported.stderr, expected);

    let json = answer("207 Multi-Status\r\ncontent-type: application/json", "{}");
    let imported = place.import(&answering(json), &[]);
    assert_eq!(imported.code, 2, "{imported:?}");
    assert!(imported.stderr.contains("whether 10 rows between line 2 and line 11"), "{imported:?}");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let place = Place::with(10);
    let address = server(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });

    let imported = place.import(&address, &["--patience", "1"]);

    assert_eq!(imported.code, 2, "{imported:?}");
    assert!(
        imported.stderr.starts_with("the answer was cut off: the server has said nothing for 1 s."),
        "{imported:?}"
    );
    assert!(imported.stderr.contains("whether 10 rows between line 2 and line 11"), "{imported:?}");
}

#[test]
fn blank_lines_say_that_the_server_is_still_there() {
    let place = Place::with(10);
    let address = server(|mut stream| {
        read_request(&mut stream);
        stream.write_all(HEAD.as_bytes()).unwrap();
        for _ in 0..5 {
            thread::sleep(Duration::from_millis(500));
            stream.write_all(chunk("\n").as_bytes()).unwrap();
        }
        let answer = results(0..10) + &summary(10, 0);
        stream.write_all(format!("{}0\r\n\r\n", chunk(&answer)).as_bytes()).unwrap();
        hang_up(stream);
    });

    let imported = place.import(&address, &["--patience", "1"]);

    assert_eq!((imported.code, imported.stderr.as_str()), (0, ""), "{imported:?}");
}

#[test]
fn no_more_is_sent_than_can_be_remembered() {
    let place = Place::with(100_000);
    // It reads all, but tells nothing of the first row.
    let address = server(|mut stream| {
        // An answer must not come before its request.
        let mut begin = [0; 4096];
        stream.read_exact(&mut begin).unwrap();
        let mut reader = stream.try_clone().unwrap();
        thread::spawn(move || reader.read_to_end(&mut Vec::new()));
        stream.write_all(format!("{HEAD}{}", chunk(&results([1]))).as_bytes()).unwrap();
        thread::sleep(Duration::from_secs(30));
    });

    let imported = place.import(&address, &["--patience", "2"]);

    assert_eq!(imported.code, 2, "{imported:?}");
    let unknown = place.failed();
    assert!((8_000..=16_384).contains(&unknown.len()), "{}: {imported:?}", unknown.len());
    let last = unknown.last().unwrap();
    assert!(imported.stderr.ends_with(&format!("\nnot sent: any row behind line {last}\n")), "{imported:?}");
}
