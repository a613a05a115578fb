//! What operations say of each other: dependencies, references, groups; and in OData conditions.

use super::{
    answer::Format,
    case::{Case, Expected, Slot, play, statuses},
    json::JSON,
    server::Stack,
    wire::request,
};

/// A name, the operations, the status of each, what reaches the service.
type Program = (&'static str, &'static str, &'static [u16], &'static [&'static str]);

const DEPENDENCIES: &[Program] = &[
    (
        "dependencies: a circle of one",
        r#"{"id":"a","path":"/a","dependsOn":["a"]},{"path":"/b"}"#,
        &[400, 200],
        &["GET /b"],
    ),
    (
        "dependencies: a circle of two",
        r#"{"id":"a","path":"/a","dependsOn":["b"]},{"id":"b","path":"/b","dependsOn":["a"]},{"path":"/c"}"#,
        &[400, 400, 200],
        &["GET /c"],
    ),
    (
        "dependencies: a circle of three, and one that waits for it",
        r#"{"id":"a","path":"/a","dependsOn":["c"]},{"id":"b","path":"/b","dependsOn":["a"]},{"id":"c","path":"/c","dependsOn":["b"]},{"path":"/d","dependsOn":["c"]},{"path":"/e"}"#,
        &[400, 400, 400, 424, 200],
        &["GET /e"],
    ),
    (
        "dependencies: a circle of a dependency and a reference",
        r#"{"id":"a","path":"/{x}","refs":{"x":"b#"}},{"id":"b","path":"/b","dependsOn":["a"]},{"path":"/c"}"#,
        &[400, 400, 200],
        &["GET /c"],
    ),
    ("dependencies: on nobody", r#"{"path":"/a","dependsOn":["nobody"]},{"path":"/b"}"#, &[400, 200], &["GET /b"]),
    ("dependencies: on the empty name", r#"{"path":"/a","dependsOn":[""]},{"path":"/b"}"#, &[400, 200], &["GET /b"]),
    (
        "dependencies: on a write that comes later",
        r#"{"path":"/a","dependsOn":["b"]},{"id":"b","method":"PUT","path":"/b"}"#,
        &[400, 200],
        &["PUT /b"],
    ),
    ("dependencies: a string", r#"{"path":"/a","dependsOn":"b"},{"id":"b","path":"/b"}"#, &[400, 200], &["GET /b"]),
    (
        "dependencies: an object",
        r#"{"path":"/a","dependsOn":{"b":true}},{"id":"b","path":"/b"}"#,
        &[400, 200],
        &["GET /b"],
    ),
    ("dependencies: numbers", r#"{"path":"/a","dependsOn":[1]},{"id":"1","path":"/b"}"#, &[400, 200], &["GET /b"]),
    (
        "dependencies: on what was refused",
        r#"{"id":"a","path":"//evil.example"},{"path":"/b","dependsOn":["a"]},{"path":"/c"}"#,
        &[400, 424, 200],
        &["GET /c"],
    ),
    (
        "dependencies: on what has failed",
        r#"{"id":"a","path":"/missing"},{"id":"b","path":"/b","dependsOn":["a"]},{"path":"/c","dependsOn":["b"]},{"path":"/d"}"#,
        &[404, 424, 424, 200],
        &["GET /missing", "GET /d"],
    ),
    (
        "dependencies: one name a hundred times over",
        r#"{"id":"a","path":"/a"},{"path":"/b","dependsOn":["a","a","a","a","a","a","a","a","a","a"]}"#,
        &[200, 200],
        &["GET /a", "GET /b"],
    ),
];

/// bassmaster CVE-2014-7205 evaluated references.
const REFERENCES: &[Program] = &[
    (
        "bassmaster cve-2014-7205: code in a reference",
        r#"{"id":"a","path":"/a"},{"path":"/{x}","refs":{"x":"$a.constructor.constructor('return 1')()"}}"#,
        &[200, 400],
        &["GET /a"],
    ),
    (
        "bassmaster cve-2014-7205: code in a pointer",
        r#"{"id":"a","path":"/a"},{"path":"/{x}","refs":{"x":"a#/;process.exit(1)"}}"#,
        &[200, 424],
        &["GET /a"],
    ),
    (
        "bassmaster cve-2014-7205: code in a path",
        r#"{"id":"a","path":"/a"},{"path":"/{$a.x}","refs":{"x":"a#"}}"#,
        &[200, 400],
        &["GET /a"],
    ),
    (
        "references: __proto__",
        r#"{"id":"a","path":"/a"},{"path":"/{x}","refs":{"x":"a#/__proto__"}}"#,
        &[200, 424],
        &["GET /a"],
    ),
    ("references: an array", r#"{"id":"a","path":"/a"},{"path":"/b","refs":["a#"]}"#, &[200, 400], &["GET /a"]),
    ("references: a number", r#"{"id":"a","path":"/a"},{"path":"/b","refs":{"x":7}}"#, &[200, 400], &["GET /a"]),
    (
        "references: of one name twice",
        r#"{"id":"a","path":"/a"},{"path":"/{x}","refs":{"x":"a#","x":"a@etag"}}"#,
        &[200, 400],
        &["GET /a"],
    ),
    ("references: to oneself", r#"{"id":"a","path":"/{x}","refs":{"x":"a#"}},{"path":"/b"}"#, &[400, 200], &["GET /b"]),
    (
        "references: to a cookie",
        r#"{"id":"a","path":"/a"},{"path":"/b","refs":{"x":"a@set-cookie"}}"#,
        &[200, 400],
        &["GET /a"],
    ),
    (
        "references: to a header that the answer doesn't tell",
        r#"{"id":"a","path":"/a"},{"path":"/b","refs":{"x":"a@x-secret"}}"#,
        &[200, 400],
        &["GET /a"],
    ),
    (
        "references: a header's name with a line end",
        r#"{"id":"a","path":"/a"},{"path":"/b","refs":{"x":"a@etag\r\nx"}}"#,
        &[200, 400],
        &["GET /a"],
    ),
    (
        "references: a tilde at the end",
        r#"{"id":"a","path":"/a"},{"path":"/b","refs":{"x":"a#/~"}}"#,
        &[200, 400],
        &["GET /a"],
    ),
    (
        "references: braces that never close",
        r#"{"id":"a","path":"/a"},{"path":"/{x","refs":{"x":"a#"}}"#,
        &[200, 400],
        &["GET /a"],
    ),
    (
        "references: as it is, from a body",
        r#"{"id":"a","path":"/a"},{"path":"/{+x}","refs":{"x":"a#"}}"#,
        &[200, 400],
        &["GET /a"],
    ),
    (
        "references: a content type",
        r#"{"id":"a","path":"/a"},{"method":"PUT","path":"/b","refs":{"x":"a#"},"headers":{"content-type":"{x}"},"body":1}"#,
        &[200, 400],
        &["GET /a"],
    ),
    (
        "references: credentials",
        r#"{"id":"a","path":"/a"},{"path":"/b","refs":{"x":"a#"},"headers":{"authorization":"{x}"}}"#,
        &[200, 400],
        &["GET /a"],
    ),
    (
        "references: the host",
        r#"{"id":"a","path":"/a"},{"path":"/b","refs":{"x":"a#"},"headers":{"host":"{x}"}}"#,
        &[200, 400],
        &["GET /a"],
    ),
    (
        "references: dots for a segment",
        r#"{"id":"a","method":"PUT","path":"/echo","body":".."},{"path":"/public/{x}/admin","refs":{"x":"a#"}}"#,
        &[200, 424],
        &[r#"PUT /echo "..""#],
    ),
    (
        "references: dots with a path parameter",
        r#"{"id":"a","method":"PUT","path":"/echo","body":"..;"},{"path":"/public/{x}/admin","refs":{"x":"a#"}}"#,
        &[200, 424],
        &[r#"PUT /echo "..;""#],
    ),
    (
        "references: a slash and dots stay one segment, which is refused",
        r#"{"id":"a","method":"PUT","path":"/echo","body":"../../admin"},{"path":"/public/{x}","refs":{"x":"a#"}}"#,
        &[200, 424],
        &[r#"PUT /echo "../../admin""#],
    ),
    (
        "references: a slash for two",
        r#"{"id":"a","method":"PUT","path":"/echo","body":"/evil.example/"},{"path":"/{x}","refs":{"x":"a#"}}"#,
        &[200, 200],
        &[r#"PUT /echo "/evil.example/""#, "GET /%2Fevil.example%2F"],
    ),
    (
        "references: a line end for a header",
        r#"{"id":"a","method":"PUT","path":"/echo","body":"b\r\nx-real-ip: 127.0.0.1"},{"path":"/b","refs":{"x":"a#"},"headers":{"accept":"{x}"}}"#,
        &[200, 424],
        &["PUT /echo \"b\\r\\nx-real-ip: 127.0.0.1\""],
    ),
    (
        "references: nothing for a segment",
        r#"{"id":"a","method":"PUT","path":"/echo","body":""},{"method":"DELETE","path":"/users/{x}","refs":{"x":"a#"}}"#,
        &[200, 424],
        &[r#"PUT /echo """#],
    ),
    (
        "references: null for a segment",
        r#"{"id":"a","method":"PUT","path":"/echo","body":null},{"method":"DELETE","path":"/users/{x}","refs":{"x":"a#/b"}}"#,
        &[200, 424],
        &["PUT /echo"],
    ),
    (
        "references: an object for a segment",
        r#"{"id":"a","method":"PUT","path":"/echo","body":{"b":{"$gt":""}}},{"path":"/{x}","refs":{"x":"a#/b"}}"#,
        &[200, 424],
        &[r#"PUT /echo {"b":{"$gt":""}}"#],
    ),
    (
        "references: to what stands there twice",
        r#"{"id":"a","method":"PUT","path":"/echo","body":{"b":1,"b":2}},{"path":"/{x}","refs":{"x":"a#/b"}}"#,
        &[200, 424],
        &[r#"PUT /echo {"b":1,"b":2}"#],
    ),
    (
        "references: that lead to references are not followed",
        r#"{"id":"a","method":"PUT","path":"/echo","body":{"$ref":"x"}},{"method":"PUT","path":"/b","refs":{"x":"a#"},"body":[{"$ref":"x"}]}"#,
        &[200, 200],
        &[r#"PUT /echo {"$ref":"x"}"#, r#"PUT /b [{"$ref":"x"}]"#],
    ),
    (
        "nested: by a reference",
        r#"{"id":"a","method":"PUT","path":"/echo","body":"batch"},{"method":"POST","path":"/{x}","refs":{"x":"a#"},"body":[{"path":"/b"}]}"#,
        &[200, 424],
        &[r#"PUT /echo "batch""#],
    ),
    (
        "ssrf: a location on another host",
        r#"{"id":"a","method":"POST","path":"/created?https://evil.example/x"},{"path":"{+x}","refs":{"x":"a@location"}}"#,
        &[201, 424],
        &["POST /created?https://evil.example/x"],
    ),
    (
        "ssrf: a location that begins with two slashes",
        r#"{"id":"a","method":"POST","path":"/created?//evil.example/x"},{"path":"{+x}","refs":{"x":"a@location"}}"#,
        &[201, 424],
        &["POST /created?//evil.example/x"],
    ),
    (
        "ssrf: a location with userinfo like our host",
        r#"{"id":"a","method":"POST","path":"/created?https://api.example.com@evil.example/x"},{"path":"{+x}","refs":{"x":"a@location"}}"#,
        &[201, 424],
        &["POST /created?https://api.example.com@evil.example/x"],
    ),
    (
        "nested: by a location",
        r#"{"id":"a","method":"POST","path":"/created?/batch"},{"method":"POST","path":"{+x}","refs":{"x":"a@location"},"body":[{"path":"/b"}]}"#,
        &[201, 424],
        &["POST /created?/batch"],
    ),
];

/// Without a coordinator: that all or none counts is never pretended.
const GROUPS: &[Program] = &[
    (
        "groups: where there are no transactions",
        r#"{"group":"g","path":"/a"},{"group":"g","path":"/b"},{"path":"/c"}"#,
        &[501, 501, 200],
        &["GET /c"],
    ),
    (
        "groups: that stand apart",
        r#"{"group":"g","path":"/a"},{"path":"/b"},{"group":"g","path":"/c"}"#,
        &[400, 200, 400],
        &["GET /b"],
    ),
    ("groups: a number", r#"{"group":7,"path":"/a"},{"path":"/b"}"#, &[400, 200], &["GET /b"]),
    (
        "groups: a number, beside a group that it may belong to",
        r#"{"group":7,"path":"/a"},{"group":"7","path":"/b"},{"path":"/c"}"#,
        &[400, 424, 200],
        &["GET /c"],
    ),
    (
        "groups: two for one operation",
        r#"{"group":"g","group":"h","path":"/a"},{"group":"h","path":"/b"},{"path":"/c"}"#,
        &[400, 501, 200],
        &["GET /c"],
    ),
];

/// With one.
const TRANSACTIONS: &[Program] = &[
    (
        "transactions: a faulty member",
        r#"{"group":"g","path":"/a"},{"group":"g","path":"/a/../b"},{"path":"/c"}"#,
        &[424, 400, 200],
        &["GET /c"],
    ),
    (
        "transactions: a member that sets a header that it may not",
        r#"{"group":"g","path":"/a"},{"group":"g","path":"/b","headers":{"cookie":"a"}}"#,
        &[424, 400],
        &[],
    ),
    (
        "transactions: a member that fails",
        r#"{"group":"g","path":"/a"},{"group":"g","path":"/missing"},{"group":"g","path":"/b"},{"path":"/c"}"#,
        &[424, 404, 424, 200],
        &[
            "GET /a",
            "GET /missing",
            "GET /c",
            "begin 0",
            "attach 0 to 0",
            "attach 0 to 1",
            "rollback 0",
            "rolled back 0",
        ],
    ),
    (
        "transactions: a member that is null",
        r#"{"group":"g","path":"/a"},null,{"group":"g","path":"/b"}"#,
        &[400, 400, 400],
        &[],
    ),
    (
        "transactions: two for one operation",
        r#"{"group":"g","group":"h","path":"/a"},{"group":"g","path":"/b"},{"path":"/c"}"#,
        &[400, 424, 200],
        &["GET /c"],
    ),
    (
        "transactions: that stand apart",
        r#"{"group":"g","path":"/a"},{"group":"h","path":"/b"},{"group":"g","path":"/c"}"#,
        &[400, 200, 400],
        &["GET /b", "begin 0", "attach 0 to 1", "commit 0", "committed 0"],
    ),
    (
        "transactions: two that wait for each other",
        r#"{"id":"a","group":"g","path":"/a","dependsOn":["b"]},{"id":"b","group":"h","path":"/b","dependsOn":["a"]},{"path":"/c"}"#,
        &[400, 400, 200],
        &["GET /c"],
    ),
    (
        "transactions: a member that waits for a later one",
        r#"{"group":"g","path":"/a","dependsOn":["b"]},{"id":"b","group":"g","path":"/b"},{"path":"/c"}"#,
        &[400, 424, 200],
        &["GET /c"],
    ),
    (
        "transactions: a batch in a group",
        r#"{"group":"g","path":"/a"},{"group":"g","method":"POST","path":"/batch","body":[{"path":"/b"}]},{"path":"/c"}"#,
        &[424, 400, 200],
        &["GET /c"],
    ),
];

fn program(&(name, operations, expected, reached): &Program) -> Case {
    let sent = request(&[JSON], format!("[{operations}]"));
    Case::new(name, sent, statuses(Format::Json, expected)).reached(reached)
}

fn with_transactions(program: Case) -> Case {
    program.on(Stack::Transactions)
}

/// What a whole batch asks for.
fn wholes() -> [Case; 3] {
    let of =
        |name, document: &str, expected| Case::new(name, request(&[JSON], document), expected).on(Stack::Transactions);
    let faulty = r#"{"atomic":true,"operations":[{"path":"/a"},{"path":"a"},{"path":"/b"}]}"#;
    let both = r#"{"atomic":true,"operations":[{"path":"/a"},{"group":"g","path":"/b"}]}"#;
    let stopping = r#"{"onFailure":"stop","operations":[{"path":"//a"},{"method":"PUT","path":"/b"}]}"#;
    [
        of("transactions: a whole batch with a faulty operation", faulty, statuses(Format::Json, &[424, 400, 424])),
        of("transactions: a group in a batch that is one", both, statuses(Format::Json, &[424, 400])),
        of("a batch that stops at a refusal", stopping, statuses(Format::Json, &[400, 424])),
    ]
}

/// What multiplies.
fn bombs() -> Vec<Case> {
    let of = |name, operations: &[String], slots| {
        Case::new(name, request(&[JSON], format!("[{}]", operations.join(","))), Expected::Slots(Format::Json, slots))
    };
    let ids = |count| vec![r#""a""#; count].join(",");
    let a = r#"{"id":"a","path":"/a"}"#.to_owned();
    let depends = |count| format!(r#"{{"path":"/b","dependsOn":[{}]}}"#, ids(count));
    let refs = |count| {
        let refs: Vec<_> = (0..count).map(|n| format!(r#""x{n}":"a#""#)).collect();
        format!(r#"{{"path":"/b","refs":{{{}}}}}"#, refs.join(","))
    };
    let pointer = |steps| format!(r#"{{"path":"/b","refs":{{"x":"a#{}"}}}}"#, "/a".repeat(steps));
    let good = || Slot::from(200);
    let bad = || Slot::from(400);
    // Each is twice what the one before is: 1 KiB, 2 KiB, …; all together would be 64 GiB.
    let seed = format!(r#"{{"id":"0","method":"PUT","path":"/echo","body":"{}"}}"#, "x".repeat(1000));
    let doubles = (1..27).map(|n| {
        format!(
            r#"{{"id":"{n}","method":"PUT","path":"/echo","refs":{{"x":"{}#"}},"body":[{{"$ref":"x"}},{{"$ref":"x"}}]}}"#,
            n - 1
        )
    });
    let doubling: Vec<_> = std::iter::once(seed).chain(doubles).collect();
    // What is taken and what is put in: 3 KiB, 6 KiB, … up to 1.5 MiB make less than 2 MiB each, and one more doesn't.
    let doubled = (0..27).map(|n| if n < 11 { good() } else { Slot::from(424) }).collect();
    let seen: Vec<_> =
        (0..11).map(|n| format!("PUT /echo {}{}", "[".repeat(n), "\"x".to_owned() + &"x".repeat(58 - n))).collect();
    let chain = (0..100).map(|n| match n {
        0 => r#"{"id":"0","path":"/missing"}"#.to_owned(),
        n => format!(r#"{{"id":"{n}","path":"/a","dependsOn":["{}"]}}"#, n - 1),
    });
    let circle = (0..100).map(|n| format!(r#"{{"id":"{n}","path":"/a","dependsOn":["{}"]}}"#, (n + 1) % 100));
    vec![
        of(
            "dependencies: 101 of one operation",
            &[a.clone(), depends(101)],
            vec![good(), bad().at("/1/dependsOn").says("100 others")],
        )
        .reached(["GET /a"]),
        of(
            "dependencies: 100,000 of one operation",
            &[a.clone(), depends(100_000)],
            vec![good(), bad().at("/1/dependsOn")],
        )
        .reached(["GET /a"]),
        of(
            "dependencies: a chain as long as the batch, which fails",
            &chain.collect::<Vec<_>>(),
            std::iter::once(404).chain([424; 99]).map(Slot::from).collect(),
        )
        .reached(["GET /missing"]),
        of(
            "dependencies: a circle as long as the batch",
            &circle.collect::<Vec<_>>(),
            vec![bad().says("in a circle"); 100],
        ),
        of("references: 101 of one operation", &[a.clone(), refs(101)], vec![good(), bad().says("100 references")])
            .reached(["GET /a"]),
        of(
            "references: a pointer of 65 steps",
            &[a.clone(), pointer(65)],
            vec![good(), bad().at("/1/refs/x").says("64 steps")],
        )
        .reached(["GET /a"]),
        of(
            "references: a pointer of 100,000 steps",
            &[a.clone(), pointer(100_000)],
            vec![good(), bad().at("/1/refs/x").says("64 steps")],
        )
        .reached(["GET /a"]),
        of(
            "references: a name of 1 MiB",
            &[a.clone(), format!(r#"{{"path":"/b","refs":{{"{}":"b#"}}}}"#, "x".repeat(1 << 20))],
            vec![good(), bad()],
        )
        .reached(["GET /a"]),
        of("references: each doubles the one before", &doubling, doubled).reached(seen),
        of(
            "groups: a name of 257 bytes",
            &[a, format!(r#"{{"group":"{}","path":"/b"}}"#, "g".repeat(257))],
            vec![good(), bad().at("/1/group").says("256 bytes")],
        )
        .reached(["GET /a"]),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    let plain = [DEPENDENCIES, REFERENCES, GROUPS].concat();
    let with = TRANSACTIONS.iter().map(program).chain(wholes()).map(with_transactions);
    plain.iter().map(program).chain(with).chain(bombs()).collect()
}

#[tokio::test]
async fn batches_that_are_programs() {
    play(cases(), 72).await;
}
