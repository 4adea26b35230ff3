//! The tier in memory: moka behind a small API.
//!
//! moka decides what stays, by frequency and weight. What it decides lags behind what was inserted, so its capacity is a
//! share of the limit, and the [`Budget`] is the ceiling that holds at every moment. All changes to one key go through
//! `and_compute_with`, which runs them one after the other.
//!
//! It does not look at the time: a timer for each key would cost more than most heads do. What has outlived its use
//! is taken out by who [walks](Reclaiming) over all that is stored.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::sync::Cache;

use crate::clock::{Clock, Moment};
use crate::config;
use crate::key::{CacheKey, KeyHash};
use crate::store::budget::{Tab, allocated};
use crate::store::{Budget, Entry, Reclaiming};
use crate::validity::Log;

/// The share of the limit that stored responses may take, in percent; the rest is for what is in flight and for the
/// log of purges.
const SHARE: u64 = 85;
/// moka weighs in 32 bits; in units of this many bytes no resource overflows them.
const UNIT: u64 = 64;
/// What a key costs in moka's table and queues. Measured by `tests/overhead.rs`.
const PER_KEY: usize = 288;

/// All stored responses to one key. Clones share them.
#[derive(Clone, Debug)]
pub struct Resource(Variants);

#[derive(Clone, Debug)]
enum Variants {
    /// Most resources have one; so they need no list.
    One(Arc<Entry>),
    Many(Arc<[Arc<Entry>]>),
}

impl Resource {
    /// `None` if there are none.
    fn of(mut variants: Vec<Arc<Entry>>) -> Option<Self> {
        match variants.len() {
            0 | 1 => variants.pop().map(Variants::One),
            _ => Some(Variants::Many(variants.into())),
        }
        .map(Self)
    }

    /// The responses, newest first.
    pub fn variants(&self) -> &[Arc<Entry>] {
        match &self.0 {
            Variants::One(only) => slice::from_ref(only),
            Variants::Many(list) => list,
        }
    }

    /// Bytes that it takes beside its entries, which carry their charges themselves.
    fn overhead(&self) -> usize {
        let list = match &self.0 {
            Variants::One(_) => 0,
            Variants::Many(list) => allocated(2 * size_of::<usize>() + size_of_val(&**list)),
        };
        PER_KEY + list
    }

    /// For moka: bytes in all, in units.
    fn weight(&self) -> u32 {
        let size = self.overhead() as u64 + self.variants().iter().map(|entry| entry.size()).sum::<u64>();
        u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX)
    }
}

/// A stored response, and where it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What was sent upstream.
    pub key: CacheKey,
    /// What else is stored under the key.
    pub resource: Resource,
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
    cache: Cache<CacheKey, Resource, KeyHash>,
    budget: Arc<Budget>,
    held: Arc<Held>,
    clock: Clock,
    keep: Duration,
    max_variants: usize,
}

/// What is stored, counted. INVARIANT: a resource is added before it is put, and taken off when moka lets go of it, which
/// it tells exactly once for each; so nothing here is ever below zero.
#[derive(Debug)]
struct Held {
    entries: AtomicU64,
    /// For the keys and the lists.
    charges: Tab,
    evictions: AtomicU64,
}

impl Held {
    /// Whether there is memory for it.
    fn add(&self, resource: &Resource) -> bool {
        let fits = self.charges.add(resource.overhead());
        if fits {
            self.entries.fetch_add(resource.variants().len() as u64, Ordering::Relaxed);
        }
        fits
    }

    fn take_off(&self, resource: &Resource, cause: RemovalCause) {
        let variants = resource.variants().len() as u64;
        self.charges.take_off(resource.overhead());
        self.entries.fetch_sub(variants, Ordering::Relaxed);
        if cause == RemovalCause::Size {
            self.evictions.fetch_add(variants, Ordering::Relaxed);
        }
    }
}

impl Store {
    /// An empty store within `budget`.
    pub fn new(config: &config::Cache, budget: Arc<Budget>, clock: Clock) -> Arc<Self> {
        let held = Arc::new(Held {
            entries: AtomicU64::new(0),
            charges: Tab::new(budget.clone()),
            evictions: AtomicU64::new(0),
        });
        let gone = held.clone();
        let cache = Cache::builder()
            .max_capacity(budget.limit() / 100 * SHARE / UNIT)
            .weigher(|_: &CacheKey, resource: &Resource| resource.weight())
            // It runs on whatever thread moka is at work on, so it must not do more than this.
            .eviction_listener(move |_, resource: Resource, cause| gone.take_off(&resource, cause))
            .build_with_hasher(KeyHash::default());
        let (keep, max_variants) = (config.keep, config.max_variants.max(1));
        Arc::new(Self { cache, budget, held, clock, keep, max_variants })
    }

    /// What is stored under a key. Takes no lock.
    pub fn get(&self, key: &CacheKey) -> Option<Resource> {
        self.cache.get(key)
    }

    /// Stores an entry, in place of those that it makes useless: older ones of the same variant that it covers. Of
    /// too many variants the oldest goes.
    pub fn commit(&self, key: CacheKey, entry: Arc<Entry>) -> Committed {
        let mut committed = Committed::Stored;
        self.cache.entry(key).and_compute_with(|stored| {
            let stored = stored.map(|stored| stored.into_value());
            let variants = stored.as_ref().map_or(&[][..], Resource::variants);
            let Some(variants) = self.merged(variants, &entry) else {
                committed = Committed::Older;
                return Op::Nop;
            };
            self.put(variants).unwrap_or_else(|| {
                committed = Committed::NoRoom;
                Op::Nop
            })
        });
        self.relieve();
        committed
    }

    /// Puts `new` in the place of `old`, if `old` is still there and there is memory for it.
    pub fn replace(&self, key: &CacheKey, old: &Arc<Entry>, new: Arc<Entry>) -> bool {
        let mut replaced = false;
        new.succeed(old);
        self.edit(key, old, |others| {
            let put = self.put(std::iter::once(new).chain(others).collect());
            replaced = put.is_some();
            put.unwrap_or(Op::Nop)
        });
        replaced
    }

    /// Drops an entry, if it is still there.
    pub fn remove(&self, key: &CacheKey, entry: &Arc<Entry>) {
        self.edit(key, entry, |others| self.put(others.collect()).unwrap_or(Op::Remove));
    }

    /// Drops all entries under a key that `is_useless`; the others stay.
    pub(super) fn remove_all(&self, key: &CacheKey, is_useless: impl Fn(&Arc<Entry>) -> bool) {
        self.cache.entry(*key).and_compute_with(|stored| {
            let Some(stored) = stored.map(|stored| stored.into_value()) else { return Op::Nop };
            let variants = stored.variants();
            let others: Vec<_> = variants.iter().filter(|entry| !is_useless(entry)).cloned().collect();
            if others.len() == variants.len() {
                return Op::Nop;
            }
            // Without memory for a smaller list the whole list goes: what is to be removed must.
            self.put(others).unwrap_or(Op::Remove)
        });
    }

    /// Everything that is stored, dead or alive. A walk that takes no lock but all its time, so it is not for who
    /// serves; what is stored or dropped while it lasts may be seen or not.
    pub fn entries(&self) -> impl Iterator<Item = Stored> {
        self.cache.iter().flat_map(|(key, resource)| {
            let stored =
                |entry: &Arc<Entry>| Stored { key: *key, resource: resource.clone(), entry: entry.clone() };
            resource.variants().iter().map(stored).collect::<Vec<_>>()
        })
    }

    /// Begins to free what purges have killed and what has outlived its use.
    pub fn reclaim<'a>(&'a self, log: &'a Log) -> Reclaiming<'a> {
        Reclaiming::new(self, log, self.cache.iter())
    }

    /// What the store holds, for those who look.
    pub fn figures(&self) -> Figures {
        Figures {
            bytes: self.budget.used(),
            entries: self.held.entries.load(Ordering::Relaxed),
            limit: self.budget.limit(),
            evictions: self.held.evictions.load(Ordering::Relaxed),
        }
    }

    /// Evicts what is too much.
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
        change: impl FnOnce(&mut dyn Iterator<Item = Arc<Entry>>) -> Op<Resource>,
    ) {
        self.cache.entry(*key).and_compute_with(|stored| {
            let Some(stored) = stored.map(|stored| stored.into_value()) else { return Op::Nop };
            let variants = stored.variants();
            if !variants.iter().any(|candidate| Arc::ptr_eq(candidate, entry)) {
                return Op::Nop;
            }
            change(&mut variants.iter().filter(|candidate| !Arc::ptr_eq(candidate, entry)).cloned())
        });
    }

    /// What puts these in the place of what is stored, or removes that if they are none. `None`: there is no memory for
    /// them.
    fn put(&self, variants: Vec<Arc<Entry>>) -> Option<Op<Resource>> {
        match Resource::of(variants) {
            Some(resource) => self.held.add(&resource).then_some(Op::Put(resource)),
            None => Some(Op::Remove),
        }
    }

    /// The variants with `entry` as the newest; `None` if what is stored is younger.
    fn merged(&self, stored: &[Arc<Entry>], entry: &Arc<Entry>) -> Option<Vec<Arc<Entry>>> {
        if stored.iter().any(|other| makes_useless(other, entry)) {
            return None;
        }
        stored.iter().filter(|other| replaces(entry, other)).for_each(|other| entry.succeed(other));
        let now = self.now();
        let kept =
            stored.iter().filter(|other| !replaces(entry, other) && !self.is_useless(other, now)).cloned();
        Some(std::iter::once(entry.clone()).chain(kept).take(self.max_variants).collect())
    }

    /// Whether an entry has outlived its use.
    pub(super) fn is_useless(&self, entry: &Entry, now: Moment) -> bool {
        entry.useful_for(self.keep, now).is_zero()
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.moment()
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
    stored.variant() == new.variant() && covers && is_younger
}

/// Whether a new entry takes the place of a stored one: it serves the same requests. A whole takes that of parts too,
/// unless they are younger; a part leaves the whole alone.
fn replaces(new: &Entry, stored: &Entry) -> bool {
    let covers = match (new.is_whole(), stored.is_whole()) {
        (true, false) => new.stamp.body() >= stored.stamp.body(),
        (new, stored) => new == stored,
    };
    new.variant() == stored.variant() && covers
}

#[cfg(test)]
mod tests;
