//! What RFC 9110 and 9112 forbid in a request head and hyper lets through.
//!
//! hyper answers by itself, with a bare 400 and `Connection: close`: an unparsable head, differing or malformed
//! Content-Length values, a Transfer-Encoding in HTTP/1.0 or one that does not end in `chunked` (RFC 9112 §6.3, item 4
//! demands 400 for that); 431 for too large a head or too many fields; 414 for a target over 64 KiB. Three things it
//! settles silently, and safely:
//!
//! - Content-Length beside Transfer-Encoding: the former is dropped, and the connection ends after the response
//!   (RFC 9112 §6.1 allows that or refusal). No handler can see that it was there.
//! - Equal Content-Length values: one is kept.
//! - A fragment in the target: it is dropped, and so neither keyed nor sent on.
//!
//! One thing is lost: `OPTIONS http://host` asks for `*` (RFC 9112 §3.2.4), but looks the same as `http://host/`.

use std::borrow::Cow;

use http::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::key::authority;

/// What a request may amount to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest path and query, in bytes.
    pub max_target: usize,
    /// The port that the scheme implies: 80, or 443 with TLS.
    pub default_port: u16,
}

/// What the request is for, in normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// Host, and port unless it is the default one; lower case. `None` only for HTTP/1.0 without `Host`.
    pub authority: Option<Cow<'a, str>>,
    /// The `Host` field says just that.
    pub as_sent: bool,
    /// Path and query, or `*`; bytes as sent.
    pub target: Cow<'a, str>,
}

/// A reason to refuse a request, as `reason` in the problem document and in metrics.
pub type Reason = &'static str;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The status of the answer.
    pub status: StatusCode,
    /// Named once here, unique in the program.
    pub reason: Reason,
    /// For people.
    pub detail: &'static str,
}

const CONNECT_REFUSED: Rejection = Rejection {
    status: StatusCode::NOT_IMPLEMENTED,
    reason: "connect-method",
    detail: "This is a gateway: it opens no tunnels.",
};
const TRANSFER_CODING: Rejection = Rejection {
    status: StatusCode::NOT_IMPLEMENTED,
    reason: "transfer-coding",
    detail: "The only transfer coding understood here is chunked, applied once.",
};
const NO_HOST: Rejection = Rejection {
    status: StatusCode::BAD_REQUEST,
    reason: "host-missing",
    detail: "An HTTP/1.1 request needs a Host field.",
};
const SEVERAL_HOSTS: Rejection = Rejection {
    status: StatusCode::BAD_REQUEST,
    reason: "host-repeated",
    detail: "A request has one Host field.",
};
const BAD_HOST: Rejection = Rejection {
    status: StatusCode::BAD_REQUEST,
    reason: "host-invalid",
    detail: "The Host field is not a host name with an optional port.",
};
const BAD_TARGET: Rejection = Rejection {
    status: StatusCode::BAD_REQUEST,
    reason: "target-invalid",
    detail: "The request target is neither a path nor an http URI, or names no valid host.",
};
const HOST_DIFFERS: Rejection = Rejection {
    status: StatusCode::BAD_REQUEST,
    reason: "host-differs",
    detail: "The Host field and the request target name different hosts.",
};
const TARGET_TOO_LONG: Rejection = Rejection {
    status: StatusCode::URI_TOO_LONG,
    reason: "target-too-long",
    detail: "The request target is longer than this server takes.",
};
const HEAD_TOO_LARGE: Rejection = Rejection {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    reason: "head-too-large",
    detail: "The request head is larger, or has more fields, than this server takes.",
};
const HEAD_MALFORMED: Rejection = Rejection {
    status: StatusCode::BAD_REQUEST,
    reason: "head-malformed",
    detail: "The request head cannot be read.",
};

/// Every reason, for the test that names are unique.
pub const REASONS: [Reason; 10] = [
    CONNECT_REFUSED.reason,
    TRANSFER_CODING.reason,
    NO_HOST.reason,
    SEVERAL_HOSTS.reason,
    BAD_HOST.reason,
    BAD_TARGET.reason,
    HOST_DIFFERS.reason,
    TARGET_TOO_LONG.reason,
    HEAD_TOO_LARGE.reason,
    HEAD_MALFORMED.reason,
];

/// Checks a request head that hyper has accepted. `known` is an authority in normal form: the one that the connection's
/// last request was for, since most ask for the same one again.
///
/// # Errors
///
/// The [`Rejection`] to answer with; the connection must be closed after it.
pub fn check<'a>(
    head: &'a Parts,
    limits: &Limits,
    known: Option<&'a str>,
) -> Result<Accepted<'a>, Rejection> {
    if head.method == Method::CONNECT {
        return Err(CONNECT_REFUSED);
    }
    let fields = Fields::of(&head.headers);
    check_coding(&fields)?;
    let target = target(head)?;
    if target.len() > limits.max_target {
        return Err(TARGET_TOO_LONG);
    }
    let field = host_field(&fields, head.version)?;
    let host = field.map(|field| host(field, limits, known)).transpose()?;
    let authority = match absolute_authority(&head.uri, limits)? {
        // RFC 9112 §3.2.2 would have the target win; what the two parties behind us make of it is anybody's guess.
        Some(named) if host.as_ref().is_some_and(|host| *host != named) => return Err(HOST_DIFFERS),
        Some(named) => Some(named),
        None => host,
    };
    let as_sent =
        field.is_some_and(|field| Some(field.as_bytes()) == authority.as_deref().map(str::as_bytes));
    Ok(Accepted { authority, as_sent, target })
}

/// What hyper has told a client whose request head it could not read, before it ended the connection for `error`; `None`
/// if it ended for another reason, without an answer.
pub(super) fn unread(error: &hyper::Error) -> Option<Rejection> {
    if error.is_parse_version_h2() || !error.is_parse() {
        None
    } else if !error.is_parse_too_large() {
        Some(HEAD_MALFORMED)
    } else if error.to_string().contains("URI") {
        // hyper tells the two apart in words only.
        Some(TARGET_TOO_LONG)
    } else {
        Some(HEAD_TOO_LARGE)
    }
}

/// The lines of a head that are looked at here, and whether there are more of their kind.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a HeaderValue>,
    several_hosts: bool,
    coding: Option<&'a HeaderValue>,
    several_codings: bool,
}

impl<'a> Fields<'a> {
    /// One look at all fields is cheaper than a search for each of the two.
    fn of(fields: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in fields {
            if *name == HOST {
                found.several_hosts = found.host.replace(value).is_some();
            } else if *name == TRANSFER_ENCODING {
                found.several_codings = found.coding.replace(value).is_some();
            }
        }
        found
    }
}

/// RFC 9112 §6.1: 501 for a coding that is not understood. hyper only looks at whether the last one is `chunked`.
fn check_coding(fields: &Fields<'_>) -> Result<(), Rejection> {
    match fields.coding {
        None => Ok(()),
        Some(coding) if !fields.several_codings && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(())
        }
        Some(_) => Err(TRANSFER_CODING),
    }
}

/// RFC 9112 §3.2: 400 if `Host` is missing or repeated.
fn host_field<'a>(fields: &Fields<'a>, version: Version) -> Result<Option<&'a HeaderValue>, Rejection> {
    match fields.host {
        None if version <= Version::HTTP_10 => Ok(None),
        None => Err(NO_HOST),
        Some(_) if fields.several_hosts => Err(SEVERAL_HOSTS),
        host => Ok(host),
    }
}

fn host<'a>(
    field: &'a HeaderValue,
    limits: &Limits,
    known: Option<&'a str>,
) -> Result<Cow<'a, str>, Rejection> {
    match known {
        Some(known) if field.as_bytes() == known.as_bytes() => Ok(Cow::Borrowed(known)),
        _ => normal(field.as_bytes(), limits).ok_or(BAD_HOST),
    }
}

fn normal<'a>(authority: &'a [u8], limits: &Limits) -> Option<Cow<'a, str>> {
    authority::normalize(authority, limits.default_port)
}

/// The authority of a target in absolute-form (RFC 9112 §3.2.2).
fn absolute_authority<'a>(uri: &'a Uri, limits: &Limits) -> Result<Option<Cow<'a, str>>, Rejection> {
    let Some(authority) = uri.authority() else { return Ok(None) };
    normal(authority.as_str().as_bytes(), limits).ok_or(BAD_TARGET).map(Some)
}

/// Path and query of a target in origin-, absolute- or asterisk-form (RFC 9112 §3.2).
fn target(head: &Parts) -> Result<Cow<'_, str>, Rejection> {
    let absolute = match head.uri.scheme() {
        None if head.uri.authority().is_some() => return Err(BAD_TARGET), // authority-form
        Some(scheme) if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS => return Err(BAD_TARGET),
        scheme => scheme.is_some(),
    };
    let path = head.uri.path_and_query().ok_or(BAD_TARGET)?;
    match path.as_str() {
        "*" if head.method == Method::OPTIONS => Ok(Cow::Borrowed("*")),
        origin if origin.starts_with('/') => Ok(Cow::Borrowed(origin)),
        query if absolute && query.starts_with('?') => Ok(Cow::Owned(format!("/{query}"))),
        _ => Err(BAD_TARGET),
    }
}
