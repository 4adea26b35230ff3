//! 103 Early Hints towards the client (RFC 8297).
//!
//! hyper's server has no call for interim responses, but it calls `poll_flush` of the transport whenever it has
//! written all it has, each time a connection is polled, also with nothing to write. So hints go into the
//! connection's [`Wire`], the connection is woken, and [`io`](super::io) writes them there. At that point the output
//! stands between two messages, unless a response is under way, and then the exchange is closed to hints.

use std::sync::Arc;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};

use super::wire::{Exchange, Wire};

/// Sends interim responses ahead of one final response. Cheap to clone; may be used from any thread and outlive the
/// request, whereupon it does nothing.
#[derive(Clone, Debug)]
pub struct EarlyHints {
    wire: Arc<Wire>,
    exchange: Exchange,
}

/// They belong to one hop, to content, or to one client; a hint is none of these.
const WITHHELD: [HeaderName; 10] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::PROXY_AUTHENTICATE,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

impl EarlyHints {
    /// For the request now being handled on `wire`.
    pub(super) fn new(wire: Arc<Wire>) -> Self {
        let exchange = wire.exchange();
        Self { wire, exchange }
    }

    /// Sends `fields` at once if `status` is 103, the client speaks HTTP/1.1 and the final response has not begun; else
    /// does nothing. Fields of one hop, of framing, and cookies are left out.
    pub fn send(&self, status: StatusCode, fields: &HeaderMap) {
        if status == StatusCode::EARLY_HINTS {
            self.wire.queue(self.exchange, &render(fields));
        }
    }
}

fn render(fields: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\n");
    for (name, value) in fields.iter().filter(|(name, _)| !WITHHELD.contains(name)) {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}
