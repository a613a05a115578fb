//! What the server, the client and the generator have in common: a row of a CSV file as JSON.

use serde::Serialize;

/// The columns, in the order in which the generator writes them and the server reads them.
pub const COLUMNS: [&str; 3] = ["sku", "name", "price"];

/// The fields of a row as the members of a product.
///
/// What they mean is not judged here: a bad row is an operation like any other, and is refused by the handler, in its
/// place.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    sku: &'a str,
    name: &'a str,
    price: Price<'a>,
}

impl<'a> Row<'a> {
    pub fn new([sku, name, price]: [&'a str; 3]) -> Self {
        Self { sku, name, price: price.parse().map_or(Price::Text(price), Price::Number) }
    }

    /// Writes it as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("a vector takes any bytes, and strings and numbers are JSON");
    }
}

/// CSV has no types. What is no number stays text, so that it can be said of it that it is no price.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Price<'a> {
    Number(i64),
    Text(&'a str),
}
