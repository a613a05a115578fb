use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    item::{Item, Outcome},
    shape::Shape,
};

/// What is in an answer, or in a result that is itself a multistatus.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contents {
    /// What it looks like.
    pub shape: Shape,
    /// The first 10,000 results of a report, those of inner ones counted in.
    pub items: Vec<Item>,
    /// How many results there are, also those that are not among `items`.
    pub total: usize,
    /// How many have succeeded.
    pub succeeded: usize,
    /// How many have failed.
    pub failed: usize,
}

impl Contents {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, items: Vec::new(), total: 0, succeeded: 0, failed: 0 }
    }

    /// How many have no status that could be read.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.total - self.succeeded - self.failed
    }

    /// Whether an operation has failed, here or in an inner multistatus.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.failed > 0 || self.items.iter().filter_map(|item| item.inner.as_ref()).any(Self::has_failures)
    }

    pub(super) fn count(&mut self, outcome: Outcome) {
        self.total += 1;
        match outcome {
            Outcome::Succeeded => self.succeeded += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Unknown => {}
        }
    }
}

impl Serialize for Contents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(6))?;
        object.serialize_entry("shape", &self.shape)?;
        object.serialize_entry("total", &self.total)?;
        object.serialize_entry("succeeded", &self.succeeded)?;
        object.serialize_entry("failed", &self.failed)?;
        object.serialize_entry("unknown", &self.unknown())?;
        object.serialize_entry("items", &self.items)?;
        object.end()
    }
}
