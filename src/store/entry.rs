//! A stored response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::clock::Moment;
use crate::policy::freshness::Terms;
use crate::policy::validation::Validators;
use crate::policy::vary::Variant;
use crate::store::{Head, Sealed};
use crate::validity::{Marks, Stamp};

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
    /// What it can be purged by.
    pub marks: Marks,
    /// Which purges are younger than it.
    pub stamp: Stamp,
    hits: AtomicU32,
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
            hits: AtomicU32::new(0),
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
            marks: self.marks.clone(),
            stamp: self.stamp.clone(),
        }
    }

    /// Counts a request that was answered with it.
    pub fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests were answered with it.
    pub fn hits(&self) -> u32 {
        self.hits.load(Ordering::Relaxed)
    }

    /// A revalidation failed: no other is tried before `until`.
    pub fn hold_off(&self, until: Moment) {
        self.held_off_until.fetch_max(until.to_nanos(), Ordering::Relaxed);
    }

    /// Whether a revalidation failed a moment ago.
    pub fn held_off(&self, now: Moment) -> bool {
        now.to_nanos() < self.held_off_until.load(Ordering::Relaxed)
    }

    /// Bytes that it takes, shared ones included.
    pub(super) fn cost(&self) -> u64 {
        let own = size_of::<Self>() + self.marks.size() + self.variant.key().len() + self.head.size();
        own as u64 + self.body.len()
    }

    /// How long from its receipt it is of use.
    pub(super) fn horizon(&self, keep: Duration) -> Duration {
        self.terms.horizon(keep)
    }
}
