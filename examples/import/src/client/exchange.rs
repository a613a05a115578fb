//! One batch over one connection: operations are sent and results are read at the same time.
//!
//! A client that sends all before it reads anything is stuck as soon as the buffers between the two are full: the server
//! goes on when its results are taken away, and not before.

use std::{convert::Infallible, error::Error, fmt, iter, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::{Body, Frame, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use tokio::{net::TcpStream, sync::mpsc, time};

use crate::{answer::Answer, import::Import, progress::Progress, source::Part, tally::reason};

const NDJSON: &str = "application/x-ndjson";
/// Bytes that are read of an answer that refuses the batch.
const REFUSAL_BYTES: usize = 64 * 1024;

/// Why the batch has not come to its end.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nothing of it was done.
    Refused(String),
    /// Something of it was done.
    Cut(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the batch was refused: {why}"),
            Self::Cut(why) => write!(f, "the answer was cut off: {why}"),
        }
    }
}

/// Carries the import out, until the server has told its summary.
pub(crate) async fn run(
    import: &Arc<Import>,
    mut parts: mpsc::Receiver<Part>,
    url: &Uri,
    patience: Duration,
    progress: &mut Progress,
) -> Result<(), Fault> {
    // A batch of nothing would be refused.
    let Some(first) = import.next(&mut parts).await else { return Ok(()) };
    let stream = time::timeout(patience, connect(url)).await;
    let stream = stream.map_err(|_| Fault::Refused(format!("{url} can't be reached in time")))?;
    let stream = stream.map_err(|error| Fault::Refused(format!("{url} can't be reached: {error}")))?;
    let connection = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connection.map_err(|error| Fault::Refused(with_causes(&error)))?;
    // What happens to it is seen by who waits for the answer.
    tokio::spawn(connection);

    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::post(path)
        .header(header::HOST, url.authority().map_or("", |authority| authority.as_str()))
        .header(header::CONTENT_TYPE, NDJSON)
        .header(header::ACCEPT, NDJSON)
        .body(body(first, Arc::clone(import), parts))
        .map_err(|error| Fault::Refused(error.to_string()))?;
    let response = listen(import, patience, sender.send_request(request)).await?;
    let response = response.map_err(|error| Fault::Cut(with_causes(&error)))?;
    if !is_result_stream(&response) {
        return Err(refusal(response, patience).await);
    }

    let (mut body, mut answer) = (response.into_body(), Answer::default());
    while let Some(frame) = listen(import, patience, body.frame()).await? {
        let frame = frame.map_err(|error| Fault::Cut(with_causes(&error)))?;
        if let Ok(data) = frame.into_data() {
            answer.read(&data, import).map_err(Fault::Cut)?;
            let state = import.state();
            progress.update(&state.ledger, &state.tally);
        }
    }
    answer.end(import).map_err(Fault::Cut)
}

async fn connect(url: &Uri) -> std::io::Result<TcpStream> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The rows, as the connection has room for them.
fn body(
    first: Bytes,
    import: Arc<Import>,
    parts: mpsc::Receiver<Part>,
) -> impl Body<Data = Bytes, Error = Infallible> + Send + 'static {
    let first = stream::iter([first]);
    let others = stream::unfold((import, parts), async |(import, mut parts)| {
        let operations = import.next(&mut parts).await?;
        Some((operations, (import, parts)))
    });
    Box::pin(StreamBody::new(first.chain(others).map(|operations| Ok(Frame::data(operations)))))
}

/// Waits for the server, but not for ever.
async fn listen<T>(import: &Import, patience: Duration, said: impl Future<Output = T>) -> Result<T, Fault> {
    tokio::pin!(said);
    loop {
        match time::timeout(patience, &mut said).await {
            Ok(said) => return Ok(said),
            // Where rows come slowly, it may just have nothing to say.
            Err(_) if !import.waits_for(patience) => {}
            Err(_) => {
                let seconds = patience.as_secs();
                return Err(Fault::Cut(format!(
                    "the server has said nothing for {seconds} s. Perhaps a proxy before it keeps the batch until it has \
                     all of it"
                )));
            }
        }
    }
}

fn is_result_stream<B>(response: &Response<B>) -> bool {
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    response.status() == StatusCode::MULTI_STATUS
        && ["application/x-ndjson", "application/jsonl"].iter().any(|known| essence.eq_ignore_ascii_case(known))
}

async fn refusal(response: Response<Incoming>, patience: Duration) -> Fault {
    let status = response.status();
    if status == StatusCode::MULTI_STATUS {
        // It may well have been carried out.
        return Fault::Cut("it is not NDJSON, so nothing of it can be understood".to_owned());
    }
    let body = time::timeout(patience, Limited::new(response.into_body(), REFUSAL_BYTES).collect()).await;
    let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
    let reason = match serde_json::from_slice::<&RawValue>(&body) {
        Ok(json) => reason(json),
        Err(_) => String::from_utf8_lossy(&body).chars().take(200).collect(),
    };
    Fault::Refused(format!("{status}: {reason}"))
}

fn with_causes(error: &dyn Error) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    causes.map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
}
