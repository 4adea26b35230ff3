//! The URI that a request is for.

/// The effective request URI in parts, as it is sent upstream.
///
/// INVARIANT: `authority` is in lower case and without the scheme's default port, so that two targets name the same
/// resource exactly if all three parts are equal byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port, in lower case, without the default port.
    pub authority: &'a str,
    /// Path and query, bytes as sent. Starts with `/` (or is `*`).
    pub path: &'a str,
}
