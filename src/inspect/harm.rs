use std::fmt;

use serde::{Serialize, Serializer};

/// Whom something harms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Harm {
    /// Who has asked, and reads the answer.
    Client,
    /// What stands between, and keeps answers.
    Cache,
    /// Nobody.
    Nobody,
}

impl Harm {
    /// `client`, `cache` or `nobody`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Cache => "cache",
            Self::Nobody => "nobody",
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Harm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
