//! Fetching in company: who goes, what the origin's answer means, and what those who waited make of it.

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use http::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};
use http::{Method, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::clock::Moment;
use crate::policy::validation::{make_conditional, offer_tags};
use crate::policy::{EntityTag, reuse};
use crate::request::answer::Answer;
use crate::request::assemble::{self, Asked, Receipt, Share};
use crate::request::coalesce::{Company, FlightId, Flights, Newcomer, Obligation, Seat, Verdict, Waiter};
use crate::request::error::{self, Refusal};
use crate::request::lookup::{Found, Live};
use crate::request::plan::{self, Delivery, Errand};
use crate::request::receive::Routed;
use crate::request::worker::{Engine, Worker};
use crate::request::{forward, pass, revalidate};
use crate::store::{Entry, Extent};
use crate::telemetry::{Decision, Forward, Telemetry};
use crate::upstream::{Failure, OnHints, RequestBody, ResponseBody};
use crate::validity::Sequence;

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
    let marked = engine.lessons.get(&request.key).is_some_and(|lesson| lesson.releases(engine, request));
    if request.is_head() {
        let joined = (!marked).then(|| whole_flight(engine, request)).flatten();
        return match joined {
            Some(waiter) => follow(engine, request, found, &errand, waiter).await,
            None => Attempt::Answered(pass::pass(worker, request, error::HEAD_MISS).await),
        };
    }
    if marked && is_particular(&request.received.fields) {
        return Attempt::Answered(pass::pass(worker, request, error::HIT_FOR_MISS).await);
    }
    if let (Errand::Range, Some(waiter)) = (&errand, whole_flight(engine, request)) {
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
            let mut waiter = obligation.waiter();
            let alone = obligation.is_alone();
            let (hand_over, handed) = oneshot::channel();
            let mut job = Job::new(worker, request, found, &errand, obligation, alone);
            job.hand_over = Some(hand_over);
            job.hints = request.received.client.on_hints();
            job.launch();
            let verdict = waiter.verdict().await;
            let detail = marked.then_some(error::HIT_FOR_MISS);
            lead(engine, request, found, &errand, verdict, handed, detail)
        }
    }
}

/// Revalidates a stale response that is being served meanwhile, unless somebody already does.
pub(crate) fn refresh_in_background(worker: &Worker, request: &Routed, found: &Found) {
    if let Seat::Lead(obligation) = join_revalidation(worker.engine(), request) {
        revalidation(worker, request, found, obligation).launch();
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
            revalidation(worker, request, found, obligation).fly_counted().await;
            Background::Fetched
        }
        Seat::Follow(mut waiter) => {
            waiter.verdict().await;
            Background::Joined
        }
    }
}

fn join_revalidation(engine: &Engine, request: &Routed) -> Seat {
    engine.flights.join(flight_id(engine, request, false), &Asking { engine, request })
}

fn revalidation(worker: &Worker, request: &Routed, found: &Found, obligation: Obligation) -> Job {
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
    let variant = engine.lessons.variant(request).key().into();
    let range = if ranged { fields.get(RANGE).cloned() } else { None };
    let authorized = fields.contains_key(http::header::AUTHORIZATION);
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
        let asked = pass::asked(self.request);
        self.arrived() <= begun || !self.engine.log.concerns(&asked.address(&asked.url()), begun)
    }

    fn may_read(&self, share: &Share) -> bool {
        !share.is_outdated_for(self.engine, self.arrived())
    }
}

/// What a waiter makes of the verdict.
async fn follow(
    engine: &Engine,
    request: &Routed,
    found: &Found,
    errand: &Errand,
    mut waiter: Waiter,
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
    mut handed: oneshot::Receiver<Box<Response<ResponseBody>>>,
    detail: Option<&'static str>,
) -> Attempt {
    let reason = match &verdict {
        Verdict::Released(reason) => *reason,
        Verdict::ServerError(_) => error::SERVER_ERROR,
        _ => return common(engine, request, found, errand, verdict, false, detail),
    };
    // Handed over before the verdict fell.
    let Ok(response) = handed.try_recv() else { return Attempt::Back };
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
        Verdict::Stored { entry, forward_status } => match engine.log.check(&entry.marks, &entry.stamp) {
            None => Attempt::Back,
            // The flight was for another variant: when it was joined, nobody knew by which fields to tell them apart.
            Some(_) if !entry.selected_by(&request.received.fields) => Attempt::Back,
            // A soft purge came after the condition was sent. Whoever asked before it may have the answer; for others
            // it is stale, and lookup tells whether they may have it so.
            Some(alive)
                if alive.softened().is_some() && request.received.arrived > entry.stamp.validated() =>
            {
                Attempt::Back
            }
            Some(alive) => {
                let live = Live { entry, alive };
                let decision = Decision {
                    forward_status: StatusCode::from_u16(forward_status).ok(),
                    ttl: Some(plan::ttl(&plan::stored(&live, engine.clock.moment()))),
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

fn unavailable(failure: &Failure, errand: &Errand, collapsed: bool) -> Answer {
    let decision =
        Decision { collapsed, detail: Some(failure.as_str()), ..Decision::forwarded(forward_of(errand)) };
    Answer::Failed { refusal: Refusal::from(failure), decision }
}

/// A stale response that may stand in for an error (RFC 5861 §4), if it is still alive.
fn granted(engine: &Engine, request: &Routed, found: &Found, status: Option<StatusCode>) -> Option<Answer> {
    if status.is_some_and(|status| !is_error_for_grants(status)) {
        return None;
    }
    let entry = found.whole.as_ref()?.entry.clone();
    let alive = engine.log.check(&entry.marks, &entry.stamp)?;
    let live = Live { entry, alive };
    let stored = plan::stored(&live, engine.clock.moment());
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

/// A fetch under way, detached from the client that caused it.
struct Job {
    worker: Worker,
    asked: Asked,
    upstream: usize,
    /// The fields that go to the origin, without conditions.
    fields: HeaderMap,
    /// Stored responses whose validators are listed. INVARIANT: if `selects`, the first is the one that the request
    /// selects; a date of any other would be no condition on what it asks for.
    stale: Vec<Arc<Entry>>,
    selects: bool,
    /// The stored part that is being completed.
    part: Option<Live>,
    obligation: Obligation,
    hints: Option<OnHints>,
    hand_over: Option<oneshot::Sender<Box<Response<ResponseBody>>>>,
}

impl Job {
    fn new(
        worker: &Worker,
        request: &Routed,
        found: &Found,
        errand: &Errand,
        obligation: Obligation,
        alone: bool,
    ) -> Self {
        let engine = worker.engine();
        let received = &request.received;
        let mut fields = forward::shared(engine, request);
        let range = match errand {
            Errand::Range => received.fields.get(RANGE).cloned(),
            Errand::Whole(_) | Errand::Rest(_) => None,
        };
        if let Some(range) = &range {
            fields.insert(RANGE, range.clone());
        }
        // A request that was sent back twice fetches alone and without conditions, so that a purge in between
        // cannot make the answer useless once more.
        let stale = if range.is_some() || alone { Vec::new() } else { found.variants(engine) };
        let part = match errand {
            Errand::Rest(part) => Some(part.clone()),
            Errand::Whole(_) | Errand::Range => None,
        };
        let asked = Asked {
            key: request.key,
            method: Method::GET,
            scheme: received.scheme,
            authority: received.authority.clone(),
            target: received.target.clone(),
            fields: received.fields.clone(),
            rules: request.rules.clone(),
            range,
        };
        let worker = worker.clone();
        let upstream = request.upstream;
        let selects = found.whole.is_some();
        Self {
            worker,
            asked,
            upstream,
            fields,
            stale,
            selects,
            part,
            obligation,
            hints: None,
            hand_over: None,
        }
    }

    /// Sends it off, apart from the client that caused it.
    fn launch(self) {
        tokio::spawn(self.fly_counted());
    }

    /// Flies, on a task of its own: a panic ends the task, and is counted.
    async fn fly_counted(self) {
        let _panics = PanicCount(self.worker.engine().telemetry.clone());
        self.fly().await;
    }

    async fn fly(mut self) {
        let worker = self.worker.clone();
        let engine = worker.engine();
        // The second round, if any, goes without conditions and ranges of ours, so its answer stands for itself.
        for _ in 0..2 {
            let sent = engine.log.published();
            let started = engine.clock.moment();
            let result = worker.send(self.upstream, self.request(), self.hints.clone()).await;
            let at = engine.clock.moment();
            let mut response = match result {
                Ok(response) => response,
                Err(failure) => return self.unavailable(engine, failure),
            };
            let receipt = Receipt { sent, delay: at.since(started), at, wall: engine.clock.wall() };
            assemble::tidy(response.headers_mut(), receipt.wall);
            let own_answer = match response.status() {
                StatusCode::NOT_MODIFIED => {
                    revalidate::not_modified(engine, &self.asked, &self.stale, receipt, response.headers())
                }
                StatusCode::PARTIAL_CONTENT if self.part.is_some() => {
                    self.completed(engine, receipt, response).await
                }
                _ => return self.conclude(engine, receipt, response).await,
            };
            if let Some((entry, forward_status)) = own_answer {
                return self.obligation.settle(Verdict::Stored { entry, forward_status });
            }
            self.stale.clear();
            self.part = None;
        }
        self.unavailable(engine, Failure::BadResponse);
    }

    fn selected(&self) -> Option<&Arc<Entry>> {
        self.stale.first().filter(|_| self.selects)
    }

    /// The request for the origin: conditional if something stale is stored, for the rest if a part is.
    fn request(&self) -> http::Request<RequestBody> {
        let mut fields = self.fields.clone();
        let validators: Vec<_> = self.stale.iter().map(|entry| &entry.validators).collect();
        if self.selects {
            make_conditional(&mut fields, &validators);
        } else {
            offer_tags(&mut fields, &validators);
        }
        if let Some(part) = &self.part
            && let Some(range) = part.entry.extent.missing()
            && let Some(etag) = part.entry.validators.etag.as_ref().and_then(EntityTag::to_value)
        {
            fields.insert(RANGE, range);
            fields.insert(IF_RANGE, etag);
        }
        forward::request(&self.asked.target, Method::GET, fields, RequestBody::Empty)
    }

    async fn completed(
        &mut self,
        engine: &Engine,
        receipt: Receipt,
        response: Response<ResponseBody>,
    ) -> Option<(Arc<Entry>, u16)> {
        let part = self.part.take()?;
        self.asked.range = part.entry.extent.missing();
        let entry = revalidate::complete(engine, &self.asked, receipt, &part, response).await;
        self.asked.range = None;
        entry.map(|entry| (entry, StatusCode::PARTIAL_CONTENT.as_u16()))
    }

    /// An answer that stands for itself: shared, handed over, or an error for which stale grants stand in.
    async fn conclude(mut self, engine: &Engine, receipt: Receipt, response: Response<ResponseBody>) {
        let status = response.status();
        if is_error_for_grants(status) {
            self.hold_off(engine);
            if self.has_stand_in(engine, receipt.at) {
                self.hand(Box::new(response));
                return self.obligation.settle(Verdict::ServerError(status));
            }
        }
        match assemble::share(engine, &self.asked, receipt, response) {
            Ok((share, filler)) => {
                engine.lessons.storable(self.asked.key, share.variant.fields());
                // What came together with the head is there before anybody hears of it, so that who waited is woken once
                // and gets both in one write.
                let mut filling = pin!(filler.run(engine));
                let filled = filling.as_mut().now_or_never().is_some();
                self.obligation.settle(Verdict::Shared(share));
                if !filled {
                    filling.await;
                }
            }
            Err(unshared) => {
                engine.telemetry.metrics().not_stored(unshared.reason);
                let verdict = if status.is_server_error() {
                    Verdict::ServerError(status)
                } else {
                    engine.lessons.unshared(engine, &self.asked, &unshared, receipt.sent);
                    Verdict::Released(unshared.reason)
                };
                self.hand(Box::new(unshared.response));
                self.obligation.settle(verdict);
            }
        }
    }

    /// Whether there is a stale response that may be served in place of an error, so that the error must not replace it.
    fn has_stand_in(&self, engine: &Engine, now: Moment) -> bool {
        self.selected().is_some_and(|entry| {
            let alive = engine.log.check(&entry.marks, &entry.stamp);
            let live = alive.map(|alive| Live { entry: entry.clone(), alive });
            live.is_some_and(|live| plan::stored(&live, now).remaining().is_err())
                && !entry.terms.stale_if_error.is_zero()
        })
    }

    fn unavailable(&self, engine: &Engine, failure: Failure) {
        self.hold_off(engine);
        self.obligation.settle(Verdict::Unavailable(Arc::new(failure)));
    }

    fn hold_off(&self, engine: &Engine) {
        if let Some(entry) = self.selected() {
            entry.hold_off(engine.clock.moment() + engine.config.cache.retry_after_error);
        }
    }

    /// Gives the response to the client that caused the fetch; without one the connection is let go.
    fn hand(&mut self, response: Box<Response<ResponseBody>>) {
        if let Some(hand_over) = self.hand_over.take() {
            // The client may have left.
            let _ = hand_over.send(response);
        }
    }
}

/// Counts a panic that passes by. Nobody else would: the server sees only those in a client's own request.
struct PanicCount(Arc<Telemetry>);

impl Drop for PanicCount {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.metrics().panic();
        }
    }
}

/// The statuses for which `stale-if-error` speaks (RFC 5861 §4).
fn is_error_for_grants(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

impl Extent {
    /// The `Range` that asks for what a part with one open end lacks.
    fn missing(&self) -> Option<HeaderValue> {
        let Extent::Part { first, last, complete, .. } = self else { return None };
        let range = match (first, complete) {
            (0, _) => format!("bytes={}-", last + 1),
            (first, _) => format!("bytes=0-{}", first - 1),
        };
        HeaderValue::from_str(&range).ok()
    }

    /// Whether one request can complete it.
    pub(crate) fn lacks_one_end(&self) -> bool {
        match self {
            Extent::Whole => false,
            Extent::Part { first, last, complete: Some(complete), .. } => {
                (*first == 0) != (last.checked_add(1) == Some(*complete))
            }
            Extent::Part { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_flight_is_counted() {
        let telemetry = Telemetry::quiet();
        drop(PanicCount(telemetry.clone()));
        assert!(telemetry.render_metrics().contains("larder_panics_total 0\n"));
        let watched = telemetry.clone();
        let flight = std::thread::spawn(move || {
            let _panics = PanicCount(watched);
            panic!("this panic is meant");
        });
        assert!(flight.join().is_err());
        assert!(telemetry.render_metrics().contains("larder_panics_total 1\n"));
    }
}
