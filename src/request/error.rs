//! The one place where a failure becomes a status code and a problem document (RFC 9457).

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHORIZATION,
};
use http::{Response, StatusCode};

use crate::purge::{self, Denied};
use crate::upstream::Failure;

/// Reasons to pass a request on, or not to answer it, beside those of `policy` and `upstream`.
pub(crate) const METHOD: &str = "method";
pub(crate) const CACHE_OFF: &str = "cache-off-for-route";
pub(crate) const REQUEST_CONTENT: &str = "request-content";
pub(crate) const REQUEST_NO_STORE: &str = "client-no-store";
pub(crate) const HEAD_MISS: &str = "head-miss";
pub(crate) const PRECONDITION: &str = "precondition";
pub(crate) const HIT_FOR_MISS: &str = "hit-for-miss";
pub(crate) const ONLY_IF_CACHED: &str = "only-if-cached";
pub(crate) const LOOP: &str = "loop-detected";
pub(crate) const NO_ROUTE: &str = "no-route";
pub(crate) const LAST_HOP: &str = "max-forwards";
pub(crate) const SERVER_ERROR: &str = "server-error";
pub(crate) const PURGED_MEANWHILE: &str = "purged-meanwhile";
pub(crate) const RANGE_ANSWER: &str = "range-answer";
pub(crate) const RANGE_MISMATCH: &str = "content-range-mismatch";
pub(crate) const ABANDONED: &str = "fetch-abandoned";
pub(crate) const DECLARED_TOO_LARGE: &str = "declared-too-large";
pub(crate) const TOO_MANY_TAGS: &str = "too-many-tags";
pub(crate) const UNREADABLE_TAGS: &str = "unreadable-tags";
pub(crate) const HEAD_MEMORY: &str = "head-memory";
pub(crate) const NOT_MODIFIED_UNASKED: &str = "unexpected-304";
pub(crate) const STALE_IF_ERROR: &str = "stale-if-error";
pub(crate) const STALE_WHILE_REVALIDATE: &str = "stale-while-revalidate";
pub(crate) const MAX_STALE: &str = "max-stale";
pub(crate) const REVALIDATED: &str = "revalidated";

/// Every reason that this room gives, for metrics and for the test that names are unique.
pub const fn reasons() -> &'static [&'static str] {
    &[
        METHOD,
        CACHE_OFF,
        REQUEST_CONTENT,
        REQUEST_NO_STORE,
        HEAD_MISS,
        PRECONDITION,
        HIT_FOR_MISS,
        ONLY_IF_CACHED,
        LOOP,
        NO_ROUTE,
        LAST_HOP,
        SERVER_ERROR,
        PURGED_MEANWHILE,
        RANGE_ANSWER,
        RANGE_MISMATCH,
        ABANDONED,
        DECLARED_TOO_LARGE,
        TOO_MANY_TAGS,
        UNREADABLE_TAGS,
        HEAD_MEMORY,
        NOT_MODIFIED_UNASKED,
        STALE_IF_ERROR,
        STALE_WHILE_REVALIDATE,
        MAX_STALE,
        REVALIDATED,
    ]
}

const NO_STORE: (HeaderName, HeaderValue) = (CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// An answer that Larder gives on its own.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) reason: &'static str,
    detail: Option<Cow<'static, str>>,
    fields: Vec<(HeaderName, HeaderValue)>,
    content: Option<Bytes>,
}

impl Refusal {
    /// A problem document with this status, and the named reason for it.
    pub fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason, detail: None, fields: Vec::new(), content: None }
    }

    /// The same with an explanation for people.
    pub fn explained(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The final recipient of an `OPTIONS` speaks for itself.
    pub(crate) fn options() -> Self {
        let allow = HeaderValue::from_static("GET, HEAD, OPTIONS");
        Self {
            fields: vec![(ALLOW, allow)],
            content: Some(Bytes::new()),
            ..Self::new(StatusCode::OK, LAST_HOP)
        }
    }

    /// The final recipient of a `TRACE` reflects it, without what could be secret (RFC 9110 §9.3.8).
    pub(crate) fn trace(fields: &HeaderMap) -> Self {
        let mut echo = Vec::new();
        for (name, value) in fields {
            if [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name) {
                continue;
            }
            echo.extend_from_slice(name.as_str().as_bytes());
            echo.extend_from_slice(b": ");
            echo.extend_from_slice(value.as_bytes());
            echo.extend_from_slice(b"\r\n");
        }
        let kind = HeaderValue::from_static("message/http");
        Self {
            fields: vec![(CONTENT_TYPE, kind)],
            content: Some(Bytes::from(echo)),
            ..Self::new(StatusCode::OK, LAST_HOP)
        }
    }

    /// What came of a purge, as JSON.
    pub(crate) fn purged(report: Vec<u8>) -> Self {
        Self {
            fields: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json")), NO_STORE],
            content: Some(Bytes::from(report)),
            ..Self::new(StatusCode::OK, purge::PURGED)
        }
    }

    pub(crate) fn into_response(self) -> Response<Bytes> {
        let detail = self.detail.as_deref();
        let content = self.content.unwrap_or_else(|| problem(self.status, self.reason, detail));
        let mut response = Response::new(content);
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        if self.fields.is_empty() {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            let (name, value) = NO_STORE;
            fields.insert(name, value);
        }
        for (name, value) in self.fields {
            fields.insert(name, value);
        }
        response
    }
}

impl From<&Failure> for Refusal {
    fn from(failure: &Failure) -> Self {
        Self::new(status_of(failure), failure.as_str())
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let status = match denied {
            Denied::TooManyFailures => StatusCode::TOO_MANY_REQUESTS,
            Denied::TokenMissing | Denied::TokenWrong | Denied::NotAllowed => StatusCode::FORBIDDEN,
        };
        Self::new(status, denied.reason()).explained(denied.detail())
    }
}

impl From<purge::Fault> for Refusal {
    fn from(fault: purge::Fault) -> Self {
        Self::new(StatusCode::BAD_REQUEST, purge::MALFORMED).explained(fault.to_string())
    }
}

fn status_of(failure: &Failure) -> StatusCode {
    match failure {
        _ if failure.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
        Failure::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Failure::RequestStalled => StatusCode::REQUEST_TIMEOUT,
        // The client's own content broke off or was malformed.
        Failure::RequestBody => StatusCode::BAD_REQUEST,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// The reason names the fault; nothing internal is told.
fn problem(status: StatusCode, reason: &str, detail: Option<&str>) -> Bytes {
    let title = status.canonical_reason().unwrap_or("Error");
    let mut document = serde_json::json!({ "title": title, "status": status.as_u16(), "reason": reason });
    if let Some(detail) = detail {
        document["detail"] = detail.into();
    }
    Bytes::from(document.to_string())
}
