//! Messages with what stands before each: whether it is compressed, and how long it is (gRPC over HTTP/2, section
//! "Length-Prefixed-Message").

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

const PREFIX: usize = 5;

const COMPRESSED: u8 = 1;

/// The frame is trailers, and no message (grpc-web).
const TRAILERS: u8 = 0x80;

/// One message, framed.
pub(super) fn one(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    // Whatever is read into memory is shorter than four gigabytes by our limits, or by those of the other side.
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// What a body consists of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Frames {
    /// The first one.
    pub(super) message: Option<Bytes>,
    pub(super) messages: usize,
    pub(super) trailers: Option<HeaderMap>,
}

impl Frames {
    /// Only in grpc-web may trailers be among them.
    pub(super) fn read(body: &Bytes, is_web: bool) -> Result<Self, &'static str> {
        let (mut frames, mut start) = (Self::default(), 0);
        while start < body.len() {
            let [kind, length @ ..] = body[start..].first_chunk::<PREFIX>().ok_or(CUT_OFF)?;
            let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| CUT_OFF)?;
            start += PREFIX;
            let end = start.checked_add(length).filter(|&end| end <= body.len()).ok_or(CUT_OFF)?;
            match *kind {
                _ if frames.trailers.is_some() => return Err("the service sent more behind its trailers"),
                0 => {
                    frames.messages += 1;
                    frames.message.get_or_insert_with(|| body.slice(start..end));
                }
                TRAILERS if is_web => {
                    frames.trailers = Some(trailers(&body[start..end]).ok_or("the service's trailers can't be read")?)
                }
                COMPRESSED => return Err("the service compressed its message, though it was not asked to"),
                _ => return Err("the service's message begins as none does"),
            }
            start = end;
        }
        Ok(frames)
    }
}

const CUT_OFF: &str = "the service's message is cut off";

/// Nobody has more to say.
const LONGEST_TRAILERS: usize = 64 << 10;

/// Written as fields of HTTP/1.
fn trailers(block: &[u8]) -> Option<HeaderMap> {
    if block.len() > LONGEST_TRAILERS {
        return None;
    }
    let block = [block, b"\r\n\r\n"].concat();
    let mut fields = vec![httparse::EMPTY_HEADER; memchr::memchr_iter(b'\n', &block).count()];
    let httparse::Status::Complete((_, fields)) = httparse::parse_headers(&block, &mut fields).ok()? else {
        return None;
    };
    let pairs = fields.iter().map(|field| {
        Some((HeaderName::from_bytes(field.name.as_bytes()).ok()?, HeaderValue::from_bytes(field.value).ok()?))
    });
    let mut trailers = HeaderMap::new();
    for pair in pairs {
        let (name, value) = pair?;
        trailers.append(name, value);
    }
    Some(trailers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> Result<Frames, &'static str> {
        Frames::read(&Bytes::copy_from_slice(body), true)
    }

    #[test]
    fn a_message_there_and_back() {
        for message in [&b""[..], b"a", &[7; 300]] {
            let frames = Frames::read(&one(message), false).unwrap();
            assert_eq!((frames.message.as_deref(), frames.messages), (Some(message), 1));
            assert_eq!(frames.trailers, None);
        }
        assert_eq!(&*one(b"ab"), b"\0\0\0\0\x02ab");
    }

    #[test]
    fn more_than_one_is_counted() {
        assert_eq!(read(b""), Ok(Frames::default()));
        let frames = read(b"\0\0\0\0\x01a\0\0\0\0\0\0\0\0\0\x01b").unwrap();
        assert_eq!((frames.message.as_deref(), frames.messages), (Some(&b"a"[..]), 3));
    }

    #[test]
    fn trailers_may_be_a_frame() {
        let frames = read(b"\0\0\0\0\x01a\x80\0\0\0\x20grpc-status:0\r\nGrpc-Message: x\r\n").unwrap();
        let trailers = frames.trailers.unwrap();
        assert_eq!([&trailers["grpc-status"], &trailers["grpc-message"]], ["0", "x"]);
        for body in [&b"\x80\0\0\0\0"[..], b"\x80\0\0\0\x0dgrpc-status:5"] {
            assert_eq!(read(body).unwrap().messages, 0, "{body:?}");
        }
        assert!(Frames::read(&Bytes::from_static(b"\x80\0\0\0\x0dgrpc-status:0"), false).is_err());
        assert!(read(b"\x80\0\0\0\x01a").is_err());
        assert!(read(b"\x80\0\0\0\0\0\0\0\0\0").is_err());
    }

    #[test]
    fn what_is_no_message_is_told() {
        for body in
            [&b"\0"[..], b"\0\0\0\0", b"\0\0\0\0\x02a", b"\0\xff\xff\xff\xffa", b"\x01\0\0\0\x01a", b"\x02\0\0\0\0"]
        {
            assert!(read(body).is_err(), "{body:?}");
        }
    }
}
