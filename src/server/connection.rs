//! Accepting clients and serving their connections until the end.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::config;
use crate::server::io::Socket;
use crate::server::{ConnectionLimit, EarlyHints, Handler, Peer};
use crate::telemetry::{OpenConnection, Telemetry};

/// How long to wait before accepting again when the process is out of file descriptors.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(50);

/// The server of one thread.
#[derive(Clone)]
pub struct Server {
    config: Arc<config::Server>,
    limit: ConnectionLimit,
    telemetry: Arc<Telemetry>,
}

impl Server {
    /// A server that counts its connections in `telemetry`.
    pub fn new(config: config::Server, limit: ConnectionLimit, telemetry: Arc<Telemetry>) -> Self {
        Self { config: Arc::new(config), limit, telemetry }
    }

    /// Serves `listeners` on the current runtime until `stop` shows `true`; then lets open requests end, within the
    /// configured time.
    ///
    /// # Errors
    ///
    /// A listener cannot be used with the runtime.
    pub async fn serve<H: Handler>(
        self,
        listeners: Vec<StdListener>,
        handler: H,
        stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let graceful = Arc::new(GracefulShutdown::new());
        let mut accepting = tokio::task::JoinSet::new();
        for listener in listeners {
            let listener = TcpListener::from_std(listener)?;
            let (server, handler) = (self.clone(), handler.clone());
            let (graceful, stop) = (graceful.clone(), stop.clone());
            accepting.spawn(async move { server.accept(listener, handler, &graceful, stop).await });
        }
        while accepting.join_next().await.is_some() {}
        let Some(graceful) = Arc::into_inner(graceful) else { return Ok(()) };
        if tokio::time::timeout(self.config.drain_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("open requests were cut at the end of the drain timeout");
        }
        Ok(())
    }

    async fn accept<H: Handler>(
        &self,
        listener: TcpListener,
        handler: H,
        graceful: &GracefulShutdown,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut stopped = pin!(async move {
            let _ = stop.wait_for(|stop| *stop).await;
        });
        loop {
            let next = async {
                let permit = self.limit.permit().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                biased;
                () = &mut stopped => return,
                next = next => next,
            };
            match accepted {
                Ok((stream, addr)) => self.connect(stream, addr, permit, handler.clone(), graceful),
                Err(error) => pause_after(&error).await,
            }
        }
    }

    fn connect<H: Handler>(
        &self,
        stream: TcpStream,
        addr: SocketAddr,
        permit: Option<tokio::sync::OwnedSemaphorePermit>,
        handler: H,
        graceful: &GracefulShutdown,
    ) {
        // Without it small answers wait for acknowledgements; a socket that refuses is about to fail anyway.
        let _ = stream.set_nodelay(true);
        bound_send_queue(&stream);
        let peer = Arc::new(Peer { addr, hints: EarlyHints::default() });
        let socket = Socket::new(stream, peer.clone(), self.config.stall_timeout);
        let service = service_fn(move |request| {
            let (handler, peer) = (handler.clone(), peer.clone());
            async move {
                peer.hints.open();
                let response = handler.handle(request, peer.clone()).await;
                peer.hints.close();
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.config.header_timeout)
            .max_buf_size(self.config.max_head.max(8192))
            .max_headers(self.config.max_fields)
            .half_close(false)
            .serve_connection(socket, service);
        let connection = graceful.watch(connection);
        let guard = Open {
            telemetry: self.telemetry.clone(),
            _counted: self.telemetry.metrics().connection_opened(),
            _permit: permit,
        };
        tokio::spawn(async move {
            let _guard = guard;
            if let Err(error) = connection.await {
                tracing::debug!(%error, client = %addr, "connection ended");
            }
        });
    }
}

/// Bytes that wait unsent in the kernel for one client.
const UNSENT: u32 = 128 * 1024;

/// Keeps the kernel from queueing megabytes for a slow client: they would be memory that no limit counts, and while they
/// drain no write makes progress, so that a client that reads slowly would look like one that does not read.
fn bound_send_queue(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// An open connection; it counts as one until it is dropped, by a panic too.
struct Open {
    telemetry: Arc<Telemetry>,
    _counted: OpenConnection,
    _permit: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.telemetry.metrics().panic();
        }
    }
}

/// A client that left before it was accepted is none of our business; out of file descriptors, waiting helps.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        return;
    }
    tracing::warn!(%error, "cannot accept clients");
    tokio::time::sleep(OUT_OF_FILES_PAUSE).await;
}
