//! How much is remembered.

use std::iter::Sum;
use std::ops::Add;
// The promise does not rest on these, so the model checker need not go through all their orders.
use std::sync::atomic::{AtomicU64, Ordering};

/// The size of the log or of a part of it, for reports and for who decides when to sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Subjects that have a cell, and nodes of prefixes.
    pub cells: u64,
    /// Bytes that they take, nearly.
    pub bytes: u64,
}

impl Add for Figures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cells: self.cells + other.cells, bytes: self.bytes + other.bytes }
    }
}

impl Sum for Figures {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

/// Figures that several threads change and anybody may ask for. On a cache line of its own, or who changes them would take
/// from others what lies beside them and never changes.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Totals {
    cells: AtomicU64,
    bytes: AtomicU64,
}

impl Totals {
    /// A part of what is counted was so large `before`, and is so large `now`.
    pub(super) fn change(&self, before: Figures, now: Figures) {
        // What is added to a word and wraps around takes off.
        self.cells.fetch_add(now.cells.wrapping_sub(before.cells), Ordering::Relaxed);
        self.bytes.fetch_add(now.bytes.wrapping_sub(before.bytes), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Figures {
        Figures { cells: self.cells.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}
