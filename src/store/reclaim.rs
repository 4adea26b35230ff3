//! Frees what purges have killed, and what has outlived its use.
//!
//! Nothing dead is ever served, whether it is freed or not: every use is checked. So this is about memory only, and can
//! take its time: a walk over all that is stored, in steps between which its thread rests.

use crate::store::index::Place;
use crate::store::{Entry, Store};
use crate::validity::Log;

/// Resources that one step looks at. A step takes less than a tenth of a millisecond, for which a hit may have to wait where
/// there are as many busy threads as cores.
const STEP: usize = 16;

/// A walk over the store that removes what is dead or useless. What is stored while it lasts may be passed by.
pub struct Reclaiming<'a> {
    store: &'a Store,
    log: &'a Log,
    place: Place,
}

impl<'a> Reclaiming<'a> {
    pub(super) fn new(store: &'a Store, log: &'a Log) -> Self {
        Self { store, log, place: Place::default() }
    }

    /// Goes on for a bounded number of resources. Returns whether there is more to do.
    pub fn step(&mut self) -> bool {
        let now = self.store.now();
        let is_dead = |entry: &&Entry| {
            self.store.is_useless(entry, now) || self.log.check(&entry.marks, &entry.stamp).is_none()
        };
        let mut dead = Vec::new();
        let goes_on = self.store.index().look(&mut self.place, STEP, |resource| {
            dead.extend(resource.variants().filter(is_dead).cloned());
        });
        for entry in dead {
            self.store.remove(&entry);
        }
        goes_on
    }
}
