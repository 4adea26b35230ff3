//! The server's own refusals, as problem documents (RFC 9457).

use bytes::Bytes;
use http::Response;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, VIA};

use super::guard::Rejection;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The answer to a request that was refused. The connection ends with it, since what follows the head cannot be
/// trusted either. `name` is ours in `Cache-Status` (RFC 9211).
pub(super) fn response(rejection: &Rejection, name: &str) -> Response<Bytes> {
    let title = rejection.status.canonical_reason().unwrap_or("Refused");
    let document = serde_json::json!({
        "type": "about:blank",
        "title": title,
        "status": rejection.status.as_u16(),
        "detail": rejection.detail,
        "reason": rejection.reason,
    });
    let mut response = Response::new(Bytes::from(document.to_string()));
    *response.status_mut() = rejection.status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    if let Ok(via) = HeaderValue::try_from(format!("1.1 {name}")) {
        fields.insert(VIA, via);
    }
    if let Ok(status) = HeaderValue::try_from(format!("{name}; detail={}", rejection.reason)) {
        fields.insert(CACHE_STATUS, status);
    }
    response
}
