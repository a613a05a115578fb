//! Little that becomes much: bodies that a layer outside decompresses, within bounded memory.

use std::io::Write;

use allocation_counter::measure;
use flate2::{Compress, Compression, Crc, FlushCompress, write::GzEncoder};

use super::{
    answer::Format,
    case::{Case, Expected, Slot, play, statuses},
    json::{FIRST, HEALTHY, JSON, LAST, among},
    server::Stack,
    wire::request,
};

const GZIP: &str = "content-encoding: gzip";
const MIB: usize = 1 << 20;

fn gzip(plain: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// This, then so many MiB of white space, then that: one stream, of which the middle was compressed only once (RFC 1951).
fn bomb(begin: &str, mebibytes: usize, end: &str) -> Vec<u8> {
    let mut checksum = Crc::new();
    let mut piece = |plain: &str, times: usize, flush| {
        let mut piece = Crc::new();
        piece.update(plain.as_bytes());
        (0..times).for_each(|_| checksum.combine(&piece));
        let mut bytes = Vec::with_capacity(plain.len() / 100 + 100);
        Compress::new(Compression::best(), false).compress_vec(plain.as_bytes(), &mut bytes, flush).unwrap();
        bytes.repeat(times)
    };
    let begin = piece(begin, 1, FlushCompress::Full);
    let middle = piece(&" ".repeat(MIB), mebibytes, FlushCompress::Full);
    let end = piece(end, 1, FlushCompress::Finish);
    let trailer = [checksum.sum().to_le_bytes(), checksum.amount().to_le_bytes()].concat();
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff], &*begin, &middle, &end, &trailer].concat()
}

pub(crate) fn cases() -> Vec<Case> {
    let lines = "content-type: application/x-ndjson";
    let document = format!("[{FIRST},{LAST}]");
    let whole = gzip(&document);
    let of = |name, sent: Vec<u8>, expected| Case::new(name, sent, expected).on(Stack::Decompressing);
    let too_large = || Expected::Refused(413, "2097152 bytes");
    let broken = || Expected::Refused(400, "broke off");
    let mut changed = whole.clone();
    let last = changed.len() - 6;
    changed[last] ^= 1;
    let long = bomb(&format!("{FIRST}\n"), 8, &format!("\n{LAST}\n"));
    let too_long = Expected::Slots(Format::Lines, among(Slot::from(413).says("1048576 bytes")));
    vec![
        of("gzip: a batch", request(&[JSON, GZIP], &whole), statuses(Format::Json, &[200, 200])).reached(HEALTHY),
        of("gzip: a bomb of a GiB", request(&[JSON, GZIP], bomb("[", 1024, "]")), too_large()),
        of("gzip: a bomb before a batch", request(&[JSON, GZIP], bomb("", 3, &document)), too_large()),
        of("gzip: a bomb behind a batch", request(&[JSON, GZIP], bomb(&document, 3, "")), too_large()),
        of(
            "gzip: a large batch that is none",
            request(&[JSON, GZIP], bomb(&document, 1, "")),
            statuses(Format::Json, &[200, 200]),
        )
        .reached(HEALTHY),
        of("gzip: a bomb in a bomb", request(&[JSON, GZIP], gzip(bomb("[", 64, "]"))), Expected::Refused(400, "")),
        of("gzip: a bomb in a line", request(&[lines, GZIP], long), too_long).reached(HEALTHY),
        of("gzip: cut off", request(&[JSON, GZIP], &whole[..whole.len() / 2]), broken()),
        of("gzip: without its checksum", request(&[JSON, GZIP], &whole[..whole.len() - 8]), broken()),
        of("gzip: with a wrong checksum", request(&[JSON, GZIP], changed), broken()),
        of("gzip: a batch that is not compressed", request(&[JSON, GZIP], &document), broken()),
        of("gzip: nothing", request(&[JSON, GZIP], ""), Expected::Refused(400, "")),
        of("gzip: twice", request(&[JSON, "content-encoding: gzip, gzip"], gzip(&whole)), Expected::Others(415)),
        of(
            "gzip: a coding that nobody knows",
            request(&[JSON, "content-encoding: x"], &document),
            Expected::Others(415),
        ),
    ]
}

/// All that is there at once: the bytes that were sent, what of them has been decompressed, and room to read them into.
#[test]
fn bombs_take_no_more_memory_than_a_batch_may_have() {
    let cases = cases();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let used = measure(|| runtime.block_on(play(cases, 14))).bytes_max;
    assert!(used < 12 * MIB as u64, "{used} bytes");
}
