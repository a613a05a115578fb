//! Any bytes, sent as a multipart batch whose boundary is `batch`.
//!
//! ```console
//! $ cargo +nightly fuzz run multipart fuzz/corpus/multipart fuzz/seeds/multipart
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/decode.rs"]
mod decode;

fuzz_target!(|document: &[u8]| {
    decode::check_parts(document);
});
