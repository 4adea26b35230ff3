//! What a 304 or a HEAD response changes in a stored response (RFC 9111 §3.2, §4.3.4, §4.3.5).

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};

use super::Validators;
use super::fields;
use super::syntax;

/// Fields that say how the stored content came to be, so must stay with it. (§3.2 names `Content-Length`, and "fields
/// that the response depends on"; the tag is the one that selected the response.)
static KEPT: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    HeaderName::from_static("content-md5"),
    header::CONTENT_RANGE,
    header::ETAG,
];

/// Replaces stored fields by those of a newer response (§3.2). All lines of a name take the place of all stored lines
/// of that name; new names come last.
///
/// A stored `Age` goes even if the update has none: it told of another message's way. Call
/// [`ensure_date`](fields::ensure_date) on the update first, for the same reason.
pub fn freshen(stored: &mut HeaderMap, update: &HeaderMap) {
    let named = fields::named_in_connection(update);
    let replaces = |name: &HeaderName| {
        update.contains_key(name)
            && !KEPT.contains(name)
            && !fields::is_never_stored(name)
            && !named.contains(name)
    };
    let mut fresh = HeaderMap::with_capacity(stored.keys_len());
    for name in stored.keys() {
        let source = if replaces(name) { update } else { &*stored };
        if *name != header::AGE || replaces(name) {
            append_all(&mut fresh, name, source);
        }
    }
    for name in update.keys() {
        if replaces(name) && !stored.contains_key(name) {
            append_all(&mut fresh, name, update);
        }
    }
    *stored = fresh;
}

fn append_all(fields: &mut HeaderMap, name: &HeaderName, source: &HeaderMap) {
    for value in source.get_all(name) {
        // Too many fields to hold: the rest is dropped. The limits on heads are far below.
        let _ = fields.try_append(name, value.clone());
    }
}

/// What the response to a HEAD request tells about a stored response to GET (§4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadUpdate {
    /// It is still the one: [`freshen`] it.
    Freshens,
    /// It is another one by now: it is stale.
    Contradicts,
    /// Nothing.
    Unrelated,
}

/// Compares what both know: validators and length. A stored validator about which the HEAD response is silent is no
/// contradiction; but where nothing at all can be compared, nothing is known.
pub fn head_update(
    stored: &HeaderMap,
    stored_len: u64,
    head_status: StatusCode,
    head: &HeaderMap,
) -> HeadUpdate {
    if head_status != StatusCode::OK {
        return HeadUpdate::Unrelated;
    }
    let (known, told) = (Validators::of(stored), Validators::of(head));
    let tag = told.etag.as_ref().map(|tag| known.etag.as_ref() == Some(tag));
    let modified = told
        .last_modified
        .as_ref()
        .map(|told| known.last_modified.as_ref().is_some_and(|known| known.time() == told.time()));
    let length = head
        .contains_key(header::CONTENT_LENGTH)
        .then(|| syntax::single(head, header::CONTENT_LENGTH).and_then(syntax::number) == Some(stored_len));
    match [tag, modified, length] {
        compared if compared.contains(&Some(false)) => HeadUpdate::Contradicts,
        compared if compared.contains(&Some(true)) => HeadUpdate::Freshens,
        _ => HeadUpdate::Unrelated,
    }
}
