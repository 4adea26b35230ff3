//! The invalidation log: what was purged, since when.
//!
//! A purge is a *fact*: a subject (a URL, a tag, a host, ...), hard or soft, with a number. Facts live in *cells*, one
//! per subject, which only remember the highest number. An entry holds the cells that concern it ([`Marks`]) and
//! two numbers ([`Stamp`]); it is alive as long as no hard fact is younger than its body. So a purge costs the same
//! for one entry and for a million: one store.
//!
//! Everything is read through [`Log::published`]: a number is published once all facts of its purge are written, and
//! a purge is answered after that. Whoever arrives later reads at least that number, and so sees the facts.

mod cell;
mod log;
mod marks;

pub use log::{Fact, Group, Kind, Log, Subject, Subjects};
pub use marks::{Alive, Marks, Stamp};

/// A place in the log. Zero: before every purge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// As a purge reports it.
    pub fn get(self) -> u64 {
        self.0
    }
}
