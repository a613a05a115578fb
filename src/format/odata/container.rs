//! The outermost level: an object with `requests`.

use std::{collections::HashSet, fmt};

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{DIALECT, request::Requests};
use crate::{
    batch::Batch,
    builder::{BatchBuilder, DecodeContext},
    format::{json::Name, odata_protocol::continue_on_error},
    plan::Order,
    problem::{Problem, shown, step},
    rejection::Rejection,
};

/// Reads the document, of which `text` is the whole. Targets and bodies are slices of `source`.
pub(in crate::format) fn decode(cx: DecodeContext<'_>, source: &Bytes, text: &str) -> Result<Batch, Rejection> {
    let mut rejection = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let container = Container { cx, source, rejection: &mut rejection };
    let read = container.deserialize(&mut json).and_then(|batch| json.end().map(|()| batch));
    read.map_err(|error| rejection.unwrap_or_else(|| Rejection::malformed(explain(&error))))?.finish()
}

/// Only errors of syntax have a fixed text; others repeat what the client has sent.
fn explain(error: &serde_json::Error) -> String {
    if error.is_data() {
        let (line, column) = (error.line(), error.column());
        return format!("the batch is not an object with an array `requests`, at line {line} column {column}");
    }
    format!("the batch is not valid JSON: {error}")
}

struct Container<'a, 'r> {
    cx: DecodeContext<'a>,
    source: &'a Bytes,
    /// Serde's errors are text; one of ours waits here while theirs goes up.
    rejection: &'r mut Option<Rejection>,
}

impl Container<'_, '_> {
    fn reject<E: Error>(&mut self, rejection: Rejection) -> E {
        *self.rejection = Some(rejection);
        E::custom("refused")
    }
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Container<'a, '_> {
    type Value = BatchBuilder<'a>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Container<'a, '_> {
    type Value = BatchBuilder<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an array `requests`")
    }

    /// All other members are annotations, and passed over.
    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut names = HashSet::new();
        let mut requests = None;
        while let Some(Name(name)) = object.next_key()? {
            match &*name {
                "requests" if requests.is_none() => {
                    let list = List(Container { rejection: &mut *self.rejection, ..self });
                    requests = Some(object.next_value_seed(list)?);
                }
                "operations" => {
                    let refusal = "a batch has `operations` or `requests`, not both";
                    return Err(self.reject(Rejection::malformed(refusal)));
                }
                _ => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
            if let Some(name) = names.replace(name) {
                let detail = format!("the member `{}` stands there twice", shown(&name));
                return Err(self.reject(Problem::bad_request(detail).at(step("", &name)).into()));
            }
        }
        requests.ok_or_else(|| self.reject(Rejection::malformed("the batch has no `requests`")))
    }
}

/// The array of requests.
struct List<'a, 'r>(Container<'a, 'r>);

impl<'de: 'a, 'a> DeserializeSeed<'de> for List<'a, '_> {
    type Value = BatchBuilder<'a>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for List<'a, '_> {
    type Value = BatchBuilder<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`requests` to be an array")
    }

    /// First the end of each request is found, so that whatever is in it can be wrong.
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        let Container { cx, source, .. } = self.0;
        let mut batch = cx.batch("/requests");
        batch.dialect(DIALECT);
        batch.default_order(Order::Unordered);
        if let Some(goes_on) = continue_on_error(&cx.head().headers) {
            batch.prefer_to_stop(!goes_on);
        }
        let mut requests = Requests::new(cx, source);
        while let Some(raw) = list.next_element::<&RawValue>()? {
            let pushed = requests.draft(raw).and_then(|draft| batch.push(draft));
            pushed.map_err(|rejection| self.0.reject(rejection))?;
        }
        Ok(batch)
    }
}
