//! Native JSON.

use super::{
    answer::Format,
    case::{Case, Expected, Slot, play, statuses},
    server::Stack,
    wire::{chunked, head, request},
};

pub(crate) const JSON: &str = "content-type: application/json";

/// An operation that is refused in its place: a name, the operation, where the fault is in it, what is said.
pub(crate) type Faulty = (&'static str, &'static str, &'static str, &'static str);

/// One that is none.
const SHAPES: &[Faulty] = &[
    ("null as an operation", "null", "", "must be an object"),
    ("a number as an operation", "7", "", "must be an object"),
    ("a number beyond a double as an operation", "1e999", "", "must be an object"),
    ("a string as an operation", r#""GET /""#, "", "must be an object"),
    ("an array as an operation", r#"["GET","/"]"#, "", "must be an object"),
    ("true as an operation", "true", "", "must be an object"),
    ("an empty operation", "{}", "/path", "no target"),
    ("a whole batch as an operation", r#"{"operations":[{"path":"/"}]}"#, "/path", "no target"),
    ("a member with a lone surrogate for a name", r#"{"path":"/","\ud800":1}"#, "", "can't be read"),
];

/// Members of the wrong type, or too long.
const TYPES: &[Faulty] = &[
    ("a number as an id", r#"{"id":1,"path":"/"}"#, "/id", "must be a string"),
    ("a number beyond a double as an id", r#"{"id":1e999,"path":"/"}"#, "/id", "must be a string"),
    ("an object as an id", r#"{"id":{"$ne":""},"path":"/"}"#, "/id", "must be a string"),
    ("a lone surrogate as an id", r#"{"id":"\ud800","path":"/"}"#, "/id", "must be a string"),
    ("half a pair of surrogates as an id", r#"{"id":"\ude00\ud83d","path":"/"}"#, "/id", "must be a string"),
    ("a number as a method", r#"{"method":7,"path":"/"}"#, "/method", "must be a string"),
    ("an array as a method", r#"{"method":["GET"],"path":"/"}"#, "/method", "must be a string"),
    ("an empty method", r#"{"method":"","path":"/"}"#, "/method", "not an HTTP method"),
    ("a method that has a space", r#"{"method":"GET /admin","path":"/"}"#, "/method", "not an HTTP method"),
    ("a method beyond ASCII", r#"{"method":"GÉT","path":"/"}"#, "/method", "not an HTTP method"),
    ("CONNECT", r#"{"method":"CONNECT","path":"/"}"#, "/method", "CONNECT and TRACE"),
    ("connect", r#"{"method":"connect","path":"/"}"#, "/method", "CONNECT and TRACE"),
    ("TRACE", r#"{"method":"TRACE","path":"/"}"#, "/method", "CONNECT and TRACE"),
    ("null as a path", r#"{"path":null}"#, "/path", "no target"),
    ("a number as a path", r#"{"path":7}"#, "/path", "must be a string"),
    ("an array as a path", r#"{"path":["/a","/b"]}"#, "/path", "must be a string"),
    ("an array as headers", r#"{"path":"/","headers":["accept","a/b"]}"#, "/headers", "must be an object"),
    ("a string as headers", r#"{"path":"/","headers":"accept: a/b"}"#, "/headers", "must be an object"),
    ("a number as a header", r#"{"path":"/","headers":{"range":7}}"#, "/headers/range", "a string or an array"),
    ("an object as a header", r#"{"path":"/","headers":{"range":{}}}"#, "/headers/range", "a string or an array"),
    ("a number among values", r#"{"path":"/","headers":{"range":["a",7]}}"#, "/headers/range", "a string or an array"),
    ("an unknown encoding", r#"{"path":"/","body":"","encoding":"gzip"}"#, "/encoding", "only be `base64`"),
    ("a number as an encoding", r#"{"path":"/","body":"","encoding":7}"#, "/encoding", "only be `base64`"),
    ("base64 that is a number", r#"{"path":"/","body":7,"encoding":"base64"}"#, "/body", "must be a string"),
    ("base64 that is cut off", r#"{"path":"/","body":"YWJjZ","encoding":"base64"}"#, "/body", "not base64"),
    ("base64 that is padding", r#"{"path":"/","body":"====","encoding":"base64"}"#, "/body", "not base64"),
    ("base64 that goes on", r#"{"path":"/","body":"YQ==YQ==","encoding":"base64"}"#, "/body", "not base64"),
    ("base64 with a line end", r#"{"path":"/","body":"YWJj\r\nYWJj","encoding":"base64"}"#, "/body", "not base64"),
    ("base64 with bits left over", r#"{"path":"/","body":"YR==","encoding":"base64"}"#, "/body", "not base64"),
    ("base64 with a NUL", r#"{"path":"/","body":"YWJj\u0000","encoding":"base64"}"#, "/body", "not base64"),
    (
        "text with a lone surrogate",
        r#"{"path":"/","headers":{"content-type":"text/plain"},"body":"\ud800"}"#,
        "/body",
        "lone surrogate",
    ),
];

/// Two readers of one document, where one takes the first and the other one the last.
const DUPLICATES: &[Faulty] = &[
    ("two paths", r#"{"path":"/public","path":"/admin"}"#, "/path", "twice"),
    ("two paths, one in disguise", r#"{"path":"/public","\u0070ath":"/admin"}"#, "/path", "twice"),
    ("a path and a url", r#"{"path":"/public","url":"/admin"}"#, "/url", "only one"),
    ("two methods", r#"{"path":"/","method":"GET","method":"DELETE"}"#, "/method", "twice"),
    ("two ids", r#"{"path":"/","id":"a","id":"b"}"#, "/id", "twice"),
    ("two bodies", r#"{"path":"/","body":1,"body":2}"#, "/body", "twice"),
    ("two encodings, one of them null", r#"{"path":"/","encoding":null,"encoding":"base64"}"#, "/encoding", "twice"),
    ("two headers", r#"{"path":"/","headers":{},"headers":{"range":"a"}}"#, "/headers", "twice"),
    ("one header twice", r#"{"path":"/","headers":{"range":"a","Range":"b"}}"#, "/headers/Range", "twice"),
    (
        "two content types",
        r#"{"path":"/","headers":{"content-type":["text/plain","application/json"]}}"#,
        "/headers/content-type",
        "only one",
    ),
    ("an unknown member twice", r#"{"path":"/","__proto__":1,"__proto__":2}"#, "/__proto__", "twice"),
];

/// CRLF injection, as in the Azure SDKs' multipart writers.
const LINE_ENDS: &[Faulty] = &[
    (
        "crlf injection: by a value",
        r#"{"path":"/","headers":{"accept":"a/b\r\nx-real-ip: 127.0.0.1"}}"#,
        "/headers/accept",
        "HTTP does not allow",
    ),
    (
        "crlf injection: by a second value",
        r#"{"path":"/","headers":{"accept":["a/b","\r\n\r\nGET /"]}}"#,
        "/headers/accept",
        "HTTP does not allow",
    ),
    (
        "crlf injection: CR alone in a value",
        r#"{"path":"/","headers":{"accept":"a\rb"}}"#,
        "/headers/accept",
        "HTTP does not allow",
    ),
    (
        "crlf injection: LF alone in a value",
        r#"{"path":"/","headers":{"accept":"a\nb"}}"#,
        "/headers/accept",
        "HTTP does not allow",
    ),
    (
        "crlf injection: at the end of a value",
        r#"{"path":"/","headers":{"accept":"a/b\r\n"}}"#,
        "/headers/accept",
        "HTTP does not allow",
    ),
    (
        "crlf injection: folded, with a space behind it",
        r#"{"path":"/","headers":{"accept":"a/b\r\n c"}}"#,
        "/headers/accept",
        "HTTP does not allow",
    ),
    ("a NUL in a value", r#"{"path":"/","headers":{"accept":"a\u0000b"}}"#, "/headers/accept", "HTTP does not allow"),
    (
        "crlf injection: by a name",
        r#"{"path":"/","headers":{"accept\r\nx":"a"}}"#,
        "/headers/accept\r\nx",
        "not a header name",
    ),
    ("a name with a colon", r#"{"path":"/","headers":{"accept:":"a"}}"#, "/headers/accept:", "not a header name"),
    (
        "a name with a space before the colon",
        r#"{"path":"/","headers":{"accept ":"a"}}"#,
        "/headers/accept ",
        "not a header name",
    ),
    ("an empty name", r#"{"path":"/","headers":{"":"a"}}"#, "/headers/", "not a header name"),
    (
        "a name beyond ASCII",
        r#"{"path":"/","headers":{"ac\u212aept":"a"}}"#,
        "/headers/ac\u{212a}ept",
        "not a header name",
    ),
    (
        "crlf injection: by a method",
        r#"{"method":"GET / HTTP/1.1\r\nx: y\r\n\r\n","path":"/"}"#,
        "/method",
        "not an HTTP method",
    ),
    ("a NUL in a method", r#"{"method":"GET\u0000","path":"/"}"#, "/method", "not an HTTP method"),
    (
        "crlf injection: by a target",
        r#"{"path":"/ HTTP/1.1\r\nhost: evil.example\r\n\r\n"}"#,
        "/path",
        "percent-encode",
    ),
    ("LF alone in a target", r#"{"path":"/a\nb"}"#, "/path", "control character"),
    ("a NUL in a target", r#"{"path":"/a\u0000.png"}"#, "/path", "control character"),
    ("DEL in a target", r#"{"path":"/a\u007f"}"#, "/path", "control character"),
    ("a tab in a target", r#"{"path":"/a\tb"}"#, "/path", "control character"),
    ("a space in a target", r#"{"path":"/a HTTP/1.1"}"#, "/path", "space"),
    ("a line separator in a target", r#"{"path":"/a\u2028b"}"#, "/path", "outside of ASCII"),
    ("a fragment in a target", r#"{"path":"/a#@evil.example"}"#, "/path", "fragment"),
];

/// Server-side request forgery.
const AUTHORITIES: &[Faulty] = &[
    ("ssrf: an absolute URL", r#"{"path":"http://evil.example/"}"#, "/path", "begins with `/`"),
    ("ssrf: an absolute URL in capitals", r#"{"path":"HTTPS://EVIL.EXAMPLE/"}"#, "/path", "begins with `/`"),
    ("ssrf: an absolute URL with one slash", r#"{"path":"http:/evil.example/"}"#, "/path", "begins with `/`"),
    ("ssrf: our own host before an @", r#"{"url":"http://api.example.com@evil.example/"}"#, "/url", "begins with `/`"),
    ("ssrf: a file", r#"{"path":"file:///etc/passwd"}"#, "/path", "begins with `/`"),
    ("ssrf: gopher", r#"{"path":"gopher://127.0.0.1:6379/_FLUSHALL"}"#, "/path", "begins with `/`"),
    (
        "ssrf: the metadata of a cloud",
        r#"{"path":"http://169.254.169.254/latest/meta-data/"}"#,
        "/path",
        "begins with `/`",
    ),
    ("ssrf: userinfo alone", r#"{"path":"@evil.example/"}"#, "/path", "begins with `/`"),
    ("ssrf: authority-form", r#"{"path":"evil.example:443"}"#, "/path", "begins with `/`"),
    ("asterisk-form", r#"{"method":"OPTIONS","path":"*"}"#, "/path", "begins with `/`"),
    ("an empty target", r#"{"path":""}"#, "/path", "begins with `/`"),
    ("a query alone", r#"{"path":"?admin=1"}"#, "/path", "begins with `/`"),
    ("ssrf: two slashes", r#"{"path":"//evil.example/"}"#, "/path", "must not begin with `//`"),
    ("ssrf: two slashes, escaped in JSON", r#"{"path":"\u002f\/evil.example/"}"#, "/path", "must not begin with `//`"),
    ("ssrf: three slashes", r#"{"path":"///evil.example/"}"#, "/path", "must not begin with `//`"),
    ("ssrf: a slash and a backslash", r#"{"path":"/\\evil.example/"}"#, "/path", "backslash"),
    ("ssrf: two backslashes", r#"{"path":"\\\\evil.example\\share"}"#, "/path", "begins with `/`"),
    ("ssrf: a full-width slash", r#"{"path":"/\uff0fevil.example/"}"#, "/path", "outside of ASCII"),
    ("ssrf: a Host header", r#"{"path":"/","headers":{"host":"evil.example"}}"#, "/headers/host", "another host"),
    (
        "ssrf: a second Host header",
        r#"{"path":"/","headers":{"Host":["api.example.com","evil.example"]}}"#,
        "/headers/Host",
        "another host",
    ),
    (
        "ssrf: a Host header that begins like ours",
        r#"{"path":"/","headers":{"host":"api.example.com.evil.example"}}"#,
        "/headers/host",
        "another host",
    ),
    (
        "ssrf: a Host header with another port",
        r#"{"path":"/","headers":{"host":"api.example.com:81"}}"#,
        "/headers/host",
        "another host",
    ),
    (
        "ssrf: a Host header with userinfo",
        r#"{"path":"/","headers":{"host":"x@api.example.com"}}"#,
        "/headers/host",
        "another host",
    ),
    (
        "ssrf: a Host header with a path",
        r#"{"path":"/","headers":{"host":"api.example.com/admin"}}"#,
        "/headers/host",
        "another host",
    ),
    ("ssrf: an empty Host header", r#"{"path":"/","headers":{"host":""}}"#, "/headers/host", "another host"),
];

const TRAVERSAL: &[Faulty] = &[
    ("traversal: plain", r#"{"path":"/../etc/passwd"}"#, "/path", "`..` segments"),
    ("traversal: deep inside", r#"{"path":"/public/a/../../admin"}"#, "/path", "`..` segments"),
    ("traversal: at the end", r#"{"path":"/public/.."}"#, "/path", "`..` segments"),
    ("traversal: one dot", r#"{"path":"/./admin"}"#, "/path", "`..` segments"),
    ("traversal: before a query", r#"{"path":"/public/..?a=b"}"#, "/path", "`..` segments"),
    ("traversal: %2e%2e", r#"{"path":"/public/%2e%2e/admin"}"#, "/path", "`..` segments"),
    ("traversal: %2E%2e", r#"{"path":"/public/%2E%2e/admin"}"#, "/path", "`..` segments"),
    ("traversal: .%2e", r#"{"path":"/public/.%2e/admin"}"#, "/path", "`..` segments"),
    ("traversal: ..%2f", r#"{"path":"/public/..%2fadmin"}"#, "/path", "`..` segments"),
    ("traversal: %2f..", r#"{"path":"/public%2F.."}"#, "/path", "`..` segments"),
    ("traversal: all of it encoded", r#"{"path":"/%70ublic%2f%2e%2e%2fadmin"}"#, "/path", "`..` segments"),
    ("traversal: behind an escape that is none", r#"{"path":"/a%zz/../admin"}"#, "/path", "`..` segments"),
    ("traversal: a backslash", r#"{"path":"/public/..\\admin"}"#, "/path", "backslash"),
    ("traversal: %5c", r#"{"path":"/public/..%5cadmin"}"#, "/path", "backslash"),
    ("traversal: %5C", r#"{"path":"/public%5C..%5Cadmin"}"#, "/path", "backslash"),
    (
        "traversal: a path parameter, as in F5 CVE-2020-5902",
        r#"{"path":"/public/..;/admin"}"#,
        "/path",
        "`..` segments",
    ),
    ("traversal: a path parameter with a value", r#"{"path":"/public/..;a=b/admin"}"#, "/path", "`..` segments"),
    ("traversal: a path parameter behind one dot", r#"{"path":"/.;/admin"}"#, "/path", "`..` segments"),
    ("traversal: a path parameter, encoded", r#"{"path":"/public/%2e%2e%3b/admin"}"#, "/path", "`..` segments"),
];

/// APISIX CVE-2022-24112, and others of its kind.
const HEADERS: &[Faulty] = &[
    (
        "apisix cve-2022-24112: x-real-ip",
        r#"{"path":"/","headers":{"X-Real-IP":"127.0.0.1"}}"#,
        "/headers/X-Real-IP",
        "`x-real-ip`",
    ),
    (
        "apisix cve-2022-24112: x-forwarded-for",
        r#"{"path":"/","headers":{"x-forwarded-for":"127.0.0.1"}}"#,
        "/headers/x-forwarded-for",
        "`x-forwarded-for`",
    ),
    (
        "apisix cve-2022-24112: x-forwarded-host",
        r#"{"path":"/","headers":{"x-forwarded-host":"evil"}}"#,
        "/headers/x-forwarded-host",
        "`x-forwarded-host`",
    ),
    (
        "apisix cve-2022-24112: x-forwarded-proto",
        r#"{"path":"/","headers":{"x-forwarded-proto":"https"}}"#,
        "/headers/x-forwarded-proto",
        "`x-forwarded-proto`",
    ),
    (
        "apisix cve-2022-24112: forwarded",
        r#"{"path":"/","headers":{"forwarded":"for=127.0.0.1"}}"#,
        "/headers/forwarded",
        "`forwarded`",
    ),
    (
        "apisix cve-2022-24112: with an underscore",
        r#"{"path":"/","headers":{"x_real_ip":"127.0.0.1"}}"#,
        "/headers/x_real_ip",
        "`x_real_ip`",
    ),
    (
        "credentials of somebody else",
        r#"{"path":"/","headers":{"authorization":"Bearer x"}}"#,
        "/headers/authorization",
        "`authorization`",
    ),
    (
        "credentials for a proxy",
        r#"{"path":"/","headers":{"proxy-authorization":"Basic x"}}"#,
        "/headers/proxy-authorization",
        "`proxy-authorization`",
    ),
    ("a cookie of somebody else", r#"{"path":"/","headers":{"cookie":"session=1"}}"#, "/headers/cookie", "`cookie`"),
    (
        "an origin of one's own",
        r#"{"path":"/","headers":{"origin":"https://api.example.com"}}"#,
        "/headers/origin",
        "`origin`",
    ),
    (
        "another method",
        r#"{"path":"/","headers":{"x-http-method-override":"DELETE"}}"#,
        "/headers/x-http-method-override",
        "`x-http-method-override`",
    ),
    (
        "another path",
        r#"{"path":"/","headers":{"x-original-url":"/admin"}}"#,
        "/headers/x-original-url",
        "`x-original-url`",
    ),
    (
        "httpoxy cve-2016-5385: proxy",
        r#"{"path":"/","headers":{"proxy":"http://evil.example"}}"#,
        "/headers/proxy",
        "`proxy`",
    ),
    (
        "smuggling: proxy-connection",
        r#"{"path":"/","headers":{"proxy-connection":"keep-alive"}}"#,
        "/headers/proxy-connection",
        "`proxy-connection`",
    ),
    (
        "smuggling: http2-settings",
        r#"{"path":"/","headers":{"http2-settings":"AAMAAABk"}}"#,
        "/headers/http2-settings",
        "`http2-settings`",
    ),
];

/// A batch in a batch.
const NESTED: &[Faulty] = &[
    (
        "nested: the batch itself",
        r#"{"method":"POST","path":"/batch","body":[{"path":"/"}]}"#,
        "/path",
        "operation of a batch",
    ),
    (
        "nested: with a query",
        r#"{"method":"post","path":"/batch?a=b","body":[{"path":"/"}]}"#,
        "/path",
        "operation of a batch",
    ),
    (
        "nested: its other path",
        r#"{"method":"POST","url":"/$batch","body":[{"path":"/"}]}"#,
        "/url",
        "operation of a batch",
    ),
    (
        "nested: escaped in JSON",
        r#"{"method":"POST","path":"/\u0062atch","body":[{"path":"/"}]}"#,
        "/path",
        "operation of a batch",
    ),
];

pub(crate) const FAULTY: &[&[Faulty]] =
    &[SHAPES, TYPES, DUPLICATES, LINE_ENDS, AUTHORITIES, TRAVERSAL, HEADERS, NESTED];

/// What looks dangerous, and is not: a name, the operation, what reaches the service.
pub(crate) const LEGAL: &[(&str, &str, &str)] = &[
    ("legal: an escaped escape of dots", r#"{"path":"/%252e%252e/a"}"#, "GET /%252e%252e/a"),
    ("legal: an overlong dot, which nobody decodes", r#"{"path":"/%c0%ae%c0%ae/a"}"#, "GET /%c0%ae%c0%ae/a"),
    ("legal: three dots", r#"{"path":"/.../a..b/..c"}"#, "GET /.../a..b/..c"),
    ("legal: a path parameter", r#"{"path":"/a;b=../c"}"#, "GET /a;b=../c"),
    (
        "legal: a URL in a query",
        r#"{"path":"/a?next=http://evil.example/../x"}"#,
        "GET /a?next=http://evil.example/../x",
    ),
    ("legal: two slashes inside", r#"{"path":"/a//evil.example"}"#, "GET /a//evil.example"),
    ("legal: an @ in a path", r#"{"path":"/@evil.example"}"#, "GET /@evil.example"),
    ("legal: a line end, percent-encoded", r#"{"path":"/a%0d%0ab"}"#, "GET /a%0d%0ab"),
    (
        "legal: null for all that is optional",
        r#"{"id":null,"method":null,"path":"/a","headers":null,"body":null,"encoding":null}"#,
        "GET /a",
    ),
    (
        "legal: an object that stands for nothing",
        r#"{"method":"POST","path":"/a","body":{"$ref":"x"}}"#,
        r#"POST /a {"$ref":"x"}"#,
    ),
    ("legal: braces that stand for nothing", r#"{"path":"/{x}"}"#, "GET /{x}"),
    (
        "legal: two members of one name inside of a body",
        r#"{"method":"POST","path":"/a","body":{"b":1,"b":2}}"#,
        r#"POST /a {"b":1,"b":2}"#,
    ),
    (
        "legal: a number beyond a double inside of a body",
        r#"{"method":"POST","path":"/a","body":1e999}"#,
        "POST /a 1e999",
    ),
    (
        "smuggling: transfer-encoding is dropped",
        r#"{"method":"POST","path":"/a","headers":{"Transfer-Encoding":"chunked"},"body":[1]}"#,
        "POST /a [1]",
    ),
    (
        "smuggling: a false length is dropped",
        r#"{"method":"POST","path":"/a","headers":{"content-length":"0"},"body":[1]}"#,
        "POST /a [1]",
    ),
    (
        "smuggling: two false lengths are dropped",
        r#"{"method":"POST","path":"/a","headers":{"content-length":["3","+3"]},"body":[1]}"#,
        "POST /a [1]",
    ),
    (
        "smuggling: connection takes nothing away",
        r#"{"method":"POST","path":"/a","headers":{"connection":"content-length, host"},"body":[1]}"#,
        "POST /a [1]",
    ),
    (
        "smuggling: te and trailer are dropped",
        r#"{"path":"/a","headers":{"te":"trailers","trailer":"host"}}"#,
        "GET /a",
    ),
    ("smuggling: upgrade is dropped", r#"{"path":"/a","headers":{"upgrade":"h2c","connection":"upgrade"}}"#, "GET /a"),
    (
        "smuggling: expect is dropped",
        r#"{"path":"/a","headers":{"expect":"100-continue","keep-alive":"timeout=1"}}"#,
        "GET /a",
    ),
    ("nested: a GET is no batch", r#"{"path":"/batch"}"#, "GET /batch"),
    (
        "nested: percent-encoded it is another path",
        r#"{"method":"POST","path":"/b%61tch","body":[{"path":"/x"}]}"#,
        r#"POST /b%61tch [{"path":"/x"}]"#,
    ),
    (
        "nested: with a slash behind it is another path",
        r#"{"method":"POST","path":"/batch/","body":[{"path":"/x"}]}"#,
        r#"POST /batch/ [{"path":"/x"}]"#,
    ),
    (
        "a gzip bomb in an operation is the service's business",
        r#"{"method":"POST","path":"/a","headers":{"content-encoding":"gzip","content-type":"text/plain"},"body":"H4sI","encoding":"base64"}"#,
        "POST /a \u{1f}\u{fffd}\u{8}",
    ),
];

/// Documents that are refused as a whole: a name, the document, what is said.
const WHOLE: &[(&str, &[u8], &str)] = &[
    ("an empty document", b"", "not valid JSON"),
    ("white space", b" \r\n\t ", "not valid JSON"),
    ("cut off behind the bracket", b"[", "not valid JSON"),
    ("cut off in a name", br#"[{"path":"/a"},{"pa"#, "not valid JSON"),
    ("cut off behind a colon", br#"[{"path":"/a"},{"path":"#, "not valid JSON"),
    ("cut off in a string", br#"[{"path":"/a"},{"path":"/b"#, "not valid JSON"),
    ("cut off behind a backslash", br#"[{"path":"/a\"#, "not valid JSON"),
    ("cut off in an escape", br#"[{"path":"/a\u00"#, "not valid JSON"),
    ("cut off in a literal", br#"[{"path":"/a","body":tru"#, "not valid JSON"),
    ("cut off in a number", br#"[{"path":"/a","body":1e"#, "not valid JSON"),
    ("cut off behind an operation", br#"[{"path":"/a"}"#, "not valid JSON"),
    ("cut off behind a comma", br#"[{"path":"/a"},"#, "not valid JSON"),
    ("cut off before the last brace", br#"{"operations":[{"path":"/a"}]"#, "not valid JSON"),
    ("cut off in a character", b"[{\"path\":\"/a\"},{\"id\":\"\xc3", "not UTF-8"),
    ("a comma at the end", br#"[{"path":"/a"},]"#, "not valid JSON"),
    ("two documents", br#"[{"path":"/a"}][{"path":"/b"}]"#, "not valid JSON"),
    ("text behind the document", br#"[{"path":"/a"}] x"#, "not valid JSON"),
    ("a NUL behind the document", b"[{\"path\":\"/a\"}]\0", "not valid JSON"),
    ("a NUL in a string", b"[{\"path\":\"/a\0\"}]", "not valid JSON"),
    ("a raw line end in a string", b"[{\"path\":\"/a\r\nb\"}]", "not valid JSON"),
    ("a comment", br#"[/* a */{"path":"/a"}]"#, "not valid JSON"),
    ("single quotes", b"[{'path':'/a'}]", "not valid JSON"),
    ("names without quotes", br#"[{path:"/a"}]"#, "not valid JSON"),
    ("a number with a zero before it", br#"[{"path":"/a","body":01}]"#, "not valid JSON"),
    ("NaN", br#"[{"path":"/a","body":NaN}]"#, "not valid JSON"),
    ("an escape that is none", br#"[{"path":"/\x61"}]"#, "not valid JSON"),
    ("brackets that don't match", br#"[{"path":"/a"]}"#, "not valid JSON"),
    ("JSON hijacking: a prefix against it", br#")]}',[{"path":"/a"}]"#, "not valid JSON"),
    ("a byte order mark", b"\xef\xbb\xbf[{\"path\":\"/a\"}]", "not valid JSON"),
    ("UTF-16, little end first", b"\xff\xfe[\0]\0", "not UTF-8"),
    ("UTF-16, big end first, without a mark", b"\0[\0]", "not valid JSON"),
    ("UTF-32", b"[\0\0\0]\0\0\0", "not valid JSON"),
    ("a byte that is no UTF-8", b"[{\"path\":\"/a\xff\"}]", "not UTF-8"),
    ("traversal: an overlong dot, in raw bytes", b"[{\"path\":\"/\xc0\xae\xc0\xae/a\"}]", "not UTF-8"),
    ("traversal: an overlong slash, in raw bytes", b"[{\"path\":\"/..\xe0\x80\xafa\"}]", "not UTF-8"),
    ("a surrogate in raw bytes", b"[{\"id\":\"\xed\xa0\x80\",\"path\":\"/a\"}]", "not UTF-8"),
    ("a character beyond Unicode", b"[{\"id\":\"\xf4\x90\x80\x80\",\"path\":\"/a\"}]", "not UTF-8"),
    ("null", b"null", "an array of operations"),
    ("a number", b"7", "an array of operations"),
    ("a number beyond a double", b"1e999", ""),
    ("a string", br#""[{\"path\":\"/a\"}]""#, "an array of operations"),
    ("true", b"true", "an array of operations"),
    ("an empty array", b"[]", "empty"),
    ("an empty object", b"{}", "no `operations`"),
    ("no operations", br#"{"operations":[]}"#, "empty"),
    ("null for operations", br#"{"operations":null}"#, "an array `operations`"),
    ("an object for operations", br#"{"operations":{"0":{"path":"/a"}}}"#, "an array `operations`"),
    ("an operation for operations", br#"{"path":"/a"}"#, "no `operations`"),
    ("operations in capitals", br#"{"Operations":[{"path":"/a"}]}"#, "no `operations`"),
    ("two containers", br#"{"operations":[{"path":"/a"}],"operations":[{"path":"/b"}]}"#, "twice"),
    (
        "two containers, one in disguise",
        br#"{"operations":[{"path":"/a"}],"\u006fperations":[{"path":"/b"}]}"#,
        "twice",
    ),
    ("two containers, one of them null", br#"{"operations":[{"path":"/a"}],"operations":null}"#, "twice"),
    (
        "operations beside requests",
        br#"{"operations":[{"path":"/a"}],"requests":[{"id":"1","method":"get","url":"/b"}]}"#,
        "not both",
    ),
    ("an unknown member of the batch twice", br#"{"x":1,"x":2,"operations":[{"path":"/a"}]}"#, "twice"),
    ("one id twice", br#"[{"id":"a","path":"/a"},{"id":"a","path":"/b"}]"#, "same id"),
    ("one id twice, once in disguise", br#"[{"id":"a","path":"/a"},{"id":"\u0061","path":"/b"}]"#, "same id"),
    ("one id twice, once in a faulty operation", br#"[{"id":"a","path":"/a"},{"id":"a","path":7}]"#, "same id"),
    ("the empty id twice", br#"[{"id":"","path":"/a"},{"id":"","path":"/b"}]"#, "same id"),
    ("atomic where that is not allowed", br#"{"atomic":true,"operations":[{"path":"/a"}]}"#, "atomic"),
    ("atomic as a string", br#"{"atomic":"true","operations":[{"path":"/a"}]}"#, "true or false"),
    ("atomic twice", br#"{"atomic":false,"operations":[{"path":"/a"}],"atomic":true}"#, ""),
    (
        "a choice after a failure where there is none",
        br#"{"onFailure":"stop","operations":[{"path":"/a"}]}"#,
        "goes on after a failure",
    ),
    ("an unknown choice after a failure", br#"{"onFailure":"rollback","operations":[{"path":"/a"}]}"#, "onFailure"),
];

/// An operation between two healthy ones.
pub(crate) fn between(operation: &str) -> String {
    let (first, last) = (FIRST, LAST);
    format!(r#"{{"operations":[{first},{operation},{last}]}}"#)
}

pub(crate) const FIRST: &str = r#"{"id":"first","path":"/first"}"#;
pub(crate) const LAST: &str = r#"{"id":"last","method":"POST","path":"/last","body":{"n":1}}"#;
pub(crate) const HEALTHY: [&str; 2] = ["GET /first", r#"POST /last {"n":1}"#];

/// What is expected of it: its siblings have their outcomes, each its own.
pub(crate) fn among(slot: Slot) -> Vec<Slot> {
    let [first, last] = HEALTHY;
    vec![Slot::from(200).id("first").body(first), slot, Slot::from(200).id("last").body(last)]
}

fn sent(document: impl AsRef<[u8]>) -> Vec<u8> {
    request(&[JSON], document)
}

fn faulty(&(name, operation, pointer, says): &Faulty) -> Case {
    let slot = Slot::from(400).at(format!("/operations/1{pointer}")).says(says);
    Case::new(name, sent(between(operation)), Expected::Slots(Format::Json, among(slot))).reached(HEALTHY)
}

fn legal(&(name, operation, line): &(&'static str, &'static str, &'static str)) -> Case {
    let expected = Expected::Slots(Format::Json, among(Slot::from(200).body(line)));
    Case::new(name, sent(between(operation)), expected).reached([HEALTHY[0], line, HEALTHY[1]])
}

fn whole(&(name, document, says): &(&'static str, &'static [u8], &'static str)) -> Case {
    Case::new(name, sent(document), Expected::Refused(400, says))
}

/// A fault that is too large to be written down.
fn large(name: &'static str, operation: &str, pointer: &str, says: &'static str) -> Case {
    let slot = Slot::from(400).at(format!("/operations/1{pointer}")).says(says);
    Case::new(name, sent(between(operation)), Expected::Slots(Format::Json, among(slot))).reached(HEALTHY)
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    open.repeat(depth) + &close.repeat(depth)
}

/// As many operations.
fn operations(count: usize) -> String {
    format!("[{}]", vec![r#"{"path":"/a"}"#; count].join(","))
}

const MIB: usize = 1 << 20;

fn sizes() -> Vec<Case> {
    let deep = nested("[", "]", 100_000);
    let long = "x".repeat(MIB);
    let members: Vec<_> = (0..300).map(|n| format!(r#""x{n}":{n}"#)).collect();
    let headers: Vec<_> = (0..65).map(|n| format!(r#""if-x{n}":"a""#)).collect();
    let too_large = || Expected::Refused(413, "2097152 bytes");
    let too_many = || Expected::Refused(413, "100 operations");
    let all_run = |count| vec![200; count];
    vec![
        large("deep: a body", &format!(r#"{{"path":"/","body":{deep}}}"#), "/body", "64 levels"),
        large(
            "deep: a body of objects",
            &format!(r#"{{"path":"/","body":{}}}"#, nested(r#"{"a":"#, "}", 50_000).replace(":}", ":1}")),
            "/body",
            "64 levels",
        ),
        large(
            "deep: one level too many",
            &format!(r#"{{"path":"/","body":{}}}"#, nested("[", "]", 65)),
            "/body",
            "64 levels",
        ),
        large("deep: an operation", &deep, "", "must be an object"),
        large("deep: a path", &format!(r#"{{"path":{deep}}}"#), "/path", "must be a string"),
        large(
            "deep: a header",
            &format!(r#"{{"path":"/","headers":{{"range":{deep}}}}}"#),
            "/headers/range",
            "a string or an array",
        ),
        Case::new("deep: brackets that never close", sent("[".repeat(MIB)), Expected::Refused(400, "")),
        Case::new(
            "deep: containers that never close",
            sent(r#"{"operations":"#.repeat(100_000)),
            Expected::Refused(400, ""),
        ),
        Case::new(
            "deep: operations that never close",
            sent(r#"[{"path":"#.repeat(100_000)),
            Expected::Refused(400, ""),
        ),
        Case::new(
            "deep: all of it unknown",
            sent(format!(r#"{{"x":{deep},"operations":[{FIRST},{LAST}]}}"#)),
            statuses(Format::Json, &[200, 200]),
        )
        .reached(HEALTHY),
        large("huge: an id of 257 bytes", &format!(r#"{{"id":"{}","path":"/"}}"#, &long[..257]), "/id", "256 bytes"),
        large(
            "huge: an id of 129 characters of two bytes",
            &format!(r#"{{"id":"{}","path":"/"}}"#, "ü".repeat(129)),
            "/id",
            "256 bytes",
        ),
        large("huge: an id", &format!(r#"{{"id":"{long}","path":"/"}}"#), "/id", "256 bytes"),
        large("huge: a method", &format!(r#"{{"method":"{long}","path":"/"}}"#), "/method", "not an HTTP method"),
        large("huge: a target", &format!(r#"{{"path":"/{}"}}"#, &long[..8192]), "/path", "too long"),
        large(
            "huge: a header",
            &format!(r#"{{"path":"/","headers":{{"range":"{}"}}}}"#, &long[..16_384]),
            "/headers/range",
            "16384 bytes",
        ),
        large(
            "huge: a header's name",
            &format!(r#"{{"path":"/","headers":{{"{long}":"a"}}}}"#),
            "/headers",
            "16384 bytes",
        ),
        large(
            "huge: 65 headers",
            &format!(r#"{{"path":"/","headers":{{{}}}}}"#, headers.join(",")),
            "/headers/if-x64",
            "64 headers",
        ),
        large(
            "huge: 100,000 values of one header",
            &format!(r#"{{"path":"/","headers":{{"range":[{}]}}}}"#, vec![r#""""#; 100_000].join(",")),
            "/headers/range",
            "64 headers",
        ),
        large(
            "huge: 300 members that nobody knows",
            &format!(r#"{{"path":"/",{}}}"#, members.join(",")),
            "",
            "256 members",
        ),
        Case::new("huge: a string", sent(format!(r#""{long}""#)), Expected::Refused(400, "an array of operations")),
        Case::new(
            "huge: the name of a container",
            sent(format!(r#"{{"{long}":[]}}"#)),
            Expected::Refused(400, "no `operations`"),
        ),
        Case::new("huge: 100 operations are a batch", sent(operations(100)), statuses(Format::Json, &all_run(100)))
            .reached(vec!["GET /a"; 100]),
        Case::new("huge: 101 operations", sent(operations(101)), too_many()),
        Case::new("huge: 10,000 operations", sent(operations(10_000)), too_many()),
        Case::new(
            "huge: 100,000 operations that are none",
            sent(format!("[{}]", vec!["0"; 100_000].join(","))),
            too_many(),
        ),
        Case::new("huge: one byte more than a batch may have", sent(" ".repeat(2 * MIB + 1)), too_large()),
        Case::new("huge: one byte more, in chunks", chunked(&[JSON], " ".repeat(2 * MIB + 1), 1 << 16), too_large()),
        Case::new(
            "huge: the length alone, and nothing behind it",
            head(&[JSON, "content-length: 9999999999"]),
            Expected::Refused(413, "2097152 bytes"),
        ),
        Case::new(
            "huge: just what a batch may have",
            sent(operations(2) + &" ".repeat(2 * MIB - operations(2).len())),
            statuses(Format::Json, &[200, 200]),
        )
        .reached(["GET /a"; 2]),
    ]
}

/// Where a policy says what can be reached: each of these would get past it, if it were let through.
fn policy() -> impl Iterator<Item = Case> {
    let public = |name, path: &str, status, reached: &[&'static str]| {
        let sent = sent(format!(r#"[{{"path":"{path}"}}]"#));
        Case::new(name, sent, statuses(Format::Json, &[status])).on(Stack::Public).reached(reached)
    };
    [
        public("policy: what is public", "/public/a", 200, &["GET /public/a"]),
        public("policy: what is not", "/admin", 403, &[]),
        public("policy: another case", "/PUBLIC/a", 403, &[]),
        public("policy: the same, percent-encoded", "/%70ublic/a", 403, &[]),
        public("policy: out of it by dots", "/public/../admin", 400, &[]),
        public("policy: out of it by encoded dots", "/public/%2e%2e%2fadmin", 400, &[]),
        public("policy: out of it by a path parameter", "/public/..;/admin", 400, &[]),
    ]
    .into_iter()
}

pub(crate) fn cases() -> Vec<Case> {
    let faulty = FAULTY.iter().flat_map(|rows| rows.iter().map(faulty));
    let inner = r#"{"method":"POST","path":"/inner","headers":{"content-type":"application/json"},"body":[{"path":"/x"},{"path":"/y"}]}"#;
    let slot = Slot::from(400).says("an operation of another batch");
    let nested =
        Case::new("nested: another endpoint inside", sent(between(inner)), Expected::Slots(Format::Json, among(slot)));
    let all = faulty.chain(LEGAL.iter().map(legal)).chain(WHOLE.iter().map(whole)).chain(sizes()).chain(policy());
    all.chain([nested.reached(HEALTHY)]).collect()
}

#[tokio::test]
async fn batches_in_json() {
    play(cases(), 261).await;
}

/// At every byte of it, a document is refused as a whole, and nothing of it runs.
#[tokio::test]
async fn a_document_cut_off_at_every_byte() {
    let document = between(
        r#"{"id":"\u00e4","method":"PUT","path":"/a?b","headers":{"if-match":["\"1\""]},"body":[1.5e3,null,"c"]}"#,
    );
    let cases = (1..document.len()).map(|length| {
        let name: &'static str = format!("the first {length} bytes").leak();
        Case::new(name, sent(&document[..length]), Expected::Refused(400, ""))
    });
    play(cases.collect(), document.len() - 1).await;
}
