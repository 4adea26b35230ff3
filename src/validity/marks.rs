//! What a response answers to, as it is carried with it.

use super::cell::{Cell, Role};
use super::sync::ThinArc;

/// The cells of everything that a response answers to. Holding them keeps them from being forgotten.
///
/// There are as many of these as stored responses: those that differ in their URLs only share the rest.
///
/// INVARIANT: every cell is in it once, the URL's (with its port) first, and the cell of everything among the others; so
/// that each response is counted once in each of its cells, and checked against purges of everything like against any other.
#[derive(Clone, Debug)]
pub struct Marks {
    url: Cell,
    others: List,
}

/// Cells in one allocation, to which a single word points. Clones are the same list.
#[derive(Clone, Debug)]
pub(super) struct List(ThinArc<(), Cell>);

impl List {
    pub(super) fn of(cells: Vec<Cell>) -> Self {
        Self(ThinArc::from_header_and_iter((), cells.into_iter()))
    }

    pub(super) fn cells(&self) -> &[Cell] {
        &self.0.slice
    }

    /// Bytes that it takes: how many hold it, and how many cells it has, are a word each.
    fn size(&self) -> usize {
        2 * size_of::<usize>() + size_of_val(self.cells())
    }

    pub(super) fn holders(&self) -> usize {
        ThinArc::strong_count(&self.0)
    }
}

impl Marks {
    pub(super) fn new(url: Cell, others: List) -> Self {
        Self { url, others }
    }

    /// What answers to the subjects of both: of a response combined from parts, or changed by a 304.
    pub fn union(&self, other: &Marks) -> Marks {
        let added: Vec<_> = other.cells().filter(|cell| !self.answers_to(cell)).cloned().collect();
        if added.is_empty() {
            return self.clone();
        }
        Self::new(self.url.clone(), List::of([self.others.cells(), &added].concat()))
    }

    /// Counts a response of `bytes` in all that it answers to, until it is [let go](Self::let_go).
    pub fn hold(&self, bytes: u64) {
        self.cells().for_each(|cell| cell.count(bytes));
    }

    /// Takes back what [`hold`](Self::hold) has counted: to be called once for each time, with the same `bytes`.
    pub fn let_go(&self, bytes: u64) {
        self.cells().for_each(|cell| cell.uncount(bytes));
    }

    /// The URL that it can be purged by, with its port.
    pub fn url(&self) -> Option<&str> {
        std::str::from_utf8(self.url.name()).ok()
    }

    /// The tags that it can be purged by.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let tags = self.cells().filter(|cell| cell.role() == Role::Tag);
        tags.filter_map(|cell| std::str::from_utf8(cell.name()).ok())
    }

    /// Bytes that these marks take: their own, and their share of the cells, if one more stored response has them.
    pub fn size(&self) -> usize {
        let holders = |cell: &Cell| usize::try_from(cell.entries()).unwrap_or(usize::MAX).saturating_add(1);
        let cells: usize = self.cells().map(|cell| cell.size() / holders(cell)).sum();
        // One may be that of the answer on its way.
        let sharers = self.others.holders().saturating_sub(1).max(1);
        cells + self.others.size() / sharers
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        std::iter::once(&self.url).chain(self.others.cells())
    }

    pub(super) fn answers_to(&self, cell: &Cell) -> bool {
        self.cells().any(|known| known.is(cell))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.cells().count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::Tally;
    use super::super::facts::Facts;
    use super::*;

    fn cell(name: &str) -> Cell {
        Cell::new(Role::Tag, name.as_bytes(), Facts::NONE)
    }

    fn marks(cells: &[&Cell]) -> Marks {
        let (first, others) = cells.split_first().unwrap();
        Marks::new((*first).clone(), List::of(others.iter().copied().cloned().collect()))
    }

    #[test]
    fn a_union_holds_each_cell_once() {
        let (a, b, c) = (cell("a"), cell("b"), cell("c"));
        let (one, two) = (marks(&[&a, &b]), marks(&[&b, &c]));
        assert_eq!(one.union(&two).len(), 3);
        assert_eq!(one.union(&one).len(), 2);
        assert_eq!(one.union(&two).tags().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn a_shared_cell_is_charged_in_shares() {
        let shared = cell("shared");
        let first = marks(&[&cell("own"), &shared]);
        let (alone, whole) = (first.size(), shared.size());
        (0..9).for_each(|_| marks(&[&shared]).hold(1));
        assert_eq!(first.size(), alone - whole + shared.size() / 10);
    }

    #[test]
    fn a_shared_list_is_charged_in_shares() {
        let alone = marks(&[&cell("a"), &cell("b")]);
        let size = alone.size();
        let _sharers: Vec<Marks> = (0..8).map(|_| Marks::new(cell("own"), alone.others.clone())).collect();
        assert_eq!(alone.size(), size - 24 + 24 / 8);
    }

    #[test]
    fn what_is_held_is_counted_in_each_cell_until_it_is_let_go() {
        let (a, b) = (cell("a"), cell("b"));
        let (both, one) = (marks(&[&a, &b]), marks(&[&b]));
        both.hold(100);
        one.hold(7);
        assert_eq!(a.tally(), Tally { entries: 1, bytes: 100, purged: None });
        assert_eq!(b.tally(), Tally { entries: 2, bytes: 107, purged: None });
        both.let_go(100);
        assert_eq!(b.tally(), Tally { entries: 1, bytes: 7, purged: None });
        one.let_go(7);
        assert_eq!((a.tally(), b.tally()), (Tally::default(), Tally::default()));
    }
}
