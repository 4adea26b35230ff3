//! Request fields on their way to the origin.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{
    CACHE_CONTROL, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, PRAGMA, TE, VIA,
};

use crate::policy::precondition::strip_conditions;
use crate::request::receive::{Received, Routed};
use crate::request::worker::Engine;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The fields of a request that is passed on for one client: its own, and ours about the hop.
pub(crate) fn passed(engine: &Engine, request: &Routed) -> HeaderMap {
    let received = &request.received;
    let mut fields = received.fields.clone();
    // The server answers `100-continue` itself, when the content is first asked for (RFC 9110 §10.1.1).
    fields.remove(EXPECT);
    if received.wants_trailers {
        fields.insert(TE, HeaderValue::from_static("trailers"));
    }
    add_hop(engine, request, &mut fields);
    fields
}

/// The fields of a request whose answer may be shared: without what only concerns this client's copy, and with what
/// the answer is known to be selected by in the form in which that is compared, since the answer is for everybody
/// whose fields are equal in that form. Preconditions and ranges are answered for each client from the shared response.
pub(crate) fn shared(engine: &Engine, request: &Routed) -> HeaderMap {
    let received = &request.received;
    let mut fields = received.fields.clone();
    // First: what is stripped stays so, even if the answer says that it is selected by it.
    engine.lessons.variant(request).write_to(&mut fields);
    strip_conditions(&mut fields);
    for name in [EXPECT, CACHE_CONTROL, PRAGMA] {
        fields.remove(name);
    }
    add_hop(engine, request, &mut fields);
    fields
}

fn add_hop(engine: &Engine, request: &Routed, fields: &mut HeaderMap) {
    let received = &request.received;
    let peer = received.client.peer();
    let host = engine.config.upstreams[request.upstream].host.as_deref();
    set(fields, HOST, host.unwrap_or(&received.authority));
    if let Some(peer) = peer {
        extend_list(fields, X_FORWARDED_FOR, &peer.to_string());
    }
    for (name, value) in [(X_FORWARDED_PROTO, received.scheme), (X_FORWARDED_HOST, &received.authority)] {
        if !fields.contains_key(&name) {
            set(fields, name, value);
        }
    }
    extend_list(fields, FORWARDED, &forwarded(peer, received));
    fields.append(VIA, engine.via(received.version));
    if let Ok(instance) = HeaderValue::from_str(&engine.config.server.instance) {
        fields.append(CDN_LOOP, instance);
    }
}

/// RFC 7239 §4: an IPv6 address stands in brackets and quotes, and so does a host with a port. §6.2: who asks for
/// nobody in particular calls that unknown.
fn forwarded(peer: Option<IpAddr>, received: &Received) -> String {
    let mut element = String::with_capacity(64);
    // Writing to a String cannot fail.
    let _ = match peer {
        Some(IpAddr::V4(address)) => write!(element, "for={address}"),
        Some(IpAddr::V6(address)) => write!(element, "for=\"[{address}]\""),
        None => write!(element, "for=unknown"),
    };
    let _ = write!(element, ";host=\"{}\";proto={}", received.authority, received.scheme);
    element
}

fn set(fields: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        fields.insert(name, value);
    }
}

/// Appends a member to a list field, in its last line.
fn extend_list(fields: &mut HeaderMap, name: HeaderName, member: &str) {
    if let Ok(value) = HeaderValue::from_str(member) {
        fields.append(name, value);
    }
}
