//! One cell per subject: the youngest facts about it, and what is stored of it.

use super::facts::{Facts, Purged};
use super::stamp::Sequence;
use super::sync::{Arc, AtomicU64, Ordering};
use crate::clock::Moment;

/// The youngest hard and the youngest soft fact about one subject, and the tally of the stored responses that answer
/// to it.
///
/// INVARIANT of `hard`, `soft` and `at`: they only grow. There are three writers: publications, one at a time, before
/// their number is published; the sweep, which brings facts about prefixes that it is about to forget; and who makes
/// the cell, before anybody else has it. The first two may meet, and the sweep brings the older fact, so each word is
/// raised by one `fetch_max`, never stored.
///
/// Whoever has read (Acquire) a published number finds in the cells every fact up to it. Facts above that may show
/// early: a check then calls dead what is about to be, which is never wrong.
#[derive(Debug)]
pub(super) struct Cell {
    hard: AtomicU64,
    soft: AtomicU64,
    /// Boot-clock nanoseconds of the youngest fact.
    /// INVARIANT: raised before the number (Release), read after it (Acquire): whoever sees a fact sees its time or
    /// that of a younger one, never none.
    at: AtomicU64,
    /// Stored responses that answer to the subject, and their bytes.
    /// INVARIANT: the sums over all living stored responses whose [`Marks`](super::marks::Marks) name this cell. Each is
    /// added once when it is made and taken off once, when it is dropped; it holds the cell meanwhile, so that is not
    /// forgotten with a count left in it. Relaxed, and apart from each other: nothing is decided by them.
    entries: AtomicU64,
    bytes: AtomicU64,
    role: Role,
    name: Box<[u8]>,
}

/// What kind of subject a cell is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Everything,
    Url,
    Host,
    Tag,
    Group,
}

/// What is stored of a subject, and when it was last purged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Stored responses that answer to it, dead ones that are not reclaimed yet included.
    pub entries: u64,
    /// Bytes of their heads and content. Content that two entries share counts twice.
    pub bytes: u64,
    /// The last purge that speaks of it, by a publication that is known yet.
    pub purged: Option<Purged>,
}

/// Bytes that a cell takes beside its name: its words, the two counts of its `Arc`, and its slot in the table (a
/// pointer, a byte of control) of which a third stands empty on average.
const PER_CELL: usize = size_of::<Cell>() + 2 * size_of::<usize>() + (size_of::<usize>() + 1) * 3 / 2;

impl Cell {
    /// A cell that is born knowing `past`.
    pub(super) fn new(role: Role, name: &[u8], past: Facts) -> Arc<Self> {
        Arc::new(Self {
            hard: AtomicU64::new(past.hard.0),
            soft: AtomicU64::new(past.soft.0),
            at: AtomicU64::new(past.at.to_nanos()),
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            role,
            name: name.into(),
        })
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Bytes that it takes, with its name and its slot in the table.
    pub(super) fn size(&self) -> usize {
        PER_CELL + self.name.len()
    }

    /// Adds facts, in whatever order they come.
    pub(super) fn learn(&self, facts: Facts) {
        self.at.fetch_max(facts.at.to_nanos(), Ordering::Relaxed);
        // Raising by nothing would still take the line from other cores.
        if facts.soft > Sequence(0) {
            self.soft.fetch_max(facts.soft.0, Ordering::Release);
        }
        if facts.hard > Sequence(0) {
            self.hard.fetch_max(facts.hard.0, Ordering::Release);
        }
    }

    pub(super) fn facts(&self) -> Facts {
        let hard = Sequence(self.hard.load(Ordering::Acquire));
        let soft = Sequence(self.soft.load(Ordering::Acquire));
        Facts { hard, soft, at: Moment::from_nanos(self.at.load(Ordering::Relaxed)) }
    }

    pub(super) fn count(&self, bytes: u64) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn uncount(&self, bytes: u64) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            entries: self.entries(),
            bytes: self.bytes.load(Ordering::Relaxed),
            purged: self.facts().purged(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::subject::Kind;
    use super::*;

    #[test]
    fn facts_only_grow() {
        let cell = Cell::new(Role::Tag, b"t", Facts::NONE);
        for (kind, number) in [(Kind::Hard, 5), (Kind::Soft, 4), (Kind::Hard, 3), (Kind::Soft, 2)] {
            cell.learn(Facts::one(kind, Sequence(number), Moment::from_nanos(10 * number)));
        }
        let facts = cell.facts();
        assert_eq!((facts.hard, facts.soft, facts.at), (Sequence(5), Sequence(4), Moment::from_nanos(50)));
    }

    #[test]
    fn what_it_was_born_with_is_no_purge_that_could_be_told() {
        let cell = Cell::new(Role::Tag, b"t", Facts { hard: Sequence(7), ..Facts::NONE });
        assert_eq!(cell.tally(), Tally::default());
        cell.learn(Facts::one(Kind::Soft, Sequence(9), Moment::from_nanos(90)));
        let purged = Purged { sequence: Sequence(9), at: Moment::from_nanos(90) };
        assert_eq!(cell.tally().purged, Some(purged));
    }
}
