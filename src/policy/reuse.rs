//! Whether a stored response may be delivered without asking the origin (RFC 9111 §4).

use std::time::Duration;

use http::StatusCode;

use super::{RequestDirectives, Terms};

/// A stored response, as far as its reuse depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// On which it was stored.
    pub terms: &'a Terms,
    /// How long ago it was received, or validated last.
    pub resident: Duration,
    /// How long ago a soft purge made it stale.
    pub softened: Option<Duration>,
}

impl Stored<'_> {
    /// `Ok`: fresh for so long. `Err`: stale since so long, by age or by a soft purge, whichever was earlier.
    pub fn remaining(&self) -> Result<Duration, Duration> {
        match (self.terms.remaining(self.resident), self.softened) {
            (remaining, None) => remaining,
            (Ok(_), Some(since)) => Err(since),
            (Err(stale_for), Some(since)) => Err(stale_for.max(since)),
        }
    }
}

/// What may be done with a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Deliver it.
    Fresh,
    /// Deliver it, and validate it meanwhile (RFC 5861 §3).
    StaleWhileRevalidate,
    /// Deliver it: the client takes it stale (§5.2.1.2).
    MaxStale,
    /// Ask the origin first.
    Validate(Why),
}

/// Why the origin is to be asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// It is older than its lifetime.
    Stale,
    /// The response has `no-cache`.
    NoCache,
    /// The request has `no-cache`.
    RequestNoCache,
    /// It is older than the client wants.
    RequestMaxAge,
    /// It is not fresh for as long as the client wants.
    MinFresh,
    /// A soft purge made it stale.
    SoftPurged,
}

impl Why {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Stale,
        Self::NoCache,
        Self::RequestNoCache,
        Self::RequestMaxAge,
        Self::MinFresh,
        Self::SoftPurged,
    ];

    /// The name that stands in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::NoCache => "no-cache",
            Self::RequestNoCache => "request-no-cache",
            Self::RequestMaxAge => "request-max-age",
            Self::MinFresh => "request-min-fresh",
            Self::SoftPurged => "soft-purged",
        }
    }
}

/// Decides by RFC 9111 §4. `client`: what counts of the request's directives on this route
/// ([`RequestDirectives::under`]).
pub fn judge(stored: &Stored<'_>, client: &RequestDirectives) -> Reuse {
    // "does not contain the no-cache directive, unless it is successfully validated"
    if stored.terms.always_validate {
        return Reuse::Validate(Why::NoCache);
    }
    if client.no_cache() {
        return Reuse::Validate(Why::RequestNoCache);
    }
    if is_too_old(stored, client) {
        return Reuse::Validate(Why::RequestMaxAge);
    }
    match stored.remaining() {
        Ok(fresh_for) if client.min_fresh().is_some_and(|wanted| fresh_for < wanted) => {
            Reuse::Validate(Why::MinFresh)
        }
        Ok(_) => Reuse::Fresh,
        Err(stale_for) => judge_stale(stored, client, stale_for),
    }
}

/// §5.2.1.1. A `max-age` of zero is what a browser sends on reload; it asks for validation even within the first
/// second, but of an immutable response it need not be heeded (RFC 8246 §2).
fn is_too_old(stored: &Stored<'_>, client: &RequestDirectives) -> bool {
    match client.max_age() {
        None => false,
        Some(Duration::ZERO) => !stored.terms.immutable || stored.remaining().is_err(),
        Some(limit) => stored.terms.age(stored.resident) > limit,
    }
}

/// §4.2.4: stale responses are delivered only where somebody allows it and nobody forbids it.
fn judge_stale(stored: &Stored<'_>, client: &RequestDirectives, stale_for: Duration) -> Reuse {
    let is_granted = stale_for < stored.terms.stale_while_revalidate;
    // A client that sets `max-age` takes nothing stale unless it sets `max-stale` too (§5.2.1.1).
    let is_taken = client.accepts_stale(stale_for);
    let is_refused = client.min_fresh().is_some() || (client.max_age().is_some() && !is_taken);
    if !stored.terms.never_stale && !is_refused {
        if is_granted {
            return Reuse::StaleWhileRevalidate;
        }
        if is_taken {
            return Reuse::MaxStale;
        }
    }
    // The lifetime is the older reason: a soft purge of what was stale anyway changed nothing.
    match stored.terms.remaining(stored.resident) {
        Ok(_) => Reuse::Validate(Why::SoftPurged),
        Err(_) => Reuse::Validate(Why::Stale),
    }
}

/// Whether it may be delivered now that the origin could not be asked, or answered with an error (RFC 5861 §4).
/// "Regardless of other freshness information", so `max-age` and `min-fresh` of the client do not count.
pub fn stale_if_error(stored: &Stored<'_>, client: &RequestDirectives) -> bool {
    let terms = stored.terms;
    if terms.always_validate || terms.never_stale || client.no_cache() {
        return false;
    }
    let stale_for = stored.remaining().err().unwrap_or_default();
    stale_for < terms.stale_if_error.max(client.stale_if_error())
}

/// Whether a response with this status is an error in whose place `stale-if-error` lets a stale one stand (RFC 5861 §4).
pub fn is_error_for_grants(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
