//! What was purged by prefix.
//!
//! A cell per prefix would not do: nobody knows which prefixes will be purged when a response is stored. So facts about
//! prefixes lie in a [`Tree`], and a check walks down it along the URL.
//!
//! Nobody holds a prefix as responses hold their cells, so it cannot be seen whether a fact is still of use. Instead
//! it is handed on: the sweep tells an old fact to the cell of each URL that it speaks of, and forgets it then. Facts
//! come in two generations, so that forgetting is one step however many there are: what is told is the elder
//! generation, as a whole, and then the younger becomes the elder.

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
    young: Tree,
    /// INVARIANT: never changed, only replaced: the sweep reads it without the lock.
    old: Arc<Tree>,
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
        let generations = self.generations.read();
        generations.old.about(url).and(generations.young.about(url))
    }

    /// What is remembered about `url`, and the number of the youngest fact that is not. To be called under the lock that
    /// the sweep takes to tell the cell of `url`.
    pub(super) fn past(&self, url: &[u8]) -> (Facts, Sequence) {
        // A fact that cannot be seen by this number yet has not been swept either: the cell is told of it then.
        if self.youngest() == Sequence(0) {
            return (Facts::NONE, Sequence(0));
        }
        let generations = self.generations.read();
        (generations.old.about(url).and(generations.young.about(url)), generations.forgotten)
    }

    /// The facts that are forgotten next.
    pub(super) fn old(&self) -> Arc<Tree> {
        self.generations.read().old.clone()
    }

    /// Forgets `told`, if it is still the elder generation. All cells of URLs that there are have been told of it.
    pub(super) fn forget(&self, told: &Arc<Tree>) {
        let mut generations = self.generations.write();
        if Arc::ptr_eq(&generations.old, told) {
            generations.forgotten = generations.forgotten.max(told.youngest());
            // The caller has `told` yet: it is freed after the lock is released.
            generations.old = Arc::new(std::mem::take(&mut generations.young));
        }
    }

    /// Nodes and bytes of both trees.
    pub(super) fn figures(&self) -> Figures {
        let generations = self.generations.read();
        let of = |tree: &Tree| Figures { cells: tree.len() as u64, bytes: tree.size() as u64 };
        of(&generations.young) + of(&generations.old)
    }
}
