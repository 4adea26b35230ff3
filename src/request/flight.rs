//! Fetching in company: who goes, who waits, and what each makes of the verdict.

use http::StatusCode;
use http::header::{HeaderMap, RANGE};
use tokio::sync::OwnedSemaphorePermit;

use crate::policy::reuse::{self, Reuse};
use crate::request::answer::Answer;
use crate::request::assemble::Share;
use crate::request::coalesce::{Company, FlightId, Flights, Newcomer, Obligation, Seat, Verdict, Waiter};
use crate::request::error::Refusal;
use crate::request::flying::{Flying, Own};
use crate::request::job::Job;
use crate::request::lookup::{Found, Live};
use crate::request::notable::Notable;
use crate::request::plan::{self, Delivery, Errand};
use crate::request::receive::Routed;
use crate::request::worker::{Engine, Worker};
use crate::request::{error, pass};
use crate::store::Entry;
use crate::telemetry::{Decision, Forward};
use crate::upstream::Failure;
use crate::validity::{Alive, Sequence};

/// How an attempt to answer from the origin ended.
pub(crate) enum Attempt {
    Answered(Answer),
    /// The shared answer was not for this request: look up again.
    Back,
    /// Sharing is of no use: go alone.
    Alone,
    /// As [`Attempt::Back`], with a permit to bother an origin that answers with errors.
    Permitted(OwnedSemaphorePermit),
}

/// Answers `request` by a fetch: its own, or that of another who asked for the same.
pub(crate) async fn fetch(
    worker: &Worker,
    request: &mut Routed,
    found: &Found,
    errand: Errand,
    company: Company,
) -> Attempt {
    let engine = worker.engine();
    let marked = engine.lessons.release(engine, request);
    if request.is_head() {
        let may_join = company == Company::Any && !marked;
        let joined = may_join.then(|| whole_flight(engine, request)).flatten();
        return match joined {
            Some(waiter) => follow(engine, request, found, &errand, waiter).await,
            None => Attempt::Answered(pass::pass(worker, request, error::HEAD_MISS).await),
        };
    }
    if marked && is_particular(&request.received.fields) {
        return Attempt::Answered(pass::pass(worker, request, error::HIT_FOR_MISS).await);
    }
    if company == Company::Any
        && matches!(errand, Errand::Range)
        && let Some(waiter) = whole_flight(engine, request)
    {
        return follow(engine, request, found, &errand, waiter).await;
    }
    let seat = if company == Company::Alone || marked {
        Seat::Lead(Flights::alone(&Asking { engine, request }))
    } else {
        let id = flight_id(engine, request, matches!(errand, Errand::Range));
        engine.flights.join(id, &Asking { engine, request })
    };
    match seat {
        Seat::Follow(waiter) => {
            engine.telemetry.metrics().collapsed();
            follow(engine, request, found, &errand, waiter).await
        }
        Seat::Lead(obligation) => {
            let waiter = obligation.waiter();
            let alone = obligation.is_alone();
            request.received.fields.share();
            let mut job = Job::new(worker, request, found, &errand, obligation, alone);
            job.hints = request.received.client.on_hints();
            let (verdict, own) = Flying::new(job).verdict(waiter).await;
            let detail = marked.then_some(error::HIT_FOR_MISS);
            lead(engine, request, found, &errand, verdict, own, detail)
        }
    }
}

/// Revalidates a stale response that is being served meanwhile, unless somebody already does.
pub(crate) fn refresh_in_background(worker: &Worker, request: &Routed, found: &Found) {
    if let Seat::Lead(obligation) = join_revalidation(worker.engine(), request) {
        drop(Flying::new(revalidation(worker, request, found, obligation)));
    }
}

/// How a revalidation went that no client waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Background {
    /// The origin was asked for it.
    Fetched,
    /// Somebody else was about it, and has the answer's head by now.
    Joined,
}

/// Revalidates a stored response that no client waits for, or waits for whoever already does.
pub(crate) async fn revalidate(worker: &Worker, request: &Routed, found: &Found) -> Background {
    match join_revalidation(worker.engine(), request) {
        Seat::Lead(obligation) => {
            revalidation(worker, request, found, obligation).fly().await;
            Background::Fetched
        }
        Seat::Follow(waiter) => {
            waiter.verdict().await;
            Background::Joined
        }
    }
}

fn join_revalidation(engine: &Engine, request: &Routed) -> Seat {
    engine.flights.join(flight_id(engine, request, false), &Asking { engine, request })
}

fn revalidation(worker: &Worker, request: &Routed, found: &Found, obligation: Obligation) -> Box<Job> {
    Job::new(worker, request, found, &Errand::Whole(Forward::Stale), obligation, false)
}

/// The request has conditions or ranges of its own, which an origin that is asked for this client alone may answer.
fn is_particular(fields: &HeaderMap) -> bool {
    use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, RANGE]
        .iter()
        .any(|name| fields.contains_key(name))
}

fn flight_id(engine: &Engine, request: &Routed, ranged: bool) -> FlightId {
    let fields = &request.received.fields;
    let variant = engine.lessons.variant(&request.key, fields).key().into();
    let range = if ranged { fields.get(RANGE).cloned() } else { None };
    let authorized = request.received.notable.has(Notable::AUTHORIZATION);
    FlightId { key: request.key, variant, range, authorized }
}

fn whole_flight(engine: &Engine, request: &Routed) -> Option<Waiter> {
    let id = flight_id(engine, request, false);
    engine.flights.follow(&id, &Asking { engine, request })
}

/// A request at the door of a flight.
struct Asking<'a> {
    engine: &'a Engine,
    request: &'a Routed,
}

impl Newcomer for Asking<'_> {
    fn arrived(&self) -> Sequence {
        self.request.received.arrived
    }

    fn may_wait(&self, begun: Sequence) -> bool {
        if self.request.directives.wants_validation() {
            return false;
        }
        let asked = pass::asked(self.request);
        self.arrived() <= begun || !self.engine.log.concerns(&asked.address(&asked.url()), begun)
    }

    fn may_read(&self, share: &Share) -> bool {
        let now = self.engine.clock.moment();
        reuse::judge(&share.stored(now), &self.request.directives) == Reuse::Fresh
            && !share.is_outdated_for(self.engine, self.arrived())
    }
}

/// What a waiter makes of the verdict.
async fn follow(
    engine: &Engine,
    request: &Routed,
    found: &Found,
    errand: &Errand,
    waiter: Waiter,
) -> Attempt {
    match waiter.verdict().await {
        Verdict::Released(_) => Attempt::Alone,
        Verdict::ServerError(status) => match granted(engine, request, found, Some(status)) {
            Some(answer) => Attempt::Answered(answer),
            None => waiter.gate().acquire_owned().await.map_or(Attempt::Back, Attempt::Permitted),
        },
        verdict => common(engine, request, found, errand, verdict, true, None),
    }
}

/// What the one who went makes of it: what is not shared is his alone.
fn lead(
    engine: &Engine,
    request: &Routed,
    found: &Found,
    errand: &Errand,
    verdict: Verdict,
    own: Own,
    detail: Option<&'static str>,
) -> Attempt {
    let reason = match &verdict {
        Verdict::Released(reason) => *reason,
        Verdict::ServerError(_) => error::SERVER_ERROR,
        _ => return common(engine, request, found, errand, verdict, false, detail),
    };
    let Some(response) = own else { return Attempt::Back };
    if matches!(verdict, Verdict::ServerError(_))
        && let Some(answer) = granted(engine, request, found, Some(response.status()))
    {
        return Attempt::Answered(answer);
    }
    let decision = Decision {
        forward_status: Some(response.status()),
        detail: Some(detail.unwrap_or(reason)),
        ..Decision::forwarded(forward_of(errand))
    };
    Attempt::Answered(Answer::Passing { response, decision })
}

fn common(
    engine: &Engine,
    request: &Routed,
    found: &Found,
    errand: &Errand,
    verdict: Verdict,
    collapsed: bool,
    detail: Option<&'static str>,
) -> Attempt {
    match verdict {
        Verdict::Shared(share) => {
            let fits = share.selects(&request.received.fields)
                && !share.is_outdated_for(engine, request.received.arrived);
            match fits.then(|| share.body.reader()).flatten() {
                None => Attempt::Back,
                Some(reader) => {
                    let decision = Decision {
                        forward_status: Some(share.status),
                        stored: share.body.is_storing(),
                        collapsed,
                        detail,
                        ..Decision::forwarded(forward_of(errand))
                    };
                    Attempt::Answered(Answer::Filling { share, reader, decision })
                }
            }
        }
        Verdict::Stored { entry, forward_status } => match alive_for(engine, request, &entry) {
            None => Attempt::Back,
            Some(alive) => {
                let live = Live { entry, alive };
                let decision = Decision {
                    forward_status: StatusCode::from_u16(forward_status).ok(),
                    ttl: Some(plan::ttl(&plan::stored(&live, &live.entry.terms(), engine.clock.moment()))),
                    stored: true,
                    collapsed,
                    detail: Some(error::REVALIDATED),
                    ..Decision::forwarded(forward_of(errand))
                };
                Attempt::Answered(Answer::Stored(Delivery { live, decision, within: None }))
            }
        },
        Verdict::Unavailable(failure) => Attempt::Answered(
            granted(engine, request, found, None).unwrap_or_else(|| unavailable(&failure, errand, collapsed)),
        ),
        Verdict::Released(_) => Attempt::Alone,
        Verdict::ServerError(_) | Verdict::Abandoned => Attempt::Back,
    }
}

/// What a flight has validated or completed, if it is for this request and still alive.
fn alive_for(engine: &Engine, request: &Routed, entry: &Entry) -> Option<Alive> {
    // The flight may have been for another variant: when it was joined, nobody knew by which fields to tell them apart.
    if !entry.selected_by(&request.received.fields) {
        return None;
    }
    let alive = engine.log.check(&entry.marks, &entry.stamp)?;
    // A soft purge came after the condition was sent. Whoever asked before it may have the answer; for others it is
    // stale, and lookup tells whether they may have it so.
    let outdated = alive.softened().is_some() && request.received.arrived > entry.stamp.validated();
    (!outdated).then_some(alive)
}

fn unavailable(failure: &Failure, errand: &Errand, collapsed: bool) -> Answer {
    let decision =
        Decision { collapsed, detail: Some(failure.as_str()), ..Decision::forwarded(forward_of(errand)) };
    Answer::Failed { refusal: Refusal::from(failure), decision }
}

/// A stale response that may stand in for an error (RFC 5861 §4), if it is still alive.
fn granted(engine: &Engine, request: &Routed, found: &Found, status: Option<StatusCode>) -> Option<Answer> {
    if status.is_some_and(|status| !reuse::is_error_for_grants(status)) {
        return None;
    }
    let entry = found.whole.as_ref()?.entry.clone();
    let alive = engine.log.check(&entry.marks, &entry.stamp)?;
    let live = Live { entry, alive };
    let terms = live.entry.terms();
    let stored = plan::stored(&live, &terms, engine.clock.moment());
    if !reuse::stale_if_error(&stored, &request.directives) {
        return None;
    }
    let decision = Decision {
        forward_status: status,
        ttl: Some(plan::ttl(&stored)),
        detail: Some(error::STALE_IF_ERROR),
        ..Decision::forwarded(Forward::Stale)
    };
    Some(Answer::Stored(Delivery { live, decision, within: None }))
}

fn forward_of(errand: &Errand) -> Forward {
    match errand {
        Errand::Whole(forward) => *forward,
        Errand::Range => Forward::UriMiss,
        Errand::Rest(_) => Forward::Partial,
    }
}
