//! Latencies as percentiles, over slices of a window.
//!
//! At a fixed rate, a virtual machine that its host stops for some milliseconds ten times a second has stopped for more
//! than 1% of the time: a 99th percentile over the whole window tells of these stops and hardly of the server. Of its slices
//! of a tenth of a second some have none, in bad minutes fewer than half, so the lower quartile of the slices tells of the
//! server. What is rare, a stop of the server's own as well, is in the 99.9th percentile, which is over the whole window.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::report::lower_quartile;

/// The longest latency that is told from longer ones: a minute, in nanoseconds.
const MOST: u64 = 60_000_000_000;

/// The latencies of a window.
pub(crate) struct Latencies {
    /// Nanoseconds, like the next.
    slice: Histogram<u64>,
    /// Of the slices that are over.
    window: Histogram<u64>,
    /// A value for each slice that is over, in microseconds.
    p50: Vec<f64>,
    p99: Vec<f64>,
}

/// What is told of a window, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Percentiles {
    /// The lower quartile of the slices' medians.
    pub(crate) p50: f64,
    /// The lower quartile of the slices' 99th percentiles.
    pub(crate) p99: f64,
    /// Over the whole window.
    pub(crate) p999: f64,
}

impl Latencies {
    pub(crate) fn new() -> io::Result<Self> {
        let histogram = || Histogram::new_with_max(MOST, 3).map_err(io::Error::other);
        Ok(Self { slice: histogram()?, window: histogram()?, p50: Vec::new(), p99: Vec::new() })
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.slice.saturating_record(latency.as_nanos() as u64);
    }

    /// Forgets what was recorded since the last slice ended.
    pub(crate) fn forget_slice(&mut self) {
        self.slice.reset();
    }

    /// Ends a slice. One in which nothing was answered has no percentiles.
    pub(crate) fn end_slice(&mut self) -> io::Result<()> {
        if !self.slice.is_empty() {
            self.p50.push(micros(&self.slice, 0.5));
            self.p99.push(micros(&self.slice, 0.99));
        }
        self.window.add(&self.slice).map_err(io::Error::other)?;
        self.slice.reset();
        Ok(())
    }

    pub(crate) fn percentiles(self) -> Percentiles {
        Percentiles {
            p50: lower_quartile(self.p50),
            p99: lower_quartile(self.p99),
            p999: micros(&self.window, 0.999),
        }
    }
}

fn micros(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1e3
}
