//! Passing a request on as it is: other methods, requests with content, routes without a cache.
//!
//! What goes by may still concern the store: an unsafe method invalidates (RFC 9111 §4.4), a HEAD freshens
//! (§4.3.5), a POST may name what it returned (§3, RFC 9110 §9.3.3).

use std::panic::resume_unwind;

use http::header::{ETAG, HeaderMap, LAST_MODIFIED};
use http::{Method, Response};
use http_body::Body as _;
use tokio::task::JoinError;

use crate::policy::{self, HeadUpdate, head_update, invalidation};
use crate::request::answer::Answer;
use crate::request::assemble::{self, Asked, Receipt};
use crate::request::error::{self, Refusal};
use crate::request::receive::Routed;
use crate::request::worker::{Engine, Worker};
use crate::request::{forward, lookup, revalidate};
use crate::telemetry::{Decision, Forward};
use crate::upstream::{Failure, OnHints, RequestBody, RequestHead, ResponseBody};
use crate::validity::{Fact, Group, Kind, Sequence, Stamp, Subject};

pub(crate) async fn pass(worker: &Worker, request: &mut Routed, reason: &'static str) -> Answer {
    let engine = worker.engine();
    let exchange = Exchange::new(worker, request);
    let decision = Decision { detail: Some(reason), ..Decision::forwarded(forward_for(reason)) };
    let result = if request.received.method.is_safe() {
        // Apart, so that what waits for a shared fetch need not have room for this.
        Box::pin(exchange.run()).await
    } else {
        write(exchange, asked(request)).await
    };
    let Came { response, receipt, kept_at } = match result {
        Ok(came) => came,
        Err(failure) => {
            let decision = Decision { detail: Some(failure.as_str()), ..decision };
            return Answer::Failed { refusal: Refusal::from(&failure), decision };
        }
    };
    let decision = Decision { forward_status: Some(response.status()), ..decision };
    if request.is_head() && request.rules.cache {
        freshen_by_head(engine, request, receipt, &response);
    }
    if let Some(sent) = kept_at
        && request.received.method == Method::POST
        && request.rules.cache
    {
        return share(worker, request, Receipt { sent, ..receipt }, response, decision);
    }
    if reason == error::HIT_FOR_MISS && !request.is_head() {
        return share(worker, request, receipt, response, decision);
    }
    Answer::Passing { response, decision }
}

/// A request that is sent as it came.
struct Exchange {
    worker: Worker,
    upstream: usize,
    head: RequestHead,
    body: RequestBody,
    hints: Option<OnHints>,
}

/// What came of it.
struct Came {
    response: Box<Response<ResponseBody>>,
    receipt: Receipt,
    /// The number under which it may be stored, if it may: see [`invalidate`].
    kept_at: Option<Sequence>,
}

impl Exchange {
    fn new(worker: &Worker, request: &mut Routed) -> Self {
        let fields = forward::passed(worker.engine(), request);
        let body = take_content(request);
        let method = request.received.method.clone();
        Self {
            worker: worker.clone(),
            upstream: request.upstream,
            head: RequestHead { method, target: request.received.target.clone(), fields },
            body,
            hints: request.received.client.on_hints(),
        }
    }

    async fn run(self) -> Result<Came, Failure> {
        let head = || self.head.clone();
        let (response, receipt) = self.worker.send(self.upstream, &head, self.body, self.hints).await?;
        Ok(Came { response, receipt, kept_at: Some(receipt.sent) })
    }
}

/// Sends an unsafe request, and invalidates what its answer says. On a task of its own: it happens at the origin, whether or
/// not the client stays for the answer.
async fn write(exchange: Exchange, asked: Asked) -> Result<Came, Failure> {
    let writing = tokio::spawn(async move {
        let worker = exchange.worker.clone();
        let mut came = exchange.run().await?;
        came.kept_at = invalidate(worker.engine(), &asked, &came.response, came.receipt.sent);
        Ok(came)
    });
    match writing.await.map_err(JoinError::try_into_panic) {
        Ok(result) => result,
        Err(Ok(panic)) => resume_unwind(panic),
        // The runtime ends.
        Err(Err(_)) => Err(Failure::Reset),
    }
}

fn forward_for(reason: &str) -> Forward {
    match reason {
        error::METHOD => Forward::Method,
        error::REQUEST_NO_STORE => Forward::Request,
        error::HEAD_MISS | error::HIT_FOR_MISS => Forward::UriMiss,
        _ => Forward::Bypass,
    }
}

/// Takes the request's content, to be streamed. What has been taken is not there for a second attempt.
fn take_content(request: &mut Routed) -> RequestBody {
    match request.received.content.take() {
        Some(content) if !content.is_end_stream() => RequestBody::stream(content),
        _ => RequestBody::Empty,
    }
}

pub(crate) fn asked(request: &Routed) -> Asked {
    let received = &request.received;
    Asked {
        key: request.key,
        method: received.method.clone(),
        scheme: received.scheme,
        authority: received.authority.clone(),
        target: received.target.clone(),
        fields: received.fields.handle(),
        rules: request.rules.clone(),
        range: request.range().cloned(),
    }
}

/// Publishes what a non-error answer to an unsafe method invalidates (RFC 9111 §4.4, and groups by RFC 9875 §3), as
/// one purge and before its first byte goes to the client: who has seen the answer reads his own write.
///
/// Returns the number under which the response itself may be stored: its content is the state after the write, so
/// its own invalidation does not kill it, but a purge that came in between would.
fn invalidate(
    engine: &Engine,
    asked: &Asked,
    response: &Response<ResponseBody>,
    sent: Sequence,
) -> Option<Sequence> {
    let stale =
        invalidation::invalidated(&asked.effective(), &asked.method, response.status(), response.headers());
    if stale.is_empty() {
        return Some(sent);
    }
    let urls: Vec<String> = stale.into_iter().map(|(authority, path)| authority + &path).collect();
    let (origin, groups) = (asked.origin(), policy::invalidated_groups(response.headers()));
    let subjects = urls.iter().map(|url| Subject::Url(url));
    let subjects = subjects.chain(groups.iter().map(|name| Subject::Group(Group { origin: &origin, name })));
    let facts: Vec<Fact<'_>> = subjects.map(|subject| Fact { subject, kind: Kind::Hard }).collect();
    let now = engine.clock.moment();
    match assemble::mark(engine, asked, response.headers(), sent) {
        Ok(marks) => {
            let (own, alive) = engine.log.publish_own(&facts, now, &marks, &Stamp::new(sent));
            alive.then_some(own)
        }
        Err(_) => {
            engine.log.publish(&facts, now);
            None
        }
    }
}

fn freshen_by_head(engine: &Engine, request: &Routed, receipt: Receipt, response: &Response<ResponseBody>) {
    let Some(live) = lookup::lookup(engine, request).whole else { return };
    // What was asked for earlier says nothing about it; between the two there may have been a purge.
    if receipt.sent < live.entry.stamp.validated() {
        return;
    }
    let fields: &HeaderMap = response.headers();
    // A length that has stayed the same does not vouch for content that somebody has called stale.
    if live.alive.softened().is_some() && !fields.contains_key(ETAG) && !fields.contains_key(LAST_MODIFIED) {
        return;
    }
    let stored = live.entry.fields().to_map();
    match head_update(&stored, live.entry.content_length(), response.status(), fields) {
        HeadUpdate::Freshens => {
            // What is freshened is the response to a GET.
            let asked = Asked { method: Method::GET, ..asked(request) };
            revalidate::freshen_by_head(engine, &asked, &live.entry, receipt, fields);
        }
        HeadUpdate::Contradicts => engine.store.remove(&live.entry),
        HeadUpdate::Unrelated => {}
    }
}

/// Stores what goes by, if it may be; the client reads it as it arrives.
fn share(
    worker: &Worker,
    request: &Routed,
    receipt: Receipt,
    response: Box<Response<ResponseBody>>,
    decision: Decision,
) -> Answer {
    let engine = worker.engine();
    let asked = asked(request);
    match assemble::share(engine, &asked, receipt, response) {
        Ok((share, filler)) => {
            let Some(reader) = share.body.reader() else {
                return Answer::Failed {
                    refusal: Refusal::new(http::StatusCode::BAD_GATEWAY, error::ABANDONED),
                    decision,
                };
            };
            engine.lessons.storable(asked.key, share.variant.fields());
            let engine = worker.shared_engine();
            tokio::spawn(async move { filler.run(&engine, &asked).await });
            Answer::Filling { share, reader, decision: Decision { stored: true, ..decision } }
        }
        Err(unshared) => {
            engine.telemetry.metrics().not_stored(unshared.reason);
            Answer::Passing { response: unshared.response, decision }
        }
    }
}
