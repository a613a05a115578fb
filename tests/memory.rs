//! Batches without end take no more memory than others: bytes that are live at once, counted by the allocator. Neither the
//! batch nor its answer is ever whole anywhere.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::{
    convert::Infallible,
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use allocation_counter::measure;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use memchr::memmem;
use tower::{Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, Encode, EncodeContext, Encoder, Order, Outcome, RequestBody};

const MILLION: usize = 1_000_000;

/// As many as take a few seconds.
const MANY: usize = if cfg!(debug_assertions) { 30_000 } else { MILLION };

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// One batch: what it is made of, and who reads its answer.
struct Case {
    layer: BatchLayer,
    /// Writes the line of this index.
    line: fn(usize, &mut String),
    accept: &'static str,
    /// What stands in the answer once for each result; nothing is looked for where it is empty.
    mark: &'static str,
    /// How long the reader waits behind each piece.
    pause: Duration,
}

impl Case {
    fn new(line: fn(usize, &mut String)) -> Self {
        let (accept, mark) = ("application/x-ndjson", "{\"index\":");
        Self { layer: BatchLayer::new(), line, accept, mark, pause: Duration::ZERO }
    }

    fn layer(self, change: impl FnOnce(BatchLayer) -> BatchLayer) -> Self {
        Self { layer: change(self.layer), ..self }
    }

    fn accept(self, accept: &'static str, mark: &'static str) -> Self {
        Self { accept, mark, ..self }
    }

    fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Runs it with few operations, with more and with `most`: never are more than so many bytes live at once.
    #[track_caller]
    fn stays_below(&self, bound: u64, most: usize) {
        for operations in [1000, 10_000].into_iter().filter(|few| *few < most).chain([most]) {
            let peak = self.peak(operations);
            println!("{operations} operations: {} KiB", peak / KIB);
            assert!(peak <= bound, "{operations} operations: {peak} bytes");
        }
    }

    /// The most bytes that are live at once while it runs.
    #[track_caller]
    fn peak(&self, operations: usize) -> u64 {
        peak(async || assert_eq!(self.run(operations).await, operations))
    }

    /// The number of results.
    async fn run(&self, operations: usize) -> usize {
        let request = Request::post("/batch")
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .header(header::ACCEPT, self.accept)
            .body(body(operations, self.line))
            .unwrap();
        let told = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&told);
        let layer = self.layer.clone().on_outcome(move |_, _, _| _ = counter.fetch_add(1, Relaxed));
        let mut answer = layer.layer(service_fn(serve)).oneshot(request).await.unwrap().into_body();
        let mark = memmem::Finder::new(self.mark);
        let mut results = 0;
        while let Some(piece) = answer.frame().await {
            let piece = piece.unwrap().into_data().unwrap();
            results += mark.find_iter(&piece).count();
            drop(piece);
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
        }
        assert_eq!(told.load(Relaxed), operations);
        results
    }
}

/// The most bytes that are live at once while this runs. When it is over, none are.
#[track_caller]
fn peak(run: impl AsyncFn()) -> u64 {
    let run = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(run());
    };
    // What a thread makes for itself, it makes once.
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(tokio::task::yield_now());
    let info = measure(run);
    assert_eq!(info.bytes_current, 0);
    info.bytes_max
}

/// Lines that are made while they are read, in pieces of 16 KiB that end anywhere.
fn body(operations: usize, line: impl Fn(usize, &mut String) + Send + 'static) -> Body {
    const PIECE: usize = 16 << 10;
    let (mut index, mut text) = (0, String::new());
    let pieces = std::iter::from_fn(move || {
        while text.len() < PIECE && index < operations {
            line(index, &mut text);
            index += 1;
        }
        let piece = Bytes::copy_from_slice(&text.as_bytes()[..text.len().min(PIECE)]);
        text.drain(..piece.len());
        (!piece.is_empty()).then(|| Ok::<_, Infallible>(Frame::data(piece)))
    });
    Body::new(StreamBody::new(stream::iter(pieces)))
}

/// Answers a GET with a hundred bytes, and anything else with what it was sent. A query says how many seconds that takes.
async fn serve(request: Request<RequestBody<Body>>) -> Result<Response<Body>, Infallible> {
    if let Some(seconds) = request.uri().query() {
        tokio::time::sleep(Duration::from_secs(seconds.parse().unwrap())).await;
    }
    let is_get = request.method() == http::Method::GET;
    let body = match request.into_body().collect().await.unwrap().to_bytes() {
        _ if is_get => Bytes::from(format!("{{\"name\":\"{:089}\"}}", 0)),
        // As one that was made anew.
        body => Bytes::copy_from_slice(&body),
    };
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn get(index: usize, line: &mut String) {
    writeln!(line, r#"{{"path":"/users/{index}"}}"#).unwrap();
}

/// With a kibibyte in it.
fn post(index: usize, line: &mut String) {
    writeln!(line, r#"{{"id":"order-{index}","method":"POST","path":"/orders","body":"{:01022}"}}"#, 0).unwrap();
}

/// All in a row.
fn link(index: usize, line: &mut String) {
    let before = index.saturating_sub(1);
    let depends_on = if index > 0 { format!(r#","dependsOn":["{before}"]"#) } else { String::new() };
    writeln!(line, r#"{{"id":"{index}","path":"/users/{index}"{depends_on}}}"#).unwrap();
}

/// All others overtake one in a hundred.
fn uneven(index: usize, line: &mut String) {
    let slow = if index % 100 == 0 { "?5" } else { "" };
    writeln!(line, r#"{{"path":"/users/{index}{slow}"}}"#).unwrap();
}

/// No two that stand side by side are bad in the same way.
fn bad(index: usize, line: &mut String) {
    match index % 8 {
        0 => line.push_str("{\"path\":"),
        1 => line.push('\u{7f}'),
        2 => write!(line, r#"{{"path":"/","body":"{:05000}"}}"#, 0).unwrap(),
        3 => line.push_str(r#"{"id":"same","path":"/"}"#),
        4 => line.push_str(r#"{"path":"/","dependsOn":["nobody","else"]}"#),
        5 => line.push_str(r#"{"path":"http://elsewhere/"}"#),
        6 => line.push_str("\r\n\n  \n[]"),
        _ => line.push_str(r#"{"path":"/","group":"a"}"#),
    }
    line.push('\n');
}

#[test]
fn a_million_reads_take_as_much_as_a_thousand() {
    Case::new(get).stays_below(128 * KIB, MILLION);
}

#[test]
fn writes_with_bodies_and_ids_are_forgotten() {
    Case::new(post).stays_below(512 * KIB, MANY);
    Case::new(post).layer(|layer| layer.order(Order::Unordered)).stays_below(512 * KIB, MANY);
}

#[test]
fn dependencies_are_forgotten() {
    Case::new(link).stays_below(512 * KIB, MANY);
    Case::new(link).layer(|layer| layer.order(Order::Unordered)).stays_below(512 * KIB, MANY);
}

#[test]
fn nothing_piles_up_before_a_slow_reader() {
    let slow = || Case::new(uneven).pause(Duration::from_millis(50));
    slow().stays_below(512 * KIB, MANY);
    slow().layer(BatchLayer::spawn).stays_below(512 * KIB, MANY);
    slow().layer(BatchLayer::spawn_streams).stays_below(512 * KIB, MANY);
}

#[test]
fn what_overtakes_others_is_forgotten() {
    Case::new(uneven).stays_below(512 * KIB, MANY);
}

#[test]
fn bad_lines_leave_nothing_behind() {
    Case::new(bad).layer(|layer| layer.max_line_bytes(4096)).stays_below(128 * KIB, MANY);
}

#[test]
fn a_line_without_end_is_passed_over() {
    let piece = |_, line: &mut String| line.extend(std::iter::repeat_n('x', 16 << 10));
    let peak = peak(async || {
        let request = Request::post("/batch").header(header::CONTENT_TYPE, "application/x-ndjson");
        let request = request.body(body(MANY / 100, piece)).unwrap();
        let layer = BatchLayer::new().max_line_bytes(64 << 10);
        let answer = layer.layer(service_fn(serve)).oneshot(request).await.unwrap();
        let answer = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(answer.starts_with(b"{\"index\":0,\"status\":413,"));
    });
    assert!(peak <= 256 * KIB, "{peak} bytes");
}

#[test]
fn an_answer_in_json_is_never_whole() {
    Case::new(get).accept("application/json", "{\"index\":").stays_below(128 * KIB, MANY);
}

/// It keeps in mind which hrefs it has written, as far as there is room.
#[cfg(feature = "xml")]
#[test]
fn an_answer_in_xml_is_never_whole() {
    Case::new(get).accept("application/xml", "<D:response>").stays_below(3 * MIB, MANY.max(100_000));
}

/// It doesn't say which operation a result belongs to, so all wait for those before them.
struct Bodies;

impl Encode for Bodies {
    fn media_types(&self) -> &[&'static str] {
        &["text/plain"]
    }

    fn begin(&self, _cx: EncodeContext) -> Box<dyn Encoder> {
        Box::new(Self)
    }
}

impl Encoder for Bodies {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static("text/plain")
    }

    fn start(&mut self, _out: &mut Vec<u8>) {}

    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        out.push(b'#');
        out.extend_from_slice(outcome.response().unwrap().body());
    }

    fn finish(&mut self, _out: &mut Vec<u8>) {}
}

/// With lines of 16 KiB. One in a thousand is slow, and as many as may overtake it do.
fn large(index: usize, line: &mut String) {
    let slow = if index % 1000 == 0 { "?5" } else { "" };
    writeln!(line, r#"{{"method":"POST","path":"/orders{slow}","body":"{:016382}"}}"#, 0).unwrap();
}

/// 4 MiB are what may be in flight by default; what runs at once, and what is being written, comes on top of that.
#[test]
fn what_is_in_flight_is_bounded_whatever_waits_for_whom() {
    let large = || Case::new(large).layer(|layer| layer.order(Order::Unordered));
    large().stays_below(6 * MIB, 3000);
    large().layer(|layer| layer.encoder(Bodies)).accept("text/plain", "#").stays_below(6 * MIB, 3000);
}
