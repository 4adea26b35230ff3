//! One cell per subject: what is stored of it, and the youngest facts about it, if there ever were any.

use super::facts::{Facts, Purged};
use super::stamp::Sequence;
use super::sync::{AtomicU32, AtomicU64, Counted, OnceBox, Ordering, ThinArc};
use crate::clock::Moment;

/// The youngest hard and the youngest soft fact about one subject, and the tally of the stored responses that answer
/// to it. Clones are the same cell.
///
/// There are as many as stored responses, and most are of URLs that are never purged: so a cell is one allocation with its
/// name, to which a single word points, and what few cells have lies apart.
#[derive(Clone, Debug)]
pub(super) struct Cell(ThinArc<Head, u8>);

#[derive(Debug)]
struct Head {
    /// INVARIANT: made (Release) before the first fact is written there, and never taken away. So whoever has read
    /// (Acquire) the number of a fact finds it here.
    rare: OnceBox<Rare>,
    /// Stored responses that answer to the subject.
    /// INVARIANT: the number of all living stored responses whose [`Marks`](super::marks::Marks) name this cell. Each is
    /// added once when it is made and taken off once, when it is dropped; it holds the cell meanwhile, so that is not
    /// forgotten with a count left in it. Relaxed: nothing is decided by it.
    entries: AtomicU32,
    role: Role,
}

/// What few cells have: facts, and bytes if they are of tags.
///
/// INVARIANT of `hard`, `soft` and `at`: they only grow. There are three writers: publications, one at a time, before
/// their number is published; the sweep, which brings facts about prefixes that it is about to forget; and who makes
/// the cell, before anybody else has it. The first two may meet, and the sweep brings the older fact, so each word is
/// raised by one `fetch_max`, never stored.
///
/// Whoever has read (Acquire) a published number finds in the cells every fact up to it. Facts above that may show
/// early: a check then calls dead what is about to be, which is never wrong.
#[derive(Debug, Default)]
struct Rare {
    hard: AtomicU64,
    soft: AtomicU64,
    /// Boot-clock nanoseconds of the youngest fact.
    /// INVARIANT: raised before the number (Release), read after it (Acquire): whoever sees a fact sees its time or
    /// that of a younger one, never none.
    at: AtomicU64,
    /// Bytes of the stored responses that carry the tag. Counted like `entries`, and apart from them.
    bytes: AtomicU64,
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
    /// Of a tag: bytes that they take in all. Content that two entries share counts twice. Of anything else zero: they are
    /// not counted.
    pub bytes: u64,
    /// The last purge that speaks of it, by a publication that is known yet.
    pub purged: Option<Purged>,
}

/// Bytes that a cell takes before its name: how many hold it, and how long the name is, are a word each.
const BEFORE_NAME: usize = size_of::<Head>() + 2 * size_of::<usize>();
/// What the allocator's size classes are multiples of.
const GRAIN: usize = 16;
/// Its slot in the table: its share of a cache line, which is filled with five at the most on average, and with four after the
/// table has grown.
const PER_SLOT: usize = 16;

impl Cell {
    /// A cell that is born knowing `past`.
    pub(super) fn new(role: Role, name: &[u8], past: Facts) -> Self {
        let head = Head { rare: OnceBox::default(), entries: AtomicU32::new(0), role };
        let cell = Self(ThinArc::from_header_and_slice(head, name));
        cell.learn(past);
        cell
    }

    pub(super) fn role(&self) -> Role {
        self.head().role
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.0.slice
    }

    /// Bytes that it takes, with its name and its slot in the table.
    pub(super) fn size(&self) -> usize {
        let rare = self.head().rare.get().map_or(0, |_| size_of::<Rare>());
        (BEFORE_NAME + self.name().len()).next_multiple_of(GRAIN) + rare + PER_SLOT
    }

    /// Whether anybody has it beside the one who asks.
    pub(super) fn is_shared(&self) -> bool {
        // Acquire: whoever let go of it last may have written facts before.
        self.0.with_arc(Counted::count) > 1
    }

    /// Whether it is the same cell, which for cells of one table is the same name.
    pub(super) fn is(&self, other: &Cell) -> bool {
        self.address() == other.address()
    }

    /// Where it lies in memory.
    pub(super) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Adds facts, in whatever order they come.
    pub(super) fn learn(&self, facts: Facts) {
        // Raising by nothing would still take the line from other cores, and room.
        if facts.youngest() == Sequence(0) {
            return;
        }
        let known = self.rare();
        known.at.fetch_max(facts.at.to_nanos(), Ordering::Relaxed);
        if facts.soft > Sequence(0) {
            known.soft.fetch_max(facts.soft.0, Ordering::Release);
        }
        if facts.hard > Sequence(0) {
            known.hard.fetch_max(facts.hard.0, Ordering::Release);
        }
    }

    pub(super) fn facts(&self) -> Facts {
        let Some(known) = self.head().rare.get() else { return Facts::NONE };
        let hard = Sequence(known.hard.load(Ordering::Acquire));
        let soft = Sequence(known.soft.load(Ordering::Acquire));
        Facts { hard, soft, at: Moment::from_nanos(known.at.load(Ordering::Relaxed)) }
    }

    pub(super) fn count(&self, bytes: u64) {
        self.head().entries.fetch_add(1, Ordering::Relaxed);
        if self.role() == Role::Tag {
            self.rare().bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn uncount(&self, bytes: u64) {
        self.head().entries.fetch_sub(1, Ordering::Relaxed);
        if self.role() == Role::Tag {
            self.rare().bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn entries(&self) -> u64 {
        self.head().entries.load(Ordering::Relaxed).into()
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            entries: self.entries(),
            bytes: self.head().rare.get().map_or(0, |rare| rare.bytes.load(Ordering::Relaxed)),
            purged: self.facts().purged(),
        }
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    fn rare(&self) -> &Rare {
        self.head().rare.get_or_init(Box::default)
    }
}

#[cfg(test)]
mod tests {
    use super::super::subject::Kind;
    use super::*;

    #[test]
    fn a_cell_that_was_never_purged_is_small() {
        assert_eq!(BEFORE_NAME, 32);
        let url = Cell::new(Role::Url, &[b'u'; 32], Facts::NONE);
        url.count(1_000);
        assert_eq!(url.size(), 64 + PER_SLOT);
        url.learn(Facts::one(Kind::Hard, Sequence(1), Moment::from_nanos(1)));
        assert_eq!(url.size(), 64 + size_of::<Rare>() + PER_SLOT);
    }

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
