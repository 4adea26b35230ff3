//! What is to be purged, in the form that stored responses are known by.

use std::fmt;

use http::uri::PathAndQuery;
use serde::Serialize;

use super::Fault;
use crate::key::authority;
use crate::validity::{Group, Subject};

/// One thing to purge.
///
/// INVARIANT: hosts are in lower case and without the ports 80 and 443, and paths are as hyper reads them from a request
/// line. So what a request would be keyed by is compared byte by byte, whatever the scheme.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Authority, path and query: `example.com/products/42?view=full`. Without a port it matches every port.
    Url(String),
    /// What carries this tag.
    Tag(String),
    /// What its origin has put into this group (RFC 9875).
    Group {
        /// Scheme and authority: `https://example.com`.
        origin: String,
        /// As in `Cache-Groups`.
        name: String,
    },
    /// What begins like this: `example.com/products/`. Without a port it matches every port.
    Prefix(String),
    /// Everything of a host. Without a port it matches every port.
    Host(String),
    /// All there is.
    Everything,
}

impl Target {
    /// A URL, with or without `http://` or `https://`.
    pub fn url(text: &str) -> Result<Self, Fault> {
        resource(text, "URL").map(Self::Url)
    }

    /// A URL as the server has read it from a request: normalised, but for the port that TLS implies.
    pub fn requested(authority: &str, path_and_query: &str) -> Self {
        let host = authority.strip_suffix(":443").unwrap_or(authority);
        Self::Url([host, path_and_query].concat())
    }

    /// A URL up to anywhere in its path or query, with or without scheme.
    pub fn prefix(text: &str) -> Result<Self, Fault> {
        resource(text, "prefix").map(Self::Prefix)
    }

    /// A host, perhaps with a port.
    pub fn host(text: &str) -> Result<Self, Fault> {
        let named = strip_scheme(text).map(|(rest, _)| rest.strip_suffix('/').unwrap_or(rest));
        named.and_then(normal).map(Self::Host).ok_or_else(|| {
            Fault::new(format!(
                "`{text}` is not a host; write one such as `example.com` or `example.com:8080`"
            ))
        })
    }

    /// A tag, byte by byte as the origin sends it. White space around it does not count, as it does not in fields.
    pub fn tag(text: &str) -> Result<Self, Fault> {
        match text.trim_ascii() {
            "" => Err(Fault::new("a tag is empty")),
            tag => Ok(Self::Tag(tag.to_owned())),
        }
    }

    /// A group, behind the origin that it belongs to: `https://example.com#products`. Without a scheme it is that
    /// group of both.
    pub fn groups(text: &str) -> Result<Vec<Self>, Fault> {
        let wrong = || {
            Fault::new(format!(
                "`{text}` is not a group; write its origin and its name, such as `https://example.com#products`"
            ))
        };
        let (origin, name) = text.split_once('#').ok_or_else(wrong)?;
        let (rest, scheme) = strip_scheme(origin).ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let schemes = [("http", 80), ("https", 443)].into_iter();
        let wanted =
            schemes.filter(|(known, _)| scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case(known)));
        wanted
            .map(|(scheme, port)| {
                let authority = authority::normalize(rest.as_bytes(), port).ok_or_else(wrong)?;
                Ok(Self::Group { origin: format!("{scheme}://{authority}"), name: name.to_owned() })
            })
            .collect()
    }

    /// For the log.
    pub fn subject(&self) -> Subject<'_> {
        match self {
            Self::Url(url) => Subject::Url(url),
            Self::Tag(tag) => Subject::Tag(tag),
            Self::Group { origin, name } => Subject::Group(Group { origin, name }),
            Self::Prefix(prefix) => Subject::Prefix(prefix),
            Self::Host(host) => Subject::Host(host),
            Self::Everything => Subject::Everything,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Debug, because whoever purges chooses the text, and it goes into logs.
        match self {
            Self::Url(url) => write!(f, "url {url:?}"),
            Self::Tag(tag) => write!(f, "tag {tag:?}"),
            Self::Group { origin, name } => write!(f, "group {name:?} of {origin:?}"),
            Self::Prefix(prefix) => write!(f, "prefix {prefix:?}"),
            Self::Host(host) => write!(f, "host {host:?}"),
            Self::Everything => f.write_str("everything"),
        }
    }
}

/// Authority, path and query of what has a host; a URL without a path has the path `/`, as in a request.
fn resource(text: &str, what: &str) -> Result<String, Fault> {
    let parts = strip_scheme(text).and_then(|(rest, _)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        Some((normal(host)?, path))
    });
    let (host, path) = parts.ok_or_else(|| {
        let hint = if text.starts_with('/') { "; it has no host" } else { "" };
        Fault::new(format!(
            "`{text}` is not a {what}{hint}; write it with its host, such as `http://example.com/products/42`"
        ))
    })?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let path: PathAndQuery = path.parse().map_err(|_| {
        Fault::new(format!("`{text}` holds what cannot stand in a {what}; percent-encode it as clients do"))
    })?;
    Ok(host + path.as_str())
}

/// What follows `http://` or `https://`, and which of them it was. `None`: another scheme.
fn strip_scheme(text: &str) -> Option<(&str, Option<&str>)> {
    match text.split_once("://") {
        Some((scheme, _)) if scheme.contains(['/', '?', '#']) => Some((text, None)),
        Some((scheme, rest)) => {
            let known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
            known.then_some((rest, Some(scheme)))
        }
        None => Some((text, None)),
    }
}

/// The scheme does not count, so the default port of neither does.
fn normal(authority: &str) -> Option<String> {
    let authority = authority::normalize(authority.as_bytes(), 80)?;
    Some(authority.strip_suffix(":443").unwrap_or(&authority).to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_take_the_form_of_requests() {
        for (text, url) in [
            ("http://example.com/products/42", "example.com/products/42"),
            ("HTTPS://Example.COM/A?b=C", "example.com/A?b=C"),
            ("example.com/a", "example.com/a"),
            ("http://example.com", "example.com/"),
            ("http://example.com?a", "example.com/?a"),
            ("http://example.com:80/", "example.com/"),
            ("https://example.com:443/", "example.com/"),
            // The scheme does not count, so neither does which of the default ports it is.
            ("http://example.com:443/", "example.com/"),
            ("http://example.com:08080/", "example.com:8080/"),
            ("http://example.com:/", "example.com/"),
            ("http://[::1]:3000/a", "[::1]:3000/a"),
            ("http://[FE80::1]:443/a", "[fe80::1]/a"),
            ("http://example.com/a%2Fb/../c//d", "example.com/a%2Fb/../c//d"),
            ("http://example.com/a#part", "example.com/a"),
            ("http://example.com/to/http://other/", "example.com/to/http://other/"),
            ("localhost:3000/\u{e4}", "localhost:3000/\u{e4}"),
        ] {
            assert_eq!(Target::url(text), Ok(Target::Url(url.to_owned())), "{text}");
        }
        assert_eq!(Target::requested("example.com:443", "/a"), Target::Url("example.com/a".to_owned()));
    }

    #[test]
    fn what_is_no_url_is_refused_with_what_would_be_right() {
        for (text, right) in [
            ("/products/42", "it has no host"),
            ("", "with its host"),
            ("http:///a", "with its host"),
            ("ftp://example.com/a", "with its host"),
            ("http://user@example.com/", "with its host"),
            ("http://example.com:99999/", "with its host"),
            ("http://exa mple.com/", "with its host"),
            ("http://example.com/a b", "percent-encode"),
            ("http://example.com/a\nb", "percent-encode"),
        ] {
            let fault = Target::url(text).unwrap_err().to_string();
            assert!(fault.contains(right), "{text}: {fault}");
        }
    }

    #[test]
    fn hosts_may_have_a_port() {
        let host = |text: &str| Target::host(text).map_err(|fault| fault.to_string());
        assert_eq!(host("Example.com"), Ok(Target::Host("example.com".into())));
        assert_eq!(host("http://example.com:8080/"), Ok(Target::Host("example.com:8080".into())));
        assert_eq!(host("[::1]:80"), Ok(Target::Host("[::1]".into())));
        assert!(host("example.com/a").unwrap_err().contains("is not a host"));
        assert!(host("").unwrap_err().contains("is not a host"));
    }

    #[test]
    fn prefixes_reach_past_the_host() {
        assert_eq!(
            Target::prefix("example.com/products/"),
            Ok(Target::Prefix("example.com/products/".into()))
        );
        assert_eq!(Target::prefix("https://example.com"), Ok(Target::Prefix("example.com/".into())));
        assert!(Target::prefix("/products/").is_err());
    }

    #[test]
    fn groups_belong_to_an_origin() {
        let group = |origin: &str, name: &str| Target::Group { origin: origin.into(), name: name.into() };
        assert_eq!(
            Target::groups("https://Example.com:443/#a b#c"),
            Ok(vec![group("https://example.com", "a b#c")])
        );
        assert_eq!(Target::groups("http://h:443#g"), Ok(vec![group("http://h:443", "g")]));
        assert_eq!(
            Target::groups("h:8080#"),
            Ok(vec![group("http://h:8080", ""), group("https://h:8080", "")])
        );
        for text in ["g", "#g", "http://#g", "http://h/a#g", "ftp://h#g"] {
            assert!(Target::groups(text).unwrap_err().to_string().contains("is not a group"), "{text}");
        }
    }

    #[test]
    fn tags_are_taken_as_they_are() {
        assert_eq!(Target::tag(" \"a, b/%20\" \n"), Ok(Target::Tag("\"a, b/%20\"".into())));
        assert!(Target::tag("").is_err() && Target::tag(" ").is_err());
    }

    proptest! {
        /// Whatever a request is keyed by, a purge can name.
        #[test]
        fn what_is_requested_can_be_purged(
            host in "[a-zA-Z0-9.-]{1,20}", port in proptest::option::of(0_u16..9999), path in "/[!-\"$-~\u{e4}]{0,40}"
        ) {
            let sent = port.map_or(host.clone(), |port| format!("{host}:{port}"));
            let keyed = authority::normalize(sent.as_bytes(), 80).unwrap().into_owned();
            if let Ok(target) = path.parse::<PathAndQuery>() {
                let requested = Target::requested(&keyed, target.as_str());
                prop_assert_eq!(Target::url(&format!("http://{sent}{path}")), Ok(requested.clone()));
                prop_assert_eq!(Target::url(&format!("HTTPS://{sent}{path}#fragment")), Ok(requested.clone()));
                prop_assert_eq!(Target::url(&format!("{sent}{path}")), Ok(requested));
            }
        }

        #[test]
        fn any_text_is_a_target_or_is_not(text in "\\PC{0,40}|(https?://)?[a-z:/#?@\\[\\]%]{0,20}") {
            let _ = (Target::url(&text), Target::prefix(&text), Target::host(&text), Target::groups(&text));
        }
    }

    #[test]
    fn what_is_shown_in_logs_stays_on_its_line() {
        assert_eq!(Target::Tag("a\nb \u{1b}[1m".into()).to_string(), r#"tag "a\nb \u{1b}[1m""#);
    }
}
