//! The threads that answer: one current-thread runtime per serving thread, and one for the admin listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::{self, Admin, Role};
use crate::app::StartError;
use crate::app::handler::Proxy;
use crate::config::Config;
use crate::request::{Engine, Refresher, Worker};
use crate::server::{self, ConnectionEvent, ConnectionLimit, Listener, Listeners, Observer, Shutdown};
use crate::upstream::{self, Upstreams};

pub(super) fn runtime() -> Result<Runtime, StartError> {
    runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)
}

/// Starts the serving threads, each with its own listeners and its own connections to origins.
pub(super) fn start(
    engine: &Arc<Engine>,
    listeners: Listeners,
    origins: &upstream::Shared,
    draining: &Shutdown,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let limit = ConnectionLimit::new(engine.config().server.max_connections);
    let mut threads = Vec::new();
    for (index, own) in listeners.into_threads().into_iter().enumerate() {
        let runtime = runtime()?;
        let proxy = Proxy::new(Worker::new(engine.clone(), Arc::new(Upstreams::new(origins))));
        let serving = serve_all(engine.clone(), own, limit.clone(), proxy, draining.clone());
        let thread = thread::Builder::new()
            .name(format!("larder-{index}"))
            .spawn(move || runtime.block_on(serving))
            .map_err(StartError::Thread)?;
        threads.push(thread);
    }
    Ok(threads)
}

/// Serves a thread's listeners until the end.
async fn serve_all(
    engine: Arc<Engine>,
    listeners: Vec<Listener>,
    limit: ConnectionLimit,
    proxy: Proxy,
    draining: Shutdown,
) {
    let config = Arc::new(engine.config().server.clone());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (config, limit, proxy) = (config.clone(), limit.clone(), proxy.clone());
        let observer = observer(&engine);
        accepting.spawn(server::serve(listener, config, limit, observer, proxy, draining.clone()));
    }
    while let Some(ended) = accepting.join_next().await {
        match ended {
            Ok(Ok(drained)) if drained.cut > 0 => {
                tracing::warn!(cut = drained.cut, "open requests were cut at the end of drain_timeout");
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "a listener cannot be used"),
            Err(error) => tracing::error!(%error, "an accept loop ended"),
        }
    }
}

/// Counts what happens to connections. The guards of open ones are interchangeable, so a stack of them will do.
fn observer(engine: &Arc<Engine>) -> Observer {
    let telemetry = engine.telemetry().clone();
    let open = Mutex::new(Vec::new());
    Arc::new(move |event| match event {
        ConnectionEvent::Opened => open.lock().push(telemetry.metrics().connection_opened()),
        ConnectionEvent::Closed => drop(open.lock().pop()),
        ConnectionEvent::Panicked => telemetry.metrics().panic(),
        ConnectionEvent::HintsSent => telemetry.metrics().early_hints(),
        ConnectionEvent::Stalled | ConnectionEvent::AcceptFailed => {
            tracing::debug!(?event, "connection");
        }
    })
}

pub(super) struct AdminAddrs {
    pub(super) admin: Option<SocketAddr>,
    pub(super) probe: Option<SocketAddr>,
}

/// Starts the admin and the probe listener, on one thread of their own, so that a scrape never waits for traffic. They
/// are there until `serving_ended`, so that whoever routes requests to us can see that we drain.
pub(super) fn start_admin(
    engine: &Arc<Engine>,
    refresher: &Refresher,
    config: &Config,
    draining: &Shutdown,
    serving_ended: &watch::Receiver<bool>,
) -> Result<Option<(JoinHandle<()>, AdminAddrs)>, StartError> {
    let admin = config.admin.listen.map(server::bind_one).transpose()?;
    let probe = config.admin.probe_listen.map(server::bind_one).transpose()?;
    if admin.is_none() && probe.is_none() {
        return Ok(None);
    }
    let addr = |listener: &Option<std::net::TcpListener>| listener.as_ref().and_then(|l| l.local_addr().ok());
    let addrs = AdminAddrs { admin: addr(&admin), probe: addr(&probe) };
    let draining = draining.clone();
    let ready = move || if draining.has_begun() { Err("draining".to_owned()) } else { Ok(()) };
    let refresher = refresher.clone();
    let handler = Admin::new(
        config,
        admin::Parts {
            ready: Arc::new(ready),
            refresh: Arc::new(move |sequence, most| refresher.refresh(sequence, most)),
            telemetry: engine.telemetry().clone(),
            log: engine.log().clone(),
            store: engine.store().clone(),
            purger: engine.purger().clone(),
            clock: engine.clock().clone(),
        },
    );
    let runtime = runtime()?;
    let roles = [(admin, Role::Full), (probe, Role::Probe)];
    let serving_ended = serving_ended.clone();
    let thread = thread::Builder::new()
        .name("larder-admin".into())
        .spawn(move || {
            runtime.block_on(async move {
                let mut listening = JoinSet::new();
                for (listener, role) in roles {
                    let Some(listener) = listener else { continue };
                    match tokio::net::TcpListener::from_std(listener) {
                        Ok(listener) => {
                            let mut serving_ended = serving_ended.clone();
                            let end = async move {
                                let _ = serving_ended.wait_for(|ended| *ended).await;
                            };
                            listening.spawn(admin::serve(listener, handler.clone(), role, end));
                        }
                        Err(error) => tracing::error!(%error, "the admin listener cannot be used"),
                    }
                }
                while listening.join_next().await.is_some() {}
            });
        })
        .map_err(StartError::Thread)?;
    Ok(Some((thread, addrs)))
}
