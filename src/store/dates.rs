//! Dates, written.
//!
//! Heads keep a date as seconds. To write one out takes longer than all else that a hit does with a field, and what is asked
//! for a lot has the same dates each time; so each thread keeps those that it has last written.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

use crate::policy::fields;

/// How many a thread keeps, of different seconds.
const KEPT: usize = 128;

thread_local! {
    static WRITTEN: RefCell<[Option<(u32, HeaderValue)>; KEPT]> = const { RefCell::new([const { None }; KEPT]) };
}

/// The time so many seconds after 1970.
pub(super) fn time(seconds: u32) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.into())
}

/// The same as a field value.
pub(super) fn value(seconds: u32) -> HeaderValue {
    WRITTEN.with_borrow_mut(|written| {
        // The remainder is below their number.
        let kept = &mut written[seconds as usize % KEPT];
        match kept {
            Some((of, value)) if *of == seconds => value.clone(),
            _ => kept.insert((seconds, fields::render_date(time(seconds)))).1.clone(),
        }
    })
}

/// The seconds of a value that is a date, if that is all that it says: written back, it is the same bytes.
pub(super) fn seconds(value: &[u8]) -> Option<u32> {
    u32::try_from(fields::usual_seconds(value)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_that_share_a_place_are_told_apart() {
        let (one, other) = (1_700_000_000, 1_700_000_000 + KEPT as u32);
        for seconds in [one, other, one, one, other, 0, u32::MAX] {
            assert_eq!(value(seconds), fields::render_date(time(seconds)));
            assert_eq!(self::seconds(value(seconds).as_bytes()), Some(seconds));
        }
    }

    #[test]
    fn what_would_not_come_out_the_same_is_no_date() {
        for other in [
            "Sun, 21 Nov 2026 07:00:00 GMT",
            "sat, 21 Nov 2026 07:00:00 GMT",
            "Sat, 21 Nov 2226 07:00:00 GMT",
            "Saturday, 21-Nov-26 07:00:00 GMT",
            "Sat Nov 21 07:00:00 2026",
            "",
        ] {
            assert_eq!(seconds(other.as_bytes()), None, "{other}");
        }
    }
}
