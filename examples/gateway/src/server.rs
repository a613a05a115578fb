//! Clients' connections: HTTP/1.1 and HTTP/2, until the gateway is told to end.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;
use tower_multistatus::ResponseBody;

use crate::{answer::Answer, fault, front::Peer, stack::Stack};

type Reply = Either<ResponseBody<Answer>, Full<Bytes>>;

/// Between the requests of a connection, and for the head of one.
const HEAD: Duration = Duration::from_secs(60);
/// For a client to take what it is sent.
const WRITE: Duration = Duration::from_secs(60);

/// Serves until `told` ends, and then what has begun, for `drain` at most.
pub(crate) async fn serve(
    listener: TcpListener,
    stack: Stack,
    told: impl Future<Output = io::Result<()>>,
    drain: Duration,
) -> io::Result<()> {
    let connections = GracefulShutdown::new();
    let mut told = std::pin::pin!(told);
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // Such as too many open files. Some will be closed.
                Err(_) => {
                    sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            told = &mut told => {
                told?;
                break;
            }
        };
        tokio::spawn(connections.watch(connection(stream, peer, stack.clone())));
    }
    // From here on, connections are refused.
    drop(listener);
    // What has had its time ends with the process.
    let _ = timeout(drain, connections.shutdown()).await;
    Ok(())
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    stack: Stack,
) -> impl hyper_util::server::graceful::GracefulConnection<Output = impl Send> + Send {
    // Nagle's delay would be one more wait for the last piece of each answer.
    let _ = stream.set_nodelay(true);
    let mut stream = Box::pin(TimeoutStream::new(stream));
    // Who takes nothing holds a place at an upstream.
    stream.as_mut().set_write_timeout_pinned(Some(WRITE));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let answer = stack.clone().oneshot(request);
        // In a box of a known type, for its own is more than the compiler can prove to be `Send`.
        let answer: BoxFuture<'static, Result<Response<Reply>, Infallible>> = Box::pin(async move {
            Ok(match answer.await {
                Ok(response) => response.map(Either::Left),
                Err(error) => fault::answer(&error).map(|body| Either::Right(Full::new(body))),
            })
        });
        answer
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(WRITE);
    builder.serve_connection(TokioIo::new(stream), service).into_owned()
}
