//! Taking field values apart: comma lists, quoted strings, numbers (RFC 9110 §5.6, RFC 9111 §1.2.2).

use std::borrow::Cow;

use http::header::{AsHeaderName, HeaderMap};

/// The largest number of seconds that is told apart: 2^31. Larger ones are taken as this (RFC 9111 §1.2.2).
pub(super) const MAX_DELTA: u64 = 1 << 31;

/// How `\` counts between double quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Backslash {
    /// It takes the meaning from the next character: quoted strings (RFC 9110 §5.6.4).
    Escapes,
    /// It is a character like others: entity tags (RFC 9110 §8.8.3).
    Literal,
}

/// The values of all lines of a field, as bytes.
pub(super) fn lines<K: AsHeaderName>(fields: &HeaderMap, name: K) -> impl Iterator<Item = &[u8]> {
    fields.get_all(name).into_iter().map(http::HeaderValue::as_bytes)
}

/// The value of a field that may come once. `None`: absent, or there are several lines that differ.
pub(super) fn single<K: AsHeaderName>(fields: &HeaderMap, name: K) -> Option<&[u8]> {
    let mut lines = lines(fields, name);
    let first = lines.next()?;
    lines.all(|other| other == first).then_some(first)
}

/// Without spaces and tabs at both ends (OWS, RFC 9110 §5.6.3).
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The members of a comma list, trimmed, without the empty ones. A comma between double quotes does not separate;
/// a quote that is never closed reaches to the end.
pub(super) fn members(value: &[u8], backslash: Backslash) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let current = rest?;
        let comma = match current.iter().position(|byte| matches!(byte, b',' | b'"')) {
            Some(quote) if current[quote] == b'"' => unquoted(current, b',', backslash),
            comma => comma,
        };
        let end = comma.unwrap_or(current.len());
        rest = current.get(end + 1..);
        Some(trim(&current[..end]))
    })
    .filter(|member| !member.is_empty())
}

/// The members of a comma list in which nothing is quoted, trimmed, without the empty ones.
pub(super) fn plain_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// Where `wanted` first stands outside double quotes.
fn unquoted(value: &[u8], wanted: u8, backslash: Backslash) -> Option<usize> {
    let mut quotes = Quotes::new(backslash);
    value.iter().position(|&byte| quotes.outside(byte) && byte == wanted)
}

/// Whether a double quote is opened and never closed.
pub(super) fn is_unterminated(value: &[u8]) -> bool {
    if !value.contains(&b'"') {
        return false;
    }
    let mut quotes = Quotes::new(Backslash::Escapes);
    for &byte in value {
        quotes.outside(byte);
    }
    quotes.open
}

/// Follows a value byte by byte and knows whether it is between double quotes.
pub(super) struct Quotes {
    backslash: Backslash,
    open: bool,
    escaped: bool,
}

impl Quotes {
    /// Before the first byte.
    pub(super) fn new(backslash: Backslash) -> Self {
        Self { backslash, open: false, escaped: false }
    }

    /// Takes the next byte; true if it stands outside quotes (the quotes themselves count as inside).
    pub(super) fn outside(&mut self, byte: u8) -> bool {
        if self.escaped {
            self.escaped = false;
            return false;
        }
        match byte {
            b'"' => {
                self.open = !self.open;
                false
            }
            b'\\' if self.open => {
                self.escaped = self.backslash == Backslash::Escapes;
                false
            }
            _ => !self.open,
        }
    }
}

/// Whether a byte may stand in a token (RFC 9110 §5.6.2).
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// The content of a quoted string that is the whole of `value`. `None` if it is not one.
pub(super) fn unquote(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let inner = value.strip_prefix(b"\"")?;
    let mut text = Vec::new();
    let mut bytes = inner.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' if at + 1 != inner.len() => return None,
            b'"' if text.len() == at => return Some(Cow::Borrowed(&inner[..at])),
            b'"' => return Some(Cow::Owned(text)),
            b'\\' => text.push(*bytes.next()?.1),
            _ => text.push(byte),
        }
    }
    None
}

/// A number of digits only; too large a one is `u64::MAX`. `None` if there is anything else, or nothing.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .fold(0_u64, |sum, &digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(value: &str, backslash: Backslash) -> Vec<&str> {
        members(value.as_bytes(), backslash).map(|member| std::str::from_utf8(member).unwrap()).collect()
    }

    #[test]
    fn a_comma_between_quotes_does_not_separate() {
        assert_eq!(split(r#" a , b="1,2" ,, c"#, Backslash::Escapes), ["a", r#"b="1,2""#, "c"]);
        assert_eq!(split(r#"a="\",", b"#, Backslash::Escapes), [r#"a="\",""#, "b"]);
        assert_eq!(split(r#""a\", "b""#, Backslash::Literal), [r#""a\""#, r#""b""#]);
        assert_eq!(split(r#"a="x, b"#, Backslash::Escapes), [r#"a="x, b"#]);
        assert!(split(" , ,", Backslash::Escapes).is_empty());
    }

    #[test]
    fn quoted_strings_are_unescaped_and_must_end_where_the_value_ends() {
        assert_eq!(unquote(br#""a\"b""#).unwrap().as_ref(), br#"a"b"#);
        assert_eq!(unquote(br#""""#).unwrap().as_ref(), b"");
        for bad in [&br#""a"#[..], br#""a"b"#, br#"a"#, br#""a\"#, br#"""#, b""] {
            assert_eq!(unquote(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn tokens_have_just_the_bytes_of_the_grammar() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_token_byte(byte), expected, "{byte}");
        }
    }

    #[test]
    fn numbers_are_digits_only_and_saturate() {
        assert_eq!(number(b"003600"), Some(3600));
        assert_eq!(number(b"99999999999999999999999"), Some(u64::MAX));
        for bad in [&b""[..], b"-1", b"+1", b"1.0", b" 1", b"a"] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
