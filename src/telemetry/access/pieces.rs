//! What lines of both formats are made of. Nothing here goes through `fmt`, but for addresses of version 6: lines are
//! rendered on serving threads.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use http::Version;

pub(super) const MAX_HOST: usize = 256;
pub(super) const MAX_TARGET: usize = 2048;
pub(super) const MAX_FIELD: usize = 512;

/// Appends by `escape` what a client sent, but at most `max` bytes of it, so that what waits stays small. What was too long
/// ends in `...`.
pub(super) fn bounded(bytes: &[u8], max: usize, escape: impl Fn(&[u8], &mut Vec<u8>), out: &mut Vec<u8>) {
    match bytes.get(..max) {
        Some(kept) if bytes.len() > max => {
            escape(kept, out);
            out.extend_from_slice(b"...");
        }
        _ => escape(bytes, out),
    }
}

pub(super) fn number(number: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Whole microseconds, for 584,000 years.
pub(super) fn micros(duration: Duration, out: &mut Vec<u8>) {
    let seconds = duration.as_secs().saturating_mul(1_000_000);
    number(seconds.saturating_add(duration.subsec_micros().into()), out);
}

pub(super) fn address(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => dotted(ip.octets(), out),
        IpAddr::V6(ip) => {
            let written = write!(out, "{ip}");
            debug_assert!(written.is_ok(), "writing to a Vec does not fail");
        }
    }
}

/// In one piece: four numbers and three dots would be seven.
fn dotted(octets: [u8; 4], out: &mut Vec<u8>) {
    let (mut text, mut len) = ([b'.'; 16], 0);
    for octet in octets {
        let Octet { digits, count } = OCTETS[usize::from(octet)];
        text[len..len + digits.len()].copy_from_slice(&digits);
        len += count + 1;
    }
    // A copy of a known length needs no call; the last dot and what was not needed go again.
    let end = out.len() + len - 1;
    out.extend_from_slice(&text);
    out.truncate(end);
}

/// A part of an address of version 4, in decimal.
#[derive(Clone, Copy)]
struct Octet {
    /// After the first `count` they are dots.
    digits: [u8; 3],
    count: usize,
}

static OCTETS: [Octet; 256] = {
    let mut all = [Octet::new(0); 256];
    let mut octet = 1;
    while octet < all.len() {
        all[octet] = Octet::new(octet as u8);
        octet += 1;
    }
    all
};

impl Octet {
    const fn new(octet: u8) -> Self {
        let [a, b, c] = [b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10];
        match octet {
            0..10 => Self { digits: [c, b'.', b'.'], count: 1 },
            10..100 => Self { digits: [b, c, b'.'], count: 2 },
            100.. => Self { digits: [a, b, c], count: 3 },
        }
    }
}

pub(super) fn version(version: Version) -> &'static [u8; 8] {
    match version {
        Version::HTTP_09 => b"HTTP/0.9",
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_11 => b"HTTP/1.1",
        Version::HTTP_2 => b"HTTP/2.0",
        Version::HTTP_3 => b"HTTP/3.0",
        _ => b"HTTP/?.?",
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        let all = (0..=255).map(|octet| [octet, 255 - octet, octet / 26, octet]).map(Ipv4Addr::from);
        let short_and_long = [[0; 4], [255; 4]].map(Ipv4Addr::from);
        for ip in all.chain(short_and_long) {
            for ip in [IpAddr::from(ip), ip.to_ipv6_mapped().into()] {
                let mut out = b"before ".to_vec();
                address(ip, &mut out);
                assert_eq!(String::from_utf8_lossy(&out), format!("before {ip}"));
            }
        }
        let mut out = Vec::new();
        address(Ipv6Addr::LOCALHOST.into(), &mut out);
        assert_eq!(out, b"::1");
    }
}
