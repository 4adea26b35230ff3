//! The one form of an authority (RFC 9110 §7.2, RFC 3986 §3.2) that keys are made of, and that purges are compared
//! with.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// `uri-host [ ":" port ]` in its one normal form: lower case, without `default_port`, without an empty port. `None` if
/// it is anything else; user information is never allowed (RFC 9110 §4.2.4), nor is an empty host (§4.2.1).
///
/// What is normal already, as nearly everything is, is returned as it is.
pub fn normalize(authority: &[u8], default_port: u16) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(authority).ok()?;
    if is_plain(text) {
        return Some(Cow::Borrowed(text));
    }
    let (host, port) = split(text)?;
    if host.is_empty() || !is_host(host) {
        return None;
    }
    let port = match port {
        None => return Some(lower(host)),
        Some("") => None,
        Some(digits) => Some(parse_port(digits)?).filter(|port| *port != default_port),
    };
    Some(match port {
        None => lower(host),
        Some(port) if is_normal(text, host, port) => Cow::Borrowed(text),
        Some(port) => Cow::Owned(format!("{}:{port}", host.to_ascii_lowercase())),
    })
}

/// Whether it is one of the names that nearly all are, which have one form only.
fn is_plain(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

/// Host and, if there is a colon after it, port. The colons of an IPv6 address stand in brackets.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    let after_host = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(after_host);
    if rest.is_empty() {
        return Some((host, None));
    }
    Some((host, Some(rest.strip_prefix(':')?)))
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let mut bytes = host.bytes();
    while let Some(byte) = bytes.next() {
        let valid = match byte {
            b'%' => {
                let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
                hex(bytes.next()) && hex(bytes.next())
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !valid {
            return false;
        }
    }
    true
}

/// `*DIGIT`, which may have leading zeros.
fn parse_port(digits: &str) -> Option<u16> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Whether `host:port` as given is as it would be written.
fn is_normal(text: &str, host: &str, port: u16) -> bool {
    !host.bytes().any(|byte| byte.is_ascii_uppercase())
        && text.len() - host.len() - 1 == port.checked_ilog10().unwrap_or(0) as usize + 1
}

fn lower(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}
