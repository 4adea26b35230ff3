//! Finds the cell of a subject by its name, and forgets cells that have become pointless.
//!
//! A cell is of use as long as a response holds it, and as long as a flight may still come for it that was sent before
//! its youngest fact. The first shows in how many hold it. The second is bounded in time: [`Part::sweep`] drops a
//! cell that nobody holds once its fact is a whole sweep old, and remembers in `forgotten` how young the facts were
//! that went so. A flight older than that cannot be told whether it was purged, and is told so.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasher, Hasher};

use super::cell::{Cell, Role, Tally};
use super::facts::Facts;
use super::figures::{Figures, Totals};
use super::prefixes::Prefixes;
use super::stamp::Sequence;
use super::sync::{Arc, AtomicU64, Mutex, Ordering, RandomState};
use super::touched::Touched;
use super::tree::Tree;
use crate::table::Table as Words;

/// The cells of all subjects of one kind.
#[derive(Debug)]
pub(super) struct Table {
    role: Role,
    /// INVARIANT: the table's own hold on a cell is cloned under the lock of its shard only. So a cell that is not shared,
    /// seen under that lock, stays so until the lock is released: nobody holds it, and nobody is about to.
    shards: Box<[Mutex<Shard>]>,
    /// With a secret of the process: clients choose the names, and must not choose where they fall.
    hash: RandomState,
    /// The youngest fact that was dropped with its cell.
    /// INVARIANT: raised under the shard's lock before the cell goes, and read under that lock by whoever misses a
    /// cell: if the cell was there once, the reader sees at least the number that went with it. A cell made anew is
    /// born with that number as a hard fact, so that whoever finds it later, having been sent before, is told as well.
    forgotten: AtomicU64,
    /// Facts that speak of names by how they begin.
    /// INVARIANT: a cell knows all of them that are forgotten there. It is told at its birth of those that are not, or
    /// of `forgotten`; and of those that are about to be by a sweep, which passes its shard before they go.
    prefixes: Option<Arc<Prefixes>>,
    touched: Arc<Touched>,
    /// INVARIANT: changed as a shard is and under its lock, so that nobody takes off what is not added yet.
    totals: Totals,
}

/// The cells whose names fall into one part of a table.
#[derive(Debug, Default)]
struct Shard {
    cells: Words<Cell>,
    /// Bytes that they take.
    bytes: usize,
}

/// A shard, for a sweep to pass.
pub(super) struct Part<'a> {
    table: &'a Table,
    shard: &'a Mutex<Shard>,
}

/// What is forgotten in one sweep.
pub(super) struct Sweep {
    /// Facts numbered up to this.
    pub(super) old: Sequence,
    /// And these, which cells are told of that stay.
    pub(super) told: Arc<Tree>,
}

/// What a sweep has seen in a shard.
pub(super) struct Swept {
    /// So many cells, before some of them went.
    pub(super) cells: usize,
    /// Of those that stay, what is held.
    pub(super) held: Figures,
}

impl Table {
    /// With prefixes: the names are URLs, which answer to those too.
    pub(super) fn new(
        role: Role,
        shards: usize,
        prefixes: Option<Arc<Prefixes>>,
        touched: Arc<Touched>,
    ) -> Self {
        Self {
            role,
            shards: (0..shards.max(1)).map(|_| Mutex::new(Shard::default())).collect(),
            hash: RandomState::default(),
            forgotten: AtomicU64::new(0),
            prefixes,
            touched,
            totals: Totals::default(),
        }
    }

    /// The cell of `name`, for who wants to write a fact.
    pub(super) fn cell(&self, name: &[u8]) -> Cell {
        let hash = self.hash(name);
        let mut shard = self.shard(hash).lock();
        if let Some(cell) = shard.find(hash, name) {
            return cell.clone();
        }
        let (known, forgotten) = self.past(name);
        self.insert(&mut shard, hash, name, known, forgotten)
    }

    /// The cell of `name`, for a response whose request was sent when `sent` was published. `None`: a fact younger
    /// than that may have been forgotten.
    pub(super) fn cell_since(&self, name: &[u8], sent: Sequence) -> Option<Cell> {
        let hash = self.hash(name);
        let mut shard = self.shard(hash).lock();
        if let Some(cell) = shard.find(hash, name) {
            return Some(cell.clone());
        }
        let (known, forgotten) = self.past(name);
        (sent >= forgotten).then(|| self.insert(&mut shard, hash, name, known, forgotten))
    }

    /// The cell of `name`, if there is one.
    pub(super) fn find(&self, name: &[u8]) -> Option<Cell> {
        let hash = self.hash(name);
        self.shard(hash).lock().find(hash, name).cloned()
    }

    /// Whether a hard fact about `name` that is younger than `since` is known, or may have been forgotten.
    pub(super) fn concerns(&self, name: &[u8], since: Sequence) -> bool {
        let hash = self.hash(name);
        let shard = self.shard(hash).lock();
        let (known, forgotten) = self.past(name);
        match shard.find(hash, name) {
            Some(cell) => known.and(cell.facts()).hard > since,
            None => known.hard > since || forgotten > since,
        }
    }

    /// What is stored of `name`, and when it was last purged.
    pub(super) fn tally(&self, name: &[u8]) -> Tally {
        self.find(name).map(|cell| cell.tally()).unwrap_or_default()
    }

    /// The `most` names that most stored responses answer to, in that order, with how many. Walks the whole table, a
    /// shard at a time.
    pub(super) fn top(&self, most: usize) -> Vec<(Box<[u8]>, u64)> {
        // The least of the best is on top, to be pushed out; of equals the last by name.
        let mut best = BinaryHeap::with_capacity(most.min(1 << 10) + 1);
        for shard in &self.shards {
            for cell in shard.lock().cells.iter() {
                let entries = cell.entries();
                let beaten =
                    best.len() == most && best.peek().is_none_or(|Reverse((least, _))| entries < *least);
                if entries > 0 && !beaten {
                    best.push(Reverse((entries, Reverse(Box::from(cell.name())))));
                    if best.len() > most {
                        best.pop();
                    }
                }
            }
        }
        let best = best.into_sorted_vec().into_iter();
        best.map(|Reverse((entries, Reverse(name)))| (name, entries)).collect()
    }

    /// All its shards.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.shards.iter().map(|shard| Part { table: self, shard })
    }

    fn sweep(&self, shard: &mut Shard, sweep: &Sweep) -> Swept {
        let before = shard.figures();
        let tells = self.prefixes.is_some() && sweep.told.youngest() > Sequence(0);
        let mut held = Figures::default();
        shard.bytes = 0;
        for place in 0..shard.cells.places() {
            let Some(cell) = shard.cells.get(place) else { continue };
            let is_held = cell.is_shared();
            if !is_held {
                let fact = cell.facts().youngest();
                if fact <= sweep.old {
                    self.forgotten.fetch_max(fact.0, Ordering::Relaxed);
                    shard.cells.take(place);
                    continue;
                }
            }
            if tells {
                cell.learn(sweep.told.about(cell.name()));
            }
            let size = cell.size();
            shard.bytes += size;
            if is_held {
                held = held + Figures { cells: 1, bytes: size as u64 };
            }
        }
        self.totals.change(before, shard.figures());
        shard.cells.tighten();
        Swept { cells: before.cells as usize, held }
    }

    /// How much is in the table.
    pub(super) fn figures(&self) -> Figures {
        self.totals.get()
    }

    /// What is known about a name without asking its cell, and the number of the youngest fact that may have been
    /// forgotten about a name without a cell. To be called under the lock of its shard.
    fn past(&self, name: &[u8]) -> (Facts, Sequence) {
        let dropped = Sequence(self.forgotten.load(Ordering::Relaxed));
        match &self.prefixes {
            Some(prefixes) => {
                let (known, forgotten) = prefixes.past(name);
                (known, forgotten.max(dropped))
            }
            None => (Facts::NONE, dropped),
        }
    }

    fn insert(&self, shard: &mut Shard, hash: u64, name: &[u8], known: Facts, forgotten: Sequence) -> Cell {
        let cell = Cell::new(self.role, name, known.and(Facts { hard: forgotten, ..Facts::NONE }));
        self.touched.note(&cell, forgotten);
        let before = shard.figures();
        shard.bytes += cell.size();
        shard.cells.insert(print(hash), cell.clone());
        self.totals.change(before, shard.figures());
        cell
    }

    fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write(name);
        hasher.finish()
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // Bits that are no part of the print. As a fraction of 2^32, and the same fraction of the shards is below their number.
        let part = (hash >> 24) & u64::from(u32::MAX);
        &self.shards[((part * self.shards.len() as u64) >> 32) as usize]
    }
}

/// By which a cell is told from others in its shard.
fn print(hash: u64) -> u16 {
    hash as u16
}

impl Part<'_> {
    /// Drops cells that nobody holds and whose facts are old; tells those that stay of what is forgotten elsewhere.
    pub(super) fn sweep(&self, sweep: &Sweep) -> Swept {
        self.table.sweep(&mut self.shard.lock(), sweep)
    }
}

impl Shard {
    fn find(&self, hash: u64, name: &[u8]) -> Option<&Cell> {
        self.cells.get(self.cells.find(print(hash), |cell| cell.name() == name)?)
    }

    fn figures(&self) -> Figures {
        Figures { cells: self.cells.len() as u64, bytes: self.bytes as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::subject::Kind;
    use super::*;
    use crate::clock::Moment;

    fn touched() -> Arc<Touched> {
        Arc::new(Touched::new(16))
    }

    fn table(shards: usize) -> Table {
        Table::new(Role::Tag, shards, None, touched())
    }

    /// Passes all shards. How much is held.
    fn sweep(table: &Table, sweep: &Sweep) -> Figures {
        table.parts().map(|part| part.sweep(sweep).held).sum()
    }

    fn up_to(old: u64) -> Sweep {
        Sweep { old: Sequence(old), told: Arc::default() }
    }

    fn hard(number: u64) -> Facts {
        Facts::one(Kind::Hard, Sequence(number), Moment::from_nanos(number))
    }

    #[test]
    fn a_held_cell_stays_and_a_pointless_one_goes() {
        let table = table(4);
        let held = table.cell(b"held");
        held.learn(hard(7));
        table.cell(b"pointless");
        let left = Figures { cells: 1, bytes: held.size() as u64 };
        assert_eq!((sweep(&table, &up_to(9)), table.figures()), (left, left));
        assert!(held.is(&table.cell(b"held")));
        assert!(table.cell_since(b"held", Sequence(0)).is_some_and(|cell| held.is(&cell)));
    }

    #[test]
    fn a_forgotten_fact_turns_older_flights_away_and_no_younger_ones() {
        let table = table(1);
        table.cell(b"t").learn(hard(5));
        sweep(&table, &up_to(4));
        assert_eq!(table.figures().cells, 1, "the fact is younger than that");
        assert!(table.cell_since(b"t", Sequence(4)).is_some());
        sweep(&table, &up_to(5));
        assert!(table.cell_since(b"t", Sequence(4)).is_none());
        assert!(table.cell_since(b"other", Sequence(4)).is_none(), "it cannot tell which cell went");
        assert!(table.cell_since(b"t", Sequence(5)).is_some());
    }

    #[test]
    fn of_what_is_forgotten_the_youngest_counts() {
        let table = table(1);
        for number in 1..=90 {
            table.cell(format!("{number}").as_bytes()).learn(hard(number));
        }
        sweep(&table, &up_to(90));
        assert!(table.cell_since(b"t", Sequence(89)).is_none());
        assert!(table.cell_since(b"t", Sequence(90)).is_some());
    }

    #[test]
    fn a_cell_made_anew_knows_that_facts_were_forgotten() {
        let table = table(1);
        table.cell(b"t").learn(hard(5));
        sweep(&table, &up_to(5));
        let anew = table.cell_since(b"t", Sequence(5)).unwrap();
        assert_eq!(anew.facts().hard, Sequence(5), "for older ones that find it");
        assert!(table.concerns(b"t", Sequence(4)));
        assert!(!table.concerns(b"t", Sequence(5)));
        assert_eq!(table.tally(b"t"), Tally::default(), "which is no purge of this name");
    }

    #[test]
    fn a_cell_that_is_born_with_what_was_forgotten_has_been_touched() {
        let table = table(1);
        table.cell(b"t").learn(hard(5));
        sweep(&table, &up_to(5));
        let anew = table.cell(b"t");
        assert_eq!(table.touched.youngest(&anew), Sequence(5));
    }

    #[test]
    fn the_cell_of_a_url_knows_the_prefixes_that_were_purged_before_it_was_made() {
        let prefixes = Arc::new(Prefixes::default());
        let table = Table::new(Role::Url, 1, Some(prefixes.clone()), touched());
        prefixes.learn(b"a.example/x", hard(3));
        assert_eq!(table.cell(b"a.example/x/1").facts().hard, Sequence(3));
        assert_eq!(table.cell(b"a.example/y").facts().hard, Sequence(0));
        prefixes.forget(&prefixes.hand_on());
        prefixes.forget(&prefixes.hand_on());
        assert_eq!(table.cell(b"a.example/z").facts().hard, Sequence(3), "it cannot tell which went");
        assert!(table.cell_since(b"a.example/other", Sequence(2)).is_none());
    }

    #[test]
    fn a_sweep_tells_the_cells_that_stay_of_prefixes() {
        let table = Table::new(Role::Url, 2, Some(Arc::default()), touched());
        let (hit, missed) = (table.cell(b"a.example/x/1"), table.cell(b"a.example/y"));
        let mut told = Tree::default();
        told.add(b"a.example/x", hard(3));
        sweep(&table, &Sweep { old: Sequence(3), told: Arc::new(told) });
        assert_eq!((hit.facts().hard, missed.facts().hard), (Sequence(3), Sequence(0)));
    }

    #[test]
    fn size_comes_and_goes_with_the_cells() {
        let table = table(2);
        for i in 0..1000 {
            table.cell(format!("/{i}").as_bytes());
        }
        let Figures { cells, bytes } = table.figures();
        assert_eq!(cells, 1000);
        assert!(bytes > 1000 * 32);
        sweep(&table, &up_to(0));
        assert_eq!(table.figures(), Figures::default());
        assert!(
            table.shards.iter().all(|shard| shard.lock().cells.places() == 0),
            "nor is room left for them"
        );
    }

    #[test]
    fn the_top_is_what_most_answer_to() {
        let table = table(4);
        let held: Vec<_> = (0..40_u64).map(|i| (table.cell(format!("t{i:02}").as_bytes()), i / 2)).collect();
        held.iter().for_each(|(cell, entries)| (0..*entries).for_each(|_| cell.count(1)));
        let top = |most| -> Vec<(String, u64)> {
            let top = table.top(most).into_iter();
            top.map(|(name, entries)| (String::from_utf8(name.into()).unwrap(), entries)).collect()
        };
        let named = |name: &str, entries| (name.to_owned(), entries);
        assert_eq!(top(3), [named("t38", 19), named("t39", 19), named("t36", 18)]);
        assert_eq!(top(0), []);
        assert_eq!(top(100).len(), 38, "nothing is stored of the others");
    }
}
