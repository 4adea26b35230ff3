//! Connections that wait for their next request: those of one runtime to one server.
//!
//! The one that was used last is used first, so that in quiet times the others grow old and go. Age is counted in turns of a
//! sweep rather than read from a clock: a connection is closed when it has been idle for `idle_timeout`, or up to a
//! quarter of that earlier, never later, since the origin may be about to do the same.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::patience::Patience;
use super::request_body::Outgoing;

/// The sweep passes so many times in an `idle_timeout`.
const TURNS: u32 = 4;

/// The idle connections of one runtime to one server.
pub(super) struct Idle {
    connections: Mutex<Connections>,
    /// Rings when one comes back.
    returned: Notify,
    /// Most that are kept.
    most: usize,
    timeout: Duration,
}

#[derive(Default)]
struct Connections {
    /// The one that was used last is at the end.
    resting: Vec<Resting>,
    /// How often the sweep has passed; wraps around.
    turn: u32,
    /// A sweep is under way. INVARIANT: it is as long as one rests.
    swept: bool,
}

struct Resting {
    sender: SendRequest<Outgoing>,
    task: Task,
    patience: Patience,
    /// The sweep's turn in which it came.
    since: u32,
}

impl Idle {
    /// Keeps `most` connections, each for `timeout` at most.
    pub(super) fn new(most: usize, timeout: Duration) -> Arc<Self> {
        let most = if timeout.is_zero() { 0 } else { most };
        Arc::new(Self { connections: Mutex::default(), returned: Notify::new(), most, timeout })
    }

    /// A connection that the origin is not known to have closed.
    pub(super) fn take(self: &Arc<Self>) -> Option<Lease> {
        let mut connections = self.connections.lock();
        while let Some(Resting { sender, task, patience, .. }) = connections.resting.pop() {
            if sender.is_ready() {
                return Some(Lease { sender, task, patience, reused: true, home: Some(self.clone()) });
            }
        }
        None
    }

    /// Waits until there is one.
    pub(super) async fn wait(self: &Arc<Self>) -> Lease {
        loop {
            self.returned.notified().await;
            if let Some(lease) = self.take() {
                return lease;
            }
        }
    }

    fn put(self: &Arc<Self>, sender: SendRequest<Outgoing>, task: Task, patience: Patience) {
        {
            let mut connections = self.connections.lock();
            if connections.resting.len() >= self.most {
                return;
            }
            let since = connections.turn;
            connections.resting.push(Resting { sender, task, patience, since });
            if !std::mem::replace(&mut connections.swept, true) {
                tokio::spawn(sweep(Arc::downgrade(self), self.timeout / TURNS));
            }
        }
        self.returned.notify_one();
    }

    /// Closes those that are old or closed already. False: none is left.
    fn sweep(&self) -> bool {
        let mut connections = self.connections.lock();
        connections.turn = connections.turn.wrapping_add(1);
        let turn = connections.turn;
        // What came during a turn has not seen all of it.
        connections
            .resting
            .retain(|resting| turn.wrapping_sub(resting.since) < TURNS && !resting.sender.is_closed());
        connections.swept = !connections.resting.is_empty();
        connections.swept
    }
}

async fn sweep(idle: Weak<Idle>, every: Duration) {
    loop {
        sleep(every).await;
        if !idle.upgrade().is_some_and(|idle| idle.sweep()) {
            return;
        }
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle")
            .field("resting", &self.connections.lock().resting.len())
            .finish_non_exhaustive()
    }
}

/// What reads and writes on a connection, which ends with it: also in the midst of a write that the origin does not take.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection in use by one request. Dropped, it is closed, whatever is under way.
pub(super) struct Lease {
    pub(super) sender: SendRequest<Outgoing>,
    task: Task,
    /// For what is awaited on it.
    pub(super) patience: Patience,
    /// It has served before: the origin may have tired of waiting just when this request was on its way.
    pub(super) reused: bool,
    /// Where it rests later; `None`: it serves nobody else.
    home: Option<Arc<Idle>>,
}

impl Lease {
    /// A new connection, which is to rest at `home` later, and is driven by `task`.
    pub(super) fn new(sender: SendRequest<Outgoing>, task: AbortHandle, home: &Arc<Idle>) -> Self {
        let patience = Patience::new();
        Self { sender, task: Task(task), patience, reused: false, home: Some(home.clone()) }
    }

    /// Its task has read the response to its end, and waits for the next request.
    pub(super) fn is_done(&self) -> bool {
        self.sender.is_ready()
    }

    /// It serves nobody after this request.
    pub(super) fn retire(&mut self) {
        self.home = None;
    }

    /// To be called when the response has come to its end. The connection rests as soon as it is known to be of further
    /// use, which as a rule is now: its task has seen that end before we did.
    pub(super) fn give_back(self) {
        let Self { mut sender, task, patience, home: Some(home), .. } = self else { return };
        if sender.is_ready() {
            home.put(sender, task, patience);
        } else if !sender.is_closed() {
            tokio::spawn(async move {
                if sender.ready().await.is_ok() {
                    home.put(sender, task, patience);
                }
            });
        }
    }
}
