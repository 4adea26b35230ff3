//! What tells the process to end.

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{StartError, serving};

/// SIGTERM and SIGINT. While this exists they do nothing but be seen by [`Signals::wait`].
#[derive(Debug)]
pub struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen: what comes from now on is waited for, not obeyed.
    ///
    /// # Errors
    ///
    /// The system does not let it.
    pub fn listen() -> Result<Self, StartError> {
        let runtime = serving::runtime()?;
        let guard = runtime.enter();
        let terminate = signal(SignalKind::terminate()).map_err(StartError::Thread)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(StartError::Thread)?;
        drop(guard);
        Ok(Self { runtime, terminate, interrupt })
    }

    /// Returns when one has come since the last time.
    pub fn wait(&mut self) {
        let Self { runtime, terminate, interrupt } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
    }
}
