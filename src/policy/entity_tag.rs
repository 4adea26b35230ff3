//! Entity tags (RFC 9110 §8.8.3).

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::syntax::{self, Backslash};

/// An entity tag, kept exactly as it was sent, even if it breaks the grammar: an origin that sends an unquoted tag
/// wants just that one back. Such a tag is never strong, and equals only itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntityTag(Box<[u8]>);

impl EntityTag {
    /// Takes the bytes of one tag. `None` if there are none.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let bytes = syntax::trim(bytes);
        (!bytes.is_empty()).then(|| Self(bytes.into()))
    }

    /// The tag in `ETag`. Several lines that differ are no tag.
    pub fn of(response: &HeaderMap) -> Option<Self> {
        Self::new(syntax::single(response, http::header::ETAG)?)
    }

    /// The bytes as sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The tag as a field value.
    pub fn to_value(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(&self.0).ok()
    }

    /// `"abc"` or `W/"abc"`, as the grammar has it.
    pub fn is_well_formed(&self) -> bool {
        is_quoted(self.opaque())
    }

    /// `"abc"`: it changes whenever the content does (§8.8.1).
    pub fn is_strong(&self) -> bool {
        is_quoted(&self.0)
    }

    /// Both are strong and equal (§8.8.3.2).
    pub fn matches_strongly(&self, other: &Self) -> bool {
        self.is_strong() && self == other
    }

    /// Equal but for the weakness flag (§8.8.3.2).
    pub fn matches_weakly(&self, other: &Self) -> bool {
        self.opaque() == other.opaque()
    }

    fn opaque(&self) -> &[u8] {
        match self.0.strip_prefix(b"W/") {
            Some(opaque) if is_quoted(opaque) => opaque,
            _ => &self.0,
        }
    }
}

fn is_quoted(bytes: &[u8]) -> bool {
    matches!(bytes, [b'"', inner @ .., b'"'] if !inner.contains(&b'"'))
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TagList {
    /// `*`: any representation.
    Any,
    /// One of these.
    Tags(Vec<EntityTag>),
}

impl TagList {
    /// `None` if the field is not there. A `*` that is not the whole value is a tag like others, which nothing
    /// matches.
    pub(super) fn parse(request: &HeaderMap, name: HeaderName) -> Option<Self> {
        if !request.contains_key(&name) {
            return None;
        }
        let tags: Vec<EntityTag> = syntax::lines(request, &name)
            .flat_map(|line| syntax::members(line, Backslash::Literal))
            .filter_map(EntityTag::new)
            .collect();
        match tags.as_slice() {
            [only] if only.as_bytes() == b"*" => Some(Self::Any),
            _ => Some(Self::Tags(tags)),
        }
    }
}
