//! Where facts came, and when, at a glance.
//!
//! A response has cells that no other has, and unless it was asked for just now, none of them is in a cache of the
//! processor. After a publication it has to be looked at again, although what was published is seldom about any of its
//! cells. So the numbers of facts are noted here as well, by where in memory their cells lie: a table that is small enough to
//! stay in the caches tells from the address of a cell, without a look at it, that it has learned nothing since.

use super::cell::Cell;
use super::stamp::Sequence;
use super::sync::{AtomicU64, Ordering};

/// For each place the youngest fact of all cells that fall into it.
///
/// INVARIANT: raised before the number of the fact is published, or the new cell that is born with it handed out; so
/// whoever has read (Acquire) that number, or has the cell, sees at least it here. And never lowered: what another cell
/// in the same place has learned, or one that lay there before, costs a look and hides nothing.
///
/// What cells are told of prefixes by a sweep is not noted: [`Prefixes::youngest`](super::prefixes::Prefixes::youngest)
/// tells that there may be such facts.
#[derive(Debug)]
pub(super) struct Touched {
    places: Box<[AtomicU64]>,
}

impl Touched {
    pub(super) fn new(places: usize) -> Self {
        Self { places: (0..places.max(1)).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Notes a fact about a cell.
    pub(super) fn note(&self, cell: &Cell, fact: Sequence) {
        // Raising by nothing would still take the line from other cores.
        if fact > Sequence(0) {
            self.place(cell).fetch_max(fact.0, Ordering::Relaxed);
        }
    }

    /// No fact about the cell is younger.
    pub(super) fn youngest(&self, cell: &Cell) -> Sequence {
        Sequence(self.place(cell).load(Ordering::Relaxed))
    }

    fn place(&self, cell: &Cell) -> &AtomicU64 {
        // Addresses are multiples of the allocator's size classes; multiplied, their upper half is spread evenly. It is a
        // fraction of 2^32, and the same fraction of the places is below their number.
        let spread = (cell.address() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        &self.places[((spread * self.places.len() as u64) >> 32) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::super::cell::Role;
    use super::super::facts::Facts;
    use super::*;

    #[test]
    fn it_tells_cells_apart_and_forgets_no_fact() {
        let touched = Touched::new(1 << 12);
        let cells: Vec<Cell> = (0..100).map(|_| Cell::new(Role::Url, b"a.example/", Facts::NONE)).collect();
        touched.note(&cells[0], Sequence(5));
        touched.note(&cells[0], Sequence(3));
        assert_eq!(touched.youngest(&cells[0].clone()), Sequence(5));
        let others = cells[1..].iter().filter(|cell| touched.youngest(cell) > Sequence(0)).count();
        assert!(others < 10, "{others} fall into the same place");
    }
}
