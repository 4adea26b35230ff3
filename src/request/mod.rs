//! One request, from its head to the last byte of its answer.
//!
//! [`Worker::handle`] tells the story; each stage is a file of its own and consumes what the one before it made:
//!
//! | stage | file | makes |
//! |---|---|---|
//! | receive | `receive` | [`Received`]: hop-by-hop fields gone, loop and hop limits checked, arrival numbered |
//! | route, key | `receive` | [`Routed`]: the rules, the upstream, the cache key |
//! | lookup | `lookup` | [`Found`]: the stored responses that may serve, each with its witness |
//! | plan | `plan` | [`Plan`]: a pure function of the above |
//! | act | `coalesce`, `flight`, `flying`, `job`, `pass` | [`Answer`] |
//! | respond | `respond` | the response: preconditions, ranges, `Age`, `Via`, `Cache-Status` |
//!
//! `PURGE` is answered before any of that, in `purge`.
//!
//! A request that waited for a fetch whose answer died meanwhile (it was purged) goes back to lookup; sent back
//! twice, it fetches alone, so that a storm of purges cannot keep it for ever.

mod answer;
mod assemble;
mod body;
mod coalesce;
mod error;
mod fields;
mod flight;
mod flying;
mod forward;
mod job;
mod lessons;
mod lookup;
mod members;
mod multipart;
mod notable;
mod pass;
mod pieces;
mod plan;
mod purge;
mod receive;
mod refresh;
mod refused;
mod respond;
mod revalidate;
mod shelf;
mod tags;
mod value;
mod worker;

pub use body::Body;
pub use error::{Refusal, reasons};
pub use pieces::{Data, Pieces};
pub use receive::{Client, Head, Hinted};
pub use refresh::Refresher;
pub use worker::{Engine, Worker};

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::Either;
use http::{Response, StatusCode};
use hyper::body::Incoming;

use crate::clock::Moment;
use crate::request::answer::Answer;
use crate::request::coalesce::Company;
use crate::request::flight::Attempt;
use crate::request::lookup::Found;
use crate::request::plan::Plan;
use crate::request::receive::{Received, Refused, Routed};
use crate::telemetry::Decision;

/// How often the answer of a shared fetch may turn out not to be for a request before it fetches alone.
const SHARED_ATTEMPTS: u32 = 2;

/// How often in all, whatever an origin does. A request may have to wait its turn for a failing origin in between.
const MOST_ATTEMPTS: u32 = SHARED_ATTEMPTS + 4;

/// A response: at once, where nothing has to be waited for, or later. A hit is spared the state of a fetch.
pub type Answering = Either<Ready<Response<Body>>, Pin<Box<dyn Future<Output = Response<Body>> + Send>>>;

impl Worker {
    /// Answers one request. Never fails: whatever goes wrong becomes a response with a named reason. `hinted` tells who may be told
    /// early hints, and is asked only if an origin may have some.
    pub fn handle(
        &self,
        head: Head,
        content: Incoming,
        client: Client,
        hinted: impl FnOnce() -> Option<Arc<dyn Hinted>>,
    ) -> Answering {
        let engine = self.shared_engine();
        if purge::is_purge(&head) {
            let answered = purge::answer(&engine, &head, &client);
            return Either::Left(ready(respond::refuse(engine, answered)));
        }
        let mut received = Received::new(&engine, head, content, client);
        let route = match received.route(&engine) {
            Ok(route) => route,
            Err(refusal) => {
                return Either::Left(ready(respond::refuse(engine, Refused::new(received, refusal))));
            }
        };
        let mut request = Routed::new(&engine, received, route);
        let (found, plan) = look(&engine, &request, request.received.at);
        match plan {
            Plan::Deliver(delivery) => {
                Either::Left(ready(respond::respond(engine, &mut request, Answer::Stored(delivery))))
            }
            plan => {
                request.received.client.hinted = hinted();
                let worker = self.clone();
                Either::Right(Box::pin(async move {
                    let answer = worker.pursue(&mut request, found, plan).await;
                    respond::respond(engine, &mut request, answer)
                }))
            }
        }
    }

    /// Does what was planned, and plans anew when it turns out to be of no use.
    async fn pursue(&self, request: &mut Routed, mut found: Found, mut plan: Plan) -> Answer {
        let mut company = Company::Any;
        // Held until the answer to the attempt it was given for is there.
        let mut _permit = None;
        for attempt in 1..=MOST_ATTEMPTS {
            let errand = match plan {
                Plan::Deliver(delivery) => return Answer::Stored(delivery),
                Plan::DeliverStale { delivery, refresh } => {
                    if refresh {
                        flight::refresh_in_background(self, request, &found);
                    }
                    return Answer::Stored(delivery);
                }
                Plan::Pass(reason) => return pass::pass(self, request, reason).await,
                Plan::Refuse => {
                    return Answer::Refused(Refusal::new(StatusCode::GATEWAY_TIMEOUT, error::ONLY_IF_CACHED));
                }
                Plan::Fetch(errand) => errand,
            };
            match flight::fetch(self, request, &found, errand, company).await {
                Attempt::Answered(answer) => return answer,
                Attempt::Alone => company = Company::Alone,
                Attempt::Permitted(permit) => _permit = Some(permit),
                Attempt::Back => {}
            }
            if attempt >= SHARED_ATTEMPTS {
                company = Company::Alone;
            }
            (found, plan) = look(self.engine(), request, self.engine().clock.moment());
        }
        let refusal = Refusal::new(StatusCode::BAD_GATEWAY, error::ABANDONED);
        Answer::Failed { refusal, decision: Decision::local(error::ABANDONED) }
    }
}

/// What is stored for a request, and what to do about it at `now`.
fn look(engine: &Engine, request: &Routed, now: Moment) -> (Found, Plan) {
    if let Some(reason) = request.passes() {
        return (Found::default(), Plan::Pass(reason));
    }
    let found = lookup::lookup(engine, request);
    let plan = plan::plan(&found, request, now);
    (found, plan)
}
