//! One request and its response: slot, connection, time limits, the one retry.

use std::pin::pin;
use std::sync::Arc;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::connect::Connector;
use super::failure::Failure;
use super::head::{Afterwards, settle_framing};
use super::hints::{self, OnHints};
use super::hush;
use super::pool::{Idle, Lease};
use super::request_body::{Outgoing, Phase, RequestBody};
use super::response_body::ResponseBody;
use super::shared::{Server, Upstream};

/// Bounds what one connection buffers, and so the size of a response head. hyper allows 100 fields in it. A piece of content
/// that waits for its reader keeps the buffer that it was read into, beside the one that is read into next.
const MOST_BUFFERED: usize = 32 * 1024;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// How.
    pub method: Method,
    /// Path and query; `*` for `OPTIONS *`.
    pub target: PathAndQuery,
    /// All fields. `Host` is the caller's to set, and without one the server's authority is sent. `Content-Length` and
    /// `Transfer-Encoding` are set from the body.
    pub fields: HeaderMap,
}

/// Makes what is asked for: an attempt uses it up, and another one may be called for.
pub type MakeHead<'a> = &'a (dyn Fn() -> RequestHead + Send + Sync);

impl RequestHead {
    /// Whether the request may be sent twice (RFC 9112 §9.3.1).
    fn is_safe(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// The connections of one runtime to one upstream.
#[derive(Debug)]
pub(super) struct Pool {
    upstream: Arc<Upstream>,
    connector: Connector,
    protocol: http1::Builder,
    /// By server.
    idle: Box<[Arc<Idle>]>,
}

impl Pool {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        let connector = Connector::new(Arc::clone(&upstream.tls), upstream.connect_timeout);
        let mut protocol = http1::Builder::new();
        protocol.max_buf_size(MOST_BUFFERED);
        let idle = upstream.servers.iter().map(|_| Idle::new(upstream.max_idle, upstream.idle_timeout));
        Self { idle: idle.collect(), upstream, connector, protocol }
    }

    pub(super) async fn send(
        &self,
        head: MakeHead<'_>,
        body: RequestBody,
        hints: Option<OnHints>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let turn = self.upstream.next_turn();
        let (server, idle) = (&self.upstream.servers[turn], &self.idle[turn]);
        let slot = server.slot(self.upstream.connect_timeout).await?;
        let first = head();
        let method = first.method.clone();
        let (response, mut lease) = self.exchange(server, idle, first, head, body, hints).await?;
        let (mut answer, incoming) = response.into_parts();
        if settle_framing(&mut answer, &method)? == Afterwards::Discard {
            lease.retire();
        }
        let body = ResponseBody::new(incoming, self.upstream.between_bytes_timeout, slot, lease);
        Ok(Response::from_parts(answer, body))
    }

    /// Sends the request on an idle connection, or on a new one.
    ///
    /// An idle one may turn out to have been closed. If that shows before a byte was written, the request comes back and
    /// goes on the next. If it shows when the request is on its way, a request that may be sent twice is, once, on a
    /// connection that is new for sure.
    async fn exchange(
        &self,
        server: &Server,
        idle: &Arc<Idle>,
        head: RequestHead,
        again: MakeHead<'_>,
        body: RequestBody,
        hints: Option<OnHints>,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let is_repeatable = head.is_safe() && matches!(body, RequestBody::Empty);
        let (body, mut phases) = Outgoing::new(body);
        let mut request = outgoing(server, head, body, hints.as_ref());
        loop {
            let mut lease = match idle.take() {
                Some(lease) => lease,
                None => Box::pin(self.connection(server, idle)).await?,
            };
            match self.attempt(&mut lease, request, &mut phases).await {
                Ok(response) => return Ok((response, lease)),
                Err(Lost { unsent: Some(unsent), .. }) if lease.reused => request = *unsent,
                Err(Lost { failure: Failure::Reset, .. }) if lease.reused && is_repeatable => break,
                Err(Lost { failure, .. }) => return Err(failure),
            }
        }
        debug!(upstream = self.upstream.name, "idle connection was closed under a request; trying a new one");
        let (body, _) = Outgoing::new(RequestBody::Empty);
        let request = outgoing(server, again(), body, hints.as_ref());
        Box::pin(self.replaced(server, idle, request)).await
    }

    /// Sends a request without content on a new connection.
    async fn replaced(
        &self,
        server: &Server,
        idle: &Arc<Idle>,
        request: Request<Outgoing>,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let mut lease =
            connect(self.connector.clone(), self.protocol.clone(), server.uri.clone(), idle).await?;
        let response = self.attempt(&mut lease, request, &mut None).await.map_err(|lost| lost.failure)?;
        Ok((response, lease))
    }

    /// A new connection, or one that comes back while that is being made. The new one is for others then.
    async fn connection(&self, server: &Server, idle: &Arc<Idle>) -> Result<Lease, Failure> {
        let (connector, protocol, uri) = (self.connector.clone(), self.protocol.clone(), server.uri.clone());
        let home = Arc::clone(idle);
        let mut connecting = Box::pin(async move { connect(connector, protocol, uri, &home).await });
        let returned = {
            let mut waiting = pin!(idle.wait());
            tokio::select! {
                biased;
                returned = &mut waiting => returned,
                connected = &mut connecting => return connected,
            }
        };
        tokio::spawn(async move { connecting.await.map(Lease::give_back) });
        Ok(returned)
    }

    async fn attempt(
        &self,
        lease: &mut Lease,
        request: Request<Outgoing>,
        phases: &mut Option<watch::Receiver<Phase>>,
    ) -> Result<Response<Incoming>, Lost> {
        let mut exchanged = pin!(lease.sender.try_send_request(request));
        let exchanged = match phases {
            None => {
                lease.patience.begin(self.upstream.first_byte_timeout);
                tokio::select! {
                    biased;
                    exchanged = &mut exchanged => Ok(exchanged),
                    () = lease.patience.over() => Err(Failure::FirstByteTimeout),
                }
            }
            Some(phases) => tokio::select! {
                biased;
                exchanged = &mut exchanged => Ok(exchanged),
                failure = Box::pin(self.overdue(phases)) => Err(failure),
            },
        };
        match exchanged {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => {
                let unsent = error.take_message().map(Box::new);
                let failure = Failure::of(error.error());
                debug!(upstream = self.upstream.name, reason = failure.as_str(), error = ?error.error(), "no response");
                Err(Lost { failure, unsent })
            }
            Err(failure) => Err(Lost { failure, unsent: None }),
        }
    }

    /// Resolves when the final response head has been owed for too long, or the client's body has.
    ///
    /// The time in which we wait for the client's next piece does not count. So the origin has `first_byte_timeout` since it
    /// was last given something.
    async fn overdue(&self, phases: &mut watch::Receiver<Phase>) -> Failure {
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

/// An attempt without a response.
#[derive(Debug)]
struct Lost {
    failure: Failure,
    /// The request, if not a byte of it was written.
    unsent: Option<Box<Request<Outgoing>>>,
}

/// Connects to the server that `uri` names.
async fn connect(
    connector: Connector,
    protocol: http1::Builder,
    uri: Uri,
    home: &Arc<Idle>,
) -> Result<Lease, Failure> {
    let stream = connector.connect(uri).await.map_err(|error| {
        debug!(%error, "no connection");
        error.failure()
    })?;
    let (sender, connection) = protocol.handshake(stream).await.map_err(|error| Failure::of(&error))?;
    let task = tokio::spawn(async move {
        if let Err(error) = hush::drive(pin!(connection)).await {
            debug!(%error, "connection ended early");
        }
    });
    Ok(Lease::new(sender, task.abort_handle(), home))
}

/// What is sent: the caller's fields, with what is ours settled, `Host` and framing.
fn outgoing(
    server: &Server,
    head: RequestHead,
    body: Outgoing,
    hints: Option<&OnHints>,
) -> Request<Outgoing> {
    let RequestHead { method, target, mut fields } = head;
    if !fields.contains_key(HOST) {
        fields.insert(HOST, server.host.clone());
    }
    body.frame(&mut fields);
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from(target);
    *request.headers_mut() = fields;
    if let Some(hints) = hints {
        hints::subscribe(&mut request, hints.clone());
    }
    request
}
