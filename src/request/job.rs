//! A fetch under way: it goes on whether or not the client that caused it stays, and tells its flight what came.

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use http::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};
use http::{Method, Response, StatusCode};

use crate::clock::Moment;
use crate::policy::validation::{Validators, make_conditional, offer_tags};
use crate::policy::{EntityTag, reuse};
use crate::request::assemble::{self, Asked, Receipt};
use crate::request::coalesce::{Obligation, Verdict};
use crate::request::flying::Own;
use crate::request::forward::{self, Hop};
use crate::request::lookup::{Found, Live};
use crate::request::plan::{self, Errand};
use crate::request::receive::Routed;
use crate::request::revalidate;
use crate::request::worker::{Engine, Worker};
use crate::store::{Entry, Extent};
use crate::telemetry::Telemetry;
use crate::upstream::{Failure, OnHints, RequestBody, RequestHead, ResponseBody};

/// A fetch under way, detached from the client that caused it.
pub(crate) struct Job {
    worker: Worker,
    asked: Asked,
    hop: Hop,
    /// Stored responses whose validators are listed. INVARIANT: if `selects`, the first is the one that the request
    /// selects; a date of any other would be no condition on what it asks for.
    stale: Vec<Entry>,
    selects: bool,
    /// The stored part that is being completed.
    part: Option<Live>,
    obligation: Obligation,
    /// What early hints are to be told to.
    pub(crate) hints: Option<OnHints>,
}

impl Job {
    pub(crate) fn new(
        worker: &Worker,
        request: &Routed,
        found: &Found,
        errand: &Errand,
        obligation: Obligation,
        alone: bool,
    ) -> Box<Self> {
        let engine = worker.engine();
        let received = &request.received;
        let range = match errand {
            Errand::Range => received.fields.get(RANGE).cloned(),
            Errand::Whole(_) | Errand::Rest(_) => None,
        };
        // A request that was sent back twice fetches alone and without conditions, so that a purge in between
        // cannot make the answer useless once more.
        let mut stale = if range.is_some() || alone { Vec::new() } else { found.variants(engine) };
        let selects = found.whole.is_some();
        if !selects {
            // Only by its tag can the origin name one that the request does not select.
            stale.retain(|entry| entry.validators().etag.is_some());
        }
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
            fields: received.fields.handle(),
            rules: request.rules.clone(),
            range,
        };
        let (worker, hop) = (worker.clone(), Hop::of(request));
        // What is polled moves about before it is: the less it holds, the better.
        Box::new(Self { worker, asked, hop, stale, selects, part, obligation, hints: None })
    }

    /// Flies. Returns the answer if it is for the client alone that caused the fetch. A panic is counted.
    pub(crate) async fn fly(mut self: Box<Self>) -> Own {
        let _panics = PanicCount(self.worker.engine().telemetry.clone());
        let worker = self.worker.clone();
        let engine = worker.engine();
        // The second round, if any, goes without conditions and ranges of ours, so its answer stands for itself.
        for _ in 0..2 {
            let head = || self.request();
            let sent = worker.send(self.hop.upstream, &head, RequestBody::Empty, self.hints.clone());
            let (response, receipt) = match sent.await {
                Ok(came) => came,
                Err(failure) => {
                    self.unavailable(engine, failure);
                    return None;
                }
            };
            let own_answer = match response.status() {
                StatusCode::NOT_MODIFIED => {
                    revalidate::not_modified(engine, &self.asked, &self.stale, receipt, response.headers())
                }
                StatusCode::PARTIAL_CONTENT if self.part.is_some() => {
                    Box::pin(self.completed(engine, receipt, response)).await
                }
                _ => return self.conclude(engine, receipt, response).await,
            };
            if let Some((entry, forward_status)) = own_answer {
                self.obligation.settle(Verdict::Stored { entry, forward_status });
                return None;
            }
            self.stale.clear();
            self.part = None;
        }
        self.unavailable(engine, Failure::BadResponse);
        None
    }

    fn selected(&self) -> Option<&Entry> {
        self.stale.first().filter(|_| self.selects)
    }

    /// The request for the origin: conditional if something stale is stored, for the rest if a part is.
    fn request(&self) -> RequestHead {
        let mut fields = forward::shared(self.worker.engine(), &self.asked, self.hop);
        if let Some(range) = &self.asked.range {
            fields.insert(RANGE, range.clone());
        }
        if !self.stale.is_empty() {
            self.add_conditions(&mut fields);
        }
        if let Some(part) = &self.part
            && let Some(range) = part.entry.extent().missing()
            && let Some(etag) = part.entry.validators().etag.as_ref().and_then(EntityTag::to_value)
        {
            fields.insert(RANGE, range);
            fields.insert(IF_RANGE, etag);
        }
        RequestHead { method: Method::GET, target: self.asked.target.clone(), fields }
    }

    fn add_conditions(&self, fields: &mut HeaderMap) {
        let validators: Vec<_> = self.stale.iter().map(|entry| entry.validators()).collect();
        let validators: Vec<&Validators> = validators.iter().map(|each| &**each).collect();
        if self.selects {
            make_conditional(fields, &validators);
        } else {
            offer_tags(fields, &validators);
        }
    }

    async fn completed(
        &mut self,
        engine: &Engine,
        receipt: Receipt,
        response: Box<Response<ResponseBody>>,
    ) -> Option<(Entry, u16)> {
        let part = self.part.take()?;
        self.asked.range = part.entry.extent().missing();
        let entry = revalidate::complete(engine, &self.asked, receipt, &part, response).await;
        self.asked.range = None;
        entry.map(|entry| (entry, StatusCode::PARTIAL_CONTENT.as_u16()))
    }

    /// An answer that stands for itself: shared, handed over, or an error for which stale grants stand in.
    async fn conclude(
        &self,
        engine: &Engine,
        receipt: Receipt,
        response: Box<Response<ResponseBody>>,
    ) -> Own {
        let status = response.status();
        if reuse::is_error_for_grants(status) {
            self.hold_off(engine);
            if self.has_stand_in(engine, receipt.at) {
                self.obligation.settle(Verdict::ServerError(status));
                return Some(response);
            }
        }
        match assemble::share(engine, &self.asked, receipt, response) {
            Ok((share, filler)) => {
                engine.lessons.storable(self.asked.key, share.variant.fields());
                // What came together with the head is there before anybody hears of it, so that who waited is woken once
                // and gets both in one write.
                let mut filling = pin!(filler.run(engine, &self.asked));
                let filled = filling.as_mut().now_or_never().is_some();
                self.obligation.settle(Verdict::Shared(share));
                if !filled {
                    filling.await;
                }
                None
            }
            Err(unshared) => {
                engine.telemetry.metrics().not_stored(unshared.reason);
                let verdict = if status.is_server_error() {
                    Verdict::ServerError(status)
                } else {
                    engine.lessons.unshared(engine, &self.asked, &unshared, receipt.sent);
                    Verdict::Released(unshared.reason)
                };
                self.obligation.settle(verdict);
                Some(unshared.response)
            }
        }
    }

    /// Whether there is a stale response that may be served in place of an error, so that the error must not replace it.
    fn has_stand_in(&self, engine: &Engine, now: Moment) -> bool {
        self.selected().is_some_and(|entry| {
            let alive = engine.log.check(&entry.marks, &entry.stamp);
            let live = alive.map(|alive| Live { entry: entry.clone(), alive });
            let terms = entry.terms();
            live.is_some_and(|live| plan::stored(&live, &terms, now).remaining().is_err())
                && !terms.stale_if_error.is_zero()
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
