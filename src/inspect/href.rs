//! What an href may be (RFC 4918 §8.3).

use iri_string::types::UriReferenceStr;

use super::{code::Code, gather::Gather, text::plain};

/// One of the two that an href may have. All of a multistatus have to have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Url,
    Path,
}

/// Says what is wrong with one. A form, if it has one that is allowed.
pub(super) fn check(gather: &mut Gather, href: &str) -> Option<Form> {
    let shown = plain(href);
    let Ok(uri) = UriReferenceStr::new(href) else {
        gather.find(Code::HrefSyntax, format!("`{shown}` has characters that a URL has no place for"));
        return None;
    };
    if uri.fragment().is_some() {
        gather.find(Code::HrefFragment, format!("`{shown}` has a fragment"));
    }
    if uri.path_str().split('/').any(|segment| matches!(segment, "." | "..")) {
        gather.find(Code::HrefSyntax, format!("`{shown}` has dot segments"));
    }
    if uri.scheme_str().is_some() {
        Some(Form::Url)
    } else if uri.authority_str().is_none() && uri.path_str().starts_with('/') {
        Some(Form::Path)
    } else {
        gather.find(Code::RelativeHref, format!("`{shown}` is neither a whole URL nor a path that begins with `/`"));
        None
    }
}
