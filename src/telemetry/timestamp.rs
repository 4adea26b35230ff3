//! Dates as logs write them, in UTC.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

thread_local! {
    static LAST_RFC3339: Last<19> = const { Last::none() };
    static LAST_COMMON: Last<26> = const { Last::none() };
}

/// `2026-11-21T06:19:33.042Z` (RFC 3339).
pub fn rfc3339(time: SystemTime) -> String {
    let mut out = Vec::with_capacity(24);
    write_rfc3339(time, &mut out);
    out.into_iter().map(char::from).collect()
}

/// Appends the same.
pub(super) fn write_rfc3339(time: SystemTime, out: &mut Vec<u8>) {
    let since = since_epoch(time);
    let second = LAST_RFC3339.with(|last| last.or_render(since.as_secs(), rfc3339_second));
    out.extend_from_slice(&second);
    let [a, b, c] = digits(since.subsec_millis().into());
    out.extend_from_slice(&[b'.', a, b, c, b'Z']);
}

/// Appends `21/Nov/2026:06:19:33 +0000`, as in the combined log format.
pub(super) fn write_common(time: SystemTime, out: &mut Vec<u8>) {
    let second = LAST_COMMON.with(|last| last.or_render(since_epoch(time).as_secs(), common_second));
    out.extend_from_slice(&second);
}

/// The second that this thread has rendered last: most lines are of the same one as the line before.
struct Last<const N: usize>(Cell<(u64, [u8; N])>);

impl<const N: usize> Last<N> {
    const fn none() -> Self {
        Self(Cell::new((u64::MAX, [0; N])))
    }

    fn or_render(&self, second: u64, render: fn(u64) -> [u8; N]) -> [u8; N] {
        let (last, text) = self.0.get();
        if last == second {
            return text;
        }
        let text = render(second);
        self.0.set((second, text));
        text
    }
}

/// What lies before 1970 shows as 1970.
fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `2026-11-21T06:19:33`
fn rfc3339_second(second: u64) -> [u8; 19] {
    let (year, month, day) = date(second / 86_400);
    let [y0, y1, y2, y3] = digits(year);
    let [m0, m1] = digits(month.into());
    let [d0, d1] = digits(day.into());
    let [t0, t1, t2, t3, t4, t5, t6, t7] = time_of_day(second);
    [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', t0, t1, t2, t3, t4, t5, t6, t7]
}

/// `21/Nov/2026:06:19:33 +0000`
fn common_second(second: u64) -> [u8; 26] {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let (year, month, day) = date(second / 86_400);
    let [d0, d1] = digits(day.into());
    let [m0, m1, m2] = **MONTHS.get(usize::from(month) - 1).unwrap_or(&b"???");
    let [y0, y1, y2, y3] = digits(year);
    let [t0, t1, t2, t3, t4, t5, t6, t7] = time_of_day(second);
    let mut text = *b"21/Nov/2026:06:19:33 +0000";
    let [front @ .., _, _, _, _, _, _] = &mut text;
    *front = [d0, d1, b'/', m0, m1, m2, b'/', y0, y1, y2, y3, b':', t0, t1, t2, t3, t4, t5, t6, t7];
    text
}

/// `06:19:33`
fn time_of_day(second: u64) -> [u8; 8] {
    let [h0, h1] = digits(second / 3600 % 24);
    let [m0, m1] = digits(second / 60 % 60);
    let [s0, s1] = digits(second % 60);
    [h0, h1, b':', m0, m1, b':', s0, s1]
}

/// The last `N` decimal digits.
fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    digits
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
    fn a_remembered_second_is_used_for_no_other() {
        let both = |seconds: u64| {
            let mut out = Vec::new();
            let time = UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + 7);
            write_rfc3339(time, &mut out);
            write_common(time, &mut out);
            String::from_utf8(out).unwrap()
        };
        let [first, second] = [
            "1970-01-01T00:00:01.007Z01/Jan/1970:00:00:01 +0000",
            "1970-01-02T00:00:01.007Z02/Jan/1970:00:00:01 +0000",
        ];
        assert_eq!([1, 86_401, 86_401, 1].map(both), [first, second, second, first]);
    }

    #[test]
    fn what_lies_before_the_epoch_shows_as_the_epoch() {
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(5)), "1970-01-01T00:00:00.000Z");
    }
}
