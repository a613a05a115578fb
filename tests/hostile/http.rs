//! The request around a batch: what it says of its body, whom it is for, how it is framed, and how much of it comes.

use super::{
    answer::Format,
    case::{Case, Expected, Then, play, statuses},
    json::{FIRST, HEALTHY, JSON, LAST, between},
    server::Stack,
    wire::{HOST, chunked, head, request},
};

const LENGTH: &str = "content-length: ";

fn document() -> String {
    format!("[{FIRST},{LAST}]")
}

fn runs() -> Expected {
    statuses(Format::Json, &[200, 200])
}

/// Content types: a name, the header lines, the status of the refusal.
const CONTENT_TYPES: &[(&str, &[&str])] = &[
    ("csrf: no content type", &[]),
    ("csrf: an empty one", &["content-type: "]),
    ("csrf: text", &["content-type: text/plain"]),
    ("csrf: text with JSON behind it", &["content-type: text/plain; application/json"]),
    ("csrf: text with JSON for a parameter", &["content-type: text/plain; x=\"application/json\""]),
    ("csrf: a form", &["content-type: application/x-www-form-urlencoded"]),
    ("csrf: a form with parts", &["content-type: multipart/form-data; boundary=x"]),
    ("csrf: a list of types", &["content-type: application/json, text/plain"]),
    ("two content types, the right one first", &[JSON, "content-type: text/plain"]),
    ("two content types, the right one last", &["content-type: text/plain", JSON]),
    ("two content types, both right", &[JSON, JSON]),
    ("JSON in UTF-16", &["content-type: application/json; charset=utf-16"]),
    ("JSON in UTF-7", &["content-type: application/json; charset=utf-7"]),
    ("JSON in two charsets", &["content-type: application/json; charset=utf-8; charset=utf-16"]),
    ("a type that begins like JSON", &["content-type: application/jsonp"]),
    ("a type that is a range", &["content-type: */*"]),
    ("a type without a subtype", &["content-type: json"]),
    ("a type beyond ASCII", &["content-type: application/j\u{17f}on"]),
    ("a type that never ends", &["content-type: application/json; charset=\"utf-8"]),
    ("XML, which is for answers only", &["content-type: application/xml"]),
];

fn content_types() -> impl Iterator<Item = Case> {
    CONTENT_TYPES
        .iter()
        .map(|(name, lines)| Case::new(name, request(lines, document()), Expected::Refused(415, "application/json")))
}

/// Codings, ranges, and other headers of the batch: a name, the header line, what comes of it.
fn headers() -> Vec<Case> {
    let with = |name, line: &str, expected| Case::new(name, request(&[JSON, line], document()), expected);
    let coded = |name, line: &str| with(name, line, Expected::Refused(415, "compressed"));
    let unacceptable = |name, line: &str| with(name, line, Expected::Refused(406, "`Accept`"));
    let run = |name, line: &str| with(name, line, runs()).reached(HEALTHY);
    let ranges = vec!["image/png"; 500].join(",");
    vec![
        coded("content-encoding: gzip", "content-encoding: gzip"),
        coded("content-encoding: x-gzip", "content-encoding: x-gzip"),
        coded("content-encoding: in capitals, behind identity", "content-encoding: identity\r\ncontent-encoding: GZIP"),
        coded("content-encoding: behind a comma", "content-encoding: identity, br"),
        coded("content-encoding: one that nobody knows", "content-encoding: x"),
        unacceptable("accept: another type", "accept: image/png"),
        unacceptable("accept: nothing", "accept: */*;q=0"),
        unacceptable("accept: nothing, said in many words", "accept: */*;q=0.000, application/*;q=0"),
        unacceptable("accept: 500 types, none of them ours", &format!("accept: {ranges}")),
        run("accept: what is no type", "accept: ,,;;=\"\\"),
        run("accept: a quality beyond all", "accept: application/json;q=1e999"),
        run(
            "smuggling: x-http-method-override",
            "x-http-method-override: DELETE\r\nx-http-method: DELETE\r\nx-method-override: DELETE",
        )
        .lacks("x-method-override"),
        run("one idempotency key for all", "idempotency-key: 1").lacks("idempotency-key"),
        run("a condition for all", "if-none-match: *\r\nif-match: \"1\"\r\nrange: bytes=0-0")
            .lacks("if-none-match")
            .lacks("range"),
        run(
            "apache cve-2022-31813: connection takes the client's address away",
            "connection: keep-alive, x-forwarded-for, x-hop\r\nx-forwarded-for: 192.0.2.1\r\nx-hop: 1",
        )
        .bears("x-forwarded-for", &["192.0.2.1"])
        .lacks("x-hop"),
        run(
            "connection takes credentials away",
            "connection: keep-alive, authorization, host\r\nauthorization: Bearer x",
        )
        .bears("authorization", &["Bearer x"]),
        run("te and trailer of the batch", "te: trailers\r\ntrailer: x").lacks("te"),
        run("upgrade to h2c", "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk")
            .lacks("upgrade"),
        run("a client that is told to go on", "expect: 100-continue"),
        run("an expectation that nobody knows", "expect: 42-the-answer"),
        with(
            "a client that would be told to go on, for nothing",
            "expect: 100-continue\r\ncontent-encoding: gzip",
            Expected::Refused(415, "compressed"),
        ),
    ]
}

/// Who is asked. The bytes begin behind the method.
fn targets() -> Vec<Case> {
    let to = |target: &str, host: &str| {
        let (document, length) = (document(), document().len());
        format!("POST {target} HTTP/1.1\r\n{host}{JSON}\r\n{LENGTH}{length}\r\n\r\n{document}").into_bytes()
    };
    let own = format!("host: {HOST}\r\n");
    let passed = |name, target: &str| {
        let line = format!("POST {target} {}", document()).chars().take(6 + target.len() + 60).collect::<String>();
        Case::new(name, to(target, &own), Expected::Others(200)).reached([line])
    };
    let absolute =
        |name, lines: &str, host| Case::new(name, to("http://other.example/batch", lines), runs()).host(host);
    let elsewhere = ["GET http://other.example/first", r#"POST http://other.example/last {"n":1}"#];
    let get = format!("GET /batch HTTP/1.1\r\n{own}\r\n").into_bytes();
    vec![
        Case::new("a GET is no batch", get, Expected::Others(200)).reached(["GET /batch"]),
        passed("a slash behind the batch is another path", "/batch/"),
        passed("capitals are another path", "/BATCH"),
        passed("an escape is another path", "/%62atch"),
        passed("a path parameter is another path", "/batch;x"),
        passed("two slashes are another path", "//batch"),
        Case::new("a query changes nothing", to("/batch?x=/../y", &own), runs()).reached(HEALTHY),
        Case::new("its other path", to("/$batch", &own), runs()).reached(HEALTHY),
        absolute("host: the whole URL counts (RFC 9112 §3.2.2)", &own, "other.example").reached(elsewhere),
        absolute("host: the whole URL counts where there is no other", "", "other.example").reached(elsewhere),
        Case::new(
            "host: two of them are one for each operation",
            to("/batch", &format!("{own}host: evil.example\r\n")),
            runs(),
        )
        .reached(HEALTHY),
    ]
}

/// How a request is framed is read by the HTTP server, which answers by itself.
fn framing() -> Vec<Case> {
    let (document, length) = (document(), document().len());
    let raw = |name, lines: &str, expected| {
        let sent = format!("POST /batch HTTP/1.1\r\nhost: {HOST}\r\n{JSON}\r\n{lines}\r\n\r\n{document}");
        Case::new(name, sent.into_bytes(), expected)
    };
    let bad = || Expected::Others(400);
    let chunks = format!("{length:x}\r\n{document}\r\n0\r\n\r\n");
    let both = |first: &str, second: &str| {
        let head = format!("POST /batch HTTP/1.1\r\nhost: {HOST}\r\n{JSON}\r\n{first}\r\n{second}\r\n\r\n{chunks}");
        head.into_bytes()
    };
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: api.example.com\r\n\r\n";
    let behind = |tail: &str| [request(&[JSON], &document), tail.as_bytes().to_vec()].concat();
    vec![
        raw("smuggling: two lengths", &format!("{LENGTH}{length}\r\n{LENGTH}0"), bad()),
        raw("smuggling: two lengths in one line", &format!("{LENGTH}{length}, 0"), bad()),
        raw("smuggling: a length with a plus", &format!("{LENGTH}+{length}"), bad()),
        raw("smuggling: a negative length", &format!("{LENGTH}-1"), bad()),
        raw("smuggling: a length in hexadecimals", &format!("{LENGTH}0x{length:x}"), bad()),
        raw("smuggling: a length beyond all numbers", &format!("{LENGTH}18446744073709551616"), bad()),
        raw("smuggling: a coding that is not chunked", "transfer-encoding: identity", bad()),
        raw("smuggling: chunked is not the last coding", "transfer-encoding: chunked, gzip", bad()),
        raw("smuggling: white space before a colon", &format!("content-length : {length}"), bad()),
        raw("smuggling: a folded header", &format!("x: y\r\n z: 1\r\n{LENGTH}{length}"), bad()),
        raw("smuggling: a NUL in a header", &format!("x: a\0b\r\n{LENGTH}{length}"), bad()),
        raw("smuggling: a bare CR in a header", &format!("x: a\rb: c\r\n{LENGTH}{length}"), bad()),
        Case::new(
            "smuggling: a length before chunks counts for nothing",
            both("content-length: 3", "transfer-encoding: chunked"),
            runs(),
        )
        .reached(HEALTHY)
        .ends_the_connection(),
        Case::new(
            "smuggling: a length behind chunks counts for nothing",
            both("transfer-encoding: chunked", "content-length: 3"),
            runs(),
        )
        .reached(HEALTHY)
        .ends_the_connection(),
        Case::new("HTTP/9.9", b"POST /batch HTTP/9.9\r\nhost: a\r\n\r\n".to_vec(), bad()),
        Case::new("no version", b"POST /batch\r\n\r\n".to_vec(), bad()),
        Case::new("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), bad()),
        Case::new(
            "1,000 headers",
            [head(&[JSON, &vec!["x: y"; 1000].join("\r\n")]), b"x".to_vec()].concat(),
            Expected::Others(431),
        ),
        Case::new("garbage behind the batch", behind("\0\0\0 garbage\r\n\r\n"), runs())
            .reached(HEALTHY)
            .followed_by(400),
        Case::new("more of a body than its length tells", behind("]]]]\r\n\r\n"), runs())
            .reached(HEALTHY)
            .followed_by(400),
        Case::new("another request behind the batch", behind(smuggled), runs())
            .reached([HEALTHY[0], HEALTHY[1], "GET /smuggled"])
            .followed_by(200),
        Case::new(
            "a chunk whose size is none",
            [head(&[JSON, "transfer-encoding: chunked"]), b"zz\r\n[]\r\n0\r\n\r\n".to_vec()].concat(),
            Expected::Refused(400, "broke off"),
        )
        .ends_the_connection(),
        Case::new(
            "a chunk that is longer than it says",
            [head(&[JSON, "transfer-encoding: chunked"]), b"2\r\n[]]]\r\n0\r\n\r\n".to_vec()].concat(),
            Expected::Refused(400, "broke off"),
        )
        .ends_the_connection(),
        Case::new(
            "trailers that would be headers",
            [
                head(&[JSON, "transfer-encoding: chunked"]),
                format!("{length:x}\r\n{document}\r\n0\r\nx-real-ip: ::1\r\nauthorization: x\r\n\r\n").into_bytes(),
            ]
            .concat(),
            runs(),
        )
        .reached(HEALTHY)
        .lacks("x-real-ip")
        .lacks("authorization"),
    ]
}

/// How much of it comes, and when.
fn arrival() -> Vec<Case> {
    let document = between(r#"{"path":"/a"}"#);
    let whole = request(&[JSON], &document);
    let in_chunks = chunked(&[JSON], &document, 7);
    let half = whole[..whole.len() - 20].to_vec();
    let half_in_chunks = in_chunks[..in_chunks.len() - 20].to_vec();
    let no_end = in_chunks[..in_chunks.len() - 5].to_vec();
    let all = || statuses(Format::Json, &[200, 200, 200]);
    let reached = [HEALTHY[0], "GET /a", HEALTHY[1]];
    let nothing = || Expected::NothingOr(400);
    let broken = || Expected::Refused(400, "broke off");
    vec![
        Case::new("slow: a byte at a time", whole.clone(), all()).in_pieces(1).reached(reached),
        Case::new("slow: chunks, a byte at a time", in_chunks.clone(), all()).in_pieces(1).reached(reached),
        Case::new("slow: a byte in a chunk", chunked(&[JSON], &document, 1), all()).reached(reached),
        Case::new("cut off: in the head, and gone", whole[..40].to_vec(), nothing()).then(Then::HangsUp),
        Case::new("cut off: behind the head, and gone", head(&[JSON, "content-length: 9"]), nothing())
            .then(Then::HangsUp),
        Case::new("cut off: in the body, and gone", half.clone(), nothing()).then(Then::HangsUp),
        Case::new("cut off: in a chunk, and gone", half_in_chunks.clone(), nothing()).then(Then::HangsUp),
        Case::new("cut off: in the head, and waiting", whole[..40].to_vec(), nothing()).then(Then::ShutsDown),
        Case::new("cut off: in the body, and waiting", half.clone(), nothing()).then(Then::ShutsDown),
        Case::new("cut off: in a chunk, and waiting", half_in_chunks.clone(), nothing()).then(Then::ShutsDown),
        Case::new("cut off: in the body, and heard", half, broken()).on(Stack::HalfOpen).then(Then::ShutsDown),
        Case::new("cut off: in a chunk, and heard", half_in_chunks, broken()).on(Stack::HalfOpen).then(Then::ShutsDown),
        Case::new("cut off: before the last chunk, and heard", no_end, broken())
            .on(Stack::HalfOpen)
            .then(Then::ShutsDown),
        Case::new("cut off: behind the head, and heard", head(&[JSON, "content-length: 9"]), broken())
            .on(Stack::HalfOpen)
            .then(Then::ShutsDown),
        Case::new("whole, and closed behind it, and heard", whole, all())
            .on(Stack::HalfOpen)
            .then(Then::ShutsDown)
            .reached(reached),
        Case::new("a limit outside, by the length", request(&[JSON], " ".repeat(1001)), Expected::Others(413))
            .on(Stack::Limited),
        Case::new("a limit outside, in chunks", chunked(&[JSON], " ".repeat(1001), 100), Expected::Refused(413, ""))
            .on(Stack::Limited),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    content_types().chain(headers()).chain(targets()).chain(framing()).chain(arrival()).collect()
}

#[tokio::test]
async fn requests_around_batches() {
    play(cases(), 93).await;
}
