//! The directives of a response.

use std::fmt;

use http::header::{CACHE_CONTROL, HeaderMap};

use super::argument::{Argument, Reach, Seconds, each_directive, split_name};
use super::targeted;
use crate::policy::syntax;

/// The directives of a response, for a shared cache: those of `CDN-Cache-Control` if it is there and valid
/// (RFC 9213), else those of `Cache-Control`. Unknown ones are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    pub(in crate::policy) max_age: Seconds,
    pub(in crate::policy) s_maxage: Seconds,
    pub(in crate::policy) no_cache: Reach,
    pub(in crate::policy) private: Reach,
    pub(in crate::policy) no_store: bool,
    pub(in crate::policy) must_revalidate: bool,
    pub(in crate::policy) proxy_revalidate: bool,
    pub(in crate::policy) must_understand: bool,
    pub(in crate::policy) public: bool,
    pub(in crate::policy) immutable: bool,
    pub(in crate::policy) stale_while_revalidate: Seconds,
    pub(in crate::policy) stale_if_error: Seconds,
    /// `Expires` does not count, because a targeted field stands in for it (RFC 9213 §2.2).
    pub(in crate::policy) replaces_expires: bool,
}

impl ResponseDirectives {
    /// Reads the directives that are meant for us.
    pub fn parse(response: &HeaderMap) -> Self {
        targeted::parse(response).unwrap_or_else(|| Self::parse_cache_control(response))
    }

    fn parse_cache_control(response: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for line in syntax::lines(response, CACHE_CONTROL) {
            each_directive(line, |name, argument| directives.apply(name, &argument));
            if syntax::is_unterminated(line) {
                directives.distrust(line);
            }
        }
        directives
    }

    /// Takes one directive. `name` is in lower case.
    pub(in crate::policy) fn apply(&mut self, name: &[u8], argument: &Argument<'_>) {
        // A permission with an argument that it does not have is not one that we understand.
        let bare = *argument == Argument::None;
        match name {
            b"max-age" => self.max_age.restrict(argument.seconds()),
            b"s-maxage" => self.s_maxage.restrict(argument.seconds()),
            b"stale-while-revalidate" => self.stale_while_revalidate.restrict(argument.seconds()),
            b"stale-if-error" => self.stale_if_error.restrict(argument.seconds()),
            b"no-cache" => self.no_cache.extend(argument),
            b"private" => self.private.extend(argument),
            b"no-store" => self.no_store = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand |= bare,
            b"public" => self.public |= bare,
            b"immutable" => self.immutable |= bare,
            _ => {}
        }
    }

    /// A quote was left open, so it is not known what is quoted: every restriction in the line counts, quoted or
    /// not, and nothing is fresh.
    fn distrust(&mut self, line: &[u8]) {
        for member in syntax::plain_members(line) {
            match &*split_name(member).0 {
                b"no-store" => self.no_store = true,
                b"private" => self.private = Reach::Everything,
                b"no-cache" => self.no_cache = Reach::Everything,
                b"must-revalidate" | b"proxy-revalidate" => self.proxy_revalidate = true,
                _ => {}
            }
        }
        self.max_age = Seconds::Malformed;
        if self.s_maxage.is_present() {
            self.s_maxage = Seconds::Malformed;
        }
        self.stale_while_revalidate = Seconds::Malformed;
        self.stale_if_error = Seconds::Malformed;
    }
}

/// The directives as they were understood, in a fixed order.
impl fmt::Display for ResponseDirectives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            ("public", self.public),
            ("no-store", self.no_store),
            ("must-revalidate", self.must_revalidate),
            ("proxy-revalidate", self.proxy_revalidate),
            ("must-understand", self.must_understand),
            ("immutable", self.immutable),
        ];
        let directives = [
            self.max_age.describe("max-age"),
            self.s_maxage.describe("s-maxage"),
            self.no_cache.describe("no-cache"),
            self.private.describe("private"),
            self.stale_while_revalidate.describe("stale-while-revalidate"),
            self.stale_if_error.describe("stale-if-error"),
        ];
        let flags = flags.into_iter().filter(|(_, given)| *given).map(|(name, _)| name.to_owned());
        f.write_str(&directives.into_iter().flatten().chain(flags).collect::<Vec<_>>().join(", "))
    }
}
