//! The tier in memory: moka behind a small API.
//!
//! moka decides what stays, by frequency and weight, and forgets what has outlived its use. What it decides lags behind
//! what was inserted, so its capacity is a share of the limit, and the [`Budget`] is the ceiling that holds at every
//! moment. All changes to one key go through `and_compute_with`, which runs them one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::sync::Cache;

use crate::clock::{Clock, Moment};
use crate::config;
use crate::key::{CacheKey, KeyHash};
use crate::store::budget::allocated;
use crate::store::{Budget, Charge, Entry, Reclaiming};
use crate::validity::Log;

/// The share of the limit that stored responses may take, in percent; the rest is for what is in flight and for the
/// log of purges.
const SHARE: u64 = 85;
/// moka weighs in 32 bits; in units of this many bytes no resource overflows them.
const UNIT: u64 = 64;
/// What a resource costs beyond its entries and its URL: its own frame, and the key's places in moka's table, queues and
/// timers. Measured by `tests/overhead.rs`.
const PER_RESOURCE: usize = 512;
/// moka's timers need not reach further.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// All stored responses to one key.
#[derive(Debug)]
pub struct Resource {
    /// Authority, path and query.
    pub url: Box<str>,
    /// Newest first.
    pub variants: Box<[Arc<Entry>]>,
    weight: u32,
    useful_for: Duration,
    /// For what heads and contents do not carry themselves.
    _charge: Charge,
}

/// A stored response, and where it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What was sent upstream.
    pub key: CacheKey,
    /// What else is stored under the key.
    pub resource: Arc<Resource>,
    /// The response.
    pub entry: Arc<Entry>,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is stored.
    Stored,
    /// What is stored is younger.
    Older,
    /// There is no memory for it.
    NoRoom,
}

/// What the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Charged, in bytes: stored, in flight, or still being sent.
    pub bytes: u64,
    /// Stored responses.
    pub entries: u64,
    /// The ceiling, in bytes.
    pub limit: u64,
    /// Stored responses dropped to make room, since the start.
    pub evictions: u64,
}

/// Stored responses by key. Shared by all threads.
#[derive(Debug)]
pub struct Store {
    cache: Cache<CacheKey, Arc<Resource>, KeyHash>,
    budget: Arc<Budget>,
    clock: Clock,
    keep: Duration,
    max_variants: usize,
    evictions: Arc<AtomicU64>,
    /// Stored responses, over all resources. INVARIANT: those of a resource are added before it is put, and taken off
    /// when moka lets go of it, which it tells exactly once for each; so it is never below zero.
    entries: Arc<AtomicU64>,
}

impl Store {
    /// An empty store within `budget`.
    pub fn new(config: &config::Cache, budget: Arc<Budget>, clock: Clock) -> Arc<Self> {
        let evictions = Arc::new(AtomicU64::new(0));
        let entries = Arc::new(AtomicU64::new(0));
        let (evicted, gone) = (evictions.clone(), entries.clone());
        let cache = Cache::builder()
            .max_capacity(budget.limit() / 100 * SHARE / UNIT)
            .weigher(|_: &CacheKey, resource: &Arc<Resource>| resource.weight)
            .expire_after(Usefulness)
            // It runs on whatever thread moka is at work on, so it must not do more than this.
            .eviction_listener(move |_, resource: Arc<Resource>, cause| {
                let variants = resource.variants.len() as u64;
                gone.fetch_sub(variants, Ordering::Relaxed);
                if cause == RemovalCause::Size {
                    evicted.fetch_add(variants, Ordering::Relaxed);
                }
            })
            .build_with_hasher(KeyHash::default());
        let (keep, max_variants) = (config.keep, config.max_variants.max(1));
        Arc::new(Self { cache, budget, clock, keep, max_variants, evictions, entries })
    }

    /// What is stored under a key. Takes no lock.
    pub fn get(&self, key: &CacheKey) -> Option<Arc<Resource>> {
        self.cache.get(key)
    }

    /// Stores an entry, in place of those that it makes useless: older ones of the same variant that it covers. Of
    /// too many variants the oldest goes.
    pub fn commit(&self, key: CacheKey, url: &str, entry: Arc<Entry>) -> Committed {
        let mut committed = Committed::Stored;
        self.cache.entry(key).and_compute_with(|stored| {
            let stored = stored.map(|stored| stored.into_value());
            let variants = stored.as_deref().map_or(&[][..], |resource| &resource.variants);
            let Some(variants) = self.merged(variants, &entry) else {
                committed = Committed::Older;
                return Op::Nop;
            };
            match self.resource(url, variants) {
                Some(resource) => self.put(resource),
                None => {
                    committed = Committed::NoRoom;
                    Op::Nop
                }
            }
        });
        self.relieve();
        committed
    }

    /// Puts `new` in the place of `old`, if `old` is still there and there is memory for it.
    pub fn replace(&self, key: &CacheKey, old: &Arc<Entry>, new: Arc<Entry>) -> bool {
        let mut replaced = false;
        new.succeed(old);
        self.edit(key, old, |resource, others| {
            let variants = std::iter::once(new).chain(others).collect();
            match self.resource(&resource.url, variants) {
                Some(resource) => {
                    replaced = true;
                    self.put(resource)
                }
                None => Op::Nop,
            }
        });
        replaced
    }

    /// Drops an entry, if it is still there.
    pub fn remove(&self, key: &CacheKey, entry: &Arc<Entry>) {
        self.edit(key, entry, |resource, others| self.put_or_remove(resource, others.collect()));
    }

    /// Drops all entries under a key that `is_useless`; the others stay.
    pub(super) fn remove_all(&self, key: &CacheKey, is_useless: impl Fn(&Arc<Entry>) -> bool) {
        self.cache.entry(*key).and_compute_with(|stored| {
            let Some(stored) = stored.map(|stored| stored.into_value()) else { return Op::Nop };
            let others: Vec<_> = stored.variants.iter().filter(|entry| !is_useless(entry)).cloned().collect();
            if others.len() == stored.variants.len() {
                return Op::Nop;
            }
            self.put_or_remove(&stored, others)
        });
    }

    /// Everything that is stored, dead or alive. A walk that takes no lock but all its time, so it is not for who
    /// serves; what is stored or dropped while it lasts may be seen or not.
    pub fn entries(&self) -> impl Iterator<Item = Stored> {
        self.cache.iter().flat_map(|(key, resource)| {
            let stored =
                |entry: &Arc<Entry>| Stored { key: *key, resource: resource.clone(), entry: entry.clone() };
            resource.variants.iter().map(stored).collect::<Vec<_>>()
        })
    }

    /// Begins to free what purges have killed.
    pub fn reclaim<'a>(&'a self, log: &'a Log) -> Reclaiming<'a> {
        Reclaiming::new(self, log, self.cache.iter())
    }

    /// What the store holds, for those who look.
    pub fn figures(&self) -> Figures {
        Figures {
            bytes: self.budget.used(),
            entries: self.entries.load(Ordering::Relaxed),
            limit: self.budget.limit(),
            evictions: self.evictions.load(Ordering::Relaxed),
        }
    }

    /// Evicts and expires.
    pub fn tick(&self) {
        self.cache.run_pending_tasks();
        if self.budget.is_short() {
            // What was dropped is let go when every thread is seen to have moved on, which takes moka's reclamation two
            // more looks.
            self.cache.run_pending_tasks();
            self.cache.run_pending_tasks();
        }
    }

    /// One round of housekeeping, on a thread of its own: waits until memory runs short, or for `at_most`, and makes
    /// room. As long as nobody calls this, those who store have to do it themselves.
    pub fn keep_house(&self, at_most: Duration) {
        self.budget.wait_until_short(at_most);
        self.tick();
    }

    fn relieve(&self) {
        if self.budget.is_short() && !self.budget.is_attended() {
            self.tick();
        }
    }

    /// Replaces a resource that holds `entry` by what `change` makes of it and of its other variants.
    fn edit(
        &self,
        key: &CacheKey,
        entry: &Arc<Entry>,
        change: impl FnOnce(&Resource, &mut dyn Iterator<Item = Arc<Entry>>) -> Op<Arc<Resource>>,
    ) {
        self.cache.entry(*key).and_compute_with(|stored| {
            let Some(stored) = stored.map(|stored| stored.into_value()) else { return Op::Nop };
            if !stored.variants.iter().any(|candidate| Arc::ptr_eq(candidate, entry)) {
                return Op::Nop;
            }
            let mut others =
                stored.variants.iter().filter(|candidate| !Arc::ptr_eq(candidate, entry)).cloned();
            change(&stored, &mut others)
        });
    }

    /// What is left of a resource, if anything is.
    fn put_or_remove(&self, resource: &Resource, left: Vec<Arc<Entry>>) -> Op<Arc<Resource>> {
        if left.is_empty() {
            return Op::Remove;
        }
        // Without memory for a smaller list the whole list goes: what is to be removed must.
        self.resource(&resource.url, left).map_or(Op::Remove, |resource| self.put(resource))
    }

    fn put(&self, resource: Arc<Resource>) -> Op<Arc<Resource>> {
        self.entries.fetch_add(resource.variants.len() as u64, Ordering::Relaxed);
        Op::Put(resource)
    }

    /// The variants with `entry` as the newest; `None` if what is stored is younger.
    fn merged(&self, stored: &[Arc<Entry>], entry: &Arc<Entry>) -> Option<Vec<Arc<Entry>>> {
        if stored.iter().any(|other| makes_useless(other, entry)) {
            return None;
        }
        stored.iter().filter(|other| replaces(entry, other)).for_each(|other| entry.succeed(other));
        let now = self.clock.moment();
        let kept =
            stored.iter().filter(|other| !replaces(entry, other) && !self.is_useless(other, now)).cloned();
        Some(std::iter::once(entry.clone()).chain(kept).take(self.max_variants).collect())
    }

    fn is_useless(&self, entry: &Entry, now: Moment) -> bool {
        entry.useful_for(self.keep, now).is_zero()
    }

    /// `None`: there is no memory for it.
    fn resource(&self, url: &str, variants: Vec<Arc<Entry>>) -> Option<Arc<Resource>> {
        let overhead: usize = variants.iter().map(|entry| entry.overhead() + size_of::<Arc<Entry>>()).sum();
        let own = PER_RESOURCE + allocated(url.len());
        let charge = self.budget.try_charge(own + overhead)?;
        let size = own as u64 + variants.iter().map(|entry| entry.size()).sum::<u64>();
        let now = self.clock.moment();
        // As long as any of its variants.
        let useful_for = variants.iter().map(|entry| entry.useful_for(self.keep, now)).max();
        Some(Arc::new(Resource {
            url: url.into(),
            variants: variants.into(),
            weight: u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX),
            useful_for: useful_for.unwrap_or_default().min(LONGEST),
            _charge: charge,
        }))
    }
}

/// Whether a stored entry leaves no use for a new one: it serves the same requests, and is younger. A part can do that
/// to a part only.
fn makes_useless(stored: &Entry, new: &Entry) -> bool {
    let covers = stored.is_whole() || !new.is_whole();
    let is_younger = if stored.is_whole() == new.is_whole() {
        stored.is_younger_than(new)
    } else {
        // A part that was asked for since the last purge may be of a newer whole than the stored one.
        stored.stamp.body() > new.stamp.body()
    };
    stored.variant == new.variant && covers && is_younger
}

/// Whether a new entry takes the place of a stored one: it serves the same requests. A whole takes that of parts too,
/// unless they are younger; a part leaves the whole alone.
fn replaces(new: &Entry, stored: &Entry) -> bool {
    let covers = match (new.is_whole(), stored.is_whole()) {
        (true, false) => new.stamp.body() >= stored.stamp.body(),
        (new, stored) => new == stored,
    };
    new.variant == stored.variant && covers
}

/// How long moka keeps a resource, unless it needs the room.
#[derive(Debug)]
struct Usefulness;

impl moka::Expiry<CacheKey, Arc<Resource>> for Usefulness {
    fn expire_after_create(&self, _: &CacheKey, resource: &Arc<Resource>, _: Instant) -> Option<Duration> {
        Some(resource.useful_for)
    }

    /// Without this the deadline of what was replaced would go on counting.
    fn expire_after_update(
        &self,
        _: &CacheKey,
        resource: &Arc<Resource>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(resource.useful_for)
    }
}

#[cfg(test)]
mod tests;
