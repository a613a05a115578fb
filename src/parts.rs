//! A multipart, taken apart: what batches and inspected answers have in common (RFC 2046 §5.1, RFC 9112 §5).

mod boundary;
mod fields;
mod part;

pub(crate) use self::{
    boundary::{Boundary, without_line_end},
    fields::{Fields, only},
    part::{Part, PartContent},
};

/// One whose parts differ in what they are.
pub(crate) const MEDIA_TYPE: &str = "multipart/mixed";
