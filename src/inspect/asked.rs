//! The batch that an answer is of.

use std::ops::Range;

use super::{json::children, kind::Kind, multipart, utf8};

/// What of a batch can be found again in its answer.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The ids, in request order.
    pub(super) operations: Vec<Option<String>>,
    /// Which of them stand in a part of the whole: one, or those of a change set.
    pub(super) units: Vec<Range<usize>>,
}

impl Asked {
    /// `None` where it is none that is known: native JSON or NDJSON, OData, Graph, WordPress, multipart.
    pub(super) fn read(content_type: Option<&str>, body: &[u8]) -> Option<Self> {
        let said = content_type.and_then(Kind::of_type);
        let mut asked = Self::default();
        match Kind::of_body(utf8::without_mark(body), said)? {
            Kind::Xml => return None,
            Kind::Multipart => multipart::requests(content_type, body, &mut asked)?,
            Kind::Json => asked.document(std::str::from_utf8(body).ok()?)?,
            Kind::Lines => {
                for line in std::str::from_utf8(body).ok()?.lines().filter(|line| !line.trim().is_empty()) {
                    asked.push(id(line));
                }
            }
        }
        Some(asked)
    }

    fn document(&mut self, json: &str) -> Option<()> {
        serde_json::from_str::<serde::de::IgnoredAny>(json).ok()?;
        let list = if json.trim_start().starts_with('[') {
            json
        } else {
            let is_list = |name: &str| matches!(name, "operations" | "requests");
            children(json).find(|child| child.name.as_deref().is_some_and(is_list))?.value
        };
        for child in children(list) {
            self.push(id(child.value));
        }
        list.trim_start().starts_with('[').then_some(())
    }

    /// Adds one that is not in a change set.
    pub(super) fn push(&mut self, id: Option<String>) {
        self.units.push(self.operations.len()..self.operations.len() + 1);
        self.operations.push(id);
    }

    /// Adds those of a change set.
    pub(super) fn push_all(&mut self, ids: impl Iterator<Item = Option<String>>) {
        let start = self.operations.len();
        self.operations.extend(ids);
        self.units.push(start..self.operations.len());
    }
}

fn id(operation: &str) -> Option<String> {
    let id = children(operation).find(|child| child.name.as_deref() == Some("id"))?;
    crate::json_text::string(id.value).map(Into::into)
}
