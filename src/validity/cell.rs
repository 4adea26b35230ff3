//! What is remembered of one subject.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Moment;
use crate::validity::Sequence;

/// The youngest facts about a subject.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// INVARIANT: only grows. Written under the log's publication lock, before the number is published; read after
    /// an acquiring read of `published`, which therefore shows every fact up to the number that was read.
    hard: AtomicU64,
    /// INVARIANT: as `hard`.
    soft: AtomicU64,
    /// When `soft` was written. INVARIANT: written before `soft` (release), read after it (acquire): who sees a soft
    /// fact sees a time that is its own or that of a younger one.
    softened_at: AtomicU64,
}

impl Cell {
    pub(super) fn harden(&self, number: Sequence) {
        self.hard.fetch_max(number.0, Ordering::Release);
    }

    pub(super) fn soften(&self, number: Sequence, at: Moment) {
        self.softened_at.fetch_max(at.to_nanos(), Ordering::Release);
        self.soft.fetch_max(number.0, Ordering::Release);
    }

    pub(super) fn hard(&self) -> Sequence {
        Sequence(self.hard.load(Ordering::Acquire))
    }

    /// The youngest soft fact and its time.
    pub(super) fn soft(&self) -> (Sequence, Moment) {
        let number = Sequence(self.soft.load(Ordering::Acquire));
        (number, Moment::from_nanos(self.softened_at.load(Ordering::Acquire)))
    }

    /// The youngest fact of either kind.
    pub(super) fn youngest(&self) -> Sequence {
        self.hard().max(self.soft().0)
    }
}
