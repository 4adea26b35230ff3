//! Single fields: `Date`, `Expires`, `Age`, and the fields that belong to a connection.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{self, AsHeaderName, HeaderMap, HeaderName, HeaderValue};

use super::directives::CDN_CACHE_CONTROL;
use super::syntax::{self, MAX_DELTA};

/// The latest time that an HTTP-date can tell: the last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// Reads an HTTP-date in one of its three formats (RFC 9110 §5.6.7). Wrong case is forgiven, which those formats
/// leave unambiguous; nothing else is.
pub fn http_date(value: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(value).ok()?;
    if let Ok(time) = httpdate::parse_http_date(text) {
        return Some(time);
    }
    httpdate::parse_http_date(&usual_case(text)).ok()
}

/// Words with a capital first letter, the time zone in capitals.
fn usual_case(text: &str) -> String {
    let mut in_word = false;
    let mut usual: String = text
        .chars()
        .map(|letter| {
            let cased = if in_word { letter.to_ascii_lowercase() } else { letter.to_ascii_uppercase() };
            in_word = letter.is_ascii_alphabetic();
            cased
        })
        .collect();
    if let Some(start) = usual.strip_suffix(" Gmt").map(str::len) {
        usual.replace_range(start.., " GMT");
    }
    usual
}

/// Writes an HTTP-date. Times that it cannot tell are taken as the nearest one it can.
pub fn render_date(time: SystemTime) -> HeaderValue {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST_SECOND);
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// Writes what [`render_date`] renders.
pub fn write_date(time: SystemTime, out: &mut impl fmt::Write) {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST_SECOND);
    // What is written to does not fail.
    let _ = write!(out, "{}", httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds)));
}

/// The time in `Date`. Of several, the earliest: it makes the response the oldest. Invalid ones do not count.
pub fn date(response: &HeaderMap) -> Option<SystemTime> {
    syntax::lines(response, header::DATE).filter_map(http_date).min()
}

/// The time in a field that may come once and is ignored when it is invalid.
pub(super) fn date_in<K: AsHeaderName>(fields: &HeaderMap, name: K) -> Option<SystemTime> {
    http_date(syntax::single(fields, name)?)
}

/// Adds `Date`, or replaces an invalid one, in a response that is to be stored or forwarded (RFC 9110 §6.6.1).
pub fn ensure_date(response: &mut HeaderMap, received: SystemTime) {
    if date(response).is_none() {
        response.insert(header::DATE, render_date(received));
    }
}

/// When a response expires by `Expires` (RFC 9111 §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// The field is not there.
    Absent,
    /// The field is invalid, such as `0`, or comes several times with different values.
    Past,
    /// At this time.
    At(SystemTime),
}

impl Expires {
    /// Reads the field.
    pub fn of(response: &HeaderMap) -> Self {
        if !response.contains_key(header::EXPIRES) {
            return Self::Absent;
        }
        date_in(response, header::EXPIRES).map_or(Self::Past, Self::At)
    }
}

/// The time in `Age` (RFC 9111 §5.1), zero if it is not there.
///
/// One that nobody maintained makes the response as old as can be: anything but digits, several lines, or the
/// `, ` with which a recipient joins lines. Of a list with bare commas the first member counts, as that section says.
pub fn age(response: &HeaderMap) -> Duration {
    let mut lines = syntax::lines(response, header::AGE);
    let Some(line) = lines.next().map(syntax::trim) else {
        return Duration::ZERO;
    };
    let seconds = if lines.next().is_some() || line.iter().any(|byte| b" \t".contains(byte)) {
        None
    } else {
        line.split(|&byte| byte == b',').next().and_then(syntax::number)
    };
    Duration::from_secs(seconds.unwrap_or(MAX_DELTA).min(MAX_DELTA))
}

/// Fields that belong to one connection even if `Connection` does not name them (RFC 9110 §7.6.1). `Trailer` is not
/// among them: it tells the recipient of the content what comes after it.
static HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields between a proxy and its neighbours, which are forwarded but not stored (RFC 9111 §3.1).
static PROXY_FIELDS: [HeaderName; 3] = [
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
];

/// Fields that `Connection` must not name (RFC 9110 §7.6.1: those intended for all recipients). If it could, a client
/// would take from the origin the fields on which its answer depends, or hide a loop.
static END_TO_END: [HeaderName; 29] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    CDN_CACHE_CONTROL,
    HeaderName::from_static("cdn-loop"),
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::FORWARDED,
    header::HOST,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::RANGE,
    header::SET_COOKIE,
    header::VARY,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    header::ORIGIN,
];

/// The fields that `Connection` may and does name.
pub(super) fn named_in_connection(fields: &HeaderMap) -> Vec<HeaderName> {
    syntax::lines(fields, header::CONNECTION)
        .flat_map(syntax::plain_members)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !END_TO_END.contains(name))
        .collect()
}

/// Removes the fields that belong to the connection they came on, in either direction (RFC 9110 §7.6.1).
pub fn strip_hop_by_hop(fields: &mut HeaderMap) {
    if !has_any(fields, &HOP_BY_HOP) {
        return;
    }
    for name in named_in_connection(fields) {
        fields.remove(name);
    }
    for name in &HOP_BY_HOP {
        fields.remove(name);
    }
}

/// Whether there is a field of one of these names. A look at the few that are there spares a search for each that might be.
pub(super) fn has_any(fields: &HeaderMap, names: &[HeaderName]) -> bool {
    fields.keys().any(|name| names.contains(name))
}

/// The fields of a response that are stored (RFC 9111 §3.1): all but those of the connection, those between proxies,
/// and `omitted`. Order and repeats are kept. The values share memory with the originals.
pub fn storable_fields(response: &HeaderMap, omitted: &[HeaderName]) -> HeaderMap {
    let named = named_in_connection(response);
    let mut stored = HeaderMap::with_capacity(response.keys_len());
    for (name, value) in response {
        let is_kept = !is_never_stored(name) && !named.contains(name) && !omitted.contains(name);
        if is_kept {
            stored.append(name, value.clone());
        }
    }
    stored
}

/// Fields that are in no stored response.
pub(super) fn is_never_stored(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name) || PROXY_FIELDS.contains(name)
}
