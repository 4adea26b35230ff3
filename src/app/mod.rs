//! The composition root: from a [`Config`] to a running Larder, and to its end.

mod handler;
mod house;
mod refreshing;
mod serving;
mod signals;

pub use signals::Signals;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::config::units::Wrong;
use crate::purge::Purger;
use crate::request::{Engine, Refresher};
use crate::server::{BindError, Listeners, Shutdown, ShutdownTrigger};
use crate::store::{Budget, Store};
use crate::telemetry::{self, Labels, StoreFigures, Telemetry};
use crate::upstream;
use crate::{policy, request, store, validity};

/// Why Larder did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A thread or a runtime could not be made.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The access log cannot be written.
    #[error(transparent)]
    AccessLog(#[from] telemetry::OpenError),
    /// An upstream's certificates cannot be used.
    #[error(transparent)]
    Upstream(#[from] upstream::SetupError),
    /// The tokens cannot be read.
    #[error("[purge] token_file: {0}")]
    Tokens(#[source] Wrong),
    /// The process log's filter is not one.
    #[error(transparent)]
    ProcessLog(#[from] telemetry::ProcessLogError),
}

/// A running Larder: serving threads, the admin thread and housekeeping. Stops when dropped.
pub struct Larder {
    addrs: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    probe: Option<SocketAddr>,
    engine: Arc<Engine>,
    refresher: Refresher,
    drain: ShutdownTrigger,
    serving: Vec<JoinHandle<()>>,
    /// `true`: nobody is served any more, so those who attend to the serving threads may end, too.
    served: watch::Sender<bool>,
    attending: Vec<JoinHandle<()>>,
}

impl Larder {
    /// Starts all threads; returns when everything listens.
    ///
    /// # Errors
    ///
    /// An address is in use, a file cannot be read or written, or the machine is out of threads. Nothing is left
    /// running then.
    pub fn start(config: Config) -> Result<Larder, StartError> {
        Self::start_with(config, Clock::system())
    }

    /// As [`start`](Self::start), by a given clock.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(config: Config, clock: Clock) -> Result<Larder, StartError> {
        let config = Arc::new(config);
        let engine = engine(&config, &clock)?;
        let runtimes = serving::runtimes(&config.server);
        let listeners = Listeners::bind(&config.server.listen, runtimes)?;
        let addrs = listeners.local_addrs().to_vec();
        let origins = upstream::Shared::new(&config.upstreams, runtimes)?;
        let (served, serving_ended) = watch::channel(false);
        let (drain, draining) = Shutdown::channel();
        let mut larder = Larder {
            addrs,
            admin: None,
            probe: None,
            engine,
            refresher: Refresher::default(),
            drain,
            serving: Vec::new(),
            served,
            attending: Vec::new(),
        };
        larder.start_admin(&config, &draining, &serving_ended)?;
        larder.attending.push(house::start(larder.engine.clone(), serving_ended.clone())?);
        let refresher = larder.refresher.clone();
        larder.attending.push(refreshing::start(&larder.engine, refresher, &origins, serving_ended)?);
        larder.serving = serving::start(&larder.engine, listeners, &origins, &draining)?;
        Ok(larder)
    }

    /// Where clients are accepted.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Where the admin listener is, if there is one.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Where the probe listener is, if there is one.
    pub fn probe_addr(&self) -> Option<SocketAddr> {
        self.probe
    }

    /// Bytes charged against the memory limit.
    pub fn memory_used(&self) -> u64 {
        self.engine.budget().used()
    }

    /// What was purged. For programs that have Larder in them: they purge without a door.
    pub fn log(&self) -> &Arc<validity::Log> {
        self.engine.log()
    }

    /// What is stored.
    pub fn store(&self) -> &Arc<Store> {
        self.engine.store()
    }

    /// Takes orders to refresh what soft purges have hit.
    pub fn refresher(&self) -> &Refresher {
        &self.refresher
    }

    /// Stops accepting, lets open requests end within `drain_timeout`, and waits for all threads. Until then the admin
    /// listener says that it drains. At the end everything that was logged is written.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.drain.begin();
        join(&mut self.serving);
        self.served.send_replace(true);
        join(&mut self.attending);
        self.engine.telemetry().flush();
    }

    fn start_admin(
        &mut self,
        config: &Arc<Config>,
        draining: &Shutdown,
        serving_ended: &watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let started = serving::start_admin(&self.engine, &self.refresher, config, draining, serving_ended)?;
        if let Some((thread, addrs)) = started {
            self.admin = addrs.admin;
            self.probe = addrs.probe;
            self.attending.push(thread);
        }
        Ok(())
    }
}

fn join(threads: &mut Vec<JoinHandle<()>>) {
    for thread in threads.drain(..) {
        if thread.join().is_err() {
            tracing::error!("a thread ended by a panic");
        }
    }
}

impl Drop for Larder {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs until SIGTERM or SIGINT, then drains.
///
/// # Errors
///
/// As [`Larder::start`].
pub fn run(config: Config) -> Result<(), StartError> {
    let _log = telemetry::install_process_log(&config.log)?;
    // From here on a signal waits until it can be served; by default it would end the process where it stands.
    let signals = Signals::listen()?;
    let larder = Larder::start(config)?;
    for addr in larder.addrs() {
        tracing::info!(%addr, "serving");
    }
    if let Some(addr) = larder.admin_addr() {
        tracing::info!(%addr, "admin");
    }
    run_until_signal(larder, signals)
}

/// Waits for SIGTERM or SIGINT, then drains; a second signal ends the process at once, with exit code 1.
///
/// # Errors
///
/// The thread that waits for the second cannot be started.
pub fn run_until_signal(larder: Larder, mut signals: Signals) -> Result<(), StartError> {
    signals.wait();
    tracing::info!("draining");
    thread::Builder::new()
        .name("larder-signals".into())
        .spawn(move || {
            signals.wait();
            tracing::warn!("a second signal: ending without waiting for open requests");
            std::process::exit(1);
        })
        .map_err(StartError::Thread)?;
    larder.stop();
    Ok(())
}

fn engine(config: &Arc<Config>, clock: &Clock) -> Result<Arc<Engine>, StartError> {
    let not_stored = not_stored_reasons();
    let fetch_failed = upstream::Failure::ALL.map(upstream::Failure::as_str);
    let labels = Labels::of(config, &not_stored, &fetch_failed);
    let telemetry = Telemetry::new(&config.log, clock, &labels)?;
    let budget = Budget::new(config.cache.memory);
    let store = Store::new(&config.cache, budget.clone(), clock.clone());
    let figures = Arc::downgrade(&store);
    telemetry.metrics().set_store_gauge(Box::new(move || {
        let figures = figures.upgrade().map(|store| store.figures()).unwrap_or_default();
        let store::Figures { bytes, entries, limit, evictions } = figures;
        StoreFigures { bytes, entries, limit, evicted: evictions }
    }));
    let log = validity::Log::new();
    let purger = Purger::new(&config.purge, log.clone(), store.clone(), telemetry.clone(), clock.clone());
    let purger = purger.map_err(StartError::Tokens)?;
    Ok(Engine::new(config.clone(), clock.clone(), telemetry, log, budget, store, purger))
}

/// Every named reason for which a response is not stored, over all rooms.
fn not_stored_reasons() -> Vec<&'static str> {
    let policy = policy::storability::NotStored::ALL.iter().map(|reason| reason.as_str());
    policy.chain(request::reasons().iter().copied()).chain(store::NOT_SEALED.iter().copied()).collect()
}
