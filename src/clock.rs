//! The only reader of time.
//!
//! Two clocks, never mixed. A [`Moment`] counts from boot and goes on while the machine is suspended, so ages
//! computed from it are right after a laptop wakes up; it cannot be set back. The wall clock, a
//! [`SystemTime`], is for fields that carry dates (`Date`, `Expires`), and for logs. Where both are wanted for each request,
//! the second is told from the first: [`Clock::wall_at`].
//!
//! Tests hand in a [`Manual`] clock and move it by hand.

use std::cell::Cell;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// A point on the boot clock (`CLOCK_BOOTTIME` where there is one, else the monotonic clock).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Since boot. They last 584 years.
    nanos: u64,
}

impl Moment {
    /// The time from `earlier` to this moment; zero if `earlier` is in fact later.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }

    /// Nanoseconds since boot, for storing a moment in an atomic.
    pub fn to_nanos(self) -> u64 {
        self.nanos
    }

    /// The moment `nanos` nanoseconds after boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, rhs: Duration) -> Moment {
        Moment { nanos: self.nanos.saturating_add(whole_nanos(rhs)) }
    }
}

/// Where the time comes from. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Manual>>);

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that a test moves by hand.
    pub fn manual(manual: Arc<Manual>) -> Self {
        Self(Some(manual))
    }

    /// The present on the boot clock.
    pub fn moment(&self) -> Moment {
        match &self.0 {
            Some(manual) => manual.moment(),
            None => boot_time(),
        }
    }

    /// The present on the wall clock.
    #[allow(clippy::disallowed_methods)]
    pub fn wall(&self) -> SystemTime {
        match &self.0 {
            Some(manual) => manual.wall(),
            None => SystemTime::now(),
        }
    }

    /// The wall clock at a `moment` that has just been read. It costs a reading once a second only, so a wall clock that is set
    /// is followed within a second.
    pub fn wall_at(&self, moment: Moment) -> SystemTime {
        if let Some(manual) = &self.0 {
            return manual.wall_at(moment);
        }
        SEEN.with(|seen| {
            let told = seen.get().and_then(|seen| seen.wall_at(moment));
            told.unwrap_or_else(|| {
                let wall = self.wall();
                seen.set(Some(Seen { moment, wall }));
                wall
            })
        })
    }
}

/// For how long a thread tells the wall clock from the boot clock before it looks at it again: so soon it follows when somebody
/// sets it.
const TRUSTED: Duration = Duration::from_secs(1);

thread_local! {
    /// What this thread has last seen when it looked at both.
    static SEEN: Cell<Option<Seen>> = const { Cell::new(None) };
}

/// The two clocks at one time.
#[derive(Clone, Copy)]
struct Seen {
    moment: Moment,
    wall: SystemTime,
}

impl Seen {
    /// The wall clock at `moment`, unless that was too long ago, or is not to come.
    fn wall_at(self, moment: Moment) -> Option<SystemTime> {
        let since = moment.since(self.moment);
        (moment >= self.moment && since < TRUSTED).then(|| self.wall + since)
    }
}

#[cfg(target_os = "linux")]
const BOOT_CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const BOOT_CLOCK: ClockId = ClockId::Monotonic;

fn boot_time() -> Moment {
    let time = clock_gettime(BOOT_CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Moment::from_nanos(whole_nanos(Duration::new(seconds, nanos)))
}

fn whole_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A clock for tests: both hands stand still until [`advance`](Manual::advance) moves them together.
#[derive(Debug)]
pub struct Manual {
    wall_at_start: SystemTime,
    elapsed_nanos: AtomicU64,
}

impl Manual {
    /// A day after boot.
    const START: Moment = Moment::from_nanos(86_400_000_000_000);

    /// A clock that shows `wall`, a day after boot.
    pub fn starting_at(wall: SystemTime) -> Arc<Self> {
        Arc::new(Self { wall_at_start: wall, elapsed_nanos: AtomicU64::new(0) })
    }

    /// A clock that shows 2026-01-01T00:00:00Z.
    pub fn new() -> Arc<Self> {
        Self::starting_at(UNIX_EPOCH + Duration::from_secs(1_767_225_600))
    }

    /// Moves both hands forward.
    pub fn advance(&self, by: Duration) {
        self.elapsed_nanos.fetch_add(whole_nanos(by), Ordering::SeqCst);
    }

    /// What the wall clock shows.
    pub fn wall(&self) -> SystemTime {
        self.wall_at_start + self.elapsed()
    }

    fn moment(&self) -> Moment {
        Self::START + self.elapsed()
    }

    fn wall_at(&self, moment: Moment) -> SystemTime {
        self.wall_at_start + moment.since(Self::START)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_nanos.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_does_not_go_back() {
        let clock = Clock::system();
        let first = clock.moment();
        let second = clock.moment();
        assert!(second >= first);
        assert_eq!(first.since(second + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn a_manual_clock_moves_both_hands() {
        let manual = Manual::new();
        let clock = Clock::manual(manual.clone());
        let (moment, wall) = (clock.moment(), clock.wall());
        manual.advance(Duration::from_secs(90));
        assert_eq!(clock.moment().since(moment), Duration::from_secs(90));
        assert_eq!(clock.wall(), wall + Duration::from_secs(90));
        assert_eq!([clock.wall_at(moment), clock.wall_at(clock.moment())], [wall, clock.wall()]);
    }

    #[test]
    fn a_wall_clock_is_trusted_for_a_second() {
        let seen = Seen { moment: Moment::from_nanos(5_000_000_000), wall: UNIX_EPOCH };
        let at = |nanos| seen.wall_at(Moment::from_nanos(nanos));
        assert_eq!(at(5_000_000_000), Some(UNIX_EPOCH));
        assert_eq!(at(5_999_999_999), Some(UNIX_EPOCH + Duration::from_nanos(999_999_999)));
        assert_eq!([at(6_000_000_000), at(4_999_999_999)], [None; 2]);
    }

    #[test]
    fn a_wall_clock_that_was_set_is_followed() {
        let clock = Clock::system();
        // As if this thread had looked an hour ago, when it showed another time.
        SEEN.set(Some(Seen { moment: Moment::from_nanos(0), wall: UNIX_EPOCH }));
        let before = clock.wall();
        let told = clock.wall_at(clock.moment() + TRUSTED);
        assert!(before <= told && told <= clock.wall());
        assert!(SEEN.get().is_some_and(|seen| seen.wall == told), "and is remembered");
    }
}
