//! How many clients may be connected at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most open connections, over all threads.
///
/// Beyond it nobody is turned away: each accept loop holds the one client it has just accepted and accepts no more,
/// so further clients wait in the kernel's queue until somebody leaves (idle connections do so after
/// `header_timeout`). A full house is then slow instead of broken. The count may exceed the limit by one per
/// accept loop.
#[derive(Clone, Debug)]
pub struct ConnectionLimit(Arc<Semaphore>);

/// The right to be connected; ends with the connection, a panicking one included.
pub(super) type Seat = OwnedSemaphorePermit;

impl ConnectionLimit {
    /// At most `connections`, at least one.
    pub fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// Waits for a free seat. Giving up waiting costs nothing.
    pub(super) async fn seat(&self) -> Option<Seat> {
        // The semaphore is never closed.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}
