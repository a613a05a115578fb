use std::collections::{HashMap, hash_map::Entry};

use http::{HeaderMap, HeaderValue, header};

use crate::watch;

/// Clients and proxies refuse a head that is larger than 8 to 16 KiB, and with it all outcomes.
const MOST_BYTES: usize = 6 << 10;

/// The cookies of all operations, which are cookies of the answer.
///
/// Of those that a client would take for the same one (RFC 6265 §5.3: name, domain and path), only the last is kept:
/// where each operation renews a session, the answer would otherwise have more headers than proxies let through.
#[derive(Debug, Default)]
pub(crate) struct Cookies {
    lines: Vec<HeaderValue>,
    bytes: usize,
    places: HashMap<String, usize>,
}

impl Cookies {
    pub(crate) fn set(&mut self, line: HeaderValue) {
        let place = self.places.entry(identity(line.as_bytes()));
        let earlier = match &place {
            Entry::Occupied(place) => self.lines[*place.get()].len(),
            Entry::Vacant(_) => 0,
        };
        if self.bytes - earlier + line.len() > MOST_BYTES {
            return watch::cause("a cookie was left out", &"the operations of the batch set too many");
        }
        self.bytes = self.bytes - earlier + line.len();
        let place = *place.or_insert(self.lines.len());
        match self.lines.get_mut(place) {
            Some(earlier) => *earlier = line,
            None => self.lines.push(line),
        }
    }

    pub(crate) fn into_headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in self.lines {
            headers.append(header::SET_COOKIE, line);
        }
        headers
    }
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
                "session=2; HttpOnly; path=/",
                "theme=dark",
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
        assert!(cookies.lines[0].as_bytes().starts_with(b"session=999-"));
        for other in 0..1000 {
            cookies.set(format!("c{other}={}", "x".repeat(200)).parse().unwrap());
        }
        let kept: usize = cookies.lines.iter().map(HeaderValue::len).sum();
        assert!((5000..=MOST_BYTES).contains(&kept), "{kept}");
    }
}
