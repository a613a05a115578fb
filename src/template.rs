//! A target with names in it: an RFC 6570 URI template.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use iri_string::{
    spec::UriSpec,
    template::{
        UriTemplateStr,
        context::{Context, Visitor},
    },
};

use crate::problem::shown;

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
    /// Only so many of its first characters are put in.
    prefix: usize,
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
        UriTemplateStr::new(text).map_err(|_| "the target is not a URI template (RFC 6570)".to_owned())?;
        let query = text.find('?').unwrap_or(text.len());
        let mut variables = Vec::new();
        // A brace has no other meaning in a template, and each one is closed.
        for (start, _) in text.match_indices('{') {
            let expression = text[start + 1..].split('}').next().unwrap_or_default();
            let names = expression.trim_start_matches(['+', '#', '.', '/', ';', '?', '&']);
            for name in names.split(',') {
                let (name, prefix) = name.trim_end_matches('*').split_once(':').unwrap_or((name, ""));
                let name = name.trim_end_matches('*');
                let known = find(name).ok_or_else(|| format!("`refs` has no `{}`", shown(name)))?;
                let is_raw = expression.starts_with(['+', '#']);
                if is_raw && !known.is_location {
                    return Err(format!(
                        "`{{{}{}}}` would put the value in as it is, which only an `@location` or an \
                         `@content-location` may",
                        &expression[..1],
                        shown(name)
                    ));
                }
                variables.push(Variable {
                    name: name.into(),
                    index: known.index,
                    in_path: start + 1 < query,
                    is_raw,
                    prefix: prefix.parse().unwrap_or(usize::MAX),
                });
            }
        }
        Ok(Self { text: text.into(), variables })
    }

    /// With some value for each name: what is wrong with the rest can be told before there are any.
    pub(crate) fn sample(&self) -> String {
        let mut values = HashMap::new();
        for Variable { name, is_raw, .. } in &self.variables {
            let value = values.entry(&**name).or_insert(Cow::Borrowed("x"));
            if *is_raw {
                *value = Cow::Borrowed("/x");
            }
        }
        self.replaced(&values)
    }

    /// `text` gives a value's text, or says why it has none. `limit` is how many bytes the target may have: a short
    /// template can name a long value many times, so what would be longer is not even built.
    pub(crate) fn expand<'a>(
        &'a self,
        limit: usize,
        text: impl Fn(usize) -> Result<Cow<'a, str>, String>,
    ) -> Result<String, String> {
        let (mut values, mut left) = (HashMap::new(), limit);
        for Variable { name, index, in_path, prefix, .. } in &self.variables {
            let value = match values.entry(&**name) {
                Entry::Occupied(value) => value.into_mut(),
                Entry::Vacant(place) => place.insert(text(*index)?),
            };
            // `/users/{id}` would become another resource.
            if *in_path && value.is_empty() {
                return Err(format!("`{}` is empty, and a part of the path", shown(name)));
            }
            // At least so many bytes: escapes make more of them.
            left = left
                .checked_sub(value.len().min(*prefix))
                .ok_or("with the values of `refs`, the target is too long")?;
        }
        Ok(self.replaced(&values))
    }

    fn replaced(&self, values: &HashMap<&str, Cow<'_, str>>) -> String {
        let template = UriTemplateStr::new(&self.text).expect("it was one when it was read");
        template
            .expand::<UriSpec, _>(&Values(values))
            .map(|expanded| expanded.to_string())
            .expect("all values are text")
    }
}

struct Values<'a>(&'a HashMap<&'a str, Cow<'a, str>>);

impl Context for Values<'_> {
    fn visit<V: Visitor>(&self, visitor: V) -> V::Result {
        match self.0.get(visitor.var_name().as_str()) {
            Some(value) => visitor.visit_string(value),
            None => visitor.visit_undefined(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str, value: &'static str) -> Result<String, String> {
        let template = Template::parse(template, |_| Some(Known { index: 0, is_location: false }))?;
        template.expand(24, |_| Ok(value.into()))
    }

    #[test]
    fn an_empty_value_can_stand_in_a_query_alone() {
        for (template, expected) in [("/a{?x}", "/a?x="), ("/a?x={x}", "/a?x="), ("/a{?x}{&x}", "/a?x=&x=")] {
            assert_eq!(expand(template, "").as_deref(), Ok(expected), "{template}");
        }
        for template in ["/a/{x}", "/a{/x}", "/a{x}?b", "/{x}{?x}"] {
            assert!(expand(template, "").is_err(), "{template}");
        }
    }

    #[test]
    fn what_would_be_too_long_is_not_built() {
        let value = "0123456789";
        assert_eq!(expand("/{x}{x}", value).unwrap(), "/01234567890123456789");
        assert_eq!(expand("/{x}{x}{x:3}", value).unwrap(), "/01234567890123456789012");
        assert_eq!(expand("/{x}{x}{x:5}", value).unwrap_err(), "with the values of `refs`, the target is too long");
        assert!(expand("/{x}{x}{x}", value).is_err());
        assert!(expand("/{x*}{x*}{x*}", value).is_err());
    }
}
