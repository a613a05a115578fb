//! In the place of calls of gRPC methods, without the feature `grpc`: no operation is one.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, response::Parts};

use crate::{batch::Verdict, body::Trailers, config::Config, problem::Problem};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {}

impl Call {
    pub(crate) fn begin(_: &Config, _: &mut Request<Option<Bytes>>) -> Option<Self> {
        None
    }

    pub(crate) fn read(self, _: Parts, _: Bytes, _: Trailers) -> Verdict {
        match self {}
    }
}

pub(crate) fn is_call(_: &Config, _: &HeaderMap) -> bool {
    false
}

pub(crate) fn fault(_: &Config, _: &Method, _: &HeaderMap) -> Option<Problem> {
    None
}

pub(crate) fn time(_: &Config, _: &HeaderMap) -> Option<Duration> {
    None
}
