//! A client's own conditions (RFC 9110 §13, RFC 9111 §4.3.2).

use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderName};

use super::Validators;
use super::entity_tag::{EntityTag, TagList};
use super::fields;
use super::validation::LastModified;

/// What a client's conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Answer as if there were none.
    Proceed,
    /// 304.
    NotModified,
    /// 412, if the response is the origin's current one. `If-Match` and `If-Unmodified-Since` are for the origin to
    /// judge (RFC 9111 §4.3.2): where they fail against an older stored response, the request is passed on.
    Failed,
}

static FOR_THE_ORIGIN: [HeaderName; 2] = [header::IF_MATCH, header::IF_UNMODIFIED_SINCE];
static CONDITIONS: [HeaderName; 4] =
    [header::IF_MATCH, header::IF_UNMODIFIED_SINCE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

/// Whether there is a condition that only the origin can refuse by (RFC 9111 §4.3.2).
pub fn is_for_the_origin(request: &HeaderMap) -> bool {
    fields::has_any(request, &FOR_THE_ORIGIN)
}

/// Evaluates the conditions of a GET or HEAD against a 2xx response, in the order of RFC 9110 §13.2.2.
///
/// `received`, on the wall clock, stands in for a missing `Last-Modified` and `Date` (RFC 9111 §4.3.2).
pub fn evaluate(request: &HeaderMap, stored: &Validators, received: SystemTime) -> Precondition {
    if !fields::has_any(request, &CONDITIONS) {
        return Precondition::Proceed;
    }
    match TagList::parse(request, header::IF_MATCH) {
        Some(tags) if !has_match(&tags, stored, EntityTag::matches_strongly) => return Precondition::Failed,
        Some(_) => {}
        None if is_modified_since_limit(request, stored) => return Precondition::Failed,
        None => {}
    }
    let unchanged = match TagList::parse(request, header::IF_NONE_MATCH) {
        Some(tags) => has_match(&tags, stored, EntityTag::matches_weakly),
        None => is_unmodified_since(request, stored, received),
    };
    if unchanged { Precondition::NotModified } else { Precondition::Proceed }
}

fn has_match(tags: &TagList, stored: &Validators, same: fn(&EntityTag, &EntityTag) -> bool) -> bool {
    match (tags, &stored.etag) {
        (TagList::Any, _) => true,
        (TagList::Tags(tags), Some(stored)) => tags.iter().any(|tag| same(stored, tag)),
        (TagList::Tags(_), None) => false,
    }
}

/// `If-Unmodified-Since` fails. It is ignored if its date is invalid or there is no modification date (§13.1.4).
fn is_modified_since_limit(request: &HeaderMap, stored: &Validators) -> bool {
    match (fields::date_in(request, header::IF_UNMODIFIED_SINCE), &stored.last_modified) {
        (Some(limit), Some(modified)) => modified.time() > limit,
        _ => false,
    }
}

/// `If-Modified-Since` finds nothing newer. It is ignored if its date is invalid (§13.1.3).
fn is_unmodified_since(request: &HeaderMap, stored: &Validators, received: SystemTime) -> bool {
    let modified = stored.last_modified.as_ref().map(LastModified::time).or(stored.date).unwrap_or(received);
    fields::date_in(request, header::IF_MODIFIED_SINCE).is_some_and(|since| modified <= since)
}

/// Whether a field is a condition, or asks for a range.
pub fn is_conditional(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::IF_MATCH
            | header::IF_NONE_MATCH
            | header::IF_MODIFIED_SINCE
            | header::IF_UNMODIFIED_SINCE
            | header::IF_RANGE
            | header::RANGE
    )
}

/// Removes the conditions and the range, so that the response is whole.
pub fn strip_conditions(request: &mut HeaderMap) {
    while let Some(name) = request.keys().find(|name| is_conditional(name)).cloned() {
        request.remove(name);
    }
}
