//! Which route takes a request.
//!
//! Routes are few and tried in order, so a request costs a comparison of bytes for each that does not fit, and
//! nothing is allocated.

use http::Method;

use crate::config::{Config, Route};

/// The first route that takes a request, or `None` if none does.
///
/// `host` is what the request names, in any case, with or without a port (which is not compared), and with or without
/// the final dot of a fully qualified name. `path` is the target as sent; a query does not count.
pub fn select<'c>(config: &'c Config, host: &str, path: &str, method: &Method) -> Option<&'c Route> {
    config.routes.iter().find(|route| {
        takes_method(&route.methods, method)
            && takes_host(&route.hosts, host)
            && route.path.as_ref().is_none_or(|glob| glob.is_match(without_query(path)))
    })
}

/// A HEAD is answered from what a GET has brought, so it goes where the GET goes.
fn takes_method(methods: &[Method], method: &Method) -> bool {
    methods.is_empty()
        || methods.contains(method)
        || *method == Method::HEAD && methods.contains(&Method::GET)
}

fn takes_host(patterns: &[String], host: &str) -> bool {
    patterns.is_empty() || {
        let host = without_port(host);
        patterns.iter().any(|pattern| is_host(pattern, host))
    }
}

/// `pattern` is lower case. `*.example.com` takes `a.example.com` and `a.b.example.com`, not `example.com`.
fn is_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        None => pattern.eq_ignore_ascii_case(host),
        Some(suffix) => host
            .len()
            .checked_sub(suffix.len())
            .filter(|labels| *labels > 0)
            .and_then(|labels| host.get(labels..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix)),
    }
}

fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// Without port and final dot. The colons of an IPv6 address stand in brackets.
fn without_port(host: &str) -> &str {
    let host = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    };
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UPSTREAM: &str = "[[upstream]]\nservers = \"http://127.0.0.1:3000\"\n";

    fn config(routes: &str) -> Config {
        Config::from_str("test", &format!("{UPSTREAM}{routes}")).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn taken_by<'c>(config: &'c Config, method: &str, host: &str, path: &str) -> &'c str {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        select(config, host, path, &method).map_or("none", |route| &route.name)
    }

    #[test]
    fn the_first_that_matches_counts() {
        let config = config(
            "[[route]]\nname = 'images'\npath = '/api/images/**'\n\
             [[route]]\nname = 'api'\npath = '/api/**'\n\
             [[route]]\nname = 'late'\npath = '/api/images/*'",
        );
        assert_eq!(taken_by(&config, "GET", "h", "/api/images/1"), "images");
        assert_eq!(taken_by(&config, "GET", "h", "/api/other"), "api");
        assert_eq!(taken_by(&config, "GET", "h", "/"), "default");
    }

    #[test]
    fn hosts_are_compared_without_case_port_and_final_dot() {
        let config = config("[[route]]\nname = 'api'\nhost = ['API.example.com', '[::1]', '127.0.0.1']");
        for host in ["api.example.com", "Api.Example.COM:8080", "api.example.com.", "api.example.com.:80"] {
            assert_eq!(taken_by(&config, "GET", host, "/"), "api", "{host}");
        }
        for host in ["[::1]", "[::1]:8080", "127.0.0.1:80"] {
            assert_eq!(taken_by(&config, "GET", host, "/"), "api", "{host}");
        }
        for host in ["example.com", "xapi.example.com", "api.example.com.evil", "", ":", "[::2]"] {
            assert_eq!(taken_by(&config, "GET", host, "/"), "default", "{host}");
        }
    }

    #[test]
    fn a_star_stands_for_at_least_one_label() {
        let config = config("[[route]]\nname = 'sub'\nhost = '*.example.com'");
        for host in ["a.example.com", "a.b.Example.com:80"] {
            assert_eq!(taken_by(&config, "GET", host, "/"), "sub", "{host}");
        }
        for host in ["example.com", ".example.com", "aexample.com", "é.com"] {
            assert_eq!(taken_by(&config, "GET", host, "/"), "default", "{host}");
        }
    }

    #[test]
    fn head_goes_where_get_goes() {
        let config = config("[[route]]\nname = 'read'\nmethods = ['GET']");
        assert_eq!(taken_by(&config, "GET", "h", "/"), "read");
        assert_eq!(taken_by(&config, "HEAD", "h", "/"), "read");
        assert_eq!(taken_by(&config, "POST", "h", "/"), "default");
    }

    #[test]
    fn the_query_is_not_part_of_the_path() {
        let config = config("[[route]]\nname = 'one'\npath = '/a/*'");
        assert_eq!(taken_by(&config, "GET", "h", "/a/b?c=/d/e"), "one");
        assert_eq!(taken_by(&config, "GET", "h", "/x?y=/a/b"), "default");
    }

    #[test]
    fn with_several_upstreams_what_no_route_takes_goes_nowhere() {
        let text = "[[upstream]]\nname = 'a'\nservers = 'http://127.0.0.1:1'\n\
                    [[upstream]]\nname = 'b'\nservers = 'http://127.0.0.1:2'\n\
                    [[route]]\nname = 'b'\nhost = 'b'\nupstream = 'b'";
        let config = Config::from_str("test", text).unwrap();
        assert_eq!(taken_by(&config, "GET", "b", "/"), "b");
        assert_eq!(taken_by(&config, "GET", "a", "/"), "none");
        assert_eq!(select(&config, "b", "/", &Method::GET).map(|route| route.upstream), Some(1));
    }

    proptest! {
        #[test]
        fn any_host_and_path_is_taken(host in ".*", path in ".*") {
            let config = config("[[route]]\nhost = '*.example.com'\npath = '/a/*'");
            prop_assert!(select(&config, &host, &path, &Method::GET).is_some());
        }
    }
}
