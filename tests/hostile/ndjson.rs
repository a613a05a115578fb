//! Batches line by line: what is wrong with one line costs the others nothing.

use super::{
    answer::Format,
    case::{Case, Expected, Slot, Then, play, statuses},
    json::{FAULTY, FIRST, HEALTHY, LAST, LEGAL, among},
    server::Stack,
    wire::{chunked, head, request},
};

const LINES: &str = "content-type: application/x-ndjson";

/// One line between two healthy ones: a name, the line, its status, what is said.
const FAULTS: &[(&str, &[u8], u16, &str)] = &[
    ("lines: no JSON", b"GET /", 400, "not valid JSON"),
    ("lines: an operation that is cut off", br#"{"path":"/a","#, 400, "not valid JSON"),
    ("lines: a string that is cut off", br#"{"path":"/a"#, 400, "not valid JSON"),
    ("lines: two operations", br#"{"path":"/a"}{"path":"/b"}"#, 400, "not valid JSON"),
    ("lines: two operations with a comma", br#"{"path":"/a"},{"path":"/b"}"#, 400, "not valid JSON"),
    ("lines: two operations with a CR between", b"{\"path\":\"/a\"}\r{\"path\":\"/b\"}", 400, "not valid JSON"),
    (
        "lines: two operations with a line separator between",
        b"{\"path\":\"/a\"}\xe2\x80\xa8{\"path\":\"/b\"}",
        400,
        "not valid JSON",
    ),
    (
        "lines: two operations with a form feed between",
        b"{\"path\":\"/a\"}\x0c{\"path\":\"/b\"}",
        400,
        "not valid JSON",
    ),
    ("lines: a record separator before it (RFC 7464)", b"\x1e{\"path\":\"/a\"}", 400, "not valid JSON"),
    ("lines: an event stream", br#"data: {"path":"/a"}"#, 400, "not valid JSON"),
    ("lines: a batch as an array", br#"[{"path":"/a"},{"path":"/b"}]"#, 400, "must be an object"),
    ("lines: a batch as an object", br#"{"operations":[{"path":"/a"}]}"#, 400, "no target"),
    ("lines: a batch of OData", br#"{"requests":[{"id":"1","method":"get","url":"/a"}]}"#, 400, "no target"),
    ("lines: a summary", br#"{"summary":{"total":0,"succeeded":0,"failed":0}}"#, 400, "no target"),
    ("lines: a byte order mark", b"\xef\xbb\xbf{\"path\":\"/a\"}", 400, "not valid JSON"),
    ("lines: a byte that is no UTF-8", b"{\"path\":\"/\xff\"}", 400, "not UTF-8"),
    ("lines: traversal: an overlong dot, in raw bytes", b"{\"path\":\"/\xc0\xae\xc0\xae/a\"}", 400, "not UTF-8"),
    ("lines: a NUL behind the operation", b"{\"path\":\"/a\"}\0", 400, "not valid JSON"),
    ("lines: NULs alone", b"\0\0\0\0", 400, "not valid JSON"),
    ("lines: one id twice", br#"{"id":"first","path":"/a"}"#, 400, "the id `first` too"),
    ("lines: one id twice, in disguise", br#"{"id":"\u0066irst","path":"/a"}"#, 400, "the id `first` too"),
    ("lines: a dependency on itself", br#"{"id":"a","path":"/a","dependsOn":["a"]}"#, 400, "has the id `a`"),
    ("lines: a dependency on what comes later", br#"{"path":"/a","dependsOn":["last"]}"#, 400, "has the id `last`"),
    ("lines: a group", br#"{"group":"g","path":"/a"}"#, 400, "can't be a group"),
    ("lines: a reference", br#"{"path":"/{x}","refs":{"x":"first#"}}"#, 400, "can't take values from others"),
    ("lines: atomic means nothing, and nobody is told that it did", br#"{"atomic":true}"#, 400, "no target"),
];

/// A name, the lines, the status of each outcome, what reaches the service.
type Odd = (&'static str, &'static [u8], &'static [u16], &'static [&'static str]);

/// Batches in which more than one line is odd.
const ODD: &[Odd] = &[
    ("lines: blank ones are passed over", b"\n\r\n \t\r\n{\"path\":\"/a\"}\n\n\n", &[200], &["GET /a"]),
    ("lines: nothing but blank ones", b"\n\r\n\n", &[], &[]),
    ("lines: CR LF CR", b"{\"path\":\"/a\"}\r\r\n{\"path\":\"/b\"}\r\n\r", &[200, 200], &["GET /a", "GET /b"]),
    ("lines: the last one has no end", b"{\"path\":\"/a\"}\n{\"path\":\"/b\"}", &[200, 200], &["GET /a", "GET /b"]),
    ("lines: the last one is cut off", b"{\"path\":\"/a\"}\n{\"path\":\"/b", &[200, 400], &["GET /a"]),
    ("lines: UTF-16", b"\xff\xfe{\0}\0\n\0{\0}\0\n\0", &[400, 400, 400], &[]),
    ("lines: a pretty document", b"{\n\"path\": \"/a\"\n}\n", &[400, 400, 400], &[]),
    ("lines: an array over several", b"[\n{\"path\":\"/a\"},\n{\"path\":\"/b\"}\n]\n", &[400, 400, 200, 400], &["GET /b"]),
    ("lines: two that wait for each other", b"{\"id\":\"a\",\"path\":\"/a\",\"dependsOn\":[\"b\"]}\n{\"id\":\"b\",\"path\":\"/b\",\"dependsOn\":[\"a\"]}\n{\"path\":\"/c\"}\n", &[400, 424, 200], &["GET /c"]),
];

fn between(line: impl AsRef<[u8]>) -> Vec<u8> {
    [FIRST.as_bytes(), b"\n", line.as_ref(), b"\n", LAST.as_bytes(), b"\n"].concat()
}

fn case(name: &'static str, line: impl AsRef<[u8]>, slot: Slot) -> Case {
    let expected = Expected::Slots(Format::Lines, among(slot));
    Case::new(name, request(&[LINES], between(line)), expected).reached(HEALTHY)
}

/// What has to be generated.
fn sizes() -> Vec<Case> {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let long = "x".repeat(1 << 20);
    let many = r#"{"path":"/a"}"#.to_owned() + "\n";
    let members: Vec<_> = (0..300).map(|n| format!(r#""x{n}":{n}"#)).collect();
    let bad = || Slot::from(400);
    vec![
        case("lines: a deep one", &deep, bad()),
        case("lines: a deep body", format!(r#"{{"path":"/","body":{deep}}}"#), bad().at("/body").says("64 levels")),
        case("lines: brackets that never close", "[".repeat(1_000_000), bad()),
        case(
            "lines: longer than a line may be",
            format!("{{\"path\":\"/{long}\"}}"),
            Slot::from(413).says("1048576 bytes"),
        ),
        case(
            "lines: longer than a line may be, and no JSON",
            "\0".repeat(3 << 20),
            Slot::from(413).says("1048576 bytes"),
        ),
        case(
            "lines: an id of 257 bytes",
            format!(r#"{{"id":"{}","path":"/"}}"#, &long[..257]),
            bad().at("/id").says("256 bytes"),
        ),
        case(
            "lines: 101 dependencies",
            format!(r#"{{"path":"/","dependsOn":[{}]}}"#, vec![r#""first""#; 101].join(",")),
            bad().says("100 others"),
        ),
        case(
            "lines: 300 members that nobody knows",
            format!(r#"{{"path":"/",{}}}"#, members.join(",")),
            bad().says("256 members"),
        ),
        Case::new(
            "lines: 2,000 operations",
            request(&[LINES], many.repeat(2000)),
            statuses(Format::Lines, &[200; 2000]),
        )
        .reached(vec!["GET /a"; 2000]),
        Case::new("lines: 2,000 faults", request(&[LINES], "0\n".repeat(2000)), statuses(Format::Lines, &[400; 2000])),
        Case::new(
            "lines: a million blank ones",
            request(&[LINES], "\n".repeat(1_000_000)),
            statuses(Format::Lines, &[]),
        ),
    ]
}

/// How the body comes.
fn framing() -> Vec<Case> {
    let good = between(r#"{"path":"/a"}"#);
    let all = || statuses(Format::Lines, &[200, 200, 200]);
    let reached = ["GET /first", "GET /a", HEALTHY[1]];
    let json = request(&[LINES, "accept: application/json"], &good);
    let broken = |name, tail: &str| {
        let begun = format!("{}\n{}", FIRST, r#"{"path":"/a"}"#);
        let body = format!("{:x}\r\n{begun}\r\n{tail}", begun.len());
        let sent = [head(&[LINES, "transfer-encoding: chunked"]), body.into_bytes()].concat();
        let slots = vec![Slot::from(200).body("GET /first"), Slot::from(400).says("broke off")];
        Case::new(name, sent, Expected::Slots(Format::Lines, slots)).reached(["GET /first"]).ends_the_connection()
    };
    vec![
        Case::new("lines: an empty body", request(&[LINES], ""), Expected::Refused(400, "empty")),
        Case::new("lines: an empty body in chunks", chunked(&[LINES], "", 1), statuses(Format::Lines, &[])),
        Case::new("lines: a byte in a chunk", chunked(&[LINES], &good, 1), all()).reached(reached),
        Case::new("lines: a byte at a time", request(&[LINES], &good), all()).in_pieces(1).reached(reached),
        Case::new("lines: a byte in a chunk, a byte at a time", chunked(&[LINES], &good, 1), all())
            .in_pieces(1)
            .reached(reached),
        Case::new("lines: answered as a document", json, statuses(Format::Json, &[200, 200, 200])).reached(reached),
        Case::new(
            "lines: nothing that can be answered",
            request(&[LINES, "accept: image/png"], &good),
            Expected::Refused(406, "`Accept`"),
        ),
        Case::new(
            "lines: in another charset",
            request(&["content-type: application/x-ndjson; charset=utf-16"], &good),
            Expected::Refused(415, ""),
        ),
        broken("lines: a chunk whose size is none", "zz\r\n"),
        broken("lines: a chunk whose size is negative", "-1\r\n"),
        broken("lines: a chunk whose size is beyond all numbers", "fffffffffffffffff\r\n"),
        broken("lines: cut off before the last chunk", "").on(Stack::HalfOpen).then(Then::ShutsDown),
        broken("lines: cut off in a chunk", "100\r\nx").on(Stack::HalfOpen).then(Then::ShutsDown),
    ]
}

/// What is wrong with an operation is so in each format.
fn as_in_json() -> Vec<Case> {
    let faulty = FAULTY.iter().flat_map(|rows| rows.iter()).map(|(name, operation, pointer, says)| {
        let slot = Slot::from(400).says(says);
        case(name, operation, if pointer.is_empty() { slot } else { slot.at(*pointer) })
    });
    let legal = LEGAL.iter().map(|(name, operation, line)| {
        case(name, operation, Slot::from(200).body(line)).reached([HEALTHY[0], line, HEALTHY[1]])
    });
    faulty.chain(legal).collect()
}

pub(crate) fn cases() -> Vec<Case> {
    let faults = FAULTS.iter().map(|(name, line, status, says)| case(name, line, Slot::from(*status).says(says)));
    let odd = ODD.iter().map(|(name, lines, expected, reached)| {
        Case::new(name, request(&[LINES], lines), statuses(Format::Lines, expected)).reached(*reached)
    });
    faults.chain(odd).chain(sizes()).chain(framing()).collect()
}

#[tokio::test]
async fn batches_in_lines() {
    play(cases(), 59).await;
}

#[tokio::test]
async fn operations_of_json_in_lines() {
    let cases = as_in_json();
    let count = cases.len();
    play(cases, count).await;
}
