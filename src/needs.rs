//! What an operation takes from the outcomes of others, and where it is to stand.

use std::{collections::HashMap, mem, ops::Range};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::{
    batch::{Label, Message},
    builder::DecodeContext,
    draft::{Draft, HeaderSize},
    json_text::{self, Token, tokens},
    problem::{Problem, step},
    reference::Reference,
    template::{Known, Template},
};

#[derive(Debug, Default)]
pub(crate) struct Needs {
    /// Where the operation stands in the batch, as a JSON Pointer.
    pub(crate) pointer: String,
    pub(crate) references: Vec<Reference>,
    indexes: HashMap<Box<str>, usize>,
    pub(crate) target: Option<Aim>,
    /// Where the target stands in the operation.
    pub(crate) target_pointer: &'static str,
    /// Headers that have a reference's value, and what stands behind it in the same header.
    pub(crate) headers: Vec<(Box<str>, Value)>,
    /// Of all headers, as far as they are known.
    pub(crate) size: HeaderSize,
    /// Where in the body a reference's value stands.
    pub(crate) holes: Vec<(Range<usize>, usize)>,
}

/// A target that is not known yet.
#[derive(Debug)]
pub(crate) enum Aim {
    Template(Template),
    /// What stands below a location, or has another query.
    Below {
        index: usize,
        rest: Box<str>,
    },
}

/// One value of a header.
#[derive(Debug)]
pub(crate) enum Value {
    Literal(HeaderValue),
    Reference(usize),
}

impl Value {
    pub(crate) fn literal(&self) -> Option<&HeaderValue> {
        match self {
            Self::Literal(value) => Some(value),
            Self::Reference(_) => None,
        }
    }
}

impl Needs {
    /// Whether the name was free.
    pub(crate) fn add(&mut self, reference: Reference) -> bool {
        let is_new = self.indexes.insert(reference.name.clone(), self.references.len()).is_none();
        self.references.push(reference);
        is_new
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.indexes.get(name).copied()
    }

    /// Whether a value of this header is not known yet.
    pub(crate) fn has_header(&self, name: &HeaderName) -> bool {
        self.headers.iter().any(|(other, _)| name.as_str().eq_ignore_ascii_case(other))
    }

    pub(crate) fn template(&self, text: &str) -> Result<Template, String> {
        Template::parse(text, |name| {
            let index = self.find(name)?;
            Some(Known { index, is_location: self.references[index].source.is_location() })
        })
    }

    /// Finds each object that is exactly `{"$ref": "name"}`, with a name that there is. All else is data.
    pub(crate) fn find_holes(&self, json: &str) -> Vec<(Range<usize>, usize)> {
        let mut holes = Vec::new();
        let mut last: [Token; 4] = std::array::from_fn(|_| Token { first: b' ', range: 0..0 });
        for token in tokens(json) {
            if let ([b'{', b'"', b':', b'"'], b'}') = (last.each_ref().map(|token| token.first), token.first) {
                let [_, name, _, value] = last.each_ref().map(|token| &json[token.range.clone()]);
                let is_ref = json_text::string(name).is_some_and(|name| name == "$ref");
                let value = json_text::string(value).filter(|_| is_ref);
                if let Some(index) = value.and_then(|value| self.find(&value)) {
                    holes.push((last[0].range.start..token.range.end, index));
                }
            }
            last.rotate_left(1);
            last[3] = token;
        }
        holes
    }

    /// Puts the values where they belong. What comes of it passes the same door as what a client writes itself. `left`
    /// is how many bytes the references of the batch may still bring in.
    pub(crate) fn fill(
        &self,
        cx: DecodeContext<'_>,
        label: &mut Label,
        message: Message,
        left: &mut usize,
    ) -> Result<Message, Box<Problem>> {
        let mut draft = Draft::resume(cx, mem::take(label), message, self);
        if let Err(problem) = self.set(cx, &mut draft, left) {
            draft.refuse(problem);
        }
        let problem = draft.finish();
        *label = draft.label;
        problem.map_or(Ok(draft.message), |problem| Err(Box::new(self.blame(*problem))))
    }

    fn set(&self, cx: DecodeContext<'_>, draft: &mut Draft<'_>, left: &mut usize) -> Result<(), Problem> {
        // Of those too that stand nowhere: who names a value counts on it.
        for reference in &self.references {
            reference.json().map_err(|why| failed(why).at(&*reference.pointer))?;
        }
        let limit = cx.config().limits.request_bytes;
        // Before anything is made of a value: short names can stand for long values, time and again.
        let mut bring = |index: usize| {
            let reference = &self.references[index];
            *left = left
                .checked_sub(reference.json()?.len())
                .ok_or_else(|| format!("the references of a batch may bring in {limit} bytes at most"))?;
            Ok::<_, String>(reference)
        };
        if let Some(aim) = &self.target {
            let target = match aim {
                Aim::Template(template) => {
                    template.expand(cx.config().limits.target_bytes, |index| bring(index)?.text())
                }
                Aim::Below { index, rest } => bring(*index).and_then(|place| Ok(below(&place.text()?, rest))),
            };
            draft.target(target.map_err(|why| failed(why).at(self.target_pointer))?.into(), self.target_pointer);
        }
        for (name, value) in &self.headers {
            match value {
                Value::Literal(value) => draft.header(name, value.as_bytes()),
                Value::Reference(index) => {
                    let value = bring(*index).and_then(Reference::text);
                    draft.header(name, value.map_err(|why| failed(why).at(step("/headers", name)))?.as_bytes());
                }
            }
        }
        if !self.holes.is_empty() {
            let (literal, mut at) = (draft.message.body.take().unwrap_or_default(), 0);
            let mut body = Vec::with_capacity(literal.len());
            for (range, index) in &self.holes {
                let value = bring(*index).and_then(Reference::json).map_err(|why| failed(why).at("/body"))?;
                body.extend_from_slice(&literal[at..range.start]);
                body.extend_from_slice(value.as_bytes());
                at = range.end;
            }
            body.extend_from_slice(&literal[at..]);
            draft.json_body(Bytes::from(body));
        }
        Ok(())
    }

    /// A 400 would say that the client has made a fault; but it didn't know the values.
    fn blame(&self, problem: Problem) -> Problem {
        let mut blamed = match problem.status() {
            StatusCode::BAD_REQUEST => {
                let blamed = failed(format!("with the values of its references, {}", problem.detail()));
                blamed.at(problem.pointer().unwrap_or_default())
            }
            _ => problem,
        };
        blamed.within(&self.pointer);
        blamed
    }
}

/// The query of a location is not that of what stands below it.
fn below(location: &str, rest: &str) -> String {
    let path = location.split('?').next().unwrap_or(location);
    match rest.as_bytes().first() {
        None => location.to_owned(),
        Some(b'/') => format!("{}{rest}", path.strip_suffix('/').unwrap_or(path)),
        Some(_) => format!("{path}{rest}"),
    }
}

fn failed(why: String) -> Problem {
    Problem::new(StatusCode::FAILED_DEPENDENCY, why + "; the operation was not carried out")
}
