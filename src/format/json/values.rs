//! What there is to JSON values that have not been given a meaning yet.

use std::{borrow::Cow, fmt};

use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::name::Name;
use crate::json_text;

/// `null` for an optional member means that it isn't there.
pub(in crate::format) fn present(member: Option<&RawValue>) -> Option<&RawValue> {
    member.filter(|value| value.get() != "null")
}

/// See [`json_text::string`].
pub(in crate::format) fn string(json: &RawValue) -> Option<Cow<'_, str>> {
    json_text::string(json.get())
}

/// A part of the source, without a copy; or what became of it where it had escapes.
pub(in crate::format) fn shared(source: &Bytes, text: Cow<'_, str>) -> Bytes {
    match text {
        Cow::Borrowed(text) => source.slice_ref(text.as_bytes()),
        Cow::Owned(text) => text.into(),
    }
}

pub(in crate::format) fn strings(array: &RawValue) -> Option<Vec<Cow<'_, str>>> {
    serde_json::from_str::<Vec<&RawValue>>(array.get()).ok()?.into_iter().map(string).collect()
}

/// The members of an object; `None` for any other value, and where a name is no Unicode text.
pub(in crate::format) fn members(object: &RawValue) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    let members: Members<'_> = serde_json::from_str(object.get()).ok()?;
    Some(members.0)
}

/// An object as a list, so that nothing is lost of it.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = object.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Base64 (RFC 4648 §4). Padding is by choice, as senders disagree about it.
pub(in crate::format) static BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// Base64url (RFC 4648 §5), likewise.
#[cfg(feature = "odata")]
pub(in crate::format) static BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
