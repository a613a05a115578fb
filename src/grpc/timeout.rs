//! How long a call may take (gRPC over HTTP/2, "Timeout").

use std::time::Duration;

use http::{HeaderMap, HeaderName};

pub(crate) const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What the header says, if there is one.
///
/// # Errors
///
/// Where nobody could tell what is meant.
pub(crate) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, &'static str> {
    let mut values = headers.get_all(TIMEOUT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().ok().and_then(parse).map(Some).ok_or(UNREADABLE),
        (Some(_), Some(_)) => Err(UNREADABLE),
    }
}

const UNREADABLE: &str = "`grpc-timeout` must be a number of at most eight digits and a unit: `H`, `M`, `S`, `m` (milliseconds), \
                          `u` or `n`";

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_a_unit() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("100m", Some(Duration::from_millis(100))),
            ("5u", Some(Duration::from_micros(5))),
            ("00000007n", Some(Duration::from_nanos(7))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("123456789n", None),
            ("1h", None),
            ("1", None),
            ("H", None),
            ("", None),
            ("-1S", None),
            ("1.5S", None),
            ("1 S", None),
            ("1ä", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn only_one_is_understood() {
        let mut headers = HeaderMap::new();
        assert_eq!(timeout(&headers), Ok(None));
        headers.append(TIMEOUT, "1S".parse().unwrap());
        assert_eq!(timeout(&headers), Ok(Some(Duration::from_secs(1))));
        headers.append(TIMEOUT, "1S".parse().unwrap());
        assert!(timeout(&headers).is_err());
    }
}
