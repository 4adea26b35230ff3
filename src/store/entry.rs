//! A stored response.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use http::header::CONTENT_LANGUAGE;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::allocator::allocated;
use crate::clock::Moment;
use crate::key::CacheKey;
use crate::policy::freshness::Terms;
use crate::policy::validation::Validators;
use crate::policy::vary::Variant;
use crate::store::fields::{Fields, PackedFields};
use crate::store::head;
use crate::store::heat::Heat;
use crate::store::prefetch::prefetch;
use crate::store::span::Span;
use crate::store::{Budget, Head, Sealed};
use crate::validity::{Marks, Stamp};

/// Bytes of an entry with the count of those who have it.
const PER_ENTRY: usize = allocated(size_of::<Entry>() + size_of::<usize>());

/// An entry as those who have it share it. Nobody has a weak handle, so no such are counted.
pub type SharedEntry = triomphe::Arc<Entry>;

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
    /// What was sent upstream.
    pub key: CacheKey,
    /// Status and fields.
    pub head: Head,
    /// Content.
    pub body: Sealed,
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
///
/// There may be millions: what many of them do without lies apart, what the fields tell is read there, and what it is charged
/// to, its content knows. The rest, with the count of those who have it, just fills a size that the allocator has: two bytes
/// more would take 32.
#[derive(Debug)]
pub struct Entry {
    /// What was sent upstream.
    pub key: CacheKey,
    /// Its status.
    pub status: StatusCode,
    /// `None`: they lie behind the content, where there was room for them. Then a look at one waits for both.
    fields: Option<PackedFields>,
    /// Content.
    pub body: Sealed,
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
    /// Bytes of the content's budget, for all but the content. Given back on drop.
    charged: u32,
}

/// What many entries do without, behind one word of theirs.
#[derive(Debug)]
struct More {
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

impl Entry {
    /// An entry that nobody has asked for yet. `None`: there is no memory for it.
    pub fn new(parts: NewEntry) -> Option<Self> {
        let NewEntry {
            key,
            mut head,
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
        let told = head.fields().validators();
        let date = told.date;
        let validators = (validators != told).then_some(validators);
        // Without `Date` it is the time of receipt that conditions are compared with.
        let is_rare =
            extent != Extent::Whole || !terms.omitted.is_empty() || validators.is_some() || date.is_none();
        let rare = is_rare
            .then(|| Box::new(Rare { extent, omitted: terms.omitted.clone(), validators, received_wall }));
        let more = (rare.is_some() || !variant.is_of_all()).then(|| Box::new(More { variant, rare }));
        let [of_more, of_variant, of_rare] = more.as_deref().map_or([0; 3], More::sizes);
        let lists = [of_more, of_variant, of_rare, body.list_size(), marks.size()];
        let overhead = lists.into_iter().map(allocated).sum::<usize>();
        debug_assert!(Arc::ptr_eq(head.budget(), body.budget()), "taken from where it will be given back");
        if !head.charge_more(PER_ENTRY + overhead) {
            return None;
        }
        let head::Parts { fields, status, charged } = head.into_parts();
        let (fields, body, charged) = match body.with_behind(fields.as_bytes()) {
            Some(both) => {
                // Charged with the content now.
                let freed = fields.size() as u32;
                both.budget().give_back(freed.into());
                (None, both, charged - freed)
            }
            None => (Some(fields), body, charged),
        };
        let entry = Self {
            key,
            status,
            fields,
            body,
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
        entry.marks.hold(entry.tallied());
        Some(entry)
    }

    /// Bytes that count in the tallies of what it answers to.
    fn tallied(&self) -> u64 {
        self.fields.as_ref().map_or(0, PackedFields::size) as u64 + self.body.size()
    }

    /// Says that fields and content will be read soon, which lie apart from it.
    pub(super) fn prefetch_rest(&self) {
        if let Some(fields) = &self.fields {
            prefetch(fields.as_bytes());
        }
        self.body.prefetch();
    }

    /// Says that its [size](Self::size) will be asked for soon, some of which lies apart from it.
    pub(super) fn prefetch_size(&self) {
        self.body.prefetch_size();
    }

    /// What this entry is made of, to make another like it. `None`: there is no memory for a copy of its head.
    pub fn parts(&self, budget: &Arc<Budget>) -> Option<NewEntry> {
        let validators = self.validators().into_owned();
        Some(NewEntry {
            key: self.key,
            head: Head::charged(self.status, self.fields().to_packed(), budget)?,
            body: self.body.clone(),
            extent: self.extent().clone(),
            terms: self.terms(),
            received_wall: self.received_wall(&validators),
            validators,
            variant: self.variant().clone(),
            received: self.received,
            marks: self.marks.clone(),
            stamp: self.stamp.clone(),
        })
    }

    /// Its fields.
    pub fn fields(&self) -> Fields<'_> {
        self.fields.as_ref().map_or_else(|| Fields::of(self.body.behind()), PackedFields::view)
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

    /// What it can be validated by.
    pub fn validators(&self) -> Cow<'_, Validators> {
        match self.rare().and_then(|rare| rare.validators.as_ref()) {
            Some(validators) => Cow::Borrowed(validators),
            None => Cow::Owned(self.fields().validators()),
        }
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

    /// Whether a request with these fields selects it (RFC 9111 §4.1).
    pub fn selected_by(&self, request: &HeaderMap) -> bool {
        let variant = self.variant();
        variant.is_of_all() || variant.matches(request, || self.fields().get(&CONTENT_LANGUAGE))
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
    pub(super) fn succeed(&self, old: &Entry) {
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
    pub(super) fn is_younger_than(&self, other: &Entry) -> bool {
        (self.stamp.body(), self.received) > (other.stamp.body(), other.received)
    }

    /// How long it is of use yet: until it is stale, past all stale grants, and past `keep`, when its validators are
    /// no longer worth their place.
    pub(super) fn useful_for(&self, keep: Duration, now: Moment) -> Duration {
        self.terms().horizon(keep).saturating_sub(now.since(self.received))
    }

    /// Bytes that it takes in all, content that it shares with others included.
    pub(super) fn size(&self) -> u64 {
        u64::from(self.charged) + self.body.size()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.marks.let_go(self.tallied());
        self.body.budget().give_back(self.charged.into());
    }
}

impl More {
    /// Bytes of the allocations that it is made of.
    fn sizes(&self) -> [usize; 3] {
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
