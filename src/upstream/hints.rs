//! 103 Early Hints from the origin (RFC 8297), within bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, Request, StatusCode};

/// Called with each 103 that precedes a final response.
///
/// It runs on the task that owns the connection: it must not block.
pub type OnHints = Arc<dyn Fn(StatusCode, &HeaderMap) + Send + Sync>;

/// Most 103 responses of one exchange that are passed on, and most bytes of fields in one of them. An origin may send
/// any number of them within `first_byte_timeout`; a client should not have to read them.
const MOST_HINTS: usize = 8;
const MOST_BYTES: usize = 8 * 1024;

/// hyper skips 1xx responses, but for 101, and shows them to this callback. 100 answers an expectation that the
/// server side has long met, 102 means nothing to anyone (RFC 4918 dropped it): only 103 goes on.
pub(super) fn subscribe<B>(request: &mut Request<B>, hints: OnHints) {
    let left = AtomicUsize::new(MOST_HINTS);
    hyper::ext::on_informational(request, move |interim| {
        if interim.status() != StatusCode::EARLY_HINTS || size(interim.headers()) > MOST_BYTES {
            return;
        }
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_ok() {
            hints(interim.status(), interim.headers());
        }
    });
}

fn size(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}
