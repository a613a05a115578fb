//! `multipart/mixed`, and answers in it.

use super::{
    answer::Format,
    case::{Case, Expected, Slot, play, statuses},
    json::JSON,
    server::Stack,
    wire::request,
};

const MIXED: &str = "content-type: multipart/mixed; boundary=b";

const FIRST: &[u8] =
    b"--b\r\nContent-Type: application/http\r\nContent-ID: first\r\n\r\nGET /first HTTP/1.1\r\n\r\n\r\n";
const LAST: &[u8] = b"--b\r\nContent-Type: application/http\r\nContent-ID: last\r\n\r\nPOST /last HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"n\":1}\r\n";
const END: &[u8] = b"--b--\r\n";
const HEALTHY: [&str; 2] = ["GET /first", r#"POST /last {"n":1}"#];

/// A name, a part, where the fault is in it, what is said.
type Faulty = (&'static str, &'static [u8], &'static str, &'static str);

/// What stands around a request.
const PARTS: &[Faulty] = &[
    ("multipart: an empty part", b"", "", "`application/http`"),
    ("multipart: a part without a type", b"\r\nGET /a HTTP/1.1\r\n\r\n", "", "`application/http`"),
    ("multipart: a part of text", b"Content-Type: text/plain\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "`application/http`"),
    ("multipart: a form", b"Content-Type: multipart/form-data; boundary=c\r\n\r\n--c\r\n--c--", "", "`application/http`"),
    ("multipart: two types", b"Content-Type: application/http\r\nContent-Type: text/plain\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "more than one `Content-Type`"),
    ("multipart: a type in another charset", b"Content-Type: application/http; charset=utf-16\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "`application/http`"),
    ("multipart: base64", b"Content-Type: application/http\r\nContent-Transfer-Encoding: base64\r\n\r\nR0VUIC9hIEhUVFAvMS4x\r\n\r\n", "", "`binary`"),
    ("multipart: quoted-printable", b"Content-Type: application/http\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGET /=2e=2e/a HTTP/1.1\r\n\r\n", "", "`binary`"),
    ("multipart: two encodings", b"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-Transfer-Encoding: base64\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "more than one"),
    ("multipart: two ids", b"Content-Type: application/http\r\nContent-ID: x\r\nContent-ID: y\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "more than one `Content-ID`"),
    ("multipart: an id that is no UTF-8", b"Content-Type: application/http\r\nContent-ID: \xff\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "not UTF-8"),
    ("multipart: an id with a NUL", b"Content-Type: application/http\r\nContent-ID: a\0b\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "can't be read"),
    ("crlf injection: an id with a bare CR", b"Content-Type: application/http\r\nContent-ID: a\rX-Real-IP: ::1\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "can't be read"),
    ("multipart: white space before a colon", b"Content-Type : application/http\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "can't be read"),
    ("multipart: a header that begins folded", b" Content-Type: application/http\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "can't be read"),
    ("multipart: a header without a colon", b"Content-Type application/http\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "can't be read"),
    ("multipart: a header's name beyond ASCII", b"C\xc3\xb6ntent-Type: application/http\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "", "can't be read"),
    ("multipart: a header without an end", b"Content-Type: application/http\r\nGET /a HTTP/1.1\r\n", "", "can't be read"),
    ("multipart: nothing behind the header", b"Content-Type: application/http\r\n\r\n", "", "request line"),
    ("multipart: bare CRs for line ends", b"Content-Type: application/http\r\rGET /a HTTP/1.1\r\r", "", "can't be read"),
    ("multipart: UTF-16", b"\xff\xfeC\0o\0n\0t\0e\0n\0t\0", "", "can't be read"),
];

/// The line of a request.
const REQUEST_LINES: &[Faulty] = &[
    ("multipart: a response", b"HTTP/1.1 200 OK\r\n\r\n", "/method", "not an HTTP method"),
    ("multipart: a method alone", b"GET\r\n\r\n", "", "request line"),
    ("multipart: no method", b" /a HTTP/1.1\r\n\r\n", "", "request line"),
    ("multipart: tabs in a request line", b"GET\t/a\tHTTP/1.1\r\n\r\n", "", "request line"),
    ("multipart: a tab before the version", b"GET /a\tHTTP/1.1\r\n\r\n", "/target", "control character"),
    ("multipart: two spaces before the target", b"GET  /a HTTP/1.1\r\n\r\n", "/target", "space"),
    ("multipart: two spaces behind the target", b"GET /a  HTTP/1.1\r\n\r\n", "/target", "space"),
    ("multipart: a space behind the version", b"GET /a HTTP/1.1 \r\n\r\n", "/target", "space"),
    ("multipart: two targets", b"GET /a /admin HTTP/1.1\r\n\r\n", "/target", "space"),
    ("multipart: HTTP/2", b"GET /a HTTP/2\r\n\r\n", "", "request line"),
    ("multipart: HTTP/9.9", b"GET /a HTTP/9.9\r\n\r\n", "", "request line"),
    ("multipart: HTTP/0.9", b"GET /a HTTP/0.9\r\n\r\n", "", "request line"),
    ("multipart: HTTP/1.10", b"GET /a HTTP/1.10\r\n\r\n", "", "request line"),
    ("multipart: http/1.1", b"GET /a http/1.1\r\n\r\n", "", "request line"),
    ("multipart: the beginning of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", "request line"),
    ("multipart: CONNECT", b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n", "/method", "CONNECT and TRACE"),
    ("multipart: TRACE", b"TRACE /a HTTP/1.1\r\n\r\n", "/method", "CONNECT and TRACE"),
    ("multipart: a method that is no UTF-8", b"G\xff /a HTTP/1.1\r\n\r\n", "", "request line"),
    ("multipart: a NUL in a method", b"GET\0 /a HTTP/1.1\r\n\r\n", "/method", "not an HTTP method"),
    ("multipart: a NUL in a target", b"GET /a\0b HTTP/1.1\r\n\r\n", "/target", "control character"),
    ("crlf injection: a bare CR in a request line", b"GET /a HTTP/1.1\rX-Real-IP: ::1\r\n\r\n", "/target", "space"),
    (
        "multipart: traversal: an overlong dot, in raw bytes",
        b"GET /\xc0\xae\xc0\xae/a HTTP/1.1\r\n\r\n",
        "/target",
        "outside of ASCII",
    ),
    ("multipart: traversal: relative", b"GET ../admin HTTP/1.1\r\n\r\n", "/target", "`..` segments"),
    ("multipart: traversal: a path parameter", b"GET /a/..;/admin HTTP/1.1\r\n\r\n", "/target", "`..` segments"),
    ("multipart: traversal: a backslash", b"GET /a\\..\\admin HTTP/1.1\r\n\r\n", "/target", "backslash"),
    ("multipart: ssrf: another host", b"GET http://evil.example/ HTTP/1.1\r\n\r\n", "/target", "another server"),
    (
        "multipart: ssrf: our own host before an @",
        b"GET https://api.example.com@evil.example/ HTTP/1.1\r\n\r\n",
        "/target",
        "another server",
    ),
    (
        "multipart: ssrf: a backslash in the authority",
        b"GET https://evil.example\\@api.example.com/ HTTP/1.1\r\n\r\n",
        "/target",
        "another server",
    ),
    ("multipart: ssrf: two slashes", b"GET //evil.example/ HTTP/1.1\r\n\r\n", "/target", "must not begin with `//`"),
    (
        "multipart: ssrf: two slashes behind our host",
        b"GET https://api.example.com//evil.example/ HTTP/1.1\r\n\r\n",
        "/target",
        "must not begin with `//`",
    ),
    (
        "multipart: nested: the batch",
        b"POST /batch HTTP/1.1\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--",
        "/target",
        "operation of a batch",
    ),
    ("multipart: nested: its other path, relative", b"POST $batch HTTP/1.1\r\n\r\n", "/target", "operation of a batch"),
    ("multipart: references: to nobody", b"GET $nobody/a HTTP/1.1\r\n\r\n", "/target", "no request before this one"),
    (
        "multipart: references: to what comes later",
        b"GET $last HTTP/1.1\r\n\r\n",
        "/target",
        "no request before this one",
    ),
    ("multipart: references: dots behind one", b"GET $first/../admin HTTP/1.1\r\n\r\n", "/target", "`..` segments"),
];

/// The header and the body of a request.
const HEADERS: &[Faulty] = &[
    (
        "multipart: ssrf: a Host header",
        b"GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "/headers/Host",
        "another host",
    ),
    (
        "multipart: ssrf: a second Host header",
        b"GET /a HTTP/1.1\r\nHost: api.example.com\r\nHost: evil.example\r\n\r\n",
        "/headers/Host",
        "another host",
    ),
    (
        "multipart: apisix cve-2022-24112",
        b"GET /a HTTP/1.1\r\nX-Real-IP: 127.0.0.1\r\n\r\n",
        "/headers/X-Real-IP",
        "`x-real-ip`",
    ),
    (
        "multipart: credentials of somebody else",
        b"GET /a HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n",
        "/headers/Authorization",
        "`authorization`",
    ),
    (
        "multipart: another method",
        b"POST /a HTTP/1.1\r\nX-HTTP-Method-Override: DELETE\r\n\r\n",
        "/headers/X-HTTP-Method-Override",
        "`x-http-method-override`",
    ),
    (
        "multipart: a header hidden by folding",
        b"GET /a HTTP/1.1\r\nX-A: b\r\n Authorization: Bearer x\r\n\r\n",
        "/headers/X-A",
        "`x-a`",
    ),
    (
        "multipart: two types of one body",
        b"PUT /a HTTP/1.1\r\ncontent-type: text/plain\r\nContent-Type: application/json\r\n\r\n1",
        "/headers/Content-Type",
        "only one",
    ),
    (
        "smuggling: a folded header at the beginning",
        b"GET /a HTTP/1.1\r\n Host: evil.example\r\n\r\n",
        "",
        "can't be read",
    ),
    (
        "smuggling: a bare CR in a header of a part",
        b"PUT /a HTTP/1.1\r\nAccept: a\rContent-Length: 0\r\n\r\n",
        "",
        "can't be read",
    ),
    ("smuggling: a header of a part without a colon", b"GET /a HTTP/1.1\r\nAccept a/b\r\n\r\n", "", "can't be read"),
    (
        "smuggling: white space before a colon in a part",
        b"PUT /a HTTP/1.1\r\nContent-Length : 1\r\n\r\n1",
        "",
        "can't be read",
    ),
    ("smuggling: a NUL in a header of a part", b"GET /a HTTP/1.1\r\nAccept: a\0b\r\n\r\n", "", "can't be read"),
    ("smuggling: a name beyond ASCII in a part", b"GET /a HTTP/1.1\r\n\xe4ccept: a/b\r\n\r\n", "", "can't be read"),
    (
        "smuggling: white space for an empty line",
        b"PUT /a HTTP/1.1\r\nAccept: a/b\r\n \r\nDELETE /b HTTP/1.1\r\n\r\n",
        "",
        "can't be read",
    ),
    (
        "smuggling: chunks in a part",
        b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nDELETE /b HTTP/1.1\r\n\r\n",
        "",
        "chunked",
    ),
    (
        "smuggling: a length and chunks in a part",
        b"PUT /a HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1",
        "",
        "chunked",
    ),
    (
        "smuggling: a coding that is none in a part",
        b"PUT /a HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n1",
        "",
        "chunked",
    ),
    (
        "smuggling: a length in a part that is too short",
        b"PUT /a HTTP/1.1\r\nContent-Length: 1\r\n\r\n1DELETE /b HTTP/1.1\r\n\r\n",
        "",
        "`Content-Length` says 1",
    ),
    (
        "smuggling: no length in a part, and more behind it",
        b"PUT /a HTTP/1.1\r\nContent-Length: 0\r\n\r\nDELETE /b HTTP/1.1\r\n\r\n",
        "",
        "`Content-Length` says 0",
    ),
    (
        "smuggling: a length in a part that is too long",
        b"PUT /a HTTP/1.1\r\nContent-Length: 99\r\n\r\n1",
        "",
        "`Content-Length` says 99",
    ),
    (
        "smuggling: a length in a part beyond all memory",
        b"PUT /a HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n1",
        "",
        "`Content-Length` says",
    ),
    (
        "smuggling: a length in a part beyond all numbers",
        b"PUT /a HTTP/1.1\r\nContent-Length: 18446744073709551617\r\n\r\n1",
        "",
        "not a number",
    ),
    ("smuggling: a negative length in a part", b"PUT /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n1", "", "not a number"),
    (
        "smuggling: a length with a plus in a part",
        b"PUT /a HTTP/1.1\r\nContent-Length: +1\r\n\r\n1",
        "",
        "not a number",
    ),
    (
        "smuggling: two lengths in a part",
        b"PUT /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1",
        "",
        "more than one",
    ),
    (
        "smuggling: two lengths in one line of a part",
        b"PUT /a HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n1",
        "",
        "not a number",
    ),
    (
        "smuggling: a folded length in a part",
        b"PUT /a HTTP/1.1\r\nContent-Length: 1\r\n 1\r\n\r\n1",
        "",
        "not a number",
    ),
];

/// A change set in which something is wrong, and nothing can be said of its requests.
const CHANGE_SETS: &[Faulty] = &[
    ("change sets: without a boundary", b"Content-Type: multipart/mixed\r\n\r\n--c\r\n--c--", "", "needs a `boundary`"),
    ("change sets: with two boundaries", b"Content-Type: multipart/mixed; boundary=c; boundary=d\r\n\r\n--c--", "", "more than one `boundary`"),
    ("change sets: an empty one", b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c--", "", "at least one request"),
    ("change sets: with another boundary inside", b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--d\r\nContent-Type: application/http\r\n\r\nPUT /a\r\n--d--", "", "no line with its boundary"),
    ("change sets: cut off", b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: application/http\r\n\r\nPUT /a HTTP/1.1\r\n\r\n", "", "cut off"),
    ("change sets: cut off, with the boundary of the batch for a prefix", b"Content-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\nContent-Type: application/http\r\n\r\nPUT /a HTTP/1.1\r\n\r\n--bb-", "", "cut off"),
];

/// What looks dangerous, and is not: a name, a part, what reaches the service.
const LEGAL: &[(&str, &[u8], &str)] = &[
    ("legal: a folded header in a part", b"Content-Type:\r\n application/http\r\n\r\nGET /a HTTP/1.1\r\nAccept: a/b,\r\n\tc/d\r\n\r\n", "GET /a"),
    ("legal: headers of the part are none of the request", b"Content-Type: application/http\r\nAuthorization: Bearer x\r\nX-Real-IP: ::1\r\nHost: evil.example\r\n\r\nGET /a HTTP/1.1\r\n\r\n", "GET /a"),
    ("legal: bare LFs", b"Content-Type: application/http\n\nGET /a HTTP/1.1\n\n", "GET /a"),
    ("legal: LF and CRLF mixed", b"Content-Type: application/http\r\n\nGET /a HTTP/1.1\nAccept: a/b\r\n\n", "GET /a"),
    ("legal: empty lines before a request", b"Content-Type: application/http\r\n\r\n\r\n\n\r\nGET /a HTTP/1.1\r\n\r\n", "GET /a"),
    ("legal: no version", b"Content-Type: application/http\r\n\r\nGET /a", "GET /a"),
    ("legal: a body that is a request", b"Content-Type: application/http\r\n\r\nPUT /a HTTP/1.1\r\n\r\nDELETE /b HTTP/1.1", "PUT /a DELETE /b HTTP/1.1"),
    ("legal: a body with a boundary that has more behind it", b"Content-Type: application/http\r\n\r\nPUT /a HTTP/1.1\r\n\r\n--bb--\r\n--b-\r\n --b", "PUT /a --bb--\r\n--b-\r\n --b"),
    ("legal: a body with a boundary and junk behind it", b"Content-Type: application/http\r\n\r\nPUT /a HTTP/1.1\r\n\r\n--b x\r\n--b--x", "PUT /a --b x\r\n--b--x"),
    ("legal: a body with a boundary that ends with a bare CR", b"Content-Type: application/http\r\n\r\nPUT /a HTTP/1.1\r\n\r\n1\r--b--\r2", "PUT /a 1\r--b--\r2"),
    ("legal: a body with NUL", b"Content-Type: application/http\r\n\r\nPUT /a HTTP/1.1\r\n\r\na\0b", "PUT /a a\0b"),
    ("smuggling: headers about the connection are dropped in a part", b"Content-Type: application/http\r\n\r\nPUT /a HTTP/1.1\r\nConnection: content-type\r\nUpgrade: h2c\r\nTE: trailers\r\nExpect: 100-continue\r\nAccept-Encoding: gzip\r\nContent-Type: text/plain\r\n\r\n1", "PUT /a 1"),
    ("smuggling: a value beyond ASCII is passed on as it is", b"Content-Type: application/http\r\n\r\nGET /a HTTP/1.1\r\nAccept: \xff\r\n\r\n", "GET /a"),
    ("multipart: our own host, with a port", b"Content-Type: application/http\r\n\r\nGET HTTPS://API.example.com:443/a HTTP/1.1\r\nHost: api.example.com:443\r\n\r\n", "GET /a"),
];

/// An id, and how it comes back.
const IDS: &[(&str, &str, &str)] = &[
    ("multipart: an id in quotes", "\"a\"", "\"a\""),
    ("multipart: an id that closes a comment", "--><script>", "--><script>"),
    ("multipart: an id like a boundary", "--b--", "--b--"),
    ("multipart: an id like a header", "x\r\n Content-Type: text/html", "x Content-Type: text/html"),
    ("multipart: an id with angle brackets", "<a@b>", "<response-a@b>"),
    ("multipart: an id with one angle bracket", "<a", "<a"),
    ("multipart: an id beyond ASCII", "\u{e4}\u{1f980}", "\u{e4}\u{1f980}"),
];

/// Whole batches: the content type, the document, the refusal, what is said.
type Whole = (&'static str, &'static str, &'static [u8], u16, &'static str);

const ONE: &[u8] = b"--b\r\nContent-Type: application/http\r\n\r\nGET /a HTTP/1.1\r\n\r\n\r\n--b--\r\n";

const BOUNDARIES: &[Whole] = &[
    ("boundary: none", "content-type: multipart/mixed", ONE, 400, "needs a `boundary`"),
    ("boundary: an empty one", "content-type: multipart/mixed; boundary=\"\"", ONE, 400, "1 to 70"),
    (
        "boundary: 71 characters",
        "content-type: multipart/mixed; boundary=12345678901234567890123456789012345678901234567890123456789012345678901",
        b"--12345678901234567890123456789012345678901234567890123456789012345678901--",
        400,
        "1 to 70",
    ),
    ("boundary: two", "content-type: multipart/mixed; boundary=b; boundary=c", ONE, 400, "more than one `boundary`"),
    (
        "boundary: two, in other letters",
        "content-type: multipart/mixed; boundary=b; BOUNDARY=c",
        ONE,
        400,
        "more than one `boundary`",
    ),
    (
        "boundary: two content types",
        "content-type: multipart/mixed; boundary=c\r\ncontent-type: multipart/mixed; boundary=b",
        ONE,
        415,
        "",
    ),
    (
        "boundary: another than in the body",
        "content-type: multipart/mixed; boundary=c",
        ONE,
        400,
        "no line with its boundary",
    ),
    ("boundary: in other letters", "content-type: multipart/mixed; boundary=B", ONE, 400, "no line with its boundary"),
    (
        "boundary: with its hyphens",
        "content-type: multipart/mixed; boundary=--b",
        ONE,
        400,
        "no line with its boundary",
    ),
    (
        "boundary: beyond ASCII",
        "content-type: multipart/mixed; boundary=\"\u{e4}\"",
        "--\u{e4}\r\n\r\n--\u{e4}--".as_bytes(),
        415,
        "",
    ),
    ("boundary: with a space at its end", "content-type: multipart/mixed; boundary=\"b \"", ONE, 400, "1 to 70"),
    ("boundary: quotes that never end", "content-type: multipart/mixed; boundary=\"b", ONE, 415, ""),
    ("boundary: of a type that is a form", "content-type: multipart/form-data; boundary=b", ONE, 415, ""),
    ("boundary: of related parts", "content-type: multipart/related; boundary=b", ONE, 415, ""),
    ("boundary: in another charset", "content-type: multipart/mixed; charset=utf-16; boundary=b", ONE, 415, ""),
];

const WHOLE: &[Whole] = &[
    ("multipart: nothing", MIXED, b"", 400, "no line with its boundary"),
    ("multipart: only the end", MIXED, b"--b--\r\n", 400, "empty"),
    ("multipart: only a preamble", MIXED, b"GET /a HTTP/1.1\r\n\r\n", 400, "no line with its boundary"),
    ("multipart: JSON", MIXED, br#"[{"path":"/a"}]"#, 400, "no line with its boundary"),
    ("multipart: no closing delimiter", MIXED, b"--b\r\nContent-Type: application/http\r\n\r\nDELETE /a HTTP/1.1\r\n\r\n", 400, "cut off"),
    ("multipart: another opening delimiter for the closing one", MIXED, b"--b\r\nContent-Type: application/http\r\n\r\nDELETE /a HTTP/1.1\r\n\r\n--b\r\n", 400, "cut off"),
    ("multipart: half a closing delimiter", MIXED, b"--b\r\nContent-Type: application/http\r\n\r\nDELETE /a HTTP/1.1\r\n\r\n--b-", 400, "cut off"),
    ("multipart: a closing delimiter and junk behind it", MIXED, b"--b\r\nContent-Type: application/http\r\n\r\nDELETE /a HTTP/1.1\r\n\r\n--b--x\r\n", 400, "cut off"),
    ("multipart: a delimiter that is folded", MIXED, b" --b\r\nContent-Type: application/http\r\n\r\nGET /a HTTP/1.1\r\n\r\n --b--\r\n", 400, "no line with its boundary"),
    ("multipart: CRs for all line ends", MIXED, b"--b\rContent-Type: application/http\r\rGET /a HTTP/1.1\r\r\r--b--\r", 400, "no line with its boundary"),
    ("multipart: a document in UTF-16", MIXED, b"\xff\xfe-\0-\0b\0\r\0\n\0", 400, "no line with its boundary"),
    ("multipart: a byte order mark before the first part", MIXED, b"\xef\xbb\xbf--b\r\nContent-Type: application/http\r\n\r\nGET /a HTTP/1.1\r\n\r\n\r\n--b\r\nContent-Type: application/http\r\n\r\nGET /b HTTP/1.1\r\n\r\n\r\n--b--\r\n", 400, "byte order mark"),
    ("multipart: one id twice", MIXED, b"--b\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\nGET /a HTTP/1.1\r\n\r\n\r\n--b\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\nGET /b HTTP/1.1\r\n\r\n\r\n--b--", 400, "same id"),
    ("multipart: one id twice, once in the request", MIXED, b"--b\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\nGET /a HTTP/1.1\r\n\r\n\r\n--b\r\nContent-Type: application/http\r\n\r\nGET /b HTTP/1.1\r\nContent-ID: 1\r\n\r\n\r\n--b--", 400, "same id"),
    ("change sets: one that has the boundary of the batch", MIXED, b"--b\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: application/http\r\n\r\nPUT /a HTTP/1.1\r\n\r\n\r\n--b--\r\n--b--", 400, "boundary of the batch"),
];

fn among(name: &'static str, part: impl AsRef<[u8]>, slot: Slot) -> Case {
    let [first, last] = HEALTHY;
    let document = [FIRST, b"--b\r\n", part.as_ref(), b"\r\n", LAST, END].concat();
    let slots = vec![Slot::from(200).id("first").body(first), slot, Slot::from(200).id("last").body(last)];
    Case::new(name, request(&[MIXED], document), Expected::Slots(Format::Parts, slots)).reached(HEALTHY)
}

fn faulty(&(name, _, pointer, says): &Faulty, part: impl AsRef<[u8]>) -> Case {
    among(name, part, Slot::from(400).at(format!("/1{pointer}")).says(says))
}

fn legal(name: &'static str, part: impl AsRef<[u8]>, line: &'static str) -> Case {
    let case = among(name, part, Slot::from(200).body(line)).reached([HEALTHY[0], line, HEALTHY[1]]);
    case.lacks("authorization").lacks("x-real-ip")
}

fn http(request: impl AsRef<[u8]>) -> Vec<u8> {
    [b"Content-Type: application/http\r\n\r\n", request.as_ref()].concat()
}

/// These requests as a change set.
fn change_set(requests: &[&str]) -> Vec<u8> {
    let parts: String =
        requests.iter().map(|one| format!("--c\r\nContent-Type: application/http\r\n\r\n{one}\r\n\r\n\r\n")).collect();
    format!("Content-Type: multipart/mixed; boundary=c\r\n\r\n{parts}--c--").into_bytes()
}

/// Change sets where there are transactions: one that fails is one part.
fn transactions() -> Vec<Case> {
    let failed = |name, requests: &[&str], says| {
        among(name, change_set(requests), Slot::from(400).says(says)).on(Stack::Transactions)
    };
    let nested = in_change_set(change_set(&["PUT /b HTTP/1.1"]));
    vec![
        failed(
            "change sets: a header that none may set",
            &["PUT /a HTTP/1.1", "PUT /b HTTP/1.1\r\nCookie: a"],
            "`cookie`",
        ),
        failed("change sets: ssrf", &["PUT /a HTTP/1.1", "PUT http://evil.example/ HTTP/1.1"], "another server"),
        failed("change sets: nested: a batch", &["PUT /a HTTP/1.1", "POST /batch HTTP/1.1"], "operation of a batch"),
        among("change sets: one in another", nested, Slot::from(400).says("can't stand in a change set"))
            .on(Stack::Transactions),
        among(
            "change sets: one that fails is rolled back",
            change_set(&["PUT /a HTTP/1.1", "PUT /missing HTTP/1.1", "PUT /b HTTP/1.1"]),
            Slot::from(404),
        )
        .on(Stack::Transactions)
        .reached([
            HEALTHY[0],
            "PUT /a",
            "PUT /missing",
            HEALTHY[1],
            "begin 0",
            "attach 0 to 1",
            "attach 0 to 2",
            "rollback 0",
            "rolled back 0",
        ]),
        Case::new(
            "change sets: one that reads, too",
            request(
                &[MIXED],
                [b"--b\r\n", &change_set(&["PUT /a HTTP/1.1", "GET /b HTTP/1.1"])[..], b"\r\n", END].concat(),
            ),
            statuses(Format::Parts, &[200, 200]),
        )
        .on(Stack::Transactions)
        .reached(["PUT /a", "GET /b", "begin 0", "attach 0 to 0", "attach 0 to 1", "commit 0", "committed 0"]),
        among(
            "change sets: where there are no transactions",
            change_set(&["PUT /a HTTP/1.1", "PUT /b HTTP/1.1"]),
            Slot::from(501),
        ),
    ]
}

/// This part as one of a change set, with another boundary than those in it.
fn in_change_set(part: Vec<u8>) -> Vec<u8> {
    let begin = b"Content-Type: multipart/mixed; boundary=d\r\n\r\n--d\r\nContent-Type: application/http\r\n\r\nPUT /a HTTP/1.1\r\n\r\n\r\n--d\r\n";
    [begin, &part[..], b"\r\n--d--"].concat()
}

/// What has to be generated.
fn sizes() -> Vec<Case> {
    let many = |count: usize| {
        let part = "--b\r\nContent-Type: application/http\r\n\r\nGET /a HTTP/1.1\r\n\r\n\r\n";
        request(&[MIXED], part.repeat(count) + "--b--")
    };
    let too_many = || Expected::Refused(413, "100 operations");
    let long = "x".repeat(1 << 20);
    let bad = || Slot::from(400);
    let headers = |count: usize| (0..count).map(|n| format!("If-X{n}: a\r\n")).collect::<String>();
    let of_parts =
        |count: usize| [FIRST, b"--b\r\n", &change_set(&vec!["PUT /a HTTP/1.1"; count]), b"\r\n", LAST, END].concat();
    let deep = (0..1000).fold(http("PUT /a HTTP/1.1\r\n\r\n"), |part, n| {
        let begin = format!("Content-Type: multipart/mixed; boundary=x{n}x\r\n\r\n--x{n}x\r\n");
        [begin.as_bytes(), &part, format!("\r\n--x{n}x--").as_bytes()].concat()
    });
    vec![
        Case::new("multipart: 101 parts", many(101), too_many()),
        Case::new("multipart: 10,000 parts", many(10_000), too_many()),
        Case::new("multipart: 100,000 empty parts", request(&[MIXED], "--b\n".repeat(100_000) + "--b--"), too_many()),
        Case::new("change sets: a part that is 10,000 parts", request(&[MIXED], of_parts(10_000)), too_many()),
        Case::new(
            "multipart: larger than a batch may be",
            request(&[MIXED], "-".repeat((2 << 20) + 1)),
            Expected::Refused(413, "2097152 bytes"),
        ),
        Case::new(
            "multipart: a million empty lines, and no boundary",
            request(&[MIXED], "\n".repeat(1_000_000)),
            Expected::Refused(400, "no line with its boundary"),
        ),
        Case::new(
            "multipart: half a million lines that begin like a boundary",
            request(&[MIXED], "--\n".repeat(500_000)),
            Expected::Refused(400, "no line with its boundary"),
        ),
        among("change sets: 1,000 in each other", deep, bad().says("can't stand in a change set")),
        among(
            "multipart: an id of 257 bytes",
            format!("Content-Type: application/http\r\nContent-ID: {}\r\n\r\nGET /a", &long[..257]),
            bad().says("256 bytes"),
        ),
        among(
            "multipart: an id of 1 MiB",
            format!("Content-Type: application/http\r\nContent-ID: {long}\r\n\r\nGET /a"),
            bad().says("256 bytes"),
        ),
        among(
            "multipart: a target of 1 MiB",
            http(format!("GET /{long} HTTP/1.1\r\n\r\n")),
            bad().at("/1/target").says("too long"),
        ),
        among("multipart: a method of 1 MiB", http(format!("{long} / HTTP/1.1\r\n\r\n")), bad().at("/1/method")),
        among(
            "multipart: a header of 1 MiB",
            http(format!("GET / HTTP/1.1\r\nAccept: {long}\r\n\r\n")),
            bad().at("/1/headers/Accept").says("16384 bytes"),
        ),
        among(
            "multipart: a header folded 100,000 times",
            http(format!("GET / HTTP/1.1\r\nAccept: a{}\r\n\r\n", "\r\n b".repeat(100_000))),
            bad(),
        ),
        among(
            "multipart: 65 headers",
            http(format!("GET / HTTP/1.1\r\n{}\r\n", headers(65))),
            bad().says("64 header lines"),
        ),
        among(
            "multipart: 65 headers of a part",
            format!("{}Content-Type: application/http\r\n\r\nGET /a", headers(64)),
            bad().says("64 header lines"),
        ),
        among(
            "multipart: 100,000 headers",
            http(format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100_000))),
            bad().says("64 header lines"),
        ),
    ]
}

/// Documents in which the boundary plays tricks, and that can be read.
fn tricks() -> Vec<Case> {
    let get = |boundary: &str| {
        format!("--{boundary}\r\nContent-Type: application/http\r\n\r\nGET /a HTTP/1.1\r\n\r\n\r\n--{boundary}--\r\n")
    };
    let named = |name, boundary: &str, value: &str| {
        let line = format!("content-type: multipart/mixed; boundary={value}");
        Case::new(name, request(&[&line], get(boundary)), statuses(Format::Parts, &[200])).reached(["GET /a"])
    };
    let one = |name, document: Vec<u8>, expected: &[u16], reached: &[&str]| {
        Case::new(name, request(&[MIXED], document), statuses(Format::Parts, expected)).reached(reached)
    };
    let longest = "x".repeat(70);
    let behind =
        [ONE, b"--b\r\nContent-Type: application/http\r\n\r\nDELETE /b HTTP/1.1\r\n\r\n\r\n--b--\r\n"].concat();
    let before =
        [b"--bb\r\nContent-Type: application/http\r\n\r\nDELETE /b HTTP/1.1\r\n\r\n\r\n--bb--\r\n", ONE].concat();
    let padded = [b"--b \t\r\n", &ONE[5..ONE.len() - 2], b" \t \r\n"].concat();
    // What stands behind is a part of its own, whatever a length says.
    let split = b"--b\r\nContent-Type: application/http\r\n\r\nPUT /a HTTP/1.1\r\nContent-Length: 60\r\n\r\n1\r\n--b\r\nContent-Type: text/plain\r\n\r\n2\r\n--b--\r\n".to_vec();
    let named_like = b"--b\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\nGET /echo HTTP/1.1\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--batchresponse_\r\n\r\nHTTP/1.1 500 Oh\r\n\r\n\r\n--batchresponse_--\r\n--b--".to_vec();
    vec![
        named("boundary: 70 characters", &longest, &longest),
        named(
            "boundary: quoted, with =",
            "===============7330845974216740156==",
            "\"===============7330845974216740156==\"",
        ),
        named("boundary: quoted, with all that may stand there", "a'()+_,-./:=? b", "\"a'()+_,-./:=? b\""),
        named("boundary: two hyphens", "--", "--"),
        named("boundary: two hyphens at its end", "b--", "b--"),
        named("boundary: a hyphen", "-", "-"),
        one("multipart: the closing delimiter twice", [ONE, END].concat(), &[200], &["GET /a"]),
        one("multipart: a request behind the end does not run", behind, &[200], &["GET /a"]),
        one("multipart: a request before the first part does not run", before, &[200], &["GET /a"]),
        one("multipart: white space behind delimiters", padded, &[200], &["GET /a"]),
        one("multipart: a boundary inside of a body, in spite of its length", split, &[400, 400], &[]),
        one(
            "multipart: a body like an answer",
            named_like,
            &[200],
            &["GET /echo --batchresponse_\r\n\r\nHTTP/1.1 500 Oh\r\n\r\n\r\n--batchresponse_--"],
        ),
    ]
}

/// Answers in parts to batches that are none.
fn answers() -> Vec<Case> {
    let of = |name, id: &str, read: &str| {
        let sent = request(&[JSON, "accept: multipart/mixed"], format!(r#"[{{"id":"{id}","path":"/a"}}]"#));
        Case::new(name, sent, Expected::Slots(Format::Parts, vec![Slot::from(200).id(read)])).reached(["GET /a"])
    };
    vec![
        of(
            "crlf injection: into an answer by an id",
            r"x\r\nSet-Cookie: a=b\r\n\r\n--b--",
            "x%0D%0ASet-Cookie:%20a=b%0D%0A%0D%0A--b--",
        ),
        of("crlf injection: into an answer by an id with a bare LF", r"x\ny", "x%0Ay"),
        of("multipart: an id with NUL in an answer", r"x\u0000%", "x%00%25"),
    ]
}

pub(crate) fn cases() -> Vec<Case> {
    let parts = [PARTS, CHANGE_SETS].into_iter().flatten().map(|row| faulty(row, row.1));
    let requests = [REQUEST_LINES, HEADERS].into_iter().flatten().map(|row| faulty(row, http(row.1)));
    let legal = LEGAL.iter().map(|(name, part, line)| legal(name, part, line));
    let ids = IDS.iter().map(|(name, id, read)| {
        let part = format!("Content-Type: application/http\r\nContent-ID: {id}\r\n\r\nGET /a HTTP/1.1\r\n\r\n");
        among(name, part, Slot::from(200).id(*read)).reached([HEALTHY[0], "GET /a", HEALTHY[1]])
    });
    let wholes = [BOUNDARIES, WHOLE].into_iter().flatten().map(|(name, line, document, status, says)| {
        Case::new(name, request(&[line], document), Expected::Refused(*status, says))
    });
    let all = parts.chain(requests).chain(legal).chain(ids).chain(wholes).chain(transactions()).chain(sizes());
    all.chain(tricks()).chain(answers()).collect()
}

#[tokio::test]
async fn batches_in_parts() {
    play(cases(), 179).await;
}
