//! The threads that answer: one current-thread runtime per serving thread, and one for the admin listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{self, Runtime};
use tokio::sync::watch;

use crate::admin::{Admin, Role};
use crate::app::StartError;
use crate::app::handler::Proxy;
use crate::config::Config;
use crate::request::{Engine, Worker};
use crate::server::{self, ConnectionLimit, Listeners, guard};
use crate::upstream::{SharedLimits, Upstreams};

pub(super) fn runtime() -> Result<Runtime, StartError> {
    runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)
}

/// Starts the serving threads, each with its own listeners and its own connections to origins.
pub(super) fn start(
    engine: &Arc<Engine>,
    listeners: Listeners,
    limits: &Arc<SharedLimits>,
    stopping: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let config = engine.config();
    let connections = ConnectionLimit::new(config.server.max_connections);
    let mut threads = Vec::new();
    for (index, own) in listeners.into_threads().into_iter().enumerate() {
        let runtime = runtime()?;
        let upstreams = Upstreams::new(&config.upstreams, limits.clone())?;
        let worker = Worker::new(engine.clone(), Arc::new(upstreams));
        let proxy = Proxy::new(worker, guard::Limits::of(&config.server));
        let server =
            server::Server::new(config.server.clone(), connections.clone(), engine.telemetry().clone());
        let stopping = stopping.clone();
        let thread = thread::Builder::new()
            .name(format!("larder-{index}"))
            .spawn(move || {
                if let Err(error) = runtime.block_on(server.serve(own, proxy, stopping)) {
                    tracing::error!(%error, "a serving thread ended");
                }
            })
            .map_err(StartError::Thread)?;
        threads.push(thread);
    }
    Ok(threads)
}

pub(super) struct AdminAddrs {
    pub(super) admin: Option<SocketAddr>,
    pub(super) probe: Option<SocketAddr>,
}

/// Starts the admin and the probe listener, on one thread of their own, so that a scrape never waits for traffic.
pub(super) fn start_admin(
    engine: &Arc<Engine>,
    config: &Config,
    stopping: &watch::Receiver<bool>,
) -> Result<Option<(JoinHandle<()>, AdminAddrs)>, StartError> {
    let admin = config.admin.listen.map(server::bind_one).transpose()?;
    let probe = config.admin.probe_listen.map(server::bind_one).transpose()?;
    if admin.is_none() && probe.is_none() {
        return Ok(None);
    }
    let addr = |listener: &Option<std::net::TcpListener>| listener.as_ref().and_then(|l| l.local_addr().ok());
    let addrs = AdminAddrs { admin: addr(&admin), probe: addr(&probe) };
    let draining = stopping.clone();
    let ready = move || if *draining.borrow() { Err("draining".to_owned()) } else { Ok(()) };
    let handler = Admin::new(&config.admin, engine.telemetry().clone(), Arc::new(ready));
    let runtime = runtime()?;
    let roles = [(admin, Role::Full), (probe, Role::Probe)];
    let mut stopping = stopping.clone();
    let thread = thread::Builder::new()
        .name("larder-admin".into())
        .spawn(move || {
            runtime.block_on(async move {
                for (listener, role) in roles {
                    let Some(listener) = listener else { continue };
                    match tokio::net::TcpListener::from_std(listener) {
                        Ok(listener) => {
                            let mut stopping = stopping.clone();
                            let end = async move {
                                let _ = stopping.wait_for(|stop| *stop).await;
                            };
                            tokio::spawn(crate::admin::serve(listener, handler.clone(), role, end));
                        }
                        Err(error) => tracing::error!(%error, "the admin listener cannot be used"),
                    }
                }
                let _ = stopping.wait_for(|stop| *stop).await;
            });
        })
        .map_err(StartError::Thread)?;
    Ok(Some((thread, addrs)))
}
