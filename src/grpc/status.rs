//! How a call has ended.

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// How a gRPC call has ended, as the service told it. It is among the extensions of the response
/// ([`Outcome::response`](crate::Outcome::response)), and [`Outcome::grpc`](crate::Outcome::grpc) finds it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcStatus {
    code: u32,
    message: String,
    details: Bytes,
}

/// Services pad, or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const UNKNOWN: u32 = 2;

impl GrpcStatus {
    /// That of trailers, or of the headers where nothing else is sent.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut codes = headers.get_all("grpc-status").iter();
        let code = codes.next()?.to_str().ok().filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
        // Two say nothing, even where one of them is a success.
        let code = code.filter(|_| codes.next().is_none()).and_then(|code| code.parse().ok());
        let message = headers.get("grpc-message").map_or(&b""[..], |message| message.as_bytes());
        let details = headers.get("grpc-status-details-bin").map_or(&b""[..], |details| details.as_bytes());
        Some(Self {
            // As clients of gRPC do with what they can't read.
            code: code.unwrap_or(UNKNOWN),
            message: percent_decode(message).decode_utf8_lossy().into_owned(),
            details: BASE64.decode(details).unwrap_or_default().into(),
        })
    }

    /// The number, as in `google.rpc.Code`; 0 is a success.
    #[must_use]
    pub fn code(&self) -> u32 {
        self.code
    }

    /// What the service says of it, for developers.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What else the service says of it: a `google.rpc.Status` in protobuf, or nothing.
    #[must_use]
    pub fn details(&self) -> &Bytes {
        &self.details
    }

    /// Whether the code is 0.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.code == 0
    }

    /// The status of HTTP that means the same, as `google.rpc.Code` has it. A number that it doesn't have is a 500.
    #[must_use]
    pub fn http_status(&self) -> StatusCode {
        match self.code {
            0 => StatusCode::OK,
            // Of the client, who has gone: no RFC has a name for it.
            1 => StatusCode::from_u16(499).expect("it has three digits"),
            3 | 9 | 11 => StatusCode::BAD_REQUEST,
            4 => StatusCode::GATEWAY_TIMEOUT,
            5 => StatusCode::NOT_FOUND,
            6 | 10 => StatusCode::CONFLICT,
            7 => StatusCode::FORBIDDEN,
            8 => StatusCode::TOO_MANY_REQUESTS,
            12 => StatusCode::NOT_IMPLEMENTED,
            14 => StatusCode::SERVICE_UNAVAILABLE,
            16 => StatusCode::UNAUTHORIZED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// As JSON tells it: `details` in base64, and what is empty not at all.
impl Serialize for GrpcStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("status", &self.code)?;
        if !self.message.is_empty() {
            object.serialize_entry("message", &self.message)?;
        }
        if !self.details.is_empty() {
            object.serialize_entry("details", &STANDARD.encode(&self.details))?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(pairs: &[(&'static str, &str)]) -> Option<GrpcStatus> {
        let pairs = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        GrpcStatus::of(&pairs.collect::<HeaderMap>())
    }

    #[test]
    fn all_codes_have_a_status() {
        let statuses = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401, 500, 500];
        for (code, expected) in statuses.into_iter().enumerate() {
            let status = status(&[("grpc-status", &code.to_string())]).unwrap();
            assert_eq!((status.code() as usize, status.http_status().as_u16()), (code, expected));
            assert_eq!(status.is_ok(), code == 0);
        }
    }

    #[test]
    fn what_it_says_is_decoded() {
        let pairs =
            [("grpc-status", "5"), ("grpc-message", "no user %22%C3%A4%22: 100%"), ("grpc-status-details-bin", "CAU")];
        let found = status(&pairs).unwrap();
        assert_eq!((found.message(), &found.details()[..]), ("no user \"ä\": 100%", &b"\x08\x05"[..]));
        let padded = status(&[("grpc-status", "5"), ("grpc-status-details-bin", "CAU=")]).unwrap();
        assert_eq!(&padded.details()[..], b"\x08\x05");
        assert_eq!(status(&[("grpc-message", "x")]), None);
        for odd in ["", "x", "-1", "+0", "5x", "99999999999"] {
            assert_eq!(status(&[("grpc-status", odd)]).unwrap().code(), UNKNOWN, "{odd:?}");
        }
        let mut twice = HeaderMap::new();
        for code in ["0", "5"] {
            twice.append("grpc-status", code.parse().unwrap());
        }
        assert_eq!(GrpcStatus::of(&twice).unwrap().code(), UNKNOWN);
    }
}
