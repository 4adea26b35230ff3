//! Housekeeping: what has to be done now and then, on a thread of its own, so that nobody who serves has to do it.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;

use crate::app::StartError;
use crate::clock::{Clock, Moment};
use crate::request::Engine;
use crate::store::Reclaiming;
use crate::validity::{Sequence, Sweeping};

/// How often room is made in the store when nothing calls for it at once.
const TICK: Duration = Duration::from_millis(50);
/// The pause between two walks over the store that no purge calls for. What has outlived its use stays until a walk that
/// begins later comes by.
const IDLE: Duration = Duration::from_secs(5);
/// The pause between two steps of such a walk, which takes half an hour for a million responses.
const LEISURE: Duration = Duration::from_millis(32);
/// The pause between two steps of freeing what purges have killed, or of sweeping the log: each takes a small share of a core, and
/// never long at a time: less than a hundredth, so that the p99 of hits does not show it. A million responses take eight minutes
/// to walk over, and their cells half a minute to sweep.
const REST: Duration = Duration::from_millis(8);
/// The same while the log is crowded. A sweep goes over a quarter of a million cells a second then, which is more than come
/// meanwhile, and takes some ten seconds at the most, since a step is a whole shard at least.
const HASTE: Duration = Duration::from_millis(1);
/// How often the log forgets what no stored response needs any more: from the beginning of a sweep to that of the next.
const SWEEP: Duration = Duration::from_secs(30);
/// The same when it is crowded. Flights that take longer than this may go unstored.
const EARLY_SWEEP: Duration = Duration::from_secs(5);
/// The pause after a sweep of a log that is not crowded, in times of what the sweep took, if the next would begin before.
const PAUSE_PER_SWEEP: u32 = 4;
/// How often it is seen whether the tokens have changed.
const RELOAD: Duration = Duration::from_secs(1);

/// Starts the thread.
pub(super) fn start(
    engine: Arc<Engine>,
    stopping: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, StartError> {
    let keep = move || {
        // The machine's, whatever clock requests go by.
        let mut chores = Chores::new(&engine, Clock::system());
        while !*stopping.borrow() {
            engine.store().keep_house(chores.pause());
            chores.go_on();
        }
    };
    thread::Builder::new().name("larder-house".into()).spawn(keep).map_err(StartError::Thread)
}

/// What is under way.
struct Chores<'a> {
    engine: &'a Engine,
    clock: Clock,
    reloaded: Moment,
    /// When the last sweep began, and when the next begins at the latest.
    swept: Moment,
    sweep_due: Moment,
    sweeping: Option<Sweeping<'a>>,
    /// The last purge whose dead are freed, or are being freed.
    reclaimed: Sequence,
    /// When the next walk begins at the latest.
    walk_due: Moment,
    reclaiming: Option<Reclaiming<'a>>,
    /// The walk that is under way was called for by a purge.
    is_called: bool,
    /// When it took its last step.
    walked: Moment,
}

impl<'a> Chores<'a> {
    fn new(engine: &'a Engine, clock: Clock) -> Self {
        let now = clock.moment();
        Self {
            engine,
            clock,
            reloaded: now,
            swept: now,
            sweep_due: now + SWEEP,
            sweeping: None,
            reclaimed: Sequence::default(),
            walk_due: now + IDLE,
            reclaiming: None,
            is_called: false,
            walked: now,
        }
    }

    /// How long the thread may rest.
    fn pause(&self) -> Duration {
        match (&self.sweeping, &self.reclaiming) {
            (Some(_), _) if self.engine.log().is_crowded() => HASTE,
            (Some(_), _) => REST,
            (None, Some(_)) => self.stride(),
            (None, None) => TICK,
        }
    }

    /// The pause between two steps of the walk that is under way. A purge that comes meanwhile waits for its end.
    fn stride(&self) -> Duration {
        if self.is_called || self.engine.log().published() > self.reclaimed { REST } else { LEISURE }
    }

    /// Does a bounded piece of what is to be done.
    fn go_on(&mut self) {
        let now = self.clock.moment();
        self.reclaim(now);
        self.engine.forget_lessons();
        self.sweep(now);
        self.reload(now);
    }

    fn reclaim(&mut self, now: Moment) {
        let stride = self.stride();
        if let Some(reclaiming) = &mut self.reclaiming {
            // At what pace a sweep goes is none of its business.
            if now.since(self.walked) < stride {
                return;
            }
            self.walked = now;
            if reclaiming.step() {
                return;
            }
            self.reclaiming = None;
            self.walk_due = now + IDLE;
        }
        let published = self.engine.log().published();
        if published > self.reclaimed || now >= self.walk_due {
            self.is_called = published > self.reclaimed;
            self.reclaimed = published;
            self.reclaiming = Some(self.engine.store().reclaim(self.engine.log()));
        }
    }

    fn reload(&mut self, now: Moment) {
        if now.since(self.reloaded) >= RELOAD {
            self.reloaded = now;
            self.engine.purger().rights().reload();
        }
    }

    fn sweep(&mut self, now: Moment) {
        if let Some(sweeping) = &mut self.sweeping {
            if sweeping.step() {
                return;
            }
            self.sweeping = None;
            self.sweep_due = (self.swept + SWEEP).max(now + now.since(self.swept) * PAUSE_PER_SWEEP);
        }
        let (log, since) = (self.engine.log(), now.since(self.swept));
        if now >= self.sweep_due || (since >= EARLY_SWEEP && log.is_crowded()) {
            self.swept = now;
            self.sweeping = Some(log.sweep_in_steps());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Manual;
    use crate::config::Config;
    use crate::key::CacheKey;
    use crate::policy::freshness::Terms;
    use crate::policy::validation::Validators;
    use crate::policy::vary::Variant;
    use crate::store::{Entry, Extent, Head, NewEntry, Sealed};
    use crate::validity::{Fact, Kind, Log, Stamp, Subject, Subjects};
    use http::{HeaderMap, StatusCode};

    const CONFIG: &str = "[[upstream]]\nname = \"origin\"\nservers = [\"http://127.0.0.1:9\"]\n";
    const INSTANT: Duration = Duration::from_millis(1);

    fn engine() -> Arc<Engine> {
        engine_by(&Clock::system())
    }

    fn engine_by(clock: &Clock) -> Arc<Engine> {
        let config = Config::from_str("test.toml", CONFIG).unwrap_or_else(|fault| panic!("{fault:?}"));
        crate::app::engine(&Arc::new(config), clock).unwrap()
    }

    /// One whose responses age by hand, too.
    fn engine_by_hand() -> (Arc<Engine>, Arc<Manual>) {
        let time = Manual::new();
        (engine_by(&Clock::manual(time.clone())), time)
    }

    /// Makes the cells of a response that nobody keeps.
    fn ask_for(log: &Log, url: &str) {
        assert!(log.intern(&Subjects::address("a.example", url), log.published()).is_some());
    }

    /// Goes on until the sweep that is under way is over. How many turns it took.
    fn sweep_out(chores: &mut Chores<'_>, time: &Manual) -> u32 {
        let mut turns = 0;
        while chores.sweeping.is_some() {
            time.advance(chores.pause());
            chores.go_on();
            turns += 1;
        }
        turns
    }

    #[test]
    fn the_log_forgets_what_nobody_holds_at_every_sweep() {
        let (engine, time) = (engine(), Manual::new());
        let mut chores = Chores::new(&engine, Clock::manual(time.clone()));
        for _ in 0..2 {
            ask_for(engine.log(), "a.example/");
            let began = chores.swept;
            time.advance(SWEEP - INSTANT - chores.clock.moment().since(began));
            chores.go_on();
            assert!(chores.sweeping.is_none(), "it is not time yet");
            time.advance(INSTANT);
            chores.go_on();
            assert_eq!(chores.pause(), REST);
            sweep_out(&mut chores, &time);
            assert_eq!(engine.log().figures().cells, 0);
            assert_eq!(chores.swept.since(began), SWEEP, "from beginning to beginning");
        }
    }

    #[test]
    fn a_sweep_takes_its_time_and_leaves_four_times_as_much_to_rest() {
        let (engine, time) = (engine(), Manual::new());
        let mut chores = Chores::new(&engine, Clock::manual(time.clone()));
        time.advance(SWEEP);
        chores.go_on();
        let began = chores.swept;
        // As if each step took that long.
        for _ in 0..10 {
            time.advance(SWEEP / 5);
            chores.go_on();
            assert!(chores.sweeping.is_some() && chores.swept == began, "one after the other");
        }
        sweep_out(&mut chores, &time);
        let took = chores.clock.moment().since(began);
        ask_for(engine.log(), "a.example/");
        time.advance(took * PAUSE_PER_SWEEP - INSTANT);
        chores.go_on();
        assert_eq!(chores.swept, began, "it is not time yet");
        time.advance(INSTANT);
        chores.go_on();
        sweep_out(&mut chores, &time);
        assert_eq!(engine.log().figures().cells, 0);
        assert_eq!(chores.sweep_due, chores.swept + SWEEP, "a short one");
    }

    /// Stores a response that is fresh for so long.
    fn store(engine: &Engine, url: &str, lifetime: Duration) {
        let (log, clock) = (engine.log(), engine.clock());
        let sent = log.published();
        let path = url.trim_start_matches("a.example");
        let entry = Entry::new(NewEntry {
            key: CacheKey::of("http", "a.example", path),
            head: Head::pack(StatusCode::OK, &HeaderMap::new(), engine.budget()).unwrap(),
            body: Sealed::concat(vec![engine.budget().bytes(b"content").unwrap()], engine.budget()),
            extent: Extent::Whole,
            terms: Terms::fresh_for(lifetime),
            validators: Validators::default(),
            variant: Variant::default(),
            received: clock.moment(),
            received_wall: clock.wall(),
            marks: log.intern(&Subjects::address("a.example", url), sent).unwrap(),
            stamp: Stamp::new(sent),
        });
        engine.store().commit(entry.unwrap());
    }

    #[test]
    fn what_has_outlived_its_use_goes_though_nothing_is_purged() {
        let (engine, time) = engine_by_hand();
        let mut chores = Chores::new(&engine, Clock::manual(time.clone()));
        let keep = engine.config().cache.keep;
        (0..100).for_each(|i| store(&engine, &format!("a.example/{i}"), Duration::from_secs(1)));
        store(&engine, "a.example/lasting", Duration::from_secs(3600));
        time.advance(keep);
        let walk = |chores: &mut Chores<'_>| {
            (0..50).for_each(|_| {
                chores.go_on();
                time.advance(LEISURE);
            });
        };
        walk(&mut chores);
        assert_eq!(engine.store().figures().entries, 101, "validators are kept for that long");
        // A round of rest, and a walk.
        time.advance(IDLE);
        walk(&mut chores);
        engine.store().tick();
        assert_eq!(engine.store().figures().entries, 1);
    }

    #[test]
    fn a_walk_is_a_leisurely_one_until_a_purge_calls_for_it() {
        let (engine, time) = engine_by_hand();
        let mut chores = Chores::new(&engine, Clock::manual(time.clone()));
        (0..400).for_each(|i| store(&engine, &format!("a.example/{i}"), SWEEP));
        let purge = || {
            engine.log().publish(
                &[Fact { subject: Subject::Url("b.example/"), kind: Kind::Hard }],
                Moment::from_nanos(1),
            );
        };
        time.advance(IDLE);
        chores.go_on();
        assert!(chores.reclaiming.is_some());
        assert_eq!(chores.pause(), LEISURE);
        purge();
        assert_eq!(chores.pause(), REST, "it is to be brought to its end");
        let walk_out = |chores: &mut Chores<'_>, called: bool| {
            for _ in 0..50 {
                if chores.reclaiming.is_none() || chores.is_called != called {
                    return;
                }
                time.advance(REST);
                chores.go_on();
            }
            panic!("it does not end");
        };
        walk_out(&mut chores, false);
        assert!(chores.reclaiming.is_some() && chores.is_called, "the next begins at once");
        assert_eq!(chores.pause(), REST);
        walk_out(&mut chores, true);
        assert_eq!((chores.reclaiming.is_some(), chores.pause()), (false, TICK));
    }

    #[test]
    fn a_crowded_log_is_swept_early_and_in_haste() {
        let (engine, time) = (engine(), Manual::new());
        let mut chores = Chores::new(&engine, Clock::manual(time.clone()));
        for _ in 0..2 {
            (0..20_000).for_each(|i| ask_for(engine.log(), &format!("a.example/{i}")));
            time.advance(EARLY_SWEEP - INSTANT - chores.clock.moment().since(chores.swept));
            chores.go_on();
            assert!(engine.log().is_crowded() && chores.sweeping.is_none(), "flights need their time");
            time.advance(INSTANT);
            chores.go_on();
            assert_eq!(chores.pause(), HASTE);
            assert!(sweep_out(&mut chores, &time) > 20_000 / 512, "of some hundred cells each");
            assert_eq!(engine.log().figures().cells, 0);
        }
    }

    #[test]
    fn a_walk_keeps_its_pace_while_a_sweep_is_in_haste() {
        let (engine, time) = engine_by_hand();
        let mut chores = Chores::new(&engine, Clock::manual(time.clone()));
        (0..400).for_each(|i| store(&engine, &format!("a.example/{i}"), SWEEP));
        engine
            .log()
            .publish(&[Fact { subject: Subject::Everything, kind: Kind::Hard }], Moment::from_nanos(1));
        (0..20_000).for_each(|i| ask_for(engine.log(), &format!("b.example/{i}")));
        time.advance(EARLY_SWEEP);
        chores.go_on();
        let mut stored = vec![engine.store().figures().entries];
        for _ in 0..8 {
            assert_eq!(chores.pause(), HASTE);
            time.advance(HASTE);
            chores.go_on();
            engine.store().tick();
            stored.push(engine.store().figures().entries);
        }
        let steps = stored.windows(2).filter(|entries| entries[1] < entries[0]).count();
        assert_eq!(steps, 1, "in the time of a rest: {stored:?}");
    }

    /// How many cells come in a second.
    const CHURN: u64 = 20_000;

    /// So many come for a quarter of a minute, and nobody holds them. How many there are at the most.
    fn peak(come: impl Fn(&Log, &str)) -> u64 {
        let (engine, time) = (engine(), Manual::new());
        let log = engine.log();
        let mut chores = Chores::new(&engine, Clock::manual(time.clone()));
        let (mut elapsed, mut came, mut peak) = (Duration::ZERO, 0, 0);
        while elapsed < 3 * EARLY_SWEEP + Duration::from_secs(1) {
            elapsed += chores.pause();
            let due = CHURN * elapsed.as_millis() as u64 / 1000;
            (came..due).for_each(|i| come(log, &format!("a.example/{i}")));
            came = due;
            peak = peak.max(log.figures().cells);
            time.advance(chores.pause());
            chores.go_on();
        }
        peak
    }

    /// What comes from one sweep to the next, as if those were done at once; and half a second for their steps.
    #[test]
    fn what_nobody_holds_stays_bounded_however_fast_it_comes() {
        let most = |sweeps: u32| {
            CHURN * (sweeps * EARLY_SWEEP + Duration::from_millis(500)).as_millis() as u64 / 1000
        };
        let asked_for = peak(ask_for);
        assert!(asked_for < most(1), "{asked_for}");
        // Facts stay for a whole sweep.
        let purged = peak(|log, url| {
            log.publish(&[Fact { subject: Subject::Url(url), kind: Kind::Hard }], Moment::from_nanos(1));
        });
        assert!(purged < most(2), "{purged}");
    }
}
