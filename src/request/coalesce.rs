//! Concurrent requests for the same thing: one goes, the others wait.
//!
//! [`Flights::join`] hands out a seat. The one who gets [`Seat::Lead`] holds an [`Obligation`]: it settles the
//! flight with a [`Verdict`], and if it is dropped without one (cancelled, panicked), the waiters learn that
//! too and one of them takes over. The verdict falls when the response head is there; bodies are streamed from
//! the shared fill.
//!
//! Left out: what is fetched and how (see `flight`), and what a waiter makes of a verdict.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use http::{HeaderValue, StatusCode};
use tokio::sync::Semaphore;

use self::sync::{Mutex, Notify};
use crate::key::{CacheKey, KeyHash};
use crate::request::assemble::Share;
use crate::store;
use crate::upstream::Failure;
use crate::validity::Sequence;

mod sync;

/// Whether a request may share a fetch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    Any,
    /// It fetches for itself; a storable answer is stored all the same.
    Alone,
}

/// What must be equal for two requests to wait for the same fetch.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct FlightId {
    pub(crate) key: CacheKey,
    /// The request's selecting fields under the last Vary rule that was seen for the key.
    pub(crate) variant: Box<[u8]>,
    /// The `Range` that goes to the origin; `None` for a fetch of the whole.
    pub(crate) range: Option<HeaderValue>,
    /// Requests with credentials get answers that others may not share, so they keep to themselves.
    pub(crate) authorized: bool,
}

impl Hash for FlightId {
    /// The key tells nearly all apart; the variants of one are as many as are being fetched at this moment.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
        if !self.variant.is_empty() {
            state.write(&self.variant);
        }
    }
}

/// What became of a fetch, told when the response head is there.
#[derive(Clone)]
pub(crate) enum Verdict {
    /// Anybody whom it fits may have it, as it arrives.
    Shared(Arc<Share>),
    /// A stored response was validated, or a stored part completed.
    Stored { entry: store::Entry, forward_status: u16 },
    /// Not to be shared: everybody goes for himself, at once.
    Released(&'static str),
    /// The origin answered with a server error that is not to be shared.
    ServerError(StatusCode),
    /// No response came.
    Unavailable(Arc<Failure>),
    /// The fetch was given up without any of these.
    Abandoned,
}

/// Permits for those who wait for an origin that answers with errors: it is not hit by the whole queue at once.
const FAILING_ORIGIN_PERMITS: usize = 8;

/// One fetch that may have waiters.
pub(crate) struct Flight {
    verdict: Mutex<Option<Verdict>>,
    /// Rings when the verdict has fallen.
    fallen: Notify,
    /// The last purge that was published when whoever opened the flight arrived: it was sent for after that.
    begun: Sequence,
    /// The gate of [`Verdict::ServerError`].
    gate: OnceLock<Arc<Semaphore>>,
}

impl Flight {
    fn new(begun: Sequence) -> Arc<Self> {
        Arc::new(Self { verdict: Mutex::default(), fallen: Notify::new(), begun, gate: OnceLock::new() })
    }

    fn verdict(&self) -> Option<Verdict> {
        self.verdict.lock().clone()
    }

    /// Tells the verdict, and wakes who waits for it. `false`: it has fallen before.
    fn tell(&self, told: Verdict) -> bool {
        {
            let mut verdict = self.verdict.lock();
            if verdict.is_some() {
                return false;
            }
            *verdict = Some(told);
        }
        self.fallen.notify_waiters();
        true
    }

    /// Whether a request may still join: not if the answer is already known not to be for it.
    fn takes(&self, newcomer: &dyn Newcomer) -> bool {
        match self.verdict() {
            None => newcomer.may_wait(self.begun),
            Some(Verdict::Shared(share)) => share.body.has_room() && newcomer.may_read(&share),
            Some(_) => false,
        }
    }
}

/// A request that looks for a flight to join.
pub(crate) trait Newcomer {
    /// The last purge that was published when it arrived.
    fn arrived(&self) -> Sequence;
    /// Whether it takes an answer that was asked for before it: no purge since `begun`, but before the request, is known to
    /// concern it, and it does not want the origin to be asked anew.
    fn may_wait(&self, begun: Sequence) -> bool;
    /// Whether it may have a response that is being received: to read along is to reuse (RFC 9111 §4).
    fn may_read(&self, share: &Share) -> bool;
}

type Shard = HashMap<FlightId, Arc<Flight>, KeyHash>;

/// Flights under way. Sharded, since every miss passes here; a lock is held for a map operation only.
pub(crate) struct Flights {
    shards: Box<[Mutex<Shard>]>,
}

/// A place in a flight.
pub(crate) enum Seat {
    Lead(Obligation),
    Follow(Waiter),
}

impl Flights {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { shards: (0..64).map(|_| Mutex::default()).collect() })
    }

    /// Joins the flight `id`, or opens it. A flight that does not take the request yields its slot.
    pub(crate) fn join(self: &Arc<Self>, id: FlightId, newcomer: &dyn Newcomer) -> Seat {
        let mut shard = self.shard(&id).lock();
        if let Some(flight) = shard.get(&id).filter(|flight| flight.takes(newcomer)) {
            return Seat::Follow(Waiter::new(flight.clone()));
        }
        let flight = Flight::new(newcomer.arrived());
        shard.insert(id.clone(), flight.clone());
        Seat::Lead(Obligation { flight, slot: Some((self.clone(), id)) })
    }

    /// A seat in the flight `id`, if there is one that takes the request.
    pub(crate) fn follow(&self, id: &FlightId, newcomer: &dyn Newcomer) -> Option<Waiter> {
        let shard = self.shard(id).lock();
        shard.get(id).filter(|flight| flight.takes(newcomer)).cloned().map(Waiter::new)
    }

    /// A flight that nobody else can join.
    pub(crate) fn alone(newcomer: &dyn Newcomer) -> Obligation {
        Obligation { flight: Flight::new(newcomer.arrived()), slot: None }
    }

    fn shard(&self, id: &FlightId) -> &Mutex<Shard> {
        &self.shards[id.key.shard(self.shards.len())]
    }
}

/// The duty to settle a flight. Dropped, it clears the flight's slot, and wakes the waiters if nothing else has.
pub(crate) struct Obligation {
    flight: Arc<Flight>,
    slot: Option<(Arc<Flights>, FlightId)>,
}

impl Obligation {
    /// Tells the verdict. The slot stays until the obligation is dropped, so that those who come while a body
    /// fills can still join.
    pub(crate) fn settle(&self, verdict: Verdict) {
        self.flight.tell(verdict);
    }

    /// A seat for whoever opened the flight.
    pub(crate) fn waiter(&self) -> Waiter {
        Waiter::new(self.flight.clone())
    }

    /// Nobody else can join.
    pub(crate) fn is_alone(&self) -> bool {
        self.slot.is_none()
    }
}

impl Drop for Obligation {
    fn drop(&mut self) {
        if let Some((flights, id)) = self.slot.take() {
            let mut shard = flights.shard(&id).lock();
            // A dead flight may have yielded its slot to a newer one, which must not be cleared.
            if let Entry::Occupied(current) = shard.entry(id)
                && Arc::ptr_eq(current.get(), &self.flight)
            {
                current.remove();
            }
        }
        self.flight.tell(Verdict::Abandoned);
    }
}

/// One who waits for a verdict.
pub(crate) struct Waiter {
    flight: Arc<Flight>,
}

impl Waiter {
    fn new(flight: Arc<Flight>) -> Self {
        Self { flight }
    }

    /// The verdict, if it has fallen.
    pub(crate) fn told(&self) -> Option<Verdict> {
        self.flight.verdict()
    }

    /// Waits for the verdict.
    pub(crate) async fn verdict(&self) -> Verdict {
        // Made before the look: what rings between the two is heard.
        let fallen = self.flight.fallen.notified();
        if let Some(verdict) = self.told() {
            return verdict;
        }
        fallen.await;
        self.told().unwrap_or(Verdict::Abandoned)
    }

    /// Lets through those who bother an origin that answers with errors, a few at a time.
    pub(crate) fn gate(&self) -> Arc<Semaphore> {
        self.flight.gate.get_or_init(|| Arc::new(Semaphore::new(FAILING_ORIGIN_PERMITS))).clone()
    }
}

#[cfg(test)]
pub(crate) mod client;
#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
