//! Any bytes, sent as a batch in the format that the first one stands for, and then in every other format.
//!
//! ```console
//! $ cargo +nightly fuzz run round_trip fuzz/corpus/round_trip fuzz/seeds/round_trip
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/round_trip.rs"]
mod round_trip;

fuzz_target!(|input: &[u8]| {
    round_trip::check(input);
});
