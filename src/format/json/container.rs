//! The outermost level: a bare array of operations, or an object that holds it.

use std::{collections::HashSet, fmt};

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{name::Name, operation::Operation};
use crate::{
    batch::Batch,
    builder::{BatchBuilder, DecodeContext},
    json_text::string,
    problem::{Problem, shown, step},
    rejection::Rejection,
};

/// Reads the document in one pass. The operations' targets and bodies are slices of `source`.
///
/// An operation that can't be taken apart must not cost its siblings their outcomes, so then all is read once more,
/// with care. That is for rare faults: it takes twice as long.
pub(super) fn decode(cx: DecodeContext<'_>, source: &Bytes) -> Result<Batch, Rejection> {
    // Once for all: what follows borrows its strings from this.
    let text = std::str::from_utf8(source).map_err(|_| Rejection::malformed("the batch is not UTF-8"))?;
    let read = match read(cx, source, text, Pace::Straight) {
        Err(Fault::Unreadable(_)) => read(cx, source, text, Pace::Careful),
        read => read,
    };
    match read {
        #[cfg(feature = "odata")]
        Err(Fault::OData) => crate::format::odata::decode(cx, source, text),
        Ok(builder) => builder.finish(),
        Err(Fault::Refused(rejection)) => Err(rejection),
        Err(Fault::Unreadable(error)) => Err(Rejection::malformed(explain(&error))),
    }
}

fn read<'a>(cx: DecodeContext<'a>, source: &'a Bytes, text: &'a str, pace: Pace) -> Result<BatchBuilder<'a>, Fault> {
    let mut fault = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let container = Container { cx, source, pace, fault: &mut fault };
    let builder = container.deserialize(&mut json).and_then(|builder| json.end().map(|()| builder));
    builder.map_err(|error| fault.unwrap_or(Fault::Unreadable(error)))
}

/// Only errors of syntax have a fixed text; others repeat what the client has sent.
fn explain(error: &serde_json::Error) -> String {
    if error.is_data() {
        let (line, column) = (error.line(), error.column());
        return format!("the batch is not {SHAPE} at line {line} column {column}");
    }
    format!("the batch is not valid JSON: {error}")
}

const SHAPE: &str = "an array of operations, or an object with an array `operations`,";

enum Fault {
    Refused(Rejection),
    Unreadable(serde_json::Error),
    /// It is in another dialect.
    #[cfg(feature = "odata")]
    OData,
}

#[derive(Clone, Copy)]
enum Pace {
    /// Each operation is taken apart where it stands.
    Straight,
    /// First the end of each operation is found, so that whatever is in it can be wrong.
    Careful,
}

struct Container<'a, 'r> {
    cx: DecodeContext<'a>,
    source: &'a Bytes,
    pace: Pace,
    /// Serde's errors are text; one of ours waits here while theirs goes up.
    fault: &'r mut Option<Fault>,
}

impl Container<'_, '_> {
    fn reject<E: Error>(&mut self, rejection: Rejection) -> E {
        *self.fault = Some(Fault::Refused(rejection));
        E::custom("refused")
    }
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Container<'a, '_> {
    type Value = BatchBuilder<'a>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Container<'a, '_> {
    type Value = BatchBuilder<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHAPE)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        self.operations("", &mut list)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut names = HashSet::new();
        let (mut operations, mut atomic, mut stop) = (None, false, None);
        while let Some(Name(name)) = object.next_key()? {
            match &*name {
                "operations" if operations.is_none() => {
                    let list = List(Container { fault: &mut *self.fault, ..self });
                    operations = Some(object.next_value_seed(list)?);
                }
                #[cfg(feature = "odata")]
                "requests" if operations.is_none() => {
                    *self.fault = Some(Fault::OData);
                    return Err(A::Error::custom("it is a batch of another dialect"));
                }
                "atomic" => {
                    let value: &RawValue = object.next_value()?;
                    atomic = match value.get() {
                        "true" => true,
                        "false" | "null" => false,
                        _ => return Err(self.reject(refusal("`atomic` must be true or false", &name))),
                    };
                }
                "onFailure" => {
                    let value: &RawValue = object.next_value()?;
                    stop = match string(value.get()).as_deref() {
                        Some("stop") => Some(true),
                        Some("continue") => Some(false),
                        None if value.get() == "null" => None,
                        _ => return Err(self.reject(refusal("`onFailure` must be \"stop\" or \"continue\"", &name))),
                    };
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
        let Some(mut batch) = operations else {
            return Err(self.reject(Rejection::malformed("the batch has no `operations`")));
        };
        if names.contains("requests") {
            return Err(self.reject(Rejection::malformed("a batch has `operations` or `requests`, not both")));
        }
        let asked = if atomic { batch.atomic() } else { Ok(()) };
        let asked = asked.and_then(|()| stop.map_or(Ok(()), |stop| batch.stop_on_failure(stop)));
        asked.map_err(|rejection| self.reject(rejection))?;
        Ok(batch)
    }
}

impl<'a> Container<'a, '_> {
    fn operations<'de: 'a, A: SeqAccess<'de>>(
        &mut self,
        pointer: &'static str,
        list: &mut A,
    ) -> Result<BatchBuilder<'a>, A::Error> {
        let mut batch = self.cx.batch(pointer);
        while let Some(operation) = self.next(list)? {
            batch.push(operation.draft(self.cx, self.source)).map_err(|rejection| self.reject(rejection))?;
        }
        Ok(batch)
    }

    fn next<'de, A: SeqAccess<'de>>(&self, list: &mut A) -> Result<Option<Operation<'de>>, A::Error> {
        match self.pace {
            Pace::Straight => list.next_element(),
            Pace::Careful => {
                let raw: Option<&RawValue> = list.next_element()?;
                Ok(raw.map(|raw| serde_json::from_str(raw.get()).unwrap_or_else(|_| Operation::unreadable(raw))))
            }
        }
    }
}

fn refusal(detail: &'static str, name: &str) -> Rejection {
    Problem::bad_request(detail).at(step("", name)).into()
}

/// The array of operations in an object.
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
        f.write_str("`operations` to be an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        self.0.operations("/operations", &mut list)
    }
}
