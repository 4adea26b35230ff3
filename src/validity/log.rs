//! The log itself.

use super::cell::{Cell, Marks, Verdict};
use super::stamp::{Sequence, Stamp};
use super::subject::{Fact, Kind, Subject, Subjects};
use super::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering};
use super::table::Table;
use crate::clock::Moment;

/// Every response that is stored passes through the tables of URLs and tags.
const MANY_SHARDS: usize = 64;
/// There are few hosts, and they are found by reading.
const FEW_SHARDS: usize = 8;
/// As many cells that nobody holds as are held, and so many more, may wait for their sweep.
const MANY_CELLS: u64 = 1 << 14;

/// What was purged, since when. One per process.
#[derive(Debug)]
pub struct Log {
    /// The number of the youngest complete publication.
    /// INVARIANT: stored (Release) after every fact of its publication was written, and while `publishing` is held.
    /// Whoever reads it (Acquire) finds all facts up to it. Nobody but a publication computes with it.
    published: AtomicU64,
    /// Held from taking a number to publishing it: numbers are published in order, without gaps.
    publishing: Mutex<()>,
    everything: Arc<Cell>,
    urls: Table,
    hosts: Table,
    tags: Table,
    groups: Table,
    /// What was published when the last sweep began.
    swept: AtomicU64,
    /// Cells that were held when it passed.
    held: AtomicU64,
}

/// The log's size, for reports and for the budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Subjects that have a cell.
    pub cells: u64,
    /// Bytes that they take, nearly.
    pub bytes: u64,
}

/// The witness that a response may be used: no fact has killed it. Only [`Log::check`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Alive {
    softened: Option<Moment>,
}

impl Alive {
    /// When a soft purge made the response stale, if one did since it was last validated.
    pub fn softened(&self) -> Option<Moment> {
        self.softened
    }
}

impl Log {
    /// An empty log.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            published: AtomicU64::new(0),
            publishing: Mutex::new(()),
            everything: Arc::default(),
            urls: Table::new(MANY_SHARDS),
            hosts: Table::new(FEW_SHARDS),
            tags: Table::new(MANY_SHARDS),
            groups: Table::new(FEW_SHARDS),
            swept: AtomicU64::new(0),
            held: AtomicU64::new(0),
        })
    }

    /// The number of the youngest publication. A flight reads it before its request is sent, and carries it as the
    /// `body` of what comes back.
    pub fn published(&self) -> Sequence {
        Sequence(self.published.load(Ordering::Acquire))
    }

    /// Publishes a purge of one or several subjects under one number. When this returns, no check calls alive what
    /// was asked for before and answers to any of them.
    pub fn publish(&self, facts: &[Fact<'_>], now: Moment) -> Sequence {
        self.publish_after(facts, now, || ()).0
    }

    /// As [`publish`](Self::publish); tells also whether a response was alive until then. No other publication comes
    /// between the two. So the answer to an unsafe method, which shows the state after it, may be stored under the
    /// number of the invalidation that it itself causes.
    pub fn publish_own(
        &self,
        facts: &[Fact<'_>],
        now: Moment,
        marks: &Marks,
        stamp: &Stamp,
    ) -> (Sequence, bool) {
        self.publish_after(facts, now, || self.check(marks, stamp).is_some())
    }

    fn publish_after<T>(&self, facts: &[Fact<'_>], now: Moment, first: impl FnOnce() -> T) -> (Sequence, T) {
        // Found before the number is taken, and held until it is published: no sweep comes in between, and whoever
        // interns the subject from now on gets the cell that the fact will be in.
        let cells: Vec<Arc<Cell>> = facts.iter().map(|fact| self.cell(fact.subject)).collect();
        let publication = self.begin();
        let told = first();
        for (fact, cell) in facts.iter().zip(&cells) {
            publication.write(cell, fact.kind, now);
        }
        (publication.finish(), told)
    }

    pub(super) fn begin(&self) -> Publication<'_> {
        let turn = self.publishing.lock();
        // Relaxed: the lock orders this after the store of the publication before.
        let number = Sequence(self.published.load(Ordering::Relaxed) + 1);
        Publication { log: self, number, _turn: turn }
    }

    /// The cells of a response whose request was sent when `sent` was published.
    ///
    /// `None`: facts younger than `sent` may have been forgotten, so it cannot be known whether the response was
    /// purged. It may go to those whose requests arrived before it was asked for, and must not be stored.
    pub fn intern(&self, subjects: &Subjects<'_>, sent: Sequence) -> Option<Marks> {
        let mut cells = Vec::with_capacity(4 + subjects.tags.len() + subjects.groups.len());
        let complete = self.all_named(subjects, |table, name| {
            let Some(cell) = table.cell_since(name, sent) else { return false };
            // Response fields repeat themselves; a handful of pointers is compared faster than hashed.
            if !cells.iter().any(|known| Arc::ptr_eq(known, &cell)) {
                cells.push(cell);
            }
            true
        });
        complete.then(|| Marks::new(cells))
    }

    /// Whether a hard purge of any of these subjects may have been published after `since`. For a response that is not
    /// kept, so that its cells need not be either.
    pub fn concerns(&self, subjects: &Subjects<'_>, since: Sequence) -> bool {
        self.published() > since
            && (self.everything.is_dead_since(since)
                || !self.all_named(subjects, |table, name| !table.concerns(name, since)))
    }

    /// Whether `is_so` of every name that a response answers to, in the table of its kind; stops at the first that is
    /// not.
    fn all_named(&self, subjects: &Subjects<'_>, mut is_so: impl FnMut(&Table, &[u8]) -> bool) -> bool {
        is_so(&self.urls, subjects.url.as_bytes())
            && is_so(&self.hosts, subjects.host.as_bytes())
            && subjects.with_port().is_none_or(|(authority, portless)| {
                is_so(&self.urls, portless.as_bytes()) && is_so(&self.hosts, authority.as_bytes())
            })
            && subjects.tags.iter().all(|tag| is_so(&self.tags, tag.as_bytes()))
            && subjects.groups.iter().all(|group| is_so(&self.groups, &group.key()))
    }

    /// Whether a response may still be used. If nothing was published since the last check, this is two loads and a
    /// comparison.
    pub fn check(&self, marks: &Marks, stamp: &Stamp) -> Option<Alive> {
        let published = self.published();
        if !stamp.is_known_alive(published) {
            self.look(marks, stamp, published)?;
        }
        Some(Alive { softened: stamp.softened() })
    }

    /// Looks at every cell; `published` was read before. `None`: dead.
    pub(super) fn look(&self, marks: &Marks, stamp: &Stamp, published: Sequence) -> Option<()> {
        let mut softened: Option<Moment> = None;
        for cell in std::iter::once(&*self.everything).chain(marks.cells()) {
            match cell.verdict(stamp) {
                Verdict::Dead => return None,
                Verdict::Softened(at) => softened = Some(softened.map_or(at, |other| other.min(at))),
                Verdict::Untouched => {}
            }
        }
        stamp.remember(published, softened);
        Some(())
    }

    /// Forgets cells that nobody holds and whose facts were published before the last sweep began. To be called about
    /// every minute: flights that take longer than that for their response head may go unstored.
    pub fn sweep(&self) {
        let old = Sequence(self.swept.swap(self.published().0, Ordering::Relaxed));
        self.held.store(self.tables().map(|table| table.sweep(old)).sum(), Ordering::Relaxed);
    }

    /// Whether so many cells have come since the last sweep, by purges or by responses that are gone, that the next is
    /// due before its time.
    pub fn is_crowded(&self) -> bool {
        let cells: u64 = self.tables().map(Table::cells).sum();
        cells > MANY_CELLS + 2 * self.held.load(Ordering::Relaxed)
    }

    /// How much is remembered.
    pub fn figures(&self) -> Figures {
        self.tables().fold(Figures::default(), |sum, table| Figures {
            cells: sum.cells + table.cells(),
            bytes: sum.bytes + table.bytes(),
        })
    }

    pub(super) fn cell(&self, subject: Subject<'_>) -> Arc<Cell> {
        match subject {
            Subject::Everything => self.everything.clone(),
            Subject::Url(url) => self.urls.cell(url.as_bytes()),
            Subject::Host(host) => self.hosts.cell(host.as_bytes()),
            Subject::Tag(tag) => self.tags.cell(tag.as_bytes()),
            Subject::Group(group) => self.groups.cell(&group.key()),
        }
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        [&self.urls, &self.hosts, &self.tags, &self.groups].into_iter()
    }
}

/// A purge that is being written: it has its number, and nobody can read that yet.
pub(super) struct Publication<'a> {
    log: &'a Log,
    number: Sequence,
    _turn: MutexGuard<'a, ()>,
}

impl Publication<'_> {
    pub(super) fn write(&self, cell: &Cell, kind: Kind, now: Moment) {
        match kind {
            Kind::Hard => cell.harden(self.number),
            Kind::Soft => cell.soften(self.number, now),
        }
    }

    pub(super) fn finish(self) -> Sequence {
        self.log.published.store(self.number.0, Ordering::Release);
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::super::subject::Group;
    use super::*;

    const GROUP: Group<'static> = Group { origin: "http://a.example:81", name: "g" };
    const SUBJECTS: Subjects<'static> =
        Subjects { host: "a.example", url: "a.example:81/x", tags: &["t", "u", "t"], groups: &[GROUP] };

    fn hard(subject: Subject<'_>) -> Fact<'_> {
        Fact { subject, kind: Kind::Hard }
    }

    fn soft(subject: Subject<'_>) -> Fact<'_> {
        Fact { subject, kind: Kind::Soft }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    fn stored(log: &Log) -> (Marks, Stamp) {
        let sent = log.published();
        (log.intern(&SUBJECTS, sent).unwrap(), Stamp::new(sent))
    }

    #[test]
    fn a_hard_purge_kills_what_was_asked_for_before_and_nothing_after() {
        for subject in [
            Subject::Url("a.example:81/x"),
            Subject::Url("a.example/x"),
            Subject::Host("a.example"),
            Subject::Host("a.example:81"),
            Subject::Tag("u"),
            Subject::Group(GROUP),
            Subject::Everything,
        ] {
            let log = Log::new();
            let (marks, before) = stored(&log);
            assert!(log.check(&marks, &before).is_some());
            let number = log.publish(&[hard(subject)], at(1));
            assert_eq!(number.get(), 1);
            assert!(log.check(&marks, &before).is_none(), "{subject:?}");
            let (marks, after) = stored(&log);
            assert!(log.check(&marks, &after).is_some(), "{subject:?}");
        }
    }

    #[test]
    fn a_purge_of_something_else_leaves_it_alone() {
        let log = Log::new();
        let (marks, stamp) = stored(&log);
        for subject in [
            Subject::Url("a.example:81/x/"),
            Subject::Url("a.example:82/x"),
            Subject::Url("t"),
            Subject::Host("a.example:82"),
            Subject::Host("t"),
            Subject::Tag("a.example"),
            Subject::Tag("T"),
            Subject::Group(Group { origin: "http://a.example", name: "g" }),
        ] {
            log.publish(&[hard(subject), soft(subject)], at(1));
        }
        assert_eq!(log.check(&marks, &stamp).unwrap().softened(), None);
    }

    #[test]
    fn a_purge_of_several_has_one_number() {
        let log = Log::new();
        let (marks, stamp) = stored(&log);
        let number = log.publish(&[hard(Subject::Tag("elsewhere")), hard(Subject::Tag("u"))], at(1));
        assert_eq!((number.get(), log.published().get()), (1, 1));
        assert!(log.check(&marks, &stamp).is_none());
    }

    #[test]
    fn a_304_clears_a_soft_purge_and_no_hard_one() {
        let log = Log::new();
        let (marks, stamp) = stored(&log);
        log.publish(&[soft(Subject::Tag("t"))], at(5));
        assert_eq!(log.check(&marks, &stamp).unwrap().softened(), Some(at(5)));
        let validated = stamp.revalidated(log.published());
        assert_eq!(log.check(&marks, &validated).unwrap().softened(), None);
        log.publish(&[hard(Subject::Tag("t"))], at(6));
        assert!(log.check(&marks, &validated.revalidated(log.published())).is_none());
    }

    #[test]
    fn staleness_counts_from_the_first_soft_purge_that_was_seen() {
        let log = Log::new();
        let (marks, stamp) = stored(&log);
        log.publish(&[soft(Subject::Tag("t"))], at(5));
        log.check(&marks, &stamp);
        log.publish(&[soft(Subject::Tag("t")), soft(Subject::Host("a.example"))], at(9));
        assert_eq!(log.check(&marks, &stamp).unwrap().softened(), Some(at(5)));
        assert_eq!(log.check(&marks, &stamp).unwrap().softened(), Some(at(5)), "from memory, too");
    }

    #[test]
    fn both_the_old_and_the_new_tags_of_a_304_count() {
        let log = Log::new();
        let (old, stamp) = stored(&log);
        let sent = log.published();
        let new = log.intern(&Subjects { tags: &["new"], ..SUBJECTS }, sent).unwrap();
        let (both, stamp) = (old.union(&new), stamp.revalidated(sent));
        assert!(log.check(&both, &stamp).is_some());
        for tag in ["u", "new"] {
            log.publish(&[soft(Subject::Tag(tag))], at(7));
            assert!(log.check(&both, &stamp).unwrap().softened().is_some(), "{tag}");
        }
    }

    #[test]
    fn an_own_purge_tells_whether_another_came_before() {
        let log = Log::new();
        let (marks, stamp) = stored(&log);
        let own = [hard(Subject::Url("a.example:81/x"))];
        let (number, alive) = log.publish_own(&own, at(1), &marks, &stamp);
        assert!(alive, "its own fact does not count");
        assert!(log.check(&marks, &Stamp::new(number)).is_some());
        assert!(!log.publish_own(&own, at(2), &marks, &stamp).1, "now it is dead");
    }

    #[test]
    fn a_purge_concerns_what_was_asked_for_before_it() {
        let log = Log::new();
        let before = log.published();
        assert!(!log.concerns(&SUBJECTS, before));
        log.publish(&[hard(Subject::Tag("elsewhere")), soft(Subject::Tag("t"))], at(1));
        assert!(!log.concerns(&SUBJECTS, before), "of something else, or soft");
        for subject in [Subject::Host("a.example:81"), Subject::Group(GROUP), Subject::Everything] {
            let before = log.published();
            log.publish(&[hard(subject)], at(1));
            assert!(log.concerns(&SUBJECTS, before), "{subject:?}");
            assert!(!log.concerns(&SUBJECTS, log.published()), "{subject:?}");
        }
        assert!(log.concerns(&SUBJECTS, before));
        let cells = log.figures().cells;
        log.concerns(&Subjects::address("b.example", "b.example/"), before);
        assert_eq!(log.figures().cells, cells, "asking makes no cells");
    }

    #[test]
    fn what_was_forgotten_concerns() {
        let log = Log::new();
        let before = log.published();
        log.publish(&[hard(Subject::Tag("t"))], at(1));
        log.sweep();
        log.sweep();
        assert!(log.concerns(&SUBJECTS, before));
        assert!(!log.concerns(&Subjects { tags: &[], ..SUBJECTS }, before));
    }

    #[test]
    fn repeated_names_are_held_once() {
        let (marks, _) = stored(&Log::new());
        // Two URLs, two hosts (with and without the port), two tags, a group.
        assert_eq!(marks.len(), 7);
    }

    #[test]
    fn facts_are_kept_for_a_whole_sweep_then_older_flights_are_turned_away() {
        let log = Log::new();
        let sent = log.published();
        log.publish(&[hard(Subject::Tag("t"))], at(1));
        log.sweep();
        let marks = log.intern(&SUBJECTS, sent).unwrap();
        assert!(log.check(&marks, &Stamp::new(sent)).is_none(), "the fact is still known");
        drop(marks);
        log.sweep();
        assert!(log.intern(&SUBJECTS, sent).is_none());
        assert!(
            log.intern(&Subjects::address("a.example", "a.example/"), sent).is_some(),
            "no tag, no doubt"
        );
        assert!(log.intern(&SUBJECTS, log.published()).is_some());
    }

    #[test]
    fn the_log_stays_bounded_whatever_is_purged() {
        let log = Log::new();
        for i in 0..=MANY_CELLS {
            log.publish(&[hard(Subject::Url(&format!("a.example/{i}")))], at(1));
        }
        assert!(log.is_crowded());
        log.sweep();
        assert!(log.is_crowded(), "they are young yet");
        log.sweep();
        assert!(!log.is_crowded());
        assert_eq!(log.figures(), Figures::default());
    }

    #[test]
    fn what_a_response_holds_is_not_forgotten() {
        let log = Log::new();
        let (marks, stamp) = stored(&log);
        log.publish(&[hard(Subject::Tag("t"))], at(1));
        for _ in 0..3 {
            log.sweep();
        }
        assert!(log.check(&marks, &stamp).is_none());
        drop(marks);
        log.sweep();
        assert_eq!(log.figures().cells, 0);
    }
}
