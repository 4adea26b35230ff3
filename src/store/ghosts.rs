//! What was evicted not long ago.
//!
//! Who comes back soon after it had to go was evicted too early: when it is stored again it counts as asked for once, and so
//! stays longer than what comes for the first time. Caches call such memories ghosts.

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};

use crate::key::{CacheKey, KeyHash};
use crate::store::{Budget, Charge};

/// Bytes of room for each place: some places for each response of the usual sizes.
const BYTES_PER_PLACE: u64 = 512;
/// How many there are at most.
const MOST: u64 = 1 << 25;

/// Prints of keys, each in the place that it hashes to, until another takes it. A print is of 15 bits: one key in thousands is
/// taken for another, which does no harm.
#[derive(Debug)]
pub(super) struct Ghosts {
    /// Made when the first is evicted: many stores never fill up.
    places: OnceLock<Places>,
    /// How many there are to be.
    count: usize,
    hash: KeyHash,
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Places {
    /// Zero: nobody's.
    prints: Box<[AtomicU16]>,
    _charge: Charge,
}

impl Ghosts {
    /// None yet, for a store of so many bytes.
    pub(super) fn new(bytes: u64, budget: Arc<Budget>) -> Self {
        let count = (bytes / BYTES_PER_PLACE).min(MOST) as usize;
        Self { places: OnceLock::new(), count, hash: KeyHash::default(), budget }
    }

    /// This was evicted.
    pub(super) fn add(&self, key: &CacheKey) {
        if self.places.get().is_none() {
            self.make_places();
        }
        if let Some((place, print)) = self.place(key) {
            place.store(print, Ordering::Relaxed);
        }
    }

    /// Whether it was not long ago; from now on, it was not.
    pub(super) fn take(&self, key: &CacheKey) -> bool {
        let Some((place, print)) = self.place(key) else { return false };
        let is_there = place.load(Ordering::Relaxed) == print;
        if is_there {
            place.store(0, Ordering::Relaxed);
        }
        is_there
    }

    /// Without memory for them there are none until there is.
    fn make_places(&self) {
        if let Some(charge) = self.budget.try_charge(self.count * size_of::<AtomicU16>()) {
            let prints = (0..self.count).map(|_| AtomicU16::new(0)).collect();
            self.places.get_or_init(|| Places { prints, _charge: charge });
        }
    }

    fn place(&self, key: &CacheKey) -> Option<(&AtomicU16, u16)> {
        let prints = &self.places.get()?.prints;
        let hash = self.hash.hash_one(key);
        let place = (hash as usize).checked_rem(prints.len())?;
        Some((prints.get(place)?, (hash >> 48) as u16 | 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> CacheKey {
        CacheKey::of("http", "h", &format!("/{number}"))
    }

    #[test]
    fn who_was_evicted_is_known_once() {
        let ghosts = Ghosts::new(1 << 20, Budget::new(1 << 20));
        assert!(!ghosts.take(&key(0)));
        ghosts.add(&key(0));
        assert!(!ghosts.take(&key(1)));
        assert!(ghosts.take(&key(0)));
        assert!(!ghosts.take(&key(0)));
    }

    #[test]
    fn the_last_of_many_are_known_and_few_strangers_are_taken_for_one() {
        let ghosts = Ghosts::new(1 << 20, Budget::new(1 << 20));
        (0..10_000).for_each(|number| ghosts.add(&key(number)));
        let known =
            |numbers: std::ops::Range<usize>| numbers.filter(|number| ghosts.take(&key(*number))).count();
        assert!(known(20_000..30_000) < 20);
        assert!(known(9_900..10_000) > 80);
        assert!(known(0..100) < 20);
    }

    #[test]
    fn without_memory_for_them_there_are_none() {
        let budget = Budget::new(10_000);
        let ghosts = Ghosts::new(1 << 20, budget.clone());
        let full = budget.try_charge(9_000);
        ghosts.add(&key(0));
        assert!(!ghosts.take(&key(0)));
        drop(full);
        ghosts.add(&key(0));
        assert!(ghosts.take(&key(0)));
    }
}
