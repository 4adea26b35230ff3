//! The accept loop of one listener.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tracing::{error, warn};

use crate::config;

use super::connection::Site;
use super::drain::Shutdown;
use super::limit::{ConnectionLimit, Seat};
use super::listen::Listener;
use super::outbox::Outbox;
use super::wire::Wire;
use super::{ConnectionEvent, Handler, Observer};

/// How long accepting pauses when the system is out of something; trying at once would burn a core.
const PAUSE: Duration = Duration::from_millis(100);

/// How often, within the time that a client has for a request head, it is seen whether there is one. A client may take that
/// much longer by which the looks lie apart; a timer for each request would be dearer than most requests are.
const LOOKS: u32 = 4;

/// How the graceful end went, for one listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Connections that ended by themselves.
    pub finished: usize,
    /// Connections that were cut at `drain_timeout`.
    pub cut: usize,
}

/// Accepts clients from `listener` on the current runtime until `shutdown` begins, then waits for open requests, for
/// `drain_timeout` at most.
///
/// # Errors
///
/// The listener cannot be registered with the runtime. Once running, it survives whatever accepting or a request
/// does.
pub async fn serve<H: Handler>(
    listener: Listener,
    config: Arc<config::Server>,
    limit: ConnectionLimit,
    observer: Observer,
    handler: H,
    mut shutdown: Shutdown,
) -> io::Result<Drained> {
    let listener = TcpListener::from_std(listener.0)?;
    let outbox = Outbox::of_this_runtime();
    let sending = outbox.clone().map(|outbox| tokio::spawn(outbox.attend()));
    let site = Arc::new(Site::new(config, handler, observer, outbox.clone()));
    let mut connections = Connections::new(Arc::clone(&site));
    let mut waiting: Option<(TcpStream, SocketAddr)> = None;
    loop {
        tokio::select! {
            biased;
            () = shutdown.begun() => break,
            () = connections.reap(), if !connections.is_empty() => {}
            seat = limit.seat(), if waiting.is_some() => {
                if let (Some(seat), Some((stream, addr))) = (seat, waiting.take()) {
                    connections.add(stream, addr, seat);
                }
            }
            accepted = listener.accept(), if waiting.is_none() => match accepted {
                Ok(client) => waiting = Some(client),
                Err(error) if is_clients(&error) => {}
                Err(error) => {
                    warn!(%error, "cannot accept clients for now");
                    (site.observer)(ConnectionEvent::AcceptFailed);
                    tokio::select! {
                        () = sleep(PAUSE) => {}
                        () = shutdown.begun() => break,
                    }
                }
            },
        }
    }
    drop(listener);
    let drained = connections.drain().await;
    if let (Some(outbox), Some(sending)) = (outbox, sending) {
        outbox.send();
        sending.abort();
    }
    Ok(drained)
}

/// The client had gone before we got to it.
fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The open connections of one listener.
struct Connections<H> {
    site: Arc<Site<H>>,
    tasks: JoinSet<()>,
    wires: HashMap<Id, Arc<Wire>>,
    looks: Interval,
}

impl<H: Handler> Connections<H> {
    fn new(site: Arc<Site<H>>) -> Self {
        let mut looks = interval((site.config.header_timeout / LOOKS).max(Duration::from_millis(1)));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { site, tasks: JoinSet::new(), wires: HashMap::new(), looks }
    }

    fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    fn add(&mut self, stream: TcpStream, addr: SocketAddr, seat: Seat) {
        (self.site.observer)(ConnectionEvent::Opened);
        let wire = Arc::new(Wire::default());
        let serving = Arc::clone(&self.site).serve(stream, addr, Arc::clone(&wire));
        let task = self.tasks.spawn(async move {
            serving.await;
            drop(seat);
        });
        self.wires.insert(task.id(), wire);
    }

    /// Waits for a connection to end, and meanwhile ends those whose clients take too long for a request head.
    async fn reap(&mut self) {
        loop {
            tokio::select! {
                biased;
                ended = self.tasks.join_next_with_id() => {
                    return ended.into_iter().for_each(|ended| self.forget(ended));
                }
                _ = self.looks.tick() => self.wires.values().for_each(|wire| wire.inspect(LOOKS)),
            }
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(failed) => {
                if failed.is_panic() {
                    error!("a request panicked; its connection is closed");
                    (self.site.observer)(ConnectionEvent::Panicked);
                }
                failed.id()
            }
        };
        self.wires.remove(&id);
        (self.site.observer)(ConnectionEvent::Closed);
    }

    async fn drain(mut self) -> Drained {
        let mut drained = Drained::default();
        for wire in self.wires.values() {
            wire.drain();
        }
        let patience = sleep(self.site.config.drain_timeout);
        tokio::pin!(patience);
        while !self.is_empty() {
            tokio::select! {
                biased;
                () = self.reap() => drained.finished += 1,
                () = &mut patience => {
                    drained.cut = self.tasks.len();
                    self.tasks.abort_all();
                    break;
                }
            }
        }
        while !self.is_empty() {
            self.reap().await;
        }
        drained
    }
}
