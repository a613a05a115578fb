//! Streams of lines on a real socket, byte by byte: cut off anywhere in either direction.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use std::{net::SocketAddr, sync::Arc};

use common::{
    Body, SubRequest,
    lines::{get_lines, results, statuses, told},
    recorder::Log,
    soon,
};
use futures_util::FutureExt;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};
use tower::{BoxError, ServiceBuilder, service_fn, util::BoxCloneSyncService};
use tower_multistatus::{BatchLayer, ResponseBody};

type Stack = BoxCloneSyncService<Request<Incoming>, Response<ResponseBody<Body>>, BoxError>;

/// A server that takes one connection after the other.
struct Server {
    listener: TcpListener,
    service: Stack,
    half_close: bool,
    log: Log,
    permits: Arc<Semaphore>,
}

impl Server {
    async fn new(layer: BatchLayer, half_close: bool) -> Self {
        let (log, permits) = (Log::default(), Arc::new(Semaphore::new(2)));
        let (logs, taken) = (log.clone(), Arc::clone(&permits));
        let inner = service_fn(move |request: SubRequest| {
            let (log, permits) = (logs.clone(), Arc::clone(&taken));
            async move {
                let _permit = permits.acquire_owned().await?;
                log.push(request.uri().path());
                match request.uri().path() {
                    "/forever" => std::future::pending().await,
                    "/large" => Ok::<_, BoxError>(Response::new(Body::from(vec![b'x'; 10_000]))),
                    _ => {
                        tokio::task::yield_now().await;
                        Ok(Response::new(Body::from("done")))
                    }
                }
            }
        });
        let stack = ServiceBuilder::new().map_request(|request: Request<Incoming>| request.map(Body::new));
        let service = Stack::new(stack.layer(layer).service(inner));
        let socket = TcpSocket::new_v4().unwrap();
        // Connections have it too.
        socket.set_send_buffer_size(8 << 10).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self { listener: socket.listen(16).unwrap(), service, half_close, log, permits }
    }

    /// A client, and the connection on the server's side, which ends when nothing is left of it.
    async fn connect(&self) -> (TcpStream, JoinHandle<()>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 << 10).unwrap();
        let (client, accepted) =
            tokio::join!(socket.connect(self.listener.local_addr().unwrap()), self.listener.accept());
        let service = TowerToHyperService::new(self.service.clone());
        let mut http = http1::Builder::new();
        let connection = http.half_close(self.half_close).serve_connection(TokioIo::new(accepted.unwrap().0), service);
        // A client that hangs up is no failure of the test's.
        (client.unwrap(), tokio::spawn(connection.map(drop).boxed()))
    }

    /// Whatever has become of others, this one is served.
    async fn assert_healthy(&self) {
        let (mut client, connection) = self.connect().await;
        let batch = get_lines(3);
        let head = head(&format!("connection: close\r\ncontent-length: {}", batch.len()));
        client.write_all((head + &batch).as_bytes()).await.unwrap();
        assert_eq!(statuses(answer(&mut client).await.unwrap()), [200; 3]);
        soon(connection).await.unwrap();
        assert_eq!(self.log.take().len(), 3);
    }

    async fn assert_nothing_is_left(&self, alive: usize) {
        // Tasks that are aborted end at their next turn.
        while self.permits.available_permits() < 2 || alive_tasks() > alive {
            tokio::task::yield_now().await;
        }
    }
}

fn alive_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

fn head(lines: &str) -> String {
    format!("POST /batch HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-ndjson\r\n{lines}\r\n\r\n")
}

/// All that comes until the connection is closed: the lines of the answer; `None` where there is none, or not all of it.
async fn answer(client: &mut TcpStream) -> Option<Vec<Value>> {
    let mut bytes = Vec::new();
    soon(client.read_to_end(&mut bytes)).await.ok()?;
    let text = String::from_utf8(bytes).unwrap();
    let (head, mut rest) = text.split_once("\r\n\r\n").filter(|(head, _)| head.starts_with("HTTP/1.1 207"))?;
    assert!(head.contains("transfer-encoding: chunked"));
    let mut body = String::new();
    loop {
        let (size, chunk) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).unwrap();
        body += chunk.get(..size)?;
        rest = chunk.get(size + 2..)?;
        if size == 0 {
            return Some(told(&body));
        }
    }
}

/// With a bad line, a blank one, both line ends, and a last one that has none.
const BATCH: &str =
    "{\"path\":\"/0\"}\n{\"method\":\"PUT\",\"path\":\"/1\"}\r\n7\n\n{\"path\":\"/3\"}\n{\"path\":\"/4\"}";

/// What goes over the wire, and how much of the batch has by each byte of it.
fn wire(chunked: bool) -> Vec<(u8, usize)> {
    let mut bytes = Vec::new();
    let mut put = |text: &str, counts: bool| {
        for byte in text.bytes() {
            let had = bytes.last().map_or(0, |(_, had)| *had);
            bytes.push((byte, had + usize::from(counts)));
        }
    };
    if !chunked {
        put(&head(&format!("content-length: {}", BATCH.len())), false);
        put(BATCH, true);
        return bytes;
    }
    put(&head("transfer-encoding: chunked"), false);
    // Chunks know nothing of lines.
    for piece in [&BATCH[..5], &BATCH[5..40], &BATCH[40..]] {
        put(&format!("{:x}\r\n", piece.len()), false);
        put(piece, true);
        put("\r\n", false);
    }
    put("0\r\n\r\n", false);
    bytes
}

/// At every byte of it, the client is gone, or has no more to say and waits for the answer.
async fn cut_off(layer: BatchLayer, half_close: bool) {
    let server = Server::new(layer, half_close).await;
    let alive = alive_tasks();
    for (chunked, waits) in [(false, false), (false, true), (true, false), (true, true)] {
        let wire = wire(chunked);
        for length in 0..=wire.len() {
            let (mut client, connection) = server.connect().await;
            let bytes: Vec<_> = wire[..length].iter().map(|(byte, _)| *byte).collect();
            client.write_all(&bytes).await.unwrap();
            let is_whole = length == wire.len();
            let sent = &BATCH[..wire[..length].last().map_or(0, |(_, had)| *had)];
            let whole = if is_whole { sent } else { &sent[..sent.rfind('\n').map_or(0, |end| end + 1)] };
            let whole: Vec<_> = whole.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect();
            let told = if waits {
                client.shutdown().await.unwrap();
                answer(&mut client).await
            } else {
                None
            };
            drop(client);
            soon(connection).await.unwrap();
            server.assert_nothing_is_left(alive).await;

            let case = format!("{chunked} {waits} {sent:?}");
            let mut ran = server.log.take();
            ran.sort_unstable();
            let operations = whole.iter().enumerate().filter(|(_, line)| line.starts_with('{'));
            let expected: Vec<_> = operations.map(|(index, _)| format!("/{index}")).collect();
            // Nothing of it twice, nothing that was not whole.
            assert!(ran.windows(2).all(|two| two[0] < two[1]), "{ran:?} {case}");
            assert!(ran.iter().all(|one| expected.contains(one)), "{ran:?} {case}");
            // If the server knows that the client still listens, it does all that it can.
            if waits && half_close && length >= wire.iter().position(|(_, had)| *had > 0).unwrap() {
                let (results, _) = results(told.unwrap_or_else(|| panic!("no answer: {case}")));
                assert_eq!(ran, expected, "{case}");
                assert_eq!(results.len(), whole.len() + usize::from(!is_whole), "{case}");
                assert!(is_whole || results.last().unwrap()["status"] == 400, "{case}");
            }
            if length % 16 == 0 {
                server.assert_healthy().await;
            }
        }
    }
    server.assert_healthy().await;
}

#[tokio::test]
async fn a_client_may_be_cut_off_at_any_byte() {
    cut_off(BatchLayer::new(), false).await;
}

#[tokio::test]
async fn a_client_may_be_cut_off_at_any_byte_and_wait_for_its_answer() {
    cut_off(BatchLayer::new(), true).await;
}

#[tokio::test]
async fn a_client_may_be_cut_off_at_any_byte_where_operations_are_spawned() {
    cut_off(BatchLayer::new().spawn(), true).await;
}

/// At any byte of the answer, while more could still be sent and something still runs.
#[tokio::test]
async fn a_client_may_go_away_at_any_byte_of_the_answer() {
    for layer in [BatchLayer::new(), BatchLayer::new().spawn()] {
        let server = Server::new(layer, false).await;
        let alive = alive_tasks();
        let batch = get_lines(2) + "{\"path\":\"/forever\"}\n";
        let sent = format!("{}{:x}\r\n{batch}\r\n", head("transfer-encoding: chunked"), batch.len());
        // All but the last one are answered.
        let results = [0, 1].map(|index| format!("{{\"index\":{index},\"status\":200,\"data\":"));
        let mut length = 0;
        loop {
            let (mut client, connection) = server.connect().await;
            client.write_all(sent.as_bytes()).await.unwrap();
            let mut bytes = vec![0; length];
            soon(client.read_exact(&mut bytes)).await.unwrap();
            drop(client);
            soon(connection).await.unwrap();
            server.assert_nothing_is_left(alive).await;
            let mut ran = server.log.take();
            ran.sort_unstable();
            ran.windows(2).for_each(|two| assert_ne!(two[0], two[1]));
            let text = String::from_utf8_lossy(&bytes);
            if results.iter().all(|result| text.contains(result)) {
                break;
            }
            length += 1;
        }
        assert!(length > 200, "{length}");
        server.assert_healthy().await;
    }
}

/// As long as a client has not read what came, no more begins than what fits in between.
#[tokio::test]
async fn what_begins_is_bounded_by_what_is_read() {
    const MANY: usize = 1500;
    const RESULT: usize = 10_000;
    let server = Server::new(BatchLayer::new(), false).await;
    let (client, connection) = server.connect().await;
    let (mut reader, mut writer) = client.into_split();
    let batch = "{\"path\":\"/large\"}\n".repeat(MANY);
    let head = head(&format!("connection: close\r\ncontent-length: {}", batch.len()));
    let writing = tokio::spawn(async move {
        writer.write_all((head + &batch).as_bytes()).await.unwrap();
        writer
    });
    let (mut read, mut begun) = (0, 0);
    let mut piece = vec![0; RESULT];
    loop {
        let length = soon(reader.read(&mut piece)).await.unwrap();
        if length == 0 {
            break;
        }
        read += length;
        begun += server.log.take().len();
        // The server's turns, as many as it likes; what hyper keeps, and both sockets.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        assert!(begun <= read / RESULT + 120, "{begun} have begun, and {} are read", read / RESULT);
    }
    assert!(read > MANY * RESULT);
    assert_eq!(begun + server.log.take().len(), MANY);
    drop(soon(writing).await.unwrap());
    soon(connection).await.unwrap();
}

/// Each line is answered before the next one is sent, by a client that knows nothing of frames.
#[tokio::test]
async fn a_conversation() {
    let server = Server::new(BatchLayer::new(), false).await;
    let (mut client, connection) = server.connect().await;
    client.write_all(head("connection: close\r\ntransfer-encoding: chunked").as_bytes()).await.unwrap();
    let mut text = String::new();
    for index in 0..10 {
        let line = format!("{}\n", json!({"path": format!("/{index}")}));
        client.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await.unwrap();
        while !text.contains(&format!("{{\"index\":{index},\"status\":200")) {
            text.push(soon(client.read_u8()).await.unwrap().into());
        }
    }
    client.write_all(b"0\r\n\r\n").await.unwrap();
    soon(client.read_to_string(&mut text)).await.unwrap();
    assert!(text.contains(r#"{"summary":{"total":10,"succeeded":10,"failed":0}}"#));
    soon(connection).await.unwrap();
}
#[tokio::test]
async fn a_client_that_waits_is_told_to_continue_before_the_answer_begins() {
    let server = Server::new(BatchLayer::new(), false).await;
    for (framing, batch) in [
        ("content-length: 28", get_lines(2)),
        ("transfer-encoding: chunked", format!("1c\r\n{}\r\n0\r\n\r\n", get_lines(2))),
    ] {
        let (mut client, connection) = server.connect().await;
        let head = head(&format!("connection: close\r\nexpect: 100-continue\r\n{framing}"));
        client.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 25];
        soon(client.read_exact(&mut first)).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(batch.as_bytes()).await.unwrap();
        assert_eq!(statuses(answer(&mut client).await.unwrap()), [200, 200]);
        soon(connection).await.unwrap();
    }
    // One that can't be served sends nothing in vain.
    let (mut client, _connection) = server.connect().await;
    let head = head("accept: image/png\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: 28");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut refusal = String::new();
    soon(client.read_to_string(&mut refusal)).await.unwrap();
    assert!(refusal.starts_with("HTTP/1.1 406"), "{refusal}");
}
