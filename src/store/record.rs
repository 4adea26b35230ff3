//! What is known of a stored response beside its bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderName, StatusCode};

use crate::clock::Moment;
use crate::key::CacheKey;
use crate::policy::freshness::Terms;
use crate::policy::validation::Validators;
use crate::policy::vary::Variant;
use crate::store::heat::Heat;
use crate::store::span::Span;
use crate::store::{Budget, Sealed};
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

/// What is known of a stored response, of which there may be millions: what many of them do without lies apart, and what the
/// fields tell is read there.
#[derive(Debug)]
pub struct Record {
    /// What was sent upstream.
    pub key: CacheKey,
    /// Its status.
    pub status: StatusCode,
    /// INVARIANT: nothing of it [lies in an entry](Sealed::out_of_entries), so that none holds another, and the size stays the same.
    pub(super) content: Content,
    /// What it can be purged by. As long as it lives, it is counted there.
    pub marks: Marks,
    /// Which purges are younger than it.
    pub stamp: Stamp,
    /// When it was received or last validated.
    pub received: Moment,
    initial_age: Span,
    lifetime: Span,
    stale_while_revalidate: Span,
    stale_if_error: Span,
    promises: Promises,
    more: Option<Box<More>>,
    heat: Heat,
    /// Milliseconds since `received` until which a failed revalidation keeps others from trying.
    held_off_for: AtomicU32,
    /// Bytes of the content's budget, for all but content that lies apart. Given back on drop.
    charged: u32,
}

/// Where the content is.
#[derive(Debug)]
pub(super) enum Content {
    /// Behind the fields, which take so many bytes.
    Behind {
        fields: u32,
        budget: Arc<Budget>,
    },
    Apart(Sealed),
}

/// What a [`Record`] is made of.
pub(super) struct NewRecord {
    pub(super) key: CacheKey,
    pub(super) status: StatusCode,
    pub(super) content: Content,
    pub(super) marks: Marks,
    pub(super) stamp: Stamp,
    pub(super) received: Moment,
    pub(super) terms: Terms,
    pub(super) more: Option<Box<More>>,
    pub(super) charged: u32,
}

/// What many entries do without, behind one word of theirs.
#[derive(Debug)]
pub(super) struct More {
    variant: Variant,
    rare: Option<Box<Rare>>,
}

/// What few entries have.
#[derive(Debug)]
struct Rare {
    /// Which bytes it is, if not all.
    extent: Extent,
    omitted: Box<[HeaderName]>,
    /// What it can be validated by, if that is not what its head says.
    validators: Option<Validators>,
    received_wall: SystemTime,
}

/// The yes or no of [`Terms`], a bit each.
#[derive(Clone, Copy, Debug)]
struct Promises(u8);

impl Promises {
    const ALWAYS_VALIDATE: u8 = 1;
    const NEVER_STALE: u8 = 2;
    const HEURISTIC: u8 = 4;
    const IMMUTABLE: u8 = 8;

    fn of(terms: &Terms) -> Self {
        let flags = [
            (terms.always_validate, Self::ALWAYS_VALIDATE),
            (terms.never_stale, Self::NEVER_STALE),
            (terms.heuristic, Self::HEURISTIC),
            (terms.immutable, Self::IMMUTABLE),
        ];
        Self(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).sum())
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

impl Record {
    /// Of a response that nobody has asked for yet.
    pub(super) fn new(parts: NewRecord) -> Self {
        let NewRecord { key, status, content, marks, stamp, received, terms, more, charged } = parts;
        let record = Self {
            key,
            status,
            content,
            marks,
            stamp,
            received,
            // Rather older and stale sooner than the origin said.
            initial_age: Span::around(terms.initial_age),
            lifetime: Span::within(terms.lifetime),
            stale_while_revalidate: Span::within(terms.stale_while_revalidate),
            stale_if_error: Span::within(terms.stale_if_error),
            promises: Promises::of(&terms),
            more,
            heat: Heat::default(),
            held_off_for: AtomicU32::new(0),
            charged,
        };
        record.marks.hold(record.size());
        record
    }

    /// Which bytes of the representation it holds.
    pub fn extent(&self) -> &Extent {
        self.rare().map_or(&Extent::Whole, |rare| &rare.extent)
    }

    /// On which it may be reused.
    pub fn terms(&self) -> Terms {
        Terms {
            initial_age: self.initial_age.duration(),
            lifetime: self.lifetime.duration(),
            stale_while_revalidate: self.stale_while_revalidate.duration(),
            stale_if_error: self.stale_if_error.duration(),
            always_validate: self.promises.has(Promises::ALWAYS_VALIDATE),
            never_stale: self.promises.has(Promises::NEVER_STALE),
            heuristic: self.promises.has(Promises::HEURISTIC),
            immutable: self.promises.has(Promises::IMMUTABLE),
            omitted: self.rare().map_or_else(Box::default, |rare| rare.omitted.clone()),
        }
    }

    /// Its current age (RFC 9111 §4.2.3).
    pub fn age(&self, now: Moment) -> Duration {
        self.initial_age.duration().saturating_add(now.since(self.received))
    }

    /// What it can be validated by, if that is not what its fields say.
    pub(super) fn own_validators(&self) -> Option<&Validators> {
        self.rare()?.validators.as_ref()
    }

    /// When it was received on the wall clock; the time of its `Date`, if its `validators` have one, beside which nobody
    /// asks for this.
    pub fn received_wall(&self, validators: &Validators) -> SystemTime {
        let kept = self.rare().map(|rare| rare.received_wall);
        kept.or(validators.date).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The selecting fields of the request that brought it.
    pub fn variant(&self) -> &Variant {
        static OF_ALL: Variant = Variant::OF_ALL;
        self.more.as_ref().map_or(&OF_ALL, |more| &more.variant)
    }

    fn rare(&self) -> Option<&Rare> {
        self.more.as_ref()?.rare.as_deref()
    }

    /// Counts a request that was answered with it.
    pub fn count_hit(&self) {
        self.heat.count();
    }

    /// About how many requests were answered with it; those answered with what it replaced count half, and fewer and fewer
    /// count while there is need of room.
    pub fn heat(&self) -> u32 {
        self.heat.get()
    }

    /// What it is worth to keep it, compared with others.
    pub(super) fn worth(&self) -> f64 {
        self.heat.worth() / (self.size() as f64).sqrt()
    }

    /// It was not asked for while room was needed.
    pub(super) fn cool(&self) {
        self.heat.cool();
    }

    /// It takes the place of `old`.
    pub(super) fn succeed(&self, old: &Self) {
        self.heat.inherit(&old.heat);
    }

    /// A revalidation failed: no other is tried before `until`.
    pub fn hold_off(&self, until: Moment) {
        let millis = until.since(self.received).as_nanos().div_ceil(1_000_000);
        self.held_off_for.fetch_max(u32::try_from(millis).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Whether a revalidation failed a moment ago.
    pub fn held_off(&self, now: Moment) -> bool {
        let held_off_for = self.held_off_for.load(Ordering::Relaxed);
        held_off_for > 0 && now.since(self.received) < Duration::from_millis(held_off_for.into())
    }

    /// Whether it holds the whole representation.
    pub fn is_whole(&self) -> bool {
        matches!(self.extent(), Extent::Whole)
    }

    /// Whether it is the better one to keep of two that serve the same requests: its bytes were asked for later, or
    /// else it was received (or validated) later. Equals are not younger than each other.
    pub(super) fn is_younger_than(&self, other: &Self) -> bool {
        (self.stamp.body(), self.received) > (other.stamp.body(), other.received)
    }

    /// How long it is of use yet: until it is stale, past all stale grants, and past `keep`, when its validators are
    /// no longer worth their place.
    pub(super) fn useful_for(&self, keep: Duration, now: Moment) -> Duration {
        self.terms().horizon(keep).saturating_sub(now.since(self.received))
    }

    /// What it is charged to.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        self.content.budget()
    }

    /// Bytes that it takes in all, content that it shares with others included.
    pub(super) fn size(&self) -> u64 {
        u64::from(self.charged) + self.content.size_apart()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.marks.let_go(self.size());
        self.content.budget().give_back(self.charged.into());
    }
}

impl Content {
    fn size_apart(&self) -> u64 {
        match self {
            Self::Behind { .. } => 0,
            Self::Apart(body) => body.size(),
        }
    }

    fn budget(&self) -> &Arc<Budget> {
        match self {
            Self::Behind { budget, .. } => budget,
            Self::Apart(body) => body.budget(),
        }
    }
}

impl More {
    /// `None`, if there is nothing of that kind to be said. `told` are the validators that the fields tell.
    pub(super) fn of(
        extent: Extent,
        terms: &Terms,
        validators: Validators,
        told: &Validators,
        variant: Variant,
        received_wall: SystemTime,
    ) -> Option<Box<Self>> {
        let validators = (validators != *told).then_some(validators);
        // Without `Date` it is the time of receipt that conditions are compared with.
        let is_rare = extent != Extent::Whole
            || !terms.omitted.is_empty()
            || validators.is_some()
            || told.date.is_none();
        let rare = is_rare
            .then(|| Box::new(Rare { extent, omitted: terms.omitted.clone(), validators, received_wall }));
        (rare.is_some() || !variant.is_of_all()).then(|| Box::new(Self { variant, rare }))
    }

    /// Bytes of the allocations that it is made of.
    pub(super) fn sizes(&self) -> [usize; 3] {
        [size_of::<Self>(), self.variant.size(), self.rare.as_deref().map_or(0, Rare::size)]
    }
}

impl Rare {
    fn size(&self) -> usize {
        let etag = self.validators.as_ref().and_then(|validators| validators.etag.as_ref());
        let etag = etag.map_or(0, |etag| etag.as_bytes().len());
        size_of::<Self>() + size_of_val(&*self.omitted) + etag
    }
}
