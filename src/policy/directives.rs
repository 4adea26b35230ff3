//! `Cache-Control`, in requests and in responses (RFC 9111 §5.2, RFC 5861, RFC 8246).
//!
//! A value that breaks the grammar is read to the conservative side: restrictions hold in full, lifetimes are zero,
//! permissions are not given. Each line stands alone, so that a quote left open in one hides nothing in the others.

use std::borrow::Cow;
use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, PRAGMA};

use super::ClientCacheControl;
use super::syntax::{self, Backslash, MAX_DELTA};
use super::targeted;

/// What follows the name of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Argument<'a> {
    /// Nothing.
    None,
    /// A token or a quoted string, without its quotes: both forms mean the same (RFC 9111 §5.2).
    Given(Cow<'a, [u8]>),
    /// Something that the grammar does not know, such as spaces around `=`.
    Malformed,
}

impl Argument<'_> {
    /// The argument as a number of seconds.
    pub(super) fn seconds(&self) -> Seconds {
        match self {
            Self::Given(text) => syntax::number(text).map_or(Seconds::Malformed, Seconds::of),
            Self::None | Self::Malformed => Seconds::Malformed,
        }
    }
}

/// An argument that is a number of seconds (`delta-seconds`, RFC 9111 §1.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Seconds {
    /// The directive is not there.
    #[default]
    Absent,
    /// The directive is there, its argument is not a number.
    Malformed,
    /// At most 2^31.
    Given(u32),
}

impl Seconds {
    /// Values past 2^31 are taken as 2^31.
    pub(super) fn of(value: u64) -> Self {
        Self::Given(u32::try_from(value.min(MAX_DELTA)).unwrap_or(u32::MAX))
    }

    /// Given twice, the more restrictive counts (RFC 9111 §4.2.1): the smaller, or a malformed one.
    fn restrict(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::Absent, other) => other,
            (Self::Given(a), Self::Given(b)) => Self::Given(a.min(b)),
            _ => Self::Malformed,
        };
    }

    /// `None`: the directive is not there. A malformed one is zero.
    pub(super) fn restrictive(self) -> Option<Duration> {
        match self {
            Self::Absent => None,
            Self::Malformed => Some(Duration::ZERO),
            Self::Given(seconds) => Some(Duration::from_secs(u64::from(seconds))),
        }
    }

    /// Whether the directive is there, readable or not.
    pub(super) fn is_present(self) -> bool {
        self != Self::Absent
    }

    /// Whether the directive is there and can be read.
    pub(super) fn is_valid(self) -> bool {
        matches!(self, Self::Given(_))
    }
}

/// What `no-cache` and `private` apply to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Reach {
    /// The directive is not there.
    #[default]
    Nothing,
    /// These fields only: `no-cache="set-cookie"`.
    Fields(Vec<HeaderName>),
    /// The whole response.
    Everything,
}

impl Reach {
    fn extend(&mut self, argument: &Argument<'_>) {
        let more = match argument {
            Argument::Given(list) => field_names(list),
            Argument::None | Argument::Malformed => None,
        };
        match (&mut *self, more) {
            (Self::Everything, _) => {}
            (Self::Fields(names), Some(more)) => names.extend(more),
            (Self::Nothing, Some(names)) => *self = Self::Fields(names),
            (_, None) => *self = Self::Everything,
        }
    }

    pub(super) fn is_everything(&self) -> bool {
        *self == Self::Everything
    }

    pub(super) fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(names) => names,
            Self::Nothing | Self::Everything => &[],
        }
    }
}

/// `None` if there is no name or one is invalid: the directive then counts as if without argument.
fn field_names(list: &[u8]) -> Option<Vec<HeaderName>> {
    let names =
        syntax::plain_members(list).map(HeaderName::from_bytes).collect::<Result<Vec<_>, _>>().ok()?;
    (!names.is_empty()).then_some(names)
}

/// The directives of a response, for a shared cache: those of `CDN-Cache-Control` if it is there and valid
/// (RFC 9213), else those of `Cache-Control`. Unknown ones are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    pub(super) max_age: Seconds,
    pub(super) s_maxage: Seconds,
    pub(super) no_cache: Reach,
    pub(super) private: Reach,
    pub(super) no_store: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
    pub(super) must_understand: bool,
    pub(super) public: bool,
    pub(super) immutable: bool,
    pub(super) stale_while_revalidate: Seconds,
    pub(super) stale_if_error: Seconds,
    /// `Expires` does not count, because a targeted field stands in for it (RFC 9213 §2.2).
    pub(super) replaces_expires: bool,
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
    pub(super) fn apply(&mut self, name: &str, argument: &Argument<'_>) {
        // A permission with an argument that it does not have is not one that we understand.
        let bare = *argument == Argument::None;
        match name {
            "max-age" => self.max_age.restrict(argument.seconds()),
            "s-maxage" => self.s_maxage.restrict(argument.seconds()),
            "stale-while-revalidate" => self.stale_while_revalidate.restrict(argument.seconds()),
            "stale-if-error" => self.stale_if_error.restrict(argument.seconds()),
            "no-cache" => self.no_cache.extend(argument),
            "private" => self.private.extend(argument),
            "no-store" => self.no_store = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand |= bare,
            "public" => self.public |= bare,
            "immutable" => self.immutable |= bare,
            _ => {}
        }
    }

    /// A quote was left open, so it is not known what is quoted: every restriction in the line counts, quoted or
    /// not, and nothing is fresh.
    fn distrust(&mut self, line: &[u8]) {
        for member in syntax::plain_members(line) {
            match split_name(member).0.as_str() {
                "no-store" => self.no_store = true,
                "private" => self.private = Reach::Everything,
                "no-cache" => self.no_cache = Reach::Everything,
                "must-revalidate" | "proxy-revalidate" => self.proxy_revalidate = true,
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

/// The directives of a request (RFC 9111 §5.2.1, and `stale-if-error` of RFC 5861 §4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    max_age: Seconds,
    max_stale: Option<MaxStale>,
    min_fresh: Option<Duration>,
    stale_if_error: Seconds,
    no_cache: bool,
    no_store: bool,
    only_if_cached: bool,
}

/// How stale a response the client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MaxStale {
    Any,
    UpTo(Duration),
}

impl RequestDirectives {
    /// Reads `Cache-Control`; where there is none, `Pragma: no-cache` counts as `no-cache` (RFC 9111 §5.4).
    pub fn parse(request: &HeaderMap) -> Self {
        let mut directives = Self::default();
        if request.contains_key(CACHE_CONTROL) {
            for line in syntax::lines(request, CACHE_CONTROL) {
                each_directive(line, |name, argument| directives.apply(name, &argument));
            }
        } else {
            directives.no_cache = syntax::lines(request, PRAGMA)
                .flat_map(|line| syntax::members(line, Backslash::Escapes))
                .any(|member| member.eq_ignore_ascii_case(b"no-cache"));
        }
        directives
    }

    fn apply(&mut self, name: &str, argument: &Argument<'_>) {
        match name {
            "max-age" => self.max_age.restrict(argument.seconds()),
            "max-stale" => self.limit_staleness(argument),
            "min-fresh" => {
                let seconds = match argument.seconds() {
                    Seconds::Given(seconds) => u64::from(seconds),
                    // Unreadable: no stored response is known to be fresh enough.
                    Seconds::Malformed | Seconds::Absent => MAX_DELTA,
                };
                self.min_fresh = self.min_fresh.max(Some(Duration::from_secs(seconds)));
            }
            "stale-if-error" => self.stale_if_error.restrict(argument.seconds()),
            "no-cache" => self.no_cache = true,
            "no-store" => self.no_store = true,
            "only-if-cached" => self.only_if_cached = true,
            _ => {}
        }
    }

    fn limit_staleness(&mut self, argument: &Argument<'_>) {
        let asked = match (argument, argument.seconds()) {
            (Argument::None, _) => MaxStale::Any,
            (_, seconds) => MaxStale::UpTo(seconds.restrictive().unwrap_or_default()),
        };
        self.max_stale = Some(match (self.max_stale, asked) {
            (None | Some(MaxStale::Any), asked) => asked,
            (Some(MaxStale::UpTo(a)), MaxStale::UpTo(b)) => MaxStale::UpTo(a.min(b)),
            (Some(limit), MaxStale::Any) => limit,
        });
    }

    /// What counts of it on a route: under [`Ignore`](ClientCacheControl::Ignore) only `only-if-cached`.
    #[must_use]
    pub fn under(self, rule: ClientCacheControl) -> Self {
        match rule {
            ClientCacheControl::Honor => self,
            ClientCacheControl::Ignore => Self { only_if_cached: self.only_if_cached, ..Self::default() },
        }
    }

    /// The client wants a stored response or a 504 (§5.2.1.7).
    pub fn only_if_cached(&self) -> bool {
        self.only_if_cached
    }

    /// Nothing of this exchange is to be stored (§5.2.1.5). What is stored already may be delivered.
    pub fn no_store(&self) -> bool {
        self.no_store
    }

    /// A stored response is to be validated first (§5.2.1.4).
    pub fn no_cache(&self) -> bool {
        self.no_cache
    }

    /// The oldest response that the client takes (§5.2.1.1).
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age.restrictive()
    }

    /// How long the response has to stay fresh (§5.2.1.3).
    pub fn min_fresh(&self) -> Option<Duration> {
        self.min_fresh
    }

    /// Whether the client takes a response that has been stale for `stale_for` (§5.2.1.2).
    pub fn accepts_stale(&self, stale_for: Duration) -> bool {
        match self.max_stale {
            None => false,
            Some(MaxStale::Any) => true,
            Some(MaxStale::UpTo(limit)) => stale_for <= limit,
        }
    }

    /// How stale a response the client takes instead of an error (RFC 5861 §4).
    pub fn stale_if_error(&self) -> Duration {
        self.stale_if_error.restrictive().unwrap_or_default()
    }
}

/// Calls `take` with the name, in lower case, and the argument of each directive of a line.
fn each_directive<'a>(line: &'a [u8], mut take: impl FnMut(&str, Argument<'a>)) {
    for member in syntax::members(line, Backslash::Escapes) {
        let (name, rest) = split_name(member);
        take(&name, argument(rest));
    }
}

/// The leading token, in lower case, and what follows it. So `private; max-age=60` is `private` with a malformed
/// argument rather than an unknown directive.
fn split_name(member: &[u8]) -> (String, &[u8]) {
    let end = member.iter().position(|&byte| !syntax::is_token_byte(byte)).unwrap_or(member.len());
    let (name, rest) = member.split_at(end);
    (String::from_utf8_lossy(name).to_ascii_lowercase(), rest)
}

fn argument(rest: &[u8]) -> Argument<'_> {
    match rest {
        [] => Argument::None,
        [b'=', b'"', ..] => syntax::unquote(&rest[1..]).map_or(Argument::Malformed, Argument::Given),
        [b'=', token @ ..] if !token.is_empty() && token.iter().all(|&byte| syntax::is_token_byte(byte)) => {
            Argument::Given(Cow::Borrowed(token))
        }
        _ => Argument::Malformed,
    }
}
