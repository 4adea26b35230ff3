//! Normal forms of `Accept-Language` and `Accept-Encoding` (RFC 9110 §12.5).

use std::borrow::Cow;

use super::syntax;

/// A language or a coding with its weight.
struct Choice<'a> {
    /// In lower case.
    name: Cow<'a, [u8]>,
    /// In thousandths.
    weight: u16,
}

/// In lower case, most preferred first, equally preferred ones by name, without weights of one. `None`: the value
/// breaks the grammar and is to be compared as it is.
pub(super) fn normal_languages(value: &[u8]) -> Option<Vec<u8>> {
    Some(render(choices(value)?))
}

/// Like [`normal_languages`], and with today's names for `x-gzip` and `x-compress` (RFC 9110 §8.4.1).
pub(super) fn normal_encodings(value: &[u8]) -> Option<Vec<u8>> {
    let mut choices = choices(value)?;
    for choice in &mut choices {
        match &*choice.name {
            b"x-gzip" => choice.name = Cow::Borrowed(b"gzip"),
            b"x-compress" => choice.name = Cow::Borrowed(b"compress"),
            _ => {}
        }
    }
    Some(render(choices))
}

/// The one language that is preferred to all others, in lower case. `None` if there are several, or none.
pub(super) fn favourite(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut choices = choices(value)?;
    choices.sort_by_key(|choice| std::cmp::Reverse(choice.weight));
    let runner_up = choices.get(1).map_or(0, |choice| choice.weight);
    let first = choices.into_iter().next()?;
    (first.weight > runner_up && *first.name != *b"*").then_some(first.name)
}

fn choices(value: &[u8]) -> Option<Vec<Choice<'_>>> {
    syntax::plain_members(value).map(choice).collect()
}

fn choice(member: &[u8]) -> Option<Choice<'_>> {
    let mut parts = member.split(|&byte| byte == b';').map(syntax::trim);
    let name = parts.next()?;
    let weight = match parts.next() {
        None => 1000,
        Some([b'q' | b'Q', b'=', weight @ ..]) => thousandths(weight)?,
        Some(_) => return None,
    };
    let is_whole =
        parts.next().is_none() && !name.is_empty() && name.iter().all(|&b| syntax::is_token_byte(b));
    is_whole.then(|| Choice { name: lower_case(name), weight })
}

fn lower_case(name: &[u8]) -> Cow<'_, [u8]> {
    if name.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// A weight: 0 to 1 with up to three decimals (RFC 9110 §12.4.2).
fn thousandths(weight: &[u8]) -> Option<u16> {
    let (whole, decimals) = match weight {
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        [whole] => (whole, &[][..]),
        _ => return None,
    };
    if !matches!(whole, b'0' | b'1') || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = std::iter::once(whole).chain(decimals).chain(std::iter::repeat(&b'0')).take(4);
    let value = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    (value <= 1000).then_some(value)
}

fn render(mut choices: Vec<Choice<'_>>) -> Vec<u8> {
    choices.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.name.cmp(&b.name)));
    let mut value = Vec::new();
    for choice in choices {
        if !value.is_empty() {
            value.push(b',');
        }
        value.extend_from_slice(&choice.name);
        if choice.weight < 1000 {
            value.extend_from_slice(format!(";q=0.{:03}", choice.weight).as_bytes());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_at_most_three_decimals_and_are_at_most_one() {
        let rows: [(&[u8], Option<u16>); 10] = [
            (b"0", Some(0)),
            (b"1", Some(1000)),
            (b"1.", Some(1000)),
            (b"0.5", Some(500)),
            (b"0.05", Some(50)),
            (b"0.001", Some(1)),
            (b"1.001", None),
            (b"2", None),
            (b"0.0001", None),
            (b"", None),
        ];
        for (weight, expected) in rows {
            assert_eq!(thousandths(weight), expected, "{weight:?}");
        }
    }
}
