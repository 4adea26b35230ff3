//! A stored response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::header::CONTENT_LANGUAGE;
use http::{HeaderMap, HeaderName};

use crate::clock::Moment;
use crate::policy::freshness::Terms;
use crate::policy::validation::Validators;
use crate::policy::vary::Variant;
use crate::store::budget::allocated;
use crate::store::heat::Heat;
use crate::store::{Head, Sealed};
use crate::validity::{Held, Marks, Stamp};

/// Bytes of an entry and its content's frame, each with the two counts of its `Arc`.
const PER_ENTRY: usize = size_of::<Entry>() + size_of::<Sealed>() + 4 * size_of::<usize>();
/// Bytes of a `Last-Modified` as sent, which is kept with its validators.
const DATE: usize = 29;

/// Which bytes of the representation an entry holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All.
    Whole,
    /// Bytes `first` to `last`, inclusive.
    Part {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
        /// Length of the whole, if the origin told.
        complete: Option<u64>,
    },
}

/// What an entry is made of.
#[derive(Debug)]
pub struct NewEntry {
    /// Status and fields.
    pub head: Arc<Head>,
    /// Content.
    pub body: Arc<Sealed>,
    /// Which bytes that is.
    pub extent: Extent,
    /// On which it may be reused.
    pub terms: Terms,
    /// What it can be validated by.
    pub validators: Validators,
    /// The selecting fields of the request that brought it.
    pub variant: Variant,
    /// When it was received or last validated.
    pub received: Moment,
    /// The same on the wall clock.
    pub received_wall: SystemTime,
    /// What it can be purged by.
    pub marks: Marks,
    /// Which purges are younger than it.
    pub stamp: Stamp,
}

/// A stored response. It does not change; a 304 makes a new one that shares the content.
#[derive(Debug)]
pub struct Entry {
    /// Status and fields.
    pub head: Arc<Head>,
    /// Content.
    pub body: Arc<Sealed>,
    /// Which bytes that is.
    pub extent: Extent,
    /// On which it may be reused.
    pub terms: Terms,
    /// What it can be validated by.
    pub validators: Validators,
    /// The selecting fields of the request that brought it.
    pub variant: Variant,
    /// When it was received or last validated.
    pub received: Moment,
    /// The same on the wall clock.
    pub received_wall: SystemTime,
    /// What it can be purged by. As long as it lives, it is counted there.
    pub marks: Held,
    /// Which purges are younger than it.
    pub stamp: Stamp,
    heat: Heat,
    /// Nanoseconds since boot until which a failed revalidation keeps others from trying.
    held_off_until: AtomicU64,
}

impl Entry {
    /// An entry that nobody has asked for yet.
    pub fn new(parts: NewEntry) -> Self {
        let NewEntry {
            head,
            body,
            extent,
            terms,
            validators,
            variant,
            received,
            received_wall,
            marks,
            stamp,
        } = parts;
        let marks = marks.hold(head.size() as u64 + body.size());
        Self {
            head,
            body,
            extent,
            terms,
            validators,
            variant,
            received,
            received_wall,
            marks,
            stamp,
            heat: Heat::default(),
            held_off_until: AtomicU64::new(0),
        }
    }

    /// What this entry is made of, to make another like it.
    pub fn parts(&self) -> NewEntry {
        NewEntry {
            head: self.head.clone(),
            body: self.body.clone(),
            extent: self.extent.clone(),
            terms: self.terms.clone(),
            validators: self.validators.clone(),
            variant: self.variant.clone(),
            received: self.received,
            received_wall: self.received_wall,
            marks: Marks::clone(&self.marks),
            stamp: self.stamp.clone(),
        }
    }

    /// Whether a request with these fields selects it (RFC 9111 §4.1).
    pub fn selected_by(&self, request: &HeaderMap) -> bool {
        self.variant.fields().is_empty() || self.variant.matches(request, self.head.get(&CONTENT_LANGUAGE))
    }

    /// Counts a request that was answered with it.
    pub fn count_hit(&self) {
        self.heat.count();
    }

    /// About how many requests were answered with it; those answered with what it replaced count half.
    pub fn heat(&self) -> u32 {
        self.heat.get()
    }

    /// It takes the place of `old`.
    pub(super) fn succeed(&self, old: &Entry) {
        self.heat.inherit(&old.heat);
    }

    /// A revalidation failed: no other is tried before `until`.
    pub fn hold_off(&self, until: Moment) {
        self.held_off_until.fetch_max(until.to_nanos(), Ordering::Relaxed);
    }

    /// Whether a revalidation failed a moment ago.
    pub fn held_off(&self, now: Moment) -> bool {
        now.to_nanos() < self.held_off_until.load(Ordering::Relaxed)
    }

    /// Whether it holds the whole representation.
    pub fn is_whole(&self) -> bool {
        matches!(self.extent, Extent::Whole)
    }

    /// Whether it is the better one to keep of two that serve the same requests: its bytes were asked for later, or
    /// else it was received (or validated) later. Equals are not younger than each other.
    pub(super) fn is_younger_than(&self, other: &Entry) -> bool {
        (self.stamp.body(), self.received) > (other.stamp.body(), other.received)
    }

    /// How long it is of use yet: until it is stale, past all stale grants, and past `keep`, when its validators are
    /// no longer worth their place.
    pub(super) fn useful_for(&self, keep: Duration, now: Moment) -> Duration {
        self.terms.horizon(keep).saturating_sub(now.since(self.received))
    }

    /// Bytes that it takes beside head and content, which carry their charges themselves.
    pub(super) fn overhead(&self) -> usize {
        let etag = self.validators.etag.as_ref().map_or(0, |tag| tag.as_bytes().len());
        let names = (self.variant.fields().len() + self.terms.omitted.len()) * size_of::<HeaderName>();
        let parts = [self.variant.key().len(), names, etag, DATE, self.marks.size()];
        PER_ENTRY + parts.into_iter().filter(|part| *part > 0).map(allocated).sum::<usize>()
    }

    /// Bytes that it takes in all, content that it shares with others included.
    pub(super) fn size(&self) -> u64 {
        self.overhead() as u64 + self.head.size() as u64 + self.body.size()
    }
}
