use serde::{Serialize, Serializer, ser::SerializeMap};

use super::contents::Contents;

/// One result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Item {
    /// Where it stands in the answer, counted from 0.
    pub place: usize,
    /// Which operation it is of, where the format says that.
    pub index: Option<usize>,
    /// The id that it has.
    pub id: Option<String>,
    /// The resource that it is about, in XML.
    pub href: Option<String>,
    /// Its status, if one can be read. A response of XML that has it for each property has none of its own.
    pub status: Option<u16>,
    /// What became of its properties (RFC 4918 §14.22).
    pub properties: Vec<Properties>,
    /// Of a failure, what the result says about it, or the reason phrase of its status.
    pub failure: Option<String>,
    /// The multistatus that this result is itself, if its status is 207.
    pub inner: Option<Contents>,
}

/// Properties of one status, in a `propstat`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Properties {
    /// Their status, if one can be read.
    pub status: Option<u16>,
    /// How many there are.
    pub count: usize,
    /// The names of the first eight.
    pub names: Vec<String>,
}

/// What became of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Its status is below 400. In XML, that of any of its properties is: to be told that one isn't there is no failure.
    Succeeded,
    /// Its status is 400 or above. In XML, those of all its properties are.
    Failed,
    /// It has no status that could be read.
    Unknown,
}

impl Item {
    /// What became of it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let statuses = || self.status.into_iter().chain(self.properties.iter().filter_map(|those| those.status));
        match self.status.or_else(|| statuses().min()) {
            Some(status) if status < 400 => Outcome::Succeeded,
            Some(_) => Outcome::Failed,
            None => Outcome::Unknown,
        }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("place", &self.place)?;
        if let Some(index) = self.index {
            object.serialize_entry("index", &index)?;
        }
        for (name, text) in [("id", &self.id), ("href", &self.href)] {
            if let Some(text) = text {
                object.serialize_entry(name, text)?;
            }
        }
        object.serialize_entry("status", &self.status)?;
        if !self.properties.is_empty() {
            object.serialize_entry("properties", &self.properties)?;
        }
        if let Some(failure) = &self.failure {
            object.serialize_entry("failure", failure)?;
        }
        if let Some(inner) = &self.inner {
            object.serialize_entry("inner", inner)?;
        }
        object.end()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(3))?;
        object.serialize_entry("status", &self.status)?;
        object.serialize_entry("count", &self.count)?;
        object.serialize_entry("names", &self.names)?;
        object.end()
    }
}
