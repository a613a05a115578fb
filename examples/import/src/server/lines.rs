//! Products as rows of CSV: a format of the server's own.

use axum::http::{StatusCode, header};
use bytes::Bytes;
use csv_core::{ReadRecordResult, Reader};
use tower_multistatus::{DecodeContext, DecodeLines, Draft, LineDecoder, Problem, Rejection};
use tower_multistatus_import::{COLUMNS, Row};

/// Reads each line as `POST /products`. The first one is a header row, which names the columns; with
/// `text/csv; header=absent` (RFC 4180 §3) there is none, and they are `sku,name,price`.
///
/// A row that has a line end within quotes is refused. To wait for its other half would be to wait for the end of the
/// file, where a quote isn't closed; and all rows on the way there would have no result.
pub(crate) struct Csv;

impl DecodeLines for Csv {
    fn media_types(&self) -> &[&'static str] {
        &["text/csv"]
    }

    fn begin(&self, cx: DecodeContext<'_>) -> Result<Box<dyn LineDecoder>, Rejection> {
        let content_type = cx.head().headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let mut parameters = content_type.unwrap_or_default().split(';').skip(1);
        let has_no_header = parameters.any(|parameter| parameter.trim().eq_ignore_ascii_case("header=absent"));
        Ok(Box::new(Rows::new(has_no_header.then_some(Columns { places: [0, 1, 2], count: 3 }))))
    }
}

struct Rows {
    /// What is known of them, once the header row has been read.
    columns: Option<Result<Columns, String>>,
    record: Record,
}

/// Where a row has what a product is made of.
#[derive(Clone, Copy)]
struct Columns {
    places: [usize; 3],
    count: usize,
}

impl Rows {
    fn new(columns: Option<Columns>) -> Self {
        Self { columns: columns.map(Ok), record: Record::default() }
    }

    /// The product, as JSON; nothing if the line has none.
    fn product(&mut self, line: &[u8]) -> Result<Option<Bytes>, String> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        self.record.read(line)?;
        let columns = match &self.columns {
            Some(Ok(columns)) => columns,
            Some(Err(_)) => return Err("the columns are not known: see the first line".to_owned()),
            None => {
                let columns = self.record.columns();
                return self.columns.insert(columns).clone().map(|_| None);
            }
        };
        if self.record.count != columns.count {
            let (is, expected) = (self.record.count, columns.count);
            return Err(format!("the row has {is} fields, but there are {expected} columns"));
        }
        let [sku, name, price] = columns.places.map(|place| self.record.field(place));
        let mut body = Vec::with_capacity(line.len() + 32);
        Row::new([sku?, name?, price?]).write(&mut body);
        Ok(Some(body.into()))
    }
}

impl LineDecoder for Rows {
    /// The row behind a header row that is too long is no header row.
    fn passed_over(&mut self) {
        self.columns.get_or_insert_with(|| Err("the header row is too long".to_owned()));
    }

    fn line<'a>(&mut self, cx: DecodeContext<'a>, line: Bytes) -> Option<Draft<'a>> {
        let product = self.product(&line).transpose()?;
        let mut operation = cx.operation();
        operation.method("POST");
        operation.target(Bytes::from_static(b"/products"), "");
        match product {
            Ok(product) => operation.json_body(product),
            Err(why) => operation.refuse(Problem::new(StatusCode::BAD_REQUEST, why)),
        }
        Some(operation)
    }
}

/// The fields of one row, in buffers that are used again for the next one.
struct Record {
    /// Of the crate below `csv`, whose `Reader` would be a new one for each line: to make its tables takes longer than all
    /// else that is done for a line.
    reader: Reader,
    text: Vec<u8>,
    /// Where fields end in `text`.
    ends: Vec<usize>,
    count: usize,
}

impl Default for Record {
    fn default() -> Self {
        // Not `Reader::default()`, whose tables are empty.
        Self { reader: Reader::new(), text: Vec::new(), ends: Vec::new(), count: 0 }
    }
}

impl Record {
    fn read(&mut self, line: &[u8]) -> Result<(), String> {
        self.reader.reset();
        // More than a field, or a line of commas, can ever need; and the line end.
        self.text.resize(line.len() + 1, 0);
        self.ends.resize(line.len() + 2, 0);
        let (first, _, len, count) = self.reader.read_record(line, &mut self.text, &mut self.ends);
        let (result, _, _, more) = self.reader.read_record(b"\n", &mut self.text[len..], &mut self.ends[count..]);
        self.count = count + more;
        match (first, result) {
            (ReadRecordResult::InputEmpty, ReadRecordResult::Record) => Ok(()),
            _ => Err("there is a line end within the row".to_owned()),
        }
    }

    fn field(&self, place: usize) -> Result<&str, String> {
        let begin = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        std::str::from_utf8(&self.text[begin..self.ends[place]]).map_err(|_| "the row is not UTF-8".to_owned())
    }

    fn columns(&self) -> Result<Columns, String> {
        let mut places = [0; 3];
        for (place, name) in places.iter_mut().zip(COLUMNS) {
            let found = (0..self.count).find(|&place| self.field(place).is_ok_and(|field| field.trim() == name));
            *place = found.ok_or_else(|| format!("this should be a header row, but has no column `{name}`"))?;
        }
        Ok(Columns { places, count: self.count })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// What becomes of each line.
    fn products<const N: usize>(mut rows: Rows, lines: [&[u8]; N]) -> [Result<Option<String>, String>; N] {
        let text = |product: Bytes| String::from_utf8(product.to_vec()).unwrap();
        lines.map(|line| Ok(rows.product(line)?.map(text)))
    }

    fn without_header() -> Rows {
        Rows::new(Some(Columns { places: [0, 1, 2], count: 3 }))
    }

    #[test]
    fn no_row_takes_the_place_of_a_header_row_that_is_too_long() {
        let mut rows = Rows::new(None);
        rows.passed_over();
        let [product] = products(rows, [b"sku,name,price"]);
        assert!(product.is_err());
    }

    #[test]
    fn a_line_becomes_a_product() {
        for (line, expected) in [
            ("A-1,Lamp,1299", r#"{"sku":"A-1","name":"Lamp","price":1299}"#),
            ("\u{feff}A-1,Lamp,1299", r#"{"sku":"A-1","name":"Lamp","price":1299}"#),
            ("A-1,\"a \"\"big\"\", red one\",-1", r#"{"sku":"A-1","name":"a \"big\", red one","price":-1}"#),
            ("A-1,Lamp,12.99", r#"{"sku":"A-1","name":"Lamp","price":"12.99"}"#),
            (",,", r#"{"sku":"","name":"","price":""}"#),
        ] {
            assert_eq!(products(without_header(), [line.as_bytes()]), [Ok(Some(expected.to_owned()))]);
        }
    }

    #[test]
    fn a_line_that_is_none_is_refused_and_the_next_one_is_read() {
        let end = "there is a line end within the row";
        for (line, why) in [
            (&b"A-1"[..], "the row has 1 fields, but there are 3 columns"),
            (b"A-1,Lamp,1299,", "the row has 4 fields, but there are 3 columns"),
            (b"A-1,\"Lamp,1299", end),
            (b"A-1,Lamp,\"1299", end),
            (b"A-1,Lamp,1\rA-2,Lamp,2", end),
            (b"A-1,\xff,1299", "the row is not UTF-8"),
        ] {
            let next = Ok(Some(r#"{"sku":"A-1","name":"Lamp","price":2}"#.to_owned()));
            assert_eq!(products(without_header(), [line, b"A-1,Lamp,2"]), [Err(why.to_owned()), next]);
        }
    }

    #[test]
    fn a_header_row_names_the_columns() {
        let lines = [&b""[..], b"\xef\xbb\xbfprice,\"remark\",sku , name", b" ", b"2,,A-1,Lamp"];
        let product = r#"{"sku":"A-1","name":"Lamp","price":2}"#;
        assert_eq!(products(Rows::new(None), lines), [Ok(None), Ok(None), Ok(None), Ok(Some(product.to_owned()))]);
    }

    #[test]
    fn without_the_names_of_columns_all_rows_are_refused() {
        let expected =
            ["this should be a header row, but has no column `sku`", "the columns are not known: see the first line"];
        assert_eq!(products(Rows::new(None), [b"A-1,Lamp,2", b"A-2,Lamp,2"]), expected.map(|why| Err(why.to_owned())));
    }
}
