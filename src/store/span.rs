//! Durations in half the room, and less.

use std::time::Duration;

/// In its upper half spans count seconds, in the lower milliseconds.
const SECONDS: u32 = 1 << 31;
const MILLIS_PER_SECOND: u64 = 1000;

/// A duration to the millisecond up to 24 days, to the second up to 68 years, which is as far as HTTP counts (RFC 9111
/// §1.2.2), and no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(u32);

impl Span {
    /// The longest span that is not longer.
    pub(super) fn within(duration: Duration) -> Self {
        match u32::try_from(duration.as_millis()) {
            Ok(millis) if millis < SECONDS => Self(millis),
            _ => Self(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).min(SECONDS - 1) | SECONDS),
        }
    }

    /// The shortest span that is not shorter; the longest there is, where none is long enough.
    pub(super) fn around(duration: Duration) -> Self {
        let within = Self::within(duration);
        if within.duration() >= duration { within } else { Self(within.0.saturating_add(1)) }
    }

    pub(super) fn duration(self) -> Duration {
        if self.0 < SECONDS {
            Duration::from_millis(self.0.into())
        } else {
            Duration::from_millis(u64::from(self.0 - SECONDS) * MILLIS_PER_SECOND)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn what_http_says_is_kept_exactly() {
        for seconds in [0, 1, 60, 86_400, 2_147_483, 2_147_484, 31_536_000, (1 << 31) - 1] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(Span::within(duration).duration(), duration);
            assert_eq!(Span::around(duration).duration(), duration);
        }
        let short = Duration::from_millis(1);
        assert_eq!(Span::within(20 * DAY + short).duration(), 20 * DAY + short);
    }

    #[test]
    fn what_is_not_kept_exactly_is_rounded_to_the_side_that_was_asked_for() {
        let nano = Duration::from_nanos(1);
        for duration in
            [nano, Duration::from_millis(5) + nano, DAY + nano, 24 * DAY + 23 * DAY / 24, 400 * DAY + nano]
        {
            let (within, around) = (Span::within(duration), Span::around(duration));
            assert!(within.duration() <= duration && duration <= around.duration(), "{duration:?}");
            assert!(around.duration() - within.duration() <= Duration::from_secs(1));
        }
    }

    #[test]
    fn the_longest_is_the_longest_either_way() {
        let longest = Duration::from_secs((1 << 31) - 1);
        for duration in [longest + Duration::from_nanos(1), Duration::MAX] {
            assert_eq!(Span::within(duration).duration(), longest);
            assert_eq!(Span::around(duration).duration(), longest);
        }
    }
}
