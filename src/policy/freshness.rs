//! How old a response is, and how long it stays fresh (RFC 9111 §4.2).

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::HeaderName;

use super::Rules;
use super::directives::ResponseDirectives;
use super::fields::{self, Expires};
use super::storability::Exchange;
use super::syntax::MAX_DELTA;

/// The terms on which a stored response may be reused; computed once, stored with it.
///
/// All ages and lifetimes count from the origin's making of the response; what has passed since its receipt is
/// handed in as `resident`.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// The age when the response was received: `corrected_initial_age` of §4.2.3.
    pub initial_age: Duration,
    /// The freshness lifetime (§4.2.1).
    pub lifetime: Duration,
    /// How long after its lifetime it may be delivered while it is validated (RFC 5861 §3). Zero: not at all.
    pub stale_while_revalidate: Duration,
    /// How long after its lifetime it may be delivered instead of an error (RFC 5861 §4). Zero: not at all.
    pub stale_if_error: Duration,
    /// `no-cache`: never delivered without successful validation.
    pub always_validate: bool,
    /// `must-revalidate`, `proxy-revalidate` or `s-maxage`: never delivered stale, whoever allows it.
    pub never_stale: bool,
    /// The lifetime is a guess (§4.2.2).
    pub heuristic: bool,
    /// The content does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// Named by `no-cache="…"` or `private="…"`: not stored with the response.
    pub omitted: Box<[HeaderName]>,
}

impl Terms {
    /// Fresh for so long, then to be validated: no grants, nothing else said.
    pub fn fresh_for(lifetime: Duration) -> Self {
        Self {
            initial_age: Duration::ZERO,
            lifetime,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            always_validate: false,
            never_stale: false,
            heuristic: false,
            immutable: false,
            omitted: Box::default(),
        }
    }

    /// The current age (§4.2.3), `resident` after receipt.
    pub fn age(&self, resident: Duration) -> Duration {
        self.initial_age.saturating_add(resident)
    }

    /// `Ok`: fresh for so long. `Err`: stale since so long.
    pub fn remaining(&self, resident: Duration) -> Result<Duration, Duration> {
        let age = self.age(resident);
        if self.lifetime > age { Ok(self.lifetime - age) } else { Err(age - self.lifetime) }
    }

    /// How long from receipt until the response is worthless: freshness, the longest stale grant, and `keep`, which is
    /// how long a validator alone is worth keeping.
    pub fn horizon(&self, keep: Duration) -> Duration {
        self.lifetime
            .saturating_add(self.stale_while_revalidate.max(self.stale_if_error))
            .saturating_add(keep)
            .saturating_sub(self.initial_age)
    }
}

/// The age on receipt (§4.2.3).
pub(super) fn initial_age(x: &Exchange<'_>) -> Duration {
    // A clock of the origin that is ahead of ours makes the apparent age zero. So does a missing `Date`, for which
    // the time of receipt stands in. `Date` has whole seconds, hence so has the difference.
    let apparent = x.validators.date.map_or(Duration::ZERO, |date| whole_seconds_between(date, x.received));
    let corrected = fields::age(x.response).saturating_add(x.delay);
    apparent.max(corrected)
}

/// The freshness lifetime and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lifetime {
    pub(super) value: Duration,
    pub(super) heuristic: bool,
}

/// The freshness lifetime (§4.2.1) under the route's rules. `None`: neither the origin nor the rules give one.
pub(super) fn lifetime(x: &Exchange<'_>, directives: &ResponseDirectives) -> Option<Lifetime> {
    let by_origin = explicit_lifetime(x, directives);
    // Without a word of the origin, neither a rule nor a guess may keep an error or a redirection of the moment.
    if by_origin.is_none() && !directives.public && !is_heuristically_cacheable(x.status) {
        return None;
    }
    let (value, heuristic) = match x.rules.ttl.or(by_origin) {
        Some(value) => (value, false),
        None => (heuristic_lifetime(x)?, true),
    };
    Some(Lifetime { value: clamp(value, x.rules), heuristic })
}

/// What the origin said: `s-maxage`, else `max-age`, else `Expires`.
pub(super) fn explicit_lifetime(x: &Exchange<'_>, directives: &ResponseDirectives) -> Option<Duration> {
    if let Some(shared) = directives.s_maxage.restrictive() {
        return Some(shared);
    }
    if let Some(any) = directives.max_age.restrictive() {
        return Some(any);
    }
    if directives.replaces_expires {
        return None;
    }
    match Expires::of(x.response) {
        Expires::Absent => None,
        Expires::Past => Some(Duration::ZERO),
        Expires::At(time) => {
            let date = x.validators.date.unwrap_or(x.received);
            let lifetime = time.duration_since(date).unwrap_or_default();
            Some(lifetime.min(Duration::from_secs(MAX_DELTA)))
        }
    }
}

/// A share of the time since the last modification (§4.2.2), if the route wants that.
fn heuristic_lifetime(x: &Exchange<'_>) -> Option<Duration> {
    let heuristic = x.rules.heuristic?;
    let modified = x.validators.last_modified.as_ref()?.time();
    let date = x.validators.date.unwrap_or(x.received);
    let unchanged_for = whole_seconds_between(modified, date);
    let seconds = unchanged_for.as_secs_f64() * f64::from(heuristic.fraction);
    Some(Duration::try_from_secs_f64(seconds).unwrap_or_default().min(heuristic.max))
}

/// Statuses of which a response may be stored without explicit freshness (RFC 9110 §15.1).
fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

fn clamp(lifetime: Duration, rules: &Rules) -> Duration {
    let at_least = match rules.min_ttl {
        Some(min) if !lifetime.is_zero() => lifetime.max(min),
        _ => lifetime,
    };
    rules.max_ttl.map_or(at_least, |max| at_least.min(max))
}

/// Zero if `later` is in fact earlier.
fn whole_seconds_between(earlier: SystemTime, later: SystemTime) -> Duration {
    Duration::from_secs(later.duration_since(earlier).unwrap_or_default().as_secs())
}
