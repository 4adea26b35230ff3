//! What all serving threads have in common: whose turn it is, and how much each server may be asked at once.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Uri;
use http::header::HeaderValue;
use http::uri::{PathAndQuery, Scheme};
use rustls::ClientConfig;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::config;

use super::failure::Failure;
use super::tls::{self, Trust};

/// The limits and turns of all upstreams; made once and shared by the serving threads.
#[derive(Debug)]
pub struct Shared {
    upstreams: Vec<Arc<Upstream>>,
}

impl Shared {
    /// Reads the certificates that are needed; `runtimes` is how many [`Upstreams`](super::Upstreams) there will be.
    ///
    /// # Errors
    ///
    /// An upstream has an https server and its roots cannot be read.
    pub fn new(configs: &[config::Upstream], runtimes: usize) -> Result<Self, SetupError> {
        let upstreams = configs.iter().map(|config| Upstream::new(config, runtimes).map(Arc::new));
        Ok(Self { upstreams: upstreams.collect::<Result<_, _>>()? })
    }

    pub(super) fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }
}

/// Why the upstreams cannot be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// The system has no certificates to trust.
    #[error("cannot load the system's root certificates: {0}")]
    SystemRoots(#[source] io::Error),
    /// `ca_file` is not a readable PEM file with certificates.
    #[error("cannot read certificates from {path}: {error}", path = path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: rustls_pki_types::pem::Error,
    },
    /// rustls refuses a certificate or its own settings.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// One upstream, with what is known about it at run time.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) servers: Vec<Server>,
    /// Whose turn it is; wraps around.
    turn: AtomicUsize,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) connect_timeout: Duration,
    pub(super) first_byte_timeout: Duration,
    pub(super) between_bytes_timeout: Duration,
    pub(super) idle_timeout: Duration,
    /// Most idle connections to one server that one runtime keeps.
    pub(super) max_idle: usize,
}

impl Upstream {
    fn new(config: &config::Upstream, runtimes: usize) -> Result<Self, SetupError> {
        let secure = config.servers.iter().any(|server| server.scheme == Scheme::HTTPS);
        let trust = match &config.ca_file {
            _ if !secure => Trust::Nobody,
            Some(path) => Trust::File(path),
            None => Trust::System,
        };
        Ok(Self {
            name: config.name.clone(),
            servers: config
                .servers
                .iter()
                .map(|origin| Server::new(origin, config.max_connections))
                .collect(),
            turn: AtomicUsize::new(0),
            tls: tls::config(&trust)?,
            connect_timeout: config.connect_timeout,
            first_byte_timeout: config.first_byte_timeout,
            between_bytes_timeout: config.between_bytes_timeout,
            idle_timeout: config.idle_timeout,
            max_idle: (config.max_connections / runtimes.max(1)).max(1),
        })
    }

    /// The index of the next server in turn.
    pub(super) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.servers.len()
    }
}

/// One server of an upstream.
#[derive(Debug)]
pub(super) struct Server {
    /// Scheme and authority.
    pub(super) uri: Uri,
    /// The `Host` of requests that have none of their own.
    pub(super) host: HeaderValue,
    slots: Arc<Semaphore>,
}

/// The right to have one request under way at a server, its response body included.
///
/// Permits go with requests, not with connections: a connection that idles in one runtime's pool must not keep another
/// from the server. In use there are never more than `max_connections`; idle ones, which cost the server
/// little, are bounded apart from that by `max_idle` per runtime, together again `max_connections`.
pub(super) type Slot = OwnedSemaphorePermit;

impl Server {
    fn new(origin: &config::Origin, max_connections: usize) -> Self {
        let slots = Semaphore::new(max_connections.clamp(1, Semaphore::MAX_PERMITS));
        Self { uri: uri(origin), host: host(origin), slots: Arc::new(slots) }
    }

    /// Waits for a free slot, first come, first served.
    pub(super) async fn slot(&self, patience: Duration) -> Result<Slot, Failure> {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(slot);
        }
        match Box::pin(timeout(patience, Arc::clone(&self.slots).acquire_owned())).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(Failure::Busy),
        }
    }
}

fn uri(origin: &config::Origin) -> Uri {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(origin.scheme.clone());
    parts.authority = Some(origin.authority.clone());
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    // It has all three parts, so there is nothing to refuse.
    Uri::from_parts(parts).unwrap_or_default()
}

/// The authority without user, and without the scheme's default port.
fn host(origin: &config::Origin) -> HeaderValue {
    let default_port = if origin.scheme == Scheme::HTTPS { 443 } else { 80 };
    let host = origin.authority.host();
    let value = match origin.authority.port_u16() {
        Some(port) if port != default_port => HeaderValue::from_str(&format!("{host}:{port}")),
        _ => HeaderValue::from_str(host),
    };
    // An authority has no bytes that a field value may not have.
    value.unwrap_or(HeaderValue::from_static(""))
}
