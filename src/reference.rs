//! Names for values that other operations' outcomes will have. They are given one by one, in `refs`; nothing is ever
//! guessed from what looks like a reference.

use std::borrow::Cow;

use http::{HeaderName, header};

use crate::{json_text, problem::shown};

/// A name for a value of another operation's outcome.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) name: Box<str>,
    /// The id of the other operation.
    pub(crate) id: Box<str>,
    pub(crate) source: Source,
    /// Once the other operation has ended: the value as JSON text, or what is wrong with it.
    pub(crate) value: Option<Extracted>,
}

/// Shared, for one value may be what many operations take.
pub(crate) type Extracted = Result<std::sync::Arc<str>, Cow<'static, str>>;

/// Where in an outcome a value stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In its JSON body: the unescaped steps of a JSON Pointer (RFC 6901).
    Body(Vec<Box<str>>),
    Header(HeaderName),
}

impl Source {
    /// Splits `id#/pointer` or `id@header`. The first `#` or `@` splits, so an id that holds one can't be named.
    pub(crate) fn parse(text: &str) -> Result<(&str, Self), &'static str> {
        let (id, rest) = text.split_once(['#', '@']).ok_or("a reference must be `id#/pointer` or `id@header`")?;
        let source = if text[id.len()..].starts_with('#') {
            let steps = steps(rest).ok_or("what stands behind `#` must be a JSON Pointer (RFC 6901)")?;
            if steps.len() > MOST_STEPS {
                return Err("a JSON Pointer may have 64 steps at most");
            }
            Self::Body(steps)
        } else {
            Self::Header(rest.parse().map_err(|_| "what stands behind `@` must be the name of a header")?)
        };
        Ok((id, source))
    }

    /// Whether the value is a path, with perhaps a query.
    pub(crate) fn is_location(&self) -> bool {
        matches!(self, Self::Header(name) if is_location(name))
    }
}

pub(crate) fn is_location(name: &HeaderName) -> bool {
    *name == header::LOCATION || *name == header::CONTENT_LOCATION
}

/// No body from which values are taken is nested deeper.
const MOST_STEPS: usize = 64;

/// RFC 6901 §3 and §4; no more steps than are needed to see that there are too many.
fn steps(pointer: &str) -> Option<Vec<Box<str>>> {
    match pointer.strip_prefix('/') {
        Some(steps) => steps.split('/').take(MOST_STEPS + 1).map(unescape).collect(),
        None => pointer.is_empty().then(Vec::new),
    }
}

fn unescape(step: &str) -> Option<Box<str>> {
    let mut parts = step.split('~');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        text.push(match part.as_bytes().first()? {
            b'0' => '~',
            b'1' => '/',
            _ => return None,
        });
        text.push_str(&part[1..]);
    }
    Some(text.into())
}

impl Reference {
    /// The value as JSON text, or what a problem says of its absence.
    pub(crate) fn json(&self) -> Result<&str, String> {
        match &self.value {
            Some(Ok(value)) => Ok(value),
            Some(Err(why)) => Err(self.fault(why)),
            None => Err(self.fault("that operation has no result")),
        }
    }

    /// The value for a place that takes only text.
    pub(crate) fn text(&self) -> Result<Cow<'_, str>, String> {
        let json = self.json()?;
        match json.as_bytes().first() {
            Some(b'"') => json_text::string(json).ok_or_else(|| self.fault("it is no Unicode text")),
            Some(b'{' | b'[') => Err(self.fault("an object or an array can stand only in a body")),
            Some(b'n') | None => Err(self.fault("it is null")),
            Some(_) => Ok(json.into()),
        }
    }

    pub(crate) fn fault(&self, why: &str) -> String {
        format!("`{}` could not be taken from `{}`: {why}", shown(&self.name), shown(&self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_splits() {
        let body = |steps: &[&str]| Source::Body(steps.iter().map(|&step| step.into()).collect());
        for (text, id, source) in [
            ("new#", "new", body(&[])),
            ("new#/", "new", body(&[""])),
            ("new#/a~1b/~0~01/0", "new", body(&["a/b", "~~1", "0"])),
            ("a#/b@c", "a", body(&["b@c"])),
            ("#/x", "", body(&["x"])),
            ("new@location", "new", Source::Header(header::LOCATION)),
            ("new@ETag", "new", Source::Header(header::ETAG)),
        ] {
            assert_eq!(Source::parse(text), Ok((id, source)), "{text}");
        }
        for text in ["", "new", "new#id", "new#/~", "new#/~2", "new@", "new@a b", "new@x#/y"] {
            assert!(Source::parse(text).is_err(), "{text}");
        }
    }
}
