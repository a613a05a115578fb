//! Calls of gRPC methods in a batch (the gRPC protocol over HTTP/2, and grpc-web).
//!
//! To the client of a batch a call is an operation like others: the body is the message alone, and the status is one of HTTP. Here
//! is what lies between that and what goes over the wire: a message has five bytes before it, and the status comes behind it.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TE},
    response::Parts,
};

use crate::{
    batch::Verdict,
    body::Trailers,
    config::Config,
    problem::{Problem, step},
};

mod frames;
mod status;
mod timeout;

pub use self::status::GrpcStatus;
pub(crate) use self::timeout::TIMEOUT;
use self::{frames::Frames, timeout::timeout};

/// How a call goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The status comes in trailers, or in the header where there is no message.
    Grpc,
    /// The status comes in a frame of its own.
    Web,
}

impl Call {
    /// Whether these are the headers of one, by their content type.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let content_type = headers.get(CONTENT_TYPE)?.as_bytes();
        let rest = strip_prefix(content_type, b"application/grpc")?;
        let (call, rest) = strip_prefix(rest, b"-web").map_or((Self::Grpc, rest), |rest| (Self::Web, rest));
        matches!(rest, [] | [b'+' | b';' | b' ', ..]).then_some(call)
    }

    /// Makes a call of an operation, if it is one.
    pub(crate) fn begin(config: &Config, request: &mut Request<Option<Bytes>>) -> Option<Self> {
        // Asked first, for looking a header up costs each operation of those who have no gRPC.
        if !config.grpc {
            return None;
        }
        let call = Self::of(request.headers())?;
        call.prepare(request);
        Some(call)
    }

    fn prepare(self, request: &mut Request<Option<Bytes>>) {
        let body = frames::one(request.body().as_deref().unwrap_or_default());
        let headers = request.headers_mut();
        headers.insert(CONTENT_LENGTH, body.len().into());
        // All that we understand; without these words a service may compress what it sends.
        headers.insert(HeaderName::from_static("grpc-accept-encoding"), HeaderValue::from_static("identity"));
        // With it, grpc-web is asked for its text form, which nobody here reads.
        headers.remove(ACCEPT);
        if self == Self::Grpc {
            headers.insert(TE, HeaderValue::from_static("trailers"));
            *request.version_mut() = Version::HTTP_2;
        }
        *request.body_mut() = Some(body);
    }

    /// What the response says, in words of HTTP. A failure that isn't of gRPC, as of a layer in front of the service, is left
    /// as it is; a success that isn't is none, for nobody has said that the call went well.
    pub(crate) fn read(self, mut head: Parts, body: Bytes, trailers: Trailers) -> Verdict {
        // By what it says of itself: a layer in front of grpc-web may answer without it.
        let call = Self::of(&head.headers);
        let frames = Frames::read(&body, call == Some(Self::Web));
        let in_body = frames.as_ref().ok().and_then(|frames| frames.trailers.as_ref());
        // Where there is no message, the header is all there is.
        let tail = in_body.or(trailers.as_deref());
        let status = tail.and_then(GrpcStatus::of).or_else(|| GrpcStatus::of(&head.headers));
        let Some(status) = status.filter(|_| call.is_some()) else {
            return match (head.status.is_success(), call) {
                (false, _) => Ok(Response::from_parts(head, body)),
                (true, None) => Err(broken(NOT_OF_GRPC)),
                (true, Some(_)) => Err(broken(frames.err().unwrap_or(NO_STATUS))),
            };
        };
        // What is behind a message can't say any more what the message is (RFC 9110 §6.5.1), nor set a cookie.
        let is_metadata = |name: &HeaderName| *name != SET_COOKIE && !name.as_str().starts_with("content-");
        for (name, value) in tail.into_iter().flatten().filter(|(name, _)| is_metadata(name)) {
            head.headers.append(name, value.clone());
        }
        head.status = status.http_status();
        head.headers.remove(CONTENT_LENGTH);
        let body = if status.is_ok() {
            match frames.map_err(broken)? {
                Frames { message: Some(message), messages: 1, .. } => message,
                Frames { message: None, .. } => return Err(broken("the service sent no message")),
                Frames { .. } => return Err(Box::new(Problem::new(StatusCode::NOT_IMPLEMENTED, STREAMED))),
            }
        } else {
            // What a person can read, for clients that know nothing of gRPC.
            let body = Bytes::from(status.message().to_owned());
            head.headers.remove(CONTENT_TYPE);
            if !body.is_empty() {
                head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
            }
            body
        };
        head.extensions.insert(status);
        Ok(Response::from_parts(head, body))
    }
}

/// Whether an operation with these headers is a call.
pub(crate) fn is_call(config: &Config, headers: &HeaderMap) -> bool {
    config.grpc && Call::of(headers).is_some()
}

/// Why an operation with these headers can't be the call that it is.
pub(crate) fn fault(config: &Config, method: &Method, headers: &HeaderMap) -> Option<Problem> {
    if !config.grpc {
        return None;
    }
    let is_text =
        headers.get(CONTENT_TYPE).and_then(|value| strip_prefix(value.as_bytes(), b"application/grpc-web-text"));
    if is_text.is_some() {
        // Otherwise its failures would look like successes.
        let detail = "the text form of grpc-web is not understood: send `application/grpc-web`";
        return Some(Problem::bad_request(detail).at("/headers/content-type"));
    }
    Call::of(headers)?;
    if *method != Method::POST {
        return Some(Problem::bad_request("a gRPC method has to be called by POST").at("/method"));
    }
    timeout(headers).err().map(|why| Problem::bad_request(why).at(step("/headers", TIMEOUT.as_str())))
}

/// How long a call may take, if it says so.
pub(crate) fn time(config: &Config, headers: &HeaderMap) -> Option<Duration> {
    if is_call(config, headers) { timeout(headers).ok().flatten() } else { None }
}

const NO_STATUS: &str = "the service told no gRPC status";

const NOT_OF_GRPC: &str = "the service's answer isn't one of gRPC; the operation may have been carried out";

const STREAMED: &str = "the service sent more than one message: methods that stream can't be called in a batch; the operation was \
                        carried out";

fn broken(why: &'static str) -> Box<Problem> {
    Box::new(Problem::new(StatusCode::BAD_GATEWAY, why))
}

/// Of any case, as media types are.
fn strip_prefix<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
