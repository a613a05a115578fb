//! Which format reads a batch, and which one writes the answer (RFC 9110 §12.5.1).
//!
//! The media type of the answer is known before the batch is read. Which encoder writes it may depend on the batch: where
//! two share a media type, each answers its own dialect of it.

use std::sync::Arc;

use http::{HeaderMap, header};
use mediatype::{MediaType, MediaTypeList, ReadParams, names};

use crate::{
    config::Config,
    format::{Decoder, Encode, Reply},
    media_type::essence,
    rejection::Rejection,
};

/// What reads the batch, what writes the answer to one without a dialect, and in which of its media types.
pub(crate) struct Formats<'a> {
    pub(crate) decoder: &'a Decoder,
    encoder: &'a Arc<dyn Encode>,
    pub(crate) media_type: &'static str,
}

impl<'a> Formats<'a> {
    /// What writes the answer, now that the batch has been read.
    pub(crate) fn encoder(&self, config: &'a Config, dialect: Option<&'static str>) -> &'a Arc<dyn Encode> {
        let Some(dialect) = dialect else { return self.encoder };
        let mut others = config.encoders.iter().rev().filter(|other| other.dialect() == Some(dialect));
        others.find(|other| other.media_types().contains(&self.media_type)).unwrap_or(self.encoder)
    }
}

pub(crate) fn negotiate<'a>(config: &'a Config, headers: &HeaderMap) -> Result<Formats<'a>, Rejection> {
    if headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| !is_identity(coding.as_bytes())) {
        return Err(Rejection::compressed());
    }
    let decoder = reader(config, headers)?;
    let (encoder, media_type) = match decoder.reply() {
        Reply::Prefer(media_type) => best_writer(config, &Accept::new(headers), media_type),
        Reply::Always(media_type) => {
            offers(config).filter(|offer| offer.1 == media_type).max_by_key(|offer| offer.0.dialect().is_none())
        }
    }
    .ok_or_else(|| Rejection::not_acceptable(&distinct(offers(config).map(|(_, media_type)| media_type))))?;
    Ok(Formats { decoder, encoder, media_type })
}

fn is_identity(coding: &[u8]) -> bool {
    let coding = coding.trim_ascii();
    coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
}

fn reader<'a>(config: &'a Config, headers: &HeaderMap) -> Result<&'a Decoder, Rejection> {
    // Two of them is how one layer's check is made to see another type than the next layer's parser.
    let mut sent = headers.get_all(header::CONTENT_TYPE).iter();
    let found = match (sent.next().and_then(|value| value.to_str().ok()), sent.next()) {
        (Some(value), None) => essence(value),
        _ => None,
    };
    // From the end: a format of the user's comes before one of ours that accepts the same.
    found.and_then(|found| config.decoders.iter().rev().find(|decoder| decoder.accepts(&found))).ok_or_else(|| {
        let accepted = config.decoders.iter().flat_map(|decoder| decoder.media_types());
        Rejection::unsupported_media_type(&distinct(accepted.copied()))
    })
}

type Offer<'a> = (&'a Arc<dyn Encode>, &'static str);

/// All that can be written, in order of the server's preference.
fn offers(config: &Config) -> impl Iterator<Item = Offer<'_>> {
    let encoders = config.encoders.iter();
    encoders.flat_map(|encoder| encoder.media_types().iter().map(move |media_type| (encoder, *media_type)))
}

fn best_writer<'a>(config: &'a Config, accept: &Accept<'_>, preferred: &str) -> Option<Offer<'a>> {
    let mut best: Option<((u16, bool), Offer<'a>)> = None;
    for offer in offers(config) {
        match &mut best {
            Some((_, best)) if best.1 == offer.1 => {
                // The later one, so that a user's takes the place of ours; but none takes it for a dialect only.
                if offer.0.dialect().is_none() || best.0.dialect().is_some() {
                    *best = offer;
                }
            }
            best => {
                let score = (accept.quality(offer.1), offer.1 == preferred);
                if score.0 > 0 && best.is_none_or(|(best, _)| score > best) {
                    *best = Some((score, offer));
                }
            }
        }
    }
    best.map(|(_, offer)| offer)
}

fn distinct(media_types: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut distinct = Vec::new();
    for media_type in media_types {
        if !distinct.contains(&media_type) {
            distinct.push(media_type);
        }
    }
    distinct
}

/// The `Accept` of a request, over all its lines. What can't be read in it is passed over.
struct Accept<'a> {
    ranges: Vec<MediaType<'a>>,
}

/// No client means more; who sends more shall not have them compared.
const MOST_RANGES: usize = 64;

/// Qualities in thousandths; RFC 9110 §12.4.2 has no finer ones.
const WHOLLY: u16 = 1000;

impl<'a> Accept<'a> {
    fn new(headers: &'a HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        Self { ranges: lines.flat_map(MediaTypeList::new).filter_map(Result::ok).take(MOST_RANGES).collect() }
    }

    /// Of the ranges that match, the most specific one decides.
    fn quality(&self, offer: &str) -> u16 {
        if self.ranges.is_empty() {
            return WHOLLY;
        }
        let Ok(offer) = MediaType::parse(offer) else { return 0 };
        let matching = self.ranges.iter().filter_map(|range| Some((specificity(range, &offer)?, quality(range))));
        matching.max_by_key(|(specificity, quality)| (*specificity, *quality)).map_or(0, |(_, quality)| quality)
    }
}

fn specificity(range: &MediaType<'_>, offer: &MediaType<'_>) -> Option<u8> {
    // Parameters never stand in the way: clients add `charset` or `odata.metadata`, and mean the plain type.
    if range.essence() == *offer {
        Some(2)
    } else if range.subty != names::_STAR {
        None
    } else if range.ty == offer.ty {
        Some(1)
    } else {
        (range.ty == names::_STAR).then_some(0)
    }
}

fn quality(range: &MediaType<'_>) -> u16 {
    let Some(quality) = range.get_param(names::Q) else { return WHOLLY };
    match quality.as_str().parse::<f32>() {
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * f32::from(WHOLLY)).round() as u16,
        _ => WHOLLY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        best_writer(&Config::default(), &Accept::new(&headers), "application/json").map(|(_, media_type)| media_type)
    }

    #[test]
    fn json_is_the_default() {
        for accept in ["", "*/*", "application/*", "application/json", "APPLICATION/JSON", "*/*;q=0.1", "garbage"] {
            assert_eq!(chosen(accept), Some("application/json"), "{accept}");
        }
    }

    #[cfg(feature = "xml")]
    #[test]
    fn the_client_chooses() {
        for (accept, expected) in [
            ("application/xml", "application/xml"),
            ("text/xml", "text/xml"),
            ("text/*", "text/xml"),
            ("application/xml;charset=utf-8", "application/xml"),
            ("application/json;q=0.5, application/xml", "application/xml"),
            ("application/json;q=0.5, application/xml;q=0.4", "application/json"),
            ("application/json;q=0, */*", "application/xml"),
            ("*/*, application/json;q=0.2", "application/xml"),
            ("application/*;q=0.3, text/xml;q=0.9", "text/xml"),
            ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "application/xml"),
            ("application/json, application/xml", "application/json"),
            ("application/xml, application/json", "application/json"),
            ("application/json;odata.metadata=minimal", "application/json"),
            ("image/png;x=\"a,b\", text/xml", "text/xml"),
        ] {
            assert_eq!(chosen(accept), Some(expected), "{accept}");
        }
    }

    #[test]
    fn nothing_acceptable() {
        for accept in ["image/png", "*/*;q=0", "application/json;q=0", "text/html"] {
            assert_eq!(chosen(accept), None, "{accept}");
        }
    }

    #[test]
    fn media_types_of_requests() {
        let read = |content_type: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            reader(&Config::default(), &headers).is_ok()
        };
        for accepted in ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.acme+json"] {
            assert!(read(accepted), "{accepted}");
        }
        for refused in [
            "",
            "json",
            "text/plain",
            "text/plain;application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/json; charset=utf-16",
            "application/jsonp",
            "application/json, text/plain",
        ] {
            assert!(!read(refused), "{refused}");
        }
    }
}
