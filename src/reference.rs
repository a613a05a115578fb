//! Names for values that other operations' outcomes will have. They are given one by one; nothing is ever guessed from
//! what looks like a reference.

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
    /// Where it is given, as a JSON Pointer into the operation.
    pub(crate) pointer: Box<str>,
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
    /// The place of what it has created or returned: its `location`, else what was asked for.
    Entity,
}

impl Source {
    /// In the body, at this pointer. Nothing is nested deeper than `depth`.
    pub(crate) fn body(pointer: &str, depth: usize) -> Result<Self, String> {
        let steps = steps(pointer, depth + 1)
            .ok_or("what a reference takes from a body must be named by a JSON Pointer (RFC 6901)")?;
        if steps.len() > depth {
            return Err(format!("a JSON Pointer may have {depth} steps at most"));
        }
        Ok(Self::Body(steps))
    }

    pub(crate) fn header(name: &str) -> Result<(Self, HeaderName), String> {
        let name: HeaderName =
            name.parse().map_err(|_| "what a reference takes from the headers must be named by the name of one")?;
        Ok((Self::Header(name.clone()), name))
    }

    /// Whether the value is a path, with perhaps a query.
    pub(crate) fn is_location(&self) -> bool {
        match self {
            Self::Header(name) => is_location(name),
            Self::Entity => true,
            Self::Body(_) => false,
        }
    }
}

pub(crate) fn is_location(name: &HeaderName) -> bool {
    *name == header::LOCATION || *name == header::CONTENT_LOCATION
}

/// For a name that none was given.
pub(crate) fn unknown(name: &str) -> String {
    format!("there is no reference `{}`", shown(name))
}

/// RFC 6901 §3 and §4; no more of them than are needed to see that there are too many.
fn steps(pointer: &str, most: usize) -> Option<Vec<Box<str>>> {
    match pointer.strip_prefix('/') {
        Some(steps) => steps.split('/').take(most).map(unescape).collect(),
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
    fn pointers_are_unescaped_step_by_step() {
        for (pointer, steps) in
            [("", &[][..]), ("/", &[""]), ("/a~1b/~0~01/0", &["a/b", "~~1", "0"]), ("/b@c", &["b@c"])]
        {
            let steps = steps.iter().map(|&step| step.into()).collect();
            assert_eq!(Source::body(pointer, 3), Ok(Source::Body(steps)), "{pointer}");
        }
        for pointer in ["id", "/~", "/~2", "/1/2/3/4"] {
            assert!(Source::body(pointer, 3).is_err(), "{pointer}");
        }
    }
}
