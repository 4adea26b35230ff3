//! The threads that answer: the serving threads, with a runtime each or with one together, and one for the admin
//! listener.
//!
//! The same code serves on both kinds of runtime, since nothing in it belongs to a thread. What is `Send` goes with
//! the task; a lock is never held across an `await`; and what is thread-local (the shard that a thread counts in, the
//! dice of the hit counters) is looked up anew at each use, and any thread's will do. What must stay with one *runtime*,
//! its timers and its connections to origins, is in the [`Upstreams`] that each runtime gets. Only what lets short answers
//! leave together is for runtimes of one thread, and the accept loop leaves it out elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use tokio::runtime::{self, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::{self, Admin, Role};
use crate::app::StartError;
use crate::app::handler::Proxy;
use crate::config::{self, Config};
use crate::request::{Engine, Refresher, Worker};
use crate::server::{self, ConnectionEvent, ConnectionLimit, Listener, Listeners, Observer, Shutdown};
use crate::upstream::{self, Upstreams};

pub(super) fn runtime() -> Result<Runtime, StartError> {
    runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)
}

/// How many runtimes serve: each has listeners and connections to origins of its own.
pub(super) fn runtimes(config: &config::Server) -> usize {
    match config.runtime {
        config::Runtime::PerThread => config.threads,
        config::Runtime::Shared => 1,
    }
}

/// The runtime with this number, and what the thread is called that starts it: with a runtime per thread, the one that
/// serves; else one that only waits for the end of those that do.
fn serving_runtime(config: &config::Server, index: usize) -> Result<(Runtime, String), StartError> {
    match config.runtime {
        config::Runtime::PerThread => Ok((runtime()?, format!("larder-{index}"))),
        config::Runtime::Shared => {
            let next = AtomicUsize::new(0);
            let shared = runtime::Builder::new_multi_thread()
                .worker_threads(config.threads)
                .thread_name_fn(move || format!("larder-{}", next.fetch_add(1, Ordering::Relaxed)))
                .enable_all()
                .build();
            Ok((shared.map_err(StartError::Thread)?, "larder-serving".into()))
        }
    }
}

/// Starts the serving threads. There are as many lists of listeners as [`runtimes`].
pub(super) fn start(
    engine: &Arc<Engine>,
    listeners: Listeners,
    origins: &upstream::Shared,
    draining: &Shutdown,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let config = &engine.config().server;
    let limit = ConnectionLimit::new(config.max_connections);
    let mut threads = Vec::new();
    for (index, own) in listeners.into_threads().into_iter().enumerate() {
        let (runtime, name) = serving_runtime(config, index)?;
        let proxy = Proxy::new(Worker::new(engine.clone(), Arc::new(Upstreams::new(origins))));
        let serving = serve_all(engine.clone(), own, limit.clone(), proxy, draining.clone());
        let thread = thread::Builder::new()
            .name(name)
            .spawn(move || runtime.block_on(serving))
            .map_err(StartError::Thread)?;
        threads.push(thread);
    }
    Ok(threads)
}

/// Serves a runtime's listeners until the end.
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
