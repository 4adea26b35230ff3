//! What unsafe methods make of stored responses (RFC 9111 §4.4).

use http::header::{self, HeaderMap};
use http::{Method, StatusCode};

use super::Target;
use super::reference;
use super::syntax;

/// Whether a method asks for nothing to change (RFC 9110 §9.2.1). Unknown ones are not safe.
pub fn is_safe(method: &Method) -> bool {
    method.is_safe()
}

/// The URLs, each an authority and a path with query, whose stored responses a non-error answer to an unsafe method
/// invalidates: the target first, then those in `Location` and `Content-Location` that have the same origin. Answers
/// of another origin are none of its business.
pub fn invalidated(
    target: &Target<'_>,
    method: &Method,
    status: StatusCode,
    response: &HeaderMap,
) -> Vec<(String, String)> {
    if is_safe(method) || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let mut urls = vec![(target.authority.to_owned(), target.path.to_owned())];
    let references = [header::LOCATION, header::CONTENT_LOCATION];
    for reference in references.iter().flat_map(|name| syntax::lines(response, name)) {
        let resolved = reference::resolve(target, reference).filter(|url| url.is_same_origin(target));
        let url = resolved.map(|url| (url.authority, url.path));
        urls.extend(url.filter(|url| !urls.contains(url)));
    }
    urls
}
