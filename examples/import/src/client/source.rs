//! Rows of a file, as operations: read in a thread of its own, for files can't be read without waiting.

use std::{
    cell::{Cell, RefCell},
    io::{self, BufRead, BufReader, Read},
    mem,
    path::Path,
    rc::Rc,
};

use bytes::Bytes;
use tokio::sync::mpsc;

mod csv;
mod ndjson;

/// Bytes of operations that are sent together, about.
const CHUNK_BYTES: usize = 16 * 1024;
/// No more rows than these are sent together. There has to be room for them in the window, see
/// [`WINDOW`](crate::ledger::WINDOW).
pub(crate) const CHUNK_ROWS: usize = 512;
/// Bytes that a row may have. An open quote would otherwise make one row of the whole rest of a file.
const ROW_BYTES: u64 = 4 * 1024 * 1024;

/// A row that has become an operation.
#[derive(Debug)]
pub(crate) struct Row {
    /// Where it begins in the file, from 1.
    pub(crate) line: u64,
    /// How many bytes of the file are read when it has been.
    pub(crate) end: u64,
    /// One line of NDJSON, with its end.
    pub(crate) operation: Bytes,
}

/// A row that can't become one.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) line: u64,
    pub(crate) why: String,
}

/// Rows that are sent together.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The operations, one behind the other.
    pub(crate) operations: Bytes,
    pub(crate) rows: Vec<Row>,
    pub(crate) unreadable: Vec<Unreadable>,
}

/// What comes out of a file: chunks, and perhaps why there are no more of them before its end.
pub(crate) type Part = Result<Chunk, String>;

/// Reads `file`, or standard input, to its end, or until nobody listens any longer.
pub(crate) fn read(file: Option<&Path>, from: u64, parts: mpsc::Sender<Part>) {
    let read = || match file {
        Some(path) => read_all(std::fs::File::open(path)?, format_of(path), from, parts.clone()),
        None => read_all(io::stdin().lock(), None, from, parts.clone()),
    };
    if let Err(error) = read() {
        // Nobody who listens is no reason to say something.
        let _ = parts.blocking_send(Err(error.to_string()));
    }
}

#[derive(Clone, Copy)]
enum Format {
    Csv,
    Ndjson,
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "csv" => Some(Format::Csv),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        _ => None,
    }
}

fn read_all(input: impl Read, format: Option<Format>, from: u64, parts: mpsc::Sender<Part>) -> io::Result<()> {
    let outbox = Rc::new(Outbox { parts, from, pending: RefCell::default(), unfinished: Cell::default() });
    let mut input = BufReader::with_capacity(64 * 1024, Tap { input, outbox: Rc::clone(&outbox) });
    let format = match format {
        Some(format) => format,
        // No name tells; but no header row begins like an object.
        None if input.fill_buf()?.trim_ascii_start().starts_with(b"{") => Format::Ndjson,
        None => Format::Csv,
    };
    match format {
        Format::Csv => csv::read(input, &outbox)?,
        Format::Ndjson => ndjson::read(input, &outbox)?,
    }
    outbox.flush()
}

/// Where rows wait until there are enough of them.
struct Outbox {
    parts: mpsc::Sender<Part>,
    /// The line that the first row may begin in.
    from: u64,
    pending: RefCell<Pending>,
    /// How many bytes were read since the last row.
    unfinished: Cell<u64>,
}

#[derive(Default)]
struct Pending {
    operations: Vec<u8>,
    /// Line and end in the file, and the end in `operations`.
    rows: Vec<(u64, u64, usize)>,
    unreadable: Vec<Unreadable>,
}

impl Outbox {
    /// `write` writes the row as an operation, without a line end, or says why it can't.
    fn row(&self, line: u64, end: u64, write: impl FnOnce(&mut Vec<u8>) -> Result<(), String>) -> io::Result<()> {
        self.unfinished.set(0);
        if line < self.from {
            return Ok(());
        }
        let mut pending = self.pending.borrow_mut();
        let Pending { operations, rows, unreadable } = &mut *pending;
        match write(operations) {
            Ok(()) => {
                operations.push(b'\n');
                rows.push((line, end, operations.len()));
            }
            Err(why) => unreadable.push(Unreadable { line, why }),
        }
        let is_full = operations.len() >= CHUNK_BYTES || rows.len().max(unreadable.len()) >= CHUNK_ROWS;
        drop(pending);
        if is_full { self.flush() } else { Ok(()) }
    }

    fn flush(&self) -> io::Result<()> {
        let Pending { operations, rows, unreadable } = self.pending.take();
        if rows.is_empty() && unreadable.is_empty() {
            return Ok(());
        }
        let operations = Bytes::from(operations);
        let mut begin = 0;
        let rows = rows
            .into_iter()
            .map(|(line, file_end, end)| {
                let operation = operations.slice(mem::replace(&mut begin, end)..end);
                Row { line, end: file_end, operation }
            })
            .collect();
        let chunk = Chunk { operations, rows, unreadable };
        self.parts.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Sends what there is before it waits for more: what comes through a pipe may come slowly.
struct Tap<R> {
    input: R,
    outbox: Rc<Outbox>,
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.outbox.flush()?;
        let unfinished = &self.outbox.unfinished;
        if unfinished.get() > ROW_BYTES {
            return Err(io::Error::other("a row has more than 4 MiB: is there a quote that isn't closed?"));
        }
        let count = self.input.read(buffer)?;
        unfinished.set(unfinished.get() + count as u64);
        Ok(count)
    }
}
