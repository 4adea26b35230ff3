//! One request and its response: slot, connection, time limits, the one retry.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::connect::{Answered, Connector};
use super::failure::Failure;
use super::head::{Afterwards, settle_framing};
use super::hints::{self, OnHints};
use super::request_body::{Outgoing, Phase, RequestBody};
use super::response_body::ResponseBody;
use super::shared::{Server, Upstream};

/// Bounds what one connection buffers, and so the size of a response head. hyper allows 100 fields in it. A piece of content
/// that waits for its reader keeps the buffer that it was read into, beside the one that is read into next.
const MOST_BUFFERED: usize = 32 * 1024;

/// The connections of one thread to one upstream.
#[derive(Debug)]
pub(super) struct Pool {
    upstream: Arc<Upstream>,
    pooled: Client<Connector, Outgoing>,
    /// For the retry: connects anew, always.
    fresh: Client<Connector, Outgoing>,
}

impl Pool {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        let connector = Connector::new(Arc::clone(&upstream.tls), upstream.connect_timeout);
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .http1_max_buf_size(MOST_BUFFERED)
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(upstream.idle_timeout)
            .pool_max_idle_per_host(upstream.max_idle);
        let pooled = builder.build(connector.clone());
        let fresh = builder.pool_max_idle_per_host(0).build(connector);
        Self { upstream, pooled, fresh }
    }

    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        hints: Option<OnHints>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let server = self.upstream.next_server();
        let slot = server.slot(self.upstream.connect_timeout).await?;
        let request = address(request, server)?;
        let method = request.method().clone();
        let again = repeatable(&request);
        let answer = match self.attempt(&self.pooled, request, hints.clone()).await {
            Err(Lost { failure: Failure::Reset, reused: true }) if let Some(again) = again => {
                debug!(
                    upstream = self.upstream.name,
                    "idle connection was closed under a request; trying a new one"
                );
                self.attempt(&self.fresh, again, hints).await
            }
            other => other,
        };
        let Answer { response, connection } = answer.map_err(|lost| lost.failure)?;
        let (mut head, incoming) = response.into_parts();
        let afterwards = settle_framing(&mut head, &method);
        if afterwards != Ok(Afterwards::Keep)
            && let Some(connection) = &*connection.connection_metadata()
        {
            connection.poison();
        }
        afterwards?;
        Ok(Response::from_parts(head, ResponseBody::new(incoming, self.upstream.between_bytes_timeout, slot)))
    }

    async fn attempt(
        &self,
        client: &Client<Connector, Outgoing>,
        request: Request<RequestBody>,
        hints: Option<OnHints>,
    ) -> Result<Answer, Lost> {
        let (head, body) = request.into_parts();
        let (body, phases) = Outgoing::new(body);
        let mut request = Request::from_parts(head, body);
        if let Some(hints) = hints {
            hints::subscribe(&mut request, hints);
        }
        let mut connection = capture_connection(&mut request);
        let exchanged = client.request(request);
        let exchanged = tokio::select! {
            biased;
            exchanged = exchanged => exchanged,
            failure = self.overdue(&mut connection, phases) => return Err(Lost { failure, reused: false }),
        };
        let mut response = exchanged.map_err(|error| Lost::of(&error, &self.upstream.name))?;
        if let Some(answered) = response.extensions_mut().remove::<Answered>() {
            answered.set();
        }
        Ok(Answer { response, connection })
    }

    /// Resolves when the final response head has been owed for too long, or the client's body has.
    ///
    /// The time to get a connection does not count, it has its own limit; nor does the time in which we wait for the
    /// client's next piece. So the origin has `first_byte_timeout` since it was last given something.
    async fn overdue(
        &self,
        connection: &mut CaptureConnection,
        phases: Option<watch::Receiver<Phase>>,
    ) -> Failure {
        drop(connection.wait_for_connection_metadata().await);
        let Some(mut phases) = phases else {
            sleep(self.upstream.first_byte_timeout).await;
            return Failure::FirstByteTimeout;
        };
        loop {
            let (patience, failure) = match *phases.borrow_and_update() {
                Phase::Origin => (self.upstream.first_byte_timeout, Failure::FirstByteTimeout),
                Phase::Client => (self.upstream.between_bytes_timeout, Failure::RequestStalled),
            };
            match timeout(patience, phases.changed()).await {
                Ok(Ok(())) => {}
                // The body is over and has been dropped.
                Ok(Err(_)) => {
                    sleep(self.upstream.first_byte_timeout).await;
                    return Failure::FirstByteTimeout;
                }
                Err(_elapsed) => return failure,
            }
        }
    }
}

struct Answer {
    response: Response<Incoming>,
    connection: CaptureConnection,
}

/// An attempt without a response.
#[derive(Debug)]
struct Lost {
    failure: Failure,
    /// The connection had served before.
    reused: bool,
}

impl Lost {
    fn of(error: &legacy::Error, upstream: &str) -> Self {
        let failure = Failure::of(error);
        debug!(upstream, reason = failure.as_str(), error = ?error, "no response");
        let mut extras = Extensions::new();
        if let Some(connected) = error.connect_info() {
            connected.get_extras(&mut extras);
        }
        Self { failure, reused: extras.get::<Answered>().is_some_and(Answered::get) }
    }
}

/// Directs the request to `server` and settles what is ours: version and framing.
fn address(request: Request<RequestBody>, server: &Server) -> Result<Request<RequestBody>, Failure> {
    let (mut head, body) = request.into_parts();
    let mut uri = head.uri.into_parts();
    uri.scheme = Some(server.scheme.clone());
    uri.authority = Some(server.authority.clone());
    uri.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    // It has all three parts, so there is nothing left to refuse.
    head.uri = Uri::from_parts(uri).map_err(|_| Failure::Connect)?;
    head.version = Version::HTTP_11;
    body.frame(&mut head.headers);
    Ok(Request::from_parts(head, body))
}

/// A second copy of a request that may be sent twice (RFC 9112 §9.3.1): safe, and without content.
///
/// hyper repeats a request of any kind by itself if the connection turned out to be closed before a byte was written.
/// This is for the closure that crosses the request on its way.
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if !safe || !matches!(request.body(), RequestBody::Empty) {
        return None;
    }
    let mut copy = Request::new(RequestBody::Empty);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    HeaderMap::clone_from(copy.headers_mut(), request.headers());
    Some(copy)
}
