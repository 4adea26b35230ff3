//! Sending a request and waiting for the response head.

use std::error::Error as _;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::uri::Uri;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use crate::config;
use crate::upstream::body::{RequestBody, ResponseBody};
use crate::upstream::connect::{Connector, SetupError, TimedOut};
use crate::upstream::failure::Failure;
use crate::upstream::limits::SharedLimits;

/// Takes the fields of a 103 (RFC 8297) on their way to a client.
pub type OnHints = Arc<dyn Fn(StatusCode, &HeaderMap) + Send + Sync>;

/// Largest response head in bytes.
const MAX_HEAD: usize = 128 * 1024;
/// Idle connections that one thread keeps to one server.
const MAX_IDLE: usize = 256;

/// The upstreams as one serving thread sees them: with connections of its own.
pub struct Upstreams {
    each: Vec<Upstream>,
    shared: Arc<SharedLimits>,
}

struct Upstream {
    config: config::Upstream,
    client: Client<Connector, RequestBody>,
}

impl Upstreams {
    /// Makes no connection yet.
    ///
    /// # Errors
    ///
    /// Certificates cannot be read.
    pub fn new(configs: &[config::Upstream], shared: Arc<SharedLimits>) -> Result<Self, SetupError> {
        let each = configs.iter().map(Upstream::new).collect::<Result<_, _>>()?;
        Ok(Self { each, shared })
    }

    /// Sends `request` to the server of `upstream` whose turn it is, and returns the final response head. The fields
    /// go out as given; the URI needs no more than the path.
    ///
    /// # Errors
    ///
    /// See [`Failure`]. A request without content that met a connection which the origin had just closed is sent
    /// once more on another.
    pub async fn send(
        &self,
        upstream: usize,
        mut request: Request<RequestBody>,
        hints: Option<OnHints>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let of = &self.each[upstream];
        let server = self.shared.next(upstream);
        let waiting = self.shared.permit(upstream, server);
        let Ok(Some(permit)) = timeout(of.config.connect_timeout, waiting).await else {
            return Err(Failure::Busy);
        };
        of.address(&mut request, server)?;
        if let Some(host) = &of.config.host
            && let Ok(host) = host.parse()
        {
            request.headers_mut().insert(http::header::HOST, host);
        }
        let response = of.exchange(request, hints).await?;
        Ok(response.map(|content| ResponseBody::new(content, of.config.between_bytes_timeout, permit)))
    }
}

impl Upstream {
    fn new(config: &config::Upstream) -> Result<Self, SetupError> {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_timeout)
            .pool_max_idle_per_host(MAX_IDLE)
            .http1_max_buf_size(MAX_HEAD)
            .set_host(false)
            .build(Connector::new(config)?);
        Ok(Self { config: config.clone(), client })
    }

    fn address(&self, request: &mut Request<RequestBody>, server: usize) -> Result<(), Failure> {
        let server = &self.config.servers[server];
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(server.scheme.clone());
        parts.authority = Some(server.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Failure::BadResponse)?;
        Ok(())
    }

    async fn exchange(
        &self,
        request: Request<RequestBody>,
        hints: Option<OnHints>,
    ) -> Result<Response<Incoming>, Failure> {
        let copy = repeatable(&request).then(|| copy_of(&request));
        match self.once(request, hints.clone()).await {
            Err(error) if error.again => match copy {
                Some(request) => self.once(request, hints).await.map_err(|error| error.failure),
                None => Err(error.failure),
            },
            other => other.map_err(|error| error.failure),
        }
    }

    async fn once(
        &self,
        mut request: Request<RequestBody>,
        hints: Option<OnHints>,
    ) -> Result<Response<Incoming>, Broken> {
        if let Some(hints) = hints {
            hyper::ext::on_informational(&mut request, move |response| {
                if response.status() == StatusCode::from_u16(103).unwrap_or(StatusCode::CONTINUE) {
                    hints(response.status(), response.headers());
                }
            });
        }
        let mut connection = capture_connection(&mut request);
        let sending = self.client.request(request);
        let response = match timeout(self.config.first_byte_timeout, sending).await {
            Err(_) => return Err(Broken { failure: Failure::FirstByteTimeout, again: false }),
            Ok(Err(error)) => return Err(Broken::from(&error)),
            Ok(Ok(response)) => response,
        };
        self.check(response, &mut connection).map_err(|failure| Broken { failure, again: false })
    }

    /// RFC 9112 §6.3: a message with both framings is read as chunked; its connection is not trusted further.
    fn check(
        &self,
        mut response: Response<Incoming>,
        connection: &mut CaptureConnection,
    ) -> Result<Response<Incoming>, Failure> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::BadResponse);
        }
        let fields = response.headers_mut();
        if fields.contains_key(TRANSFER_ENCODING)
            && fields.remove(CONTENT_LENGTH).is_some()
            && let Some(connected) = &*connection.connection_metadata()
        {
            connected.poison();
        }
        Ok(response)
    }
}

/// A failed attempt; `again`: the origin may have closed an idle connection just when it was taken.
struct Broken {
    failure: Failure,
    again: bool,
}

impl From<&legacy::Error> for Broken {
    fn from(error: &legacy::Error) -> Self {
        if error.is_connect() {
            let timed_out = sources(error).iter().any(|source| source.is::<TimedOut>());
            let failure = if timed_out { Failure::ConnectTimeout } else { Failure::Connect };
            return Self { failure, again: false };
        }
        let hyper = sources(error).into_iter().find_map(|source| source.downcast_ref::<hyper::Error>());
        let failure = match hyper {
            Some(error) if error.is_parse() => Failure::BadResponse,
            Some(error) if error.is_user() => Failure::RequestBody,
            _ => Failure::Reset,
        };
        // Whether the connection had served before is not told; sending a safe request once more does no harm.
        Self { failure, again: failure == Failure::Reset }
    }
}

fn sources(error: &legacy::Error) -> Vec<&(dyn std::error::Error + 'static)> {
    let mut sources = Vec::new();
    let mut next = error.source();
    while let Some(source) = next {
        sources.push(source);
        next = source.source();
    }
    sources
}

fn repeatable(request: &Request<RequestBody>) -> bool {
    (request.method() == Method::GET || request.method() == Method::HEAD) && request.body().is_end_stream()
}

fn copy_of(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}
