//! Answers in each format, read strictly, as a list of slots.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use serde_json::{Value, json};

use super::wire::Response;
use crate::multipart_support::{self, Part};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    OData,
    Lines,
    Parts,
    #[cfg(feature = "xml")]
    Xml,
}

/// What an answer tells of one operation.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) id: Option<String>,
    /// What the service, or the layer, says.
    pub(crate) body: Value,
    pub(crate) detail: Option<String>,
    pub(crate) pointer: Option<String>,
}

/// The outcomes, in request order.
pub(crate) fn read(response: &Response, format: Format) -> Result<Vec<Told>, String> {
    let (status, content_type) = match format {
        Format::Json => (207, "application/json"),
        Format::OData => (200, "application/json"),
        Format::Lines => (207, "application/x-ndjson"),
        Format::Parts => (200, "multipart/mixed"),
        #[cfg(feature = "xml")]
        Format::Xml => (207, "application/xml; charset=utf-8"),
    };
    let text = String::from_utf8_lossy(&response.body);
    // Behind that of parts stands their boundary, which is another one each time.
    let media_type = response.header("content-type").map(|value| value.split("; boundary=").next().unwrap_or_default());
    if response.status != status || media_type != Some(content_type) {
        return Err(format!("answered with {} {:?}: {text:.500}", response.status, response.header("content-type")));
    }
    match format {
        Format::Json => {
            let mut document: Value = serde_json::from_slice(&response.body).map_err(|error| error.to_string())?;
            results(document["results"].take(), &document)
        }
        Format::Lines => {
            let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
            let mut lines = lines.map_err(|error| error.to_string())?;
            let summary = lines.pop().ok_or("there is no summary")?;
            lines.sort_by_key(|line| line["index"].as_u64());
            results(lines.into(), &summary)
        }
        Format::Parts => parts(response),
        Format::OData => {
            let document: Value = serde_json::from_slice(&response.body).map_err(|error| error.to_string())?;
            let responses = document["responses"].as_array().ok_or("there are no `responses`")?;
            responses.iter().map(|one| told(one, &one["body"], &one["body"]["error"], "message", "target")).collect()
        }
        #[cfg(feature = "xml")]
        Format::Xml => {
            let entries = crate::support::multistatus::read(&response.body)?;
            entries.into_iter().enumerate().map(|(index, entry)| of_entry(index, entry)).collect()
        }
    }
}

/// Those of a change set that was carried out one by one, and one for all of another.
fn parts(response: &Response) -> Result<Vec<Told>, String> {
    let mut whole = http::Response::new(Bytes::from(response.body.clone()));
    whole.headers_mut().clone_from(&response.headers);
    let parts = catch_unwind(AssertUnwindSafe(|| multipart_support::parts(&whole)))
        .map_err(|_| format!("parts that break the format: {}", String::from_utf8_lossy(&response.body)))?;
    let singles = parts.into_iter().flat_map(|part| match part {
        Part::Single(single) => vec![single],
        Part::ChangeSet(singles) => singles,
    });
    let all = singles.map(|single| {
        let body = serde_json::from_slice(&single.body).unwrap_or_default();
        let one = json!({"status": single.status, "id": single.id});
        told(&one, &body, &body["error"], "message", "target")
    });
    all.collect()
}

/// Native results, with the summary that goes with them.
fn results(results: Value, document: &Value) -> Result<Vec<Told>, String> {
    let Value::Array(results) = results else { return Err("there are no `results`".to_owned()) };
    let failed = results.iter().filter(|one| one["status"].as_u64() >= Some(400)).count();
    let summary = json!({"total": results.len(), "succeeded": results.len() - failed, "failed": failed});
    if document["summary"] != summary || results.iter().enumerate().any(|(index, one)| one["index"] != index) {
        return Err(format!("indexes, or the summary, are wrong: {document}"));
    }
    let body = |one: &Value| one.get("data").or(one.get("error")).cloned().unwrap_or_default();
    results.iter().map(|one| told(one, &body(one), &one["error"], "detail", "pointer")).collect()
}

fn told(one: &Value, body: &Value, problem: &Value, detail: &str, pointer: &str) -> Result<Told, String> {
    let status = one["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(Told {
        status: status.ok_or_else(|| format!("no status: {one}"))?,
        id: text(&one["id"]),
        body: body.clone(),
        detail: text(&problem[detail]),
        pointer: text(&problem[pointer]),
    })
}

#[cfg(feature = "xml")]
fn of_entry(index: usize, entry: crate::support::multistatus::Entry) -> Result<Told, String> {
    if entry.index != index {
        return Err(format!("a result stands at {index}, and says that it is {}", entry.index));
    }
    let bytes = entry.body.map(|body| body.bytes).unwrap_or_default();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
    let one = json!({"status": entry.status, "id": entry.id});
    told(&one, &body, &body, "detail", "pointer")
}
