//! How much a stored response is asked for, counted without a cost that a hit would feel.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

/// After so many hits that are counted one by one, one in so many is, for all of them.
const SAMPLE: u32 = 16;

/// What a hit counts for, so that there is something to cool down in steps.
const HIT: u32 = 16;
/// What cools down loses this share, as a divisor: it is half as hot after eleven rounds.
const COOLING: u32 = 16;
/// A response without hits is worth a quarter of one; or it would not matter how large it is.
const FRESH: f64 = 4.0;

/// An estimate of the hits of one response, in [`HIT`]s. A counter that all threads write on every hit would go back and
/// forth between their caches; a busy one is written once in [`SAMPLE`] hits on average.
#[derive(Debug, Default)]
pub(super) struct Heat(AtomicU32);

impl Heat {
    pub(super) fn count(&self) {
        let heat = self.0.load(Ordering::Relaxed);
        if heat < SAMPLE * HIT {
            self.0.fetch_add(HIT, Ordering::Relaxed);
        } else if heat <= u32::MAX / 2 && is_sampled() {
            self.0.fetch_add(SAMPLE * HIT, Ordering::Relaxed);
        }
    }

    /// Hits; fewer, if there was need of room since.
    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed).div_ceil(HIT)
    }

    /// What a response of one byte with it is worth to keep.
    pub(super) fn worth(&self) -> f64 {
        f64::from(self.0.load(Ordering::Relaxed)) + FRESH
    }

    /// Loses a little. For one thread at a time.
    pub(super) fn cool(&self) {
        let heat = self.0.load(Ordering::Relaxed);
        if heat > 0 {
            self.0.fetch_sub(heat.div_ceil(COOLING), Ordering::Relaxed);
        }
    }

    /// Half of what the response had that is replaced: what is asked for a lot stays hot when it is renewed, and cools
    /// down when it is not asked for any more.
    pub(super) fn inherit(&self, from: &Heat) {
        self.0.fetch_max(from.0.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
    }
}

/// One in [`SAMPLE`], at random: requests that come in turns would deceive a counter.
fn is_sampled() -> bool {
    thread_local! {
        static STATE: Cell<u32> = const { Cell::new(0x9e37_79b9) };
    }
    STATE.with(|state| {
        // A xorshift, of the shifts that Marsaglia gives: all numbers but zero come up.
        let mut word = state.get();
        word ^= word << 13;
        word ^= word >> 17;
        word ^= word << 5;
        state.set(word);
        word.is_multiple_of(SAMPLE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heated(hits: u32) -> Heat {
        let heat = Heat::default();
        (0..hits).for_each(|_| heat.count());
        heat
    }

    #[test]
    fn few_hits_are_counted_and_many_are_estimated() {
        assert_eq!(heated(7).get(), 7);
        let many = heated(100_000).get();
        assert!((90_000..110_000).contains(&many), "{many}");
    }

    #[test]
    fn responses_that_are_asked_for_in_turns_are_equally_hot() {
        let turns: Vec<Heat> = (0..SAMPLE).map(|_| Heat::default()).collect();
        (0..20_000).for_each(|_| turns.iter().for_each(Heat::count));
        let heats: Vec<u32> = turns.iter().map(Heat::get).collect();
        assert!(heats.iter().all(|heat| (16_000..24_000).contains(heat)), "{heats:?}");
    }

    #[test]
    fn a_renewed_response_starts_half_as_hot() {
        let new = heated(2);
        new.inherit(&heated(10));
        assert_eq!(new.get(), 5);
        new.inherit(&heated(4));
        assert_eq!(new.get(), 5);
    }

    #[test]
    fn what_cools_down_gets_cold() {
        let heat = heated(10);
        (0..11).for_each(|_| heat.cool());
        assert_eq!(heat.get(), 5);
        (0..100).for_each(|_| heat.cool());
        assert_eq!((heat.get(), heat.worth()), (0, FRESH));
    }

    #[test]
    fn heat_does_not_run_over() {
        let heat = Heat(AtomicU32::new(u32::MAX / 2 + 1));
        (0..1000).for_each(|_| heat.count());
        assert_eq!(heat.get(), (u32::MAX / 2 + 1) / HIT);
    }
}
