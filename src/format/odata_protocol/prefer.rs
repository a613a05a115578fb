//! What a client would like to happen after a failure.

use http::{HeaderMap, HeaderName};

/// What `Prefer` says of going on (RFC 7240; OData Protocol 4.01, section 8.2.8.3), if it says anything. The first word
/// counts.
pub(in crate::format) fn continue_on_error(headers: &HeaderMap) -> Option<bool> {
    let lines = headers.get_all(HeaderName::from_static("prefer")).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| unquoted(line, ',')).find_map(|preference| {
        let preference = unquoted(preference, ';').next()?;
        let (name, value) = preference.split_once('=').unwrap_or((preference, "true"));
        let name = name.trim();
        let name =
            name.split_once('.').filter(|(prefix, _)| prefix.eq_ignore_ascii_case("odata")).map_or(name, |it| it.1);
        if !name.eq_ignore_ascii_case("continue-on-error") {
            return None;
        }
        match value.trim().trim_matches('"') {
            value if value.eq_ignore_ascii_case("false") => Some(false),
            value if value.eq_ignore_ascii_case("true") => Some(true),
            _ => None,
        }
    })
}

/// The parts between those of these marks that don't stand in quotes.
fn unquoted(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |char| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match char {
            '"' if !was_escaped => is_quoted = !is_quoted,
            '\\' if !was_escaped => is_escaped = is_quoted,
            _ => return char == mark && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_counts() {
        for (lines, expected) in [
            (&[][..], None),
            (&["return=minimal"], None),
            (&["continue-on-error"], Some(true)),
            (&["continue-on-error=true"], Some(true)),
            (&["continue-on-error=false"], Some(false)),
            (&["Continue-On-Error = FALSE"], Some(false)),
            (&["odata.continue-on-error=false"], Some(false)),
            (&["OData.continue-on-error=\"false\""], Some(false)),
            (&["respond-async, odata.continue-on-error=false; x=1, wait=10"], Some(false)),
            (&["respond-async", "continue-on-error=false"], Some(false)),
            (&["continue-on-error=false, continue-on-error=true"], Some(false)),
            (&["continue-on-error=true", "odata.continue-on-error=false"], Some(true)),
            (&["continue-on-error=perhaps"], None),
            (&["x=\"a, continue-on-error=false\""], None),
            (&["x=\"\\\", continue-on-error=false\""], None),
            (&["x=\"\\\\\", continue-on-error=false"], Some(false)),
            (&["discontinue-on-error=false"], None),
            (&["other.continue-on-error=false"], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("prefer", line.parse().unwrap());
            }
            assert_eq!(continue_on_error(&headers), expected, "{lines:?}");
        }
    }
}
