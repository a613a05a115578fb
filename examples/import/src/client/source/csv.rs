//! CSV with a header row, each row as `POST /products`.

use std::io::{self, Read};

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use tower_multistatus_import::{COLUMNS, Row};

use super::Outbox;

pub(super) fn read(input: impl Read, outbox: &Outbox) -> io::Result<()> {
    let mut reader = ReaderBuilder::new().from_reader(input);
    let columns = columns(reader.headers().map_err(io::Error::other)?)?;
    let mut record = StringRecord::new();
    loop {
        let fault = match reader.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => None,
            Err(error) => match error.kind() {
                // The reader stands behind such a row, and can go on.
                ErrorKind::Utf8 { .. } => Some("it is not UTF-8".to_owned()),
                ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    Some(format!("it has {len} fields, and the header row has {expected_len}"))
                }
                _ => return Err(error.into()),
            },
        };
        let line = record.position().map_or(0, csv::Position::line);
        outbox.row(line, reader.position().byte(), |operations| {
            if let Some(fault) = fault {
                return Err(fault);
            }
            operations.extend_from_slice(br#"{"method":"POST","path":"/products","body":"#);
            // No row has fewer fields than the header row.
            Row::new(columns.map(|column| record.get(column).unwrap_or_default())).write(operations);
            operations.push(b'}');
            Ok(())
        })?;
    }
}

/// Where they stand. Other columns are passed over.
fn columns(header: &StringRecord) -> io::Result<[usize; 3]> {
    let mut columns = [0; 3];
    for (column, name) in columns.iter_mut().zip(COLUMNS) {
        let place = header.iter().position(|field| field.trim() == name);
        *column = place.ok_or_else(|| io::Error::other(format!("the header row has no column `{name}`")))?;
    }
    Ok(columns)
}
