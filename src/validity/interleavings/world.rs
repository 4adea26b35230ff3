//! What the interleavings are played in: a log, an origin, a slot to store its answer in, and what clients do with them.

use std::sync::atomic::AtomicUsize;

use shuttle::thread;

use super::super::log::Log;
use super::super::marks::Marks;
use super::super::model;
use super::super::stamp::{Sequence, Stamp};
use super::super::subject::{Fact, Group, Kind, Subject, Subjects};
use super::super::sync::{Arc, AtomicU64, Mutex, Ordering};
use crate::clock::Moment;

pub(super) const GROUP: Group<'static> = Group { origin: "http://a.example:81", name: "g" };
pub(super) const SUBJECTS: Subjects<'static> =
    Subjects { host: "a.example", url: "a.example:81/x", tags: &["t"], groups: &[GROUP] };
/// Without tags, groups and port: what it answers to beside its URL is remembered for the next of its host.
pub(super) const COMMON: Subjects<'static> =
    Subjects { host: "a.example", url: "a.example/x", tags: &[], groups: &[] };
pub(super) const ALL: [Subject<'static>; 9] = [
    Subject::Url("a.example:81/x"),
    Subject::Url("a.example/x"),
    Subject::Host("a.example"),
    Subject::Host("a.example:81"),
    Subject::Prefix("a.example:81/"),
    Subject::Prefix("a.example/x"),
    Subject::Tag("t"),
    Subject::Group(GROUP),
    Subject::Everything,
];
pub(super) const URL: Subject<'static> = ALL[1];
pub(super) const PREFIX: Subject<'static> = ALL[5];
pub(super) const TAG: Subject<'static> = ALL[6];
pub(super) const ELSEWHERE: Fact<'static> = Fact { subject: Subject::Tag("elsewhere"), kind: Kind::Hard };

/// A log, an origin, and a slot to store its answer in.
pub(super) struct World {
    pub(super) log: Arc<Log>,
    /// What the origin's answer answers to.
    pub(super) subjects: Subjects<'static>,
    /// What is purged.
    pub(super) subject: Subject<'static>,
    /// What the origin answers.
    pub(super) origin: AtomicU64,
    /// What it answered at least when the last purge that has returned was asked for.
    pub(super) promised: AtomicU64,
    pub(super) purges: AtomicU64,
    pub(super) slot: Mutex<Option<Arc<Stored>>>,
    pub(super) seen: Arc<Seen>,
}

pub(super) struct Stored {
    pub(super) version: u64,
    pub(super) marks: Marks,
    pub(super) stamp: Stamp,
}

/// What happened over all orders, so that a test in which nothing happens is noticed.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) fresh: AtomicUsize,
    pub(super) softened: AtomicUsize,
    pub(super) dead: AtomicUsize,
    pub(super) turned_away: AtomicUsize,
}

/// What one thread does.
pub(super) type Job = fn(&World);

/// Plays `start` in a new world, then all jobs in threads of their own, then `serve`; in many orders.
pub(super) fn explore(subject: Subject<'static>, start: Job, jobs: &[Job]) -> Arc<Seen> {
    explore_of(SUBJECTS, subject, start, jobs)
}

pub(super) fn explore_of(
    subjects: Subjects<'static>,
    subject: Subject<'static>,
    start: Job,
    jobs: &[Job],
) -> Arc<Seen> {
    explore_in(1, subjects, subject, start, jobs)
}

/// The tables of URLs and tags have so many shards. More of them make more steps, and the orders that matter rarer among all.
pub(super) fn explore_in(
    shards: usize,
    subjects: Subjects<'static>,
    subject: Subject<'static>,
    start: Job,
    jobs: &[Job],
) -> Arc<Seen> {
    let seen: Arc<Seen> = Arc::default();
    let scenario = {
        let (seen, jobs) = (seen.clone(), jobs.to_vec());
        move || {
            let world = World::new(shards, subjects, subject, &seen);
            start(&world);
            let threads: Vec<_> = jobs
                .iter()
                .map(|job| {
                    let (world, job) = (world.clone(), *job);
                    thread::spawn(move || job(&world))
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            world.serve();
            let purges = world.purges.load(Ordering::SeqCst);
            assert_eq!(world.log.published().get(), purges, "each has a number of its own");
        }
    };
    model::explore(scenario);
    seen
}

impl World {
    pub(super) fn new(
        shards: usize,
        subjects: Subjects<'static>,
        subject: Subject<'static>,
        seen: &Arc<Seen>,
    ) -> Arc<Self> {
        Arc::new(Self {
            log: Log::with_shards(shards, 1, 16),
            subjects,
            subject,
            origin: AtomicU64::new(0),
            promised: AtomicU64::new(0),
            purges: AtomicU64::new(0),
            slot: Mutex::default(),
            seen: seen.clone(),
        })
    }

    pub(super) fn purge(&self, kind: Kind) {
        self.purge_of(self.subject, kind);
    }

    pub(super) fn purge_of(&self, subject: Subject<'_>, kind: Kind) {
        let version = self.origin.fetch_add(1, Ordering::SeqCst) + 1;
        self.publish(&[Fact { subject, kind }]);
        self.promised.fetch_max(version, Ordering::SeqCst);
    }

    pub(super) fn purge_elsewhere(&self) {
        self.publish(&[ELSEWHERE]);
    }

    /// One purge of several, of which only the last is about what is stored.
    pub(super) fn purge_with_others(&self, kind: Kind) {
        let version = self.origin.fetch_add(1, Ordering::SeqCst) + 1;
        self.publish(&[ELSEWHERE, Fact { subject: self.subject, kind }]);
        self.promised.fetch_max(version, Ordering::SeqCst);
    }

    pub(super) fn publish(&self, facts: &[Fact<'_>]) {
        let now = self.next_moment();
        self.log.publish(facts, now);
    }

    /// Each publication has a time of its own.
    pub(super) fn next_moment(&self) -> Moment {
        Moment::from_nanos(self.purges.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// An unsafe request whose answer shows what it has made. It purges the URL, and is stored under the number of that
    /// if nothing else has hit it since it was sent.
    pub(super) fn write(&self) {
        let sent = self.log.published();
        let version = self.origin.fetch_add(1, Ordering::SeqCst) + 1;
        let marks = self.log.intern(&self.subjects, sent).expect("nothing is forgotten here");
        let (own, now) = ([Fact { subject: URL, kind: Kind::Hard }], self.next_moment());
        let (number, is_untouched) = self.log.publish_own(&own, now, &marks, &Stamp::new(sent));
        self.promised.fetch_max(version, Ordering::SeqCst);
        if is_untouched {
            self.store(Stored { version, marks, stamp: Stamp::new(number) });
        } else {
            count(&self.seen.turned_away);
        }
    }

    /// A flight: the number is read, the origin asked, the cells are looked up, the response is checked and stored.
    pub(super) fn fetch(&self) {
        let sent = self.log.published();
        let version = self.origin.load(Ordering::SeqCst);
        self.arrive(sent, version);
    }

    pub(super) fn arrive(&self, sent: Sequence, version: u64) {
        let Some(marks) = self.log.intern(&self.subjects, sent) else { return count(&self.seen.turned_away) };
        self.store(Stored { version, marks, stamp: Stamp::new(sent) });
    }

    /// A conditional request: the origin says whether what is stored is what it would answer.
    pub(super) fn revalidate(&self) {
        let Some(old) = self.stored() else { return };
        let sent = self.log.published();
        if self.origin.load(Ordering::SeqCst) == old.version {
            let (marks, stamp) = (old.marks.clone(), old.stamp.revalidated(sent));
            self.store(Stored { version: old.version, marks, stamp });
        }
    }

    pub(super) fn store(&self, new: Stored) {
        if self.log.check(&new.marks, &new.stamp).is_some() {
            *self.slot.lock() = Some(Arc::new(new));
        }
    }

    pub(super) fn stored(&self) -> Option<Arc<Stored>> {
        self.slot.lock().clone()
    }

    /// A request for what is stored.
    pub(super) fn serve(&self) {
        let promised = self.promised.load(Ordering::SeqCst);
        let Some(stored) = self.stored() else { return };
        match self.log.check(&stored.marks, &stored.stamp) {
            None => count(&self.seen.dead),
            Some(alive) if alive.softened().is_some() => {
                assert!(alive.softened() > Some(Moment::from_nanos(0)), "a fact without its time");
                count(&self.seen.softened);
            }
            Some(_) if stored.version >= promised => count(&self.seen.fresh),
            Some(_) => panic!("{} was served as fresh when {promised} was promised", stored.version),
        }
    }

    /// Rests after each shard.
    pub(super) fn sweep(&self) {
        let mut sweeping = self.log.sweep_in_steps();
        while sweeping.pass().is_some() {
            model::switch();
        }
    }
}

pub(super) fn count(what: &AtomicUsize) {
    what.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn happened(what: &AtomicUsize) -> bool {
    what.load(Ordering::Relaxed) > 0
}

pub(super) fn nothing(_: &World) {}
