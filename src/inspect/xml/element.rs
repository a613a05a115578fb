/// The elements that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Multistatus,
    Response,
    Href,
    Status,
    Description,
    Error,
    /// What an `error` says that it is.
    Condition,
    Propstat,
    PropstatStatus,
    Prop,
    Property,
    /// Of this crate: what has become of an operation.
    Result,
    ResultHeader,
    ResultBody,
}

impl Element {
    /// What an element in this one is; `None` if it doesn't matter.
    pub(super) fn child(self, is_dav: bool, is_ours: bool, name: &str) -> Option<Self> {
        Some(match (self, name) {
            (Self::Multistatus, "response") if is_dav => Self::Response,
            (Self::Response, "href") if is_dav => Self::Href,
            (Self::Response, "status") if is_dav => Self::Status,
            (Self::Response, "responsedescription") if is_dav => Self::Description,
            (Self::Response, "error") if is_dav => Self::Error,
            (Self::Response, "propstat") if is_dav => Self::Propstat,
            (Self::Response, "result") if is_ours => Self::Result,
            (Self::Error, _) => Self::Condition,
            (Self::Propstat, "status") if is_dav => Self::PropstatStatus,
            (Self::Propstat, "responsedescription") if is_dav => Self::Description,
            (Self::Propstat, "prop") if is_dav => Self::Prop,
            (Self::Prop, _) => Self::Property,
            (Self::Result, "header") if is_ours => Self::ResultHeader,
            (Self::Result, "body") if is_ours => Self::ResultBody,
            _ => return None,
        })
    }

    /// Whether text in it matters.
    pub(super) fn has_text(self) -> bool {
        matches!(
            self,
            Self::Href
                | Self::Status
                | Self::Description
                | Self::PropstatStatus
                | Self::ResultHeader
                | Self::ResultBody
        )
    }
}
