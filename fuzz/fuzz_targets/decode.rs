//! Any bytes, sent as a JSON batch.
//!
//! ```console
//! $ cargo +nightly fuzz run decode fuzz/corpus/decode fuzz/seeds/decode
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/decode.rs"]
mod decode;

fuzz_target!(|document: &[u8]| {
    decode::check(document);
});
