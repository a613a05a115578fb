//! A target with names in it: an RFC 6570 URI template.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    fmt::{self, Write},
};

use iri_string::{
    spec::UriSpec,
    template::{
        UriTemplateStr,
        context::{Context, Visitor},
    },
};

use crate::{problem::shown, reference::unknown};

/// Each is expanded twice, and takes far longer than its bytes would as plain text.
const MOST_NAMES: usize = 64;

/// A template whose names are all known.
#[derive(Debug)]
pub(crate) struct Template {
    text: Box<str>,
    variables: Vec<Variable>,
}

#[derive(Debug)]
struct Variable {
    name: Box<str>,
    /// Which value takes its place.
    index: usize,
    /// It stands in the path rather than in the query.
    in_path: bool,
    /// It is put in as it is.
    is_raw: bool,
}

/// What is known of a name.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub(crate) index: usize,
    /// It may put in a path and a query as they are.
    pub(crate) is_location: bool,
}

impl Template {
    pub(crate) fn parse(text: &str, find: impl Fn(&str) -> Option<Known>) -> Result<Self, String> {
        if !is_template(text) {
            return Err("the target is not a URI template (RFC 6570)".to_owned());
        }
        let query = text.find('?').unwrap_or(text.len());
        let mut variables = Vec::new();
        // A brace has no other meaning in a template, and each one is closed.
        for (start, _) in text.match_indices('{') {
            let expression = text[start + 1..].split('}').next().unwrap_or_default();
            let names = expression.trim_start_matches(['+', '#', '.', '/', ';', '?', '&']);
            for name in names.split(',') {
                if variables.len() == MOST_NAMES {
                    return Err(format!("a target may have {MOST_NAMES} names at most"));
                }
                let name = name.trim_end_matches('*');
                let (name, length) = name.split_once(':').unwrap_or((name, "1"));
                // RFC 6570 §2.4.1; a value cut to nothing would make another target.
                if length.len() > 4 || !length.starts_with(|first: char| ('1'..='9').contains(&first)) {
                    return Err(format!("the length of `{}` must be a number from 1 to 9999 (RFC 6570)", shown(name)));
                }
                let known = find(name).ok_or_else(|| unknown(name))?;
                let is_raw = expression.starts_with(['+', '#']);
                if is_raw && !known.is_location {
                    return Err(format!(
                        "`{{{}{}}}` would put the value in as it is, which only a `location` or a \
                         `content-location` may",
                        &expression[..1],
                        shown(name)
                    ));
                }
                if is_raw && expression.contains(':') {
                    return Err(format!("`{}` can be put in as it is only as a whole", shown(name)));
                }
                // `{?name}` brings the question mark itself.
                let in_path = start + 1 < query;
                variables.push(Variable { name: name.into(), index: known.index, in_path, is_raw });
            }
        }
        Ok(Self { text: text.into(), variables })
    }

    pub(crate) fn has_no_names(&self) -> bool {
        self.variables.is_empty()
    }

    /// With some value for each name: what is wrong with the rest can be told before there are any.
    pub(crate) fn sample(&self) -> String {
        let mut values: HashMap<_, _> =
            self.variables.iter().map(|variable| (&*variable.name, Cow::Borrowed("x"))).collect();
        let raw = self.variables.iter().filter(|variable| variable.is_raw);
        values.extend(raw.map(|variable| (&*variable.name, Cow::Borrowed("/x"))));
        self.replaced(&values, usize::MAX).expect("there is no limit")
    }

    /// `text` gives a value's text, or says why it has none, and is asked once for each name. What comes of it has
    /// `limit` bytes at most.
    pub(crate) fn expand<'a>(
        &'a self,
        limit: usize,
        mut text: impl FnMut(usize) -> Result<Cow<'a, str>, String>,
    ) -> Result<String, String> {
        let mut values = HashMap::new();
        for Variable { name, index, in_path, .. } in &self.variables {
            let value = match values.entry(&**name) {
                Entry::Occupied(value) => value.into_mut(),
                Entry::Vacant(place) => place.insert(text(*index)?),
            };
            // `/users/{id}` would become another resource.
            if *in_path && value.is_empty() {
                return Err(format!("`{}` is empty, and a part of the path", shown(name)));
            }
        }
        self.replaced(&values, limit)
            .map_err(|_| "with the values of its references, the target is too long".to_owned())
    }

    fn replaced(&self, values: &HashMap<&str, Cow<'_, str>>, limit: usize) -> Result<String, fmt::Error> {
        let template = UriTemplateStr::new(&self.text).expect("it was one when it was read");
        let values = Values(values);
        let expanded = template.expand::<UriSpec, _>(&values).expect("all values are text");
        let mut target = Bounded { text: String::new(), limit };
        write!(target, "{expanded}")?;
        Ok(target.text)
    }
}

/// Text that is not to become longer than it may be: a short template can name a long value many times.
struct Bounded {
    text: String,
    limit: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        if more.len() > self.limit - self.text.len() {
            return Err(fmt::Error);
        }
        self.text.push_str(more);
        Ok(())
    }
}

pub(crate) fn is_template(text: &str) -> bool {
    UriTemplateStr::new(text).is_ok()
}

struct Values<'a>(&'a HashMap<&'a str, Cow<'a, str>>);

impl Context for Values<'_> {
    fn visit<V: Visitor>(&self, visitor: V) -> V::Result {
        match self.0.get(visitor.var_name().as_str()) {
            Some(value) if value.is_ascii() => visitor.visit_string(value),
            Some(value) => visitor.visit_string(CharByChar(value)),
            None => visitor.visit_undefined(),
        }
    }
}

/// Where `{name:3}` cuts a value, iri-string (0.7.14) takes bytes for characters in all that is written at once, and may
/// panic.
struct CharByChar<'a>(&'a str);

impl fmt::Display for CharByChar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| f.write_char(char))
    }
}
