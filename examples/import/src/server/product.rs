//! What a product is.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Product {
    pub(crate) sku: String,
    pub(crate) name: String,
    /// In cents.
    pub(crate) price: u32,
}

impl Product {
    /// What a type can't say of it.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        // It stands in a path as it is.
        let is_sku = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let fault = if self.sku.is_empty() || self.sku.len() > 64 || !self.sku.bytes().all(is_sku) {
            "a sku has 1 to 64 letters, digits, `-` or `_`"
        } else if self.name.is_empty() || self.name.len() > 1024 {
            "a name has 1 to 1024 bytes"
        } else {
            return Ok(());
        };
        Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, fault))
    }
}
