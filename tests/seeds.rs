//! The fuzzer's seeds, held to what the fuzzer holds any input to; and each seed's name says how it ends.
#![allow(clippy::unwrap_used)]

use std::fs;

use http::StatusCode;

#[path = "support/decode.rs"]
mod decode;

#[test]
fn each_seed_ends_as_its_name_says() {
    let seeds = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/decode")).unwrap();
    let mut count = 0;
    for seed in seeds.map(|entry| entry.unwrap().path()) {
        let name = seed.file_stem().unwrap().to_str().unwrap().to_owned();
        println!("{name}");
        let (status, failed) = decode::check(&fs::read(seed).unwrap());
        let end = match (status, failed) {
            (StatusCode::MULTI_STATUS | StatusCode::OK, 0) => "good-",
            (StatusCode::MULTI_STATUS | StatusCode::OK, _) => "faulty-",
            _ => "refused-",
        };
        assert!(name.starts_with(end), "{name}: {status}, {failed}");
        count += 1;
    }
    assert!(count >= 70);
}
