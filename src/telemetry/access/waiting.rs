//! Lines that wait for the writer.
//!
//! Each serving thread appends to a buffer that it has to itself; the writer takes the buffer with all that is in it and
//! leaves an empty one. So lines of one thread keep their order, and a line costs no queue slot and no wake-up.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::telemetry::cells;

/// A buffer that has grown to so many bytes is worth a write: its thread tells the writer. With less, to wake it is
/// a good part of what lines cost a busy thread.
pub(super) const BATCH: usize = 256 * 1024;

/// Rendered lines, one after the other.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) text: Vec<u8>,
    pub(super) count: u64,
}

impl Lines {
    /// Keeps room for what usually waits, not for what has once been a jam.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(2 * BATCH);
        self.count = 0;
    }
}

/// Two cache lines, since processors fetch them in pairs. Its lock is contended for only while the writer exchanges a
/// buffer, and by threads that share a shard because there are more of them than shards.
#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<Lines>);

/// What the serving threads have for the writer.
pub(super) struct Waiting {
    /// A power of two of them.
    shards: Box<[Shard]>,
    /// Bytes in a shard beyond which no line is added to it.
    limit: usize,
    /// The writer waits to be called. Whoever sets this to `false` calls it.
    asleep: AtomicBool,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// The writer will come for it.
    Waits,
    /// The same, if it is called.
    CallsWriter,
    /// There is no room for it.
    Lost,
}

impl Waiting {
    /// For about `threads` threads, with room for `limit` bytes and a line from each.
    pub(super) fn new(threads: usize, limit: usize) -> Self {
        let shards = (0..cells::shards(threads)).map(|_| Shard::default()).collect();
        Self { shards, limit, asleep: AtomicBool::new(false) }
    }

    /// Lets `write` append one line, if there is room.
    pub(super) fn add(&self, write: impl FnOnce(&mut Vec<u8>)) -> Added {
        let Some(shard) = self.shards.get(cells::shard_of_thread(self.shards.len())) else {
            return Added::Lost;
        };
        let mut lines = shard.0.lock();
        let before = lines.text.len();
        if before >= self.limit {
            return Added::Lost;
        }
        write(&mut lines.text);
        lines.count += 1;
        let is_worth_a_write = before < BATCH && lines.text.len() >= BATCH;
        drop(lines);
        // The lock orders this: a writer that did not find the line had said before that it would sleep.
        let sleeps = self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed);
        if sleeps || is_worth_a_write { Added::CallsWriter } else { Added::Waits }
    }

    /// Takes all lines there are, a shard's at a time. `lines` lends the shards an empty buffer.
    pub(super) fn take(&self, lines: &mut Lines, mut write: impl FnMut(&Lines)) {
        for shard in &self.shards {
            mem::swap(&mut *shard.0.lock(), lines);
            if lines.count > 0 {
                write(lines);
                lines.clear();
            }
        }
    }

    /// Whether the writer is to be called for the next line. It has to look once more after it has said so.
    pub(super) fn writer_sleeps(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn add(waiting: &Waiting, line: &[u8]) -> Added {
        waiting.add(|text| text.extend_from_slice(line))
    }

    fn taken(waiting: &Waiting) -> (Vec<u8>, u64) {
        let mut taken = (Vec::new(), 0);
        waiting.take(&mut Lines::default(), |lines| {
            taken.0.extend_from_slice(&lines.text);
            taken.1 += lines.count;
        });
        taken
    }

    #[test]
    fn what_was_added_is_taken_once() {
        let waiting = Waiting::new(1, 100);
        assert_eq!([add(&waiting, b"a\n"), add(&waiting, b"b\n")], [Added::Waits; 2]);
        assert_eq!(taken(&waiting), (b"a\nb\n".to_vec(), 2));
        assert_eq!(taken(&waiting), (Vec::new(), 0));
    }

    #[test]
    fn a_shard_holds_its_limit_and_a_line() {
        let waiting = Waiting::new(1, 4);
        let added = [(); 3].map(|()| add(&waiting, b"abc"));
        assert_eq!(added, [Added::Waits, Added::Waits, Added::Lost]);
        assert_eq!(taken(&waiting), (b"abcabc".to_vec(), 2));
        assert_eq!(add(&waiting, b"abc"), Added::Waits, "there is room again");
    }

    #[test]
    fn a_writer_that_sleeps_is_called_once() {
        let waiting = Waiting::new(1, 100);
        waiting.writer_sleeps(true);
        assert_eq!([add(&waiting, b"a"), add(&waiting, b"b")], [Added::CallsWriter, Added::Waits]);
        waiting.writer_sleeps(true);
        waiting.writer_sleeps(false);
        assert_eq!(add(&waiting, b"c"), Added::Waits);
    }

    #[test]
    fn the_writer_is_called_when_a_buffer_is_worth_it() {
        let waiting = Waiting::new(1, usize::MAX);
        let line = vec![b'x'; BATCH - 1];
        let added = [line.as_slice(), b"x", b"x"].map(|line| add(&waiting, line));
        assert_eq!(added, [Added::Waits, Added::CallsWriter, Added::Waits]);
    }

    #[test]
    fn a_jam_leaves_no_large_buffer_behind() {
        let mut lines = Lines { text: vec![b'x'; 100 * BATCH], count: 1 };
        lines.clear();
        assert!(lines.text.is_empty() && lines.text.capacity() <= 2 * BATCH && lines.count == 0);
    }

    /// Threads add while others take: each line is taken whole and once, those of a thread in their order.
    #[test]
    fn lines_of_a_thread_stay_in_order() {
        const THREADS: usize = 4;
        const LINES: usize = 5_000;
        let waiting = Waiting::new(2, usize::MAX);
        let mut all = Vec::new();
        thread::scope(|scope| {
            let waiting = &waiting;
            let adding = (0..THREADS).map(|thread| {
                scope.spawn(move || {
                    for number in 0..LINES {
                        add(waiting, format!("{thread} {number}\n").as_bytes());
                    }
                })
            });
            let adding: Vec<_> = adding.collect();
            while !adding.iter().all(thread::ScopedJoinHandle::is_finished) {
                all.extend(taken(waiting).0);
            }
        });
        all.extend(taken(&waiting).0);
        let mut next = [0; THREADS];
        for line in str::from_utf8(&all).unwrap().lines() {
            let (thread, number) = line.split_once(' ').unwrap();
            let next = &mut next[thread.parse::<usize>().unwrap()];
            assert_eq!(number.parse(), Ok(*next));
            *next += 1;
        }
        assert_eq!(next, [LINES; THREADS]);
    }
}
