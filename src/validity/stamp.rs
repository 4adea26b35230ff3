//! The numbers that a stored response carries.

use super::sync::{AtomicU32, AtomicU64, Ordering};
use crate::clock::Moment;

/// A number in the log. Zero is before the first purge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Sequence(pub(super) u64);

impl Sequence {
    /// As a plain number, for reports.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The number before it.
    pub fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// How far it is above `lower`; less where that is too far.
    fn above(self, lower: Self) -> u32 {
        u32::try_from(self.0.saturating_sub(lower.0)).unwrap_or(u32::MAX)
    }

    fn plus(self, distance: u32) -> Self {
        // Half a word above a number that counts from zero: nobody lives to see it overflow.
        Self(self.0.wrapping_add(distance.into()))
    }
}

/// In [`Stamp::softened`]: no soft fact has hit.
const NEVER: u64 = u64::MAX;

/// How young a response is, in the log's numbers, and up to where that has been looked up.
///
/// There are as many of these as stored responses: so two of the numbers are kept as how far they are above `body`. One
/// that is further above than there is room for counts as less, which costs looks and revalidations and never a purge.
#[derive(Debug)]
pub struct Stamp {
    /// INVARIANT: not above what was published when the request that brought the bytes was sent, and never raised:
    /// otherwise a purge between sending and raising would be missed.
    body: Sequence,
    /// Above `body`.
    /// INVARIANT: not above what was published when the last validating request was sent.
    validated: u32,
    /// Above `body`.
    /// INVARIANT: no hard fact numbered up to `memo` kills the response, and every soft one that hits it is in
    /// `softened`. It starts at `body`, where both hold for want of facts: those up to `body` do not count.
    ///
    /// Holds under threads because it only grows, and only to a number that was *published before* the look at the
    /// cells: facts up to there were visible to that look, younger ones may or may not have been.
    memo: AtomicU32,
    /// Boot-clock nanoseconds of the earliest soft fact that was seen to hit, or [`NEVER`].
    /// INVARIANT: written before the `memo` that covers it (Release there, Acquire on reading).
    softened: AtomicU64,
}

impl Stamp {
    /// For a response whose request was sent after `body` had been read from
    /// [`Log::published`](super::Log::published).
    pub fn new(body: Sequence) -> Self {
        Self::with(body, body)
    }

    /// The same bytes, validated by a 304 (or a matching HEAD) whose request was sent after `at` had been read. The
    /// bytes are as old as before, so hard facts still count from `body`.
    pub fn revalidated(&self, at: Sequence) -> Self {
        // Nothing that was looked up carries over: the 304 may have brought other tags.
        Self::with(self.body, self.validated().max(at))
    }

    /// For a response combined from parts of one strong validator (RFC 9111 §3.4): as old as its oldest part, and as
    /// current as its newest, which vouches for the other as a 304 would.
    pub fn joint(&self, other: &Stamp) -> Self {
        Self::with(self.body.min(other.body), self.validated().max(other.validated()))
    }

    /// When the bytes were asked for.
    pub fn body(&self) -> Sequence {
        self.body
    }

    /// When they were last known to be current.
    pub fn validated(&self) -> Sequence {
        self.body.plus(self.validated)
    }

    fn with(body: Sequence, validated: Sequence) -> Self {
        let softened = AtomicU64::new(NEVER);
        Self { body, validated: validated.above(body), memo: AtomicU32::new(0), softened }
    }

    /// Whether the cells need not be looked at: nothing was published since they last were.
    pub(super) fn is_known_alive(&self, published: Sequence) -> bool {
        self.looked_up() >= published
    }

    /// No fact up to here need be looked at again.
    pub(super) fn looked_up(&self) -> Sequence {
        self.body.plus(self.memo.load(Ordering::Acquire))
    }

    /// Records that the response was found alive by a look that began after `published` had been read.
    pub(super) fn remember(&self, published: Sequence, softened: Option<Moment>) {
        if let Some(moment) = softened {
            self.softened.fetch_min(moment.to_nanos(), Ordering::Relaxed);
        }
        self.memo.fetch_max(published.above(self.body), Ordering::Release);
    }

    /// The earliest soft fact that a remembered look has found.
    pub(super) fn softened(&self) -> Option<Moment> {
        match self.softened.load(Ordering::Relaxed) {
            NEVER => None,
            nanos => Some(Moment::from_nanos(nanos)),
        }
    }
}

impl Clone for Stamp {
    fn clone(&self) -> Self {
        // What has been looked up need not be carried over. That also keeps the two words from being read apart.
        Self::with(self.body, self.validated())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_304_moves_validated_and_never_body() {
        let stamp = Stamp::new(Sequence(3)).revalidated(Sequence(8));
        assert_eq!((stamp.body(), stamp.validated()), (Sequence(3), Sequence(8)));
        // A slower 304 that was sent earlier takes nothing back.
        assert_eq!(stamp.revalidated(Sequence(5)).validated(), Sequence(8));
    }

    #[test]
    fn combined_parts_are_as_old_as_the_oldest_and_as_current_as_the_newest() {
        let old = Stamp::new(Sequence(2)).revalidated(Sequence(9));
        let joint = Stamp::new(Sequence(4)).joint(&old);
        assert_eq!((joint.body(), joint.validated()), (Sequence(2), Sequence(9)));
    }

    #[test]
    fn what_was_looked_up_is_not_carried_over_a_304() {
        let stamp = Stamp::new(Sequence(1));
        stamp.remember(Sequence(7), Some(Moment::from_nanos(5)));
        assert!(stamp.is_known_alive(Sequence(7)));
        let after = stamp.revalidated(Sequence(7));
        assert!(!after.is_known_alive(Sequence(7)));
        assert_eq!(after.softened(), None);
    }

    #[test]
    fn what_is_too_far_above_counts_as_less() {
        let far = Sequence(7 + (1 << 32));
        let stamp = Stamp::new(Sequence(7));
        stamp.remember(far, None);
        assert!(!stamp.is_known_alive(far) && stamp.is_known_alive(Sequence(far.0 - 1)));
        assert_eq!(stamp.revalidated(far).validated(), Sequence(far.0 - 1));
        assert_eq!(stamp.revalidated(Sequence(3)).validated(), Sequence(7));
    }

    #[test]
    fn the_earliest_soft_fact_stays() {
        let stamp = Stamp::new(Sequence(0));
        stamp.remember(Sequence(1), Some(Moment::from_nanos(50)));
        stamp.remember(Sequence(2), Some(Moment::from_nanos(90)));
        assert_eq!(stamp.softened(), Some(Moment::from_nanos(50)));
    }
}
