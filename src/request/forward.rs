//! Request fields on their way to the origin.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use http::header::{
    CACHE_CONTROL, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, PRAGMA, TE, VIA,
};

use crate::policy::precondition::strip_conditions;
use crate::request::notable::Notable;
use crate::request::receive::{Received, Routed};
use crate::request::worker::Engine;

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The fields of a request that is passed on for one client: its own, and ours about the hop.
pub(crate) fn passed(engine: &Engine, request: &Routed) -> HeaderMap {
    let received = &request.received;
    let mut fields = with_room(&received.fields);
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
    let mut fields = with_room(&received.fields);
    // First: what is stripped stays so, even if the answer says that it is selected by it.
    engine.lessons.variant(request).write_to(&mut fields);
    if received.notable.has(Notable::CONDITION | Notable::RANGE) {
        strip_conditions(&mut fields);
    }
    if received.notable.has(Notable::DIRECTIVE) {
        fields.remove(CACHE_CONTROL);
        fields.remove(PRAGMA);
    }
    fields.remove(EXPECT);
    add_hop(engine, request, &mut fields);
    fields
}

/// A copy with room for what this hop adds.
fn with_room(fields: &HeaderMap) -> HeaderMap {
    let mut copy = fields.clone();
    copy.reserve(8);
    copy
}

/// Adds what tells about the hop that ends here.
fn add_hop(engine: &Engine, request: &Routed, fields: &mut HeaderMap) {
    let received = &request.received;
    let peer = received.client.peer().map(Address::of);
    let authority = authority(received);
    match (&engine.hop.hosts[request.upstream], &authority) {
        (Some(host), _) | (None, Some(host)) => drop(fields.insert(HOST, host.clone())),
        (None, None) => {}
    }
    if let Some(peer) = &peer {
        extend_list(fields, X_FORWARDED_FOR, peer.bytes());
    }
    fields.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(received.scheme));
    if let Some(authority) = authority {
        fields.entry(X_FORWARDED_HOST).or_insert(authority);
    }
    extend_list(fields, FORWARDED, &forwarded(peer.as_ref(), received));
    fields.append(VIA, engine.via(received.version));
    if let Some(instance) = &engine.hop.instance {
        fields.append(CDN_LOOP, instance.clone());
    }
}

/// The authority as a field value: as a rule it came as one.
fn authority(received: &Received) -> Option<HeaderValue> {
    match received.fields.get(HOST) {
        Some(host) if host.as_bytes() == received.authority.as_bytes() => Some(host.clone()),
        _ => HeaderValue::from_str(&received.authority).ok(),
    }
}

/// RFC 7239 §4: an IPv6 address stands in brackets and quotes, and so does a host with a port. §6.2: who asks for
/// nobody in particular calls that unknown.
fn forwarded(peer: Option<&Address>, received: &Received) -> Vec<u8> {
    let (open, address, close): (&[u8], &[u8], &[u8]) = match peer {
        Some(peer) if peer.is_v6 => (b"\"[", peer.bytes(), b"]\""),
        Some(peer) => (b"", peer.bytes(), b""),
        None => (b"", b"unknown", b""),
    };
    let host: [&[u8]; 2] = [b";host=\"", received.authority.as_bytes()];
    let scheme: [&[u8]; 2] = [b"\";proto=", received.scheme.as_bytes()];
    [b"for=", open, address, close, host[0], host[1], scheme[0], scheme[1]].concat()
}

/// An address in letters, on the stack: it is written for every request.
struct Address {
    letters: [u8; Address::LONGEST],
    len: usize,
    is_v6: bool,
}

impl Address {
    /// Of an IPv6 address that ends with an IPv4 one.
    const LONGEST: usize = 45;

    fn of(address: IpAddr) -> Self {
        let mut letters = [0; Self::LONGEST];
        let mut rest = &mut letters[..];
        // It has room for any address.
        let _ = match address {
            IpAddr::V4(v4) => write_v4(&mut rest, v4),
            IpAddr::V6(v6) => write!(rest, "{v6}"),
        };
        let len = Self::LONGEST - rest.len();
        Self { letters, len, is_v6: address.is_ipv6() }
    }

    fn bytes(&self) -> &[u8] {
        &self.letters[..self.len]
    }
}

fn write_v4(rest: &mut &mut [u8], address: Ipv4Addr) -> io::Result<()> {
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            rest.write_all(b".")?;
        }
        rest.write_all(itoa::Buffer::new().format(octet).as_bytes())?;
    }
    Ok(())
}

/// Appends a member to a list field, in a line of its own.
fn extend_list(fields: &mut HeaderMap, name: HeaderName, member: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(member) {
        fields.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255";
        for text in ["0.0.0.0", "127.0.0.1", "255.255.255.255", "::1", "2001:db8::7", longest] {
            let address: IpAddr = text.parse().unwrap();
            let written = Address::of(address);
            assert_eq!(written.bytes(), address.to_string().as_bytes());
            assert_eq!(written.is_v6, address.is_ipv6());
        }
    }
}
