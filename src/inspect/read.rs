//! Finds the results in a body.

use std::borrow::Cow;

use http::StatusCode;

use super::{
    asked::Asked, code::Code, contents::Contents, entry::Body, gather::Gather, json, kind::Kind, lines, multipart,
    pairing::Pairing, text::plain, utf8, xml,
};

/// A body that may have results in it, and what is known of it.
pub(super) struct Source<'a> {
    pub(super) content_type: Option<&'a str>,
    pub(super) status: u16,
    pub(super) asked: Option<&'a Asked>,
}

impl<'a> Source<'a> {
    /// With a 207, whatever may be a list of results is one.
    pub(super) fn is_multistatus(&self) -> bool {
        self.status == StatusCode::MULTI_STATUS.as_u16()
    }

    pub(super) fn pairing(&self) -> Option<Pairing<'a>> {
        self.asked.map(Pairing::new)
    }

    /// The results, if there are any that are known.
    pub(super) fn read(&self, gather: &mut Gather, body: &[u8]) -> Option<Contents> {
        let bytes = utf8::without_mark(body);
        let said = self.content_type.and_then(Kind::of_type);
        if self.content_type.is_none() {
            gather.find(Code::NoContentType, "there is no `Content-Type`");
        }
        let kind = Kind::of_body(bytes, said);
        let is_other = said.is_some() && kind.is_some_and(|kind| Some(kind) != said);
        let contents = kind.and_then(|kind| self.results(gather, kind, bytes));
        let is_unknown = self.content_type.is_some() && said.is_none();
        if let Some(kind) = kind.filter(|_| is_other || is_unknown && contents.is_some()) {
            let content_type = plain(self.content_type.unwrap_or_default());
            let detail = format!("the body is {}, and its `Content-Type` is `{content_type}`", kind.as_str());
            gather.find(Code::ContentTypeMismatch, detail);
        }
        if contents.is_some() && bytes.len() < body.len() {
            gather.find(Code::ByteOrderMark, "the body begins with a byte order mark");
        }
        if let Some(contents) = &contents {
            judge(gather, self.status, contents);
        }
        contents
    }

    fn results(&self, gather: &mut Gather, kind: Kind, bytes: &[u8]) -> Option<Contents> {
        let text = match kind {
            // Its bodies may be anything.
            Kind::Multipart => return multipart::read(gather, self, bytes),
            Kind::Xml | Kind::Json | Kind::Lines => utf8::text(gather, bytes),
        };
        match kind {
            Kind::Xml => xml::read(gather, self, &text),
            Kind::Lines => lines::read(gather, self, &text),
            _ => json::read(gather, self, &text),
        }
    }
}

/// Looks into a result that is a multistatus itself.
pub(super) fn inner(gather: &mut Gather, body: &Body<'_>) -> Option<Contents> {
    if gather.is_too_deep() {
        gather.find(Code::NestedTooDeep, "the multistatus in it was not looked into");
        return None;
    }
    let source = Source {
        content_type: body.content_type.as_deref().map(str::trim),
        status: StatusCode::MULTI_STATUS.as_u16(),
        asked: None,
    };
    let contents = source.read(gather, &body.bytes);
    if contents.is_none() {
        gather.find(Code::UnknownShape, "the result is a 207, and no results are known in its body");
    }
    contents
}

/// Holds the outer status against what is inside.
fn judge(gather: &mut Gather, status: u16, contents: &Contents) {
    let (shape, failed, total) = (contents.shape, contents.failed, contents.total);
    if !shape.expects(status) {
        gather.find(Code::UnexpectedStatus, format!("the status is {status}, and the body is {shape}"));
    }
    if failed == 0 || !(200..300).contains(&status) {
        return;
    }
    let of: Cow<'_, str> =
        if total == 1 { "the only operation".into() } else { format!("{failed} of {total} operations").into() };
    if shape.is_answered_with_200() {
        gather.find(Code::FailuresInside, format!("{of} failed"));
    } else if status != StatusCode::MULTI_STATUS.as_u16() {
        gather.find(Code::FailuresHidden, format!("{of} failed, and the status is {status}"));
    } else if failed == total {
        gather.find(Code::AllFailed, format!("{of} failed"));
    }
}
