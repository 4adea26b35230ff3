//! What to do, as a pure function of the request, of what the store holds for it and of the time.

use std::time::Duration;

use http::header::IF_RANGE;

use crate::clock::Moment;
use crate::policy::freshness::Terms;
use crate::policy::precondition::{self, Precondition};
use crate::policy::range::{self, ByteRange, Ranges};
use crate::policy::reuse::{self, Reuse, Stored, Why};
use crate::request::error;
use crate::request::lookup::{Found, Live};
use crate::request::notable::Notable;
use crate::request::receive::Routed;
use crate::store::{Entry, Extent};
use crate::telemetry::{Decision, Forward};

/// A stored response, ready to go out, and why it may.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) live: Live,
    pub(crate) decision: Decision,
    /// Of a stored part: the bytes of it that answer the request. `None`: all of it.
    pub(crate) within: Option<ByteRange>,
}

/// What a fetch is for.
#[derive(Clone)]
pub(crate) enum Errand {
    /// A complete response; conditional if the store holds validators.
    Whole(Forward),
    /// The ranges that the client asks for.
    Range,
    /// The bytes that a stored part lacks.
    Rest(Live),
}

pub(crate) enum Plan {
    /// From the store.
    Deliver(Delivery),
    /// From the store although stale; `refresh`: and revalidate it in the background.
    DeliverStale { delivery: Delivery, refresh: bool },
    /// From the origin, in company.
    Fetch(Errand),
    /// From the origin, as it is.
    Pass(&'static str),
    /// Not from the store, and the client wants nothing else (`only-if-cached`).
    Refuse,
}

pub(crate) fn plan(found: &Found, request: &Routed, now: Moment) -> Plan {
    if let Some(live) = &found.whole {
        return plan_whole(live, request, now);
    }
    let fields = &request.received.fields;
    // Of which version a part is to be only the origin can judge, and a fetch in company does not ask it.
    let is_for_the_origin =
        request.received.notable.has(Notable::CONDITION) && precondition::is_for_the_origin(fields);
    let passes = is_for_the_origin && request.range().is_some();
    if let Some(live) = &found.part
        && !passes
        && let Some(plan) = plan_part(live, request, now)
    {
        return plan;
    }
    if request.directives.only_if_cached() {
        return Plan::Refuse;
    }
    match request.range() {
        Some(_) if passes => Plan::Pass(error::PRECONDITION),
        // Whether the client's part is still of use only the whole can tell (RFC 9110 §13.1.5).
        Some(_) if !fields.contains_key(IF_RANGE) => Plan::Fetch(Errand::Range),
        _ => Plan::Fetch(Errand::Whole(missing(found))),
    }
}

fn missing(found: &Found) -> Forward {
    if found.other_variants { Forward::VaryMiss } else { Forward::UriMiss }
}

fn plan_whole(live: &Live, request: &Routed, now: Moment) -> Plan {
    let terms = live.entry.terms();
    let stored = stored(live, &terms, now);
    // If-Match and If-Unmodified-Since are not a cache's to refuse by (RFC 9111 §4.3.2): the origin may know better.
    let fields = &request.received.fields;
    let refused = || {
        let validators = live.entry.validators();
        precondition::evaluate(fields, &validators, live.entry.received_wall(&validators))
    };
    let conditional = request.received.notable.has(Notable::CONDITION);
    if conditional && precondition::is_for_the_origin(fields) && refused() == Precondition::Failed {
        return Plan::Pass(error::PRECONDITION);
    }
    let deliver = |detail| Delivery {
        live: live.clone(),
        decision: Decision { detail, ..Decision::hit(ttl(&stored)) },
        within: None,
    };
    match reuse::judge(&stored, &request.directives) {
        Reuse::Fresh => Plan::Deliver(deliver(None)),
        Reuse::MaxStale => Plan::DeliverStale { delivery: deliver(Some(error::MAX_STALE)), refresh: false },
        Reuse::StaleWhileRevalidate => Plan::DeliverStale {
            delivery: deliver(Some(error::STALE_WHILE_REVALIDATE)),
            refresh: !live.entry.held_off(now),
        },
        Reuse::Validate(_)
            if live.entry.held_off(now) && reuse::stale_if_error(&stored, &request.directives) =>
        {
            Plan::DeliverStale { delivery: deliver(Some(error::STALE_IF_ERROR)), refresh: false }
        }
        Reuse::Validate(_) if request.directives.only_if_cached() => Plan::Refuse,
        Reuse::Validate(why) => {
            let forward = if matches!(why, Why::RequestNoCache | Why::RequestMaxAge | Why::MinFresh) {
                Forward::Request
            } else {
                Forward::Stale
            };
            Plan::Fetch(Errand::Whole(forward))
        }
    }
}

/// A stored part serves the ranges that lie in it while it is fresh, and seeds the whole while its validator is
/// strong; beyond that it is as if it were not there (RFC 9111 §3.3, §3.4).
fn plan_part(live: &Live, request: &Routed, now: Moment) -> Option<Plan> {
    let terms = live.entry.terms();
    let stored = stored(live, &terms, now);
    let fresh = matches!(reuse::judge(&stored, &request.directives), Reuse::Fresh);
    if request.range().is_some() {
        let within = answered_by_part(&live.entry, request)?;
        let decision = Decision::hit(ttl(&stored));
        return fresh.then(|| Plan::Deliver(Delivery { live: live.clone(), decision, within: Some(within) }));
    }
    let seeds = live.entry.extent().lacks_one_end() && live.entry.validators().is_strong();
    (seeds && !request.is_head() && !request.directives.only_if_cached())
        .then(|| Plan::Fetch(Errand::Rest(live.clone())))
}

fn answered_by_part(entry: &Entry, request: &Routed) -> Option<ByteRange> {
    let Extent::Part { first, last, complete } = *entry.extent() else { return None };
    match range::select(&request.received.fields, || entry.validators(), complete?, 1) {
        Ranges::One(wanted) if first <= wanted.first && wanted.last <= last => Some(wanted),
        _ => None,
    }
}

/// A stored response with its `terms`.
pub(crate) fn stored<'a>(live: &Live, terms: &'a Terms, now: Moment) -> Stored<'a> {
    Stored {
        terms,
        resident: now.since(live.entry.received),
        softened: live.alive.softened().map(|at| now.since(at)),
    }
}

/// Seconds of freshness left, negative when stale (RFC 9211 §2.4): since it expired or was softened, whichever came first.
pub(crate) fn ttl(stored: &Stored<'_>) -> i64 {
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    match stored.remaining() {
        Ok(left) => seconds(left),
        // Rounded down, so that what is stale is never taken for fresh.
        Err(since) if since.subsec_nanos() == 0 && !since.is_zero() => -seconds(since),
        Err(since) => -seconds(since) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Terms;

    #[test]
    fn ttl_is_negative_exactly_when_stale() {
        let terms = Terms::fresh_for(Duration::from_secs(60));
        for (resident, softened, expected) in [
            (0, None, 60),
            (2_500, None, 57),
            (59_999, None, 0),
            (60_000, None, -1),
            (60_001, None, -1),
            (63_000, None, -3),
            (63_001, None, -4),
            (2_500, Some(0), -1),
            (2_500, Some(1_000), -1),
            (2_500, Some(1_500), -2),
            (63_000, Some(5_000), -5),
            (63_000, Some(1_000), -3),
        ] {
            let softened = softened.map(Duration::from_millis);
            let stored = Stored { terms: &terms, resident: Duration::from_millis(resident), softened };
            assert_eq!(ttl(&stored), expected, "{resident} ms, softened {softened:?}");
        }
    }
}
