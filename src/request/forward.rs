//! Request fields on their way to the origin.

use std::net::IpAddr;
use std::sync::Arc;

use http::Version;
use http::header::{
    CACHE_CONTROL, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, PRAGMA, TE, VIA,
};

use crate::policy::precondition::is_conditional;
use crate::request::assemble::Asked;
use crate::request::members;
use crate::request::receive::Routed;
use crate::request::worker::Engine;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Room for what this hop adds, and at least so much in all: hyper reads the answer into the same map, which then goes on to
/// the client with what this hop adds to that.
const ADDED: usize = 8;
const ROOM: usize = 24;

/// What a hop is that a request has come over, and where it goes from here.
#[derive(Clone, Copy)]
pub(crate) struct Hop {
    /// Who asks; `None`: nobody in particular.
    peer: Option<IpAddr>,
    /// In which version.
    version: Version,
    /// Index into the configured upstreams.
    pub(crate) upstream: usize,
}

impl Hop {
    pub(crate) fn of(request: &Routed) -> Self {
        let received = &request.received;
        Self { peer: received.client.peer(), version: received.version, upstream: request.upstream }
    }
}

/// The fields of a request that is passed on for one client: its own, and ours about the hop.
pub(crate) fn passed(engine: &Engine, request: &Routed) -> HeaderMap {
    let received = &request.received;
    // The server answers `100-continue` itself, when the content is first asked for (RFC 9110 §10.1.1).
    let mut fields = copied(&received.fields, |name| *name == EXPECT);
    if received.wants_trailers {
        fields.insert(TE, HeaderValue::from_static("trailers"));
    }
    let told = Told { scheme: received.scheme, authority: &received.authority };
    add_hop(engine, Hop::of(request), &told, &mut fields);
    fields
}

/// The fields of a request whose answer may be shared: without what only concerns this client's copy, and with what
/// the answer is known to be selected by in the form in which that is compared, since the answer is for everybody
/// whose fields are equal in that form. Preconditions and ranges are answered for each client from the shared response.
pub(crate) fn shared(engine: &Engine, asked: &Asked, hop: Hop) -> HeaderMap {
    let mut fields = copied(&asked.fields, is_of_one_client);
    let variant = engine.lessons.variant(&asked.key, &asked.fields);
    if !variant.is_of_all() {
        variant.write_to(&mut fields);
        // What is left out stays so, even if the answer says that it is selected by it.
        for name in variant.fields().iter().filter(|name| is_of_one_client(name)) {
            fields.remove(name);
        }
    }
    let told = Told { scheme: asked.scheme, authority: &asked.authority };
    add_hop(engine, hop, &told, &mut fields);
    fields
}

fn is_of_one_client(name: &HeaderName) -> bool {
    matches!(*name, CACHE_CONTROL | PRAGMA | EXPECT) || is_conditional(name)
}

/// A copy with room for what this hop adds, and without some of the fields.
fn copied(fields: &HeaderMap, is_left_out: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut copy = HeaderMap::with_capacity((fields.len() + ADDED).max(ROOM));
    for (name, value) in fields.iter().filter(|(name, _)| !is_left_out(name)) {
        copy.append(name, value.clone());
    }
    copy
}

/// What is told about a hop, of a request as it was received.
struct Told<'a> {
    scheme: &'static str,
    authority: &'a Arc<str>,
}

/// Adds what tells about the hop that ends here to a copy of the client's fields.
fn add_hop(engine: &Engine, hop: Hop, told: &Told<'_>, fields: &mut HeaderMap) {
    let sent = fields.get(HOST).filter(|host| host.as_bytes() == told.authority.as_bytes()).cloned();
    let own = &engine.hop.hosts[hop.upstream];
    // As a rule the client has sent just the authority, and that is what the origin is asked for.
    let is_settled = sent.is_some() && own.is_none();
    let authority = sent.or_else(|| HeaderValue::from_str(told.authority).ok());
    if !is_settled && let Some(host) = own.as_ref().or(authority.as_ref()) {
        fields.insert(HOST, host.clone());
    }
    let members = members::of(hop.peer, told.scheme, told.authority);
    if let Some(member) = members.forwarded_for {
        fields.append(X_FORWARDED_FOR, member);
    }
    fields.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(told.scheme));
    if let Some(authority) = authority {
        fields.entry(X_FORWARDED_HOST).or_insert(authority);
    }
    if let Some(member) = members.forwarded {
        fields.append(FORWARDED, member);
    }
    fields.append(VIA, engine.via(hop.version));
    if let Some(instance) = &engine.hop.instance {
        fields.append(CDN_LOOP, instance.clone());
    }
}
