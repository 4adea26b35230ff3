//! The hard ceiling.
//!
//! Whatever is held is charged, and the charge lives with what it stands for: inside the owner of the bytes, however
//! many clones and slices of them there are. So what was evicted while it is being sent still counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::store::Piece;
use crate::store::block::Block;
use crate::store::pressure::Pressure;

/// Memory runs short above this share of the limit, in percent. Above what stored responses may take in all, or a full
/// cache would be in constant need.
const SHORT: u64 = 90;

/// Bytes that may be held, and that are. Shared by everything that holds some.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    /// INVARIANT: the sum of all living [`Charge`]s, and of what else was [taken](Self::take) and not yet given back; never
    /// above `limit`.
    ///
    /// Holds under threads since a charge is taken by one compare-and-swap from a value that it fits on, and given back
    /// once, by the drop of the only value that stands for it (a [`Tab`] gives back as it is told). Relaxed: nothing is read on the strength of the number.
    used: AtomicU64,
    pressure: Pressure,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0), pressure: Pressure::default() })
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be in use.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Charges `bytes`, unless that would pass the limit. Never waits.
    pub fn try_charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        self.take(bytes).then(|| Charge { budget: self.clone(), bytes })
    }

    /// The same for who [gives back](Self::give_back) by himself.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let fits = |used: u64| used.checked_add(bytes as u64).filter(|sum| *sum <= self.limit);
        let charged = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        if charged.is_err() || self.is_short() {
            self.pressure.ring();
        }
        charged.is_ok()
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether it is time to make room.
    pub(super) fn is_short(&self) -> bool {
        self.used() > self.limit / 100 * SHORT
    }

    /// Waits until memory runs short, at most for `timeout`.
    pub(super) fn wait_until_short(&self, timeout: Duration) {
        self.pressure.wait(timeout);
    }

    /// Whether somebody has ever waited for that.
    pub(super) fn is_attended(&self) -> bool {
        self.pressure.is_attended()
    }

    /// A charged copy of `data`, of exactly its size. `None`: it does not fit.
    pub fn bytes(self: &Arc<Self>, data: &[u8]) -> Option<Piece> {
        self.gather(&[data])
    }

    /// A charged copy of all `parts`, one after the other.
    pub(super) fn gather(self: &Arc<Self>, parts: &[&[u8]]) -> Option<Piece> {
        Block::of(parts, self).map(Piece::from)
    }

    /// The same of what is to be kept, where long content lies. `None`: it does not fit.
    pub fn keep(self: &Arc<Self>, parts: &[&[u8]]) -> Option<Piece> {
        Block::lasting(parts, self).map(Piece::from)
    }
}

/// Bytes of the budget, given back on drop.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Charge {
    /// What it is taken from.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes as u64);
    }
}

/// The charges of things that are counted one by one, and are too many to carry one each.
#[derive(Debug)]
pub(super) struct Tab {
    budget: Arc<Budget>,
    /// INVARIANT: what [`add`](Self::add) has charged and [`take_off`](Self::take_off) has not given back.
    bytes: AtomicU64,
}

impl Tab {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, bytes: AtomicU64::new(0) }
    }

    /// Charges `bytes`, unless that would pass the limit. Returns whether it did.
    pub(super) fn add(&self, bytes: usize) -> bool {
        let fits = self.budget.take(bytes);
        if fits {
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        fits
    }

    /// Gives back what was charged.
    pub(super) fn take_off(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
        self.budget.give_back(bytes as u64);
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.budget.give_back(*self.bytes.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_lives_as_long_as_the_last_slice() {
        let budget = Budget::new(1000);
        let bytes = budget.bytes(&[7; 500]).unwrap();
        let used = budget.used();
        assert!(used >= 500);
        let slice = bytes.slice(100, 101);
        drop(bytes);
        assert_eq!(budget.used(), used);
        assert!(budget.bytes(&[7; 500]).is_none(), "the limit is hard");
        drop(slice);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn parts_are_gathered_in_order() {
        let budget = Budget::new(1000);
        let gathered = budget.gather(&[b"ab", b"", b"c"]).unwrap();
        assert_eq!(*gathered, *b"abc");
        assert!(budget.used() >= 3);
        assert!(budget.bytes(b"").unwrap().is_empty());
    }

    #[test]
    fn threads_together_do_not_pass_the_limit() {
        let budget = Budget::new(1000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        let _charges = (budget.try_charge(300), budget.try_charge(300));
                        assert!(budget.used() <= 1000);
                    }
                });
            }
        });
        assert_eq!(budget.used(), 0);
    }
}
