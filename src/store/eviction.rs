//! What goes when there is too much.
//!
//! A hand goes round over all that is stored, as in the CLOCK family of algorithms. It looks at some responses at a time, and
//! of these the ones that are worth least go; those that it spares cool down, so that what nobody asks for any more
//! loses its worth at the pace at which room is needed. There are no queues, so a response costs nothing here but
//! its count of hits, and a hit changes nothing but that.
//!
//! A response is worth the hits that it has, over the square root of its size: between keeping as many responses as
//! possible and as many bytes. `docs/performance.md` has hit ratios beside those of other algorithms.

use std::cmp::Ordering;

use crate::key::CacheKey;
use crate::store::index::{Index, Place};
use crate::store::{Entry, Resource};

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
    pub(super) fn next(&mut self, index: &Index, is_useless: impl Fn(&Entry) -> bool) -> Option<Entry> {
        self.next_picked(index).or_else(|| {
            self.pick(index, is_useless);
            self.next_picked(index)
        })
    }

    fn next_picked(&mut self, index: &Index) -> Option<Entry> {
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
        let worth = |entry: Entry| (if is_useless(&entry) { 0.0 } else { entry.worth() }, entry);
        let mut seen: Vec<(f64, Entry)> = self.come_by(index).into_iter().map(worth).collect();
        let spared = seen.len() - seen.len().div_ceil(OUT);
        if !seen.is_empty() {
            seen.select_nth_unstable_by(spared, least_last);
        }
        let mut picked = seen.split_off(spared);
        picked.sort_unstable_by(least_last);
        seen.iter().for_each(|(_, spared)| spared.cool());
        self.picked = picked.iter().map(|(_, entry)| Picked::of(entry)).collect();
    }

    /// The entries of the next resources; of the first, too, where a round is over, some of which may have been seen already.
    ///
    /// None of what tells their worth is in a cache of the processor's, so all of it is hinted at before any is read.
    fn come_by(&mut self, index: &Index) -> Vec<Entry> {
        walk(index, &mut self.place.clone(), Resource::prefetch);
        let mut seen = Vec::with_capacity(LOOKED_AT);
        walk(index, &mut self.place, |resource| {
            seen.extend(resource.variants().cloned());
        });
        seen.iter().for_each(|entry| entry.prefetch_size());
        seen
    }
}

/// By worth; of equals, the oldest is the least.
fn least_last((worth, entry): &(f64, Entry), (other_worth, other): &(f64, Entry)) -> Ordering {
    other_worth.total_cmp(worth).then(other.received.cmp(&entry.received))
}

/// Shows the next resources, and goes on from the beginning once at the end.
fn walk(index: &Index, place: &mut Place, mut see: impl FnMut(&Resource)) {
    let mut left = LOOKED_AT;
    let goes_on = index.look(place, left, |resource| {
        left -= 1;
        see(resource);
    });
    if !goes_on {
        index.look(place, left, see);
    }
}

impl Picked {
    fn of(entry: &Entry) -> Self {
        Self { key: entry.key, address: entry.address() }
    }

    fn find(&self, index: &Index) -> Option<Entry> {
        let is_it = |entry: &&Entry| entry.address() == self.address;
        index.view(&self.key, |resource| Some(resource.variants().find(is_it)?.clone()))?
    }
}
