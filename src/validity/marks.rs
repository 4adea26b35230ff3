//! What a response answers to, as it is carried with it.

use std::ops::Deref;

use super::cell::{Cell, Role};
use super::sync::Arc;

/// The cells of everything that a response answers to. Holding them keeps them from being forgotten.
///
/// INVARIANT: every cell is in it once, and the cell of everything is the first, so that each response is counted once
/// in each of its cells, and checked against purges of everything like against any other.
#[derive(Clone, Debug)]
pub struct Marks(Arc<[Arc<Cell>]>);

/// Marks of a stored response: as long as it lives, the response is counted in the tally of each of its subjects.
#[derive(Debug)]
pub struct Held {
    marks: Marks,
    bytes: u64,
}

impl Marks {
    pub(super) fn new(cells: Vec<Arc<Cell>>) -> Self {
        Self(cells.into())
    }

    /// What answers to the subjects of both: of a response combined from parts, or changed by a 304.
    pub fn union(&self, other: &Marks) -> Marks {
        let mut cells = self.0.to_vec();
        for cell in other.0.iter() {
            if !self.answers_to(cell) {
                cells.push(cell.clone());
            }
        }
        Self::new(cells)
    }

    /// Counts a response of `bytes` in all that it answers to, until what is returned is dropped.
    pub fn hold(self, bytes: u64) -> Held {
        self.cells().for_each(|cell| cell.count(bytes));
        Held { marks: self, bytes }
    }

    /// The URL that it can be purged by, with its port.
    pub fn url(&self) -> Option<&str> {
        // The first that is interned; others are without the port.
        let url = self.cells().find(|cell| cell.role() == Role::Url)?;
        std::str::from_utf8(url.name()).ok()
    }

    /// The tags that it can be purged by.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let tags = self.cells().filter(|cell| cell.role() == Role::Tag);
        tags.filter_map(|cell| std::str::from_utf8(cell.name()).ok())
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

    pub(super) fn answers_to(&self, cell: &Arc<Cell>) -> bool {
        self.0.iter().any(|known| Arc::ptr_eq(known, cell))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Deref for Held {
    type Target = Marks;

    fn deref(&self) -> &Marks {
        &self.marks
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.marks.cells().for_each(|cell| cell.uncount(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::Tally;
    use super::super::facts::Facts;
    use super::*;

    fn cell(name: &str) -> Arc<Cell> {
        Cell::new(Role::Tag, name.as_bytes(), Facts::NONE)
    }

    #[test]
    fn a_union_holds_each_cell_once() {
        let (a, b, c) = (cell("a"), cell("b"), cell("c"));
        let one = Marks::new(vec![Arc::clone(&a), Arc::clone(&b)]);
        let two = Marks::new(vec![b, c]);
        assert_eq!(one.union(&two).len(), 3);
        assert_eq!(one.union(&one).len(), 2);
        assert_eq!(one.union(&two).tags().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn a_shared_cell_is_charged_in_shares() {
        let shared = cell("shared");
        let first = Marks::new(vec![shared.clone()]);
        let alone = first.size();
        let _others: Vec<Marks> = (0..9).map(|_| Marks::new(vec![shared.clone()])).collect();
        assert!(first.size() < alone, "{} of {alone}", first.size());
    }

    #[test]
    fn what_is_held_is_counted_in_each_cell_until_it_is_dropped() {
        let (a, b) = (cell("a"), cell("b"));
        let both = Marks::new(vec![a.clone(), b.clone()]).hold(100);
        let one = Marks::new(vec![b.clone()]).hold(7);
        assert_eq!(a.tally(), Tally { entries: 1, bytes: 100, purged: None });
        assert_eq!(b.tally(), Tally { entries: 2, bytes: 107, purged: None });
        drop(both);
        assert_eq!(b.tally(), Tally { entries: 1, bytes: 7, purged: None });
        drop(one);
        assert_eq!((a.tally(), b.tally()), (Tally::default(), Tally::default()));
    }
}
