//! A target with names in it: an RFC 6570 URI template. All values are text, so it takes only a few of the RFC's rules.

use std::{borrow::Cow, collections::HashMap, collections::hash_map::Entry, ops::Range};

use iri_string::template::UriTemplateStr;

use crate::problem::shown;

/// A template whose names are all known.
#[derive(Debug)]
pub(crate) struct Template {
    text: Box<str>,
    expressions: Vec<Expression>,
}

/// What stands in braces.
#[derive(Debug)]
struct Expression {
    /// With the braces.
    range: Range<usize>,
    operator: Operator,
    /// It stands in the path rather than in the query.
    in_path: bool,
    variables: Vec<Variable>,
}

#[derive(Debug)]
struct Variable {
    name: Box<str>,
    /// How many characters of the value are taken.
    prefix: usize,
    /// Which value takes its place.
    index: usize,
}

/// How values are put in (RFC 6570, appendix A).
#[derive(Clone, Copy, Debug, Default)]
struct Operator {
    first: &'static str,
    separator: &'static str,
    is_named: bool,
    if_empty: &'static str,
    /// Values are put in as they are.
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
        UriTemplateStr::new(text).map_err(|_| "the target is not a URI template (RFC 6570)".to_owned())?;
        let query = text.find('?').unwrap_or(text.len());
        // A brace has no other meaning in a template, and each one is closed.
        let expressions = text.match_indices('{').map(|(start, _)| {
            let inner = text[start + 1..].split('}').next().unwrap_or_default();
            let (operator, names) = Operator::split(inner);
            let variables = names.split(',').map(|variable| Variable::parse(variable, operator, &find));
            Ok::<_, String>(Expression {
                range: start..start + inner.len() + 2,
                operator,
                // `{?name}` brings the question mark itself.
                in_path: start + 1 < query,
                variables: variables.collect::<Result<_, _>>()?,
            })
        });
        Ok(Self { text: text.into(), expressions: expressions.collect::<Result<_, _>>()? })
    }

    pub(crate) fn has_no_names(&self) -> bool {
        self.expressions.is_empty()
    }

    /// With some value for each name: what is wrong with the rest can be told before there are any.
    pub(crate) fn sample(&self) -> String {
        let sample = |expression: &Expression, _: &Variable| if expression.operator.is_raw { "/x" } else { "x" };
        self.replaced(usize::MAX, sample).expect("there is no limit")
    }

    /// `text` gives a value's text, or says why it has none, and is asked once for each value. What comes of it has
    /// `limit` bytes at most.
    pub(crate) fn expand<'a>(
        &'a self,
        limit: usize,
        mut text: impl FnMut(usize) -> Result<Cow<'a, str>, String>,
    ) -> Result<String, String> {
        let mut values = HashMap::new();
        for Expression { in_path, variables, .. } in &self.expressions {
            for Variable { name, index, .. } in variables {
                let value = match values.entry(*index) {
                    Entry::Occupied(value) => value.into_mut(),
                    Entry::Vacant(place) => place.insert(text(*index)?),
                };
                // `/users/{id}` would become another resource.
                if *in_path && value.is_empty() {
                    return Err(format!("`{}` is empty, and a part of the path", shown(name)));
                }
            }
        }
        self.replaced(limit, |_, variable| &values[&variable.index])
            .ok_or_else(|| "with the values of `refs`, the target is too long".to_owned())
    }

    /// `None` as soon as it has more bytes than it may: a short template can name a long value a thousand times.
    fn replaced<'v>(&self, limit: usize, value: impl Fn(&Expression, &Variable) -> &'v str) -> Option<String> {
        let mut target = Target { text: String::new(), limit };
        let mut at = 0;
        for expression in &self.expressions {
            target.push(&self.text[at..expression.range.start])?;
            at = expression.range.end;
            let operator = expression.operator;
            let mut mark = operator.first;
            for variable in &expression.variables {
                let value = value(expression, variable);
                target.push(mark)?;
                mark = operator.separator;
                if operator.is_named {
                    target.push(&variable.name)?;
                    target.push(if value.is_empty() { operator.if_empty } else { "=" })?;
                }
                if operator.is_raw {
                    target.push(value)?;
                } else {
                    value.chars().take(variable.prefix).try_for_each(|char| target.push_encoded(char))?;
                }
            }
        }
        target.push(&self.text[at..])?;
        Some(target.text)
    }
}

impl Variable {
    fn parse(text: &str, operator: Operator, find: impl Fn(&str) -> Option<Known>) -> Result<Self, String> {
        let (name, prefix) = match text.split_once(':') {
            Some((name, prefix)) => (name, prefix.parse().ok()),
            None => (text.trim_end_matches('*'), None),
        };
        let known = find(name).ok_or_else(|| format!("`refs` has no `{}`", shown(name)))?;
        if operator.is_raw && !known.is_location {
            return Err(format!(
                "`{}` can't be put in as it is, with `+` or `#`: only an `@location` or an `@content-location` can",
                shown(name)
            ));
        }
        if operator.is_raw && prefix.is_some() {
            return Err(format!("`{}` can be put in as it is only as a whole", shown(name)));
        }
        Ok(Self { name: name.into(), prefix: prefix.unwrap_or(usize::MAX), index: known.index })
    }
}

impl Operator {
    /// Takes the operator off an expression.
    fn split(expression: &str) -> (Self, &str) {
        let mark = expression.get(..1).filter(|mark| "+#./;?&".contains(mark)).unwrap_or_default();
        let plain = Self { separator: ",", ..Self::default() };
        let marked = |first| Self { first, separator: first, ..plain };
        let named = |first, if_empty| Self { is_named: true, if_empty, ..marked(first) };
        let operator = match mark {
            "+" => Self { is_raw: true, ..plain },
            "#" => Self { is_raw: true, first: "#", ..plain },
            "." => marked("."),
            "/" => marked("/"),
            ";" => named(";", ""),
            "?" => Self { separator: "&", ..named("?", "=") },
            "&" => named("&", "="),
            _ => plain,
        };
        (operator, &expression[mark.len()..])
    }
}

/// A target in the making.
struct Target {
    text: String,
    limit: usize,
}

impl Target {
    fn push(&mut self, text: &str) -> Option<()> {
        let has_room = text.len() <= self.limit - self.text.len();
        has_room.then(|| self.text.push_str(text))
    }

    /// RFC 6570 §3.2.1: all but what is unreserved (RFC 3986 §2.3).
    fn push_encoded(&mut self, char: char) -> Option<()> {
        let mut bytes = [0; 4];
        let text = char.encode_utf8(&mut bytes);
        if char.is_ascii_alphanumeric() || "-._~".contains(char) {
            return self.push(text);
        }
        text.bytes().try_for_each(|byte| self.push(&format!("%{byte:02X}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: [(&str, &str); 4] = [("var", "value"), ("hello", "Hello World!"), ("empty", ""), ("x", "ü/1024")];

    fn expanded(template: &str, limit: usize) -> Result<String, String> {
        let find = |name: &str| {
            let index = VALUES.iter().position(|(other, _)| *other == name)?;
            Some(Known { index, is_location: name == "var" })
        };
        Template::parse(template, find)?.expand(limit, |index| Ok(VALUES[index].1.into()))
    }

    /// Most are the RFC's own (§3.2), as far as they have no lists.
    #[test]
    fn all_operators_are_those_of_the_rfc() {
        for (template, expected) in [
            ("/{var}", "/value"),
            ("/{hello}", "/Hello%20World%21"),
            ("/{x}", "/%C3%BC%2F1024"),
            ("/{x,hello}", "/%C3%BC%2F1024,Hello%20World%21"),
            ("/{var:3}{x:1}{x:2}{x:99}", "/val%C3%BC%C3%BC%2F%C3%BC%2F1024"),
            ("/{var*}", "/value"),
            ("{+var}", "value"),
            ("/a{#var}", "/a#value"),
            ("/X{.var}{.var,x:1}", "/X.value.value.%C3%BC"),
            ("{/var,x}/here", "/value/%C3%BC%2F1024/here"),
            ("/{;x,var}", "/;x=%C3%BC%2F1024;var=value"),
            ("/a?{;empty}", "/a?;empty"),
            ("/a{?x,var,empty}", "/a?x=%C3%BC%2F1024&var=value&empty="),
            ("/a?fixed=yes{&var,empty:3}", "/a?fixed=yes&var=value&empty="),
            ("/a?{empty}b{empty,empty}", "/a?b,"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(expanded(template, 100).as_deref(), Ok(expected), "{template}");
            assert_eq!(expanded(template, expected.len()).as_deref(), Ok(expected), "{template}");
            assert!(expanded(template, expected.len() - 1).is_err(), "{template}");
        }
        for template in
            ["/{nobody}", "/{", "/{}", "/{=var}", "/{+x}", "/{+var:3}", "/{empty}", "/{/empty}", "/a{&empty}"]
        {
            assert!(expanded(template, 100).is_err(), "{template}");
        }
    }
}
