//! A batch of lines to send, and an answer of lines to read.

use std::{fmt::Display, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{sync::mpsc, task::unconstrained, time::sleep};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_test::task;
use tower::BoxError;
use tower_multistatus::ResponseBody;

use super::{Body, request_with};

pub(crate) const NDJSON: &str = "application/x-ndjson";

/// A request to `/batch`, which holds lines.
pub(crate) fn stream_of(body: impl Into<Body>) -> Request<Body> {
    let mut request = request_with(body.into());
    request.headers_mut().insert("content-type", HeaderValue::from_static(NDJSON));
    request
}

/// The same, to be answered in this media type.
pub(crate) fn stream_for(accept: &'static str, body: impl Into<Body>) -> Request<Body> {
    let mut request = stream_of(body);
    request.headers_mut().insert("accept", HeaderValue::from_static(accept));
    request
}

/// One line each.
pub(crate) fn lines<T: Display>(operations: impl IntoIterator<Item = T>) -> String {
    operations.into_iter().map(|operation| format!("{operation}\n")).collect()
}

/// GETs of `/0`, `/1` and so on.
pub(crate) fn get_lines(count: usize) -> String {
    lines((0..count).map(|index| format!(r#"{{"path":"/{index}"}}"#)))
}

/// A body that comes in these pieces, each after so many milliseconds.
pub(crate) fn in_pieces(pieces: Vec<(u64, Bytes)>) -> Body {
    Body::from_stream(stream::iter(pieces).then(async |(millis, piece)| {
        sleep(Duration::from_millis(millis)).await;
        Ok::<_, BoxError>(piece)
    }))
}

/// What a body sends when the test wants it. Dropped, it ends the body.
pub(crate) type Pieces = mpsc::UnboundedSender<Result<Bytes, BoxError>>;

pub(crate) fn by_pieces() -> (Pieces, Body) {
    let (pieces, received) = mpsc::unbounded_channel();
    (pieces, Body::from_stream(UnboundedReceiverStream::new(received)))
}

pub(crate) trait Write {
    fn write(&self, text: impl Into<String>);
    /// One operation, as a line.
    fn line(&self, operation: impl Display) {
        self.write(format!("{operation}\n"));
    }
}

impl Write for Pieces {
    fn write(&self, text: impl Into<String>) {
        self.send(Ok(Bytes::from(text.into()))).expect("nobody reads the batch any more");
    }
}

/// An answer in lines. It goes on only when the test lets it.
pub(crate) struct Reading {
    body: ResponseBody<Body>,
    text: String,
    /// How much of it the test has seen.
    seen: usize,
    has_ended: bool,
}

impl Reading {
    pub(crate) fn new(response: Response<ResponseBody<Body>>) -> Self {
        assert_eq!(response.status(), 207);
        assert_eq!(response.headers()["content-type"], NDJSON);
        Self { body: response.into_body(), text: String::new(), seen: 0, has_ended: false }
    }

    /// Reads on as far as that goes without waiting for anything: the lines that came by that.
    pub(crate) fn read_on(&mut self) -> Vec<Value> {
        // It isn't a task of the runtime's, and so it has no share of work that could be used up.
        let mut next = task::spawn(unconstrained(async {
            while let Some(frame) = self.body.frame().await {
                self.text += std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap();
            }
            self.has_ended = true;
        }));
        while next.poll().is_pending() && next.is_woken() {}
        drop(next);
        let from = std::mem::replace(&mut self.seen, self.text.len());
        told(&self.text[from..])
    }

    /// The next piece, as soon as there is one.
    pub(crate) async fn piece(&mut self) -> Option<String> {
        let from = self.text.len();
        self.wait().await.then(|| {
            self.seen = self.text.len();
            self.text[from..].to_owned()
        })
    }

    /// Waits for one more piece; whether there is one.
    async fn wait(&mut self) -> bool {
        match super::soon(self.body.frame()).await {
            Some(piece) => self.text += std::str::from_utf8(piece.unwrap().data_ref().unwrap()).unwrap(),
            None => self.has_ended = true,
        }
        !self.has_ended
    }

    /// The next line, as soon as it is there.
    pub(crate) async fn line(&mut self) -> Value {
        loop {
            match self.text[self.seen..].find('\n') {
                Some(end) => {
                    let line = self.text[self.seen..self.seen + end].to_owned();
                    self.seen += end + 1;
                    if !line.is_empty() {
                        return serde_json::from_str(&line).unwrap();
                    }
                }
                None => assert!(self.wait().await, "the answer has ended"),
            }
        }
    }

    /// Reads to the end: all lines of the answer.
    pub(crate) async fn finish(mut self) -> Vec<Value> {
        while !self.has_ended && self.wait().await {}
        told(&self.text)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }
}

/// The values in these lines, of which each one ends.
pub(crate) fn told(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "half a line: {text}");
    let lines = text.lines().filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
}

/// The results in request order, of which there is one for each operation, and the summary.
pub(crate) fn results(mut lines: Vec<Value>) -> (Vec<Value>, Value) {
    let mut summary = lines.pop().expect("at least a summary");
    lines.sort_by_key(|result| result["index"].as_u64());
    assert!(lines.iter().enumerate().all(|(index, result)| result["index"] == index), "{lines:?}");
    let failed = lines.iter().filter(|result| result["status"].as_u64().unwrap() >= 400).count();
    let summary = summary["summary"].take();
    let expected = serde_json::json!({"total": lines.len(), "succeeded": lines.len() - failed, "failed": failed});
    assert_eq!(summary, expected);
    (lines, summary)
}

pub(crate) fn statuses(lines: Vec<Value>) -> Vec<u64> {
    results(lines).0.iter().map(|result| result["status"].as_u64().unwrap()).collect()
}
