//! The second listener: health, metrics, purges.
//!
//! It is for operators and their tools, on a loopback address unless configured otherwise. A browser on the same
//! machine can reach it, too, on behalf of any page that it shows, so `guard` stands in front of everything.
//! [`Role::Probe`] is the same listener with less to offer, for where the kubelet and Prometheus can reach it.
//!
//! - `GET /healthz`: 200 as long as the process answers at all
//! - `GET /readyz`: 200, or 503 and why traffic should go elsewhere
//! - `GET /metrics`: see [`telemetry`](crate::telemetry)
//! - `POST /purge`: see [`purge`](crate::purge)
//! - `GET /api/purges`, `/api/tags`, `/api/stats`: what was purged of late, what is stored by tag and in all
//!
//! The last two kinds ask for a token once one is configured. Whatever else is asked is answered by a problem document
//! (RFC 9457).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;

use crate::clock::Clock;
use crate::config::Config;
use crate::purge::Purger;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::validity::{Log, Sequence};

mod endpoint;
mod guard;
mod problem;
mod purging;
mod serve;
mod stats;
#[cfg(test)]
mod tests;

pub use serve::serve;

use endpoint::{Endpoint, Guarded, Open};
use problem::Problem;

/// Says whether this Larder should be sent traffic, or why not.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Has the hottest so many entries that a soft purge hit fetched anew, without waiting for it.
pub type Refresh = Arc<dyn Fn(Sequence, usize) + Send + Sync>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a listener offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `[admin] listen`: everything, to those who name it by one of its own names.
    Full,
    /// `[admin] probe_listen`: health, readiness and metrics, by whatever name it is reached.
    Probe,
}

/// What the admin listeners show, and what they have done.
pub struct Parts {
    /// Asked at each `GET /readyz`.
    pub ready: Ready,
    /// Called after each soft purge with `refresh`.
    pub refresh: Refresh,
    /// For `/metrics`.
    pub telemetry: Arc<Telemetry>,
    /// What was purged.
    pub log: Arc<Log>,
    /// What is stored.
    pub store: Arc<Store>,
    /// Makes purges, and knows who may.
    pub purger: Arc<Purger>,
    /// For the dates of what is shown.
    pub clock: Clock,
}

/// The handler behind the admin listeners.
pub struct Admin {
    hosts: Vec<String>,
    instance: String,
    /// Longest content of a purge, in bytes.
    max_body: usize,
    parts: Parts,
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    /// For one Larder.
    pub fn new(config: &Config, parts: Parts) -> Arc<Self> {
        Arc::new(Self {
            hosts: config.admin.hosts.clone(),
            instance: config.server.instance.clone(),
            max_body: config.purge.max_body,
            parts,
        })
    }

    async fn handle<B>(&self, role: Role, peer: IpAddr, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let answer = self.answer(role, peer, request).await;
        let mut answer = answer.unwrap_or_else(Problem::into_response);
        let fields = answer.headers_mut();
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    /// In this order: is it one of our own names, is there such a thing, is this its method, who asks, what for.
    async fn answer<B>(&self, role: Role, peer: IpAddr, request: Request<B>) -> Result<Answer, Problem>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        match role {
            Role::Full => guard::check(&request, &self.hosts)?,
            Role::Probe => {}
        }
        let endpoint = Endpoint::of(request.uri().path(), role)?;
        endpoint.check_method(request.method())?;
        let endpoint = match endpoint {
            Endpoint::Open(Open::Health) => return Ok(text(StatusCode::OK, "ok\n")),
            Endpoint::Open(Open::Ready) => return Ok(self.readiness()),
            Endpoint::Open(Open::Metrics) => return Ok(self.metrics(request.headers())),
            Endpoint::Guarded(endpoint) => endpoint,
        };
        let who = self.parts.purger.rights().admin(request.headers(), peer)?;
        match endpoint {
            Guarded::Purge => purging::purge(self, who, request).await,
            Guarded::Purges => Ok(purging::purges(self)),
            Guarded::Tags => purging::tags(self, request.uri().query()).await,
            Guarded::Stats => Ok(stats::stats(self)),
        }
    }

    fn readiness(&self) -> Answer {
        match (self.parts.ready)() {
            Ok(()) => text(StatusCode::OK, "ready\n"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        }
    }

    /// One text serves both formats; only its name differs. A browser shows plain text, and would download the other.
    fn metrics(&self, fields: &HeaderMap) -> Answer {
        let open_metrics = fields.get_all(ACCEPT).iter().any(|accepted| {
            memchr::memmem::find(accepted.as_bytes(), b"application/openmetrics-text").is_some()
        });
        let format = if open_metrics {
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        } else {
            "text/plain; version=0.0.4; charset=utf-8"
        };
        let mut answer = text(StatusCode::OK, self.parts.telemetry.render_metrics());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format));
        answer
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

fn json(content: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(content)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
