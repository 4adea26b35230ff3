//! What is shared by the serving threads: whose turn it is, and how many requests an upstream's servers bear.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config;

/// One per process.
#[derive(Debug)]
pub struct SharedLimits(Vec<PerUpstream>);

#[derive(Debug)]
struct PerUpstream {
    turn: AtomicUsize,
    /// One per server. A permit is held from before the connection is taken until the response's body has ended: on
    /// HTTP/1 a request in flight is a connection in use.
    servers: Vec<Arc<Semaphore>>,
}

impl SharedLimits {
    /// Limits for the upstreams of a configuration.
    pub fn new(upstreams: &[config::Upstream]) -> Arc<Self> {
        let per_upstream = |upstream: &config::Upstream| PerUpstream {
            turn: AtomicUsize::new(0),
            servers: upstream
                .servers
                .iter()
                .map(|_| Arc::new(Semaphore::new(upstream.max_connections)))
                .collect(),
        };
        Arc::new(Self(upstreams.iter().map(per_upstream).collect()))
    }

    /// The server whose turn it is.
    pub(super) fn next(&self, upstream: usize) -> usize {
        let of = &self.0[upstream];
        of.turn.fetch_add(1, Ordering::Relaxed) % of.servers.len()
    }

    /// Waits for a permit of one server.
    pub(super) async fn permit(&self, upstream: usize, server: usize) -> Option<OwnedSemaphorePermit> {
        self.0[upstream].servers[server].clone().acquire_owned().await.ok()
    }
}
