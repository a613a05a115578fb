//! What a content type says of a body, by our own reading of it.

/// One that every reader takes for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    Json,
    Text,
    Binary,
    /// It has parameters, or is none at all.
    Odd,
}

impl MediaType {
    pub(super) fn of(content_type: &str) -> Self {
        let lower = content_type.to_ascii_lowercase();
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_name = |name: &str| name.split(['.', '-']).all(is_word);
        let Some((first, second)) = lower.split_once('/') else { return Self::Odd };
        let (name, suffix) = second.split_once('+').unwrap_or((second, "none"));
        if !is_name(first) || !is_name(name) || !is_word(suffix) {
            return Self::Odd;
        }
        match first {
            _ if lower == "application/json" || suffix == "json" => Self::Json,
            "text" => Self::Text,
            _ => Self::Binary,
        }
    }

    /// How it is told: an embedded body of `application/json` says by itself what it is, but not its parameters; and XML has
    /// no place for two characters.
    pub(super) fn told(content_type: String) -> String {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            return "application/json".to_owned();
        }
        content_type.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
    }
}
