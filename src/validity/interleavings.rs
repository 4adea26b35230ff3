//! The promise in all orders: threads that purge, fetch, check, validate and sweep, one step at a time, in thousands of
//! orders that a model checker chooses. What must not come out of any of them is asserted by the client.
//!
//! The origin is a number that only grows. Who changes it purges then; once that has returned, nobody who arrives may
//! be served a smaller one.

use std::sync::atomic::AtomicUsize;

use shuttle::thread;

use super::cell::Tally;
use super::log::Log;
use super::marks::Marks;
use super::model;
use super::stamp::{Sequence, Stamp};
use super::subject::{Fact, Group, Kind, Subject, Subjects};
use super::sync::{Arc, AtomicU64, Mutex, Ordering};
use crate::clock::Moment;

const GROUP: Group<'static> = Group { origin: "http://a.example:81", name: "g" };
const SUBJECTS: Subjects<'static> =
    Subjects { host: "a.example", url: "a.example:81/x", tags: &["t"], groups: &[GROUP] };
/// Without tags, groups and port: what it answers to beside its URL is remembered for the next of its host.
const COMMON: Subjects<'static> = Subjects { host: "a.example", url: "a.example/x", tags: &[], groups: &[] };
const ALL: [Subject<'static>; 9] = [
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
const URL: Subject<'static> = ALL[1];
const PREFIX: Subject<'static> = ALL[5];
const TAG: Subject<'static> = ALL[6];
const ELSEWHERE: Fact<'static> = Fact { subject: Subject::Tag("elsewhere"), kind: Kind::Hard };

/// A log, an origin, and a slot to store its answer in.
struct World {
    log: Arc<Log>,
    /// What the origin's answer answers to.
    subjects: Subjects<'static>,
    /// What is purged.
    subject: Subject<'static>,
    /// What the origin answers.
    origin: AtomicU64,
    /// What it answered at least when the last purge that has returned was asked for.
    promised: AtomicU64,
    purges: AtomicU64,
    slot: Mutex<Option<Arc<Stored>>>,
    seen: Arc<Seen>,
}

struct Stored {
    version: u64,
    marks: Marks,
    stamp: Stamp,
}

/// What happened over all orders, so that a test in which nothing happens is noticed.
#[derive(Default)]
struct Seen {
    fresh: AtomicUsize,
    softened: AtomicUsize,
    dead: AtomicUsize,
    turned_away: AtomicUsize,
}

/// What one thread does.
type Job = fn(&World);

/// Plays `start` in a new world, then all jobs in threads of their own, then `serve`; in many orders.
fn explore(subject: Subject<'static>, start: Job, jobs: &[Job]) -> Arc<Seen> {
    explore_of(SUBJECTS, subject, start, jobs)
}

fn explore_of(subjects: Subjects<'static>, subject: Subject<'static>, start: Job, jobs: &[Job]) -> Arc<Seen> {
    explore_in(1, subjects, subject, start, jobs)
}

/// The tables of URLs and tags have so many shards. More of them make more steps, and the orders that matter rarer among all.
fn explore_in(
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
    fn new(
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

    fn purge(&self, kind: Kind) {
        self.purge_of(self.subject, kind);
    }

    fn purge_of(&self, subject: Subject<'_>, kind: Kind) {
        let version = self.origin.fetch_add(1, Ordering::SeqCst) + 1;
        self.publish(&[Fact { subject, kind }]);
        self.promised.fetch_max(version, Ordering::SeqCst);
    }

    fn purge_elsewhere(&self) {
        self.publish(&[ELSEWHERE]);
    }

    /// One purge of several, of which only the last is about what is stored.
    fn purge_with_others(&self, kind: Kind) {
        let version = self.origin.fetch_add(1, Ordering::SeqCst) + 1;
        self.publish(&[ELSEWHERE, Fact { subject: self.subject, kind }]);
        self.promised.fetch_max(version, Ordering::SeqCst);
    }

    fn publish(&self, facts: &[Fact<'_>]) {
        let now = self.next_moment();
        self.log.publish(facts, now);
    }

    /// Each publication has a time of its own.
    fn next_moment(&self) -> Moment {
        Moment::from_nanos(self.purges.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// An unsafe request whose answer shows what it has made. It purges the URL, and is stored under the number of that
    /// if nothing else has hit it since it was sent.
    fn write(&self) {
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
    fn fetch(&self) {
        let sent = self.log.published();
        let version = self.origin.load(Ordering::SeqCst);
        self.arrive(sent, version);
    }

    fn arrive(&self, sent: Sequence, version: u64) {
        let Some(marks) = self.log.intern(&self.subjects, sent) else { return count(&self.seen.turned_away) };
        self.store(Stored { version, marks, stamp: Stamp::new(sent) });
    }

    /// A conditional request: the origin says whether what is stored is what it would answer.
    fn revalidate(&self) {
        let Some(old) = self.stored() else { return };
        let sent = self.log.published();
        if self.origin.load(Ordering::SeqCst) == old.version {
            let (marks, stamp) = (old.marks.clone(), old.stamp.revalidated(sent));
            self.store(Stored { version: old.version, marks, stamp });
        }
    }

    fn store(&self, new: Stored) {
        if self.log.check(&new.marks, &new.stamp).is_some() {
            *self.slot.lock() = Some(Arc::new(new));
        }
    }

    fn stored(&self) -> Option<Arc<Stored>> {
        self.slot.lock().clone()
    }

    /// A request for what is stored.
    fn serve(&self) {
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
    fn sweep(&self) {
        let mut sweeping = self.log.sweep_in_steps();
        while sweeping.pass().is_some() {
            model::switch();
        }
    }
}

fn count(what: &AtomicUsize) {
    what.fetch_add(1, Ordering::Relaxed);
}

fn happened(what: &AtomicUsize) -> bool {
    what.load(Ordering::Relaxed) > 0
}

fn nothing(_: &World) {}

#[test]
fn after_a_purge_nobody_gets_what_was_asked_for_before() {
    for subject in ALL {
        let seen = explore(
            subject,
            World::fetch,
            &[
                |world| world.purge(Kind::Hard),
                |world| {
                    world.fetch();
                    world.fetch();
                },
                |world| {
                    world.serve();
                    world.serve();
                },
            ],
        );
        assert!(happened(&seen.fresh) && happened(&seen.dead), "{subject:?}");
    }
}

#[test]
fn after_a_soft_purge_nobody_takes_for_fresh_what_was_validated_before() {
    for subject in [TAG, PREFIX] {
        let seen = explore(
            subject,
            World::fetch,
            &[
                |world| world.purge(Kind::Soft),
                World::revalidate,
                |world| {
                    world.serve();
                    world.serve();
                },
                |world| {
                    world.sweep();
                    world.sweep();
                },
            ],
        );
        assert!(happened(&seen.fresh) && happened(&seen.softened), "{subject:?}");
    }
}

#[test]
fn a_304_revives_nothing_that_was_purged_meanwhile() {
    let seen = explore(
        TAG,
        World::fetch,
        &[
            |world| world.purge(Kind::Hard),
            |world| {
                world.revalidate();
                world.revalidate();
            },
            World::serve,
        ],
    );
    assert!(happened(&seen.fresh) && happened(&seen.dead));
}

/// Kills: the memo taken after the scan.
#[test]
fn a_check_during_a_purge_does_not_vouch_for_after_it() {
    let start: Job = |world| {
        world.fetch();
        // So that there is something to look for.
        world.purge_elsewhere();
    };
    for subject in [TAG, PREFIX] {
        let seen = explore(subject, start, &[|world| world.purge(Kind::Hard), World::serve, World::serve]);
        assert!(happened(&seen.fresh) && happened(&seen.dead), "{subject:?}");
    }
}

/// Kills: the number taken late, by the flight or by the purge.
#[test]
fn of_two_purges_of_one_tag_that_race_both_hold() {
    let seen = explore(
        TAG,
        nothing,
        &[
            |world| world.purge(Kind::Hard),
            |world| world.purge(Kind::Hard),
            |world| {
                world.fetch();
                world.serve();
            },
            |world| {
                world.fetch();
                world.serve();
            },
        ],
    );
    assert!(happened(&seen.fresh) && happened(&seen.dead));
}

/// Kills: the number published when the first of several facts is written.
#[test]
fn a_purge_of_several_is_published_when_all_of_it_is_written() {
    for subject in [TAG, PREFIX, Subject::Everything] {
        let hard = explore(
            subject,
            World::fetch,
            &[|world| world.purge_with_others(Kind::Hard), World::serve, World::serve],
        );
        assert!(happened(&hard.fresh) && happened(&hard.dead), "{subject:?}");
        let soft = explore(
            subject,
            World::fetch,
            &[|world| world.purge_with_others(Kind::Soft), World::serve, World::serve],
        );
        assert!(happened(&soft.fresh) && happened(&soft.softened), "{subject:?}");
    }
}

/// Kills: the look at what else has hit it taken before the turn to publish, or after it.
#[test]
fn an_answer_to_a_write_hides_no_purge_that_came_before_its_own() {
    let purges: [Job; 3] = [|world| world.purge(Kind::Hard), |world| world.purge(Kind::Soft), World::write];
    for purge in purges {
        let seen = explore(TAG, nothing, &[World::write, purge, World::serve]);
        assert!(happened(&seen.fresh) && happened(&seen.turned_away));
    }
}

/// Kills: forgetting while a flight holds an old number.
#[test]
fn a_flight_that_is_older_than_what_is_forgotten_is_not_stored() {
    for subject in [TAG, PREFIX, ALL[0], ALL[7]] {
        let seen = explore(
            subject,
            nothing,
            &[
                World::fetch,
                |world| {
                    world.purge(Kind::Hard);
                    world.sweep();
                    world.sweep();
                },
                |world| {
                    world.fetch();
                    world.serve();
                },
            ],
        );
        assert!(happened(&seen.fresh) && happened(&seen.dead) && happened(&seen.turned_away), "{subject:?}");
    }
}

#[test]
fn what_responses_of_a_host_have_in_common_hides_no_purge() {
    for subject in [Subject::Host("a.example"), Subject::Everything, URL] {
        let seen = explore_of(
            COMMON,
            subject,
            World::fetch,
            &[
                World::fetch,
                |world| {
                    world.purge(Kind::Hard);
                    world.sweep();
                    world.sweep();
                },
                |world| {
                    world.fetch();
                    world.serve();
                },
            ],
        );
        assert!(happened(&seen.fresh) && happened(&seen.dead), "{subject:?}");
    }
}

/// Kills: the smaller number stored over the larger one.
#[test]
fn what_a_sweep_hands_on_takes_nothing_back() {
    let start: Job = |world| {
        world.purge_of(PREFIX, Kind::Hard);
        world.sweep();
        world.fetch();
    };
    let seen = explore(URL, start, &[|world| world.purge(Kind::Hard), World::sweep, World::serve]);
    assert!(happened(&seen.fresh) && happened(&seen.dead));
}

#[test]
fn a_fact_that_is_handed_on_during_a_check_is_found() {
    let young: Job = |world| {
        world.fetch();
        world.purge(Kind::Hard);
    };
    let old: Job = |world| {
        world.fetch();
        world.purge(Kind::Hard);
        world.sweep();
    };
    for start in [young, old] {
        let seen = explore(PREFIX, start, &[World::sweep, World::serve, World::sweep]);
        assert!(happened(&seen.dead) && !happened(&seen.fresh));
    }
}

#[test]
fn a_url_that_is_new_while_facts_are_handed_on_is_told_too() {
    let start: Job = |world| {
        world.purge(Kind::Hard);
        world.sweep();
    };
    let late: Job = |world| world.arrive(Sequence::default(), 0);
    let seen = explore(
        PREFIX,
        start,
        &[late, World::sweep, |world| {
            world.fetch();
            world.serve();
        }],
    );
    assert!(happened(&seen.fresh) && happened(&seen.turned_away));
}

/// What is purged lies in one of several shards, some of which the sweep has passed.
///
/// Kills: prefixes forgotten before all shards were told.
#[test]
fn a_sweep_that_rests_between_its_shards_hides_no_purge() {
    let start: Job = |world| {
        world.fetch();
        world.purge(Kind::Hard);
        world.sweep();
    };
    let late: Job = |world| world.arrive(Sequence::default(), 0);
    for subject in [PREFIX, ALL[4], TAG, ALL[0]] {
        let seen = explore_in(
            3,
            SUBJECTS,
            subject,
            start,
            &[World::sweep, late, |world| {
                world.serve();
                world.fetch();
                world.serve();
            }],
        );
        assert!(happened(&seen.fresh) && happened(&seen.dead), "{subject:?}");
    }
}

#[test]
fn a_purge_of_everything_holds_while_a_sweep_passes() {
    let seen = explore(
        Subject::Everything,
        World::fetch,
        &[
            |world| world.purge(Kind::Hard),
            |world| {
                world.sweep();
                world.sweep();
            },
            |world| {
                world.fetch();
                world.serve();
            },
        ],
    );
    assert!(happened(&seen.fresh) && happened(&seen.dead));
}

#[test]
fn tallies_come_out_even_and_what_is_counted_is_not_forgotten() {
    model::explore(|| {
        let log = Log::with_shards(1, 1, 16);
        let holders = [(); 2].map(|()| {
            let log = log.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    let held = log.intern(&SUBJECTS, log.published()).unwrap();
                    held.hold(10);
                    let tally = log.tally(TAG).unwrap();
                    assert!((1..=2).contains(&tally.entries) && tally.bytes >= 10, "{tally:?}");
                    held.let_go(10);
                    drop(held);
                }
            })
        });
        log.sweep();
        holders.into_iter().for_each(|holder| holder.join().unwrap());
        assert_eq!(log.tally(TAG), Some(Tally::default()));
        log.sweep();
        assert_eq!(log.figures().cells, 0);
    });
}
