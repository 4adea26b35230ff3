//! Calls the housekeeping thread when memory runs short, before its time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The least time between two calls: evicting may not help, if what fills the memory is still being sent.
const REST: Duration = Duration::from_millis(2);

/// A bell with one thread in hearing.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// INVARIANT: set before `turn` is taken by the ringer, and read under it by the keeper before it sleeps: the bell
    /// is never missed. It also keeps those who find it set from taking the lock.
    rung: AtomicBool,
    /// Whether a keeper waits, or is at work.
    attended: AtomicBool,
    turn: Mutex<()>,
    bell: Condvar,
}

impl Pressure {
    /// Calls the keeper. Costs a load if it is already called.
    pub(super) fn ring(&self) {
        if self.rung.load(Ordering::Relaxed) || self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let _turn = self.turn.lock();
        self.bell.notify_one();
    }

    /// Whether there is a keeper to call.
    pub(super) fn is_attended(&self) -> bool {
        self.attended.load(Ordering::Relaxed)
    }

    /// Waits to be called, at most for `timeout`.
    pub(super) fn wait(&self, timeout: Duration) {
        self.attended.store(true, Ordering::Relaxed);
        let called = {
            let mut turn = self.turn.lock();
            if !self.rung.load(Ordering::Acquire) {
                self.bell.wait_for(&mut turn, timeout);
            }
            self.rung.load(Ordering::Acquire)
        };
        if called {
            std::thread::sleep(REST.min(timeout));
            // Taken down before the work: who finds memory short from now on calls again.
            self.rung.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_call_ends_the_wait_whether_it_comes_before_or_during() {
        let pressure = Arc::new(Pressure::default());
        pressure.ring();
        pressure.wait(LONG);
        assert!(pressure.is_attended());

        let (told, tells) = mpsc::channel();
        let keeper = std::thread::spawn({
            let pressure = pressure.clone();
            move || {
                pressure.wait(LONG);
                told.send(()).unwrap();
            }
        });
        pressure.ring();
        assert!(tells.recv_timeout(LONG / 2).is_ok());
        keeper.join().unwrap();
    }

    #[test]
    fn without_a_call_it_is_the_time_that_ends_the_wait() {
        Pressure::default().wait(Duration::from_millis(1));
    }
}
