//! What keeps web pages away from the admin listener.
//!
//! A browser on this machine sends requests to loopback addresses for any page it shows. Two things give such a
//! request away. A page that had its own name resolve to this address (DNS rebinding) may read answers, but its
//! browser sends that name as `Host`. Any other page cannot read answers, as there is no CORS here, but can send
//! some state-changing requests; its browser then says where they come from, in `Origin` and `Sec-Fetch-Site`.
//! Programs send neither field and are not bothered.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, StatusCode};

use super::problem::Problem;

/// Refuses a request that a foreign page may have caused.
pub(super) fn check<B>(request: &Request<B>, hosts: &[String]) -> Result<(), Problem> {
    let host = host(request.headers())?;
    let target = request.uri().authority();
    if !is_own_name(&host, hosts) || target.is_some_and(|target| !is_own_name(target, hosts)) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign-host",
            "This listener answers to loopback addresses, localhost and the names in `[admin] hosts`.",
        ));
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if !safe && !comes_from_here(request.headers(), &host) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign-origin",
            "Requests that change something are not taken from the pages of other origins.",
        ));
    }
    Ok(())
}

/// RFC 9112 §3.2: exactly one, and valid.
fn host(fields: &HeaderMap) -> Result<Authority, Problem> {
    let mut values = fields.get_all(HOST).iter();
    let value = values.next().filter(|_| values.next().is_none());
    value
        .and_then(|value| Authority::try_from(value.as_bytes()).ok())
        .filter(|authority| !authority.as_str().contains('@'))
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "host", "One valid Host field is needed."))
}

/// With any port, since this listener may stand behind a port forwarding. A configured name that has a port
/// matches only with it.
fn is_own_name(authority: &Authority, hosts: &[String]) -> bool {
    let host = authority.host();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || literal.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
        || hosts
            .iter()
            .any(|own| own.eq_ignore_ascii_case(host) || own.eq_ignore_ascii_case(authority.as_str()))
}

/// Either nothing says where the request comes from, or all that does says: from this very listener.
fn comes_from_here(fields: &HeaderMap, host: &Authority) -> bool {
    let same_site = fields
        .get_all("sec-fetch-site")
        .iter()
        .all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    let same_origin = fields.get_all(ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
    });
    same_site && same_origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(method: &str, target: &str, fields: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let hosts = ["Admin.example".to_owned(), "other.example:9000".to_owned()];
        match check(&request.body(()).unwrap(), &hosts) {
            Ok(()) => 200,
            Err(problem) => problem.into_response().status().as_u16(),
        }
    }

    #[test]
    fn hosts() {
        let table = [
            ("localhost", 200),
            ("LocalHost:8081", 200),
            ("127.0.0.1:8081", 200),
            ("127.8.9.1", 200),
            ("[::1]:8081", 200),
            ("[::ffff:127.0.0.1]", 200),
            ("admin.example", 200),
            ("ADMIN.example:1234", 200),
            ("other.example:9000", 200),
            ("other.example", 403),
            ("other.example:9001", 403),
            ("rebound.example", 403),
            ("127.0.0.1.example", 403),
            ("localhost.example", 403),
            ("10.0.0.1:8081", 403),
            ("[2001:db8::1]", 403),
            ("0.0.0.0", 403),
            ("2130706433", 403),
            ("user@localhost", 400),
            ("localhost/", 400),
            ("", 400),
        ];
        for (host, status) in table {
            assert_eq!(verdict("GET", "/metrics", &[("host", host)]), status, "{host:?}");
        }
        assert_eq!(verdict("GET", "/metrics", &[]), 400);
        assert_eq!(verdict("GET", "/metrics", &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(verdict("GET", "http://rebound.example/", &[("host", "localhost")]), 403);
        assert_eq!(verdict("GET", "http://localhost/", &[("host", "localhost")]), 200);
    }

    #[test]
    fn state_changes() {
        let host = ("host", "localhost:8081");
        let table: &[(&[(&str, &str)], u16)] = &[
            (&[], 200),
            (&[("origin", "http://localhost:8081")], 200),
            (&[("origin", "HTTP://localhost:8081")], 403),
            (&[("origin", "https://localhost:8081")], 200),
            (&[("origin", "http://localhost:3000")], 403),
            (&[("origin", "http://localhost")], 403),
            (&[("origin", "https://evil.example")], 403),
            (&[("origin", "null")], 403),
            (&[("origin", "")], 403),
            (&[("origin", "http://localhost:8081"), ("origin", "null")], 403),
            (&[("sec-fetch-site", "same-origin")], 200),
            (&[("sec-fetch-site", "none")], 200),
            (&[("sec-fetch-site", "same-site")], 403),
            (&[("sec-fetch-site", "cross-site")], 403),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8081")], 403),
        ];
        for (fields, status) in table {
            let fields = [&[host], *fields].concat();
            for method in ["POST", "PUT", "DELETE", "OPTIONS", "PURGE"] {
                assert_eq!(verdict(method, "/purge", &fields), *status, "{method} {fields:?}");
            }
            for method in ["GET", "HEAD"] {
                assert_eq!(verdict(method, "/metrics", &fields), 200, "{method} {fields:?}");
            }
        }
    }
}
