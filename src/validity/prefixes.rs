//! What was purged by prefix.
//!
//! A cell per prefix would not do: nobody knows which prefixes will be purged when a response is stored. So facts about
//! prefixes lie in a [`Tree`], and a check walks down it along the URL.
//!
//! Nobody holds a prefix as responses hold their cells, so it cannot be seen whether a fact is still of use. Instead
//! it is handed on: the sweep tells an old fact to the cell of each URL that it speaks of, and forgets it then. Facts
//! come in generations, so that forgetting is one step however many there are: a sweep takes its leave of the eldest as
//! a whole. When one begins, each generation becomes the next elder, so that what is published while it is under way, which
//! takes its time, is as young to the next as what came after it.

use super::facts::Facts;
use super::figures::Figures;
use super::stamp::Sequence;
use super::sync::{Arc, AtomicU64, Ordering, RwLock};
use super::tree::Tree;

/// Facts about prefixes that are not forgotten yet.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    /// The youngest fact about any prefix. A check that has been up to there need not walk.
    /// INVARIANT: raised by a publication before its number is published, so whoever has read (Acquire) that number
    /// sees at least it here; and never lowered, so that facts that moved to the cells are not believed to be new.
    youngest: AtomicU64,
    generations: RwLock<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    /// Published since the last sweep began.
    young: Tree,
    /// Published between the beginnings of the last sweep and the one before it.
    old: Tree,
    /// Those that cells are being told of: none, if no sweep is under way.
    /// INVARIANT: never changed, only replaced, since the sweep reads it without the lock; and by something else only
    /// when all cells have been told of it: until then whoever makes a cell finds it here.
    leaving: Arc<Tree>,
    /// The youngest fact that was dropped.
    /// INVARIANT: raised while the lock is held for the drop, and read together with the trees by whoever makes the
    /// cell of a URL: a cell is told of every fact of the past, or told that there may have been more.
    forgotten: Sequence,
}

impl Prefixes {
    /// Adds facts about all URLs that begin with `prefix`. For publications only, before their number is published.
    pub(super) fn learn(&self, prefix: &[u8], facts: Facts) {
        self.youngest.fetch_max(facts.youngest().0, Ordering::Relaxed);
        self.generations.write().young.add(prefix, facts);
    }

    /// The number of the youngest fact there ever was.
    pub(super) fn youngest(&self) -> Sequence {
        Sequence(self.youngest.load(Ordering::Relaxed))
    }

    /// What is remembered about `url`. What is not is in its cell, to be read after this returned.
    pub(super) fn about(&self, url: &[u8]) -> Facts {
        self.generations.read().about(url)
    }

    /// What is remembered about `url`, and the number of the youngest fact that is not. To be called under the lock that
    /// the sweep takes to tell the cell of `url`.
    pub(super) fn past(&self, url: &[u8]) -> (Facts, Sequence) {
        // A fact that cannot be seen by this number yet has not been swept either: the cell is told of it then.
        if self.youngest() == Sequence(0) {
            return (Facts::NONE, Sequence(0));
        }
        let generations = self.generations.read();
        (generations.about(url), generations.forgotten)
    }

    /// A sweep begins: the facts that it is to tell cells of. If another has not come to its end, they are the same.
    pub(super) fn hand_on(&self) -> Arc<Tree> {
        let mut generations = self.generations.write();
        if generations.leaving.youngest() == Sequence(0) {
            let young = std::mem::take(&mut generations.young);
            generations.leaving = Arc::new(std::mem::replace(&mut generations.old, young));
        }
        generations.leaving.clone()
    }

    /// Forgets `told`, if it is not yet forgotten. All cells of URLs that there are have been told of it.
    pub(super) fn forget(&self, told: &Arc<Tree>) {
        let mut generations = self.generations.write();
        if Arc::ptr_eq(&generations.leaving, told) {
            generations.forgotten = generations.forgotten.max(told.youngest());
            // The caller has `told` yet: it is freed after the lock is released.
            generations.leaving = Arc::default();
        }
    }

    /// Nodes and bytes of all trees.
    pub(super) fn figures(&self) -> Figures {
        let generations = self.generations.read();
        let of = |tree: &Tree| Figures { cells: tree.len() as u64, bytes: tree.size() as u64 };
        of(&generations.young) + of(&generations.old) + of(&generations.leaving)
    }
}

impl Generations {
    fn about(&self, url: &[u8]) -> Facts {
        self.leaving.about(url).and(self.old.about(url)).and(self.young.about(url))
    }
}
