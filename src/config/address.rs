//! Listening addresses, networks and origins.

use std::net::{IpAddr, SocketAddr};

use http::Uri;
use http::uri::{Authority, Scheme};
use ipnet::IpNet;

use super::Origin;
use super::units::Wrong;

/// Reads an address to listen on: an IP address and a port.
pub fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let right = if let Ok(ip) = text.parse::<IpAddr>() {
        format!("add a port: \"{}\"", SocketAddr::new(ip, 8080))
    } else if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        format!("write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for every interface")
    } else if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok()) {
        format!("write \"127.0.0.1:{port}\"")
    } else {
        "write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned()
    };
    Err(Wrong::new(format!("`{text}` is not an address to listen on"), right))
}

/// Reads a network such as `10.0.0.0/8`; an address alone is a network of one.
pub(super) fn network(text: &str) -> Result<IpNet, Wrong> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse::<IpNet>().map(|network| network.trunc())).map_err(|_| {
        Wrong::new(
            format!("`{text}` is not a network"),
            "write an address and a prefix length, such as \"10.0.0.0/8\"",
        )
    })
}

/// Reads an origin: scheme, host and perhaps a port, nothing else. The host is lowered; a final `/` is let pass.
pub fn origin(text: &str) -> Result<Origin, Wrong> {
    let wrong = |what: &str, right: String| Err(Wrong::new(format!("`{text}` {what}"), right));
    let example = || "write it like \"http://127.0.0.1:3000\"".to_owned();

    let Some((scheme, rest)) = text.split_once("://") else {
        let right = match text.parse::<Authority>() {
            Ok(authority) if !text.is_empty() => format!("write \"http://{authority}\""),
            _ => example(),
        };
        return wrong("has no scheme", right);
    };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::HTTP,
        "https" => Scheme::HTTPS,
        _ => return wrong("has a scheme that is not supported", "write http:// or https://".to_owned()),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return wrong("has a user or a password", "an origin is scheme, host and port only".to_owned());
    }
    let Some(authority) = read_authority(&authority.to_ascii_lowercase()) else {
        return wrong("is not an origin", example());
    };
    if !path.is_empty() {
        return wrong("has a path", format!("write \"{scheme}://{authority}\"; paths are sent as they come"));
    }
    // What the parts were made of was checked; what the parser of requests thinks of them counts in the end.
    match format!("{scheme}://{authority}/").parse::<Uri>() {
        Ok(_) => Ok(Origin { scheme, authority }),
        Err(_) => wrong("is not an origin", example()),
    }
}

/// A host with or without a port from 1 to 65535, and no user.
pub(super) fn read_authority(text: &str) -> Option<Authority> {
    if text.contains('@') {
        return None;
    }
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    let port = authority.as_str().get(host.len()..)?;
    let port_is_sound =
        port.is_empty() || authority.port_u16().is_some_and(|port| port != 0) && port[1..].len() <= 5;
    let bracketed = host.starts_with('[');
    let host_is_sound = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !bracketed && super::pattern::is_host(host),
    };
    (port_is_sound && host_is_sound).then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read() {
        for (text, scheme, authority) in [
            ("http://127.0.0.1:3000", Scheme::HTTP, "127.0.0.1:3000"),
            ("https://API.example.com", Scheme::HTTPS, "api.example.com"),
            ("http://[::1]:3000/", Scheme::HTTP, "[::1]:3000"),
            ("HTTP://localhost", Scheme::HTTP, "localhost"),
            ("http://my_service:80", Scheme::HTTP, "my_service:80"),
        ] {
            let read = origin(text).unwrap();
            assert_eq!((read.scheme, read.authority.as_str()), (scheme, authority), "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_what_would_be_right() {
        for (text, right) in [
            ("127.0.0.1:3000", "write \"http://127.0.0.1:3000\""),
            ("localhost", "write \"http://localhost\""),
            ("http://h:3000/api", "write \"http://h:3000\""),
            ("http://h?x", "write \"http://h\""),
            ("http://u:p@h", "scheme, host and port only"),
            ("ftp://h", "http:// or https://"),
            ("http://", "http://127.0.0.1:3000"),
            ("http://h:", "http://127.0.0.1:3000"),
            ("http://h:0", "http://127.0.0.1:3000"),
            ("http://h:65536", "http://127.0.0.1:3000"),
            ("http://h:000080", "http://127.0.0.1:3000"),
            ("http://[::1", "http://127.0.0.1:3000"),
            ("http://[x]:1", "http://127.0.0.1:3000"),
            ("http://a b", "http://127.0.0.1:3000"),
            ("http://*.example.com", "http://127.0.0.1:3000"),
            ("", "http://127.0.0.1:3000"),
        ] {
            let wrong = origin(text).unwrap_err();
            assert!(wrong.right.contains(right), "{text}: {wrong}");
        }
    }

    #[test]
    fn listening_takes_an_address_and_a_port() {
        assert_eq!(listen("[::1]:0"), Ok("[::1]:0".parse().unwrap()));
        for (text, right) in [
            ("8080", "\"127.0.0.1:8080\", or \"0.0.0.0:8080\""),
            (":8080", "\"127.0.0.1:8080\", or"),
            ("localhost:80", "\"127.0.0.1:80\""),
            ("0.0.0.0", "\"0.0.0.0:8080\""),
            ("::1", "\"[::1]:8080\""),
            ("example.com:80", "an IP address and a port"),
        ] {
            let wrong = listen(text).unwrap_err();
            assert!(wrong.right.contains(right), "{text}: {wrong}");
        }
    }

    #[test]
    fn networks_may_be_single_addresses() {
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(network("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("fd00::/8").unwrap().to_string(), "fd00::/8");
        assert!(network("10.0.0.0/33").is_err());
    }
}
