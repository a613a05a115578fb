//! When the first result of a batch is there, and when all of them are. By a clock that stands still while anything is
//! done, so that only waiting counts: the figures are exact, and the same in each run.

use std::{convert::Infallible, iter::once, time::Duration};

use axum::body::{Body, Bytes};
use http::{Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_multistatus::{BatchLayer, RequestBody, Streaming};

/// As many as run at once by default. The first takes 10 ms, the last a second.
const OPERATIONS: u64 = 16;
const FASTEST: Duration = Duration::from_millis(10);
const STEP: Duration = Duration::from_millis(66);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    println!("{:<48} {:>12} {:>12}", "milliseconds", "first result", "all results");
    for (arrival, pause) in [("sent at once", Duration::ZERO), ("sent in a second", STEP)] {
        for (way, media_type, streaming) in [
            ("whole", "application/json", Streaming::Off),
            ("streamed JSON", "application/json", Streaming::On),
            ("line by line", "application/x-ndjson", Streaming::Off),
        ] {
            let (first, all) = runtime.block_on(times(media_type, streaming, pause));
            println!("{:<48} {:>12} {:>12}", format!("{way}, {arrival}"), first.as_millis(), all.as_millis());
        }
    }
}

/// Until the first result is read, and until the last one is.
async fn times(media_type: &'static str, streaming: Streaming, pause: Duration) -> (Duration, Duration) {
    let request = Request::post("/batch").header(header::CONTENT_TYPE, media_type);
    let request = request.body(body(media_type == "application/json", pause)).expect("a valid request");
    let start = Instant::now();
    let layer = BatchLayer::new().stream(streaming);
    let Ok(response) = layer.layer(service_fn(serve)).oneshot(request).await;
    let (mut answer, mut first) = (response.into_body(), None);
    while let Some(piece) = answer.frame().await {
        let piece = piece.expect("nothing panics").into_data().unwrap_or_default();
        if memchr::memmem::find(&piece, b"\"index\"").is_some() {
            first.get_or_insert(start.elapsed());
        }
    }
    (first.expect("a result"), start.elapsed())
}

/// The operations one by one, with a pause before each but the first.
fn body(is_json: bool, pause: Duration) -> Body {
    let operation = move |index| match (is_json, index) {
        (false, _) => format!("{{\"path\":\"/{index}\"}}\n"),
        (true, 0) => r#"[{"path":"/0"}"#.to_owned(),
        (true, _) => format!(r#",{{"path":"/{index}"}}"#),
    };
    let end = if is_json { "]" } else { "" };
    let pieces = (0..OPERATIONS).map(operation).chain(once(end.to_owned())).enumerate();
    let pieces = tokio_stream::iter(pieces).then(move |(index, piece)| async move {
        if (1..OPERATIONS as usize).contains(&index) {
            sleep(pause).await;
        }
        Ok::<_, Infallible>(Frame::data(Bytes::from(piece)))
    });
    Body::new(StreamBody::new(pieces))
}

/// Takes as long as the target says.
async fn serve(request: Request<RequestBody<Body>>) -> Result<Response<Body>, Infallible> {
    let steps = request.uri().path().trim_start_matches('/').parse().expect("a number");
    sleep(FASTEST + STEP * steps).await;
    Ok(Response::new(Body::empty()))
}
