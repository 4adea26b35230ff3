//! The tier in memory: an [index](Index) with bounds.
//!
//! Stored responses may take a share of the limit; when they take more, a [hand](Hand) goes round and takes out what is
//! worth least. That is housekeeping, and lags behind what is stored, so the [`Budget`] is the ceiling that holds at every
//! moment.
//!
//! Nothing here looks at the time by itself: a timer for each key would cost more than most heads do. What has outlived
//! its use is taken out by who [walks](Reclaiming) over all that is stored.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Clock, Moment};
use crate::config;
use crate::key::CacheKey;
use crate::store::budget::Tab;
use crate::store::eviction::Hand;
use crate::store::ghosts::Ghosts;
use crate::store::index::{self, Change, Index};
use crate::store::{Budget, Entry, NewEntry, Reclaiming, Resource};
use crate::validity::Log;

/// The share of the limit that stored responses may take, in percent; the rest is for what is in flight and for the
/// log of purges.
const SHARE: u64 = 85;
/// Responses that are evicted in one go at most; then other housekeeping has its turn.
const AT_ONCE: usize = 32_768;
/// So many hits tell that more are to come. Up to here they are counted one by one.
const OFTEN: u32 = 8;

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
    index: Index,
    held: Held,
    /// What may be stored, in bytes.
    capacity: u64,
    hand: Mutex<Hand>,
    ghosts: Ghosts,
    budget: Arc<Budget>,
    clock: Clock,
    keep: Duration,
    max_variants: usize,
}

/// What is stored, counted. INVARIANT: a resource is added before it is put into the index, and taken off once, when it is
/// there no more; so nothing here is ever below zero.
#[derive(Debug)]
struct Held {
    entries: AtomicU64,
    /// That they take in all.
    bytes: AtomicU64,
    /// For the keys and the lists.
    charges: Tab,
    evictions: AtomicU64,
}

impl Held {
    /// Whether there is memory for it.
    fn add(&self, resource: &Resource) -> bool {
        let fits = self.charges.add(beside(resource));
        if fits {
            self.entries.fetch_add(resource.variants().count() as u64, Ordering::Relaxed);
            self.bytes.fetch_add(size(resource), Ordering::Relaxed);
        }
        fits
    }

    fn take_off(&self, resource: &Resource) {
        self.charges.take_off(beside(resource));
        self.entries.fetch_sub(resource.variants().count() as u64, Ordering::Relaxed);
        self.bytes.fetch_sub(size(resource), Ordering::Relaxed);
    }
}

/// Bytes that a resource takes beside its entries, which carry their charges themselves.
fn beside(resource: &Resource) -> usize {
    index::PER_KEY + resource.list_size()
}

/// Bytes in all.
fn size(resource: &Resource) -> u64 {
    beside(resource) as u64 + resource.variants().map(|entry| entry.size()).sum::<u64>()
}

impl Store {
    /// An empty store within `budget`.
    pub fn new(config: &config::Cache, budget: Arc<Budget>, clock: Clock) -> Arc<Self> {
        let capacity = budget.limit() / 100 * SHARE;
        let held = Held {
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            charges: Tab::new(budget.clone()),
            evictions: AtomicU64::new(0),
        };
        Arc::new(Self {
            index: Index::new(capacity),
            held,
            capacity,
            hand: Mutex::default(),
            ghosts: Ghosts::new(capacity, budget.clone()),
            budget,
            clock,
            keep: config.keep,
            max_variants: config.max_variants.max(1),
        })
    }

    /// What is stored under a key. Holds a lock for one look into a table.
    pub fn get(&self, key: &CacheKey) -> Option<Resource> {
        self.index.view(key, |resource| {
            resource.prefetch_rest();
            resource.clone()
        })
    }

    /// Stores an entry, in place of those that it makes useless: older ones of the same variant that it covers. Of
    /// too many variants the oldest goes.
    pub fn commit(&self, entry: Entry) -> Committed {
        let mut committed = Committed::Stored;
        self.change(&entry.key, |stored| {
            if stored.is_none() && self.ghosts.take(&entry.key) {
                entry.count_hit();
            }
            let variants = stored.map_or_else(Vec::new, Resource::to_vec);
            let Some(variants) = self.merged(&variants, &entry) else {
                committed = Committed::Older;
                return Change::Keep;
            };
            self.put(variants).unwrap_or_else(|| {
                committed = Committed::NoRoom;
                Change::Keep
            })
        });
        self.relieve();
        committed
    }

    /// Puts `new` in the place of `old`, if `old` is still there and there is memory for it.
    pub fn replace(&self, old: &Entry, new: Entry) -> bool {
        let mut replaced = false;
        new.succeed(old);
        self.edit(old, |others| {
            let put = self.put(iter::once(new).chain(others));
            replaced = put.is_some();
            put.unwrap_or(Change::Keep)
        });
        replaced
    }

    /// Counts a request that is answered with an entry. Long content that is asked for often is moved to where the kernel can
    /// send it without a copy: to have it there takes as much time as a few hits save.
    pub fn count_hit(&self, entry: &Entry) {
        entry.count_hit();
        if entry.heat() == OFTEN
            && let Some(body) = entry.body().to_send()
            && let Some(parts) = entry.parts(&self.budget)
            && let Some(moved) = Entry::new(NewEntry { body, ..parts })
        {
            self.exchange(entry, &moved);
        }
    }

    /// Puts `new` where `old` is, of the same age, if that is still there and there is memory for it.
    fn exchange(&self, old: &Entry, new: &Entry) {
        new.succeed(old);
        let exchanged = |entry: Entry| if entry.is(old) { new.clone() } else { entry };
        self.change(&old.key, |stored| {
            let stored = stored.filter(|stored| stored.has(old));
            let put = stored.and_then(|stored| self.put(stored.to_vec().into_iter().map(exchanged)));
            put.unwrap_or(Change::Keep)
        });
    }

    /// Drops an entry, if it is still there.
    pub fn remove(&self, entry: &Entry) {
        self.take_out(entry);
    }

    /// Everything that is stored, dead or alive. A walk that takes its time, so it is not for who serves; what is stored or
    /// dropped while it lasts may be seen or not.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.index.iter().flat_map(|resource| resource.to_vec())
    }

    /// Begins to free what purges have killed and what has outlived its use.
    pub fn reclaim<'a>(&'a self, log: &'a Log) -> Reclaiming<'a> {
        Reclaiming::new(self, log)
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

    /// Evicts what is too much. One does, while others go on.
    pub fn tick(&self) {
        let Some(mut hand) = self.hand.try_lock() else { return };
        let now = self.now();
        let mut next = || hand.next(&self.index, |entry| self.is_useless(entry, now));
        for _ in 0..AT_ONCE {
            if !self.is_too_full() {
                return;
            }
            let Some(entry) = next() else { return };
            if self.take_out(&entry) {
                self.held.evictions.fetch_add(1, Ordering::Relaxed);
                self.ghosts.add(&entry.key);
            }
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

    /// Returns whether it was there.
    fn take_out(&self, entry: &Entry) -> bool {
        // Without memory for a smaller list the whole list goes: what is to be removed must.
        self.edit(entry, |others| self.put(others).unwrap_or(Change::Remove))
    }

    fn is_too_full(&self) -> bool {
        self.held.bytes.load(Ordering::Relaxed) > self.capacity
    }

    fn change(&self, key: &CacheKey, decide: impl FnOnce(Option<&Resource>) -> Change) {
        if let Some(gone) = self.index.change(key, decide) {
            self.held.take_off(&gone);
        }
    }

    /// Replaces a resource that holds `entry` by what `change` makes of its other variants. Returns whether it was
    /// there.
    fn edit(&self, entry: &Entry, change: impl FnOnce(&mut dyn Iterator<Item = Entry>) -> Change) -> bool {
        let mut was_there = false;
        self.change(&entry.key, |stored| {
            let Some(stored) = stored.filter(|stored| stored.has(entry)) else { return Change::Keep };
            was_there = true;
            let variants = stored.to_vec().into_iter();
            change(&mut variants.filter(|other| !other.is(entry)))
        });
        was_there
    }

    /// What puts these in the place of what is stored, or removes that if they are none. `None`: there is no memory for
    /// them.
    fn put(&self, variants: impl Iterator<Item = Entry>) -> Option<Change> {
        match Resource::of(variants) {
            Some(resource) => self.held.add(&resource).then_some(Change::Put(resource)),
            None => Some(Change::Remove),
        }
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// The variants with `entry` as the newest; `None` if what is stored is younger.
    fn merged(&self, stored: &[Entry], entry: &Entry) -> Option<impl Iterator<Item = Entry>> {
        if stored.iter().any(|other| makes_useless(other, entry)) {
            return None;
        }
        stored.iter().filter(|other| replaces(entry, other)).for_each(|other| entry.succeed(other));
        let now = self.now();
        let kept = stored
            .iter()
            .filter(move |other| !replaces(entry, other) && !self.is_useless(other, now))
            .cloned();
        Some(iter::once(entry.clone()).chain(kept).take(self.max_variants))
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
