use std::fmt;

use serde::{Serialize, Serializer};

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shape {
    /// An XML document with the root `multistatus` (RFC 4918 §14.16).
    Multistatus,
    /// A JSON object with a list of `results`, as this crate writes it.
    Results,
    /// A JSON object with a list of `responses` that have ids: OData 4.01, Microsoft Graph.
    Responses,
    /// A JSON object with a list of `responses` without ids, in the order of the requests: WordPress `batch/v1`.
    WordPress,
    /// One JSON object a line, as this crate writes it.
    Lines,
    /// `multipart/mixed` with an HTTP response in each part: OData, Google.
    Multipart,
    /// A JSON array of objects with a status, bare or as a member of an object.
    List,
}

impl Shape {
    /// A short name for programs: `multistatus`, `results`, `responses`, `wordpress`, `lines`, `multipart`, `list`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Multistatus => "multistatus",
            Self::Results => "results",
            Self::Responses => "responses",
            Self::WordPress => "wordpress",
            Self::Lines => "lines",
            Self::Multipart => "multipart",
            Self::List => "list",
        }
    }

    /// Whether its standard has it answered with a 200 whatever is in it.
    pub(super) fn is_answered_with_200(self) -> bool {
        matches!(self, Self::Responses | Self::Multipart)
    }

    /// Whether clients take an outer status for the right one. A list is nobody's standard; OData 2.0 has a 202.
    pub(super) fn expects(self, status: u16) -> bool {
        match self {
            Self::Responses => status == 200,
            Self::Multipart => matches!(status, 200 | 202),
            Self::Multistatus => status == 207,
            Self::Results | Self::WordPress | Self::Lines | Self::List => (200..300).contains(&status),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Multistatus => "RFC 4918 multistatus in XML",
            Self::Results => "`results` in JSON",
            Self::Responses => "`responses` of OData or Microsoft Graph in JSON",
            Self::WordPress => "`responses` of WordPress in JSON",
            Self::Lines => "one result a line in JSON",
            Self::Multipart => "multipart/mixed of HTTP responses",
            Self::List => "a list of results in JSON",
        })
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
