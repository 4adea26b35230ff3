//! What a request is answered with the help of: the parts that all threads share, and those of one thread.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::HeaderValue;
use http::{Response, Version};

use crate::clock::Clock;
use crate::config::Config;
use crate::purge::Purger;
use crate::request::assemble::{self, Receipt};
use crate::request::coalesce::Flights;
use crate::request::lessons::Lessons;
use crate::store::{Budget, Store};
use crate::telemetry::{CacheName, FetchResult, Telemetry};
use crate::upstream::{Failure, MakeHead, OnHints, RequestBody, ResponseBody, Upstreams};
use crate::validity;

/// Shared by all serving threads.
pub struct Engine {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) log: Arc<validity::Log>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) store: Arc<Store>,
    pub(crate) purger: Arc<Purger>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) lessons: Lessons,
    /// What `Cache-Status` calls us.
    pub(crate) name: CacheName,
    /// What this hop adds to every request.
    pub(crate) hop: Hop,
}

impl Engine {
    /// Puts the shared parts together.
    pub fn new(
        config: Arc<Config>,
        clock: Clock,
        telemetry: Arc<Telemetry>,
        log: Arc<validity::Log>,
        budget: Arc<Budget>,
        store: Arc<Store>,
        purger: Arc<Purger>,
    ) -> Arc<Self> {
        Arc::new(Self {
            flights: Flights::new(),
            lessons: Lessons::new(&config.cache),
            name: CacheName::new(&config.server.name),
            hop: Hop::new(&config),
            config,
            clock,
            telemetry,
            log,
            budget,
            store,
            purger,
        })
    }

    /// What it was configured with.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Where it counts.
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// What it holds, in bytes.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// What it stores.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// What was purged.
    pub fn log(&self) -> &Arc<validity::Log> {
        &self.log
    }

    /// What it tells the time by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Lets go of what earlier answers taught once it is of no use. To be called now and then.
    pub fn forget_lessons(&self) {
        self.lessons.tick(self.clock.moment());
    }

    /// What makes purges.
    pub fn purger(&self) -> &Arc<Purger> {
        &self.purger
    }

    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.config.server.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// The member that this hop adds to `Via` (RFC 9110 §7.6.3): the version in which the message was received.
    pub(crate) fn via(&self, received: Version) -> HeaderValue {
        if received == Version::HTTP_10 { self.hop.via_1_0.clone() } else { self.hop.via_1_1.clone() }
    }
}

/// Field values about this hop that are the same in every message.
pub(crate) struct Hop {
    via_1_0: HeaderValue,
    via_1_1: HeaderValue,
    /// The member of `CDN-Loop` (RFC 8586).
    pub(crate) instance: Option<HeaderValue>,
    /// By upstream: the `Host` that it is to be asked for, if not the client's.
    pub(crate) hosts: Box<[Option<HeaderValue>]>,
}

impl Hop {
    fn new(config: &Config) -> Self {
        let via = |version: &str| {
            let member = format!("{version} {}", config.server.name);
            HeaderValue::from_str(&member).unwrap_or(HeaderValue::from_static("1.1 larder"))
        };
        let value = |text: &str| HeaderValue::from_str(text).ok();
        Self {
            via_1_0: via("1.0"),
            via_1_1: via("1.1"),
            instance: value(&config.server.instance),
            hosts: config.upstreams.iter().map(|upstream| value(upstream.host.as_deref()?)).collect(),
        }
    }
}

/// One serving runtime's view: the shared engine, and the runtime's own connections to origins.
#[derive(Clone)]
pub struct Worker {
    engine: Arc<Engine>,
    upstreams: Arc<Upstreams>,
}

impl Worker {
    /// A worker for the runtime that `upstreams` are for.
    pub fn new(engine: Arc<Engine>, upstreams: Arc<Upstreams>) -> Self {
        Self { engine, upstreams }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn shared_engine(&self) -> Arc<Engine> {
        self.engine.clone()
    }

    /// Sends a request to an upstream, and counts it. The response comes [tidied](assemble::tidy), and with a receipt. See
    /// [`Upstreams::send`].
    pub(crate) async fn send(
        &self,
        upstream: usize,
        head: MakeHead<'_>,
        body: RequestBody,
        hints: Option<OnHints>,
    ) -> Result<(Box<Response<ResponseBody>>, Receipt), Failure> {
        let engine = self.engine();
        let sent = engine.log.published();
        let started = engine.clock.moment();
        let result = self.upstreams.send(upstream, head, body, hints).await;
        let at = engine.clock.moment();
        let delay = at.since(started);
        let outcome = match &result {
            Ok(response) => FetchResult::Answered(response.status()),
            Err(failure) => FetchResult::Failed(failure.as_str()),
        };
        engine.telemetry.metrics().origin_fetch(upstream, outcome, delay);
        // It goes through several hands.
        let mut response = Box::new(result?);
        let wall = engine.clock.wall_at(at);
        let date = assemble::tidy(response.headers_mut(), wall);
        Ok((response, Receipt { sent, delay, at, wall, date }))
    }
}
