//! Hosts, paths, methods and names.

use globset::{GlobBuilder, GlobMatcher};
use http::{HeaderName, Method};
use tracing_subscriber::EnvFilter;

use super::address::read_authority;
use super::units::Wrong;

/// Reads a name for headers, logs and metrics: letters, digits, `-`, `.` and `_`, a letter first.
pub(super) fn token(text: &str) -> Result<String, Wrong> {
    const MOST: usize = 64;
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let goes_on = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if starts && goes_on && text.len() <= MOST {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is not a name"),
        format!("use letters, digits, `-`, `.` and `_`, a letter first, {MOST} at most"),
    ))
}

/// Reads a host without port and lowers it.
pub(super) fn host(text: &str) -> Result<String, Wrong> {
    if text.contains('*') {
        return Err(Wrong::new(
            format!("`{text}` is a pattern"),
            "name one host, such as \"api.example.com\"",
        ));
    }
    host_pattern(text)
}

/// Reads a host, or `*.` and a host, without port, and lowers it.
pub(super) fn host_pattern(text: &str) -> Result<String, Wrong> {
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    if is_host(name) || name.len() == lower.len() && is_bracketed_address(name) {
        return Ok(lower);
    }
    let right = if text == "*" {
        "leave `host` out to match any".to_owned()
    } else if let Some((scheme, rest)) = lower.split_once("://").filter(|(scheme, _)| !scheme.is_empty()) {
        let host = rest.split(['/', ':']).next().unwrap_or(rest);
        format!("leave out {scheme}:// and what follows the host: \"{host}\"")
    } else if let Some((host, _)) =
        name.rsplit_once(':').filter(|(host, port)| is_host(host) && is_port(port))
    {
        format!("leave out the port, it is not compared: \"{host}\"")
    } else if !text.is_ascii() {
        "write it as it goes over the wire, in ASCII (xn--...)".to_owned()
    } else {
        "write a host such as \"api.example.com\" or \"*.example.com\"".to_owned()
    };
    Err(Wrong::new(format!("`{text}` is not a host"), right))
}

/// Reads what may stand in a `Host` field.
pub(super) fn authority(text: &str) -> Result<String, Wrong> {
    match read_authority(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(Wrong::new(
            format!("`{text}` is not a host"),
            "write a host such as \"api.example.com\" or \"api.example.com:8080\"",
        )),
    }
}

/// Reads a path pattern: `*` stays within a segment, a segment `**` stands for any number of them.
pub(super) fn path_glob(text: &str) -> Result<GlobMatcher, Wrong> {
    let wrong = |what: &str, right: String| Err(Wrong::new(format!("`{text}` {what}"), right));
    if !text.starts_with('/') {
        return wrong("does not begin with `/`", format!("write \"/{}\"", text.trim_start_matches("./")));
    }
    if text.split('/').any(|segment| segment.contains("**") && segment != "**") {
        return wrong(
            "joins `**` to other text",
            "let `**` stand between slashes, as in \"/api/**\"".to_owned(),
        );
    }
    if text.contains(['?', '#']) {
        return wrong("goes beyond the path", "leave out the query; `*` stands for any text".to_owned());
    }
    match GlobBuilder::new(text).literal_separator(true).build() {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => wrong("is not a pattern", format!("{}", error.kind())),
    }
}

/// Reads a method; they are compared with their case, so `get` is refused.
pub(super) fn method(text: &str) -> Result<Method, Wrong> {
    let upper = text.to_ascii_uppercase();
    match Method::from_bytes(text.as_bytes()) {
        Ok(method) if text == upper => Ok(method),
        Ok(_) => Err(Wrong::new(format!("`{text}` is not a method"), format!("write \"{upper}\""))),
        Err(_) => Err(Wrong::new(format!("`{text}` is not a method"), "write one such as \"GET\"")),
    }
}

/// Reads the name of a field, in any case.
pub(super) fn field_name(text: &str) -> Result<HeaderName, Wrong> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        let right = match text.trim_end_matches([':', ' ']) {
            name if HeaderName::from_bytes(name.as_bytes()).is_ok() => format!("write \"{name}\""),
            _ => "write one such as \"Cache-Tag\"".to_owned(),
        };
        Wrong::new(format!("`{text}` is not the name of a field"), right)
    })
}

/// Reads a filter of the process log.
pub(super) fn filter(text: &str) -> Result<String, Wrong> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Wrong::new(
            format!("`{text}` is not a log filter: {error}"),
            "write one such as \"info\" or \"info,larder::upstream=debug\"",
        )),
    }
}

/// Labels of letters, digits, `-` and `_` (which internal names have), parted by single dots.
pub(super) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_bracketed_address(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_lowered_and_have_no_port() {
        assert_eq!(host_pattern("API.Example.com").as_deref(), Ok("api.example.com"));
        assert_eq!(host_pattern("*.Example.com").as_deref(), Ok("*.example.com"));
        assert_eq!(host_pattern("[::1]").as_deref(), Ok("[::1]"));
        for (text, right) in [
            ("*", "leave `host` out"),
            ("api.example.com:8080", "\"api.example.com\""),
            ("http://api.example.com:80/x", "\"api.example.com\""),
            ("bücher.example", "xn--"),
            ("a..b", "api.example.com"),
            ("api.*.com", "api.example.com"),
            ("*.[::1]", "api.example.com"),
            ("", "api.example.com"),
        ] {
            let wrong = host_pattern(text).unwrap_err();
            assert!(wrong.right.contains(right), "{text}: {wrong}");
        }
        assert!(host("*.example.com").is_err());
    }

    #[test]
    fn a_star_stays_within_a_segment_and_two_go_across() {
        let matches = |glob: &str, path: &str| path_glob(glob).unwrap().is_match(path);
        assert!(matches("/api/*", "/api/a"));
        assert!(!matches("/api/*", "/api/a/b"));
        assert!(matches("/api/**", "/api/a/b"));
        assert!(matches("/api/**", "/api/"));
        assert!(!matches("/api/**", "/api"));
        assert!(!matches("/api/**", "/apis/a"));
        assert!(matches("/**/edit", "/a/b/edit"));
        assert!(matches("/*.{css,js}", "/site.css"));
        assert!(!matches("/*.css", "/a/site.css"));
        assert!(matches("/**", "/"));
        assert!(!matches("/A", "/a"), "paths are compared with their case");
    }

    #[test]
    fn what_is_no_path_is_refused_with_what_would_be_right() {
        for (text, right) in [
            ("api/**", "\"/api/**\""),
            ("/api**", "between slashes"),
            ("/a?x=1", "query"),
            ("/[a", "unclosed"),
            ("", "\"/\""),
        ] {
            let wrong = path_glob(text).unwrap_err();
            assert!(wrong.right.contains(right), "{text}: {wrong}");
        }
    }

    #[test]
    fn methods_keep_their_case() {
        assert_eq!(method("PURGE").unwrap().as_str(), "PURGE");
        assert!(method("get").unwrap_err().right.contains("\"GET\""));
        assert!(method("G ET").is_err());
        assert!(method("").is_err());
    }

    #[test]
    fn names_are_tokens() {
        assert!(token("api-v1.eu_west").is_ok());
        for text in ["", "1st", "a b", "a\"b", "ü", &"a".repeat(65)] {
            assert!(token(text).is_err(), "{text}");
        }
    }
}
