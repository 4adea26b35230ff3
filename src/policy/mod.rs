//! RFC 9111 as pure functions.
//!
//! Nothing here awaits, reads a clock, opens a socket or logs. Time walks in as an argument (mostly as a
//! [`Duration`]: how long a response has been resident), and reasons walk out as values.

use std::time::Duration;

/// What a route lays down about caching, beside what the origin says.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// `false`: nothing is stored and nothing is answered from the store.
    pub cache: bool,
    /// Replaces the freshness lifetime that the origin gave; a response without explicit freshness then counts as
    /// having it. It does not override `no-store`, `private`, `no-cache`.
    pub ttl: Option<Duration>,
    /// The freshness lifetime is at least this, where the origin gave a positive one.
    pub min_ttl: Option<Duration>,
    /// The freshness lifetime is at most this.
    pub max_ttl: Option<Duration>,
    /// Used where the origin gives no `stale-while-revalidate` of its own.
    pub stale_while_revalidate: Option<Duration>,
    /// Used where the origin gives no `stale-if-error` of its own.
    pub stale_if_error: Option<Duration>,
    /// Heuristic freshness (RFC 9111 §4.2.2); off when `None`.
    pub heuristic: Option<Heuristic>,
    /// Whether the client's `Cache-Control` counts. `only-if-cached` always does.
    pub client_cache_control: ClientCacheControl,
    /// Store responses with `Set-Cookie` even though the origin says neither `public` nor `s-maxage`.
    pub allow_set_cookie: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            cache: true,
            ttl: None,
            min_ttl: None,
            max_ttl: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            heuristic: None,
            client_cache_control: ClientCacheControl::Ignore,
            allow_set_cookie: false,
        }
    }
}

/// A share of the time since `Last-Modified`, with a cap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heuristic {
    /// Usually 0.1.
    pub fraction: f32,
    /// The longest heuristic lifetime.
    pub max: Duration,
}

/// Whether a client may make the cache revalidate or bypass it by `Cache-Control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCacheControl {
    /// Only `only-if-cached` counts.
    Ignore,
    /// All directives of RFC 9111 §5.2.1 count.
    Honor,
}
