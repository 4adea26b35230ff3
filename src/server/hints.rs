//! 103 Early Hints (RFC 8297) towards clients.
//!
//! hyper's server has no call for interim responses, so they take a way around it: the handler renders one into the
//! connection's slot, and the connection's [`io`](super::io) wrapper writes the slot out when hyper has nothing of its
//! own to write. While a handler is at work that is so: hyper answers the requests of an HTTP/1 connection one by
//! one.

use std::fmt;

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Rendered interim responses that wait to be written, in bytes; more are dropped.
const MAX_QUEUED: usize = 32 * 1024;

/// A connection's slot for interim responses.
#[derive(Default)]
pub struct EarlyHints {
    queued: Mutex<Queue>,
    arrived: Notify,
}

#[derive(Default)]
struct Queue {
    /// A handler is at work, and its final head has not begun.
    open: bool,
    bytes: Vec<u8>,
}

impl EarlyHints {
    /// Queues an interim response. Dropped if the final one has begun.
    pub fn send(&self, status: StatusCode, fields: &HeaderMap) {
        let mut queue = self.queued.lock();
        let size: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if !queue.open || queue.bytes.len() + size > MAX_QUEUED {
            return;
        }
        render(status, fields, &mut queue.bytes);
        drop(queue);
        self.arrived.notify_one();
    }

    /// Resolves when something was queued since the last time. Whoever waits for it inside the connection's task gets
    /// the connection polled, and so flushed.
    pub async fn wait(&self) {
        self.arrived.notified().await;
    }

    /// A request's handler begins.
    pub(super) fn open(&self) {
        self.queued.lock().open = true;
    }

    /// A request's final head begins.
    pub(super) fn close(&self) {
        self.queued.lock().open = false;
    }

    /// What waits to be written.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.queued.lock().bytes)
    }
}

impl fmt::Debug for EarlyHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EarlyHints").finish_non_exhaustive()
    }
}

fn render(status: StatusCode, fields: &HeaderMap, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(status.canonical_reason().unwrap_or("Interim").as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in fields {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}
