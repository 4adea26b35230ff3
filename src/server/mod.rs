//! The first listener: accepting clients, and what they must not do.
//!
//! ```text
//! Listeners -> serve: accept -> limit -> connection: hyper over [`io`] -> [`guard`] -> Handler
//!              [`accept`]       [`limit`] [`connection`]
//! ```
//!
//! Between [`io`] and the kernel is the [`socket`], with an [`outbox`] for short answers.
//!
//! One [`Listener`] per address and serving thread, each with its own accept loop. A connection is a task, so a panic
//! in one request ends that connection and nothing else. What RFC 9112 forbids and hyper lets pass is refused here,
//! before the [`Handler`] is asked to handle it: that gets requests of one shape only, and renders the refusals of others.
//!
//! Left out: TLS, and anything that depends on what a request is for.

mod accept;
mod body;
mod connection;
mod drain;
pub mod guard;
mod hints;
mod io;
mod leaving;
mod limit;
mod listen;
mod outbox;
mod socket;
mod wire;

use std::error::Error as StdError;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Response;
use http::request::Parts;
use http_body::Body;
use hyper::body::Incoming;

pub use accept::{Drained, serve};
pub use drain::{Shutdown, ShutdownTrigger};
pub use guard::Rejection;
pub use hints::EarlyHints;
pub use limit::ConnectionLimit;
pub use listen::{BindError, Listener, Listeners, bind_one};

use wire::Wire;

/// Any error, as bodies have them.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// What is sent as content. If it fails, what came before is sent still, then the connection is cut so that the
    /// client can tell.
    type Body: Body<Data: Send, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request. The future is dropped when the client goes away, half-closing included.
    ///
    /// The request's target is in origin-form (or `*` for OPTIONS), and it has exactly one `Host` field, which says
    /// `authority`: valid, in lower case, without the default port, even if the client gave it another shape;
    /// Content-Length and Transfer-Encoding do not both occur. Hop-by-hop fields are still there.
    fn handle(
        &self,
        head: Parts,
        authority: Arc<str>,
        content: Incoming,
        peer: &Arc<Peer>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + use<Self>;

    /// Renders the answer to a request that the server refuses for what is in its head, which is as the client sent it.
    /// The connection ends with it.
    fn refuse(&self, head: &Parts, rejection: &Rejection, peer: &Peer) -> Response<Self::Body>;

    /// Hears of a request whose head could not be read. hyper has answered it, with `rejection`'s status and without
    /// content, and ended the connection.
    fn unread(&self, rejection: &Rejection, peer: &Peer);
}

/// Who is at the other end of a connection.
#[derive(Debug)]
pub struct Peer {
    /// The client's address; an IPv4 client of a dual-stack listener shows as IPv4.
    pub addr: SocketAddr,
    /// Our own.
    pub local: SocketAddr,
    wire: Arc<Wire>,
}

impl Peer {
    fn new(addr: SocketAddr, local: SocketAddr, wire: Arc<Wire>) -> Self {
        Self { addr, local, wire }
    }

    /// A way to send 103 Early Hints ahead of the answer to the request now being handled. Call it while handling; it
    /// does nothing for later requests on the same connection.
    pub fn hints(&self) -> EarlyHints {
        EarlyHints::new(Arc::clone(&self.wire))
    }
}

/// What happens to connections, for whoever counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// A client has connected. A `Closed` will follow.
    Opened,
    /// A connection has ended, for whatever reason.
    Closed,
    /// A request panicked; its connection is gone.
    Panicked,
    /// A client took none of its answer for `stall_timeout`.
    Stalled,
    /// The system could not accept a connection, such as for lack of file descriptors.
    AcceptFailed,
    /// 103 Early Hints were sent.
    HintsSent,
}

/// Is told what happens to connections. It runs on serving threads: it must not block.
pub type Observer = Arc<dyn Fn(ConnectionEvent) + Send + Sync>;
