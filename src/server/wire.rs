//! What the layers above and below hyper tell each other about one connection.
//!
//! hyper stands between the request's future and the socket. The future knows when a final response begins; the
//! socket knows when everything has been written. Neither can ask the other through hyper, so both hold this.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

/// Most bytes of early hints that wait to be written.
const MOST_QUEUED: usize = 16 * 1024;

/// A request is being handled, or its answer is on its way.
const ANSWERING: u32 = u32::MAX;
/// The answer is complete, but perhaps not all of it is written.
const ANSWERED: u32 = u32::MAX - 1;
/// The client has kept us waiting for too long.
const OVERDUE: u32 = u32::MAX - 2;

/// Shared by the connection's task; by the accept loop, which looks after those that wait and asks them to end; by the outbox,
/// which says what could not be written; and by senders of hints anywhere, who change the queue and nothing else.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// Counts up when a request begins and again when its final response does: odd means that hints may be sent.
    exchange: AtomicU32,
    /// How often everything there was to write had been written, or put aside to be sent.
    flushes: AtomicU32,
    /// How often the accept loop has found the connection waiting for one and the same request head, or one of the three
    /// constants above.
    waits: AtomicU32,
    /// Bytes were read that no handled request accounts for.
    unanswered: AtomicBool,
    /// A flush is over only when what was put aside has been written, too.
    insisting: AtomicBool,
    /// Close with a reset: what was sent must not be taken for the whole.
    reset: AtomicBool,
    draining: AtomicBool,
    /// The connection's task. INVARIANT: it is polled with the same waker all its life, as tokio's tasks are.
    task: OnceLock<Waker>,
    /// `queue` has something. INVARIANT: set and cleared under the queue's lock.
    queued: AtomicBool,
    queue: Mutex<Queue>,
}

/// Rendered hints for one exchange.
#[derive(Debug, Default)]
struct Queue {
    exchange: u32,
    bytes: Vec<u8>,
}

/// Which request on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange(u32);

impl Wire {
    /// A request begins. With `hints` false (HTTP/1.0) interim responses stay forbidden (RFC 9110 §15.2).
    pub(super) fn begin(&self, hints: bool) {
        self.end();
        self.waits.store(ANSWERING, Ordering::Relaxed);
        let exchange = self.exchange.load(Ordering::Relaxed);
        self.exchange.store(exchange.wrapping_add(if hints { 1 } else { 2 }), Ordering::Relaxed);
    }

    /// The final response begins. Hints not written by now are of no use any more.
    pub(super) fn end(&self) {
        let exchange = self.exchange.load(Ordering::Relaxed);
        self.exchange.store(exchange.wrapping_add(exchange & 1), Ordering::Relaxed);
    }

    /// The final response has come to its end. Once that is written, the next request is waited for.
    pub(super) fn answered(&self) {
        self.waits.store(ANSWERED, Ordering::Relaxed);
    }

    /// Has a look at the connection. If it is waiting for a request head, and has been at the last `most` looks, for the same
    /// one, it is overdue.
    pub(super) fn inspect(&self, most: u32) {
        let looks = self.waits.load(Ordering::Relaxed);
        if looks >= OVERDUE {
            return;
        }
        let next = if looks < most { looks + 1 } else { OVERDUE };
        // It fails if a request has begun meanwhile, and then it should.
        let changed = self.waits.compare_exchange(looks, next, Ordering::Relaxed, Ordering::Relaxed);
        if changed.is_ok() && next == OVERDUE {
            self.wake();
        }
    }

    /// Nothing came for too long.
    pub(super) fn is_overdue(&self) -> bool {
        self.waits.load(Ordering::Relaxed) == OVERDUE
    }

    /// The request now being handled.
    pub(super) fn exchange(&self) -> Exchange {
        Exchange(self.exchange.load(Ordering::Relaxed))
    }

    /// Queues a rendered interim response for `exchange` and wakes the connection, unless it is too late for it or too
    /// much.
    pub(super) fn queue(&self, exchange: Exchange, interim: &[u8]) {
        {
            let mut queue = self.queue.lock();
            // Under the lock, so that a late sender cannot clear what the next exchange has queued.
            if exchange.0 & 1 == 0 || self.exchange() != exchange {
                return;
            }
            if queue.exchange != exchange.0 {
                queue.exchange = exchange.0;
                queue.bytes.clear();
            }
            if queue.bytes.len() + interim.len() > MOST_QUEUED {
                return;
            }
            queue.bytes.extend_from_slice(interim);
            self.queued.store(true, Ordering::Release);
        }
        self.wake();
    }

    /// Hints to be written now, if any are due: those of the exchange under way, never of an earlier one.
    pub(super) fn take_queued(&self) -> Option<Vec<u8>> {
        if !self.queued.load(Ordering::Acquire) {
            return None;
        }
        let mut queue = self.queue.lock();
        self.queued.store(false, Ordering::Relaxed);
        let bytes = std::mem::take(&mut queue.bytes);
        (queue.exchange == self.exchange().0 && !bytes.is_empty()).then_some(bytes)
    }

    pub(super) fn flushed(&self) {
        self.flushes.store(self.flushes().wrapping_add(1), Ordering::Relaxed);
        if self.waits.load(Ordering::Relaxed) == ANSWERED {
            self.waits.store(0, Ordering::Relaxed);
        }
    }

    /// What was put aside cannot be written yet: a client that has an answer to take is not waited for.
    pub(super) fn not_flushed(&self) {
        if self.waits.load(Ordering::Relaxed) < OVERDUE {
            self.waits.store(ANSWERED, Ordering::Relaxed);
        }
    }

    /// From now on a flush sends what has been put aside, and is over when that is written.
    pub(super) fn insist(&self) {
        self.insisting.store(true, Ordering::Relaxed);
    }

    pub(super) fn insists(&self) -> bool {
        self.insisting.load(Ordering::Relaxed)
    }

    pub(super) fn flushes(&self) -> u32 {
        self.flushes.load(Ordering::Relaxed)
    }

    pub(super) fn set_unanswered(&self, unanswered: bool) {
        self.unanswered.store(unanswered, Ordering::Relaxed);
    }

    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed)
    }

    pub(super) fn reset_at_close(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    pub(super) fn must_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    /// Remembers the task; later calls change nothing.
    pub(super) fn set_task(&self, waker: &Waker) {
        self.task.get_or_init(|| waker.clone());
    }

    /// Asks the connection to end after the request under way.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Has the connection polled.
    pub(super) fn wake(&self) {
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_overdue_after(wire: &Wire, looks: u32) -> bool {
        (0..looks).for_each(|_| wire.inspect(4));
        wire.is_overdue()
    }

    #[test]
    fn only_who_waits_for_one_head_at_all_looks_is_overdue() {
        let wire = Wire::default();
        assert!(!is_overdue_after(&wire, 4), "a connection that has just begun");
        wire.begin(true);
        assert!(!is_overdue_after(&wire, 9), "its request is being handled");
        wire.end();
        assert!(!is_overdue_after(&wire, 9), "its answer has begun");
        wire.flushed();
        wire.answered();
        assert!(!is_overdue_after(&wire, 9), "the last of it waits to be written");
        wire.flushed();
        assert!(!is_overdue_after(&wire, 4), "that was the first wait, this is the second");
        assert!(is_overdue_after(&wire, 1));
    }
}
