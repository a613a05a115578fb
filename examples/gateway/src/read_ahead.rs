//! Operations are answered when their answer is whole.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{BoxError, Service};
use tower_multistatus::BatchContext;

use crate::{
    answer::{Answer, Exchanged},
    outgoing::Outgoing,
};

/// What is longer is passed on as it comes.
const LIMIT: usize = 256 * 1024;

/// Reads the answers to operations, so that one that breaks off can still be had from another upstream. The batch layer
/// would read them to their end anyway. An answer to a request that came alone is passed on as it comes.
#[derive(Clone)]
pub(crate) struct ReadAhead<S>(pub(crate) S);

impl<S> Service<Request<Outgoing>> for ReadAhead<S>
where
    S: Service<Request<Outgoing>, Response = Response<Exchanged>, Error = BoxError, Future: Send + 'static>,
{
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Answer>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Outgoing>) -> Self::Future {
        let is_operation = request.extensions().get::<BatchContext>().is_some();
        let exchange = self.0.call(request);
        Box::pin(async move {
            let (head, body) = exchange.await?.into_parts();
            let body = if is_operation { read(body).await? } else { body.into() };
            Ok(Response::from_parts(head, body))
        })
    }
}

async fn read(mut body: Exchanged) -> Result<Answer, BoxError> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        // A result tells no trailers.
        let Ok(data) = frame?.into_data() else { continue };
        // Nearly every answer is one piece.
        if all.is_empty() && http_body::Body::is_end_stream(&body) {
            return Ok(Answer::Whole(data));
        }
        all.extend_from_slice(&data);
        if all.len() > LIMIT {
            return Ok(Answer::Begun(all.into(), body));
        }
    }
    Ok(Answer::Whole(Bytes::from(all)))
}
