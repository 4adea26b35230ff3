//! The only reader of time.
//!
//! Two clocks, never mixed. A [`Moment`] counts from boot and goes on while the machine is suspended, so ages
//! computed from it are right after a laptop wakes up; it cannot be set back. The wall clock, a
//! [`SystemTime`], is for fields that carry dates (`Date`, `Expires`), and for logs.
//!
//! Tests hand in a [`Manual`] clock and move it by hand.

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
        Moment::from_nanos(0) + Duration::from_secs(86_400) + self.elapsed()
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
    }
}
