//! The first two stages: what was received, and what it asks for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue, MAX_FORWARDS, RANGE, TE};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::clock::Moment;
use crate::config;
use crate::key::CacheKey;
use crate::policy::directives::RequestDirectives;
use crate::policy::fields::strip_hop_by_hop;
use crate::policy::{ClientCacheControl, Rules};
use crate::request::error::{self, Refusal};
use crate::request::fields::Fields;
use crate::request::notable::{self, Notable};
use crate::request::worker::Engine;
use crate::route;
use crate::telemetry::{Asked, Line};
use crate::upstream::OnHints;
use crate::validity::Sequence;

/// A request head that the server found acceptable.
pub struct Head {
    /// As sent.
    pub method: Method,
    /// The effective authority: lower case, default port dropped.
    pub authority: Arc<str>,
    /// Origin form, bytes as sent; `*` for `OPTIONS *`.
    pub target: PathAndQuery,
    /// As sent.
    pub version: Version,
    /// As sent.
    pub fields: HeaderMap,
}

/// Who asks.
pub struct Client {
    /// The socket's peer.
    pub addr: SocketAddr,
    /// `http` or `https`, of the listener.
    pub scheme: &'static str,
    /// The way for early hints, once an origin is asked that may send some; `None` where the client cannot understand them.
    pub(crate) hinted: Option<Arc<dyn Hinted>>,
}

impl Client {
    /// One who is not hinted.
    pub fn new(addr: SocketAddr, scheme: &'static str) -> Self {
        Self { addr, scheme, hinted: None }
    }

    /// Takes early hints that come for the request now being handled.
    pub(crate) fn on_hints(&self) -> Option<OnHints> {
        self.hinted.as_ref().map(|client| client.on_hints())
    }
}

/// One who may be told early hints.
pub trait Hinted: Send + Sync {
    /// Takes those for the request now being handled. Asked for only when a request goes to an origin.
    fn on_hints(&self) -> OnHints;
}

impl Client {
    /// Larder itself, when it asks for nobody in particular.
    pub(crate) fn ourselves(scheme: &'static str) -> Self {
        Self::new(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), scheme)
    }

    /// The peer's address, if there is a peer: no socket's is the unspecified one.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        Some(self.addr.ip()).filter(|ip| !ip.is_unspecified())
    }
}

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// A request whose hop ends here: numbered, and freed of the fields of that hop.
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) scheme: &'static str,
    pub(crate) authority: Arc<str>,
    pub(crate) target: PathAndQuery,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
    /// What there is in `fields`, and was of what is stripped off them.
    pub(crate) notable: Notable,
    /// Taken when it is passed on.
    pub(crate) content: Option<Incoming>,
    pub(crate) client: Client,
    /// The client takes trailers.
    pub(crate) wants_trailers: bool,
    /// The last purge that was published when the head had been parsed: this request must not be answered with
    /// content that any purge up to here has killed.
    pub(crate) arrived: Sequence,
    pub(crate) at: Moment,
    /// For the access log.
    pub(crate) line: Option<Box<Line>>,
    /// Why the request goes no further, if it does not.
    pub(crate) refusal: Option<Box<Refusal>>,
}

impl Received {
    // Inlined, it would be put together elsewhere and moved.
    #[inline(never)]
    pub(crate) fn new(engine: &Engine, head: Head, content: Incoming, client: Client) -> Self {
        let arrived = engine.log.published();
        let at = engine.clock.moment();
        let line = line(engine, &head, &client, at);
        let Head { method, authority, target, version, mut fields } = head;
        let trusted = engine.trusts(client.addr.ip());
        let scheme = if trusted { forwarded_scheme(&fields).unwrap_or(client.scheme) } else { client.scheme };
        let notable = Notable::of(&fields);
        let refusal = refuse(engine, &method, notable, &mut fields).map(Box::new);
        let mut wants_trailers = false;
        if notable.has(Notable::CONNECTION) {
            wants_trailers = names_trailers(&fields);
            strip_hop_by_hop(&mut fields);
        }
        if notable.has(Notable::CLAIM) && !trusted {
            notable::strip_claims(&mut fields);
        }
        Self {
            method,
            scheme,
            authority,
            target,
            version,
            fields: fields.into(),
            notable,
            content: Some(content),
            client,
            wants_trailers,
            arrived,
            at,
            line,
            refusal,
        }
    }

    /// The route that takes it, or why it ends here.
    pub(crate) fn route<'e>(&mut self, engine: &'e Engine) -> Result<&'e config::Route, Refusal> {
        if let Some(refusal) = self.refusal.take() {
            return Err(*refusal);
        }
        route::select(&engine.config, &self.authority, self.target.path(), &self.method)
            .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, error::NO_ROUTE))
    }

    /// The path and query, as sent.
    pub(crate) fn path_and_query(&self) -> &str {
        self.target.as_str()
    }
}

/// What the access log wants to know of a request that came just now, `at`, if there is one.
pub(crate) fn line(engine: &Engine, head: &Head, client: &Client, at: Moment) -> Option<Box<Line>> {
    let log = engine.telemetry.access_log()?;
    Some(log.line(&Asked {
        client: client.addr,
        time: engine.clock.wall_at(at),
        method: &head.method,
        host: head.authority.as_bytes(),
        target: head.target.as_str().as_bytes(),
        version: head.version,
        fields: &head.fields,
    }))
}

/// A request that ends here, with what its record needs.
pub(crate) struct Refused {
    pub(crate) method: Method,
    pub(crate) at: Moment,
    pub(crate) refusal: Refusal,
    pub(crate) line: Option<Box<Line>>,
}

impl Refused {
    pub(crate) fn new(received: Received, refusal: Refusal) -> Self {
        Self { method: received.method, at: received.at, line: received.line, refusal }
    }
}

/// Loops (RFC 8586) and the end of the road (RFC 9110 §7.6.2).
fn refuse(engine: &Engine, method: &Method, notable: Notable, fields: &mut HeaderMap) -> Option<Refusal> {
    if notable.has(Notable::LOOP) && has_passed(engine, fields) {
        return Some(Refusal::new(StatusCode::LOOP_DETECTED, error::LOOP));
    }
    if *method != Method::OPTIONS && *method != Method::TRACE {
        return None;
    }
    let hops: u32 = fields.get(MAX_FORWARDS)?.to_str().ok()?.parse().ok()?;
    match hops.checked_sub(1) {
        None if *method == Method::TRACE => Some(Refusal::trace(fields)),
        None => Some(Refusal::options()),
        Some(left) => {
            fields.insert(MAX_FORWARDS, HeaderValue::from(left));
            None
        }
    }
}

/// This instance is among the members of `CDN-Loop`.
fn has_passed(engine: &Engine, fields: &HeaderMap) -> bool {
    let instance = engine.config.server.instance.as_bytes();
    let mut members =
        fields.get_all(&CDN_LOOP).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    members
        .any(|member| member.split(|byte| *byte == b';').next().is_some_and(|id| id.trim_ascii() == instance))
}

/// RFC 9110 §10.1.4: `trailers` among the members of `TE`.
fn names_trailers(fields: &HeaderMap) -> bool {
    let members = fields.get_all(TE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    members.into_iter().any(|member| member.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

fn forwarded_scheme(fields: &HeaderMap) -> Option<&'static str> {
    let value = fields.get(&X_FORWARDED_PROTO)?.as_bytes();
    if value.eq_ignore_ascii_case(b"https") {
        Some("https")
    } else if value.eq_ignore_ascii_case(b"http") {
        Some("http")
    } else {
        None
    }
}

/// A request that does not end here, and of which it is known by which rules, from which upstream and under which key it is answered.
pub(crate) struct Routed {
    pub(crate) received: Received,
    /// Index into the configured routes.
    pub(crate) route: usize,
    pub(crate) rules: Arc<Rules>,
    pub(crate) upstream: usize,
    pub(crate) key: CacheKey,
    /// What the client's `Cache-Control` may say under the route's rules.
    pub(crate) directives: RequestDirectives,
}

impl Routed {
    /// `found` is the route that [`Received::route`] has told.
    // Or else what was received, which is large, is moved on its way.
    #[inline(always)]
    pub(crate) fn new(engine: &Engine, received: Received, found: &config::Route) -> Self {
        let key = CacheKey::of(received.scheme, &received.authority, received.path_and_query());
        let directives = if received.notable.has(Notable::DIRECTIVE) {
            RequestDirectives::parse(&received.fields).under(found.rules.client_cache_control)
        } else {
            RequestDirectives::default()
        };
        let route = index_of(&engine.config.routes, found);
        Self { route, rules: found.rules.clone(), upstream: found.upstream, key, directives, received }
    }

    /// Why this request goes to the origin as it is, whatever the store holds.
    pub(crate) fn passes(&self) -> Option<&'static str> {
        let method = &self.received.method;
        if *method != Method::GET && *method != Method::HEAD {
            Some(error::METHOD)
        } else if !self.rules.cache {
            Some(error::CACHE_OFF)
        } else if self.received.content.as_ref().is_some_and(|content| !content.is_end_stream()) {
            Some(error::REQUEST_CONTENT)
        } else if self.rules.client_cache_control == ClientCacheControl::Honor && self.directives.no_store() {
            Some(error::REQUEST_NO_STORE)
        } else {
            None
        }
    }

    pub(crate) fn is_head(&self) -> bool {
        self.received.method == Method::HEAD
    }

    pub(crate) fn range(&self) -> Option<&HeaderValue> {
        let may_have = self.received.notable.has(Notable::RANGE) && !self.is_head();
        if may_have { self.received.fields.get(RANGE) } else { None }
    }
}

fn index_of(routes: &[config::Route], route: &config::Route) -> usize {
    routes.iter().position(|candidate| std::ptr::eq(candidate, route)).unwrap_or(0)
}
