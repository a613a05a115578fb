//! Takes out of an outcome the values that other operations have named.

use std::{borrow::Cow, collections::HashMap};

use bytes::Bytes;
use http::{HeaderName, Method, Response, header::LOCATION, uri::PathAndQuery};
use iri_string::types::{UriAbsoluteStr, UriReferenceStr};

use crate::{
    batch::Label,
    builder::DecodeContext,
    content::Content,
    format::header_text,
    json_text::{Place, Places},
    media_type::Family,
    problem::shown,
    reference::{Extracted, Source, is_location},
    target,
};

/// One value for each source. `left` is how many bytes may still be kept for the references of the batch.
pub(crate) fn extract(
    cx: DecodeContext<'_>,
    label: &Label,
    response: &Response<Bytes>,
    sources: &[&Source],
    left: &mut usize,
) -> Vec<Extracted> {
    let target = label.target.as_ref();
    let (mut body, mut place) = (None, None);
    let mut headers: HashMap<&HeaderName, Extracted> = HashMap::new();
    let values = sources.iter().map(|source| match source {
        Source::Body(steps) => body.get_or_insert_with(|| Body::new(response, sources)).value(steps, left),
        Source::Header(name) => {
            let value = || share(&serde_json::Value::from(header(cx, target, response, name)?).to_string(), left);
            headers.entry(name).or_insert_with(value).clone()
        }
        Source::Entity => {
            let value = || share(&serde_json::Value::from(entity(cx, label, response)?).to_string(), left);
            place.get_or_insert_with(value).clone()
        }
    });
    values.collect()
}

fn share(json: &str, left: &mut usize) -> Extracted {
    *left = left.checked_sub(json.len()).ok_or("the references of the batch bring in too many bytes")?;
    Ok(json.into())
}

fn header(
    cx: DecodeContext<'_>,
    target: Option<&PathAndQuery>,
    response: &Response<Bytes>,
    name: &HeaderName,
) -> Result<String, Cow<'static, str>> {
    let mut values = response.headers().get_all(name).iter();
    let text = match (values.next(), values.next()) {
        (Some(value), None) => header_text(value).into_owned(),
        (None, _) => return Err(format!("its response has no `{name}`").into()),
        (Some(_), Some(_)) => return Err(format!("its response has more than one `{name}`").into()),
    };
    if is_location(name) {
        return own_path(cx, target, &text).ok_or_else(|| format!("its `{name}` is no place on this server").into());
    }
    Ok(text)
}

/// Where that is which an operation has created or returned.
fn entity(cx: DecodeContext<'_>, label: &Label, response: &Response<Bytes>) -> Result<String, Cow<'static, str>> {
    match &label.target {
        Some(target) if label.method == Method::GET && !response.headers().contains_key(LOCATION) => {
            Ok(target.to_string())
        }
        target => header(cx, target.as_ref(), response, &LOCATION),
    }
}

/// The path and the query of a URI reference that leads to this server (RFC 9110 §10.2.2).
fn own_path(cx: DecodeContext<'_>, target: Option<&PathAndQuery>, location: &str) -> Option<String> {
    let location = UriReferenceStr::new(location).ok()?;
    let is_own = match (location.scheme_str(), location.authority_str()) {
        (None, None) => true,
        (scheme, Some(authority)) => scheme.is_none_or(is_http) && cx.is_own_authority(authority),
        (Some(_), None) => false,
    };
    // Only the path is taken of it, so any name will do for the host. Targets may have characters that URIs have not.
    let base = format!("http://host{}", target::escaped(target.map_or("/", PathAndQuery::as_str)));
    let resolved = location.resolve_against(UriAbsoluteStr::new(&base).ok().filter(|_| is_own)?).to_string();
    let resolved = UriReferenceStr::new(&resolved).ok()?;
    let path = Some(resolved.path_str()).filter(|path| !path.is_empty()).unwrap_or("/");
    Some(match resolved.query_str() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    })
}

fn is_http(scheme: &str) -> bool {
    ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http))
}

/// A JSON body in which all has been looked for that anybody wants of it.
struct Body<'a> {
    text: Result<&'a str, &'static str>,
    places: Places<'a>,
    /// By place, for what many want is shared, and counted once.
    values: HashMap<usize, Extracted>,
}

impl<'a> Body<'a> {
    fn new(response: &'a Response<Bytes>, sources: &[&'a Source]) -> Self {
        let text = match Content::new(Family::of(response.headers()), response.body()) {
            Content::Empty => Err("its response has no body"),
            Content::Json(Cow::Borrowed(text)) => Ok(text),
            _ => Err("its response is not JSON that every client can read"),
        };
        let pointers = sources.iter().filter_map(|source| match source {
            Source::Body(steps) => Some(&**steps),
            Source::Header(_) | Source::Entity => None,
        });
        let places = Places::find(pointers, text.unwrap_or_default());
        Self { text, places, values: HashMap::new() }
    }

    fn value(&mut self, steps: &[Box<str>], left: &mut usize) -> Extracted {
        let text = self.text?;
        match self.places.get(steps) {
            Place::Nowhere => Err(format!("its response has nothing at `{}`", pointer(steps)).into()),
            Place::Twice => Err(format!("its response has `{}` twice", pointer(steps)).into()),
            Place::Here(place, range) => self.values.entry(place).or_insert_with(|| share(&text[range], left)).clone(),
        }
    }
}

/// As the client wrote it, for a problem's text.
fn pointer(steps: &[Box<str>]) -> String {
    let steps = steps.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")));
    shown(&steps.collect::<String>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_want_is_counted_once() {
        let body = r#"{"a":{"b":[10,20]},"c":"x"}"#;
        let response = Response::builder().header("content-type", "application/json").body(Bytes::from(body)).unwrap();
        let pointers = ["/a/b/1", "/a", "/c", "/a/b/1", ""];
        let sources: Vec<_> = pointers.iter().map(|pointer| Source::body(pointer, 8).unwrap()).collect();
        let sources: Vec<_> = sources.iter().collect();
        let mut found = Body::new(&response, &sources);
        let mut left = 100;
        let values = sources.iter().map(|source| match source {
            Source::Body(steps) => found.value(steps, &mut left).unwrap().to_string(),
            Source::Header(_) | Source::Entity => unreachable!(),
        });
        assert_eq!(values.collect::<Vec<_>>(), ["20", r#"{"b":[10,20]}"#, r#""x""#, "20", body]);
        assert_eq!(left, 100 - 2 - 13 - 3 - body.len());
    }
}
