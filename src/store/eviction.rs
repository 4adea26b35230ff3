//! What goes when there is too much.
//!
//! A hand goes round over all that is stored, as in the CLOCK family of algorithms. It looks at some responses at a time, and
//! of these the ones that are worth least go; those that it spares cool down, so that what nobody asks for any more
//! loses its worth at the pace at which room is needed. There are no queues, so a response costs nothing here but
//! its count of hits, and a hit changes nothing but that.
//!
//! A response is worth the hits that it has, over the square root of its size: between keeping as many responses as
//! possible and as many bytes. `docs/performance.md` has hit ratios beside those of other algorithms.

use triomphe::ArcBorrow;

use crate::key::CacheKey;
use crate::store::index::{Index, Place};
use crate::store::{Entry, Resource, SharedEntry};

/// Resources that are compared with each other.
const LOOKED_AT: usize = 64;
/// The share of them that goes, as a divisor.
const OUT: usize = 8;

/// Goes round over what is stored.
#[derive(Debug, Default)]
pub(super) struct Hand {
    place: Place,
    /// What goes next, from the end; as long as there is need of room. Being here keeps nothing alive.
    picked: Vec<Picked>,
}

/// Where an entry is, if it is still there. Should another one of that key have come to lie in its place meanwhile, it is
/// that one's bad luck.
#[derive(Debug)]
struct Picked {
    key: CacheKey,
    address: usize,
}

impl Hand {
    /// What goes next: what `is_useless`, or else what is worth least of what it came by, and of equals the oldest. `None`, if
    /// nothing is stored.
    pub(super) fn next(&mut self, index: &Index, is_useless: impl Fn(&Entry) -> bool) -> Option<SharedEntry> {
        self.next_picked(index).or_else(|| {
            self.pick(index, is_useless);
            self.next_picked(index)
        })
    }

    fn next_picked(&mut self, index: &Index) -> Option<SharedEntry> {
        while let Some(picked) = self.picked.pop() {
            let found = picked.find(index);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Moves on, picks some of what it comes by, and cools the others.
    fn pick(&mut self, index: &Index, is_useless: impl Fn(&Entry) -> bool) {
        let mut seen: Vec<(f64, SharedEntry)> = Vec::with_capacity(LOOKED_AT);
        let mut see = |resource: &Resource| {
            let worth = |entry: &Entry| if is_useless(entry) { 0.0 } else { entry.worth() };
            seen.extend(resource.variants().map(|entry| (worth(&entry), entry.clone_arc())));
        };
        let mut left = LOOKED_AT;
        let goes_on = index.look(&mut self.place, left, |resource| {
            left -= 1;
            see(resource);
        });
        if !goes_on {
            // A round is over: the rest is from the beginning of the next, where there may be some that were seen already.
            index.look(&mut self.place, left, see);
        }
        seen.sort_unstable_by(|(worth, entry), (other_worth, other)| {
            other_worth.total_cmp(worth).then(other.received.cmp(&entry.received))
        });
        let picked = seen.split_off(seen.len() - seen.len().div_ceil(OUT));
        seen.iter().for_each(|(_, spared)| spared.cool());
        self.picked = picked.iter().map(|(_, entry)| Picked::of(entry)).collect();
    }
}

impl Picked {
    fn of(entry: &SharedEntry) -> Self {
        Self { key: entry.key, address: entry.as_ptr().addr() }
    }

    fn find(&self, index: &Index) -> Option<SharedEntry> {
        let resource = index.get(&self.key)?;
        let entry = resource.variants().find(|entry| ArcBorrow::to_raw(entry).addr() == self.address)?;
        Some(entry.clone_arc())
    }
}
