//! What this hop tells an origin about who asks: its members of `X-Forwarded-For` and `Forwarded`.
//!
//! They are the same for all requests of one client for one authority, so each thread remembers some that it has rendered. A
//! connection has one handle of the authority, as long as it asks for that: by the handle they are found.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::header::HeaderValue;

use crate::request::value;

/// A prime: the addresses of handles have powers of two in common.
const REMEMBERED: usize = 61;
/// Longer authorities are not remembered, in bytes: what is takes less than 32 KiB for each thread, whatever clients send.
const LONGEST: usize = 64;

/// The members of a hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Members {
    /// `None`: nobody in particular asks.
    pub(super) forwarded_for: Option<HeaderValue>,
    /// `None`: an authority that is no field value.
    pub(super) forwarded: Option<HeaderValue>,
}

/// Of a request by `peer` for `authority`, by `scheme`.
pub(super) fn of(peer: Option<IpAddr>, scheme: &'static str, authority: &Arc<str>) -> Members {
    thread_local! {
        static KNOWN: RefCell<[Option<Known>; REMEMBERED]> = const { RefCell::new([const { None }; REMEMBERED]) };
    }
    if authority.len() > LONGEST {
        return Members::rendered(peer, scheme, authority);
    }
    KNOWN.with_borrow_mut(|known| {
        let slot = &mut known[Arc::as_ptr(authority).addr() % REMEMBERED];
        match slot {
            Some(known) if known.are_of(peer, scheme, authority) => known.members.clone(),
            _ => slot.insert(Known::new(peer, scheme, authority)).members.clone(),
        }
    })
}

/// Members, and what they were rendered for.
struct Known {
    peer: Option<IpAddr>,
    scheme: &'static str,
    authority: Arc<str>,
    members: Members,
}

impl Known {
    fn new(peer: Option<IpAddr>, scheme: &'static str, authority: &Arc<str>) -> Self {
        let members = Members::rendered(peer, scheme, authority);
        Self { peer, scheme, authority: Arc::clone(authority), members }
    }

    fn are_of(&self, peer: Option<IpAddr>, scheme: &'static str, authority: &Arc<str>) -> bool {
        Arc::ptr_eq(&self.authority, authority) && self.peer == peer && self.scheme == scheme
    }
}

impl Members {
    fn rendered(peer: Option<IpAddr>, scheme: &str, authority: &str) -> Self {
        let peer = peer.map(Address::of);
        Self {
            forwarded_for: peer.as_ref().and_then(|peer| HeaderValue::from_bytes(peer.bytes()).ok()),
            forwarded: value::rendered(|out| forwarded(peer.as_ref(), scheme, authority, out)).ok(),
        }
    }
}

/// RFC 7239 §4: an IPv6 address stands in brackets and quotes, and so does a host with a port. §6.2: who asks for
/// nobody in particular calls that unknown.
fn forwarded(peer: Option<&Address>, scheme: &str, authority: &str, out: &mut Vec<u8>) {
    let (open, address, close): (&[u8], &[u8], &[u8]) = match peer {
        Some(peer) if peer.is_v6 => (b"\"[", peer.bytes(), b"]\""),
        Some(peer) => (b"", peer.bytes(), b""),
        None => (b"", b"unknown", b""),
    };
    let (host, scheme) = (authority.as_bytes(), scheme.as_bytes());
    let parts: [&[u8]; 8] = [b"for=", open, address, close, b";host=\"", host, b"\";proto=", scheme];
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// An address in letters, on the stack.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peer: &str, scheme: &'static str, authority: &Arc<str>) -> String {
        let members = of(peer.parse().ok(), scheme, authority);
        format!("{:?} {:?}", members.forwarded_for, members.forwarded)
    }

    #[test]
    fn what_is_remembered_is_told_to_nobody_else() {
        let authorities: Vec<Arc<str>> = (0..200).map(|i| format!("{i}.test").into()).collect();
        for _ in 0..2 {
            for (authority, peer) in
                authorities.iter().flat_map(|a| ["10.0.0.1", "2001:db8::7", "-"].map(|p| (a, p)))
            {
                for scheme in ["http", "https"] {
                    let rendered = Members::rendered(peer.parse().ok(), scheme, authority);
                    assert_eq!(of(peer.parse().ok(), scheme, authority), rendered);
                    assert_eq!(of(peer.parse().ok(), scheme, authority), rendered);
                }
            }
        }
        let long: Arc<str> = "x".repeat(LONGEST + 1).into();
        assert_eq!(of(None, "http", &long), Members::rendered(None, "http", &long));
    }

    #[test]
    fn addresses_stand_as_the_rfc_has_them() {
        let authority = Arc::from("a.test:81");
        let v4 = r#"Some("10.0.0.1") Some("for=10.0.0.1;host=\"a.test:81\";proto=http")"#;
        assert_eq!(told("10.0.0.1", "http", &authority), v4);
        let v6 = r#"Some("::1") Some("for=\"[::1]\";host=\"a.test:81\";proto=https")"#;
        assert_eq!(told("::1", "https", &authority), v6);
        assert_eq!(told("", "http", &authority), r#"None Some("for=unknown;host=\"a.test:81\";proto=http")"#);
    }

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
