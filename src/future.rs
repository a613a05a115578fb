use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use crate::body::ResponseBody;

pin_project! {
    /// The answer to come, of a batch or of a request that is none.
    ///
    /// Dropping it ends all operations of the batch, those that run and those that wait.
    pub struct ResponseFuture<F, R> {
        #[pin]
        kind: Kind<F, R>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<F, R> {
        PassThrough { #[pin] future: F },
        Batch { answer: Pin<Box<dyn Future<Output = Response<ResponseBody<R>>> + Send>> },
    }
}

impl<F, R> ResponseFuture<F, R> {
    pub(crate) fn pass_through(future: F) -> Self {
        Self { kind: Kind::PassThrough { future } }
    }

    pub(crate) fn batch(answer: impl Future<Output = Response<ResponseBody<R>>> + Send + 'static) -> Self {
        Self { kind: Kind::Batch { answer: Box::pin(answer) } }
    }
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProj::PassThrough { future } => {
                let response = ready!(future.poll(cx))?;
                Poll::Ready(Ok(response.map(ResponseBody::untouched)))
            }
            KindProj::Batch { answer } => answer.as_mut().poll(cx).map(Ok),
        }
    }
}

impl<F, R> fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
