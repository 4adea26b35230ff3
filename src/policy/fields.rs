//! Single fields: `Date`, `Expires`, `Age`, and the fields that belong to a connection.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{self, AsHeaderName, HeaderMap, HeaderName, HeaderValue};

use super::directives::CDN_CACHE_CONTROL;
use super::syntax::{self, MAX_DELTA};

/// The latest time that an HTTP-date can tell: the last second of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// Reads an HTTP-date in one of its three formats (RFC 9110 §5.6.7). Wrong case is forgiven, which those formats
/// leave unambiguous; nothing else is.
pub fn http_date(value: &[u8]) -> Option<SystemTime> {
    if let Some(time) = usual_date(value) {
        return Some(time);
    }
    let text = std::str::from_utf8(value).ok()?;
    if let Ok(time) = httpdate::parse_http_date(text) {
        return Some(time);
    }
    httpdate::parse_http_date(&usual_case(text)).ok()
}

/// Three letters as one number, since numbers are compared faster.
const fn letters(first: u8, second: u8, third: u8) -> u32 {
    u32::from_be_bytes([0, first, second, third])
}

/// The days of the week, from that of 1 January 1970.
const WEEKDAYS: [u32; 7] = [
    letters(b'T', b'h', b'u'),
    letters(b'F', b'r', b'i'),
    letters(b'S', b'a', b't'),
    letters(b'S', b'u', b'n'),
    letters(b'M', b'o', b'n'),
    letters(b'T', b'u', b'e'),
    letters(b'W', b'e', b'd'),
];
const JAN: u32 = letters(b'J', b'a', b'n');
const FEB: u32 = letters(b'F', b'e', b'b');
const MAR: u32 = letters(b'M', b'a', b'r');
const APR: u32 = letters(b'A', b'p', b'r');
const MAY: u32 = letters(b'M', b'a', b'y');
const JUN: u32 = letters(b'J', b'u', b'n');
const JUL: u32 = letters(b'J', b'u', b'l');
const AUG: u32 = letters(b'A', b'u', b'g');
const SEP: u32 = letters(b'S', b'e', b'p');
const OCT: u32 = letters(b'O', b'c', b't');
const NOV: u32 = letters(b'N', b'o', b'v');
const DEC: u32 = letters(b'D', b'e', b'c');

/// Reads the one format that is still written, `Sun, 06 Nov 1994 08:49:37 GMT`, since 1970: what it takes is what
/// [`render_date`] writes for that time, byte for byte. Whatever is not just so is left to [`http_date`], which knows all
/// formats. This is for speed: every answer of an origin has a date or two, and they are read more than once.
pub fn usual_date(value: &[u8]) -> Option<SystemTime> {
    usual_seconds(value).map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}

/// The same in seconds since 1970.
pub fn usual_seconds(value: &[u8]) -> Option<u64> {
    #[rustfmt::skip]
    let [
        w2, w1, w0, b',', b' ', d1, d0, b' ', m2, m1, m0, b' ', y3, y2, y1, y0, b' ',
        h1, h0, b':', i1, i0, b':', s1, s0, b' ', b'G', b'M', b'T',
    ] = value else { return None };
    // The month, and how many days of a common year have gone before it.
    let (month, days_before, length) = match letters(*m2, *m1, *m0) {
        JAN => (1, 0, 31),
        FEB => (2, 31, 28),
        MAR => (3, 59, 31),
        APR => (4, 90, 30),
        MAY => (5, 120, 31),
        JUN => (6, 151, 30),
        JUL => (7, 181, 31),
        AUG => (8, 212, 31),
        SEP => (9, 243, 30),
        OCT => (10, 273, 31),
        NOV => (11, 304, 30),
        DEC => (12, 334, 31),
        _ => return None,
    };
    let (day, year) = (two_digits(*d1, *d0)?, two_digits(*y3, *y2)? * 100 + two_digits(*y1, *y0)?);
    let (hour, minute, second) = (two_digits(*h1, *h0)?, two_digits(*i1, *i0)?, two_digits(*s1, *s0)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = length + u64::from(is_leap && month == 2);
    if year < 1970 || day == 0 || day > longest || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Leap days of the years before this one.
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let days = years + days_before + u64::from(is_leap && month > 2) + day - 1;
    if letters(*w2, *w1, *w0) != WEEKDAYS[(days % 7) as usize] {
        return None;
    }
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn two_digits(tens: u8, ones: u8) -> Option<u64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u64::from(tens * 10 + ones))
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
    let text = httpdate::fmt_http_date(whole_seconds(time));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// The time as an HTTP-date tells it.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().min(LAST_SECOND);
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The time in `Date`. Of several, the earliest: it makes the response the oldest. Invalid ones do not count.
pub fn date(response: &HeaderMap) -> Option<SystemTime> {
    syntax::lines(response, header::DATE).filter_map(http_date).min()
}

/// The time in a field that may come once and is ignored when it is invalid.
pub(super) fn date_in<K: AsHeaderName>(fields: &HeaderMap, name: K) -> Option<SystemTime> {
    http_date(syntax::single(fields, name)?)
}

/// Adds `Date`, or replaces an invalid one, in a response that is to be stored or forwarded (RFC 9110 §6.6.1). Returns the
/// time that it tells.
pub fn ensure_date(response: &mut HeaderMap, received: SystemTime) -> SystemTime {
    date(response).unwrap_or_else(|| {
        let told = whole_seconds(received);
        response.insert(header::DATE, render_date(told));
        told
    })
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
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(*name, header::CONNECTION | header::TE | header::TRANSFER_ENCODING | header::UPGRADE)
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
}

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
static PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");

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
        // Most say nothing but that, and name nothing by it that does not go anyway.
        .filter(|line| !line.eq_ignore_ascii_case(b"keep-alive"))
        .flat_map(syntax::plain_members)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !END_TO_END.contains(name))
        .collect()
}

/// Removes the fields that belong to the connection they came on, in either direction (RFC 9110 §7.6.1).
pub fn strip_hop_by_hop(fields: &mut HeaderMap) {
    // None or one as a rule: a look at the few fields that are there costs less than a search for each that might be.
    let mut left = fields.keys().filter(|name| is_hop_by_hop(name)).count();
    if left == 0 {
        return;
    }
    for name in named_in_connection(fields) {
        fields.remove(name);
    }
    while left > 0
        && let Some(name) = fields.keys().find(|name| is_hop_by_hop(name)).cloned()
    {
        fields.remove(name);
        left -= 1;
    }
}

/// Whether there is a field of one of these names. A look at the few that are there spares a search for each that might be.
pub(super) fn has_any(fields: &HeaderMap, names: &[HeaderName]) -> bool {
    fields.keys().any(|name| names.contains(name))
}

/// The fields of a response that are stored (RFC 9111 §3.1), in order, repeats kept: all but those of the connection, those
/// between proxies, and `omitted`.
pub fn storable_fields<'a>(
    response: &'a HeaderMap,
    omitted: &'a [HeaderName],
) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
    let named = named_in_connection(response);
    response
        .iter()
        .filter(move |(name, _)| !is_never_stored(name) && !named.contains(name) && !omitted.contains(name))
}

/// Fields that are in no stored response.
pub(super) fn is_never_stored(name: &HeaderName) -> bool {
    // Those between a proxy and its neighbours are forwarded but not stored (RFC 9111 §3.1).
    is_hop_by_hop(name)
        || matches!(*name, header::PROXY_AUTHENTICATE | header::PROXY_AUTHORIZATION)
        || *name == PROXY_AUTHENTICATION_INFO
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every day at another time of it, from 1970 to 2410; and each text with one byte changed.
    #[test]
    fn usual_dates_are_read_as_all_dates_are() {
        for day in 0..160_700 {
            let seconds = day * 86_400 + day * 7_919 % 86_400;
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            let text = httpdate::fmt_http_date(time);
            assert_eq!(usual_date(text.as_bytes()), Some(time), "{text}");
            assert_eq!(render_date(time), text);
            let mut changed = text.into_bytes();
            let at = (day % 29) as usize;
            changed[at] = b"0123456789:, ABCDEFGJMNOPSTaeu"[(day / 29 % 30) as usize];
            let Ok(changed) = std::str::from_utf8(&changed) else { continue };
            if let Some(read) = usual_date(changed.as_bytes()) {
                assert_eq!(httpdate::parse_http_date(changed).ok(), Some(read), "{changed}");
                assert_eq!(render_date(read), changed);
            }
        }
    }

    #[test]
    fn dates_that_do_not_exist_are_none() {
        let rows = [
            "Sun, 29 Feb 2026 00:00:00 GMT",
            "Sat, 31 Apr 2026 00:00:00 GMT",
            "Mon, 01 Jan 2100 24:00:00 GMT",
            "Fri, 00 Jan 2027 00:00:00 GMT",
            "Sun, 21 Nov 2026 08:00:00 GMT",
            "Sat, 21 Nov 2026 08:60:00 GMT",
            "Sat, 21 Nov 2026 08:00:+1 GMT",
        ];
        for text in rows {
            assert_eq!(http_date(text.as_bytes()), None, "{text}");
        }
    }
}
