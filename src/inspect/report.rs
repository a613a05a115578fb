use http::StatusCode;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    contents::Contents,
    display::{Painted, print},
    finding::Finding,
    gather::Gather,
    severity::Severity,
};

/// What is in an answer, and what is wrong with it.
///
/// It is printed for people by `Display`, and for programs by serde.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    status: StatusCode,
    contents: Option<Contents>,
    findings: Vec<Finding>,
    left_out: usize,
    exit_code: u8,
}

impl Report {
    pub(super) fn new(status: StatusCode, contents: Option<Contents>, gather: Gather) -> Self {
        let exit_code = if gather.is_unreadable {
            3
        } else if gather.worst >= Some(Severity::Warning) {
            2
        } else {
            u8::from(gather.has_failures || status.as_u16() >= 400)
        };
        Self { status, contents, findings: gather.findings, left_out: gather.left_out, exit_code }
    }

    /// The outer status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is in it; `None` if there is nothing that is known.
    #[must_use]
    pub fn contents(&self) -> Option<&Contents> {
        self.contents.as_ref()
    }

    /// What was found, 100 of each code at most.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many more findings there were.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// What a program that has inspected an answer may end with: the highest that holds.
    ///
    /// | code | means |
    /// |---|---|
    /// | 0 | all operations have succeeded, and there is nothing to warn of |
    /// | 1 | operations have failed, or the batch was refused as a whole |
    /// | 2 | there is a warning or an error among the findings |
    /// | 3 | the answer could not be read to its end, so that outcomes are unknown |
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// The same as `Display`, with colours for a terminal (ECMA-48).
    #[must_use]
    pub fn painted(&self) -> impl std::fmt::Display {
        Painted(self)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        print(self, false, f)
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(5))?;
        object.serialize_entry("status", &self.status.as_u16())?;
        object.serialize_entry("exitCode", &self.exit_code)?;
        object.serialize_entry("contents", &self.contents)?;
        object.serialize_entry("findings", &self.findings)?;
        object.serialize_entry("leftOut", &self.left_out)?;
        object.end()
    }
}
