//! What a fact speaks of, and what a response answers to.

/// One purge of one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact<'a> {
    /// What is purged.
    pub subject: Subject<'a>,
    /// How.
    pub kind: Kind,
}

/// What happens to the responses that a fact speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They are dead: never served again, not even after a 304.
    Hard,
    /// They are stale from now on: served only under a stale grant, or after validation.
    Soft,
}

/// What a fact speaks of.
///
/// Hosts, URLs and prefixes are compared as bytes: the caller has lower-cased the host and dropped the scheme's default port.
/// **Without a port they match every port**, with one only that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// Authority, path and query, without scheme: `example.com/products/42?view=full`.
    Url(&'a str),
    /// Everything of `example.com`, or of `example.com:8080`.
    Host(&'a str),
    /// Every response whose URL begins so, byte by byte: authority and the beginning of a path, without scheme, as
    /// `example.com/products/`. Slashes and ends of labels mean nothing: `example.com/a` speaks of `example.com/ab` too.
    Prefix(&'a str),
    /// Every response that carries the tag.
    Tag(&'a str),
    /// Every response of the origin that belongs to the group (RFC 9875 §2).
    Group(Group<'a>),
    /// All there is.
    Everything,
}

/// A cache group (RFC 9875): names mean something only within their origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// `https://example.com`: scheme and authority.
    pub origin: &'a str,
    /// The member of `Cache-Groups`.
    pub name: &'a str,
}

/// What a response answers to: a fact about any of these speaks of it.
#[derive(Clone, Copy, Debug)]
pub struct Subjects<'a> {
    /// The host without port.
    pub host: &'a str,
    /// Authority, path and query, without scheme.
    pub url: &'a str,
    /// From `Cache-Tag`, `Surrogate-Key` and `xkey`.
    pub tags: &'a [&'a str],
    /// From `Cache-Groups`.
    pub groups: &'a [Group<'a>],
}

impl<'a> Subjects<'a> {
    /// What is known before there is a response.
    pub fn address(host: &'a str, url: &'a str) -> Self {
        Self { host, url, tags: &[], groups: &[] }
    }

    /// Whether it answers to nothing but its URL, its host and everything.
    pub(super) fn are_common(&self) -> bool {
        self.tags.is_empty() && self.groups.is_empty() && !self.have_port()
    }

    /// The authority, if it has a port, and the URL without that port.
    pub(super) fn with_port(&self) -> Option<(&'a str, String)> {
        self.have_port().then(|| {
            let end = self.url.find(['/', '?']).unwrap_or(self.url.len());
            let (authority, rest) = self.url.split_at(end);
            (authority, [self.host, rest].concat())
        })
    }

    fn have_port(&self) -> bool {
        let rest = self.url.strip_prefix(self.host);
        rest.is_none_or(|rest| !rest.is_empty() && !rest.starts_with(['/', '?']))
    }
}

impl Group<'_> {
    /// Origin and name as one key; the length keeps `("ab", "c")` apart from `("a", "bc")`.
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(4 + self.origin.len() + self.name.len());
        key.extend_from_slice(&u32::try_from(self.origin.len()).unwrap_or(u32::MAX).to_be_bytes());
        key.extend_from_slice(self.origin.as_bytes());
        key.extend_from_slice(self.name.as_bytes());
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_shows_in_the_url_only() {
        let plain = Subjects::address("example.com", "example.com/a?b");
        assert_eq!(plain.with_port(), None);
        assert_eq!(Subjects::address("example.com", "example.com?b").with_port(), None);
        assert_eq!(Subjects::address("example.com", "example.com").with_port(), None);
        let ported = Subjects::address("example.com", "example.com:8080/a?b");
        assert_eq!(ported.with_port(), Some(("example.com:8080", "example.com/a?b".to_owned())));
        let v6 = Subjects::address("[::1]", "[::1]:81/");
        assert_eq!(v6.with_port(), Some(("[::1]:81", "[::1]/".to_owned())));
    }

    #[test]
    fn a_tag_a_group_or_a_port_is_not_common() {
        let plain = Subjects::address("example.com", "example.com/");
        assert!(plain.are_common());
        assert!(!Subjects { tags: &["t"], ..plain }.are_common());
        assert!(
            !Subjects { groups: &[Group { origin: "http://example.com", name: "g" }], ..plain }.are_common()
        );
        assert!(!Subjects::address("example.com", "example.com:8080/").are_common());
    }

    #[test]
    fn groups_of_different_origins_have_different_keys() {
        let key = |origin, name| Group { origin, name }.key();
        assert_ne!(key("https://a", "bc"), key("https://ab", "c"));
        assert_eq!(key("https://a", "b"), key("https://a", "b"));
    }
}
