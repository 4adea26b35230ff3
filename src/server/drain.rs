//! The graceful end, as told to all accept loops at once.

use tokio::sync::watch;

/// Starts the graceful end. Dropping it starts it, too.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

/// Learns of the graceful end; one clone for each accept loop.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Both ends.
    pub fn channel() -> (ShutdownTrigger, Shutdown) {
        let (trigger, shutdown) = watch::channel(false);
        (ShutdownTrigger(trigger), Shutdown(shutdown))
    }

    /// Whether the end has begun.
    pub fn has_begun(&self) -> bool {
        // An error means that the trigger is gone.
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Resolves when the end has begun.
    pub(super) async fn begun(&mut self) {
        // An error means that the trigger is gone.
        let _ = self.0.wait_for(|begun| *begun).await;
    }
}

impl ShutdownTrigger {
    /// From now on nothing is accepted, idle connections are closed, and open requests are given `drain_timeout`.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}
