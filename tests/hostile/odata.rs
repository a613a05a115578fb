//! OData JSON, told apart by `requests`.

use super::{
    answer::Format,
    case::{Case, Expected, Slot, play, statuses},
    json::{Faulty, JSON},
    wire::request,
};

const FIRST: &str = r#"{"id":"first","method":"get","url":"/first"}"#;
const LAST: &str = r#"{"id":"last","method":"post","url":"/last","body":{"n":1}}"#;
const HEALTHY: [&str; 2] = ["GET /first", r#"POST /last {"n":1}"#];

const MEMBERS: &[Faulty] = &[
    ("odata: null as a request", "null", "/id", "`id` is required"),
    ("odata: an array as a request", r#"["get","/"]"#, "/id", "`id` is required"),
    ("odata: no id", r#"{"method":"get","url":"/"}"#, "/id", "`id` is required"),
    ("odata: a number as an id", r#"{"id":1,"method":"get","url":"/"}"#, "/id", "`id` is required"),
    ("odata: null as an id", r#"{"id":null,"method":"get","url":"/"}"#, "/id", "`id` is required"),
    ("odata: a lone surrogate as an id", r#"{"id":"\udfff","method":"get","url":"/"}"#, "/id", "`id` is required"),
    ("odata: no method", r#"{"id":"1","url":"/"}"#, "/method", "`method` is required"),
    ("odata: a number as a method", r#"{"id":"1","method":1,"url":"/"}"#, "/method", "`method` is required"),
    ("odata: CONNECT", r#"{"id":"1","method":"connect","url":"/"}"#, "/method", "CONNECT and TRACE"),
    (
        "odata: crlf injection by a method",
        r#"{"id":"1","method":"get / HTTP/1.1\r\nx: y","url":"/"}"#,
        "/method",
        "not an HTTP method",
    ),
    ("odata: no url", r#"{"id":"1","method":"get","path":"/"}"#, "/url", "`url` is required"),
    ("odata: a number as a url", r#"{"id":"1","method":"get","url":7}"#, "/url", "`url` is required"),
    (
        "odata: an array of headers",
        r#"{"id":"1","method":"get","url":"/","headers":["a"]}"#,
        "/headers",
        "must be an object",
    ),
    (
        "odata: an array as a header",
        r#"{"id":"1","method":"get","url":"/","headers":{"accept":["a"]}}"#,
        "/headers/accept",
        "must be a string",
    ),
    (
        "odata: one header twice",
        r#"{"id":"1","method":"get","url":"/","headers":{"OData-Version":"4.0","odata-version":"4.01"}}"#,
        "/headers/odata-version",
        "twice",
    ),
    ("odata: two urls", r#"{"id":"1","method":"get","url":"/a","url":"/admin"}"#, "/url", "twice"),
    (
        "odata: two methods, one of them null",
        r#"{"id":"1","method":"get","method":null,"url":"/a"}"#,
        "/method",
        "twice",
    ),
    (
        "odata: crlf injection by a header",
        r#"{"id":"1","method":"get","url":"/","headers":{"odata-version":"4.0\r\nx-real-ip: ::1"}}"#,
        "/headers/odata-version",
        "HTTP does not allow",
    ),
    (
        "odata: apisix cve-2022-24112",
        r#"{"id":"1","method":"get","url":"/","headers":{"X-Forwarded-For":"::1"}}"#,
        "/headers/X-Forwarded-For",
        "`x-forwarded-for`",
    ),
    (
        "odata: credentials of somebody else",
        r#"{"id":"1","method":"get","url":"/","headers":{"Authorization":"Bearer x"}}"#,
        "/headers/Authorization",
        "`authorization`",
    ),
    (
        "odata: a Host header",
        r#"{"id":"1","method":"get","url":"/","headers":{"Host":"evil.example"}}"#,
        "/headers/Host",
        "another host",
    ),
    (
        "odata: text that is a number",
        r#"{"id":"1","method":"put","url":"/","headers":{"content-type":"text/plain"},"body":7}"#,
        "/body",
        "must be a string",
    ),
    (
        "odata: bytes that are no base64",
        r#"{"id":"1","method":"put","url":"/","headers":{"content-type":"image/png"},"body":"%%%"}"#,
        "/body",
        "base64",
    ),
    (
        "odata: bytes in two alphabets",
        r#"{"id":"1","method":"put","url":"/","headers":{"content-type":"image/png"},"body":"+_-/"}"#,
        "/body",
        "base64",
    ),
    (
        "odata: a number as a group",
        r#"{"id":"1","atomicityGroup":7,"method":"get","url":"/"}"#,
        "/atomicityGroup",
        "must be a string",
    ),
    (
        "odata: a string of dependencies",
        r#"{"id":"1","dependsOn":"first","method":"get","url":"/"}"#,
        "/dependsOn",
        "must be an array",
    ),
    (
        "odata: a number as a condition",
        r#"{"id":"1","if":true,"method":"get","url":"/"}"#,
        "/if",
        "must be an expression",
    ),
    (
        "odata: a dependency on itself",
        r#"{"id":"1","dependsOn":["1"],"method":"get","url":"/"}"#,
        "/dependsOn/0",
        "no request before this one",
    ),
    (
        "odata: a dependency on what comes later",
        r#"{"id":"1","dependsOn":["last"],"method":"get","url":"/"}"#,
        "/dependsOn/0",
        "no request before this one",
    ),
    (
        "odata: a condition on what comes later",
        r#"{"id":"1","if":"$last/$succeeded","method":"get","url":"/"}"#,
        "/if",
        "no request before this one",
    ),
    (
        "odata: a condition on itself",
        r#"{"id":"1","if":"not $1/$succeeded","method":"get","url":"/"}"#,
        "/if",
        "no request before this one",
    ),
];

const URLS: &[Faulty] = &[
    (
        "odata: ssrf: another host",
        r#"{"id":"1","method":"get","url":"http://evil.example/"}"#,
        "/url",
        "another server",
    ),
    (
        "odata: ssrf: our own host before an @",
        r#"{"id":"1","method":"get","url":"https://api.example.com@evil.example/"}"#,
        "/url",
        "another server",
    ),
    (
        "odata: ssrf: userinfo before our own host",
        r#"{"id":"1","method":"get","url":"https://evil.example@api.example.com/"}"#,
        "/url",
        "another server",
    ),
    (
        "odata: ssrf: a host that begins like ours",
        r#"{"id":"1","method":"get","url":"https://api.example.com.evil.example/"}"#,
        "/url",
        "another server",
    ),
    (
        "odata: ssrf: a host that ends like ours",
        r#"{"id":"1","method":"get","url":"https://evilapi.example.com/"}"#,
        "/url",
        "another server",
    ),
    (
        "odata: ssrf: another port",
        r#"{"id":"1","method":"get","url":"https://api.example.com:81/"}"#,
        "/url",
        "another server",
    ),
    (
        "odata: ssrf: a port that is none",
        r#"{"id":"1","method":"get","url":"https://api.example.com:80:81/"}"#,
        "/url",
        "another server",
    ),
    (
        "odata: ssrf: a backslash in the authority",
        r#"{"id":"1","method":"get","url":"https://evil.example\\@api.example.com/"}"#,
        "/url",
        "another server",
    ),
    (
        "odata: ssrf: a backslash behind our host",
        r#"{"id":"1","method":"get","url":"https://api.example.com\\.evil.example/"}"#,
        "/url",
        "another server",
    ),
    (
        "odata: ssrf: an encoded slash behind our host",
        r#"{"id":"1","method":"get","url":"https://api.example.com%2f@evil.example/"}"#,
        "/url",
        "another server",
    ),
    (
        "odata: ssrf: a line end behind our host",
        r#"{"id":"1","method":"get","url":"https://api.example.com\r\n/"}"#,
        "/url",
        "another server",
    ),
    ("odata: ssrf: no host", r#"{"id":"1","method":"get","url":"https:///etc/passwd"}"#, "/url", "another server"),
    (
        "odata: ssrf: another scheme",
        r#"{"id":"1","method":"get","url":"ftp://api.example.com/"}"#,
        "/url",
        "another server",
    ),
    ("odata: ssrf: a file", r#"{"id":"1","method":"get","url":"file:///etc/passwd"}"#, "/url", "another server"),
    (
        "odata: ssrf: two slashes",
        r#"{"id":"1","method":"get","url":"//evil.example/"}"#,
        "/url",
        "must not begin with `//`",
    ),
    (
        "odata: ssrf: two slashes behind our host",
        r#"{"id":"1","method":"get","url":"https://api.example.com//evil.example/"}"#,
        "/url",
        "must not begin with `//`",
    ),
    ("odata: ssrf: a backslash", r#"{"id":"1","method":"get","url":"\\\\evil.example\\"}"#, "/url", "backslash"),
    (
        "odata: ssrf: a fragment behind our host",
        r#"{"id":"1","method":"get","url":"https://api.example.com#@evil.example/"}"#,
        "/url",
        "fragment",
    ),
    ("odata: traversal: relative", r#"{"id":"1","method":"get","url":"../admin"}"#, "/url", "`..` segments"),
    ("odata: traversal: encoded", r#"{"id":"1","method":"get","url":"%2e%2e%2fadmin"}"#, "/url", "`..` segments"),
    ("odata: traversal: a path parameter", r#"{"id":"1","method":"get","url":"a/..;/admin"}"#, "/url", "`..` segments"),
    (
        "odata: traversal: behind our host",
        r#"{"id":"1","method":"get","url":"https://api.example.com/a/../admin"}"#,
        "/url",
        "`..` segments",
    ),
    (
        "odata: nested: the batch",
        r#"{"id":"1","method":"POST","url":"/batch","body":{"requests":[]}}"#,
        "/url",
        "operation of a batch",
    ),
    (
        "odata: nested: its other path, relative",
        r#"{"id":"1","method":"post","url":"$batch","body":{"requests":[]}}"#,
        "/url",
        "operation of a batch",
    ),
    (
        "odata: nested: with our own host",
        r#"{"id":"1","method":"POST","url":"https://API.example.com/batch?a","body":{"requests":[]}}"#,
        "/url",
        "operation of a batch",
    ),
    (
        "odata: references: without a dependency",
        r#"{"id":"1","method":"get","url":"$first/a"}"#,
        "/url",
        "`dependsOn` does not name",
    ),
    (
        "odata: references: to nobody",
        r#"{"id":"1","method":"get","url":"$nobody"}"#,
        "/url",
        "`dependsOn` does not name",
    ),
    (
        "odata: references: to the empty name",
        r#"{"id":"1","method":"get","url":"$/a"}"#,
        "/url",
        "`dependsOn` does not name",
    ),
    ("odata: references: to itself", r#"{"id":"1","method":"get","url":"$1/a"}"#, "/url", "`dependsOn` does not name"),
    (
        "odata: references: dots behind one",
        r#"{"id":"1","dependsOn":["first"],"method":"get","url":"$first/../admin"}"#,
        "/url",
        "`..` segments",
    ),
    (
        "odata: references: an entity tag without a dependency",
        r#"{"id":"1","method":"get","url":"/","headers":{"if-match":"$first"}}"#,
        "/headers/if-match",
        "`dependsOn` does not name",
    ),
];

/// Refused as a whole.
const WHOLE: &[(&str, &[u8], &str)] = &[
    ("odata: no requests", br#"{"requests":[]}"#, "empty"),
    ("odata: null for requests", br#"{"requests":null}"#, "an array `requests`"),
    ("odata: an object for requests", br#"{"requests":{"0":{}}}"#, "an array `requests`"),
    ("odata: two containers", br#"{"requests":[{"id":"1","method":"get","url":"/"}],"requests":[]}"#, "twice"),
    ("odata: requests beside operations", br#"{"requests":[{"id":"1","method":"get","url":"/"}],"operations":[{"path":"/"}]}"#, "not both"),
    ("odata: requests beside operations that are null", br#"{"requests":[{"id":"1","method":"get","url":"/"}],"operations":null}"#, "not both"),
    ("odata: an annotation twice", br#"{"@a":1,"requests":[{"id":"1","method":"get","url":"/"}],"@a":1}"#, "twice"),
    ("odata: one id twice", br#"{"requests":[{"id":"1","method":"get","url":"/"},{"id":"1","method":"get","url":"/"}]}"#, "same id"),
    ("odata: a group called like a request", br#"{"requests":[{"id":"1","method":"get","url":"/"},{"id":"2","atomicityGroup":"1","method":"get","url":"/"}]}"#, "1"),
    ("odata: a request called like a group", br#"{"requests":[{"id":"1","atomicityGroup":"2","method":"get","url":"/"},{"id":"2","method":"get","url":"/"}]}"#, "2"),
    ("odata: a request called like its own group", br#"{"requests":[{"id":"1","atomicityGroup":"1","method":"get","url":"/"}]}"#, "1"),
    ("odata: cut off in a request", br#"{"requests":[{"id":"1","method":"get","url":"/"},{"id":"#, "not valid JSON"),
    ("odata: cut off before the last brace", br#"{"requests":[{"id":"1","method":"get","url":"/"}]"#, "not valid JSON"),
    ("odata: text behind it", br#"{"requests":[{"id":"1","method":"get","url":"/"}]}{"#, "not valid JSON"),
    ("odata: bytes that are no UTF-8", b"{\"requests\":[{\"id\":\"\xfe\",\"method\":\"get\",\"url\":\"/\"}]}", "not UTF-8"),
];

/// A name, the requests, the status of each, what reaches the service.
type Program = (&'static str, &'static str, &'static [u16], &'static [&'static str]);

const PROGRAMS: &[Program] = &[
    (
        "odata: a circle",
        r#"{"id":"a","dependsOn":["b"],"method":"get","url":"/a"},{"id":"b","dependsOn":["a"],"method":"get","url":"/b"},{"id":"c","method":"get","url":"/c"}"#,
        &[400, 424, 200],
        &["GET /c"],
    ),
    (
        "odata: a condition that is an expression",
        r#"{"id":"a","method":"get","url":"/a"},{"id":"b","if":"$a/$succeeded or 1 eq 1","method":"get","url":"/b"}"#,
        &[200, 424],
        &["GET /a"],
    ),
    (
        "odata: a condition that is code",
        r#"{"id":"a","method":"get","url":"/a"},{"id":"b","if":"process.exit()","method":"get","url":"/b"}"#,
        &[200, 424],
        &["GET /a"],
    ),
    (
        "odata: an empty condition",
        r#"{"id":"a","method":"get","url":"/a"},{"id":"b","if":"","method":"get","url":"/b"}"#,
        &[200, 424],
        &["GET /a"],
    ),
    (
        "odata: a condition that denies twice",
        r#"{"id":"a","method":"get","url":"/missing"},{"id":"b","if":"not not $a/$succeeded","method":"get","url":"/b"}"#,
        &[404, 424],
        &["GET /missing"],
    ),
    (
        "odata: a condition that holds because one was refused",
        r#"{"id":"a","method":"get","url":"//evil.example"},{"id":"b","if":"not $a/$succeeded","method":"get","url":"/b"}"#,
        &[400, 200],
        &["GET /b"],
    ),
    (
        "odata: a group without transactions",
        r#"{"id":"a","atomicityGroup":"g","method":"put","url":"/a"},{"id":"b","atomicityGroup":"g","method":"put","url":"/b"},{"id":"c","method":"get","url":"/c"}"#,
        &[501, 501, 200],
        &["GET /c"],
    ),
    (
        "odata: a group that stands apart",
        r#"{"id":"a","atomicityGroup":"g","method":"put","url":"/a"},{"id":"b","method":"get","url":"/b"},{"id":"c","atomicityGroup":"g","method":"put","url":"/c"}"#,
        &[400, 200, 400],
        &["GET /b"],
    ),
    (
        "odata: a dependency on a member of a group",
        r#"{"id":"a","atomicityGroup":"g","method":"put","url":"/a"},{"id":"b","dependsOn":["a"],"method":"get","url":"/b"},{"id":"c","method":"get","url":"/c"}"#,
        &[200, 400, 200],
        &["PUT /a", "GET /c"],
    ),
    (
        "odata: ssrf: below a location on another host",
        r#"{"id":"a","method":"post","url":"/created?https://evil.example/x"},{"id":"b","dependsOn":["a"],"method":"get","url":"$a/y"}"#,
        &[201, 424],
        &["POST /created?https://evil.example/x"],
    ),
    (
        "odata: ssrf: below a location with two slashes",
        r#"{"id":"a","method":"post","url":"/created?//evil.example"},{"id":"b","dependsOn":["a"],"method":"get","url":"$a/y"}"#,
        &[201, 424],
        &["POST /created?//evil.example"],
    ),
    (
        "odata: nested: the batch below a location",
        r#"{"id":"a","method":"post","url":"/created?/batch"},{"id":"b","dependsOn":["a"],"method":"post","url":"$a"}"#,
        &[201, 424],
        &["POST /created?/batch"],
    ),
    (
        "odata: a reference behind a slash is a path",
        r#"{"id":"a","method":"get","url":"/a"},{"id":"b","dependsOn":["a"],"method":"get","url":"/$a/b"}"#,
        &[200, 200],
        &["GET /a", "GET /$a/b"],
    ),
    (
        "odata: ids that are no names elsewhere",
        r#"{"id":"","method":"get","url":"/a"},{"id":"__proto__","method":"get","url":"/b"},{"id":"\u0000\u202e","method":"get","url":"/c"}"#,
        &[200, 200, 200],
        &["GET /a", "GET /b", "GET /c"],
    ),
    (
        "odata: our own host in capitals, with the default port",
        r#"{"id":"a","method":"GET","url":"HTTPS://API.EXAMPLE.COM:443/a"},{"id":"b","method":"GET","url":"http://public.example.com:8443/b"}"#,
        &[200, 200],
        &["GET /a", "GET /b"],
    ),
];

fn sent(lines: &[&str], document: impl AsRef<[u8]>) -> Vec<u8> {
    request(&[&[JSON], lines].concat(), document)
}

fn requests(requests: &str) -> String {
    format!(r#"{{"requests":[{requests}]}}"#)
}

fn among(name: &'static str, faulty: &str, slot: Slot) -> Case {
    let [first, last] = HEALTHY;
    let slots = vec![Slot::from(200).id("first").body(first), slot, Slot::from(200).id("last").body(last)];
    let document = requests(&format!("{FIRST},{faulty},{LAST}"));
    Case::new(name, sent(&[], document), Expected::Slots(Format::OData, slots)).reached(HEALTHY)
}

fn faulty(&(name, faulty, pointer, says): &Faulty) -> Case {
    among(name, faulty, Slot::from(400).at(format!("/requests/1{pointer}")).says(says))
}

/// What has to be generated.
fn sizes() -> Vec<Case> {
    let bad = |name, request: String, pointer: &str, says| {
        among(name, &request, Slot::from(400).at(format!("/requests/1{pointer}")).says(says))
    };
    let many = |count: usize| {
        let all: Vec<_> = (0..count).map(|n| format!(r#"{{"id":"{n}","method":"get","url":"/a"}}"#)).collect();
        requests(&all.join(","))
    };
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let condition = "(".repeat(100_000) + "$first/$succeeded" + &")".repeat(100_000);
    let too_many = || Expected::Refused(413, "100 operations");
    vec![
        bad(
            "odata: an id of 257 bytes",
            format!(r#"{{"id":"{}","method":"get","url":"/"}}"#, "x".repeat(257)),
            "/id",
            "256 bytes",
        ),
        bad(
            "odata: a relative url of 8 KiB",
            format!(r#"{{"id":"1","method":"get","url":"{}"}}"#, "x".repeat(8192)),
            "/url",
            "too long",
        ),
        bad(
            "odata: a deep body",
            format!(r#"{{"id":"1","method":"put","url":"/","body":{deep}}}"#),
            "/body",
            "64 levels",
        ),
        bad("odata: a deep url", format!(r#"{{"id":"1","method":"put","url":{deep}}}"#), "/url", "`url` is required"),
        bad(
            "odata: 101 dependencies",
            format!(r#"{{"id":"1","dependsOn":[{}],"method":"get","url":"/"}}"#, vec![r#""first""#; 101].join(",")),
            "/dependsOn",
            "100 others",
        ),
        among(
            "odata: a condition in 100,000 brackets",
            &format!(r#"{{"id":"1","if":"{condition}","method":"get","url":"/"}}"#),
            Slot::from(424).at("/requests/1/if"),
        ),
        Case::new("odata: 101 requests", sent(&[], many(101)), too_many()),
        Case::new("odata: 10,000 requests", sent(&[], many(10_000)), too_many()),
        Case::new(
            "odata: requests that never close",
            sent(&[], r#"{"requests":"#.repeat(100_000)),
            Expected::Refused(400, ""),
        ),
    ]
}

/// `Prefer` is a wish, and never refuses anything.
fn preferences() -> Vec<Case> {
    let document = requests(
        r#"{"id":"a","method":"put","url":"/missing"},{"id":"b","dependsOn":[],"if":"not $a/$succeeded","method":"put","url":"/b"}"#,
    );
    let all_run = |name, prefer: &str| {
        let case = Case::new(name, sent(&[prefer], &document), statuses(Format::OData, &[404, 200]));
        case.reached(["PUT /missing", "PUT /b"]).lacks("prefer")
    };
    let stops = |name, prefer: &str| {
        Case::new(name, sent(&[prefer], &document), statuses(Format::OData, &[404, 424])).reached(["PUT /missing"])
    };
    vec![
        all_run("prefer: an unknown value", "prefer: continue-on-error=maybe"),
        all_run("prefer: inside of quotes", r#"prefer: x="continue-on-error=false, continue-on-error=false""#),
        all_run("prefer: quotes that never end", r#"prefer: x="a, continue-on-error=false"#),
        all_run("prefer: respond-async", "prefer: respond-async, wait=0"),
        all_run("prefer: the first word counts", "prefer: continue-on-error=true\r\nprefer: continue-on-error=false"),
        all_run("prefer: 8,000 commas", &format!("prefer: {}", ",".repeat(8000))),
        stops("prefer: to stop", "prefer: odata.continue-on-error=false"),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    let faulty = [MEMBERS, URLS].into_iter().flatten().map(faulty);
    let whole =
        WHOLE.iter().map(|(name, document, says)| Case::new(name, sent(&[], document), Expected::Refused(400, says)));
    let programs = PROGRAMS.iter().map(|(name, all, expected, reached)| {
        Case::new(name, sent(&[], requests(all)), statuses(Format::OData, expected)).reached(*reached)
    });
    faulty.chain(whole).chain(programs).chain(sizes()).chain(preferences()).collect()
}

#[tokio::test]
async fn batches_in_odata() {
    play(cases(), 108).await;
}
