//! Housekeeping: what has to be done now and then, on a thread of its own, so that nobody who serves has to do it.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;

use crate::app::StartError;
use crate::clock::{Clock, Moment};
use crate::request::Engine;
use crate::store::Reclaiming;
use crate::validity::Sequence;

/// How often room is made in the store when nothing calls for it at once.
const TICK: Duration = Duration::from_millis(50);
/// The pause between two walks over the store that no purge calls for. What has outlived its use stays until a walk that
/// begins later comes by.
const IDLE: Duration = Duration::from_secs(5);
/// The same in times of what the last walk took, if that is longer: walking is never what the thread mostly does.
const IDLE_PER_WALK: u32 = 4;
/// The pause between two steps of freeing what purges have killed and what has outlived its use: the walk takes a small
/// share of a core, and never long at a time: less than a hundredth, so that the p99 of hits does not show it. A million responses take eight minutes.
const REST: Duration = Duration::from_millis(8);
/// How often the log forgets what no stored response needs any more.
const SWEEP: Duration = Duration::from_secs(30);
/// The same when it is crowded. Flights that take longer than this may go unstored.
const EARLY_SWEEP: Duration = Duration::from_secs(5);

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
    swept: Moment,
    reloaded: Moment,
    /// The last purge whose dead are freed, or are being freed.
    reclaimed: Sequence,
    /// When the last walk began, and when the next begins at the latest.
    began: Moment,
    due: Moment,
    reclaiming: Option<Reclaiming<'a>>,
}

impl<'a> Chores<'a> {
    fn new(engine: &'a Engine, clock: Clock) -> Self {
        let now = clock.moment();
        Self {
            engine,
            clock,
            swept: now,
            reloaded: now,
            reclaimed: Sequence::default(),
            began: now,
            due: now + IDLE,
            reclaiming: None,
        }
    }

    /// How long the thread may rest.
    fn pause(&self) -> Duration {
        if self.reclaiming.is_some() { REST } else { TICK }
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
        if let Some(reclaiming) = &mut self.reclaiming {
            if reclaiming.step() {
                return;
            }
            self.reclaiming = None;
            self.due = now + IDLE.max(now.since(self.began) * IDLE_PER_WALK);
        }
        let published = self.engine.log().published();
        if published > self.reclaimed || now >= self.due {
            self.began = now;
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
        let since = now.since(self.swept);
        if since >= SWEEP || (since >= EARLY_SWEEP && self.engine.log().is_crowded()) {
            self.swept = now;
            self.engine.log().sweep();
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
    use crate::store::{Entry, Extent, Head, NewEntry, Sealed, SharedEntry};
    use crate::validity::{Log, Stamp, Subjects};
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

    /// Makes the cells of a response that nobody keeps.
    fn ask_for(log: &Log, url: &str) {
        assert!(log.intern(&Subjects::address("a.example", url), log.published()).is_some());
    }

    #[test]
    fn the_log_forgets_what_nobody_holds_at_every_sweep() {
        let (engine, time) = (engine(), Manual::new());
        let mut chores = Chores::new(&engine, Clock::manual(time.clone()));
        for _ in 0..2 {
            ask_for(engine.log(), "a.example/");
            time.advance(SWEEP - INSTANT);
            chores.go_on();
            assert!(engine.log().figures().cells > 0, "it is not time yet");
            time.advance(INSTANT);
            chores.go_on();
            assert_eq!(engine.log().figures().cells, 0);
        }
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
        engine.store().commit(SharedEntry::new(entry.unwrap()));
    }

    #[test]
    fn what_has_outlived_its_use_goes_though_nothing_is_purged() {
        let time = Manual::new();
        let engine = engine_by(&Clock::manual(time.clone()));
        let mut chores = Chores::new(&engine, Clock::manual(time.clone()));
        let keep = engine.config().cache.keep;
        (0..100).for_each(|i| store(&engine, &format!("a.example/{i}"), Duration::from_secs(1)));
        store(&engine, "a.example/lasting", Duration::from_secs(3600));
        time.advance(keep);
        (0..50).for_each(|_| chores.go_on());
        assert_eq!(engine.store().figures().entries, 101, "validators are kept for that long");
        // A round of rest, and a walk.
        time.advance(IDLE);
        (0..50).for_each(|_| {
            chores.go_on();
            time.advance(REST);
        });
        engine.store().tick();
        assert_eq!(engine.store().figures().entries, 1);
    }

    #[test]
    fn a_crowded_log_is_swept_early() {
        let (engine, time) = (engine(), Manual::new());
        let mut chores = Chores::new(&engine, Clock::manual(time.clone()));
        for _ in 0..2 {
            (0..20_000).for_each(|i| ask_for(engine.log(), &format!("a.example/{i}")));
            time.advance(EARLY_SWEEP - INSTANT);
            chores.go_on();
            assert!(engine.log().is_crowded(), "flights need their time");
            time.advance(INSTANT);
            chores.go_on();
            assert_eq!(engine.log().figures().cells, 0);
        }
    }
}
