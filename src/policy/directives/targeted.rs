//! `CDN-Cache-Control`: directives for caches like this one (RFC 9213).

use std::borrow::Cow;

use http::header::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::ResponseDirectives;
use super::argument::Argument;
use crate::policy::syntax;

/// The targeted field that this cache obeys.
pub(in crate::policy) const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The directives of the targeted field, which then replace `Cache-Control` and `Expires` entirely (§2.2). `None`: it
/// is not there, is empty or does not parse, and is to be ignored.
pub(super) fn parse(response: &HeaderMap) -> Option<ResponseDirectives> {
    if !response.contains_key(CDN_CACHE_CONTROL) {
        return None;
    }
    let value = syntax::lines(response, CDN_CACHE_CONTROL).collect::<Vec<_>>().join(&b", "[..]);
    let members: Dictionary = Parser::new(&value).parse().ok()?;
    if members.is_empty() {
        return None;
    }
    let mut directives = ResponseDirectives { replaces_expires: true, ..ResponseDirectives::default() };
    for (key, entry) in &members {
        if let Some(argument) = argument(entry) {
            directives.apply(key.as_str().as_bytes(), &argument);
        }
    }
    Some(directives)
}

/// What the member says, in terms of `Cache-Control` (§2.1). Its parameters are ignored. A value of a type that no
/// directive has is a malformed argument, so that a restriction still restricts and a lifetime is zero.
fn argument(entry: &ListEntry) -> Option<Argument<'_>> {
    let ListEntry::Item(item) = entry else {
        return Some(Argument::Malformed);
    };
    match &item.bare_item {
        BareItem::Boolean(true) => Some(Argument::None),
        // `no-store=?0` says that the directive is not given.
        BareItem::Boolean(false) => None,
        BareItem::Integer(number) => Some(Argument::Given(Cow::Owned(number.to_string().into_bytes()))),
        BareItem::String(text) => Some(Argument::Given(Cow::Borrowed(text.as_str().as_bytes()))),
        _ => Some(Argument::Malformed),
    }
}
