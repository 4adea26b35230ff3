//! Finds what is stored under a key.
//!
//! A hash table in many parts, each behind a lock of its own, which is held for one look or one change: the table holds
//! one word for a resource, whose entry knows the key. What a change takes out is handed back, and so let go of where no
//! lock is held.

use std::hash::BuildHasher as _;

use parking_lot::RwLock;

use crate::key::{CacheKey, KeyHash};
use crate::store::Resource;
use crate::table::Table;

/// Bytes that a key costs here: a word and its share of a bucket, in a table that may have been fuller. Measured by
/// `tests/overhead.rs`.
pub(super) const PER_KEY: usize = 24;
/// A part for so many bytes that may be stored: some thousand responses, so that their prints differ as a rule, and that
/// it is not long that a part grows, as it does under its lock. With smaller parts, of which there are more, the locks do not
/// stay in a cache of the processor's.
const BYTES_PER_PART: u64 = 4 * 1024 * 1024;
/// How many parts there are at least, so that threads rarely meet.
const FEWEST_PARTS: u64 = 16;

/// A bucket of a table is a cache line.
const _: () = assert!(size_of::<Option<Resource>>() == size_of::<usize>());

/// Resources by key.
#[derive(Debug)]
pub(super) struct Index {
    parts: Box<[Part]>,
    hash: KeyHash,
}

/// On cache lines of its own: who looks something up writes to the lock, and its neighbour is not to feel that.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Part(RwLock<Table<Resource>>);

/// What is to become of what is stored under a key.
#[derive(Debug)]
pub(super) enum Change {
    /// Nothing: it stays.
    Keep,
    /// This takes its place.
    Put(Resource),
    /// It goes.
    Remove,
}

/// Where a walk over all resources is. Two that are at the same place see the same next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    part: usize,
    slot: usize,
}

impl Index {
    /// An empty one, for resources of so many bytes in all.
    pub(super) fn new(bytes: u64) -> Self {
        let parts = (bytes / BYTES_PER_PART).max(FEWEST_PARTS);
        Self { parts: (0..parts).map(|_| Part::default()).collect(), hash: KeyHash::default() }
    }

    /// Shows what is stored under a key. What `see` does is done under a lock.
    pub(super) fn view<T>(&self, key: &CacheKey, see: impl FnOnce(&Resource) -> T) -> Option<T> {
        let (part, print) = self.place(key)?;
        let table = part.0.read();
        let is_it = |resource: &Resource| {
            resource.prefetch();
            resource.is_of(key)
        };
        table.get(table.find(print, is_it)?).map(see)
    }

    /// Changes what is stored under a key, and returns what was there if it is there no more. Changes of one key come one
    /// after the other; what `decide` does is done under a lock.
    pub(super) fn change(
        &self,
        key: &CacheKey,
        decide: impl FnOnce(Option<&Resource>) -> Change,
    ) -> Option<Resource> {
        let (part, print) = self.place(key)?;
        let mut table = part.0.write();
        let place = table.find(print, |resource| resource.is_of(key));
        match (decide(place.and_then(|place| table.get(place))), place) {
            (Change::Put(resource), Some(place)) => table.replace(place, resource),
            (Change::Remove, Some(place)) => table.take(place),
            (Change::Put(resource), None) => {
                table.insert(print, resource);
                None
            }
            (Change::Keep, _) | (Change::Remove, None) => None,
        }
    }

    /// Shows up to `most` resources from a place on, and moves the place behind them; a part at a time, under its lock.
    /// Returns whether there are more before the end, after which the place is at the beginning again. Parts that it
    /// leaves almost empty give memory back.
    ///
    /// What is stored or removed between two calls may be seen or not. So may, rarely, what stays: when its part grows,
    /// or another walk leaves it.
    pub(super) fn look(&self, place: &mut Place, most: usize, mut see: impl FnMut(&Resource)) -> bool {
        let mut left = most;
        while let Some(part) = self.parts.get(place.part) {
            let table = part.0.read();
            while place.slot < table.places() {
                if left == 0 {
                    return true;
                }
                if let Some(resource) = table.get(place.slot) {
                    see(resource);
                    left -= 1;
                }
                place.slot += 1;
            }
            let is_sparse = table.is_sparse();
            drop(table);
            if is_sparse {
                part.0.write().tighten();
            }
            *place = Place { part: place.part + 1, slot: 0 };
        }
        *place = Place::default();
        false
    }

    /// All resources, a part at a time: each that is there all the while is seen once.
    pub(super) fn iter(&self) -> impl Iterator<Item = Resource> {
        self.parts.iter().flat_map(|part| part.0.read().iter().cloned().collect::<Vec<_>>())
    }

    /// For how many resources there is room before a table grows.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.parts.iter().map(|part| part.0.read().room()).sum()
    }

    /// In which part a key is, and under which print. The part is chosen by other bits than those of the print, and they
    /// are keyed as well: nobody can aim at one.
    fn place(&self, key: &CacheKey) -> Option<(&Part, u16)> {
        let hash = self.hash.hash_one(key);
        let part = (u128::from(hash) * self.parts.len() as u128) >> u64::BITS;
        Some((self.parts.get(part as usize)?, hash as u16))
    }
}
