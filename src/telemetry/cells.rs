//! Counters that threads do not fight over.
//!
//! One atomic that all serving threads add to costs each of them a trip of its cache line between cores. So every
//! counter exists once per shard, a thread adds to its own shard, and the shards are summed when somebody reads.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A table of counters, one copy per shard.
#[derive(Debug)]
pub(super) struct Cells {
    len: usize,
    /// A power of two.
    shards: usize,
    lines_per_shard: usize,
    lines: Box<[Line]>,
}

/// Two cache lines, since processors fetch them in pairs. No line holds cells of two shards.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Line([AtomicU64; CELLS_PER_LINE]);

const CELLS_PER_LINE: usize = 16;

impl Cells {
    /// `len` counters at zero, for about `threads` threads.
    pub(super) fn new(len: usize, threads: usize) -> Self {
        let shards = shards(threads);
        let lines_per_shard = len.div_ceil(CELLS_PER_LINE);
        let lines = (0..shards * lines_per_shard).map(|_| Line::default()).collect();
        Self { len, shards, lines_per_shard, lines }
    }

    /// Adds to the counter at `index`, wrapping; an index that does not exist counts nowhere.
    #[inline]
    pub(super) fn add(&self, index: usize, n: u64) {
        if let Some(cell) = self.cell(shard_of_thread(self.shards), index) {
            cell.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// The counter at `index` over all shards.
    pub(super) fn sum(&self, index: usize) -> u64 {
        let cells = (0..self.shards).filter_map(|shard| self.cell(shard, index));
        cells.fold(0, |sum, cell| sum.wrapping_add(cell.load(Ordering::Relaxed)))
    }

    #[inline]
    fn cell(&self, shard: usize, index: usize) -> Option<&AtomicU64> {
        debug_assert!(index < self.len, "no such counter");
        if index >= self.len {
            return None;
        }
        let line = self.lines.get(shard * self.lines_per_shard + index / CELLS_PER_LINE)?;
        line.0.get(index % CELLS_PER_LINE)
    }
}

/// Beyond it threads share shards; the tables would grow without a gain that anybody could measure.
const MAX_SHARDS: usize = 32;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Threads are numbered as they first count something.
    static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

/// How many shards are enough for about `threads` threads: a power of two.
pub(super) fn shards(threads: usize) -> usize {
    threads.clamp(1, MAX_SHARDS).next_power_of_two()
}

/// Which of so many shards, a power of two, is this thread's.
#[inline]
pub(super) fn shard_of_thread(shards: usize) -> usize {
    NUMBER.with(|&number| number & (shards - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_counts_into_the_same_sum() {
        let cells = Cells::new(20, 3);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| cells.add(17, 2)));
            }
        });
        assert_eq!(cells.sum(17), 16_000);
        assert_eq!((0..20).map(|index| cells.sum(index)).sum::<u64>(), 16_000);
    }

    #[test]
    fn shards_do_not_share_a_cache_line() {
        let cells = Cells::new(3, 2);
        let addresses = [0, 1].map(|shard| std::ptr::from_ref(cells.cell(shard, 2).unwrap()).addr());
        assert!(addresses[0].abs_diff(addresses[1]) >= 128);
        assert_eq!(std::ptr::from_ref(&cells.lines[0]).addr() % 128, 0);
    }
}
