//! The log itself.

use std::borrow::Cow;

use super::cell::{Cell, Role, Tally};
use super::commons::Commons;
use super::facts::{Facts, Verdict};
use super::figures::Figures;
use super::marks::{List, Marks};
use super::prefixes::Prefixes;
use super::selector::{Choice, Selector};
use super::stamp::{Sequence, Stamp};
use super::subject::{Fact, Kind, Subject, Subjects};
use super::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering};
use super::table::Table;
use super::touched::Touched;
use crate::clock::Moment;

mod sweeping;
#[cfg(test)]
mod tests;

pub use sweeping::Sweeping;

/// Every response that is stored passes through the tables of URLs and tags. A shard is swept, and grows, as a whole and under
/// its lock: of a million cells each has 280, for which somebody waits some 50 us at most. An empty shard takes 40 bytes, these
/// of both tables 280 KiB.
///
/// (To stop in the middle of a larger shard would cost no memory, but its cells change their places when it grows, and whoever
/// goes on then must not leave out one of them.)
const MANY_SHARDS: usize = 7 << 9;
/// Of the table by which checks see what has changed: 32 KiB in all.
const PLACES: usize = 1 << 12;
/// There are few hosts, and they are found by reading. As many have their lists remembered.
const FEW_SHARDS: usize = 32;
/// As many cells that nobody holds as are held, and so many more, may wait for their sweep.
const MANY_CELLS: u64 = 1 << 14;
/// The same for the bytes they take, since the names are as long as clients make them.
const MANY_BYTES: u64 = 16 << 20;

/// What was purged, since when. One per process.
#[derive(Debug)]
pub struct Log {
    /// The number of the youngest complete publication.
    /// INVARIANT: stored (Release) after every fact of its publication was written, and while `publishing` is held.
    /// Whoever reads it (Acquire) finds all facts up to it. Nobody but a publication computes with it.
    published: AtomicU64,
    /// Held from taking a number to publishing it: numbers are published in order, without gaps.
    publishing: Mutex<()>,
    everything: Cell,
    commons: Commons,
    urls: Table,
    hosts: Table,
    tags: Table,
    groups: Table,
    prefixes: Arc<Prefixes>,
    touched: Arc<Touched>,
    /// What was published when the last sweep began.
    /// INVARIANT: read from `published` before that sweep looked at anything. So facts up to it have been there from the
    /// beginning of one sweep to that of the next, which is the first to drop them; and those that are published while a sweep
    /// is under way, which may be for a minute, are to it and to the next as if they had come after it.
    swept: AtomicU64,
    /// Cells that were held when the last one that is over passed them, and the bytes they take.
    held_cells: AtomicU64,
    held_bytes: AtomicU64,
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

/// Where what is known about a subject lies.
enum Home<'log, 'a> {
    Everything,
    Prefix(&'a [u8]),
    Table(&'log Table, Cow<'a, [u8]>),
}

impl Log {
    /// An empty log.
    pub fn new() -> Arc<Self> {
        Self::with_shards(MANY_SHARDS, FEW_SHARDS, PLACES)
    }

    /// With so many shards in the tables of URLs and tags, so few in those of hosts and groups, and so many places to tell
    /// what has been touched.
    pub(super) fn with_shards(many: usize, few: usize, places: usize) -> Arc<Self> {
        let prefixes: Arc<Prefixes> = Arc::default();
        let touched = Arc::new(Touched::new(places));
        let table = |role, shards, prefixes| Table::new(role, shards, prefixes, touched.clone());
        Arc::new(Self {
            published: AtomicU64::new(0),
            publishing: Mutex::new(()),
            everything: Cell::new(Role::Everything, b"", Facts::NONE),
            commons: Commons::new(few),
            urls: table(Role::Url, many, Some(prefixes.clone())),
            hosts: table(Role::Host, few, None),
            tags: table(Role::Tag, many, None),
            groups: table(Role::Group, few, None),
            prefixes,
            touched,
            swept: AtomicU64::new(0),
            held_cells: AtomicU64::new(0),
            held_bytes: AtomicU64::new(0),
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

    /// As [`publish`](Self::publish); tells also whether nothing had hit a response until then, hard or soft. No other
    /// publication comes between the two. So the answer to an unsafe method, which shows the state after it, may be stored under the
    /// number of the invalidation that it itself causes.
    pub fn publish_own(
        &self,
        facts: &[Fact<'_>],
        now: Moment,
        marks: &Marks,
        stamp: &Stamp,
    ) -> (Sequence, bool) {
        self.publish_after(facts, now, || {
            self.check(marks, stamp).is_some_and(|alive| alive.softened().is_none())
        })
    }

    fn publish_after<T>(&self, facts: &[Fact<'_>], now: Moment, first: impl FnOnce() -> T) -> (Sequence, T) {
        // Found before the number is taken, and held until it is published: no sweep comes in between, and whoever
        // interns the subject from now on gets the cell that the fact will be in.
        let places: Vec<Place<'_>> = facts.iter().map(|fact| self.place(fact.subject)).collect();
        let publication = self.begin();
        let told = first();
        for (fact, place) in facts.iter().zip(&places) {
            publication.write(place, fact.kind, now);
        }
        (publication.finish(), told)
    }

    pub(super) fn begin(&self) -> Publication<'_> {
        let turn = self.publishing.lock();
        // Relaxed: the lock orders this after the store of the publication before.
        let number = Sequence(self.published.load(Ordering::Relaxed) + 1);
        Publication { log: self, number, _turn: turn }
    }

    /// Where facts about a subject are to be written.
    pub(super) fn place<'a>(&self, subject: Subject<'a>) -> Place<'a> {
        match self.home(subject) {
            Home::Everything => Place::Cell(self.everything.clone()),
            Home::Prefix(prefix) => Place::Prefix(prefix),
            Home::Table(table, name) => Place::Cell(table.cell(&name)),
        }
    }

    /// The cells of a response whose request was sent when `sent` was published.
    ///
    /// `None`: facts younger than `sent` may have been forgotten, so it cannot be known whether the response was
    /// purged. It may go to those whose requests arrived before it was asked for, and must not be stored.
    pub fn intern(&self, subjects: &Subjects<'_>, sent: Sequence) -> Option<Marks> {
        let url = self.urls.cell_since(subjects.url.as_bytes(), sent)?;
        let others =
            if subjects.are_common() { self.common(subjects, sent) } else { self.others(subjects, sent) };
        Some(Marks::new(url, others?))
    }

    /// As [`others`](Self::others), shared with the last response of the host.
    fn common(&self, subjects: &Subjects<'_>, sent: Sequence) -> Option<List> {
        let host = subjects.host.as_bytes();
        self.commons.of(host).or_else(|| {
            let list = self.others(subjects, sent)?;
            self.commons.keep(host, &list);
            Some(list)
        })
    }

    /// The cells of all but the URL.
    fn others(&self, subjects: &Subjects<'_>, sent: Sequence) -> Option<List> {
        let mut others = Vec::with_capacity(4 + subjects.tags.len() + subjects.groups.len());
        others.push(self.everything.clone());
        let complete = self.all_but_url(subjects, |table, name| {
            let Some(cell) = table.cell_since(name, sent) else { return false };
            // Response fields repeat themselves; a handful of pointers is compared faster than hashed.
            if !others.iter().any(|known| known.is(&cell)) {
                others.push(cell);
            }
            true
        });
        complete.then(|| List::of(others))
    }

    /// Whether a hard purge of any of these subjects may have been published after `since`. For a response that is not
    /// kept, so that its cells need not be either.
    pub fn concerns(&self, subjects: &Subjects<'_>, since: Sequence) -> bool {
        self.published() > since
            && (self.everything.facts().hard > since
                || !self.all_named(subjects, |table, name| !table.concerns(name, since)))
    }

    /// Whether `is_so` of every name that a response answers to, in the table of its kind; stops at the first that is
    /// not.
    fn all_named(&self, subjects: &Subjects<'_>, mut is_so: impl FnMut(&Table, &[u8]) -> bool) -> bool {
        is_so(&self.urls, subjects.url.as_bytes()) && self.all_but_url(subjects, is_so)
    }

    fn all_but_url(&self, subjects: &Subjects<'_>, mut is_so: impl FnMut(&Table, &[u8]) -> bool) -> bool {
        is_so(&self.hosts, subjects.host.as_bytes())
            && subjects.with_port().is_none_or(|(authority, portless)| {
                is_so(&self.urls, portless.as_bytes()) && is_so(&self.hosts, authority.as_bytes())
            })
            && subjects.tags.iter().all(|tag| is_so(&self.tags, tag.as_bytes()))
            && subjects.groups.iter().all(|group| is_so(&self.groups, &group.key()))
    }

    /// Whether a response may still be used. If nothing was published since the last check, this is two loads and a
    /// comparison.
    pub fn check(&self, marks: &Marks, stamp: &Stamp) -> Option<Alive> {
        // Before the look, whose outcome is remembered up to here: what is published during it may have been missed.
        let published = self.published();
        if !stamp.is_known_alive(published) {
            self.look(marks, stamp, published)?;
        }
        Some(Alive { softened: stamp.softened() })
    }

    /// Looks at every cell that may have learned something since the last look; `published` was read before. `None`: dead.
    pub(super) fn look(&self, marks: &Marks, stamp: &Stamp, published: Sequence) -> Option<()> {
        let looked_up = stamp.looked_up();
        let prefixes_purged = self.prefixes.youngest() > looked_up;
        let mut softened: Option<Moment> = None;
        for cell in marks.cells() {
            if !prefixes_purged && self.touched.youngest(cell) <= looked_up {
                continue;
            }
            // Prefixes first: a fact that is not there any more was told to the cell before it went.
            let by_prefix = match cell.role() {
                Role::Url if prefixes_purged => self.prefixes.about(cell.name()),
                _ => Facts::NONE,
            };
            for facts in [by_prefix, cell.facts()] {
                match facts.verdict(stamp) {
                    Verdict::Dead => return None,
                    Verdict::Softened(at) => softened = Some(softened.map_or(at, |other| other.min(at))),
                    Verdict::Untouched => {}
                }
            }
        }
        stamp.remember(published, softened);
        Some(())
    }

    /// What is stored of a subject, and when it was last purged. One look into a table, whatever is stored. `None` for
    /// prefixes: nobody counts what begins with them.
    pub fn tally(&self, subject: Subject<'_>) -> Option<Tally> {
        match self.home(subject) {
            Home::Everything => Some(self.everything.tally()),
            Home::Prefix(_) => None,
            Home::Table(table, name) => Some(table.tally(&name)),
        }
    }

    /// The `most` tags that most stored responses carry, in that order. Walks over all tags, a part at a time: not to be
    /// called by who serves.
    pub fn top_tags(&self, most: usize) -> Vec<(String, Tally)> {
        let top = self.tags.top(most).into_iter();
        top.map(|(name, _)| (String::from_utf8_lossy(&name).into_owned(), self.tags.tally(&name))).collect()
    }

    /// Tells what is stored now and answers to a subject, for who walks over all that is stored.
    pub fn selector(&self, subject: Subject<'_>) -> Selector {
        let cell = match self.home(subject) {
            Home::Everything => Some(self.everything.clone()),
            Home::Prefix(prefix) => return Selector(Choice::Prefix(prefix.into())),
            Home::Table(table, name) => table.find(&name),
        };
        Selector(cell.map_or(Choice::Nothing, Choice::Cell))
    }

    /// Begins to forget cells that nobody holds and facts about prefixes, if they were published before the last sweep
    /// began. To be called about every minute: flights that take longer than from one call to the next for their response
    /// head may go unstored.
    pub fn sweep_in_steps(&self) -> Sweeping<'_> {
        Sweeping::begin(self)
    }

    /// A sweep from its beginning to its end, for who has nothing else to do.
    pub fn sweep(&self) {
        let mut sweeping = self.sweep_in_steps();
        while sweeping.step() {}
    }

    /// Whether so many cells have come since the last sweep, or so large ones, by purges or by responses that are gone,
    /// that the next is due before its time, and the one that is under way in haste. A few loads.
    pub fn is_crowded(&self) -> bool {
        let Figures { cells, bytes } = self.figures();
        cells > MANY_CELLS + 2 * self.held_cells.load(Ordering::Relaxed)
            || bytes > MANY_BYTES + 2 * self.held_bytes.load(Ordering::Relaxed)
    }

    /// How much is remembered.
    pub fn figures(&self) -> Figures {
        self.prefixes.figures() + self.tables().map(Table::figures).sum()
    }

    fn home<'a>(&self, subject: Subject<'a>) -> Home<'_, 'a> {
        match subject {
            Subject::Everything => Home::Everything,
            Subject::Prefix(prefix) => Home::Prefix(prefix.as_bytes()),
            Subject::Url(url) => Home::Table(&self.urls, url.as_bytes().into()),
            Subject::Host(host) => Home::Table(&self.hosts, host.as_bytes().into()),
            Subject::Tag(tag) => Home::Table(&self.tags, tag.as_bytes().into()),
            Subject::Group(group) => Home::Table(&self.groups, group.key().into()),
        }
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        [&self.urls, &self.hosts, &self.tags, &self.groups].into_iter()
    }
}

/// Where a publication writes.
pub(super) enum Place<'a> {
    Cell(Cell),
    Prefix(&'a [u8]),
}

/// A purge that is being written: it has its number, and nobody can read that yet.
pub(super) struct Publication<'a> {
    log: &'a Log,
    number: Sequence,
    _turn: MutexGuard<'a, ()>,
}

impl Publication<'_> {
    pub(super) fn write(&self, place: &Place<'_>, kind: Kind, now: Moment) {
        let fact = Facts::one(kind, self.number, now);
        match place {
            Place::Cell(cell) => {
                self.log.touched.note(cell, self.number);
                cell.learn(fact);
            }
            Place::Prefix(prefix) => self.log.prefixes.learn(prefix, fact),
        }
    }

    pub(super) fn finish(self) -> Sequence {
        self.log.published.store(self.number.0, Ordering::Release);
        self.number
    }
}
