//! The listener that clients talk to: accepting, connection limits, and what a connection must not do. It calls a
//! [`Handler`] for each request and knows nothing of what that does.

mod connection;
pub mod guard;
mod hints;
mod io;
mod limit;
mod listen;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;

pub use connection::Server;
pub use hints::EarlyHints;
pub use limit::ConnectionLimit;
pub use listen::{BindError, Listeners, bind_one};

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    /// Its address.
    pub addr: SocketAddr,
    /// Takes 103 responses for it.
    pub hints: EarlyHints,
}

/// Answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Of its responses.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static;

    /// Answers one request.
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: Arc<Peer>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}
