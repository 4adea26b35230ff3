//! Whether a response may be stored, and on which terms (RFC 9111 §3).

use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap};
use http::{Method, StatusCode};

use super::directives::{RequestDirectives, ResponseDirectives, Seconds};
use super::freshness::{self, Terms};
use super::reference;
use super::{ClientCacheControl, ContentRange, Rules, Target, Validators, Vary};

/// A request and the head of the response to it.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// What was asked for.
    pub target: Target<'a>,
    /// How.
    pub method: &'a Method,
    /// The client's request fields, before we put in or took out any for the origin.
    pub request: &'a HeaderMap,
    /// After a 304: the status of the stored response.
    pub status: StatusCode,
    /// After a 304: the stored fields, freshened by those of the 304.
    pub response: &'a HeaderMap,
    /// Those of `response`.
    pub validators: &'a Validators,
    /// That of `response`.
    pub vary: &'a Vary,
    /// What the route lays down.
    pub rules: &'a Rules,
    /// When the head came, on the wall clock.
    pub received: SystemTime,
    /// From the request being sent to the head coming.
    pub delay: Duration,
}

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotStored {
    /// The route has `cache = false`.
    CacheOff,
    /// Neither GET nor POST.
    Method,
    /// A POST that does not say where and how long its content is good for GET (RFC 9110 §9.3.3).
    Post,
    /// 1xx.
    InterimStatus,
    /// A 304 is no representation.
    NotModified,
    /// A status that must not be stored (RFC 6585: 428, 429, 431, 511).
    StatusForbids,
    /// 412, 416, 417: owed to fields of this request that are not part of the key.
    StatusOfRequest,
    /// `must-understand` with a status that is not understood (§5.2.2.3).
    MustUnderstand,
    /// A 206 of several parts.
    MultipartRanges,
    /// A 206 that does not say which part it is.
    BadContentRange,
    /// `no-store`.
    NoStore,
    /// `no-store` in the request, where the client's directives count.
    RequestNoStore,
    /// `private`.
    Private,
    /// The request had `Authorization`, and nothing says that the response may be shared (§3.5).
    Authorization,
    /// The response sets a cookie, and nothing says that it may be shared.
    SetCookie,
    /// `Vary: *`.
    VaryStar,
    /// Nothing says how long it is fresh.
    NoFreshness,
    /// `no-cache`, and there is no validator to ask the origin about.
    NoCache,
    /// It can never be reused: stale on arrival, no stale grant, no validator.
    StaleOnArrival,
}

impl NotStored {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::CacheOff,
        Self::Method,
        Self::Post,
        Self::InterimStatus,
        Self::NotModified,
        Self::StatusForbids,
        Self::StatusOfRequest,
        Self::MustUnderstand,
        Self::MultipartRanges,
        Self::BadContentRange,
        Self::NoStore,
        Self::RequestNoStore,
        Self::Private,
        Self::Authorization,
        Self::SetCookie,
        Self::VaryStar,
        Self::NoFreshness,
        Self::NoCache,
        Self::StaleOnArrival,
    ];

    /// The name that stands in headers, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CacheOff => "cache-off",
            Self::Method => "method-not-stored",
            Self::Post => "post-not-stored",
            Self::InterimStatus => "interim-status",
            Self::NotModified => "not-modified-alone",
            Self::StatusForbids => "status-forbids-storing",
            Self::StatusOfRequest => "status-of-request",
            Self::MustUnderstand => "must-understand",
            Self::MultipartRanges => "multipart-ranges",
            Self::BadContentRange => "bad-content-range",
            Self::NoStore => "no-store",
            Self::RequestNoStore => "request-no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::NoFreshness => "no-freshness",
            Self::NoCache => "no-cache-without-validator",
            Self::StaleOnArrival => "stale-on-arrival",
        }
    }

    /// Whether the reason lies in the request rather than in the resource, so that it says nothing about other
    /// requests for the same URI.
    pub fn owed_to_request(self) -> bool {
        match self {
            Self::Method
            | Self::Post
            | Self::NotModified
            | Self::StatusForbids
            | Self::StatusOfRequest
            | Self::MultipartRanges
            | Self::BadContentRange
            | Self::RequestNoStore
            | Self::Authorization => true,
            Self::CacheOff
            | Self::InterimStatus
            | Self::MustUnderstand
            | Self::NoStore
            | Self::Private
            | Self::SetCookie
            | Self::VaryStar
            | Self::NoFreshness
            | Self::NoCache
            | Self::StaleOnArrival => false,
        }
    }
}

/// Decides by RFC 9111 §3, in its order. A 206 is judged too: the caller keeps it as a part.
pub fn terms(x: &Exchange<'_>) -> Result<Terms, NotStored> {
    if !x.rules.cache {
        return Err(NotStored::CacheOff);
    }
    let directives = ResponseDirectives::parse(x.response);
    check_method(x, &directives)?;
    check_status(x, &directives)?;
    check_permission(x, &directives)?;
    let terms = agree(x, &directives)?;
    check_use(x, &terms)?;
    Ok(terms)
}

/// "The request method is understood by the cache."
fn check_method(x: &Exchange<'_>, directives: &ResponseDirectives) -> Result<(), NotStored> {
    match *x.method {
        Method::GET => Ok(()),
        Method::POST if is_storable_post(x, directives) => Ok(()),
        Method::POST => Err(NotStored::Post),
        _ => Err(NotStored::Method),
    }
}

/// A POST's response may stand for the resource if it has explicit freshness and says that it is the resource's
/// representation (RFC 9110 §9.3.3). Only of a 2xx does `Content-Location` say that (§8.7).
fn is_storable_post(x: &Exchange<'_>, directives: &ResponseDirectives) -> bool {
    let location = super::syntax::single(x.response, header::CONTENT_LOCATION)
        .and_then(|reference| reference::resolve(&x.target, reference));
    x.status.is_success()
        && x.status != StatusCode::PARTIAL_CONTENT
        && freshness::explicit_lifetime(x, directives).is_some()
        && location.is_some_and(|location| location.is(&x.target))
}

/// "The response status code is final", and is understood where that is asked for.
fn check_status(x: &Exchange<'_>, directives: &ResponseDirectives) -> Result<(), NotStored> {
    match x.status.as_u16() {
        100..=199 => return Err(NotStored::InterimStatus),
        206 => check_part(x.response)?,
        304 => return Err(NotStored::NotModified),
        412 | 416 | 417 => return Err(NotStored::StatusOfRequest),
        428 | 429 | 431 | 511 => return Err(NotStored::StatusForbids),
        _ => {}
    }
    if directives.must_understand && !is_understood(x.status) {
        return Err(NotStored::MustUnderstand);
    }
    Ok(())
}

/// A part is stored if it says which one it is (§3.3).
fn check_part(response: &HeaderMap) -> Result<(), NotStored> {
    let is_multipart = super::syntax::lines(response, header::CONTENT_TYPE).any(|value| {
        let end = value.iter().position(|&byte| byte == b';').unwrap_or(value.len());
        super::syntax::trim(&value[..end]).eq_ignore_ascii_case(b"multipart/byteranges")
    });
    if is_multipart {
        return Err(NotStored::MultipartRanges);
    }
    ContentRange::parse(response).map(drop).ok_or(NotStored::BadContentRange)
}

/// The final statuses of RFC 9110 §15, whose rules for caches are kept here.
fn is_understood(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// Nobody forbids that the response is stored, and shared.
fn check_permission(x: &Exchange<'_>, directives: &ResponseDirectives) -> Result<(), NotStored> {
    // With `must-understand`, and a status that is understood, `no-store` is for caches that are not so far (§5.2.2.3).
    if directives.no_store && !directives.must_understand {
        return Err(NotStored::NoStore);
    }
    let heeds_client = x.rules.client_cache_control == ClientCacheControl::Honor;
    if heeds_client && RequestDirectives::parse(x.request).no_store() {
        return Err(NotStored::RequestNoStore);
    }
    if directives.private.is_everything() {
        return Err(NotStored::Private);
    }
    let is_shared = directives.public || directives.s_maxage.is_valid();
    if !is_shared && !directives.must_revalidate && x.request.contains_key(header::AUTHORIZATION) {
        return Err(NotStored::Authorization);
    }
    if !is_shared && !x.rules.allow_set_cookie && sets_cookie(x, directives) {
        return Err(NotStored::SetCookie);
    }
    if *x.vary == Vary::Star {
        return Err(NotStored::VaryStar);
    }
    Ok(())
}

/// It does, and with what would be stored.
fn sets_cookie(x: &Exchange<'_>, directives: &ResponseDirectives) -> bool {
    let omitted = directives.no_cache.fields().iter().chain(directives.private.fields());
    x.response.contains_key(header::SET_COOKIE)
        && !omitted.into_iter().any(|name| *name == header::SET_COOKIE)
}

/// "The response contains at least one of…": a lifetime, or `no-cache`, which lets it be kept for validation.
fn agree(x: &Exchange<'_>, directives: &ResponseDirectives) -> Result<Terms, NotStored> {
    let always_validate = directives.no_cache.is_everything();
    let lifetime = match freshness::lifetime(x, directives) {
        Some(lifetime) => lifetime,
        None if always_validate => freshness::Lifetime { value: Duration::ZERO, heuristic: false },
        None => return Err(NotStored::NoFreshness),
    };
    // §5.2.2.2, §5.2.2.8 and §5.2.2.10: `s-maxage` has the meaning of `proxy-revalidate` in it.
    let never_stale =
        directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.is_present();
    let grant = |given: Seconds, default: Option<Duration>| {
        let allowed = given.restrictive().or(default).unwrap_or_default();
        if never_stale || always_validate { Duration::ZERO } else { allowed }
    };
    Ok(Terms {
        initial_age: freshness::initial_age(x),
        lifetime: lifetime.value,
        stale_while_revalidate: grant(directives.stale_while_revalidate, x.rules.stale_while_revalidate),
        stale_if_error: grant(directives.stale_if_error, x.rules.stale_if_error),
        always_validate,
        never_stale,
        heuristic: lifetime.heuristic,
        immutable: directives.immutable,
        omitted: [directives.no_cache.fields(), directives.private.fields()].concat().into(),
    })
}

/// What can never be reused is not worth its place.
fn check_use(x: &Exchange<'_>, terms: &Terms) -> Result<(), NotStored> {
    if !x.validators.is_empty() {
        return Ok(());
    }
    if terms.always_validate {
        return Err(NotStored::NoCache);
    }
    if terms.horizon(Duration::ZERO).is_zero() {
        return Err(NotStored::StaleOnArrival);
    }
    Ok(())
}
