//! Parts of a response (RFC 9110 §14).

use std::borrow::Cow;

use http::header::{self, HeaderMap, HeaderValue};

use super::{EntityTag, Validators, fields, syntax};

/// From this many ranges on they must be in ascending order. Fewer may come in any: a reader may want the end first.
const ORDERED_FROM: usize = 4;

/// A satisfiable range.
///
/// INVARIANT: `first <= last`, and both lie within the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The offset of the first byte.
    pub first: u64,
    /// The offset of the last byte, inclusive.
    pub last: u64,
}

/// What to send of the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// All, as if there were no `Range`: it is not there, invalid, of another unit, asks for too many or overlapping
    /// parts, or `If-Range` fails.
    Whole,
    /// This part.
    One(ByteRange),
    /// These parts, in the order asked for.
    Many(Vec<ByteRange>),
    /// 416: no part of it exists.
    Unsatisfiable,
}

/// Selects from content of `len` bytes what the request asks for. What is `stored` can be validated by is asked only if there is an
/// `If-Range`. More than `max_ranges` parts are answered with the whole.
pub fn select<'a>(
    request: &HeaderMap,
    stored: impl FnOnce() -> Cow<'a, Validators>,
    len: u64,
    max_ranges: usize,
) -> Ranges {
    let mut lines = syntax::lines(request, header::RANGE);
    let (Some(value), None) = (lines.next(), lines.next()) else {
        return Ranges::Whole;
    };
    let Some(mut ranges) = satisfiable(value, len, max_ranges) else {
        return Ranges::Whole;
    };
    if request.contains_key(header::IF_RANGE) && !if_range_holds(request, &stored()) {
        return Ranges::Whole;
    }
    match ranges.len() {
        0 => Ranges::Unsatisfiable,
        1 => ranges.pop().map_or(Ranges::Whole, Ranges::One),
        _ if is_abusive(&ranges) => Ranges::Whole,
        _ => Ranges::Many(ranges),
    }
}

/// A range as asked for (§14.1.2). A position that does not fit is taken as the largest: it is past every end.
#[derive(Clone, Copy)]
enum Spec {
    FromTo(u64, u64),
    Suffix(u64),
}

impl Spec {
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|&byte| byte == b'-')?;
        match (&text[..dash], &text[dash + 1..]) {
            ([], suffix) => Some(Self::Suffix(syntax::number(suffix)?)),
            (first, []) => Some(Self::FromTo(syntax::number(first)?, u64::MAX)),
            (first, last) => {
                let (first, last) = (syntax::number(first)?, syntax::number(last)?);
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }

    fn within(self, len: u64) -> Option<ByteRange> {
        let end = len.checked_sub(1)?;
        match self {
            Self::FromTo(first, last) => (first <= end).then(|| ByteRange { first, last: last.min(end) }),
            Self::Suffix(0) => None,
            Self::Suffix(length) => Some(ByteRange { first: len.saturating_sub(length), last: end }),
        }
    }
}

/// Those that lie within `len` bytes. `None`: invalid, another unit, or more than `max` ranges.
fn satisfiable(value: &[u8], len: u64, max: usize) -> Option<Vec<ByteRange>> {
    let equals = value.iter().position(|&byte| byte == b'=')?;
    if !value[..equals].eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let (mut count, mut ranges) = (0, Vec::new());
    for text in syntax::plain_members(&value[equals + 1..]) {
        if count == max {
            return None;
        }
        count += 1;
        ranges.extend(Spec::parse(text)?.within(len));
    }
    (count > 0).then_some(ranges)
}

/// More than two overlapping ranges, or many in no order, are "indications of either a broken client or a deliberate
/// denial-of-service attack" (§14.2).
fn is_abusive(ranges: &[ByteRange]) -> bool {
    let is_ordered = ranges.is_sorted_by_key(|range| range.first);
    if ranges.len() >= ORDERED_FROM && !is_ordered {
        return true;
    }
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| range.first);
    let mut overlaps = 0;
    let mut reached: Option<u64> = None;
    for range in sorted {
        overlaps += usize::from(reached.is_some_and(|reached| range.first <= reached));
        reached = reached.max(Some(range.last));
    }
    overlaps > 1
}

/// §13.1.5. A date counts only if it is a strong validator and the very one that is stored.
fn if_range_holds(request: &HeaderMap, stored: &Validators) -> bool {
    let Some(condition) = syntax::single(request, header::IF_RANGE) else {
        return false;
    };
    if let Some(date) = fields::http_date(condition) {
        let modified = stored.last_modified.as_ref().map(|modified| modified.time());
        return stored.has_strong_date() && modified == Some(date);
    }
    match (EntityTag::new(condition), &stored.etag) {
        (Some(asked), Some(stored)) => stored.matches_strongly(&asked),
        _ => false,
    }
}

/// Which part of the content a 206 has (§14.4).
///
/// INVARIANT: if `complete` is known, `range` lies within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The part.
    pub range: ByteRange,
    /// The length of all of the content, if known.
    pub complete: Option<u64>,
}

impl ContentRange {
    /// Reads `Content-Range`. `None`: not there, invalid, another unit, or that of a 416.
    pub fn parse(response: &HeaderMap) -> Option<Self> {
        let value = syntax::single(response, header::CONTENT_RANGE)?;
        let space = value.iter().position(|&byte| byte == b' ')?;
        if !value[..space].eq_ignore_ascii_case(b"bytes") {
            return None;
        }
        let mut parts = value[space + 1..].splitn(2, |&byte| byte == b'/');
        let (range, complete) = (parts.next()?, parts.next()?);
        let mut ends = range.splitn(2, |&byte| byte == b'-');
        let (first, last) = (position(ends.next()?)?, position(ends.next()?)?);
        let complete = if complete == b"*" { None } else { Some(position(complete)?) };
        let is_valid = first <= last && complete.is_none_or(|complete| last < complete);
        is_valid.then_some(Self { range: ByteRange { first, last }, complete })
    }

    /// The field value of a 206.
    pub fn render(&self) -> HeaderValue {
        let (mut first, mut last, mut complete) =
            (itoa::Buffer::new(), itoa::Buffer::new(), itoa::Buffer::new());
        let (first, last) = (first.format(self.range.first), last.format(self.range.last));
        let complete = self.complete.map_or("*", |length| complete.format(length));
        value(&["bytes ", first, "-", last, "/", complete].concat())
    }

    /// The field value of a 416 for content of `len` bytes.
    pub fn unsatisfied(len: u64) -> HeaderValue {
        value(&format!("bytes */{len}"))
    }
}

/// A number that fits.
fn position(digits: &[u8]) -> Option<u64> {
    syntax::number(digits).filter(|&number| number < u64::MAX)
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("bytes */*"))
}
