//! Says what is in a 207, and what is wrong with it.
//!
//! [`response`] takes an answer to a batch apart, whoever has written it: RFC 4918 XML, JSON of this crate, of OData, of
//! Microsoft Graph or of WordPress, a list of objects with a status, one result a line, `multipart/mixed` of OData or of
//! Google. [`exchange`] also holds it against the batch, and tells which operations have no result. The [`Report`] lists
//! the [results](Item) and the [findings](Finding), each with a stable [`Code`], whom it harms, and the section of the
//! standard.
//!
//! ```
//! use http::Response;
//! use tower_multistatus::inspect::{self, Code};
//!
//! let answer = Response::builder()
//!     .status(200)
//!     .header("content-type", "application/json")
//!     .body(r#"{"results":[{"id":"a","status":201},{"id":"b","status":404,"error":"Not Found"}]}"#)?;
//! let report = inspect::response(&answer);
//!
//! let contents = report.contents().ok_or("no results")?;
//! assert_eq!((contents.total, contents.failed), (2, 1));
//! assert_eq!(contents.items[1].failure.as_deref(), Some("Not Found"));
//! // A client that looks at the 200 alone believes that all went well.
//! assert_eq!(report.findings()[0].code, Code::FailuresHidden);
//! assert_eq!(report.exit_code(), 2);
//! print!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! And against the batch:
//!
//! ```
//! # use http::{Request, Response};
//! # use tower_multistatus::inspect::{self, Code};
//! let batch = Request::post("/batch")
//!     .header("content-type", "application/json")
//!     .body(r#"{"operations":[{"path":"/users/17"},{"path":"/users/18"}]}"#)?;
//! let answer = Response::builder()
//!     .status(207)
//!     .header("content-type", "application/json")
//!     .header("cache-control", "no-store")
//!     .body(r#"{"results":[{"index":0,"status":200}]}"#)?;
//! let report = inspect::exchange(&batch, &answer);
//! assert_eq!(report.findings()[0].code, Code::MissingResult);
//! assert_eq!(report.findings()[0].detail, "of 2 operations these have no result: 1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Units, limits and errors
//!
//! Places of results count from 0, lengths are in bytes, ages in seconds. There is no error: what can't be read is a
//! finding, and nothing in an answer makes the inspector panic. Time and memory grow linearly with the length of the
//! answer and of the batch, at most by a small factor. A report lists 10,000 results and 100 findings of each code, and
//! tells how many more there are; text of the answer in it is cut after 200 characters (256 for the sentence about a
//! failure are read), and has no control characters. A 207 within a result is inspected too, five levels deep. Entities of
//! a document type are never expanded. Compressed bodies are not looked into.
//!
//! # Standards
//!
//! RFC 4918 §8.3, §13, §14.16, §14.24 (multistatus); RFC 9110 §8, §15 and RFC 9111 (heads); RFC 9112 §4, §10.2 and RFC 2046
//! §5.1 (parts); RFC 8259 (JSON); OData 4.01 §11.7 and OData JSON 4.01 §19. [`Code`] names the section for each finding.
//! `docs/inspect.md` in the repository has all of them in a table.

use http::{Request, Response, header};

mod asked;
mod code;
mod contents;
mod display;
mod entry;
mod finding;
mod gather;
mod harm;
mod head;
mod href;
mod item;
mod json;
mod kind;
mod lines;
mod multipart;
mod pairing;
mod read;
mod report;
mod results;
mod saved;
mod severity;
mod shape;
mod status;
mod text;
mod utf8;
mod xml;

pub use self::{
    code::Code,
    contents::Contents,
    finding::Finding,
    harm::Harm,
    item::{Item, Outcome, Properties},
    report::Report,
    saved::{NotSaved, saved},
    severity::Severity,
    shape::Shape,
};

use self::{asked::Asked, gather::Gather, read::Source};

/// Inspects an answer by itself.
pub fn response(response: &Response<impl AsRef<[u8]>>) -> Report {
    examine(Gather::default(), None, response)
}

/// Inspects an answer, and holds it against the batch that it is of: native JSON or NDJSON, OData or Graph, WordPress, or
/// multipart. Of any other request that is said, and the answer is inspected by itself.
pub fn exchange(request: &Request<impl AsRef<[u8]>>, response: &Response<impl AsRef<[u8]>>) -> Report {
    let mut gather = Gather::default();
    let asked = Asked::read(head::text(request.headers(), &header::CONTENT_TYPE), request.body().as_ref());
    if asked.is_none() {
        gather.find(Code::RequestUnread, "the request is no batch that is known");
    }
    examine(gather, asked.as_ref(), response)
}

fn examine(mut gather: Gather, asked: Option<&Asked>, response: &Response<impl AsRef<[u8]>>) -> Report {
    let (headers, status, body) = (response.headers(), response.status(), response.body().as_ref());
    let source = Source { content_type: head::text(headers, &header::CONTENT_TYPE), status: status.as_u16(), asked };
    let contents = if head::is_encoded(headers, body) {
        gather.find(Code::ContentEncoded, "the body is compressed");
        None
    } else if body.trim_ascii().is_empty() {
        if source.is_multistatus() {
            gather.find(Code::NoBody, "there is no body");
        }
        None
    } else {
        source.read(&mut gather, body)
    };
    if contents.is_none() && !gather.is_unreadable {
        match status.as_u16() {
            400.. => gather.find(Code::Refused, format!("the status is {}", status.as_str())),
            _ => gather.find(Code::UnknownShape, "there are no results that are known"),
        }
    }
    head::check_length(&mut gather, headers, body.len());
    if contents.is_some() || source.is_multistatus() {
        head::check(&mut gather, response);
    }
    Report::new(status, contents, gather)
}
