//! Asking the origin whether a stored response is still good (RFC 9111 §4.3).

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderValue};

use super::EntityTag;
use super::fields;
use super::syntax;

/// `Last-Modified`, both as sent and as a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastModified {
    time: SystemTime,
    /// As sent, if that is not how the time is written anyway.
    odd: Option<Box<[u8]>>,
}

impl LastModified {
    /// Reads the field. An invalid one, or several that differ, are none.
    pub fn of(response: &HeaderMap) -> Option<Self> {
        Self::new(syntax::single(response, header::LAST_MODIFIED)?)
    }

    /// Reads a value of the field.
    pub fn new(sent: &[u8]) -> Option<Self> {
        if let Some(time) = fields::usual_date(sent) {
            return Some(Self::usual(time));
        }
        Some(Self { time: fields::http_date(sent)?, odd: Some(sent.into()) })
    }

    /// One that was sent as times usually are.
    pub fn usual(time: SystemTime) -> Self {
        Self { time, odd: None }
    }

    /// The time.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// The field value, byte for byte as sent.
    pub fn to_value(&self) -> Option<HeaderValue> {
        match &self.odd {
            None => Some(fields::render_date(self.time)),
            Some(sent) => HeaderValue::from_bytes(sent).ok(),
        }
    }
}

/// By what a stored response can be recognised. It owns its bytes, hence is good for storing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<EntityTag>,
    /// `Last-Modified`.
    pub last_modified: Option<LastModified>,
    /// `Date`, which says how far `Last-Modified` is to be trusted.
    pub date: Option<SystemTime>,
}

impl Validators {
    /// Those of a response.
    pub fn of(response: &HeaderMap) -> Self {
        Self { date: fields::date(response), ..Self::undated(response) }
    }

    /// Those of a response whose `Date` has been read.
    pub fn dated(response: &HeaderMap, date: SystemTime) -> Self {
        Self { date: Some(date), ..Self::undated(response) }
    }

    fn undated(response: &HeaderMap) -> Self {
        Self { etag: EntityTag::of(response), last_modified: LastModified::of(response), date: None }
    }

    /// There is nothing to ask the origin about.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// One of them changes whenever a byte of the content does, so that parts with it may be combined (§3.4).
    pub fn is_strong(&self) -> bool {
        self.etag.as_ref().is_some_and(EntityTag::is_strong) || self.has_strong_date()
    }

    /// `Last-Modified` is at least a second before `Date`: a second change within the same second would have come
    /// after the response (RFC 9110 §8.8.2.2).
    pub fn has_strong_date(&self) -> bool {
        match (&self.last_modified, self.date) {
            (Some(modified), Some(date)) => {
                date.duration_since(modified.time).is_ok_and(|distance| distance >= Duration::from_secs(1))
            }
            _ => false,
        }
    }

    /// Whether a strong validator says that both are of the same content: equal strong tags, or, if neither has a tag,
    /// equal strong dates. What a stored part may be combined on (§3.4).
    pub fn is_same_content(&self, other: &Self) -> bool {
        match (&self.etag, &other.etag) {
            (Some(a), Some(b)) => a.matches_strongly(b),
            (None, None) => {
                self.has_strong_date() && other.has_strong_date() && self.modified_at() == other.modified_at()
            }
            _ => false,
        }
    }

    fn modified_at(&self) -> Option<SystemTime> {
        self.last_modified.as_ref().map(LastModified::time)
    }
}

/// Makes a request conditional on the stored responses for its URI (§4.3.1). The first is the one that the request
/// selects; the others are its variants. If the request selects none, call [`offer_tags`].
///
/// `If-None-Match` lists their entity tags, as stored. `If-Modified-Since` is that of the first; if that has no tag,
/// `If-Modified-Since` is sent alone, since recipients ignore it beside `If-None-Match`.
pub fn make_conditional(request: &mut HeaderMap, variants: &[&Validators]) {
    clear(request);
    let Some((selected, _)) = variants.split_first() else {
        return;
    };
    if let Some(since) = selected.last_modified.as_ref().and_then(LastModified::to_value) {
        request.insert(header::IF_MODIFIED_SINCE, since);
    }
    if selected.etag.is_some() || selected.last_modified.is_none() {
        list_tags(request, variants);
    }
}

/// Asks whether one of the stored variants answers a request that selects none of them (§4.3.1): by entity tags only,
/// since a date says nothing about variants.
pub fn offer_tags(request: &mut HeaderMap, variants: &[&Validators]) {
    clear(request);
    list_tags(request, variants);
}

fn clear(request: &mut HeaderMap) {
    request.remove(header::IF_NONE_MATCH);
    request.remove(header::IF_MODIFIED_SINCE);
}

/// One line. A tag that breaks the grammar stands alone or not at all: in a list it could make the origin misread the
/// others.
fn list_tags(request: &mut HeaderMap, variants: &[&Validators]) {
    let mut tags = variants.iter().filter_map(|validators| validators.etag.as_ref());
    let Some(first) = tags.next() else {
        return;
    };
    let mut listed = vec![first];
    if first.is_well_formed() {
        for tag in tags.filter(|tag| tag.is_well_formed()) {
            if !listed.contains(&tag) {
                listed.push(tag);
            }
        }
    }
    let line = listed.iter().map(|tag| tag.as_bytes()).collect::<Vec<_>>().join(&b", "[..]);
    if let Ok(value) = HeaderValue::from_bytes(&line) {
        request.insert(header::IF_NONE_MATCH, value);
    }
}

/// Which of the stored responses that the condition was made of a 304 speaks for (§4.3.4). `stored` has the newest
/// first; so has the answer. Empty: none, and the request is to be made again without conditions.
pub fn selected_by_304(stored: &[&Validators], not_modified: &HeaderMap) -> Vec<usize> {
    let told = Validators::of(not_modified);
    match &told.etag {
        Some(tag) if tag.is_strong() => all_with_strong(tag, stored),
        Some(tag) => newest_with_weak(tag, stored)
            .or_else(|| newest_with_date(&told, stored, |validators| validators.etag.is_none()))
            .into_iter()
            .collect(),
        None if told.last_modified.is_some() => {
            newest_with_date(&told, stored, |_| true).into_iter().collect()
        }
        // A 304 that says nothing can only speak for the one response that was asked about. One whose validators
        // cannot be read does say something.
        None => {
            let says_nothing =
                !not_modified.contains_key(header::ETAG) && !not_modified.contains_key(header::LAST_MODIFIED);
            if says_nothing && stored.len() == 1 { vec![0] } else { Vec::new() }
        }
    }
}

fn all_with_strong(tag: &EntityTag, stored: &[&Validators]) -> Vec<usize> {
    let matches = |etag: &Option<EntityTag>| etag.as_ref().is_some_and(|etag| etag.matches_strongly(tag));
    (0..stored.len()).filter(|&index| matches(&stored[index].etag)).collect()
}

/// The very same tag comes before one that differs in weakness: an origin that compresses may send `"a"` with one
/// variant and `W/"a"` with the other.
fn newest_with_weak(tag: &EntityTag, stored: &[&Validators]) -> Option<usize> {
    let newest = |same: fn(&EntityTag, &EntityTag) -> bool| {
        stored.iter().position(|validators| validators.etag.as_ref().is_some_and(|etag| same(etag, tag)))
    };
    newest(EntityTag::eq).or_else(|| newest(EntityTag::matches_weakly))
}

/// Several variants may well have one date. Where their tags tell them apart, the date does not say which one is
/// meant.
fn newest_with_date(
    told: &Validators,
    stored: &[&Validators],
    is_candidate: fn(&Validators) -> bool,
) -> Option<usize> {
    let matches = |validators: &Validators| {
        told.last_modified.is_some()
            && validators.modified_at() == told.modified_at()
            && is_candidate(validators)
    };
    let mut indices = (0..stored.len()).filter(|&index| matches(stored[index]));
    let newest = indices.next()?;
    indices.all(|index| stored[index].etag == stored[newest].etag).then_some(newest)
}
