//! The thread that refreshes what soft purges have hit.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

use crate::app::{StartError, serving};
use crate::request::{Engine, Refresher, Worker};
use crate::upstream::{self, Upstreams};

/// Starts the thread. It has connections of its own to the origins; those limits that are for all threads hold for it too.
pub(super) fn start(
    engine: &Arc<Engine>,
    refresher: Refresher,
    origins: &upstream::Shared,
    mut stopping: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = serving::runtime()?;
    let worker = Worker::new(engine.clone(), Arc::new(Upstreams::new(origins)));
    let refresh = async move {
        tokio::select! {
            () = refresher.run(worker) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    };
    let thread = thread::Builder::new().name("larder-refresh".into());
    let run = move || {
        runtime.block_on(refresh);
        // A walk over the store may be under way, for which the end does not wait.
        runtime.shutdown_background();
    };
    thread.spawn(run).map_err(StartError::Thread)
}
