//! Batches as `multipart/mixed`, of OData and of Google, as the wire format says. Change sets have tests of their own.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[path = "support/multipart.rs"]
mod multipart_support;
mod support;

use http::{Method, Request, StatusCode};
use http_body_util::Full;
use multipart_support::{Part, between, change_set, http, named, of, outline, parts, parts_of};
use serde_json::{Value, json};
use support::{Plain, batch, batch_as, batched, call, echo, json_response, refusal, response, with};
use tower_multistatus::BatchLayer;

/// What the only request of a batch was sent as.
async fn sent(request: &str) -> Value {
    sent_in(of(&[&http(request)])).await
}

async fn sent_in(batch: Request<Plain>) -> Value {
    let answer = parts(&call(batched(BatchLayer::new(), echo), batch).await);
    assert_eq!(answer.len(), 1);
    assert_eq!(answer[0].single().status, 200, "{answer:?}");
    answer[0].single().json()
}

/// Why the only part of a batch was refused.
async fn faulty(part: &str) -> (String, Value) {
    let service = batched(BatchLayer::new(), |request| panic!("{request:?} was sent"));
    parts_of(service, &[part]).await[0].single().error(400)
}

/// Sends this as the whole batch, and says why it was refused.
async fn refused(content_type: &str, document: &str) -> String {
    let service = batched(BatchLayer::new(), |request| panic!("{request:?} was sent"));
    let problem = refusal(&call(service, batch_as(content_type, document.to_owned())).await, StatusCode::BAD_REQUEST);
    problem["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn parts_become_parts() {
    let service = batched(BatchLayer::new(), |request| match request.uri().path() {
        "/none" => response(StatusCode::NO_CONTENT, &[], ""),
        "/new" => response(StatusCode::CREATED, &[("location", "/new/1"), ("etag", "\"1\""), ("x-other", "1")], "made"),
        _ => json_response(StatusCode::OK, &json!([request.method().as_str(), request.uri().to_string()])),
    });
    let batch = of(&[
        &http("GET /a HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        &named("x", "POST /new HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nbody"),
        &http("DELETE /none HTTP/1.1\r\n\r\n"),
    ]);
    let answer = call(service, batch).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let content_type = answer.headers()["content-type"].to_str().unwrap();
    let boundary = content_type.strip_prefix("multipart/mixed; boundary=").unwrap();
    let expected = "--B\r\n\
        Content-Type: application/http\r\n\
        Content-Transfer-Encoding: binary\r\n\
        \r\n\
        HTTP/1.1 200 OK\r\n\
        Content-Type: application/json\r\n\
        Content-Length: 12\r\n\
        \r\n\
        [\"GET\",\"/a\"]\r\n\
        --B\r\n\
        Content-Type: application/http\r\n\
        Content-Transfer-Encoding: binary\r\n\
        Content-ID: x\r\n\
        \r\n\
        HTTP/1.1 201 Created\r\n\
        Location: /new/1\r\n\
        ETag: \"1\"\r\n\
        Content-Length: 4\r\n\
        \r\n\
        made\r\n\
        --B\r\n\
        Content-Type: application/http\r\n\
        Content-Transfer-Encoding: binary\r\n\
        \r\n\
        HTTP/1.1 204 No Content\r\n\
        Content-Length: 0\r\n\
        \r\n\
        \r\n\
        --B--\r\n";
    assert_eq!(answer.body(), &expected.replace('B', boundary).replace(&format!("\"{boundary}\""), "\"B\""));
    assert_eq!(outline(&parts(&answer)), json!([[null, 200], ["x", 201], [null, 204]]));
}

#[tokio::test]
async fn a_request_is_sent_as_it_would_be_alone() {
    let service = batched(BatchLayer::new(), echo);
    let alone = Request::builder().method("PUT").uri("/a/b?c=d&e").header("host", "api.example.com");
    let alone = alone.header("content-type", "text/plain").header("if-match", "\"1\"").header("accept", "x/y");
    let alone = call(service, alone.header("content-length", 7).body(Full::from("a\r\nb\n c")).unwrap()).await;
    let alone: Value = serde_json::from_slice(alone.body()).unwrap();
    let mut inside = sent(
        "PUT /a/b?c=d&e HTTP/1.1\r\nContent-Type: text/plain\r\nIF-MATCH: \"1\"\r\naccept:x/y\r\nContent-Length: 7\r\n\r\n\
         a\r\nb\n c",
    )
    .await;
    assert_eq!(inside["context"].take(), json!({"index": 0, "id": null, "total": 1}));
    inside["context"] = alone["context"].clone();
    assert_eq!(inside, alone);
}

#[tokio::test]
async fn request_lines_are_as_clients_write_them() {
    for (line, method, target) in [
        ("GET /a HTTP/1.1", "GET", "/a"),
        ("GET /a HTTP/1.0", "GET", "/a"),
        ("GET /a", "GET", "/a"),
        ("patch /a HTTP/1.1", "PATCH", "/a"),
        ("GET a?b HTTP/1.1", "GET", "/a?b"),
        ("GET Customers('ALFKI')", "GET", "/Customers('ALFKI')"),
        ("GET $metadata HTTP/1.1", "GET", "/$metadata"),
        ("GET ?$top=1 HTTP/1.1", "GET", "/?$top=1"),
        ("GET http://api.example.com/a HTTP/1.1", "GET", "/a"),
        ("GET https://API.example.com:443/a?b=http://x HTTP/1.1", "GET", "/a?b=http://x"),
        ("GET https://api.example.com?b HTTP/1.1", "GET", "/?b"),
        ("DELETE https://api.example.com HTTP/1.1", "DELETE", "/"),
    ] {
        for end in ["", "\r\n", "\r\n\r\n", "\r\n\r\n\r\n", "\n\n", "\n"] {
            let sent = sent(&format!("{line}{end}")).await;
            assert_eq!(sent["method"], method, "{line:?}");
            assert_eq!(sent["target"], target, "{line:?}");
            assert_eq!(sent["body"], "", "{line:?}{end:?}");
        }
    }
}

#[tokio::test]
async fn what_stands_around_a_request_may_be_as_clients_write_it() {
    for head in [
        "Content-Type: application/http; msgtype=request",
        "content-type: Application/HTTP\r\nContent-Transfer-Encoding: 7bit",
        "Content-Type: application/http\r\nContent-Transfer-Encoding: 8BIT",
        "Content-Type: application/http\r\nContent-Length: 20\r\nContent-Disposition: inline",
    ] {
        for blank in ["", "\r\n", "\n\r\n"] {
            let part = format!("{head}\r\n\r\n{blank}GET /a HTTP/1.1\r\n\r\n");
            assert_eq!(sent_in(of(&[&part])).await["target"], "/a", "{part:?}");
        }
    }
}

#[tokio::test]
async fn a_part_has_so_many_header_lines_as_an_operation_may_have_headers() {
    let service = batched(BatchLayer::new().max_headers(3), echo);
    let part = |lines: usize, inner: usize| {
        let inner = "if-match: \"1\"\r\n".repeat(inner);
        format!("Content-Type: application/http\r\n{}\r\nGET /a\r\n{inner}\r\n", "x: y\r\n".repeat(lines - 1))
    };
    for (part, status) in [(part(3, 3), 200), (part(4, 1), 400), (part(1, 4), 400)] {
        assert_eq!(outline(&parts_of(service.clone(), &[&part]).await), json!([[null, status]]), "{part:?}");
    }
}

#[tokio::test]
async fn a_relative_url_is_meant_from_where_the_batch_stands() {
    let service = batched(BatchLayer::new().path("/api/v1/$batch"), echo);
    let request = |body: String| {
        let request =
            Request::post("/api/v1/$batch").header("host", "h").header("content-type", "multipart/mixed; boundary=b");
        request.body(Full::from(body)).unwrap()
    };
    for (url, target) in [("users", "/api/v1/users"), ("/users", "/users"), ("http://h/users", "/users")] {
        let body = between("b", &[&http(&format!("GET {url} HTTP/1.1\r\n\r\n"))]);
        let answer = parts(&call(service.clone(), request(body)).await);
        assert_eq!(answer[0].single().json()["target"], target);
    }
}

#[tokio::test]
async fn all_ways_to_end_a_line_and_a_multipart_are_understood() {
    let part = |end: &str| {
        let lines = [
            "Content-Type: application/http",
            "",
            "POST /a HTTP/1.1",
            "Content-Type: application/json",
            "",
            "{\"a\":1}",
        ];
        lines.join(end)
    };
    for document in [
        format!("--b\r\n{}\r\n--b--\r\n", part("\r\n")),
        format!("--b\r\n{}\r\n--b--", part("\r\n")),
        format!("--b\n{}\n--b--\n", part("\n")),
        format!("--b\n{}\n--b--", part("\n")),
        format!("--b\r\n{}\n--b--\r\n", part("\r\n")),
        format!("--b\n{}\r\n--b--", part("\n")),
        format!("--b  \t\r\n{}\r\n--b-- \r\n", part("\r\n")),
        format!("\r\n--b\r\n{}\r\n--b--\r\n\r\n", part("\r\n")),
        format!("This is a batch\r\nof one part.\r\n--b\r\n{}\r\n--b--\r\nThe end\r\n--b\r\n", part("\r\n")),
    ] {
        let sent = sent_in(batch_as("multipart/mixed; boundary=b", document.clone())).await;
        assert_eq!([&sent["target"], &sent["body"]], ["/a", "{\"a\":1}"], "{document:?}");
    }
}

#[tokio::test]
async fn boundaries_are_as_clients_write_them() {
    for (content_type, boundary) in [
        (
            "multipart/mixed; boundary=batch_36522ad7-fc75-4b56-8c71-56071383e77b",
            "batch_36522ad7-fc75-4b56-8c71-56071383e77b",
        ),
        ("multipart/mixed; boundary=\"===============7330845974216740156==\"", "===============7330845974216740156=="),
        ("Multipart/Mixed; charset=utf-8; BOUNDARY=b", "b"),
        ("multipart/mixed;boundary=\"a b(c):d/e?f,g\"", "a b(c):d/e?f,g"),
    ] {
        let document = between(boundary, &[&http("GET /a HTTP/1.1\r\n\r\n")]);
        assert_eq!(sent_in(batch_as(content_type, document)).await["target"], "/a", "{content_type}");
    }
}

#[tokio::test]
async fn a_body_may_hold_whatever_is_no_line_with_the_boundary() {
    let bodies: [&[u8]; 7] = [
        b"--bb",
        b"-- b\r\n--b-\r\n --b\r\nx--b--\r\n--B",
        b"\0\x01\xff\xfe\r\r\n\r\n\n",
        b"POST /evil HTTP/1.1\r\n\r\n",
        b"\r\n--c\r\nContent-Type: application/http\r\n\r\nDELETE /\r\n--c--",
        b"\r\n",
        b" ",
    ];
    for body in bodies {
        let head = format!("POST /a HTTP/1.1\r\nContent-Type: x/y\r\nContent-Length: {}\r\n\r\n", body.len());
        let part = [b"--b\r\nContent-Type: application/http\r\n\r\n", head.as_bytes(), body, b"\r\n--b--"].concat();
        let service = batched(BatchLayer::new(), |request| response(StatusCode::OK, &[], request.into_body()));
        let answer = parts(&call(service, batch_as("multipart/mixed; boundary=b", part)).await);
        assert_eq!(answer[0].single().body, body);
    }
}

#[tokio::test]
async fn a_length_may_be_missing_but_not_be_wrong() {
    let with_length = |length: &str, body: &str| format!("POST /a HTTP/1.1\r\n{length}\r\n{body}");
    for (request, body) in [
        (with_length("", "abc"), "abc"),
        (with_length("", "\r\n\r\nabc\r\n"), "abc\r\n"),
        (with_length("Content-Length: 3\r\n", "abc"), "abc"),
        (with_length("Content-Length: 3\r\n", "\r\nabc\r\n\r\n"), "abc"),
        (with_length("Content-Length: 5\r\n", "\r\nabc"), "\r\nabc"),
        (with_length("content-length:0\r\n", ""), ""),
    ] {
        assert_eq!(sent(&request).await["body"], body, "{request:?}");
    }
    for (length, word) in [
        ("Content-Length: 2", "has 3 bytes, and its `Content-Length` says 2"),
        ("Content-Length: 4", "has 3 bytes"),
        ("Content-Length: 4000000000000000000", "has 3 bytes"),
        ("Content-Length: +3", "not a number"),
        ("Content-Length: -3", "not a number"),
        ("Content-Length: 3, 3", "not a number"),
        ("Content-Length: 0x3", "not a number"),
        ("Content-Length:", "not a number"),
        ("Content-Length: 3\r\nContent-Length: 3", "more than one"),
        ("Transfer-Encoding: chunked", "chunked"),
        ("Content-Length: 3\r\nTransfer-Encoding: identity", "chunked"),
    ] {
        let (message, _) = faulty(&http(&with_length(&format!("{length}\r\n"), "abc"))).await;
        assert!(message.contains(word), "{length}: {message}");
    }
}

/// As googleapiclient has sent it: LF, folded headers, a quoted boundary, angle brackets around ids.
#[tokio::test]
async fn google_is_understood() {
    let boundary = "===============7330845974216740156==";
    let part = |number: usize, request: &str| {
        format!(
            "--{boundary}\nContent-Type: application/http\nMIME-Version: 1.0\nContent-Transfer-Encoding: binary\n\
             Content-ID: <b29c5de2-0db4-490b-b421-6a51b598bd22\n + {number}>\n\n{request}\n"
        )
    };
    let headers = "MIME-Version: 1.0\naccept: application/json\naccept-encoding: gzip, deflate\nuser-agent: (gzip)\n\
                   x-goog-api-client: gdcl/2.0\n gl-python/3.11\nHost: api.example.com\n";
    let get = format!("GET /users/1?alt=json HTTP/1.1\nContent-Type: application/json\n{headers}\n");
    let post = format!(
        "POST /users?alt=json HTTP/1.1\nContent-Type: application/json\n{headers}content-length: 14\n\n{{\"name\":\"Eve\"}}"
    );
    let document = format!("{}{}--{boundary}--", part(1, &get), part(2, &post));
    let content_type = format!("multipart/mixed; boundary=\"{boundary}\"");
    let answer = call(batched(BatchLayer::new(), echo), batch_as(&content_type, document)).await;
    let answer = parts(&answer);
    assert_eq!(
        outline(&answer),
        json!([
            ["<response-b29c5de2-0db4-490b-b421-6a51b598bd22 + 1>", 200],
            ["<response-b29c5de2-0db4-490b-b421-6a51b598bd22 + 2>", 200],
        ])
    );
    let [get, post] = [0, 1].map(|index| answer[index].single().json());
    assert_eq!([&get["method"], &get["target"], &get["body"]], ["GET", "/users/1?alt=json", ""]);
    assert_eq!([&post["method"], &post["body"]], ["POST", "{\"name\":\"Eve\"}"]);
    for sent in [get, post] {
        let names: Vec<_> = sent["headers"].as_object().unwrap().keys().map(String::as_str).collect();
        for name in ["accept-encoding", "user-agent", "x-goog-api-client", "mime-version", "content-id"] {
            assert!(!names.contains(&name), "{names:?}");
        }
        assert_eq!(sent["headers"]["accept"], json!(["application/json"]));
    }
}

/// As SAPUI5 (OData V2) and WCF Data Services write them.
#[tokio::test]
async fn what_clients_of_odata_add_about_themselves_is_dropped() {
    let ours = ["accept", "accept-language", "host"];
    let sent = sent(
        "GET /Products?$top=20 HTTP/1.1\r\nsap-cancel-on-close: true\r\nsap-contextid-accept: header\r\n\
         Accept: application/json\r\nAccept-Language: en\r\nAccept-Charset: UTF-8\r\nDataServiceVersion: 2.0\r\n\
         MaxDataServiceVersion: 3.0;NetFx\r\nX-Requested-With: XMLHttpRequest\r\nx-csrf-token: foFy4UDm\r\n\
         User-Agent: Microsoft ADO.NET Data Services\r\n\r\n\r\n",
    )
    .await;
    assert!(sent["headers"].as_object().unwrap().keys().eq(ours), "{sent}");
}

#[tokio::test]
async fn headers_of_odata_go_through() {
    for name in ["consistencylevel", "odata-isolation", "odata-maxversion", "odata-version"] {
        assert_eq!(sent(&format!("GET /a\r\n{name}: x\r\n\r\n")).await["headers"][name], json!(["x"]));
    }
}

#[tokio::test]
async fn ids_come_back_as_they_were() {
    for (id, expected) in [
        ("1", "1"),
        ("a b", "a b"),
        ("\t 1 \t", "1"),
        ("<item1:12930812@barnyard.example.com>", "<response-item1:12930812@barnyard.example.com>"),
        ("<a", "<a"),
        ("a>", "a>"),
        ("<>", "<response->"),
        ("ä", "ä"),
        ("100%", "100%"),
        ("\"quoted\"", "\"quoted\""),
    ] {
        let service = batched(BatchLayer::new(), echo);
        let answer = parts_of(service, &[&named(id, "GET /")]).await;
        assert_eq!(answer[0].single().id.as_deref(), Some(expected), "{id:?}");
        assert_eq!(answer[0].single().json()["context"]["id"], id.trim(), "{id:?}");
    }
    for (part, id) in [
        // As WCF Data Services have it.
        (http("POST / HTTP/1.1\r\nContent-ID: 7\r\n\r\n"), json!("7")),
        (named("8", "POST / HTTP/1.1\r\nContent-ID: 7\r\n\r\n"), json!("8")),
        (named("", "GET /"), json!(null)),
        (http("POST / HTTP/1.1\r\nContent-ID:\r\n\r\n"), json!(null)),
    ] {
        let answer = parts_of(batched(BatchLayer::new(), echo), &[&part]).await;
        assert_eq!(outline(&answer), json!([[id, 200]]), "{part:?}");
    }
}

#[tokio::test]
async fn a_faulty_part_is_answered_in_its_place_and_its_siblings_go_on() {
    let healthy = named("h", "GET /h");
    for (part, word, target) in [
        ("Content-Type: application/http\r\n\r\n", "request line", ""),
        ("Content-Type: application/http", "request line", ""),
        ("", "`application/http`", ""),
        ("\r\nGET /a HTTP/1.1", "`application/http`", ""),
        ("Content-Type: text/plain\r\n\r\nGET /a", "`application/http`", ""),
        ("Content-Type: application/http; charset=utf-16\r\n\r\nGET /a", "`application/http`", ""),
        (
            "Content-Type: application/http\r\nContent-Type: text/plain\r\n\r\nGET /a",
            "more than one `Content-Type`",
            "",
        ),
        ("Content-Type: application/http\r\nContent-ID: a\r\nContent-ID: b\r\n\r\nGET /a", "more than one", ""),
        ("Content-Type: application/http\r\n\r\nGET /a\r\nContent-ID: a\r\nContent-ID: b\r\n\r\n", "more than one", ""),
        ("Content-Type: application/http\r\n folded: x\r\n\r\nGET /a", "`application/http`", ""),
        ("Content-Type: application/http\r\nContent-Transfer-Encoding: base64\r\n\r\nR0VUIC9h", "`binary`", ""),
        ("Content-Type: application/http\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGET /a", "`binary`", ""),
        ("Content-Type : application/http\r\n\r\nGET /a", "can't be read", ""),
        (" Content-Type: application/http\r\n\r\nGET /a", "can't be read", ""),
        ("Content-Type: application/http\r\n\r\nGET", "request line", ""),
        ("Content-Type: application/http\r\n\r\nGET /a HTTP/2\r\n\r\n", "request line", ""),
        ("Content-Type: application/http\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "not an HTTP method", "/method"),
        ("Content-Type: application/http\r\n\r\nTRACE /a HTTP/1.1\r\n\r\n", "CONNECT and TRACE", "/method"),
        (
            "Content-Type: application/http\r\n\r\nCONNECT evil.example:80 HTTP/1.1\r\n\r\n",
            "CONNECT and TRACE",
            "/method",
        ),
        ("Content-Type: application/http\r\n\r\nGET /a b HTTP/1.1\r\n\r\n", "%20", "/target"),
        ("Content-Type: application/http\r\n\r\nGET  /a HTTP/1.1\r\n\r\n", "%20", "/target"),
        ("Content-Type: application/http\r\n\r\nGET /ä HTTP/1.1\r\n\r\n", "percent-encode", "/target"),
        ("Content-Type: application/http\r\n\r\nGET //evil.example/a\r\n\r\n", "`//`", "/target"),
        ("Content-Type: application/http\r\n\r\nGET http://evil.example/a\r\n\r\n", "another server", "/target"),
        (
            "Content-Type: application/http\r\n\r\nGET http://api.example.com@evil.example/\r\n\r\n",
            "another server",
            "/target",
        ),
        ("Content-Type: application/http\r\n\r\nGET ../a HTTP/1.1\r\n\r\n", "`..`", "/target"),
        ("Content-Type: application/http\r\n\r\nPOST /batch HTTP/1.1\r\n\r\n", "a batch can't be", "/target"),
        ("Content-Type: application/http\r\n\r\nGET $7/a HTTP/1.1\r\n\r\n", "no request before this one", "/target"),
        ("Content-Type: application/http\r\n\r\nGET /a\r\nHost: evil.example\r\n\r\n", "another host", "/headers/Host"),
        (
            "Content-Type: application/http\r\n\r\nGET /a\r\nCookie: a=b\r\n\r\n",
            "may not set `cookie`",
            "/headers/Cookie",
        ),
        (
            "Content-Type: application/http\r\n\r\nGET /a\r\nAuthorization: x\r\n\r\n",
            "may not set",
            "/headers/Authorization",
        ),
        (
            "Content-Type: application/http\r\n\r\nGET /a\r\nX-Real-IP: 1.2.3.4\r\n\r\n",
            "may not set",
            "/headers/X-Real-IP",
        ),
        ("Content-Type: application/http\r\n\r\nGET /a\r\nbad header\r\n\r\n", "can't be read", ""),
        ("Content-Type: application/http\r\n\r\nGET /a\r\n folded: x\r\n\r\n", "can't be read", ""),
        ("Content-Type: application/http\r\n\r\nGET /a\r\naccept: a\rb\r\n\r\n", "can't be read", ""),
        ("Content-Type: application/http\r\n\r\nGET /a\r\naccept: a\r\n \rb: c\r\n\r\n", "can't be read", ""),
        ("Content-Type: application/http\r\n\r\nGET /a\r\naccept: a\r\n\r\r\n b\r\n\r\n", "can't be read", ""),
        (
            "Content-Type: application/http\r\n\r\nGET /a\r\ncontent-type: a/b\r\ncontent-type: c/d\r\n\r\n",
            "only one",
            "/headers/content-type",
        ),
        ("Content-Type: multipart/mixed\r\n\r\n--c\r\n--c--", "needs a `boundary`", ""),
        ("Content-Type: multipart/mixed; boundary=c\r\n\r\nnothing", "no line with its boundary", ""),
        (
            "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: application/http\r\n\r\nGET /a",
            "cut off",
            "",
        ),
        ("Content-Type: multipart/mixed; boundary=c\r\n\r\n--c--", "at least one request", ""),
        ("Content-Type: multipart/form-data; boundary=c\r\n\r\n--c--", "`application/http`", ""),
    ] {
        let service = batched(BatchLayer::new(), |request| {
            assert_eq!(request.uri(), "/h");
            echo(request)
        });
        let answer = parts_of(service, &[part, &healthy, part]).await;
        assert_eq!(outline(&answer)[1], json!(["h", 200]), "{part:?}");
        for index in [0, 2] {
            let (message, at) = answer[index].single().error(400);
            assert!(message.contains(word), "{part:?}: {message}");
            assert_eq!(at.as_str(), Some(format!("/{index}{target}").as_str()), "{part:?}");
        }
    }
}

#[tokio::test]
async fn the_id_of_a_faulty_part_is_told() {
    for part in [
        "Content-ID: 7\r\nContent-Type: text/plain\r\n\r\n",
        "Content-Type: application/http\r\nContent-ID: 7\r\n\r\n",
        "Content-Type: application/http\r\nContent-ID: 7\r\n\r\nGET //\r\n\r\n",
        "Content-Type: application/http\r\n\r\nGET //\r\nContent-ID: 7\r\n\r\n",
    ] {
        let answer = parts_of(batched(BatchLayer::new(), echo), &[part]).await;
        assert_eq!(outline(&answer), json!([["7", 400]]), "{part:?}");
    }
}

#[tokio::test]
async fn what_can_not_be_taken_apart_is_refused_as_a_whole() {
    let good = between("b", &[&http("GET /a")]);
    let named = [named("1", "GET /a"), named("1", "GET /b")];
    let twice = between("b", &[&named[0], &named[1]]);
    for (content_type, document, word) in [
        ("multipart/mixed", &*good, "needs a `boundary`"),
        ("multipart/mixed; boundary=\"\"", &good, "1 to 70"),
        ("multipart/mixed; boundary=b; boundary=c", &good, "more than one `boundary`"),
        ("multipart/mixed; boundary=b; boundary*=utf-8''c", &good, "can't be encoded"),
        ("multipart/mixed; boundary=c", &good, "no line with its boundary"),
        ("multipart/mixed; boundary=--b", &good, "no line with its boundary"),
        ("multipart/mixed; boundary=b", "", "no line with its boundary"),
        ("multipart/mixed; boundary=b", "--b\r\n", "cut off"),
        ("multipart/mixed; boundary=b", good.trim_end().trim_end_matches("--"), "cut off"),
        ("multipart/mixed; boundary=b", "--b--", "empty"),
        ("multipart/mixed; boundary=b", &twice, "the same id"),
    ] {
        let detail = refused(content_type, document).await;
        assert!(detail.contains(word), "{content_type} {document:?}: {detail}");
    }
    let get = http("GET /a");
    let many = vec![&*get; 101];
    let nothing = || batched(BatchLayer::new(), |request| panic!("{request:?} was sent"));
    refusal(&call(nothing(), of(&many)).await, StatusCode::PAYLOAD_TOO_LARGE);
    let post = http("POST /a");
    let set = change_set(&vec![&*post; 100]);
    refusal(&call(nothing(), of(&[&get, &set])).await, StatusCode::PAYLOAD_TOO_LARGE);
    let set = change_set(&vec![&*post; 1000]);
    refusal(&call(nothing(), of(&[&set])).await, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_batch_is_answered_in_parts_whatever_it_accepts() {
    for accept in ["application/json", "multipart/mixed", "application/xml", "*/*", "text/html;q=0", "garbage"] {
        let batch = with(of(&[&http("GET /a")]), "accept", accept);
        let answer = parts(&call(batched(BatchLayer::new(), echo), batch).await);
        assert_eq!(answer[0].single().status, 200, "{accept}");
    }
}

#[tokio::test]
async fn any_batch_can_be_answered_in_parts() {
    let operations = json!([
        {"id": "a", "path": "/a"},
        {"id": "<g>", "path": "//"},
        {"id": "line\r\nSet-Cookie: x=y\r\n\r\n--", "path": "/b"},
        {"id": "100%\n", "path": "/c"},
        {"id": " b ", "path": "/c"},
        {"path": "/d", "method": "POST", "body": 1},
        {"id": "1", "group": "g", "path": "/e", "method": "POST"},
        {"id": "2", "group": "g", "path": "/f", "method": "POST"},
    ]);
    let expected = json!([
        ["a", 200],
        ["<response-g>", 400],
        ["line%0D%0ASet-Cookie:%20x=y%0D%0A%0D%0A--", 200],
        ["100%25%0A", 200],
        ["%20b%20", 200],
        [null, 200],
        ["1", 501],
        ["2", 501],
    ]);
    let answer = |batch| async {
        parts(&call(batched(BatchLayer::new(), echo), with(batch, "accept", "multipart/mixed")).await)
    };
    assert_eq!(outline(&answer(batch(operations.clone())).await), expected, "one part for each operation");
    let lines: String = operations.as_array().unwrap()[..6].iter().map(|operation| format!("{operation}\n")).collect();
    let by_line = answer(batch_as("application/x-ndjson", lines)).await;
    assert_eq!(outline(&by_line).as_array().unwrap()[..], expected.as_array().unwrap()[..6]);
    let requests =
        json!({"requests": [{"id": "1", "method": "get", "url": "/a"}, {"id": "2", "method": "get", "url": "/b"}]});
    assert_eq!(outline(&answer(batch(requests)).await), json!([["1", 200], ["2", 200]]));
}

#[tokio::test]
async fn headers_of_a_response_can_not_inject() {
    let service = batched(BatchLayer::new(), |_| {
        response(
            StatusCode::OK,
            &[("link", "</a>; rel=a"), ("link", "</b>;\trel=\"\u{e4}\""), ("set-cookie", "a=b")],
            "",
        )
    });
    let answer = parts_of(service, &[&http("GET /a")]).await;
    let links: Vec<_> = answer[0].single().headers.iter().collect();
    assert_eq!(
        links,
        [&("Link".into(), "</a>; rel=a".into()), &("Link".to_owned(), "</b>;\trel=\"\u{e4}\"".to_owned())]
    );
}

#[tokio::test]
async fn boundaries_of_two_answers_differ() {
    let boundary = || async {
        let answer = call(batched(BatchLayer::new(), echo), of(&[&http("GET /a")])).await;
        answer.headers()["content-type"].to_str().unwrap().to_owned()
    };
    assert_ne!(boundary().await, boundary().await);
}

#[tokio::test]
async fn writes_wait_and_reads_run_side_by_side() {
    let service = batched(BatchLayer::new(), |request| response(StatusCode::OK, &[], request.uri().path().to_owned()));
    let lines = ["GET /0", "POST /1", "GET /2", "DELETE /3"].map(http);
    let answer = parts_of(service, &lines.each_ref().map(String::as_str)).await;
    let bodies: Vec<_> = answer.iter().map(|part| part.single().body.clone()).collect();
    assert_eq!(bodies, ["/0", "/1", "/2", "/3"]);
}

#[tokio::test]
async fn the_rest_is_left_out_only_where_that_is_wanted() {
    let failing = || {
        batched(BatchLayer::new(), |request| match request.uri().path() {
            "/bad" => response(StatusCode::CONFLICT, &[], ""),
            _ => response(StatusCode::OK, &[], ""),
        })
    };
    let requests = ["POST /a", "POST /bad", "POST /b"].map(http);
    let batch = || of(&requests.each_ref().map(String::as_str));
    let statuses = |prefer: Option<&'static str>| async move {
        let batch = prefer.into_iter().fold(batch(), |batch, prefer| with(batch, "prefer", prefer));
        let answer = parts(&call(failing(), batch).await);
        answer.iter().map(|part| part.single().status).collect::<Vec<_>>()
    };
    assert_eq!(statuses(None).await, [200, 409, 200]);
    assert_eq!(statuses(Some("odata.continue-on-error")).await, [200, 409, 200]);
    assert_eq!(statuses(Some("continue-on-error=false")).await, [200, 409, 424]);
}

#[tokio::test]
async fn the_server_may_have_another_status() {
    let layer = BatchLayer::new().answer_status("multipart/mixed", StatusCode::ACCEPTED);
    let answer = call(batched(layer.clone(), echo), of(&[&http("GET /a")])).await;
    assert_eq!(answer.status(), 202);
    assert_eq!(call(batched(layer, echo), batch(json!([{"path": "/"}]))).await.status(), 207);
    let twice = BatchLayer::new().answer_status("application/json", StatusCode::ACCEPTED);
    let twice = twice.answer_status("application/json", StatusCode::OK);
    assert_eq!(call(batched(twice, echo), batch(json!([{"path": "/"}]))).await.status(), 200);
}

#[test]
#[should_panic(expected = "204")]
fn an_answer_without_a_body_is_no_answer() {
    let _ = BatchLayer::new().answer_status("multipart/mixed", StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let service = batched(BatchLayer::new(), |request| {
        assert_eq!(request.method(), Method::HEAD);
        response(StatusCode::OK, &[("content-type", "text/plain"), ("content-length", "17")], "")
    });
    let answer = parts_of(service, &[&http("HEAD /a HTTP/1.1\r\n\r\n")]).await;
    let Part::Single(single) = &answer[0] else { panic!("{answer:?}") };
    assert_eq!((single.header("Content-Type"), &*single.body), (Some("text/plain"), &b""[..]));
}
