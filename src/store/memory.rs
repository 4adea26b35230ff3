//! The tier in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::sync::Cache;

use crate::clock::Clock;
use crate::config;
use crate::key::{CacheKey, KeyHash};
use crate::store::{Budget, Entry, Extent};

/// The share of the limit that stored responses may take, in percent; the rest is for what is in flight and for the
/// log of purges.
const SHARE: u64 = 85;
/// Above this share of the limit, in percent, room is made at once and not at the next tick.
const PRESSURE: u64 = 80;
/// moka weighs in 32 bits; in units of this many bytes no object overflows them.
const UNIT: u64 = 64;
/// What a resource costs beyond its entries: its key, its place in moka's tables and queues.
const PER_RESOURCE: u64 = 320;

/// All stored responses to one key.
#[derive(Debug)]
pub struct Resource {
    /// Authority, path and query.
    pub url: Box<str>,
    /// Newest first.
    pub variants: Box<[Arc<Entry>]>,
}

impl Resource {
    fn cost(&self) -> u64 {
        PER_RESOURCE + self.url.len() as u64 + self.variants.iter().map(|entry| entry.cost()).sum::<u64>()
    }
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is stored.
    Stored,
    /// What is stored was fetched later.
    Older,
}

/// What the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Charged, in bytes: stored, in flight, or still being sent.
    pub bytes: u64,
    /// Stored responses.
    pub entries: u64,
    /// The ceiling.
    pub limit: u64,
    /// Resources dropped to make room.
    pub evictions: u64,
}

/// Stored responses by key.
#[derive(Debug)]
pub struct Store {
    cache: Cache<CacheKey, Arc<Resource>, KeyHash>,
    budget: Arc<Budget>,
    max_variants: usize,
    evictions: Arc<AtomicU64>,
    /// Stored responses, over all resources: counted when a resource is put, and off again when moka lets go of it.
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
            .weigher(|_: &CacheKey, resource: &Arc<Resource>| {
                u32::try_from(resource.cost() / UNIT + 1).unwrap_or(u32::MAX)
            })
            .expire_after(Horizon { keep: config.keep, clock })
            .eviction_listener(move |_, resource: Arc<Resource>, cause| {
                gone.fetch_sub(resource.variants.len() as u64, Ordering::Relaxed);
                if cause == RemovalCause::Size {
                    evicted.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(KeyHash::default());
        Arc::new(Self { cache, budget, max_variants: config.max_variants.max(1), evictions, entries })
    }

    /// What is stored under a key.
    pub fn get(&self, key: &CacheKey) -> Option<Arc<Resource>> {
        self.cache.get(key)
    }

    /// Stores an entry, in place of an earlier one of the same variant and kind.
    pub fn commit(&self, key: CacheKey, url: &str, entry: Arc<Entry>) -> Committed {
        let mut committed = Committed::Stored;
        self.cache.entry(key).and_compute_with(|stored| {
            let stored = stored.map(|stored| stored.into_value());
            let variants = stored.as_deref().map_or(&[][..], |resource| &resource.variants);
            match merged(variants, &entry, self.max_variants) {
                Some(variants) => self.put(url, variants),
                None => {
                    committed = Committed::Older;
                    Op::Nop
                }
            }
        });
        if self.is_under_pressure() {
            self.cache.run_pending_tasks();
        }
        committed
    }

    /// Puts `new` in the place of `old`, if `old` is still there.
    pub fn replace(&self, key: &CacheKey, old: &Arc<Entry>, new: Arc<Entry>) -> bool {
        self.edit(key, old, |variants, place| {
            variants.remove(place);
            variants.insert(0, new.clone());
        })
    }

    /// Drops an entry, if it is still there.
    pub fn remove(&self, key: &CacheKey, entry: &Arc<Entry>) {
        self.edit(key, entry, |variants, place| {
            variants.remove(place);
        });
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

    /// Evicts and expires. For the housekeeping thread.
    pub fn tick(&self) {
        self.cache.run_pending_tasks();
    }

    /// Little memory is left.
    pub fn is_under_pressure(&self) -> bool {
        self.budget.used() > self.budget.limit() / 100 * PRESSURE
    }

    fn put(&self, url: &str, variants: Box<[Arc<Entry>]>) -> Op<Arc<Resource>> {
        self.entries.fetch_add(variants.len() as u64, Ordering::Relaxed);
        Op::Put(Arc::new(Resource { url: url.into(), variants }))
    }

    fn edit(
        &self,
        key: &CacheKey,
        entry: &Arc<Entry>,
        change: impl FnOnce(&mut Vec<Arc<Entry>>, usize),
    ) -> bool {
        let mut found = false;
        self.cache.entry(*key).and_compute_with(|stored| {
            let Some(stored) = stored.map(|stored| stored.into_value()) else { return Op::Nop };
            let Some(place) = stored.variants.iter().position(|candidate| Arc::ptr_eq(candidate, entry))
            else {
                return Op::Nop;
            };
            found = true;
            let mut variants = stored.variants.to_vec();
            change(&mut variants, place);
            if variants.is_empty() {
                return Op::Remove;
            }
            self.put(&stored.url, variants.into())
        });
        found
    }
}

/// The variants with `entry` among them, newest first; `None` if what is stored in its place is younger.
fn merged(stored: &[Arc<Entry>], entry: &Arc<Entry>, most: usize) -> Option<Box<[Arc<Entry>]>> {
    let replaces = |other: &Entry| {
        other.variant == entry.variant
            && match (&entry.extent, &other.extent) {
                (Extent::Whole, _) | (Extent::Part { .. }, Extent::Part { .. }) => true,
                (Extent::Part { .. }, Extent::Whole) => false,
            }
    };
    let is_younger = |other: &Entry| other.stamp.body() > entry.stamp.body();
    if stored.iter().any(|other| replaces(other) && is_younger(other)) {
        return None;
    }
    let kept = stored.iter().filter(|other| !replaces(other)).cloned();
    Some(std::iter::once(entry.clone()).chain(kept).take(most).collect())
}

/// A resource is kept as long as any of its variants is of use.
#[derive(Debug)]
struct Horizon {
    keep: Duration,
    clock: Clock,
}

impl Horizon {
    fn left(&self, resource: &Resource) -> Duration {
        let now = self.clock.moment();
        let left = |entry: &Arc<Entry>| entry.horizon(self.keep).saturating_sub(now.since(entry.received));
        resource.variants.iter().map(left).max().unwrap_or_default()
    }
}

impl moka::Expiry<CacheKey, Arc<Resource>> for Horizon {
    fn expire_after_create(
        &self,
        _: &CacheKey,
        resource: &Arc<Resource>,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(self.left(resource))
    }

    fn expire_after_update(
        &self,
        _: &CacheKey,
        resource: &Arc<Resource>,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.left(resource))
    }
}
