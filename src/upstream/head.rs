//! Whether a response head can be relied on (RFC 9112 §6.3).
//!
//! By the time we see a head, hyper has chosen the framing: Transfer-Encoding if there is one, else Content-Length
//! (which it refuses if values differ), else the end of the connection. It leaves the fields as they were and takes
//! any Transfer-Encoding that does not end in `chunked` for a body of foreign bytes up to the end of the connection.

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::{Method, StatusCode, response};

use super::failure::Failure;

/// What becomes of the connection after the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It may serve the next request if hyper thinks so, too.
    Keep,
    /// Its bytes are in doubt: no further request may be sent on it.
    Discard,
}

/// Checks the framing fields and leaves at most one of them: a `Content-Length` that is true.
pub(super) fn settle_framing(head: &mut response::Parts, method: &Method) -> Result<Afterwards, Failure> {
    // We never send Upgrade (RFC 9110 §15.2.2).
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Failure::BadResponse);
    }
    let has_content =
        *method != Method::HEAD && !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = content_length(&head.headers)?;
    let encoded = head.headers.contains_key(TRANSFER_ENCODING);
    if encoded && has_content && is_coded(&head.headers) {
        // We never send TE with a coding, so there is none that we could undo (RFC 9112 §6.1).
        return Err(Failure::BadResponse);
    }
    if encoded {
        head.headers.remove(TRANSFER_ENCODING);
    }
    match length {
        // "Ought to be handled as an error", since it may be smuggling (RFC 9112 §6.3, item 3).
        Some(_) if encoded => {
            head.headers.remove(CONTENT_LENGTH);
            return Ok(Afterwards::Discard);
        }
        // RFC 9110 §8.6
        Some(_) if head.status == StatusCode::NO_CONTENT => {
            head.headers.remove(CONTENT_LENGTH);
        }
        // Several equal ones, in one line or more, become one (RFC 9110 §8.6).
        Some(length) if !length.is_plain => {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length.value));
        }
        _ => {}
    }
    Ok(Afterwards::Keep)
}

/// What `Content-Length` says.
#[derive(Clone, Copy)]
struct Length {
    value: u64,
    /// It is said once, in digits and nothing else.
    is_plain: bool,
}

/// The value of all `Content-Length` fields, if they agree (RFC 9112 §6.3, item 5).
fn content_length(fields: &HeaderMap) -> Result<Option<Length>, Failure> {
    let mut length: Option<Length> = None;
    for line in fields.get_all(CONTENT_LENGTH) {
        for member in line.as_bytes().split(|byte| *byte == b',') {
            let digits = member.trim_ascii();
            let value = number(digits).ok_or(Failure::BadResponse)?;
            if length.is_some_and(|other| other.value != value) {
                return Err(Failure::BadResponse);
            }
            length = Some(Length { value, is_plain: length.is_none() && digits.len() == line.len() });
        }
    }
    Ok(length)
}

/// `1*DIGIT`; unlike `str::parse` it takes no sign.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// The codings that are registered beside `chunked` (RFC 9112 §7.2).
const COMPRESSIONS: [&str; 5] = ["gzip", "x-gzip", "compress", "x-compress", "deflate"];

/// Whether the content is not what it seems: coded for transfer, or chunked more than once. A single word that names
/// no coding does not say that; such content ends with the connection.
fn is_coded(fields: &HeaderMap) -> bool {
    let mut lines = fields.get_all(TRANSFER_ENCODING).iter();
    let first = lines.next().map(HeaderValue::as_bytes).unwrap_or_default();
    let is_compression = |coding: &str| first.eq_ignore_ascii_case(coding.as_bytes());
    lines.next().is_some() || first.contains(&b',') || COMPRESSIONS.into_iter().any(is_compression)
}
