//! Resolving the references in `Location` and `Content-Location` (RFC 3986 §5).

use super::target::Target;

/// Where a reference leads, in the form of [`Target`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) scheme: String,
    pub(super) authority: String,
    pub(super) path: String,
}

impl Resolved {
    /// The same scheme and authority (RFC 9110 §4.3.1).
    pub(super) fn is_same_origin(&self, target: &Target<'_>) -> bool {
        self.scheme == target.scheme && self.authority == target.authority
    }

    /// The same resource.
    pub(super) fn is(&self, target: &Target<'_>) -> bool {
        self.is_same_origin(target) && self.path == target.path
    }
}

/// Resolves a reference against the target (RFC 3986 §5.2.2), in its order. Beside the removal of dot segments,
/// which that section asks for, no byte of path and query is changed. `None`: not a URI reference, or not one of
/// `http` or `https`.
pub(super) fn resolve(base: &Target<'_>, reference: &[u8]) -> Option<Resolved> {
    let reference = std::str::from_utf8(super::syntax::trim(reference)).ok()?;
    if reference.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return None;
    }
    let reference = reference.split('#').next()?;
    let (scheme, rest) = match split_scheme(reference) {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => (base.scheme.to_owned(), reference),
    };
    if let Some(hierarchy) = rest.strip_prefix("//") {
        let end = hierarchy.find(['/', '?']).unwrap_or(hierarchy.len());
        let (authority, path) = hierarchy.split_at(end);
        let authority = normal_authority(&scheme, authority)?;
        return Some(Resolved { authority, path: absolute(path), scheme });
    }
    if split_scheme(reference).is_some() {
        // `http:foo` names no host; `mailto:` and its like have none.
        return None;
    }
    let path = resolve_path(base.path, rest);
    Some(Resolved { scheme, authority: base.authority.to_owned(), path })
}

fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let mut bytes = scheme.bytes();
    let valid = bytes.next()?.is_ascii_alphabetic()
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    valid.then_some((scheme, rest))
}

/// Lower case, without an empty or default port. `None`: another scheme than `http` and `https`. What else it may hold,
/// such as user information, makes it another authority than that of any target.
fn normal_authority(scheme: &str, authority: &str) -> Option<String> {
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let authority = authority.to_ascii_lowercase();
    let host = authority.strip_suffix(default_port).or(authority.strip_suffix(':')).unwrap_or(&authority);
    Some(host.to_owned())
}

fn resolve_path(base: &str, reference: &str) -> String {
    let base_path = base.split('?').next().unwrap_or(base);
    match reference.as_bytes().first() {
        None => base.to_owned(),
        Some(b'?') => format!("{base_path}{reference}"),
        Some(b'/') => absolute(reference),
        Some(_) => {
            let directory = base_path.rfind('/').map_or("/", |slash| &base_path[..=slash]);
            absolute(&format!("{directory}{reference}"))
        }
    }
}

/// Path and query with the dot segments of the path removed (RFC 3986 §5.2.4); an empty path is `/`.
fn absolute(path_and_query: &str) -> String {
    let query_at = path_and_query.find('?').unwrap_or(path_and_query.len());
    let (path, query) = path_and_query.split_at(query_at);
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // What remains is a directory: `/a/.` is `/a/`.
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Target<'static> = Target { scheme: "http", authority: "a", path: "/b/c/d;p?q" };

    /// The examples of RFC 3986 §5.4 that lead to `http` URIs with a path.
    #[test]
    fn the_examples_of_the_rfc() {
        let rows = [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("g/", "/b/c/g/"),
            ("/g", "/g"),
            ("?y", "/b/c/d;p?y"),
            ("g?y", "/b/c/g?y"),
            ("#s", "/b/c/d;p?q"),
            ("g#s", "/b/c/g"),
            ("g?y#s", "/b/c/g?y"),
            (";x", "/b/c/;x"),
            ("", "/b/c/d;p?q"),
            (".", "/b/c/"),
            ("./", "/b/c/"),
            ("..", "/b/"),
            ("../", "/b/"),
            ("../g", "/b/g"),
            ("../..", "/"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("/./g", "/g"),
            ("/../g", "/g"),
            ("g.", "/b/c/g."),
            (".g", "/b/c/.g"),
            ("g..", "/b/c/g.."),
            ("./../g", "/b/g"),
            ("./g/.", "/b/c/g/"),
            ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"),
            ("g;x=1/../y", "/b/c/y"),
            ("g?y/./x", "/b/c/g?y/./x"),
        ];
        for (reference, path) in rows {
            let resolved = resolve(&BASE, reference.as_bytes());
            assert_eq!(resolved.as_ref().map(|r| r.path.as_str()), Some(path), "{reference}");
            assert!(resolved.unwrap().is_same_origin(&BASE));
        }
    }

    #[test]
    fn authorities_are_compared_without_case_and_default_port() {
        for same in ["http://A/x", "HTTP://a:80/x", "//a/x", "http://a:/x"] {
            assert!(resolve(&BASE, same.as_bytes()).unwrap().is_same_origin(&BASE), "{same}");
        }
        for other in [
            "https://a/x",
            "http://a:8080/x",
            "//b/x",
            "http://a.evil/x",
            "https://a:80/",
            "http://u@a/",
            "//",
        ] {
            assert!(!resolve(&BASE, other.as_bytes()).unwrap().is_same_origin(&BASE), "{other}");
        }
        assert_eq!(resolve(&BASE, b"http://a").unwrap().path, "/");
        assert_eq!(resolve(&BASE, b"http://a?x").unwrap().path, "/?x");
    }

    #[test]
    fn what_is_no_reference_to_a_web_resource_leads_nowhere() {
        for bad in ["http:g", "mailto:a@b", "ftp://a/", "/a b", "/\u{7f}"] {
            assert_eq!(resolve(&BASE, bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(resolve(&BASE, b"/\xff"), None);
    }
}
