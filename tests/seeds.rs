//! The fuzzer's seeds, held to what the fuzzer holds any input to; and each seed's name says how it ends.
#![allow(clippy::unwrap_used)]

use std::fs;

use http::StatusCode;

#[path = "support/decode.rs"]
mod decode;
#[path = "support/round_trip.rs"]
mod round_trip;

/// Their names and what they hold.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let seeds = fs::read_dir(format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let paths = seeds.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

#[test]
fn each_seed_ends_as_its_name_says() {
    let (json, parts) = (seeds("decode"), seeds("multipart"));
    assert!(json.len() >= 70 && parts.len() >= 25);
    let ended = json.into_iter().map(|(name, document)| (name, decode::check(&document)));
    for (name, (status, failed)) in
        ended.chain(parts.into_iter().map(|(name, seed)| (name, decode::check_parts(&seed))))
    {
        println!("{name}");
        let end = match (status, failed) {
            (StatusCode::MULTI_STATUS | StatusCode::OK, 0) => "good-",
            (StatusCode::MULTI_STATUS | StatusCode::OK, _) => "faulty-",
            _ => "refused-",
        };
        assert!(name.starts_with(end), "{name}: {status}, {failed}");
    }
}

#[test]
fn each_seed_means_the_same_in_every_format() {
    let json = seeds("decode").into_iter().map(|(name, document)| (name, [b"j", &*document].concat()));
    let parts = seeds("multipart").into_iter().map(|(name, document)| (name, [b"m", &*document].concat()));
    for (name, input) in json.chain(parts).chain(seeds("round_trip")) {
        println!("{name}");
        let sent = round_trip::check(&input);
        assert!(sent > 0 || !name.starts_with("good-"), "{name}");
    }
}
