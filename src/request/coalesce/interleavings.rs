//! The table in all orders: threads that join, settle, give up, purge and read along, one step at a time, in thousands
//! of orders that a model checker chooses.
//!
//! Beside the table a ledger is kept of who holds the slot. An entry is made in the same step as the last look at the
//! table that it tells of, so that each seat can be judged by what was true when it was given. That nobody waits for
//! ever the checker itself sees: a world in which all wait fails.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use shuttle::{future, thread};

use super::client::Client;
use super::*;
use crate::clock::Moment;
use crate::policy::{Terms, Validators, Variant};
use crate::store::{self, Budget, Extent, Limits, Writer};
use crate::validity::model::{self, switch};
use crate::validity::{Fact, Kind, Log, Subject, Subjects};

/// Before and after the purge.
const TIMES: usize = 2;
const STATUS: StatusCode = StatusCode::BAD_GATEWAY;

/// What does not change while orders are tried.
struct Setting {
    times: [Sequence; TIMES],
    /// What the origin answers to a flight that was begun at each of them.
    shares: [Arc<Share>; TIMES],
    /// As long as they are kept, their bodies are being received.
    _writers: [Writer; TIMES],
}

impl Setting {
    fn new() -> Self {
        let log = Log::new();
        let before = log.published();
        let marks =
            log.intern(&Subjects { host: "a.test", url: "a.test/", tags: &[], groups: &[] }, before).unwrap();
        log.publish(&[Fact { subject: Subject::Everything, kind: Kind::Hard }], Moment::from_nanos(1));
        let times = [before, log.published()];
        let fills = times.map(|sent| {
            let limits = Limits { max_object: 10, window: 10, expected: None };
            let (writer, body) = store::fill(Budget::new(10), limits);
            let share = Share {
                status: StatusCode::OK,
                fields: HeaderMap::new(),
                terms: terms(),
                validators: Validators::default(),
                variant: Variant::default(),
                body,
                length: None,
                extent: Extent::Whole,
                marks: marks.clone(),
                sent,
                received: Moment::from_nanos(0),
                received_wall: SystemTime::UNIX_EPOCH,
            };
            (Arc::new(share), writer)
        });
        let [(old, old_writer), (new, new_writer)] = fills;
        Self { times, shares: [old, new], _writers: [old_writer, new_writer] }
    }
}

fn id() -> FlightId {
    let key = CacheKey::of("http", "a.test", "/");
    FlightId { key, variant: Box::default(), range: None, authorized: false }
}

fn terms() -> Terms {
    Terms::fresh_for(Duration::ZERO)
}

/// How a leader ends its flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Settles,
    /// Settles with a response that others may read along, and goes when it has been received.
    Shares,
    Cancelled,
    Panics,
}

const ENDS: [End; 4] = [End::Settles, End::Shares, End::Cancelled, End::Panics];
const GIVEN_UP: [End; 2] = [End::Cancelled, End::Panics];

/// A flight in the ledger.
struct Known {
    flight: Arc<Flight>,
    /// What its waiters must be told, if the leader does not vanish.
    told: Option<End>,
    /// It has begun to end, so that it need take nobody any more.
    over: bool,
}

/// All flights that were opened, the last one being the one that has the slot.
type Ledger = Vec<Known>;

/// What happened over all orders, so that a test in which nothing happens is noticed.
#[derive(Default)]
struct Seen {
    led: AtomicUsize,
    followed: AtomicUsize,
    /// A flight under way did not take a newcomer, and lost its slot.
    yielded: AtomicUsize,
    settled: AtomicUsize,
    shared: AtomicUsize,
    abandoned: AtomicUsize,
}

/// A table with one slot in use.
struct World {
    /// How leaders end.
    end: End,
    setting: Arc<Setting>,
    flights: Arc<Flights>,
    purged: AtomicUsize,
    /// Nobody goes on while it is locked: it makes no steps of its own.
    ledger: parking_lot::Mutex<Ledger>,
    /// Seats that are kept until all have finished.
    leads: parking_lot::Mutex<Vec<Obligation>>,
    waiters: parking_lot::Mutex<Vec<Waiter>>,
    seen: Arc<Seen>,
}

/// What one thread does.
type Job = fn(&World);

/// Plays `start` in a new world in which flights end by `end`, then all jobs in threads of their own, then `finish`; in
/// many orders.
fn explore(end: End, start: Job, jobs: &[Job], finish: Job) -> Arc<Seen> {
    let (setting, seen) = (Arc::new(Setting::new()), Arc::<Seen>::default());
    let scenario = {
        let (seen, jobs) = (seen.clone(), jobs.to_vec());
        move || {
            let world = World::new(end, &setting, &seen);
            start(&world);
            let threads: Vec<_> = jobs
                .iter()
                .map(|job| {
                    let (world, job) = (world.clone(), *job);
                    thread::spawn(move || job(&world))
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            finish(&world);
            world.clear();
        }
    };
    model::explore(scenario);
    seen
}

impl World {
    fn new(end: End, setting: &Arc<Setting>, seen: &Arc<Seen>) -> Arc<Self> {
        Arc::new(Self {
            end,
            setting: setting.clone(),
            flights: Flights::new(),
            purged: AtomicUsize::new(0),
            ledger: parking_lot::Mutex::default(),
            leads: parking_lot::Mutex::default(),
            waiters: parking_lot::Mutex::default(),
            seen: seen.clone(),
        })
    }

    fn purge(&self) {
        switch();
        self.purged.store(1, Ordering::SeqCst);
    }

    fn arrive(&self) -> Client {
        switch();
        Client { since: self.setting.times[self.purged.load(Ordering::SeqCst)] }
    }

    fn join(&self) -> Seat {
        let client = self.arrive();
        let seat = self.flights.join(id(), &client);
        match &seat {
            Seat::Lead(obligation) => self.opened(&obligation.flight, &client),
            Seat::Follow(waiter) => self.joined(&waiter.flight, &client),
        }
        seat
    }

    fn follow(&self) -> Option<Waiter> {
        let client = self.arrive();
        let waiter = self.flights.follow(&id(), &client);
        match &waiter {
            Some(waiter) => self.joined(&waiter.flight, &client),
            None => assert_none_for(&client, under_way(&self.ledger.lock())),
        }
        waiter
    }

    fn opened(&self, flight: &Arc<Flight>, client: &Client) {
        let mut ledger = self.ledger.lock();
        let current = under_way(&ledger);
        assert_none_for(client, current);
        if current.is_some() {
            count(&self.seen.yielded);
        }
        assert_eq!(flight.begun, client.since);
        ledger.push(Known { flight: flight.clone(), told: None, over: false });
        count(&self.seen.led);
    }

    fn joined(&self, flight: &Arc<Flight>, client: &Client) {
        assert!(flight.begun >= client.since, "who refuses to wait was given the old flight");
        let ledger = self.ledger.lock();
        assert!(
            ledger.last().is_some_and(|current| Arc::ptr_eq(&current.flight, flight)),
            "it has lost its slot"
        );
        count(&self.seen.followed);
    }

    /// Makes an entry about the flight.
    fn note(&self, flight: &Arc<Flight>, entry: impl FnOnce(&mut Known)) {
        let mut ledger = self.ledger.lock();
        entry(ledger.iter_mut().find(|known| Arc::ptr_eq(&known.flight, flight)).unwrap());
    }

    /// Leads the flight to its end, and hears of it like everybody.
    fn lead(&self, obligation: Obligation) {
        let end = self.end;
        let waiter = obligation.waiter();
        let flight = obligation.flight.clone();
        match end {
            End::Settles => {
                self.note(&flight, |known| (known.told, known.over) = (Some(end), true));
                obligation.settle(Verdict::ServerError(STATUS));
            }
            End::Shares => {
                self.note(&flight, |known| known.told = Some(end));
                obligation.settle(Verdict::Shared(self.share(&flight)));
            }
            End::Cancelled | End::Panics => {}
        }
        self.note(&flight, |known| known.over = true);
        if end == End::Panics {
            // Without the hook, which would take it for a failure.
            let unwind = AssertUnwindSafe(|| {
                let _lead = obligation;
                panic::resume_unwind(Box::new(()));
            });
            assert!(panic::catch_unwind(unwind).is_err());
        } else {
            drop(obligation);
        }
        self.wait(waiter);
    }

    fn share(&self, flight: &Flight) -> Arc<Share> {
        let at = self.setting.times.iter().position(|time| *time == flight.begun);
        self.setting.shares[at.unwrap()].clone()
    }

    /// Waits, and says whether the flight was given up.
    fn wait(&self, waiter: Waiter) -> bool {
        let verdict = future::block_on(waiter.verdict());
        let mut told = None;
        self.note(&waiter.flight, |known| told = known.told);
        match (verdict, told) {
            (Verdict::ServerError(STATUS), Some(End::Settles)) => count(&self.seen.settled),
            (Verdict::Shared(share), Some(End::Shares)) => {
                assert!(Arc::ptr_eq(&share, &self.share(&waiter.flight)), "another's response");
                count(&self.seen.shared);
            }
            (Verdict::Abandoned, None) => {
                count(&self.seen.abandoned);
                return true;
            }
            _ => panic!("the waiter was told something else than the leader said: {told:?}"),
        }
        false
    }

    /// A request, from its arrival until it has an answer.
    fn ask(&self) {
        loop {
            match self.join() {
                Seat::Lead(obligation) => return self.lead(obligation),
                Seat::Follow(waiter) => {
                    if !self.wait(waiter) {
                        return;
                    }
                }
            }
        }
    }

    /// Takes a seat and goes no further for now.
    fn sit(&self) {
        match self.join() {
            Seat::Lead(obligation) => self.leads.lock().push(obligation),
            Seat::Follow(waiter) => self.waiters.lock().push(waiter),
        }
    }

    /// The first of those who sit in front goes on.
    fn lead_on(&self) {
        let obligation = self.leads.lock().remove(0);
        self.lead(obligation);
    }

    /// One of those who sit and wait goes on.
    fn wait_on(&self) -> bool {
        let waiter = self.waiters.lock().remove(0);
        self.wait(waiter)
    }

    /// Ends what has not ended.
    fn clear(&self) {
        let leads = std::mem::take(&mut *self.leads.lock());
        leads.into_iter().for_each(|obligation| self.lead(obligation));
        while !self.waiters.lock().is_empty() {
            self.wait_on();
        }
        assert!(self.flights.shards.iter().all(|shard| shard.lock().is_empty()), "a slot was left behind");
    }
}

/// The flight that has the slot, unless it has begun to end.
fn under_way(ledger: &Ledger) -> Option<&Known> {
    ledger.last().filter(|current| !current.over)
}

/// One leader at a time, unless its flight is not for the newcomer.
fn assert_none_for(client: &Client, current: Option<&Known>) {
    if let Some(current) = current {
        assert!(current.flight.begun < client.since, "the flight under way would have done");
    }
}

fn count(what: &AtomicUsize) {
    what.fetch_add(1, Ordering::Relaxed);
}

fn happened(what: &AtomicUsize) -> bool {
    what.load(Ordering::Relaxed) > 0
}

impl Seen {
    /// Waiters were told what `end` makes of a flight.
    fn ended_by(&self, end: End) -> bool {
        happened(match end {
            End::Settles => &self.settled,
            End::Shares => &self.shared,
            End::Cancelled | End::Panics => &self.abandoned,
        })
    }
}

fn nothing(_: &World) {}

/// Kills: the lock let go between the look at a slot and its taking; a waiter that listens for the next verdict only.
#[test]
fn one_goes_and_all_others_hear_of_it() {
    for end in ENDS {
        let again: Job = |world| {
            world.ask();
            world.ask();
        };
        let seen = explore(end, nothing, &[World::ask, World::ask, again], nothing);
        assert!(happened(&seen.led) && happened(&seen.followed) && seen.ended_by(end), "{end:?}");
    }
}

/// Kills: nobody told that a flight was given up; a slot cleared after that without a look whose it is.
#[test]
fn of_those_who_wait_for_a_flight_that_is_given_up_one_takes_over() {
    let start: Job = |world| (0..3).for_each(|_| world.sit());
    let anew: Job = |world| {
        assert!(world.wait_on());
        world.sit();
    };
    for end in GIVEN_UP {
        let seen = explore(end, start, &[World::lead_on, anew, anew, World::sit], |world| {
            assert_eq!(world.leads.lock().len(), 1, "as many took over");
        });
        assert!(happened(&seen.abandoned), "{end:?}");
    }
}

/// Kills: a newcomer that is not asked whether it may wait, or may read.
#[test]
fn who_comes_after_a_purge_gets_no_older_flight() {
    let late: Job = |world| {
        world.purge();
        world.ask();
    };
    let reader: Job = |world| {
        world.follow().map(|waiter| world.wait(waiter));
    };
    for end in ENDS {
        let seen = explore(end, World::sit, &[World::lead_on, late, World::ask, reader], nothing);
        assert!(happened(&seen.yielded) && happened(&seen.followed) && seen.ended_by(end), "{end:?}");
    }
}

/// Kills: a slot cleared without a look whose it is.
#[test]
fn a_flight_that_lost_its_slot_leaves_it_to_its_successor() {
    let start: Job = |world| {
        world.sit();
        world.purge();
        world.sit();
    };
    for end in ENDS {
        let seen = explore(end, start, &[World::lead_on, World::sit, World::sit], |world| {
            assert_eq!((world.leads.lock().len(), world.waiters.lock().len()), (1, 2));
        });
        assert!(happened(&seen.yielded) && seen.ended_by(end), "{end:?}");
    }
}

/// A request that takes the slot of a flight about to end, and ends while that one does.
#[test]
fn flights_that_end_together_do_not_mix_their_verdicts() {
    for end in ENDS {
        let late: Job = |world| {
            world.purge();
            world.ask();
        };
        let start: Job = |world| (0..2).for_each(|_| world.sit());
        let waits: Job = |world| {
            world.wait_on();
        };
        let seen = explore(end, start, &[World::lead_on, waits, late, World::ask], nothing);
        assert!(happened(&seen.yielded) && seen.ended_by(end), "{end:?}");
    }
}
