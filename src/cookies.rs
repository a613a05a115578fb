use std::collections::HashMap;

use http::{HeaderMap, HeaderValue, header};

use crate::watch;

/// Clients and proxies refuse a head that is too large, and with it all outcomes. The smallest bounds in wide use by
/// default are 4 KiB for the whole head (nginx) and 100 lines (hyper, Python).
const MOST_BYTES: usize = 3 << 10;
const MOST_LINES: usize = 64;

/// The cookies of all operations, which are cookies of the answer.
///
/// Of those that a client would take for the same one (RFC 6265 §5.3: name, domain and path), only the last is kept:
/// where each operation renews a session, the answer would otherwise have more headers than proxies let through.
#[derive(Debug, Default)]
pub(crate) struct Cookies {
    /// In the order in which they were set last.
    lines: Vec<Option<HeaderValue>>,
    places: HashMap<String, usize>,
    bytes: usize,
}

impl Cookies {
    pub(crate) fn set(&mut self, line: HeaderValue) {
        let identity = identity(line.as_bytes());
        // Out of date from now on, even if the new one has no room.
        if let Some(earlier) = self.places.remove(&identity).and_then(|place| self.lines[place].take()) {
            self.bytes -= size(&earlier);
        }
        if self.bytes + size(&line) > MOST_BYTES || self.places.len() == MOST_LINES {
            return watch::cause("a cookie was left out", &"the operations of the batch set too many");
        }
        self.bytes += size(&line);
        self.places.insert(identity, self.lines.len());
        self.lines.push(Some(line));
    }

    pub(crate) fn into_headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in self.lines.into_iter().flatten() {
            headers.append(header::SET_COOKIE, line);
        }
        headers
    }
}

/// As a line of a head.
fn size(line: &HeaderValue) -> usize {
    "set-cookie: \r\n".len() + line.len()
}

fn identity(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let mut parts = line.split(';').map(str::trim);
    let name = parts.next().and_then(|pair| pair.split('=').next()).unwrap_or_default().trim();
    let (mut domain, mut path) = (String::new(), "");
    for (attribute, value) in parts.filter_map(|part| part.split_once('=')) {
        match attribute.trim().to_ascii_lowercase().as_str() {
            "domain" => domain = value.trim().trim_start_matches('.').to_ascii_lowercase(),
            "path" => path = value.trim(),
            _ => {}
        }
    }
    format!("{name};{domain};{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_the_same_cookie_is_kept() {
        let mut cookies = Cookies::default();
        for line in [
            "session=1; Path=/; HttpOnly",
            "theme=dark",
            "session=2; HttpOnly; path=/",
            "session=3; Path=/admin",
            "session=4; Path=/; Domain=.Example.com",
            "session=5; domain=example.com; Path=/",
            "Session=6; Path=/",
        ] {
            cookies.set(HeaderValue::from_static(line));
        }
        let headers = cookies.into_headers();
        let kept: Vec<_> = headers.get_all(header::SET_COOKIE).iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(
            kept,
            [
                "theme=dark",
                "session=2; HttpOnly; path=/",
                "session=3; Path=/admin",
                "session=5; domain=example.com; Path=/",
                "Session=6; Path=/",
            ]
        );
    }

    #[test]
    fn a_head_stays_readable() {
        let mut cookies = Cookies::default();
        for renewal in 0..1000 {
            cookies.set(format!("session={renewal}-{}", "x".repeat(200)).parse().unwrap());
        }
        assert_eq!(cookies.bytes, 200 + "session=999-".len() + 14);
        for other in 0..1000 {
            cookies.set(format!("c{other}={}", "x".repeat(200)).parse().unwrap());
        }
        assert!((2800..=MOST_BYTES).contains(&cookies.bytes), "{}", cookies.bytes);
        // A renewal that has no room takes the one that it was to renew away.
        cookies.set(format!("session={}", "x".repeat(3000)).parse().unwrap());
        let headers = cookies.into_headers();
        assert!(headers.values().all(|line| line.as_bytes().starts_with(b"c")));

        let mut cookies = Cookies::default();
        for short in 0..1000 {
            cookies.set(format!("{short}=").parse().unwrap());
        }
        assert_eq!(cookies.into_headers().len(), MOST_LINES);
    }
}
