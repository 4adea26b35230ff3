//! The second listener: health, readiness and metrics.
//!
//! It is for operators and their tools, on a loopback address unless configured otherwise. A browser on the same
//! machine can reach it, too, on behalf of any page that it shows, so `guard` stands in front of everything.
//! [`Role::Probe`] is the same listener with less to offer, for where the kubelet and Prometheus can reach it.
//!
//! - `GET /healthz`: 200 as long as the process answers at all
//! - `GET /readyz`: 200, or 503 and why traffic should go elsewhere
//! - `GET /metrics`: see [`telemetry`](crate::telemetry)
//!
//! Whatever else is asked is answered by a problem document (RFC 9457).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::config;
use crate::telemetry::Telemetry;

mod guard;
mod problem;
mod serve;
#[cfg(test)]
mod tests;

pub use serve::serve;

use problem::Problem;

/// Says whether this Larder should be sent traffic, or why not.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What a listener offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `[admin] listen`: everything, to those who name it by one of its own names.
    Full,
    /// `[admin] probe_listen`: health, readiness and metrics, by whatever name it is reached.
    Probe,
}

/// The handler behind the admin listeners.
pub struct Admin {
    hosts: Vec<String>,
    telemetry: Arc<Telemetry>,
    ready: Ready,
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    /// `ready` is asked at each `GET /readyz`.
    pub fn new(config: &config::Admin, telemetry: Arc<Telemetry>, ready: Ready) -> Arc<Self> {
        Arc::new(Self { hosts: config.hosts.clone(), telemetry, ready })
    }

    fn handle<B>(&self, role: Role, request: &Request<B>) -> Answer {
        let mut answer = self.answer(role, request).unwrap_or_else(Problem::into_response);
        let fields = answer.headers_mut();
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    fn answer<B>(&self, role: Role, request: &Request<B>) -> Result<Answer, Problem> {
        match role {
            Role::Full => guard::check(request, &self.hosts)?,
            Role::Probe => {}
        }
        let endpoint: fn(&Self, &HeaderMap) -> Result<Answer, Problem> = match request.uri().path() {
            "/healthz" => |_, _| Ok(text(StatusCode::OK, "ok\n")),
            "/readyz" => |admin, _| Ok(admin.readiness()),
            "/metrics" => |admin, fields| Ok(admin.metrics(fields)),
            _ => return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-path", NOT_FOUND)),
        };
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return endpoint(self, request.headers());
        }
        Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Only GET and HEAD are answered here.")
            .with(ALLOW, HeaderValue::from_static("GET, HEAD")))
    }

    fn readiness(&self) -> Answer {
        match (self.ready)() {
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
        let mut answer = text(StatusCode::OK, self.telemetry.render_metrics());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format));
        answer
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

const NOT_FOUND: &str = "There are /healthz, /readyz and /metrics.";

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
