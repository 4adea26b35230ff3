//! One cell per subject: the youngest facts about it, and nothing else.

use super::stamp::{Sequence, Stamp};
use super::sync::{Arc, AtomicU64, Ordering};
use crate::clock::Moment;

/// The youngest hard and the youngest soft fact about one subject. Zero: there is none.
///
/// INVARIANT: cells are written by [`Publication::write`](super::log::Publication::write) only, one publication at a
/// time, before its number is published. Hence the numbers only grow, and whoever has read (Acquire) a published
/// number finds in the cells every fact up to it. Facts above that may show early: a check then calls dead what is
/// about to be, which is never wrong.
#[derive(Debug, Default)]
pub(super) struct Cell {
    hard: AtomicU64,
    soft: AtomicU64,
    /// Boot-clock nanoseconds of the youngest soft fact.
    /// INVARIANT: written before `soft` (Release), read after it (Acquire): whoever sees a soft fact sees its time or
    /// that of a younger one, never none.
    softened: AtomicU64,
    /// Length of the subject's name, which the table holds.
    name: u32,
}

/// What the facts of a cell mean to a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Untouched,
    Softened(Moment),
    Dead,
}

impl Cell {
    pub(super) fn new(name: &[u8]) -> Arc<Self> {
        Arc::new(Self { name: u32::try_from(name.len()).unwrap_or(u32::MAX), ..Self::default() })
    }

    /// Bytes that it takes, with its name and its slot in the table.
    pub(super) fn size(&self) -> usize {
        PER_CELL + self.name as usize
    }

    pub(super) fn harden(&self, number: Sequence) {
        self.hard.fetch_max(number.0, Ordering::Release);
    }

    pub(super) fn soften(&self, number: Sequence, now: Moment) {
        self.softened.fetch_max(now.to_nanos(), Ordering::Relaxed);
        self.soft.fetch_max(number.0, Ordering::Release);
    }

    /// Whether there is a hard fact younger than `number`.
    pub(super) fn is_dead_since(&self, number: Sequence) -> bool {
        self.hard.load(Ordering::Relaxed) > number.0
    }

    /// Hard facts count against the bytes, soft ones against their last validation.
    pub(super) fn verdict(&self, stamp: &Stamp) -> Verdict {
        if self.is_dead_since(stamp.body()) {
            return Verdict::Dead;
        }
        if self.soft.load(Ordering::Acquire) > stamp.validated().0 {
            return Verdict::Softened(Moment::from_nanos(self.softened.load(Ordering::Relaxed)));
        }
        Verdict::Untouched
    }

    /// The number of the youngest fact of either kind.
    pub(super) fn youngest(&self) -> u64 {
        self.hard.load(Ordering::Relaxed).max(self.soft.load(Ordering::Relaxed))
    }
}

/// The cells of everything that a response answers to. Holding them keeps them from being forgotten.
#[derive(Clone, Debug)]
pub struct Marks(Arc<[Arc<Cell>]>);

/// Bytes that a cell takes beside its name: its words, the two counts of its `Arc`, and its slot in the table (a key
/// of two words, a pointer, a byte of control) of which a third stands empty on average.
pub(super) const PER_CELL: usize =
    size_of::<Cell>() + 2 * size_of::<usize>() + (3 * size_of::<usize>() + 1) * 3 / 2;

impl Marks {
    pub(super) fn new(cells: Vec<Arc<Cell>>) -> Self {
        Self(cells.into())
    }

    /// What answers to the subjects of both: of a response combined from parts, or changed by a 304.
    pub fn union(&self, other: &Marks) -> Marks {
        let mut cells = self.0.to_vec();
        for cell in other.0.iter() {
            if !cells.iter().any(|known| Arc::ptr_eq(known, cell)) {
                cells.push(cell.clone());
            }
        }
        Self::new(cells)
    }

    /// Bytes that these marks take: their own, and their share of the cells, which others may hold too.
    pub fn size(&self) -> usize {
        let shares = self.0.iter().map(|cell| {
            // One count is the table's.
            let holders = Arc::strong_count(cell).saturating_sub(1).max(1);
            size_of::<Arc<Cell>>() + cell.size() / holders
        });
        2 * size_of::<usize>() + shares.sum::<usize>()
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.0.iter().map(Arc::as_ref)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_only_grow() {
        let cell = Cell::default();
        cell.harden(Sequence(5));
        cell.harden(Sequence(3));
        cell.soften(Sequence(4), Moment::from_nanos(40));
        assert_eq!(cell.youngest(), 5);
        assert_eq!(cell.verdict(&Stamp::new(Sequence(4))), Verdict::Dead);
        assert_eq!(cell.verdict(&Stamp::new(Sequence(5))), Verdict::Untouched);
    }

    #[test]
    fn hard_counts_from_the_bytes_and_soft_from_their_validation() {
        let cell = Cell::default();
        cell.soften(Sequence(2), Moment::from_nanos(20));
        let stamp = Stamp::new(Sequence(1));
        assert_eq!(cell.verdict(&stamp), Verdict::Softened(Moment::from_nanos(20)));
        let validated = stamp.revalidated(Sequence(2));
        assert_eq!(cell.verdict(&validated), Verdict::Untouched);
        cell.harden(Sequence(2));
        assert_eq!(cell.verdict(&validated), Verdict::Dead, "a 304 does not make the bytes younger");
    }

    #[test]
    fn a_union_holds_each_cell_once() {
        let (a, b, c) = (Arc::default(), Arc::default(), Arc::default());
        let one = Marks::new(vec![Arc::clone(&a), Arc::clone(&b)]);
        let two = Marks::new(vec![b, c]);
        assert_eq!(one.union(&two).len(), 3);
        assert_eq!(one.union(&one).len(), 2);
    }

    #[test]
    fn a_shared_cell_is_counted_in_shares() {
        let shared: Arc<Cell> = Arc::default();
        let first = Marks::new(vec![shared.clone()]);
        let alone = first.size();
        let _others: Vec<Marks> = (0..9).map(|_| Marks::new(vec![shared.clone()])).collect();
        assert!(first.size() < alone, "{} of {alone}", first.size());
    }
}
