//! Which fields a request has that change how it is handled. Most have none of them, so one look at those that are there
//! spares every later stage the search for those that might be.

use std::ops::BitOr;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, FORWARDED, HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, PRAGMA, RANGE, TE, TRANSFER_ENCODING, UPGRADE,
};

/// A set of kinds of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notable(u8);

impl Notable {
    /// It belongs to the connection (RFC 9110 §7.6.1).
    pub(crate) const CONNECTION: Self = Self(1);
    /// It tells where the request has been (RFC 8586).
    pub(crate) const LOOP: Self = Self(1 << 1);
    /// What a client may claim about itself, and fields by which frameworks let it rewrite its request.
    pub(crate) const CLAIM: Self = Self(1 << 2);
    /// `Cache-Control`, or what it once was.
    pub(crate) const DIRECTIVE: Self = Self(1 << 3);
    /// A precondition.
    pub(crate) const CONDITION: Self = Self(1 << 4);
    /// It asks for a part.
    pub(crate) const RANGE: Self = Self(1 << 5);
    /// It comes with credentials.
    pub(crate) const AUTHORIZATION: Self = Self(1 << 6);

    /// The kinds that occur.
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        fields.keys().fold(Self::default(), |found, name| found | kind(name))
    }

    /// Whether one of these occurs.
    pub(crate) fn has(self, kinds: Self) -> bool {
        self.0 & kinds.0 != 0
    }
}

impl BitOr for Notable {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

fn kind(name: &HeaderName) -> Notable {
    match *name {
        CONNECTION | TE | TRANSFER_ENCODING | UPGRADE => Notable::CONNECTION,
        CACHE_CONTROL | PRAGMA => Notable::DIRECTIVE,
        IF_MATCH | IF_MODIFIED_SINCE | IF_NONE_MATCH | IF_UNMODIFIED_SINCE => Notable::CONDITION,
        RANGE | IF_RANGE => Notable::RANGE,
        FORWARDED => Notable::CLAIM,
        AUTHORIZATION => Notable::AUTHORIZATION,
        _ => match name.as_str() {
            "keep-alive" | "proxy-connection" => Notable::CONNECTION,
            "cdn-loop" => Notable::LOOP,
            "x-original-url"
            | "x-rewrite-url"
            | "x-http-method-override"
            | "x-http-method"
            | "x-method-override" => Notable::CLAIM,
            // What proxies say about the request that they received: host, port, path prefix, client and more.
            own if own.starts_with("x-forwarded-") => Notable::CLAIM,
            _ => Notable::default(),
        },
    }
}

/// Removes what a client claims. The cache key knows nothing of it, so it must not reach the origin either.
pub(crate) fn strip_claims(fields: &mut HeaderMap) {
    while let Some(claim) = fields.keys().find(|name| kind(name) == Notable::CLAIM).cloned() {
        fields.remove(claim);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HOST;

    use super::*;
    use crate::policy::fields::strip_hop_by_hop;
    use crate::policy::precondition::strip_conditions;

    fn only(name: &HeaderName) -> HeaderMap {
        HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("x"))])
    }

    /// The lists of those who do something about a field are their own; one that is missing here is never looked for.
    #[test]
    fn what_others_look_for_is_notable() {
        let names = [
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "transfer-encoding",
            "upgrade",
            "if-match",
            "if-none-match",
            "if-modified-since",
            "if-unmodified-since",
            "if-range",
            "range",
            "trailer",
            "host",
            "accept",
            "user-agent",
            "cookie",
            "x-own",
        ];
        for name in names.map(HeaderName::from_static) {
            let (mut as_hop, mut as_condition) = (only(&name), only(&name));
            strip_hop_by_hop(&mut as_hop);
            strip_conditions(&mut as_condition);
            let found = Notable::of(&only(&name));
            assert_eq!(found.has(Notable::CONNECTION), as_hop.is_empty(), "{name}");
            let conditional = found.has(Notable::CONDITION | Notable::RANGE);
            assert_eq!(conditional, as_condition.is_empty(), "{name}");
        }
    }

    #[test]
    fn kinds_add_up() {
        let mut fields = only(&HOST);
        assert_eq!(Notable::of(&fields), Notable::default());
        for name in ["cdn-loop", "pragma", "x-forwarded-proto", "range"] {
            fields.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        let expected = Notable::LOOP | Notable::DIRECTIVE | Notable::CLAIM | Notable::RANGE;
        assert_eq!(Notable::of(&fields), expected);
    }

    #[test]
    fn claims_are_removed_whatever_their_number() {
        let mut fields = only(&HOST);
        for name in ["x-forwarded-for", "x-forwarded-own-thing", "forwarded", "x-rewrite-url", "x-forward"] {
            fields.append(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        strip_claims(&mut fields);
        assert_eq!(fields.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["host", "x-forward"]);
    }
}
