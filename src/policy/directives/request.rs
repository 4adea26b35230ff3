//! The directives of a request.

use std::fmt;
use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, PRAGMA};

use super::argument::{Argument, Seconds, each_directive};
use crate::policy::ClientCacheControl;
use crate::policy::fields;
use crate::policy::syntax::{self, Backslash, MAX_DELTA};

/// Where directives stand.
static DIRECTING: [HeaderName; 2] = [CACHE_CONTROL, PRAGMA];

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
        if !fields::has_any(request, &DIRECTING) {
            return directives;
        }
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

    fn apply(&mut self, name: &[u8], argument: &Argument<'_>) {
        match name {
            b"max-age" => self.max_age.restrict(argument.seconds()),
            b"max-stale" => self.limit_staleness(argument),
            b"min-fresh" => {
                let seconds = match argument.seconds() {
                    Seconds::Given(seconds) => u64::from(seconds),
                    // Unreadable: no stored response is known to be fresh enough.
                    Seconds::Malformed | Seconds::Absent => MAX_DELTA,
                };
                self.min_fresh = self.min_fresh.max(Some(Duration::from_secs(seconds)));
            }
            b"stale-if-error" => self.stale_if_error.restrict(argument.seconds()),
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"only-if-cached" => self.only_if_cached = true,
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

    /// Whether nothing will do that the origin was asked for earlier: `no-cache`, or `max-age=0`, which browsers send on
    /// reload (§5.2.1.1, §5.2.1.4).
    pub fn wants_validation(&self) -> bool {
        self.no_cache() || self.max_age() == Some(Duration::ZERO)
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

/// The directives as they were understood, in a fixed order.
impl fmt::Display for RequestDirectives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max_stale = self.max_stale.map(|limit| match limit {
            MaxStale::Any => "max-stale".to_owned(),
            MaxStale::UpTo(limit) => format!("max-stale={}", limit.as_secs()),
        });
        let directives = [
            self.max_age.describe("max-age"),
            max_stale,
            self.min_fresh.map(|wanted| format!("min-fresh={}", wanted.as_secs())),
            self.stale_if_error.describe("stale-if-error"),
            self.no_cache.then(|| "no-cache".to_owned()),
            self.no_store.then(|| "no-store".to_owned()),
            self.only_if_cached.then(|| "only-if-cached".to_owned()),
        ];
        f.write_str(&directives.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}
