//! The last stage: preconditions, ranges, and the fields that tell where an answer came from.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE, DATE,
    ETAG, EXPIRES, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, VARY, VIA,
};
use http::{Method, Response, StatusCode};

use crate::clock::Moment;
use crate::policy::precondition::{self, Precondition};
use crate::policy::range::{self, ByteRange, ContentRange, Ranges};
use crate::policy::validation::Validators;
use crate::request::answer::Answer;
use crate::request::assemble::Share;
use crate::request::body::{Body, Source};
use crate::request::error::Refusal;
use crate::request::multipart;
use crate::request::notable::Notable;
use crate::request::plan::Delivery;
use crate::request::receive::{Refused, Routed};
use crate::request::tags;
use crate::request::value;
use crate::request::worker::Engine;
use crate::store::{Entry, Extent, Reader, Sealed};
use crate::telemetry::{Decision, Record};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Renders an answer for the client that asked. Of the request are taken its fields, whose map the answer's go into, and what the
/// log knows of it.
pub(crate) fn respond(engine: Arc<Engine>, request: &mut Routed, answer: Answer) -> Response<Body> {
    let now = engine.clock.moment();
    let (decision, asked_origin) = answer.decision();
    let mut response = match answer {
        Answer::Stored(delivery) => from_store(&engine, request, delivery, now),
        Answer::Filling { mut share, reader, .. } => {
            from_fill(&engine, request, &mut share, reader, decision.collapsed, now)
        }
        Answer::Passing { response, .. } => {
            let (mut parts, body) = response.into_parts();
            tags::strip(&engine.config.cache, &mut parts.headers);
            Response::from_parts(parts, Source::Origin(Box::new(body)))
        }
        Answer::Failed { refusal, .. } | Answer::Refused(refusal) => own(refusal),
    };
    sign(&engine, response.headers_mut(), &decision);
    let upstream = asked_origin.then_some(request.upstream);
    let record = Record {
        decision,
        status: response.status(),
        method: request.received.method.clone(),
        received: request.received.at,
        first_byte: Some(now),
        ended: now,
        bytes: 0,
        aborted: false,
        route: Some(request.route),
        upstream,
        line: request.received.line.take(),
    };
    response.map(|content| Body::new(content, record, engine))
}

/// Renders the answer to a request that never got a route.
pub(crate) fn refuse(engine: Arc<Engine>, refused: Refused) -> Response<Body> {
    let decision = Decision::local(refused.refusal.reason);
    let mut response = own(refused.refusal);
    sign(&engine, response.headers_mut(), &decision);
    let now = engine.clock.moment();
    let record = Record {
        decision,
        status: response.status(),
        method: refused.method,
        received: refused.at,
        first_byte: Some(now),
        ended: now,
        bytes: 0,
        aborted: false,
        route: None,
        upstream: None,
        line: refused.line,
    };
    response.map(|content| Body::new(content, record, engine))
}

fn own(refusal: Refusal) -> Response<Source> {
    refusal
        .into_response()
        .map(|content| if content.is_empty() { Source::Empty } else { Source::Piece(Some(content.into())) })
}

/// `Via` and `Cache-Status` are appended to what is there: ours is the last hop.
fn sign(engine: &Engine, fields: &mut HeaderMap, decision: &Decision) {
    fields.append(VIA, engine.via(http::Version::HTTP_11));
    if let Ok(status) = value::rendered(|out| decision.write(&engine.name, out)) {
        fields.append(CACHE_STATUS, status);
    }
}

fn from_store(engine: &Engine, request: &mut Routed, delivery: Delivery, now: Moment) -> Response<Source> {
    let (entry, within) = (delivery.live.entry, delivery.within);
    engine.store.count_hit(&entry);
    if let (Some(within), Extent::Part { first, complete, .. }) = (within, entry.extent()) {
        return part(stored_fields(&entry, request, now), &entry.body(), within, *first, *complete);
    }
    let head = request.is_head();
    let whole = Whole { status: entry.status, length: Some(entry.content_length()) };
    let shape = shape(engine, request, &whole, || {
        let validators = entry.validators();
        let received = entry.received_wall(&validators);
        (validators, received)
    });
    let fields = stored_fields(&entry, request, now);
    match shape {
        Shape::Whole => stored_whole(fields, whole.status, entry.into_body(), head),
        Shape::Range { range, complete } => {
            let content = Source::pieces(entry.body().slice(range.first, range.last), None);
            single(fields, range, complete, content)
        }
        Shape::Ranges(ranges) => stored_ranges(fields, &entry.body(), &ranges),
        shape => bare(shape, fields, entry.content_length()),
    }
}

/// In the map that held the request's: hyper in turn takes the next request's into that of the response, so there is one map
/// for all of them.
fn stored_fields<'a>(entry: &Entry, request: &'a mut Routed, now: Moment) -> &'a mut HeaderMap {
    let fields = request.received.fields.emptied();
    entry.fields().write_to(fields);
    set_age(fields, entry.age(now));
    fields
}

fn from_fill(
    engine: &Engine,
    request: &Routed,
    share: &mut Arc<Share>,
    reader: Reader,
    collapsed: bool,
    now: Moment,
) -> Response<Source> {
    // As a rule it is one client's, and stored by now: then nobody else reads them.
    let mut fields = match Arc::get_mut(share) {
        Some(own) => std::mem::take(&mut own.fields),
        None => share.fields.clone(),
    };
    if collapsed {
        // `private="field"` and `no-cache="field"` are for the one who asked (RFC 9111 §5.2.2.4, §5.2.2.7).
        for name in &share.terms.omitted {
            fields.remove(name);
        }
        set_age(&mut fields, share.terms.age(now.since(share.received)));
    }
    let whole = Whole { status: share.status, length: share.length };
    let shape = shape(engine, request, &whole, || (Cow::Borrowed(&share.validators), share.received_wall));
    match shape {
        Shape::Range { range, complete } => {
            let left = range.last - range.first + 1;
            let content = Source::FillRange { reader, skip: range.first, left };
            single(&mut fields, range, complete, content)
        }
        // Several ranges are cut from a complete body only.
        Shape::Whole | Shape::Ranges(_) => with(&mut fields, share.status, Source::Fill(reader)),
        shape => bare(shape, &mut fields, share.length.unwrap_or(0)),
    }
}

/// What the shape of every answer depends on.
struct Whole {
    status: StatusCode,
    /// Of the content, if known.
    length: Option<u64>,
}

enum Shape {
    Whole,
    /// Of content of that length.
    Range {
        range: ByteRange,
        complete: u64,
    },
    Ranges(Vec<ByteRange>),
    NotModified,
    Failed,
    Unsatisfiable,
}

/// Preconditions, then ranges (RFC 9110 §13.2.2), for an answer that would be a 200. Only these ask by what the response
/// `can_be_validated`, and when it was received.
fn shape<'a>(
    engine: &Engine,
    request: &Routed,
    whole: &Whole,
    can_be_validated: impl Fn() -> (Cow<'a, Validators>, SystemTime),
) -> Shape {
    let asked = &request.received;
    let reads = asked.method == Method::GET || asked.method == Method::HEAD;
    let selective = asked.notable.has(Notable::CONDITION | Notable::RANGE);
    if !selective || !reads || whole.status != StatusCode::OK {
        return Shape::Whole;
    }
    if asked.notable.has(Notable::CONDITION) {
        let (validators, received) = can_be_validated();
        match precondition::evaluate(&asked.fields, &validators, received) {
            Precondition::NotModified => return Shape::NotModified,
            Precondition::Failed => return Shape::Failed,
            Precondition::Proceed => {}
        }
    }
    let Some(length) = whole.length else { return Shape::Whole };
    if request.range().is_none() {
        return Shape::Whole;
    }
    match range::select(&asked.fields, || can_be_validated().0, length, engine.config.cache.max_ranges) {
        Ranges::Whole => Shape::Whole,
        Ranges::One(range) => Shape::Range { range, complete: length },
        Ranges::Many(ranges) => Shape::Ranges(ranges),
        Ranges::Unsatisfiable => Shape::Unsatisfiable,
    }
}

/// Takes the fields.
fn with(fields: &mut HeaderMap, status: StatusCode, content: Source) -> Response<Source> {
    let mut response = Response::new(content);
    *response.status_mut() = status;
    std::mem::swap(response.headers_mut(), fields);
    response
}

/// hyper itself tells the length of content that it is given; to a HEAD it is given none.
fn stored_whole(fields: &mut HeaderMap, status: StatusCode, sealed: Sealed, head: bool) -> Response<Source> {
    if head && sealed.trailers().is_none() && allows_length(status) {
        fields.insert(CONTENT_LENGTH, value::number(sealed.len()));
    }
    if sealed.is_empty() {
        return with(fields, status, Source::Empty);
    }
    let content = match sealed.single() {
        Ok(piece) => Source::Piece(Some(piece)),
        Err(sealed) => Source::pieces(sealed.pieces(), sealed.trailers().cloned()),
    };
    with(fields, status, content)
}

/// A 204 has no content, and says nothing about its length (RFC 9110 §8.6).
fn allows_length(status: StatusCode) -> bool {
    !status.is_informational() && status != StatusCode::NO_CONTENT
}

fn stored_ranges(fields: &mut HeaderMap, sealed: &Sealed, ranges: &[ByteRange]) -> Response<Source> {
    let kind = fields.remove(CONTENT_TYPE);
    let parts = multipart::Parts::new(kind.as_ref(), sealed, ranges);
    fields.insert(CONTENT_TYPE, parts.content_type());
    fields.insert(CONTENT_LENGTH, value::number(parts.length()));
    with(fields, StatusCode::PARTIAL_CONTENT, Source::pieces(parts.into_pieces(), None))
}

fn single(fields: &mut HeaderMap, range: ByteRange, complete: u64, content: Source) -> Response<Source> {
    fields.insert(CONTENT_RANGE, ContentRange { range, complete: Some(complete) }.render());
    fields.insert(CONTENT_LENGTH, value::number(range.last - range.first + 1));
    with(fields, StatusCode::PARTIAL_CONTENT, content)
}

/// Bytes `within` of a stored part that begins at `first`.
fn part(
    fields: &mut HeaderMap,
    sealed: &Sealed,
    within: ByteRange,
    first: u64,
    complete: Option<u64>,
) -> Response<Source> {
    fields.insert(CONTENT_RANGE, ContentRange { range: within, complete }.render());
    fields.insert(CONTENT_LENGTH, value::number(within.last - within.first + 1));
    let content = Source::pieces(sealed.slice(within.first - first, within.last - first), None);
    with(fields, StatusCode::PARTIAL_CONTENT, content)
}

/// Answers without the content that was asked for.
fn bare(shape: Shape, fields: &mut HeaderMap, length: u64) -> Response<Source> {
    let status = match shape {
        Shape::NotModified => StatusCode::NOT_MODIFIED,
        Shape::Failed => StatusCode::PRECONDITION_FAILED,
        _ => StatusCode::RANGE_NOT_SATISFIABLE,
    };
    if status == StatusCode::NOT_MODIFIED {
        keep_for_304(fields);
    } else {
        let date = fields.remove(DATE);
        fields.clear();
        if let Some(date) = date {
            fields.insert(DATE, date);
        }
        fields.insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        fields.insert(CONTENT_RANGE, ContentRange::unsatisfied(length));
        fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    with(fields, status, Source::Empty)
}

/// RFC 9110 §15.4.5: what a 200 would have said about caching and the validator; the other metadata of the
/// representation is left out, the client has it. Fields that are no such metadata stay.
fn keep_for_304(fields: &mut HeaderMap) {
    let kept = [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY, LAST_MODIFIED];
    let dropped: Vec<HeaderName> = fields
        .keys()
        .filter(|name| name.as_str().starts_with("content-") && !kept.contains(name))
        .filter(|name| *name != http::header::CONTENT_SECURITY_POLICY)
        .cloned()
        .collect();
    for name in dropped {
        fields.remove(name);
    }
}

fn set_age(fields: &mut HeaderMap, age: Duration) {
    fields.insert(AGE, value::number(age.as_secs()));
}
