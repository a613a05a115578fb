//! A file of the rows that have failed, one a line:
//!
//! ```json
//! {"line":17,"status":409,"error":{"detail":"there is …"},"operation":{"method":"POST","path":"/products","body":{…}}}
//! ```
//!
//! `status` is absent where there is no outcome, and `operation` where the row could not become one. Such a file can be
//! imported: what is sent of it are the operations.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Debug)]
pub(crate) struct FailedRows(BufWriter<File>);

#[derive(Serialize)]
struct Failed<'a> {
    /// First, for by this such a line is known.
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    error: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Operation<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Operation<'a> {
    Json(&'a RawValue),
    /// This is why it has failed.
    NoJson(String),
}

impl FailedRows {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(BufWriter::new(File::create(path)?)))
    }

    /// A row, with what the server has said of it.
    pub(crate) fn row(&mut self, line: u64, status: Option<u16>, error: &RawValue, operation: &[u8]) -> io::Result<()> {
        let operation = match serde_json::from_slice(operation) {
            Ok(json) => Operation::Json(json),
            Err(_) => Operation::NoJson(String::from_utf8_lossy(operation).trim_end().to_owned()),
        };
        self.write(&Failed { line, status, error, operation: Some(operation) })
    }

    /// A row that could not be sent.
    pub(crate) fn unreadable(&mut self, line: u64, error: &RawValue) -> io::Result<()> {
        self.write(&Failed { line, status: None, error, operation: None })
    }

    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn write(&mut self, failed: &Failed<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, failed)?;
        self.0.write_all(b"\n")
    }
}
