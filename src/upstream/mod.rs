//! Origins: connections to them, and what can go wrong there.
//!
//! ```text
//! send -> slot (Busy) -> server in turn -> connection from the pool or a new one -> request -> head -> body
//!         shared by       [`shared`]       [`pool`], [`connect`]  [`request_body`]    [`head`]   [`response_body`]
//!         all threads
//! ```
//!
//! Each serving runtime, as a rule a thread's, has an [`Upstreams`] with connections of its own, so that no request
//! ever waits for another thread; the limits are kept in [`Shared`]. What is sent is what the caller gives: this room fills in scheme and
//! authority of the chosen server and the framing, nothing else. What comes back has had its framing checked.
//!
//! Left out: choosing by health, circuit breaking, and retries other than the one that a reused connection calls for.

mod connect;
mod exchange;
mod failure;
mod head;
mod hints;
mod hush;
mod patience;
mod pool;
mod request_body;
mod response_body;
mod shared;
mod tls;

use std::sync::Arc;

use http::Response;

use exchange::Pool;

pub use exchange::{MakeHead, RequestHead};
pub use failure::{BodyFailure, Failure};
pub use hints::OnHints;
pub use request_body::{BoxError, RequestBody};
pub use response_body::ResponseBody;
pub use shared::{SetupError, Shared};

/// The upstreams of one serving runtime, in the order of the configuration.
///
/// Connections live on the runtime that first polls [`send`](Self::send): keep one `Upstreams` per runtime.
#[derive(Debug)]
pub struct Upstreams {
    pools: Vec<Pool>,
}

impl Upstreams {
    /// Empty pools within the limits of `shared`.
    pub fn new(shared: &Shared) -> Self {
        Self { pools: shared.upstreams().iter().map(|upstream| Pool::new(Arc::clone(upstream))).collect() }
    }

    /// Sends a request to a server of the upstream with that index and waits for the final response head.
    ///
    /// The response's `Transfer-Encoding` has been undone and its `Content-Length` can be relied on; other fields are
    /// as the origin sent them. `head` is called once, and once more if the request is sent twice. `hints` is called for each 103 that precedes the final head, possibly on another task.
    ///
    /// Dropping the future, or the body before its end, gives the connection up.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    ///
    /// # Panics
    ///
    /// If there is no upstream with that index.
    pub fn send(
        &self,
        upstream: usize,
        head: MakeHead<'_>,
        body: RequestBody,
        hints: Option<OnHints>,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Failure>> {
        self.pools[upstream].send(head, body, hints)
    }
}
