//! The log itself.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::clock::Moment;
use crate::validity::cell::Cell;
use crate::validity::{Alive, Marks, Sequence, Stamp};

/// Many, since every response that is stored passes here.
const SHARDS: usize = 64;

/// What a purge names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// Authority, path and query; the scheme does not matter.
    Url(&'a str),
    /// A host without port, which stands for all its ports.
    Host(&'a str),
    /// A surrogate key.
    Tag(&'a str),
    /// A cache group (RFC 9875).
    Group(Group<'a>),
    /// All there is.
    Everything,
}

/// A cache group belongs to the origin that named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// Scheme and authority.
    pub origin: &'a str,
    /// As named by the origin.
    pub name: &'a str,
}

/// Dead, or stale from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Must not be used any more.
    Hard,
    /// Must be validated, or served by a stale grant.
    Soft,
}

/// One target of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact<'a> {
    /// What.
    pub subject: Subject<'a>,
    /// How.
    pub kind: Kind,
}

/// What a response can be purged by.
#[derive(Clone, Copy, Debug)]
pub struct Subjects<'a> {
    /// Without port.
    pub host: &'a str,
    /// Authority, path and query.
    pub url: &'a str,
    /// Surrogate keys.
    pub tags: &'a [&'a str],
    /// Cache groups.
    pub groups: &'a [Group<'a>],
}

type Shard = HashMap<Box<[u8]>, Arc<Cell>>;

/// What was purged, since when. One per process.
#[derive(Debug)]
pub struct Log {
    /// INVARIANT: stored (release) after every fact of its purge was written. Whoever reads it (acquire) sees the
    /// facts of all purges up to it. Only read, never computed with, outside of [`Log::publish`].
    published: AtomicU64,
    /// Held while a purge writes its facts, so that numbers are published in order and without gaps.
    publishing: Mutex<()>,
    everything: Arc<Cell>,
    shards: Box<[Mutex<Shard>]>,
    hash: RandomState,
    /// The highest number of a fact whose cell was dropped. A response that was asked for before that number and
    /// finds no cell cannot tell whether it was purged. INVARIANT: raised under the lock of the cell's shard, before
    /// the cell is removed; read under that lock by whoever misses the cell.
    forgotten: AtomicU64,
    /// `published` at the last sweep: cells with younger facts stay for one more.
    swept: AtomicU64,
}

impl Log {
    /// An empty log.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            published: AtomicU64::new(0),
            publishing: Mutex::new(()),
            everything: Arc::new(Cell::default()),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hash: RandomState::new(),
            forgotten: AtomicU64::new(0),
            swept: AtomicU64::new(0),
        })
    }

    /// The last published purge.
    pub fn published(&self) -> Sequence {
        Sequence(self.published.load(Ordering::Acquire))
    }

    /// Publishes a purge of one or several targets. When this returns, every request that arrives sees it.
    pub fn publish(&self, facts: &[Fact<'_>], now: Moment) -> Sequence {
        self.publish_after(facts, now, || true).0
    }

    /// As [`publish`](Self::publish); tells also whether a response was alive until then. No other purge comes between
    /// the two: what is told to be alive may be stored under the number of this purge, to which it is the answer.
    pub fn publish_own(
        &self,
        facts: &[Fact<'_>],
        now: Moment,
        marks: &Marks,
        stamp: &Stamp,
    ) -> (Sequence, bool) {
        self.publish_after(facts, now, || self.check(marks, stamp).is_some())
    }

    fn publish_after(
        &self,
        facts: &[Fact<'_>],
        now: Moment,
        before: impl FnOnce() -> bool,
    ) -> (Sequence, bool) {
        // Interned before the number is taken: whoever interns later finds the same cell.
        let cells: Vec<Arc<Cell>> = facts.iter().map(|fact| self.cell(fact.subject)).collect();
        let publishing = self.publishing.lock();
        let alive = before();
        let number = Sequence(self.published.load(Ordering::Relaxed) + 1);
        for (fact, cell) in facts.iter().zip(&cells) {
            match fact.kind {
                Kind::Hard => cell.harden(number),
                Kind::Soft => cell.soften(number, now),
            }
        }
        self.published.store(number.0, Ordering::Release);
        drop(publishing);
        (number, alive)
    }

    /// The cells of a response that was asked for when the log stood at `sent`. `None`: so much was forgotten since
    /// that it cannot be told whether it was purged; it may be delivered, not stored.
    pub fn intern(&self, subjects: &Subjects<'_>, sent: Sequence) -> Option<Marks> {
        let named = [Subject::Host(subjects.host), Subject::Url(subjects.url)];
        let tags = subjects.tags.iter().map(|tag| Subject::Tag(tag));
        let groups = subjects.groups.iter().map(|group| Subject::Group(*group));
        let mut cells = vec![self.everything.clone()];
        for subject in named.into_iter().chain(tags).chain(groups) {
            cells.push(self.cell_known_since(subject, sent)?);
        }
        Some(Marks::new(cells))
    }

    /// Whether a response may still be used. Without a purge since the last check this is one load and one compare.
    pub fn check(&self, marks: &Marks, stamp: &Stamp) -> Option<Alive> {
        let published = self.published();
        if stamp.is_clear_up_to(published) {
            return Some(Alive::new(None));
        }
        let mut softened: Option<Moment> = None;
        for cell in marks.cells() {
            if cell.hard() > stamp.body() {
                return None;
            }
            let (number, at) = cell.soft();
            if number > stamp.validated() {
                softened = Some(softened.map_or(at, |earlier| earlier.min(at)));
            }
        }
        if softened.is_none() {
            stamp.found_clear(published);
        }
        Some(Alive::new(softened))
    }

    /// Forgets cells that nobody holds and whose facts are older than the last sweep.
    pub fn sweep(&self) {
        let before = self.swept.swap(self.published().0, Ordering::Relaxed);
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.retain(|_, cell| {
                let fact = cell.youngest().0;
                let kept = Arc::strong_count(cell) > 1 || fact > before;
                if !kept {
                    self.forgotten.fetch_max(fact, Ordering::Relaxed);
                }
                kept
            });
            shard.shrink_to_fit();
        }
    }

    fn cell(&self, subject: Subject<'_>) -> Arc<Cell> {
        match subject {
            Subject::Everything => self.everything.clone(),
            named => {
                let name = name(named);
                self.shard(&name).lock().entry(name).or_default().clone()
            }
        }
    }

    fn cell_known_since(&self, subject: Subject<'_>, sent: Sequence) -> Option<Arc<Cell>> {
        let name = name(subject);
        let mut shard = self.shard(&name).lock();
        if let Some(cell) = shard.get(&name) {
            return Some(cell.clone());
        }
        if sent.0 < self.forgotten.load(Ordering::Relaxed) {
            return None;
        }
        let cell = Arc::new(Cell::default());
        shard.insert(name, cell.clone());
        Some(cell)
    }

    fn shard(&self, name: &[u8]) -> &Mutex<Shard> {
        // The remainder is below the number of shards.
        let index = self.hash.hash_one(name) as usize % self.shards.len();
        &self.shards[index]
    }
}

/// Kinds of subjects do not share names.
fn name(subject: Subject<'_>) -> Box<[u8]> {
    let (kind, parts): (u8, [&str; 2]) = match subject {
        Subject::Url(url) => (b'u', [url, ""]),
        Subject::Host(host) => (b'h', [host, ""]),
        Subject::Tag(tag) => (b't', [tag, ""]),
        Subject::Group(group) => (b'g', [group.origin, group.name]),
        Subject::Everything => (b'*', ["", ""]),
    };
    let mut name = Vec::with_capacity(1 + parts[0].len() + 1 + parts[1].len());
    name.push(kind);
    name.extend_from_slice(parts[0].as_bytes());
    name.push(0);
    name.extend_from_slice(parts[1].as_bytes());
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECTS: Subjects<'static> =
        Subjects { host: "a.example", url: "a.example/x", tags: &["t", "u"], groups: &[] };

    fn hard(subject: Subject<'_>) -> Fact<'_> {
        Fact { subject, kind: Kind::Hard }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_hard_purge_kills_what_was_sent_for_before_it_and_nothing_else() {
        for subject in
            [Subject::Url("a.example/x"), Subject::Host("a.example"), Subject::Tag("u"), Subject::Everything]
        {
            let log = Log::new();
            let sent = log.published();
            let marks = log.intern(&SUBJECTS, sent).unwrap();
            let before = Stamp::new(sent);
            assert!(log.check(&marks, &before).is_some());
            let number = log.publish(&[hard(subject)], at(1));
            assert_eq!(number.get(), sent.get() + 1);
            assert!(log.check(&marks, &before).is_none(), "{subject:?}");
            assert!(log.check(&marks, &Stamp::new(log.published())).is_some(), "{subject:?}");
        }
    }

    #[test]
    fn a_purge_of_something_else_leaves_it_alone() {
        let log = Log::new();
        let marks = log.intern(&SUBJECTS, log.published()).unwrap();
        let stamp = Stamp::new(log.published());
        log.publish(&[hard(Subject::Tag("a.example/x")), hard(Subject::Url("a.example/x/y"))], at(1));
        assert!(log.check(&marks, &stamp).is_some());
    }

    #[test]
    fn a_304_does_not_move_the_body_but_clears_a_soft_purge() {
        let log = Log::new();
        let marks = log.intern(&SUBJECTS, log.published()).unwrap();
        let stamp = Stamp::new(log.published());
        log.publish(&[Fact { subject: Subject::Tag("t"), kind: Kind::Soft }], at(5));
        assert_eq!(log.check(&marks, &stamp).unwrap().softened(), Some(at(5)));
        let validated = stamp.revalidated(log.published());
        assert_eq!(log.check(&marks, &validated).unwrap().softened(), None);
        log.publish(&[hard(Subject::Tag("t"))], at(6));
        assert!(log.check(&marks, &validated.revalidated(log.published())).is_none());
    }

    #[test]
    fn a_purge_between_the_read_of_published_and_the_scan_is_not_memoised_away() {
        let log = Log::new();
        let marks = log.intern(&SUBJECTS, log.published()).unwrap();
        let stamp = Stamp::new(log.published());
        let read_before = log.published();
        log.publish(&[hard(Subject::Tag("t"))], at(1));
        stamp.found_clear(read_before);
        assert!(log.check(&marks, &stamp).is_none());
    }

    #[test]
    fn what_was_forgotten_is_not_taken_for_clean() {
        let log = Log::new();
        let sent = log.published();
        log.publish(&[hard(Subject::Tag("t"))], at(1));
        log.sweep();
        assert!(log.intern(&SUBJECTS, sent).is_some(), "facts since the last sweep are kept");
        log.sweep();
        log.sweep();
        assert!(log.intern(&SUBJECTS, sent).is_none());
        assert!(log.intern(&SUBJECTS, log.published()).is_some());
    }

    #[test]
    fn a_cell_that_an_entry_holds_is_kept() {
        let log = Log::new();
        let marks = log.intern(&SUBJECTS, log.published()).unwrap();
        let stamp = Stamp::new(log.published());
        log.publish(&[hard(Subject::Tag("t"))], at(1));
        for _ in 0..3 {
            log.sweep();
        }
        assert!(log.check(&marks, &stamp).is_none());
    }
}
