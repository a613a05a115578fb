//! Statuses, and lines with one.

use super::{code::Code, entry::Entry, text::plain};

/// Takes the status of `HTTP/1.1 404 Not Found` (RFC 9112 §4, RFC 4918 §14.28). Where it is written otherwise it is taken
/// all the same, if it is clear, and the fault is told.
pub(super) fn from_line(entry: &mut Entry<'_>, line: &str) -> Option<u16> {
    let shown = plain(line);
    let Some((status, reason)) = split(line) else {
        entry.fault(Code::StatusLine, format!("`{shown}` is no status line like `HTTP/1.1 200 OK`"));
        return line.split([' ', '\t']).find_map(three_digits).filter(|status| is_status(*status));
    };
    match reason {
        None => {
            entry.fault(Code::StatusLine, format!("`{shown}` lacks the space behind the status"));
        }
        Some("") => entry.fault(Code::NoReason, format!("`{shown}` has no reason phrase")),
        Some(_) => {}
    }
    in_range(entry, status)
}

/// The number, and what stands behind the space after it.
fn split(line: &str) -> Option<(u16, Option<&str>)> {
    let [major, b'.', minor, b' ', rest @ ..] = line.strip_prefix("HTTP/")?.as_bytes() else { return None };
    if !major.is_ascii_digit() || !minor.is_ascii_digit() {
        return None;
    }
    let rest = std::str::from_utf8(rest).ok()?;
    match rest.split_once(' ') {
        Some((status, reason)) => Some((three_digits(status)?, Some(reason))),
        None => Some((three_digits(rest)?, None)),
    }
}

fn three_digits(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The status, if there is such a one (RFC 9110 §15).
pub(super) fn in_range(entry: &mut Entry<'_>, status: u16) -> Option<u16> {
    if is_status(status) {
        return Some(status);
    }
    entry.fault(Code::StatusRange, format!("{status} is not between 100 and 599"));
    None
}

fn is_status(status: u16) -> bool {
    (100..600).contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_servers_write_them() {
        for (line, status, fault) in [
            ("HTTP/1.1 200 OK", Some(200), None),
            ("HTTP/1.0 404 Not Found", Some(404), None),
            ("HTTP/1.1 200 ", Some(200), Some(Code::NoReason)),
            ("HTTP/1.1 200", Some(200), Some(Code::StatusLine)),
            ("HTTP/2 200 OK", Some(200), Some(Code::StatusLine)),
            ("HTTP/2.0 200 OK", Some(200), None),
            ("200 OK", Some(200), Some(Code::StatusLine)),
            ("http/1.1 200 OK", Some(200), Some(Code::StatusLine)),
            ("HTTP/1.1  200 OK", Some(200), Some(Code::StatusLine)),
            ("HTTP/1.1 2000 OK", None, Some(Code::StatusLine)),
            ("HTTP/1.1 999 What", None, Some(Code::StatusRange)),
            ("HTTP/1.1 099 What", None, Some(Code::StatusRange)),
            ("HTTP/1.1 +20 OK", None, Some(Code::StatusLine)),
            ("", None, Some(Code::StatusLine)),
            ("HTTP/", None, Some(Code::StatusLine)),
        ] {
            let mut entry = Entry::default();
            assert_eq!(from_line(&mut entry, line), status, "{line:?}");
            assert_eq!(entry.faults.first().map(|fault| fault.0), fault, "{line:?}");
        }
    }
}
