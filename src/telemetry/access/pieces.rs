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
        for place in [100, 10, 1] {
            if octet >= place || place == 1 {
                text[len] = b'0' + octet / place % 10;
                len += 1;
            }
        }
        len += 1;
    }
    out.extend_from_slice(&text[..len - 1]);
}

pub(super) fn version(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_09 => b"HTTP/0.9",
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_11 => b"HTTP/1.1",
        Version::HTTP_2 => b"HTTP/2.0",
        Version::HTTP_3 => b"HTTP/3.0",
        _ => b"HTTP/?",
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        let mut out = Vec::new();
        for ip in [[0, 0, 0, 0], [255, 10, 100, 1], [9, 99, 101, 255], [255; 4]].map(Ipv4Addr::from) {
            out.clear();
            address(ip.into(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), ip.to_string());
            out.clear();
            address(ip.to_ipv6_mapped().into(), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), ip.to_ipv6_mapped().to_string());
        }
        out.clear();
        address(Ipv6Addr::LOCALHOST.into(), &mut out);
        assert_eq!(out, b"::1");
    }
}
