//! Accepts connections for the admin listener.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Admin, Role};

/// More connections wait in the backlog.
const MAX_CONNECTIONS: usize = 64;
/// For a request's head, and between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The oldest a connection gets: a client that stops reading must not keep its place for ever.
const MAX_LIFETIME: Duration = Duration::from_secs(120);
/// For answers that are under way when a connection is told to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// After a failed accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// Answers requests on `listener` until `shutdown` resolves, then ends within about a second.
pub async fn serve(
    listener: TcpListener,
    admin: Arc<Admin>,
    role: Role,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut shutdown = pin!(shutdown);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (ending, end) = watch::channel(());
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (place, accepted) = accepted => match accepted {
                Ok((stream, peer)) => {
                    let connection = connection(stream, peer.ip(), Arc::clone(&admin), role, end.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop((listener, ending));
    while connections.join_next().await.is_some() {}
}

/// Serves one connection until it ends, gets too old, or `end` loses its sender.
async fn connection(
    stream: TcpStream,
    peer: IpAddr,
    admin: Arc<Admin>,
    role: Role,
    mut end: watch::Receiver<()>,
) {
    let service = service_fn(|request| {
        let answer = admin.handle(role, peer, request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // An error here is the client's: it went away, was too slow, or does not speak HTTP.
        _ = connection.as_mut() => return,
        _ = end.changed() => {}
        () = sleep(MAX_LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(DRAIN_TIMEOUT, connection).await;
}
