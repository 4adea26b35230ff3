//! Field values that are made for each answer, with as little work as that takes.

use std::cell::RefCell;

use bytes::Bytes;
use http::header::{HeaderValue, InvalidHeaderValue};

/// Numbers below this are cut from a table: the ages and lengths of most answers are made without an allocation.
const TABLED: usize = 1_000;
/// Digits of the longest of them.
const WIDTH: usize = 3;

/// All of them, each at the right end of its place.
static TABLE: [u8; TABLED * WIDTH] = table();

const fn table() -> [u8; TABLED * WIDTH] {
    let mut digits = [b'0'; TABLED * WIDTH];
    let mut number = 0;
    while number < TABLED {
        let (mut left, mut place) = (number, WIDTH);
        while place > 0 {
            place -= 1;
            digits[number * WIDTH + place] = b'0' + (left % 10) as u8;
            left /= 10;
        }
        number += 1;
    }
    digits
}

/// A decimal number.
pub(super) fn number(number: u64) -> HeaderValue {
    let tabled = usize::try_from(number).ok().and_then(tabled);
    tabled.unwrap_or_else(|| rendered_number(number))
}

fn rendered_number(number: u64) -> HeaderValue {
    // Digits are a field value.
    HeaderValue::from_str(itoa::Buffer::new().format(number)).unwrap_or(HeaderValue::from_static("0"))
}

fn tabled(number: usize) -> Option<HeaderValue> {
    let width = match number {
        0..10 => 1,
        10..100 => 2,
        _ => WIDTH,
    };
    let end = number.checked_add(1)?.checked_mul(WIDTH)?;
    let digits = TABLE.get(end - width..end)?;
    HeaderValue::from_maybe_shared(Bytes::from_static(digits)).ok()
}

/// What `write` writes, copied once, into just the room that it takes.
///
/// # Errors
///
/// It is no field value (RFC 9110 §5.5).
pub(super) fn rendered(write: impl FnOnce(&mut Vec<u8>)) -> Result<HeaderValue, InvalidHeaderValue> {
    thread_local! {
        static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        write(scratch);
        HeaderValue::from_bytes(scratch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_whether_tabled_or_not() {
        for value in (0..2_000).chain([9_999, 1 << 32, u64::MAX]) {
            assert_eq!(number(value).as_bytes(), value.to_string().as_bytes());
        }
    }

    #[test]
    fn nothing_is_left_from_what_was_rendered_before() {
        assert_eq!(rendered(|out| out.extend_from_slice(b"longer")).unwrap(), "longer");
        assert_eq!(rendered(|out| out.extend_from_slice(b"short")).unwrap(), "short");
        assert!(rendered(|out| out.push(b'\n')).is_err());
    }
}
