//! Finds what is stored under a key.
//!
//! A hash table in many parts, each behind a lock of its own, which is held for one look or one change: the table holds
//! one word for a resource, whose entry knows the key. What a change takes out is handed back, and so let go of where no
//! lock is held.

use std::hash::BuildHasher as _;
use std::mem;
use std::ops::RangeInclusive;

use hashbrown::HashTable;
use parking_lot::RwLock;

use crate::key::{CacheKey, KeyHash};
use crate::store::Resource;

/// Bytes that a key costs here, in tables that double when they are seven eighths full. Measured by `tests/overhead.rs`.
pub(super) const PER_KEY: usize = 32;
/// A part for so many bytes that may be stored: small enough that to double it, which is done under its lock, takes
/// some 0.1 ms.
const BYTES_PER_PART: u64 = 256 * 1024;
/// How many parts there are at least, so that threads rarely meet, and at most.
const PARTS: RangeInclusive<u64> = 16..=4096;
/// A part that is filled to less than this share, as a divisor, gives memory back.
const SPARSE: usize = 8;

/// Resources by key.
#[derive(Debug)]
pub(super) struct Index {
    parts: Box<[Part]>,
    hash: KeyHash,
}

/// On cache lines of its own: who looks something up writes to the lock, and its neighbour is not to feel that.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Part(RwLock<HashTable<Resource>>);

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
        let parts = (bytes / BYTES_PER_PART).clamp(*PARTS.start(), *PARTS.end());
        Self { parts: (0..parts).map(|_| Part::default()).collect(), hash: KeyHash::default() }
    }

    /// What is stored under a key.
    pub(super) fn get(&self, key: &CacheKey) -> Option<Resource> {
        let hash = self.hash.hash_one(key);
        self.part(hash)?.0.read().find(hash, |resource| resource.is_of(key)).cloned()
    }

    /// Changes what is stored under a key, and returns what was there if it is there no more. Changes of one key come one
    /// after the other; what `decide` does is done under a lock.
    pub(super) fn change(
        &self,
        key: &CacheKey,
        decide: impl FnOnce(Option<&Resource>) -> Change,
    ) -> Option<Resource> {
        let hash = self.hash.hash_one(key);
        let mut table = self.part(hash)?.0.write();
        match table.find_entry(hash, |resource| resource.is_of(key)) {
            Ok(mut slot) => match decide(Some(slot.get())) {
                Change::Keep => None,
                Change::Put(resource) => Some(mem::replace(slot.get_mut(), resource)),
                Change::Remove => Some(slot.remove().0),
            },
            Err(_) => {
                if let Change::Put(resource) = decide(None) {
                    table.insert_unique(hash, resource, |resource| self.hash_of(resource));
                }
                None
            }
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
            while place.slot < table.num_buckets() {
                if left == 0 {
                    return true;
                }
                if let Some(resource) = table.get_bucket(place.slot) {
                    see(resource);
                    left -= 1;
                }
                place.slot += 1;
            }
            let is_sparse = table.len() < table.capacity() / SPARSE;
            drop(table);
            if is_sparse {
                self.tighten(part);
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
        self.parts.iter().map(|part| part.0.read().capacity()).sum()
    }

    /// Bits that tables do not go by choose the part, and they are keyed as well: nobody can aim at one.
    fn part(&self, hash: u64) -> Option<&Part> {
        self.parts.get((hash >> 32) as u16 as usize % self.parts.len())
    }

    fn hash_of(&self, resource: &Resource) -> u64 {
        resource.key().map_or(0, |key| self.hash.hash_one(key))
    }

    fn tighten(&self, part: &Part) {
        let mut table = part.0.write();
        let room = 2 * table.len();
        table.shrink_to(room, |resource| self.hash_of(resource));
    }
}
