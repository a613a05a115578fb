//! One operation a line in, one result a line out: the crate's own format for batches without end.

use bytes::Bytes;
use http::HeaderValue;
use memchr::memchr2;

use super::{
    DecodeLines, Encode, EncodeContext, Encoder, LineDecoder, ResultOrder,
    json::{Results, read_operation},
};
use crate::{batch::Outcome, builder::DecodeContext, draft::Draft, problem::Problem, rejection::Rejection};

/// Reads and writes native JSON, line by line.
#[derive(Debug)]
pub(crate) struct Ndjson;

impl DecodeLines for Ndjson {
    fn media_types(&self) -> &[&'static str] {
        &["application/x-ndjson", "application/jsonl"]
    }

    fn begin(&self, _cx: DecodeContext<'_>) -> Result<Box<dyn LineDecoder>, Rejection> {
        Ok(Box::new(Self))
    }
}

impl LineDecoder for Ndjson {
    fn line<'a>(&mut self, cx: DecodeContext<'a>, line: Bytes) -> Option<Draft<'a>> {
        // White space as JSON has it (RFC 8259 §2).
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            return None;
        }
        Some(read_operation(cx, &line).unwrap_or_else(|why| {
            let mut draft = cx.operation();
            draft.refuse(Problem::bad_request(why));
            draft
        }))
    }
}

impl Encode for Ndjson {
    fn media_types(&self) -> &[&'static str] {
        &["application/x-ndjson", "application/jsonl"]
    }

    fn order(&self) -> ResultOrder {
        ResultOrder::Completion
    }

    fn begin(&self, cx: EncodeContext) -> Box<dyn Encoder> {
        Box::new(ResultLines { media_type: cx.media_type(), results: Results::new(cx) })
    }
}

struct ResultLines {
    media_type: &'static str,
    results: Results,
}

impl Encoder for ResultLines {
    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(self.media_type)
    }

    fn outcome(&mut self, outcome: Outcome<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        self.results.result(outcome, out);
        unbreak(&mut out[start..]);
        out.push(b'\n');
    }

    /// A blank line, which readers pass over.
    fn keep_alive(&self) -> &'static [u8] {
        b"\n"
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.results.summary(out);
        out.extend_from_slice(b"}\n");
    }
}

/// Makes one line of JSON text. In strings line ends are escaped, so all that stand there are white space between tokens:
/// of bodies that are embedded as they are.
fn unbreak(mut json: &mut [u8]) {
    while let Some(end) = memchr2(b'\n', b'\r', json) {
        json[end] = b' ';
        json = &mut json[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_line() {
        let mut json = *b"{\n  \"a\": \"x\\n\"\r\n}\n";
        unbreak(&mut json);
        assert_eq!(&json, b"{   \"a\": \"x\\n\"  } ");
    }
}
