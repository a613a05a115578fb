//! What the command line asks for.

use std::{path::PathBuf, time::Duration};

use hyper::Uri;
use lexopt::{Arg, Parser, ValueExt};

pub(crate) const USAGE: &str = "\
usage: import [FILE] [URL] [--failed PATH] [--from LINE] [--patience SECONDS]

Sends each row of FILE to a batch endpoint, all of them in one batch, and reads the results meanwhile.

FILE is CSV with a header row that names the columns sku, name and price; or NDJSON, one operation a line. Without it,
or where it is `-`, the rows are read from standard input. URL is http://127.0.0.1:3000/batch if it isn't said.

  --failed PATH       write the rows that have failed to PATH, each with the reason; PATH can be imported again
  --from LINE         leave out the rows that begin before this line
  --patience SECONDS  how long the server may say nothing while rows wait for an answer (60)

Exit code: 0 if all rows have succeeded, 1 if some have failed, 2 if the batch was refused or not carried to its end.";

#[derive(Debug)]
pub(crate) struct Options {
    /// Standard input if there is none.
    pub(crate) file: Option<PathBuf>,
    pub(crate) url: Uri,
    pub(crate) failed: Option<PathBuf>,
    pub(crate) from: u64,
    pub(crate) patience: Duration,
}

impl Options {
    /// `None` if only help is asked for.
    pub(crate) fn parse(mut arguments: Parser) -> Result<Option<Self>, lexopt::Error> {
        let (mut file, mut url, mut failed, mut from, mut patience) = (None, None, None, 1, 60);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("failed") => failed = Some(arguments.value()?.into()),
                Arg::Long("from") => from = arguments.value()?.parse()?,
                Arg::Long("patience") => patience = arguments.value()?.parse()?,
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Value(value) if file.is_none() => file = Some(PathBuf::from(value)),
                Arg::Value(value) if url.is_none() => url = Some(value.parse_with(endpoint)?),
                other => return Err(other.unexpected()),
            }
        }
        let url = url.map_or_else(|| endpoint("http://127.0.0.1:3000/batch"), Ok)?;
        let file = file.filter(|file| file.as_os_str() != "-");
        Ok(Some(Self { file, url, failed, from, patience: Duration::from_secs(patience) }))
    }
}

fn endpoint(url: &str) -> Result<Uri, String> {
    let url: Uri = url.parse().map_err(|error| format!("this is no URL: {error}"))?;
    match (url.scheme_str(), url.host()) {
        (Some("http"), Some(_)) => Ok(url),
        _ => Err("a URL begins with http:// and the name of a server".to_owned()),
    }
}
