//! Lines of NDJSON, as they are.

use std::{
    borrow::Cow,
    io::{self, BufRead},
};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Outbox;

pub(super) fn read(mut input: impl BufRead, outbox: &Outbox) -> io::Result<()> {
    let (mut text, mut line, mut end) = (Vec::new(), 0, 0);
    loop {
        text.clear();
        let count = input.read_until(b'\n', &mut text)?;
        if count == 0 {
            return Ok(());
        }
        line += 1;
        end += count as u64;
        let text = text.trim_ascii();
        // It would be no operation for the server either, and have no result.
        if text.is_empty() {
            continue;
        }
        outbox.row(line, end, |operations| {
            match failed_before(text) {
                Some(operation) => operations.extend_from_slice(operation.as_bytes()),
                None => operations.extend_from_slice(text),
            }
            Ok(())
        })?;
    }
}

/// The operation in a line of a file of failed rows, see [`failed`](crate::failed).
fn failed_before(text: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Failed<'a> {
        #[serde(borrow)]
        operation: &'a RawValue,
    }

    // Else it isn't worth a look.
    let text = text.starts_with(br#"{"line":"#).then_some(text)?;
    let Failed { operation } = serde_json::from_slice(text).ok()?;
    // A line that was no JSON is kept as a string.
    let text = serde_json::from_str::<String>(operation.get());
    Some(text.map_or(Cow::Borrowed(operation.get()), Cow::Owned))
}
