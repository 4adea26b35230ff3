//! What is asked for: prebuilt bytes with ten digits in them, and the numbers that go there.

use std::ops::Range;

/// Wide enough for every number; a fixed width keeps all requests of a workload equally long.
const DIGITS: usize = 10;

/// The bytes of a request, all but its number.
pub(crate) struct Template {
    bytes: Vec<u8>,
    number: Range<usize>,
}

impl Template {
    /// `text` is a whole request with `#` in place of the number.
    pub(crate) fn new(text: &str) -> Self {
        let at = text.find('#').unwrap_or(text.len());
        let bytes = text.replace('#', &"0".repeat(DIGITS)).into_bytes();
        let number = at..(at + DIGITS).min(bytes.len());
        Self { bytes, number }
    }

    /// A copy to write numbers into.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// Puts a number into such a copy.
    pub(crate) fn set(&self, bytes: &mut [u8], mut number: u64) {
        for digit in bytes[self.number.clone()].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }
}

/// Which numbers a workload asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pick {
    /// All below this in turn.
    Cycle(u64),
    /// Any below this, equally likely.
    Uniform(u64),
    /// One that was never asked for.
    Fresh,
    /// The same new one so many times in a row, so that those who ask at once wait for one fetch.
    Crowd(u64),
    /// One in ten never asked for, else one of so many by Zipf's law (exponent 1).
    Mixed(u64),
}

/// Numbers below this are for what is asked for again; fresh ones start here.
const FRESH: u64 = 1_000_000_000;

/// Makes numbers. Fresh ones stay fresh over the whole life of the value, whatever was picked between.
pub(crate) struct Numbers {
    made: u64,
    fresh: u64,
    random: u64,
    zipf: Vec<u32>,
}

impl Numbers {
    /// The same sequence every time.
    pub(crate) fn new() -> Self {
        Self { made: 0, fresh: FRESH, random: 0x9e37_79b9_7f4a_7c15, zipf: Vec::new() }
    }

    /// The next number.
    pub(crate) fn next(&mut self, pick: Pick) -> u64 {
        self.made += 1;
        match pick {
            Pick::Cycle(count) => self.made % count,
            Pick::Uniform(count) => self.random() % count,
            Pick::Fresh => self.fresh(),
            Pick::Crowd(size) if self.made.is_multiple_of(size) => self.fresh(),
            Pick::Crowd(_) => self.fresh,
            Pick::Mixed(_) if self.made.is_multiple_of(10) => self.fresh(),
            Pick::Mixed(count) => self.zipf(count),
        }
    }

    fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        self.fresh
    }

    /// Marsaglia's xorshift: good enough to spread requests.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 16
    }

    /// Looks a random number up among the quantiles of the distribution.
    fn zipf(&mut self, count: u64) -> u64 {
        if self.zipf.is_empty() {
            self.zipf = zipf_quantiles(count);
        }
        let at = self.random() as usize % self.zipf.len();
        u64::from(self.zipf[at])
    }
}

/// The ranks at 65,536 evenly spaced quantiles of Zipf's law over so many ranks.
fn zipf_quantiles(count: u64) -> Vec<u32> {
    const QUANTILES: usize = 1 << 16;
    let total: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
    let mut quantiles = Vec::with_capacity(QUANTILES);
    let mut reached = 0.0;
    for rank in 1..=count {
        reached += 1.0 / rank as f64 / total;
        while (quantiles.len() as f64) < reached * QUANTILES as f64 && quantiles.len() < QUANTILES {
            quantiles.push(rank as u32 - 1);
        }
    }
    quantiles
}
