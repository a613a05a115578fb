use std::borrow::Cow;

use super::{code::Code, item::Properties};

/// A result as a format has it, before anything is concluded.
#[derive(Default)]
pub(super) struct Entry<'a> {
    pub(super) index: Option<usize>,
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) hrefs: Vec<Cow<'a, str>>,
    /// In a multipart: which part of the whole, and in a change set which one of that.
    pub(super) slot: Option<(usize, Option<usize>)>,
    pub(super) status: Option<u16>,
    pub(super) properties: Vec<Properties>,
    /// What it says of its failure.
    pub(super) description: Option<String>,
    pub(super) body: Option<Body<'a>>,
    /// It has no status on purpose: it was not carried out.
    pub(super) is_left_out: bool,
    pub(super) faults: Vec<(Code, String)>,
}

/// The body of the response in a result.
pub(super) struct Body<'a> {
    pub(super) content_type: Option<Cow<'a, str>>,
    pub(super) bytes: Cow<'a, [u8]>,
}

impl Entry<'_> {
    pub(super) fn fault(&mut self, code: Code, detail: impl Into<String>) {
        self.faults.push((code, detail.into()));
    }

    /// Whether something is wrong with its status, so that there is no need to say that it has none.
    pub(super) fn tells_why_without_status(&self) -> bool {
        self.is_left_out
            || self.faults.iter().any(|(code, _)| {
                matches!(
                    code,
                    Code::StatusLine | Code::StatusRange | Code::ItemShape | Code::ItemWithoutStatus | Code::PartHeader
                )
            })
    }
}
