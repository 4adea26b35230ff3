//! How much is remembered.

use std::iter::Sum;
use std::ops::Add;

/// The size of the log or of a part of it, for reports and for who decides when to sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Subjects that have a cell, and nodes of prefixes.
    pub cells: u64,
    /// Bytes that they take, nearly.
    pub bytes: u64,
}

impl Add for Figures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cells: self.cells + other.cells, bytes: self.bytes + other.bytes }
    }
}

impl Sum for Figures {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}
