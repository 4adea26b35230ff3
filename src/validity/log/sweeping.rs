//! The sweep: forgets what no stored response and no flight needs any more, a few shards at a time.
//!
//! Between two steps anything may happen: each shard is swept under its own lock, as if nothing else was, and what was made
//! or published since the sweep began is left for the next.
//!
//! - What was published meanwhile is younger than [`Sweep::old`], so its cells stay; and it is no part of
//!   [`Sweep::told`], which does not change.
//! - A cell that is made meanwhile in a shard that was passed is born with all that is known of prefixes, to which what
//!   cells are told belongs until the last shard has been passed.

use std::iter::Fuse;

use super::super::figures::Figures;
use super::super::stamp::Sequence;
use super::super::sync::Ordering;
use super::super::table::{Part, Sweep, Table};
use super::Log;

/// Cells that a step looks at, and as many more as are in its last shard. Each costs a cache miss or two, so this is less than a
/// tenth of a millisecond, for which a hit may have to wait where there are as many busy threads as cores.
const STEP: usize = 256;

/// A sweep that is under way. One at a time: of two, the younger would take what was published before the elder for old.
/// That would hide no purge, but turn more flights away.
///
/// One that is not brought to its end has forgotten some cells, and nothing of prefixes: the next tells cells the same again.
#[must_use = "nothing is forgotten but by its steps"]
pub struct Sweeping<'log> {
    log: &'log Log,
    sweep: Sweep,
    parts: Fuse<Box<dyn Iterator<Item = Part<'log>> + 'log>>,
    /// What was held of what has been passed.
    held: Figures,
}

impl<'log> Sweeping<'log> {
    /// Begins to forget what was published before the last sweep began.
    pub(super) fn begin(log: &'log Log) -> Self {
        log.commons.clear();
        let old = Sequence(log.swept.swap(log.published().0, Ordering::Relaxed));
        let sweep = Sweep { old, told: log.prefixes.hand_on() };
        let parts: Box<dyn Iterator<Item = _>> = Box::new(log.tables().flat_map(Table::parts));
        Self { log, sweep, parts: parts.fuse(), held: Figures::default() }
    }

    /// Goes on for a bounded number of cells. Returns whether there is more to do.
    pub fn step(&mut self) -> bool {
        let mut looked_at = 0;
        while looked_at < STEP {
            let Some(cells) = self.pass() else { return false };
            // An empty shard costs a look, too.
            looked_at += cells.max(1);
        }
        true
    }

    /// Passes one shard, and returns how many cells it had. `None`: all have been passed, and the sweep is over.
    pub(in super::super) fn pass(&mut self) -> Option<usize> {
        let Some(part) = self.parts.next() else {
            self.end();
            return None;
        };
        let swept = part.sweep(&self.sweep);
        self.held = self.held + swept.held;
        Some(swept.cells)
    }

    fn end(&self) {
        self.log.held_cells.store(self.held.cells, Ordering::Relaxed);
        self.log.held_bytes.store(self.held.bytes, Ordering::Relaxed);
        // Now that all cells of URLs have been told.
        self.log.prefixes.forget(&self.sweep.told);
    }
}
