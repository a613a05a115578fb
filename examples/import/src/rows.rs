//! Prints products to import, the same ones each time.
//!
//! ```console
//! $ cargo run --release --bin rows -- 1000000 > products.csv
//! $ cargo run --release --bin rows -- 1000000 --ndjson > products.ndjson
//! ```

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use lexopt::{Arg, Parser, ValueExt};
use tower_multistatus_import::{COLUMNS, Row};

const USAGE: &str = "\
usage: rows N [--ndjson] [--no-header] [--duplicates D] [--shuffled]

Prints N products as CSV with a header row.

  --ndjson        as operations of a batch, one a line
  --no-header     without the header row
  --duplicates D  D of them have the sku of an earlier one
  --shuffled      skus in no order, which is harder for an index";

fn main() -> ExitCode {
    let ended = Options::parse(Parser::from_env()).map(|options| options.print(BufWriter::new(io::stdout().lock())));
    match ended {
        Ok(Ok(())) => ExitCode::SUCCESS,
        // Who reads has read enough, such as `head`.
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

#[derive(Debug, Default, PartialEq)]
struct Options {
    /// How many rows.
    total: u32,
    duplicates: u32,
    is_ndjson: bool,
    has_no_header: bool,
    is_shuffled: bool,
}

impl Options {
    fn parse(mut arguments: Parser) -> Result<Self, lexopt::Error> {
        let (mut options, mut total) = (Self::default(), None);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("ndjson") => options.is_ndjson = true,
                Arg::Long("no-header") => options.has_no_header = true,
                Arg::Long("shuffled") => options.is_shuffled = true,
                Arg::Long("duplicates") => options.duplicates = arguments.value()?.parse()?,
                Arg::Value(number) if total.is_none() => total = Some(number.parse()?),
                other => return Err(other.unexpected()),
            }
        }
        options.total = total.ok_or("how many rows?")?;
        if options.duplicates > 0 && options.duplicates >= options.total {
            return Err("there must be more rows than duplicates".into());
        }
        Ok(options)
    }

    fn print(&self, mut out: impl Write) -> io::Result<()> {
        if !self.is_ndjson && !self.has_no_header {
            writeln!(out, "{}", COLUMNS.join(","))?;
        }
        let mut line = Vec::new();
        for index in 0..self.total {
            let sku = self.sku(index);
            let name = format!("{} {}", ["Lamp", "Table", "Chair", "Shelf", "Clock"][index as usize % 5], index);
            let price = (100 + index % 9_900).to_string();
            line.clear();
            if self.is_ndjson {
                line.extend_from_slice(br#"{"method":"POST","path":"/products","body":"#);
                Row::new([&sku, &name, &price]).write(&mut line);
                line.extend_from_slice(b"}\n");
            } else {
                // None of these fields ever needs quotes.
                writeln!(line, "{sku},{name},{price}")?;
            }
            out.write_all(&line)?;
        }
        out.flush()
    }

    fn sku(&self, mut index: u32) -> String {
        // The first row is never a duplicate, so this comes to an end.
        while self.is_duplicate(index) {
            index /= 2;
        }
        // An odd factor maps all numbers of 32 bits to themselves, each to another one.
        let number = if self.is_shuffled { index.wrapping_mul(0x9e37_79b1) } else { index };
        format!("A-{number:010}")
    }

    /// They stand at equal distances.
    fn is_duplicate(&self, index: u32) -> bool {
        let before = |index: u64| index * u64::from(self.duplicates) / u64::from(self.total);
        before(u64::from(index) + 1) != before(u64::from(index))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use super::*;

    fn lines(arguments: &str) -> Vec<String> {
        let options = Options::parse(Parser::from_args(arguments.split(' '))).unwrap();
        let mut out = Vec::new();
        options.print(&mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_first_rows_are_these() {
        let expected = ["sku,name,price", "A-0000000000,Lamp 0,100", "A-0000000001,Table 1,101"];
        assert_eq!(lines("2"), expected);
        let expected =
            [r#"{"method":"POST","path":"/products","body":{"sku":"A-0000000000","name":"Lamp 0","price":100}}"#];
        assert_eq!(lines("1 --ndjson"), expected);
    }

    #[test]
    fn there_are_as_many_duplicates_as_were_asked_for() {
        for (total, duplicates) in [(10_000, 0), (10_000, 1), (10_000, 250), (10_000, 9_999), (7, 3), (1, 0)] {
            for order in ["", " --shuffled"] {
                let lines = lines(&format!("{total} --no-header --duplicates {duplicates}{order}"));
                let skus: HashSet<_> = lines.iter().map(|line| line.split(',').next().unwrap()).collect();
                assert_eq!((lines.len(), skus.len()), (total, total - duplicates));
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for arguments in ["", "x", "-1", "3 4", "3 --duplicates 3", "3 --xml"] {
            Options::parse(Parser::from_args(arguments.split(' '))).unwrap_err();
        }
    }
}
