//! What the command line says.

use std::{error::Error, fs, path::PathBuf};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};

use crate::batch::content_type;

pub(crate) const HELP: &str = "\
inspect URL [--batch FILE] [--content-type TYPE] [--method METHOD] [--header 'name: value']… [--json]
inspect --file RESPONSE [--batch FILE] [--content-type TYPE] [--json]

Says what is in a 207, and what is wrong with it. URL is fetched: with the batch by POST, without one by GET, unless
--method says otherwise. RESPONSE is what `curl -i` has saved; `-` is standard input.

Ends with 0 if all is well, 1 if operations failed, 2 if there are warnings, 3 if the answer can't be read to its end,
4 if there is none.";

/// Where the answer comes from.
#[derive(Debug)]
pub(crate) enum Place {
    Url(Uri),
    File(PathBuf),
    Stdin,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) place: Place,
    pub(crate) is_json: bool,
    batch: Option<PathBuf>,
    content_type: Option<HeaderValue>,
    pub(crate) method: Option<Method>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Options {
    /// `None` if help is asked for.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, Box<dyn Error>> {
        let (mut place, mut batch, mut content_type, mut method) = (None, None, None, None);
        let (mut headers, mut is_json) = (Vec::new(), false);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value; --help tells more"));
            let found = match &*word {
                "--help" | "-h" => return Ok(None),
                "--json" => {
                    is_json = true;
                    continue;
                }
                "--batch" => {
                    batch = Some(PathBuf::from(value()?));
                    continue;
                }
                "--content-type" => {
                    content_type = Some(value()?.try_into()?);
                    continue;
                }
                "--method" => {
                    method = Some(value()?.parse()?);
                    continue;
                }
                "--header" | "-H" => {
                    headers.push(header(&value()?)?);
                    continue;
                }
                "--file" => file(value()?),
                other if other.starts_with('-') => return Err(format!("{other} is unknown; --help tells more").into()),
                url => Place::Url(url_of(url)?),
            };
            if place.replace(found).is_some() {
                return Err("one answer at a time: one URL, or one --file".into());
            }
        }
        let place = place.ok_or("a URL is missing, or --file; --help tells more")?;
        Ok(Some(Self { place, is_json, batch, content_type, method, headers }))
    }

    /// The batch as it is sent, or was: the answer is held against it.
    pub(crate) fn batch(&self) -> Result<Option<Request<Bytes>>, Box<dyn Error>> {
        let Some(path) = &self.batch else { return Ok(None) };
        let body = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let content_type = match &self.content_type {
            Some(content_type) => content_type.clone(),
            None => content_type(&body).ok_or("what the batch is can't be told by its looks: say --content-type")?,
        };
        let mut batch = Request::new(Bytes::from(body));
        batch.headers_mut().insert(header::CONTENT_TYPE, content_type);
        Ok(Some(batch))
    }
}

fn file(path: String) -> Place {
    match &*path {
        "-" => Place::Stdin,
        _ => Place::File(path.into()),
    }
}

fn url_of(url: &str) -> Result<Uri, Box<dyn Error>> {
    let uri: Uri = url.parse().map_err(|error| format!("`{url}` is no URL: {error}"))?;
    match uri.scheme_str() {
        Some("http") => Ok(uri),
        Some("https") => Err(format!("this example speaks no TLS: curl -i … '{url}' | inspect --file -").into()),
        _ => Err(format!("`{url}` is no URL that begins with `http://`").into()),
    }
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), Box<dyn Error>> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("`{line}` is no header like 'name: value'"))?;
    Ok((name.trim().parse()?, value.trim().parse()?))
}
