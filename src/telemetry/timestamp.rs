//! Dates as logs write them, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment taken apart. What lies before 1970 shows as 1970.
struct Civil {
    year: u64,
    /// From 1.
    month: u8,
    day: u8,
    hour: u64,
    minute: u64,
    second: u64,
    millis: u32,
}

/// `2026-11-21T06:19:33.042Z` (RFC 3339).
pub fn rfc3339(time: SystemTime) -> String {
    let Civil { year, month, day, hour, minute, second, millis } = Civil::of(time);
    let parts = [
        (year, 4, '-'),
        (month.into(), 2, '-'),
        (day.into(), 2, 'T'),
        (hour, 2, ':'),
        (minute, 2, ':'),
        (second, 2, '.'),
        (millis.into(), 3, 'Z'),
    ];
    let mut out = String::with_capacity(24);
    for (number, width, end) in parts {
        out.extend(digits(number, width).map(char::from));
        out.push(end);
    }
    out
}

/// The last `width` decimal digits.
fn digits(number: u64, width: u32) -> impl Iterator<Item = u8> {
    (0..width).rev().map(move |place| b'0' + (number / 10_u64.pow(place) % 10) as u8)
}

/// `21/Nov/2026:06:19:33 +0000`, as in the combined log format.
pub(super) fn write_common(time: SystemTime, out: &mut Vec<u8>) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Civil { year, month, day, hour, minute, second, .. } = Civil::of(time);
    let month = MONTHS.get(usize::from(month) - 1).unwrap_or(&"???");
    out.extend(digits(day.into(), 2));
    out.push(b'/');
    out.extend_from_slice(month.as_bytes());
    out.push(b'/');
    for (number, width, end) in [(year, 4, b':'), (hour, 2, b':'), (minute, 2, b':'), (second, 2, b' ')] {
        out.extend(digits(number, width));
        out.push(end);
    }
    out.extend_from_slice(b"+0000");
}

impl Civil {
    fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, millis) = (since.as_secs(), since.subsec_millis());
        let (year, month, day) = date(seconds / 86_400);
        Self {
            year,
            month,
            day,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            millis,
        }
    }
}

/// Year, month and day of the day `days` after 1970-01-01.
///
/// Years are taken to begin in March, so that the leap day comes last: then each month's first day follows from
/// the months' lengths 31, 30, 31, 30, 31, which repeat every 153 days.
fn date(days: u64) -> (u64, u8, u8) {
    const FROM_0000_03_01: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + FROM_0000_03_01;
    let era = days / DAYS_IN_400_YEARS;
    let day = days % DAYS_IN_400_YEARS;
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month as u8, day_of_month as u8)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_agree_with_an_independent_implementation() {
        // Every 17th day for 400 years meets every month's end and every kind of leap year.
        for day in (0..146_097).step_by(17) {
            let time = UNIX_EPOCH + Duration::from_secs(day * 86_400 + 45_296);
            let (year, month, number) = date(day);
            let imf = httpdate::fmt_http_date(time);
            let mut common = Vec::new();
            write_common(time, &mut common);
            let common = String::from_utf8(common).unwrap();
            // Thu, 01 Jan 1970 12:34:56 GMT
            let expected = format!("{}/{}/{}:12:34:56 +0000", &imf[5..7], &imf[8..11], &imf[12..16]);
            assert_eq!(common, expected);
            assert!(rfc3339(time).starts_with(&format!("{year:04}-{month:02}-{number:02}T12:34:56.000Z")));
        }
    }

    #[test]
    fn milliseconds_are_cut_not_rounded() {
        let time = UNIX_EPOCH + Duration::from_micros(1_767_225_599_999_999);
        assert_eq!(rfc3339(time), "2025-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_lies_before_the_epoch_shows_as_the_epoch() {
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(5)), "1970-01-01T00:00:00.000Z");
    }
}
