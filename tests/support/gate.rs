//! A gate that a test opens by hand: the only way in which these tests make one thing wait for another.

use std::sync::{Arc, Condvar, Mutex};

use super::PATIENCE;

/// Closed until [`open`](Gate::open); then open for good. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<State>);

#[derive(Default)]
struct State {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    /// A gate nobody passes yet.
    pub fn closed() -> Self {
        Self::default()
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        *self.0.open.lock().unwrap() = true;
        self.0.opened.notify_all();
    }

    /// Waits until the gate is open; `false` if the test forgot to open it.
    pub fn pass(&self) -> bool {
        let open = self.0.open.lock().unwrap();
        let (open, _) = self.0.opened.wait_timeout_while(open, PATIENCE * 2, |open| !*open).unwrap();
        *open
    }
}
