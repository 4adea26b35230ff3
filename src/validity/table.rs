//! Finds the cell of a subject by its name, and forgets cells that have become pointless.
//!
//! A cell is of use as long as a response holds it, and as long as a flight may still come for it that was sent before
//! its youngest fact. The first shows in the count of its `Arc`. The second is bounded in time: [`Table::sweep`] drops a
//! cell that nobody holds once its fact is a whole sweep old, and remembers in `forgotten` how young the facts were
//! that went so. A flight older than that cannot be told whether it was purged, and is told so.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::cell::Cell;
use super::stamp::Sequence;
use super::sync::{Arc, AtomicU64, Mutex, Ordering};

type Shard = HashMap<Box<[u8]>, Arc<Cell>>;

/// The cells of all subjects of one kind.
#[derive(Debug)]
pub(super) struct Table {
    /// INVARIANT: the table's `Arc` of a cell is cloned under the lock of its shard only. So a count of one, seen under
    /// that lock, stays one until the lock is released: nobody holds the cell, and nobody is about to.
    shards: Box<[Mutex<Shard>]>,
    hash: RandomState,
    /// The youngest fact that was dropped with its cell.
    /// INVARIANT: raised under the shard's lock before the cell goes, and read under that lock by whoever misses a
    /// cell: if the cell was there once, the reader sees at least the number that went with it.
    forgotten: AtomicU64,
    /// Cells and the bytes they take. Written under the shards' locks, read without, as they are for reports only.
    cells: AtomicU64,
    bytes: AtomicU64,
}

impl Table {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards.max(1)).map(|_| Mutex::default()).collect(),
            hash: RandomState::new(),
            forgotten: AtomicU64::new(0),
            cells: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// The cell of `name`, for who wants to write a fact.
    pub(super) fn cell(&self, name: &[u8]) -> Arc<Cell> {
        let mut shard = self.shard(name).lock();
        match shard.get(name) {
            Some(cell) => cell.clone(),
            None => self.insert(&mut shard, name),
        }
    }

    /// The cell of `name`, for a response whose request was sent when `sent` was published. `None`: a fact younger
    /// than that may have been forgotten.
    pub(super) fn cell_since(&self, name: &[u8], sent: Sequence) -> Option<Arc<Cell>> {
        let mut shard = self.shard(name).lock();
        if let Some(cell) = shard.get(name) {
            return Some(cell.clone());
        }
        if sent.0 < self.forgotten.load(Ordering::Relaxed) {
            return None;
        }
        Some(self.insert(&mut shard, name))
    }

    /// Whether a hard fact about `name` that is younger than `since` is known, or may have been forgotten.
    pub(super) fn concerns(&self, name: &[u8], since: Sequence) -> bool {
        let shard = self.shard(name).lock();
        match shard.get(name) {
            Some(cell) => cell.is_dead_since(since),
            None => self.forgotten.load(Ordering::Relaxed) > since.0,
        }
    }

    /// Drops cells that nobody holds and whose facts are numbered up to `old`. Returns how many are held.
    pub(super) fn sweep(&self, old: Sequence) -> u64 {
        self.shards.iter().map(|shard| self.sweep_shard(&mut shard.lock(), old)).sum()
    }

    fn sweep_shard(&self, shard: &mut Shard, old: Sequence) -> u64 {
        let mut held = 0;
        shard.retain(|_, cell| {
            if Arc::strong_count(cell) > 1 {
                held += 1;
                return true;
            }
            let fact = cell.youngest();
            if fact > old.0 {
                return true;
            }
            self.forgotten.fetch_max(fact, Ordering::Relaxed);
            self.cells.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(cell.size() as u64, Ordering::Relaxed);
            false
        });
        // Growing back costs as much as it took to get here, so room for twice as many stays.
        if shard.capacity() > 4 * shard.len().max(16) {
            let wanted = 2 * shard.len();
            shard.shrink_to(wanted);
        }
        held
    }

    pub(super) fn cells(&self) -> u64 {
        self.cells.load(Ordering::Relaxed)
    }

    /// Bytes that the table takes, nearly.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn insert(&self, shard: &mut Shard, name: &[u8]) -> Arc<Cell> {
        let cell = Cell::new(name);
        shard.insert(name.into(), cell.clone());
        self.cells.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(cell.size() as u64, Ordering::Relaxed);
        cell
    }

    fn shard(&self, name: &[u8]) -> &Mutex<Shard> {
        // The remainder is below the number of shards, which is not zero.
        let index = self.hash.hash_one(name) as usize % self.shards.len();
        &self.shards[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_cell_stays_and_a_pointless_one_goes() {
        let table = Table::new(4);
        let held = table.cell(b"held");
        held.harden(Sequence(7));
        table.cell(b"pointless");
        assert_eq!(table.sweep(Sequence(9)), 1);
        assert_eq!(table.cells(), 1);
        assert!(Arc::ptr_eq(&held, &table.cell(b"held")));
        assert_eq!(table.cell_since(b"held", Sequence(0)).map(|cell| cell.youngest()), Some(7));
    }

    #[test]
    fn a_forgotten_fact_turns_older_flights_away_and_no_younger_ones() {
        let table = Table::new(1);
        table.cell(b"t").harden(Sequence(5));
        table.sweep(Sequence(4));
        assert_eq!(table.cells(), 1, "the fact is younger than that");
        assert!(table.cell_since(b"t", Sequence(4)).is_some());
        table.sweep(Sequence(5));
        assert!(table.cell_since(b"t", Sequence(4)).is_none());
        assert!(table.cell_since(b"other", Sequence(4)).is_none(), "it cannot tell which cell went");
        assert!(table.cell_since(b"t", Sequence(5)).is_some());
    }

    #[test]
    fn size_comes_and_goes_with_the_cells() {
        let table = Table::new(2);
        for i in 0..1000 {
            table.cell(format!("/{i}").as_bytes());
        }
        assert_eq!(table.cells(), 1000);
        assert!(table.bytes() > 1000 * size_of::<Cell>() as u64);
        table.sweep(Sequence(0));
        assert_eq!((table.cells(), table.bytes()), (0, 0));
    }
}
