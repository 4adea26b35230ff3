//! From an origin's response to something that can be shared and stored.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{
    AGE, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue,
};
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use crate::clock::Moment;
use crate::key::CacheKey;
use crate::policy::fields::{ensure_date, storable_fields, strip_hop_by_hop};
use crate::policy::freshness::Terms;
use crate::policy::range::ContentRange;
use crate::policy::storability::{self, Exchange};
use crate::policy::target::Target;
use crate::policy::validation::Validators;
use crate::policy::vary::{Variant, Vary};
use crate::policy::{Rules, Stored};
use crate::request::error;
use crate::request::tags::{self, Labels};
use crate::request::worker::Engine;
use crate::store::{self, Entry, Extent, Head, Limits, Sealed, Writer};
use crate::upstream::ResponseBody;
use crate::validity::{Group, Marks, Sequence, Stamp, Subjects};

/// The request side of a fetch: all that judging and storing its response needs.
pub(crate) struct Asked {
    pub(crate) key: CacheKey,
    pub(crate) method: Method,
    pub(crate) scheme: &'static str,
    pub(crate) authority: Arc<str>,
    pub(crate) target: http::uri::PathAndQuery,
    /// As the client sent them: what Vary selects by.
    pub(crate) fields: Arc<HeaderMap>,
    pub(crate) rules: Arc<Rules>,
    /// The `Range` that went to the origin.
    pub(crate) range: Option<HeaderValue>,
}

impl Asked {
    pub(crate) fn effective(&self) -> Target<'_> {
        Target { scheme: self.scheme, authority: &self.authority, path: self.target.as_str() }
    }

    /// What its responses can be purged by, whatever they carry: `url` is that of [`Asked::url`].
    pub(crate) fn address<'a>(&'a self, url: &'a str) -> Subjects<'a> {
        let authority = &*self.authority;
        let port = authority.bytes().rev().take_while(u8::is_ascii_digit).count();
        let host = authority.get(..authority.len() - port).and_then(|before| before.strip_suffix(':'));
        let host = host.unwrap_or(authority);
        Subjects::address(host, url)
    }

    /// Scheme and authority: within it the names of groups mean something.
    pub(crate) fn origin(&self) -> String {
        [self.scheme, "://", &self.authority].concat()
    }

    /// What a purge can name: the authority and the path, whatever the scheme.
    pub(crate) fn url(&self) -> String {
        [&self.authority, self.target.as_str()].concat()
    }
}

/// When and after which purges a response came.
#[derive(Clone, Copy)]
pub(crate) struct Receipt {
    /// `published` as read before the request was sent; see [`Share::sent`].
    pub(crate) sent: Sequence,
    /// From sending the request to the response head.
    pub(crate) delay: Duration,
    pub(crate) at: Moment,
    pub(crate) wall: SystemTime,
    /// What its `Date` says.
    pub(crate) date: SystemTime,
}

/// A response that may be shared, with a body that is read while it fills.
pub(crate) struct Share {
    pub(crate) status: StatusCode,
    /// End-to-end fields, without those that carry tags.
    pub(crate) fields: HeaderMap,
    pub(crate) terms: Terms,
    pub(crate) validators: Validators,
    pub(crate) variant: Variant,
    pub(crate) body: store::Body,
    /// Length of the content, if it was declared.
    pub(crate) length: Option<u64>,
    pub(crate) extent: Extent,
    pub(crate) marks: Marks,
    /// INVARIANT: read from the log before the request was sent. A purge with a higher number may have happened
    /// after the origin made this content, so the content must not outlive it.
    pub(crate) sent: Sequence,
    pub(crate) received: Moment,
    pub(crate) received_wall: SystemTime,
}

impl Share {
    pub(crate) fn selects(&self, fields: &HeaderMap) -> bool {
        self.variant.is_of_all()
            || self.variant.matches(fields, || self.fields.get(CONTENT_LANGUAGE).cloned())
    }

    /// As it is at `now`, for whoever comes when it has begun.
    pub(crate) fn stored(&self, now: Moment) -> Stored<'_> {
        Stored { terms: &self.terms, resident: now.since(self.received), softened: None }
    }

    /// Whether a request that arrived at `arrived` must not have this content, because a purge that came before
    /// the request has killed it, or made it stale. Requests that arrived before the fetch was sent precede any such
    /// purge.
    pub(crate) fn is_outdated_for(&self, engine: &Engine, arrived: Sequence) -> bool {
        let is_current = |stamp: &Stamp| {
            engine.log.check(&self.marks, stamp).is_some_and(|alive| alive.softened().is_none())
        };
        arrived > self.sent && !is_current(&Stamp::new(self.sent))
    }
}

/// A response that is not shared, and why.
pub(crate) struct Unshared {
    pub(crate) response: Box<Response<ResponseBody>>,
    pub(crate) reason: &'static str,
    pub(crate) owed_to_request: bool,
}

/// What a response is made ready with, whether it is shared or not: end-to-end fields only, and a `Date`
/// (RFC 9110 §6.6.1), which is told.
pub(crate) fn tidy(fields: &mut HeaderMap, wall: SystemTime) -> SystemTime {
    strip_hop_by_hop(fields);
    ensure_date(fields, wall)
}

/// Judges a (tidied) response. If it may be shared, its body starts to fill as soon as [`Filler::run`] is polled.
pub(crate) fn share(
    engine: &Engine,
    asked: &Asked,
    receipt: Receipt,
    response: Box<Response<ResponseBody>>,
) -> Result<(Arc<Share>, Filler), Box<Unshared>> {
    let (parts, content) = response.into_parts();
    let unshared = |parts, content, reason, owed_to_request| {
        let response = Box::new(Response::from_parts(parts, content));
        Err(Box::new(Unshared { response, reason, owed_to_request }))
    };
    let (validators, vary) = (Validators::dated(&parts.headers, receipt.date), Vary::parse(&parts.headers));
    let judged = storability::terms(&Exchange {
        target: asked.effective(),
        method: &asked.method,
        request: &asked.fields,
        status: parts.status,
        response: &parts.headers,
        validators: &validators,
        vary: &vary,
        rules: &asked.rules,
        received: receipt.wall,
        delay: receipt.delay,
    });
    let terms = match judged {
        Ok(terms) => terms,
        Err(reason) => return unshared(parts, content, reason.as_str(), reason.owed_to_request()),
    };
    let Some(extent) = extent_of(asked, parts.status, &parts.headers) else {
        return unshared(parts, content, error::RANGE_ANSWER, true);
    };
    let length = content.size_hint().exact();
    if length.is_some_and(|length| actual_extent(&extent, asked, length).is_none()) {
        return unshared(parts, content, error::RANGE_MISMATCH, true);
    }
    if length.is_some_and(|length| length > engine.config.cache.max_object) {
        return unshared(parts, content, error::DECLARED_TOO_LARGE, false);
    }
    let labels = Labels::of(&engine.config.cache, &parts.headers);
    let marked =
        labels.and_then(|labels| Ok((intern(engine, asked, &labels, receipt.sent)?, labels.is_tagged)));
    let (marks, is_tagged) = match marked {
        Ok(marked) => marked,
        Err(reason) => return unshared(parts, content, reason, reason == error::PURGED_MEANWHILE),
    };
    let variant = Variant::of(vary.fields(), &asked.fields);
    let mut fields = parts.headers;
    if is_tagged {
        tags::strip(&engine.config.cache, &mut fields);
    }
    let limits = Limits {
        max_object: engine.config.cache.max_object,
        window: engine.config.cache.stream_window,
        expected: length,
    };
    let (writer, body) = store::fill(engine.budget.clone(), limits);
    let share = Arc::new(Share {
        status: parts.status,
        validators,
        fields,
        terms,
        variant,
        body,
        length,
        extent,
        marks,
        sent: receipt.sent,
        received: receipt.at,
        received_wall: receipt.wall,
    });
    let filler = Filler { share: share.clone(), writer, content };
    Ok((share, filler))
}

/// The cells by which purges reach a response with these fields.
///
/// # Errors
///
/// The reason why it must not be stored: purges could not reach it by all that it carries, or what is known of purges
/// since `sent` was forgotten.
pub(crate) fn mark(
    engine: &Engine,
    asked: &Asked,
    response: &HeaderMap,
    sent: Sequence,
) -> Result<Marks, &'static str> {
    intern(engine, asked, &Labels::of(&engine.config.cache, response)?, sent)
}

/// The same for who has read the labels.
fn intern(
    engine: &Engine,
    asked: &Asked,
    labels: &Labels<'_>,
    sent: Sequence,
) -> Result<Marks, &'static str> {
    let url = asked.url();
    let origin = if labels.groups.is_empty() { String::new() } else { asked.origin() };
    let groups: Vec<Group<'_>> = labels.groups.iter().map(|name| Group { origin: &origin, name }).collect();
    let subjects = Subjects { tags: &labels.tags, groups: &groups, ..asked.address(&url) };
    engine.log.intern(&subjects, sent).ok_or(error::PURGED_MEANWHILE)
}

/// Which bytes of the representation a response holds; `None` if it is not an answer to what was asked.
fn extent_of(asked: &Asked, status: StatusCode, fields: &HeaderMap) -> Option<Extent> {
    if status == StatusCode::PARTIAL_CONTENT {
        asked.range.as_ref()?;
        let content = ContentRange::parse(fields)?;
        let (first, last) = (content.range.first, content.range.last);
        return Some(Extent::Part { first, last, complete: content.complete });
    }
    // With a Range in the request, only a 200 says that it was ignored; an error may be owed to it.
    (asked.range.is_none() || status == StatusCode::OK).then_some(Extent::Whole)
}

/// Carries a body from the origin to its readers and into the store.
pub(crate) struct Filler {
    share: Arc<Share>,
    writer: Writer,
    content: ResponseBody,
}

impl Filler {
    /// Runs until the body is complete or given up. What is complete, alive and wanted is stored. `asked` is what
    /// [`share`] was told.
    pub(crate) async fn run(mut self, engine: &Engine, asked: &Asked) {
        let mut trailers = None;
        while !self.content.is_end_stream() {
            match self.content.frame().await {
                None => break,
                Some(Err(failure)) => {
                    self.writer.fail(failure.as_str());
                    return;
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        if self.writer.push(data).await.is_err() {
                            return;
                        }
                    }
                    Err(frame) => trailers = frame.into_trailers().ok(),
                },
            }
        }
        match self.writer.finish(trailers) {
            Ok(sealed) => commit(engine, asked, &self.share, sealed),
            Err(not_sealed) => engine.telemetry.metrics().not_stored(not_sealed.reason()),
        }
    }
}

/// Stores a complete response, unless it is dead by now.
fn commit(engine: &Engine, asked: &Asked, share: &Share, sealed: Sealed) {
    let stamp = Stamp::new(share.sent);
    if engine.log.check(&share.marks, &stamp).is_none() {
        engine.telemetry.metrics().not_stored(error::PURGED_MEANWHILE);
        return;
    }
    let Some(extent) = actual_extent(&share.extent, asked, sealed.len()) else {
        engine.telemetry.metrics().not_stored(error::RANGE_MISMATCH);
        return;
    };
    let Some(head) = pack(engine, share.status, &share.fields, &share.terms) else {
        engine.telemetry.metrics().not_stored(error::HEAD_MEMORY);
        return;
    };
    let entry = Entry::new(store::NewEntry {
        key: asked.key,
        head,
        body: sealed,
        extent,
        terms: share.terms.clone(),
        validators: share.validators.clone(),
        variant: share.variant.clone(),
        received: share.received,
        received_wall: share.received_wall,
        marks: share.marks.clone(),
        stamp,
    });
    match entry {
        Some(entry) => keep(engine, asked, entry),
        None => engine.telemetry.metrics().not_stored(error::HEAD_MEMORY),
    }
}

/// Puts an entry into the store, joined with a stored part where the two make a larger one (RFC 9111 §3.4).
pub(crate) fn keep(engine: &Engine, asked: &Asked, entry: Entry) {
    let joined = match entry.extent() {
        Extent::Whole => None,
        Extent::Part { .. } => join_stored_part(engine, asked, &entry),
    };
    engine.store.commit(joined.unwrap_or(entry));
}

/// The bytes that a response really brought. `None`: framing and `Content-Range` disagree, so their place is unclear.
///
/// One disagreement is harmless: if the last `n` bytes were asked for, `n` came, and they were said to reach the end,
/// then they do, and the end is where they end.
fn actual_extent(extent: &Extent, asked: &Asked, came: u64) -> Option<Extent> {
    let Extent::Part { first, last, complete } = *extent else { return Some(Extent::Whole) };
    if came == last - first + 1 {
        return Some(extent.clone());
    }
    let end = first.checked_add(came.checked_sub(1)?)?;
    let suffix = asked.range.as_ref().and_then(|range| range.to_str().ok()?.strip_prefix("bytes=-"));
    let is_the_end = suffix == Some(came.to_string().as_str()) && complete == last.checked_add(1);
    is_the_end.then(|| Extent::Part { first, last: end, complete: end.checked_add(1) })
}

/// The head as it is stored: without the fields that must not be (RFC 9111 §3.1) and without those that are
/// made anew for each answer.
pub(crate) fn pack(engine: &Engine, status: StatusCode, fields: &HeaderMap, terms: &Terms) -> Option<Head> {
    let is_part = status == StatusCode::PARTIAL_CONTENT;
    let is_made_anew = |name: &HeaderName| match *name {
        AGE | CONTENT_LENGTH => true,
        CONTENT_RANGE => is_part,
        _ => false,
    };
    let stored = storable_fields(fields, &terms.omitted).filter(|(name, _)| !is_made_anew(name));
    Head::pack(status, stored, &engine.budget)
}

fn join_stored_part(engine: &Engine, asked: &Asked, new: &Entry) -> Option<Entry> {
    let resource = engine.store.get(&asked.key)?;
    let stored = resource.variants().find(|entry| {
        !entry.is_whole()
            && entry.variant() == new.variant()
            && engine.log.check(&entry.marks, &entry.stamp).is_some()
    })?;
    join(engine, stored, new)
}

/// Joins two parts of one representation: the same strong validator, and no gap between them. The head is that
/// of `new`; the content is as old as the older of the two.
pub(crate) fn join(engine: &Engine, old: &Entry, new: &Entry) -> Option<Entry> {
    if !new.validators().is_same_content(&old.validators()) {
        return None;
    }
    let (
        Extent::Part { first: old_first, last: old_last, complete },
        Extent::Part { first: new_first, last: new_last, complete: new_complete },
    ) = (old.extent(), new.extent())
    else {
        return None;
    };
    if complete != new_complete {
        return None;
    }
    let (low, low_first, low_last, high, high_first, high_last) = if old_first <= new_first {
        (old.body(), *old_first, *old_last, new.body(), *new_first, *new_last)
    } else {
        (new.body(), *new_first, *new_last, old.body(), *old_first, *old_last)
    };
    if high_first > low_last.checked_add(1)? {
        return None;
    }
    let mut pieces = low.slice(0, low_last - low_first);
    let last = low_last.max(high_last);
    if high_last > low_last {
        pieces.extend(high.slice(low_last + 1 - high_first, high_last - high_first));
    }
    let whole = low_first == 0 && complete.is_some_and(|complete| last + 1 == complete);
    let (status, extent) = if whole {
        (StatusCode::OK, Extent::Whole)
    } else {
        let extent = Extent::Part { first: low_first, last, complete: *complete };
        (StatusCode::PARTIAL_CONTENT, extent)
    };
    let head = Head::pack(status, &new.fields().to_map(), &engine.budget)?;
    let validators = new.validators().into_owned();
    Entry::new(store::NewEntry {
        key: new.key,
        head,
        body: Sealed::concat(pieces, &engine.budget),
        extent,
        terms: new.terms(),
        received_wall: new.received_wall(&validators),
        validators,
        variant: new.variant().clone(),
        received: new.received,
        marks: new.marks.union(&old.marks),
        stamp: old.stamp.joint(&new.stamp),
    })
}
