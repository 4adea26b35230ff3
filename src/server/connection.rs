//! One connection: hyper between the socket and the handler.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::Either;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use pin_project_lite::pin_project;
use tokio::net::TcpStream;
use tracing::debug;

use crate::config;

use super::body::Served;
use super::guard::{self, Accepted, Limits, Rejection};
use super::io::ClientIo;
use super::outbox::Outbox;
use super::wire::Wire;
use super::{Handler, Observer, Peer};

/// Bounds what hyper buffers for one connection in each direction; hyper takes no less than 8 KiB.
const MOST_BUFFERED: usize = 64 * 1024;

/// The most fields that hyper takes unless told otherwise.
const HYPERS_FIELDS: usize = 100;

/// What all connections of a listener have in common.
pub(super) struct Site<H> {
    pub(super) config: Arc<config::Server>,
    pub(super) handler: H,
    pub(super) observer: Observer,
    outbox: Option<Arc<Outbox>>,
    protocol: http1::Builder,
    limits: Limits,
}

impl<H: Handler> Site<H> {
    /// With an `outbox`, short answers leave through it.
    pub(super) fn new(
        config: Arc<config::Server>,
        handler: H,
        observer: Observer,
        outbox: Option<Arc<Outbox>>,
    ) -> Self {
        let limits = Limits { max_target: config.max_target, default_port: 80 };
        Self { protocol: protocol(&config), limits, config, handler, observer, outbox }
    }

    /// Serves a connection until it ends or, once the wire says so, until the request under way is answered.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, addr: SocketAddr, wire: Arc<Wire>) {
        let Ok(local) = stream.local_addr() else { return };
        // Heads and small bodies leave in one write; Nagle's algorithm would hold back the last of larger ones.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        bound_send_queue(&stream);
        let peer = Arc::new(Peer::new(canonical(addr), canonical(local), Arc::clone(&wire)));
        let (outbox, observer) = (self.outbox.clone(), Arc::clone(&self.observer));
        let io = ClientIo::new(stream, Arc::clone(&wire), outbox, observer, self.config.stall_timeout);
        let (site, client, known) = (&self, &peer, Known::default());
        let service = service_fn(move |request| site.answer(request, client, &known));
        let mut connection = pin!(self.protocol.serve_connection(io, service));
        let mut told = false;
        let ended = poll_fn(|cx| {
            wire.set_task(cx.waker());
            if wire.is_draining() && !told {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            match connection.as_mut().poll(cx) {
                Poll::Pending if wire.is_overdue() => Poll::Ready(Ok(())),
                polled => polled,
            }
        });
        if let Err(error) = ended.await {
            debug!(client = %addr, %error, "connection ended early");
            if let Some(rejection) = guard::unread(&error) {
                self.handler.unread(&rejection, &peer);
            }
        }
    }

    /// The life of one request. The handler begins at once, so that what is moved about is no more than its future.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: &Arc<Peer>,
        known: &Known,
    ) -> impl Future<Output = Result<Response<Served<H::Body>>, Infallible>> + use<H> {
        let version = request.version();
        peer.wire.begin(version == Version::HTTP_11);
        peer.wire.set_unanswered(!request.body().is_end_stream());
        let (mut head, content) = request.into_parts();
        let response = match admit(&mut head, &self.limits, peer, known) {
            Ok(authority) => Either::Left(self.handler.handle(head, authority, content, peer)),
            Err(rejection) => {
                let mut response = self.handler.refuse(&head, &rejection, peer);
                // What follows the head cannot be trusted either.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                Either::Right(ready(response))
            }
        };
        Answering { response, wire: Some(Arc::clone(&peer.wire)), version }
    }
}

pin_project! {
    /// The response to one request as hyper is to have it. Written by hand since a response is large, and an `async` block
    /// moves it twice more.
    struct Answering<F> {
        #[pin]
        response: F,
        // Taken when the response is there.
        wire: Option<Arc<Wire>>,
        version: Version,
    }
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Response<B>>,
    B: Body,
{
    type Output = Result<Response<Served<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx));
        let Some(wire) = this.wire.take() else { return Poll::Pending };
        let close_delimited = *this.version == Version::HTTP_10 && !has_length(&response);
        wire.end();
        Poll::Ready(Ok(response.map(|body| Served::new(body, wire, close_delimited))))
    }
}

/// What the last request of a connection was for, in normal form: most ask for the same authority again.
type Known = Cell<Option<Arc<str>>>;

/// Bytes that wait unsent in the kernel for one client.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;

/// Keeps the kernel from queueing megabytes for a slow client: they would be memory that no limit counts, and while they
/// drain no write makes progress, so that a client that reads slowly would look like one that does not read.
fn bound_send_queue(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// hyper with our bounds, without a timer: the accept loop sees to clients that keep it waiting. Not half-open: a client
/// that closes its side is taken for gone, which is how hyper notices that a client has gone while its request is being
/// handled.
fn protocol(config: &config::Server) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .max_header_size(config.max_head)
        .max_buf_size(config.max_head.max(MOST_BUFFERED))
        .half_close(false)
        .keep_alive(true)
        .pipeline_flush(false);
    // Its default costs hyper nothing; any number that it is told, even that one, a table of so many for each request.
    if config.max_fields != HYPERS_FIELDS {
        protocol.max_headers(config.max_fields);
    }
    protocol
}

/// Brings the head of a request that passes the guard into the one shape that handlers see, and tells for which authority
/// it is. One that does not pass stays as it came.
fn admit(head: &mut Parts, limits: &Limits, peer: &Peer, known: &Known) -> Result<Arc<str>, Rejection> {
    let last = known.take();
    let Accepted { authority, as_sent, target } = guard::check(head, limits, last.as_deref())?;
    let authority = match (authority, &last) {
        (Some(authority), Some(last)) if *authority == **last => Arc::clone(last),
        (Some(authority), _) => Arc::from(authority),
        // HTTP/1.0: what was asked is whoever listens where the client has connected (RFC 9110 §7.2).
        (None, _) => Arc::from(peer.local.to_string()),
    };
    let uri = match head.uri.scheme() {
        None => None,
        Some(_) => PathAndQuery::try_from(target.into_owned()).map(Uri::from).ok(),
    };
    if !as_sent && let Ok(host) = HeaderValue::try_from(&*authority) {
        head.headers.insert(HOST, host);
    }
    if let Some(uri) = uri {
        head.uri = uri;
    }
    let same = last.filter(|last| Arc::ptr_eq(last, &authority));
    known.set(same.or_else(|| Some(Arc::clone(&authority))));
    Ok(authority)
}

fn has_length<B: Body>(response: &Response<B>) -> bool {
    response.headers().contains_key(CONTENT_LENGTH) || response.body().size_hint().exact().is_some()
}

/// An IPv4 client of a dual-stack socket shows as `::ffff:a.b.c.d`.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
