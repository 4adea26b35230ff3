//! What a request head must not be, beyond what hyper refuses by itself: pure functions over the parsed head.

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{Method, StatusCode, Version};

use crate::config;

/// Bounds on a request head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest target in bytes.
    pub max_target: usize,
}

impl Limits {
    /// Those of a configuration.
    pub fn of(config: &config::Server) -> Self {
        Self { max_target: config.max_target }
    }
}

/// What a good head says about the target.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The effective authority: lower case, default port dropped.
    pub authority: String,
    /// Origin form, bytes as sent; `*` for `OPTIONS *`.
    pub target: PathAndQuery,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// To answer with.
    pub status: StatusCode,
    /// Its name in headers, logs and metrics.
    pub reason: &'static str,
}

const fn rejected(status: StatusCode, reason: &'static str) -> Rejected {
    Rejected { status, reason }
}

const TARGET_TOO_LONG: Rejected = rejected(StatusCode::URI_TOO_LONG, "target-too-long");
const BAD_TARGET: Rejected = rejected(StatusCode::BAD_REQUEST, "bad-target");
const BAD_HOST: Rejected = rejected(StatusCode::BAD_REQUEST, "bad-host");
const HOST_MISMATCH: Rejected = rejected(StatusCode::BAD_REQUEST, "host-mismatch");
const TRANSFER_CODING: Rejected = rejected(StatusCode::NOT_IMPLEMENTED, "transfer-coding");
const FRAMING: Rejected = rejected(StatusCode::BAD_REQUEST, "ambiguous-framing");
const CONNECT: Rejected = rejected(StatusCode::NOT_IMPLEMENTED, "connect");

/// Every reason, for the test that names are unique.
pub const REASONS: [&str; 7] = [
    TARGET_TOO_LONG.reason,
    BAD_TARGET.reason,
    BAD_HOST.reason,
    HOST_MISMATCH.reason,
    TRANSFER_CODING.reason,
    FRAMING.reason,
    CONNECT.reason,
];

/// Judges a head (RFC 9110 §7.2, RFC 9112 §3.2, §6).
///
/// # Errors
///
/// The head is ambiguous, or asks for what a cache does not do. The connection should be closed.
pub fn check(head: &Parts, limits: &Limits) -> Result<Accepted, Rejected> {
    framing(head)?;
    if head.method == Method::CONNECT {
        return Err(CONNECT);
    }
    let target = target(head, limits)?;
    let authority = authority(head)?;
    Ok(Accepted { authority, target })
}

/// hyper takes the content's end from the last transfer coding and drops a Content-Length beside it.
fn framing(head: &Parts) -> Result<(), Rejected> {
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if let Some(coding) = coding {
        if head.headers.contains_key(CONTENT_LENGTH) {
            return Err(FRAMING);
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(TRANSFER_CODING);
        }
    }
    let mut lengths = head.headers.get_all(CONTENT_LENGTH).iter();
    let first = lengths.next();
    if lengths.any(|length| Some(length) != first) {
        return Err(FRAMING);
    }
    Ok(())
}

fn target(head: &Parts, limits: &Limits) -> Result<PathAndQuery, Rejected> {
    let target = match head.uri.path_and_query() {
        Some(target) => target.clone(),
        // `http://host` asks for the root.
        None => PathAndQuery::from_static("/"),
    };
    if target.as_str().len() > limits.max_target {
        return Err(TARGET_TOO_LONG);
    }
    let asterisk = target.as_str() == "*";
    if asterisk && head.method != Method::OPTIONS {
        return Err(BAD_TARGET);
    }
    if !asterisk && !target.as_str().starts_with('/') {
        return Err(BAD_TARGET);
    }
    Ok(target)
}

fn authority(head: &Parts) -> Result<String, Rejected> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(BAD_HOST);
    }
    let host = host.map(parse).transpose()?;
    let of_target = head.uri.authority().cloned();
    if of_target.as_ref().is_some_and(has_userinfo) {
        return Err(BAD_TARGET);
    }
    match (of_target, host) {
        (Some(target), Some(host)) => {
            let (target, host) = (effective(&target), effective(&host));
            if target == host { Ok(target) } else { Err(HOST_MISMATCH) }
        }
        (Some(target), None) if head.version != Version::HTTP_11 => Ok(effective(&target)),
        (None, Some(host)) => Ok(effective(&host)),
        // An HTTP/1.0 client need not say which host it means.
        (None, None) if head.version == Version::HTTP_10 => Ok("localhost".to_owned()),
        (_, None) => Err(BAD_HOST),
    }
}

fn parse(host: &HeaderValue) -> Result<Authority, Rejected> {
    let authority = Authority::try_from(host.as_bytes()).map_err(|_| BAD_HOST)?;
    let port = authority.as_str().get(authority.host().len()..).unwrap_or_default();
    let good_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    if has_userinfo(&authority) || authority.host().is_empty() || !good_port {
        return Err(BAD_HOST);
    }
    Ok(authority)
}

fn has_userinfo(authority: &Authority) -> bool {
    authority.as_str().contains('@')
}

/// Lower case, without the port that the scheme implies.
fn effective(authority: &Authority) -> String {
    let mut text = authority.as_str().to_ascii_lowercase();
    if authority.port_u16() == Some(80) || text.ends_with(':') {
        let end = text.rfind(':').unwrap_or(text.len());
        text.truncate(end);
    }
    text
}
