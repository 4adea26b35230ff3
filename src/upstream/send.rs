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
use crate::upstream::connect::{Connector, Served, SetupError, TimedOut};
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
        let connection = capture_connection(&mut request);
        let sending = self.client.request(request);
        let response = match timeout(self.config.first_byte_timeout, sending).await {
            Err(_) => return Err(Broken { failure: Failure::FirstByteTimeout, again: false }),
            Ok(Err(error)) => return Err(Broken::new(&error, &connection)),
            Ok(Ok(response)) => response,
        };
        if let Some(served) = served(&connection) {
            served.set();
        }
        check(response, &connection).map_err(|failure| Broken { failure, again: false })
    }
}

/// Whether the connection that was used had served before.
fn served(connection: &CaptureConnection) -> Option<Served> {
    let mut extras = http::Extensions::new();
    connection.connection_metadata().as_ref()?.get_extras(&mut extras);
    extras.remove()
}

/// What hyper lets through and a proxy must not pass on.
fn check(
    mut response: Response<Incoming>,
    connection: &CaptureConnection,
) -> Result<Response<Incoming>, Failure> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::BadResponse);
    }
    let fields = response.headers_mut();
    let mut codings = fields.get_all(TRANSFER_ENCODING).iter();
    // Any other coding was never asked for: its bytes would pass for the content (RFC 9112 §7).
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || coding_is_compression(coding.as_bytes()))
    {
        return Err(Failure::BadResponse);
    }
    // RFC 9112 §6.3: a message with both framings is read as chunked; its connection is not trusted further.

    if fields.contains_key(TRANSFER_ENCODING)
        && fields.remove(CONTENT_LENGTH).is_some()
        && let Some(connected) = &*connection.connection_metadata()
    {
        connected.poison();
    }
    Ok(response)
}

/// A registered coding beside `chunked` (RFC 9112 §7.2). An unknown word alone is not: the content then ends with the
/// connection.
fn coding_is_compression(codings: &[u8]) -> bool {
    codings.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|coding| {
        ["gzip", "x-gzip", "compress", "x-compress", "deflate"]
            .iter()
            .any(|known| coding.eq_ignore_ascii_case(known.as_bytes()))
    })
}

/// A failed attempt; `again`: the origin may have closed an idle connection just when it was taken.
struct Broken {
    failure: Failure,
    again: bool,
}

impl Broken {
    fn new(error: &legacy::Error, connection: &CaptureConnection) -> Self {
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
        let again = failure == Failure::Reset && served(connection).is_some_and(|served| served.get());
        Self { failure, again }
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
