//! A family of latency histograms made of plain atomics.
//!
//! The histogram of `prometheus-client` takes a write lock for each observation, over all threads. This one adds to
//! two cells of the thread's own shard: a bucket and the sum. The count is the sum of the buckets, so the two always
//! agree; the sum of durations may be read a moment later than the buckets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::cells::Cells;
use super::counters::Row;

/// Upper bounds in microseconds: a hit takes tens of them, a slow origin seconds.
const BOUNDS_MICROS: [u64; 19] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];
/// One more than there are bounds: the last bucket takes what is above them all.
const BUCKETS: usize = BOUNDS_MICROS.len() + 1;
/// After its buckets a row has a cell for the sum, in nanoseconds: 584 years of waiting fit.
const CELLS_PER_ROW: usize = BUCKETS + 1;

/// A handle; clones observe into the same cells.
#[derive(Clone, Debug)]
pub(super) struct Histograms {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rows: Box<[Row]>,
    cells: Cells,
}

impl Histograms {
    /// A histogram for each row.
    pub(super) fn new(rows: impl IntoIterator<Item = Row>, threads: usize) -> Self {
        let rows: Box<[Row]> = rows.into_iter().collect();
        let cells = Cells::new(rows.len() * CELLS_PER_ROW, threads);
        Self { inner: Arc::new(Inner { rows, cells }) }
    }

    /// Counts `duration` in the row at `row`. Takes no lock and does not allocate.
    #[inline]
    pub(super) fn observe(&self, row: usize, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.partition_point(|bound| bound * 1_000 < nanos);
        let first = row * CELLS_PER_ROW;
        self.inner.cells.add(first + bucket, 1);
        self.inner.cells.add(first + BUCKETS, nanos);
    }

    fn read(&self, row: usize) -> (f64, u64, [(f64, u64); BUCKETS]) {
        let first = row * CELLS_PER_ROW;
        let bounds = BOUNDS_MICROS.iter().map(|&micros| micros as f64 / 1e6).chain([f64::MAX]);
        let mut buckets = [(f64::MAX, 0); BUCKETS];
        for (index, (bucket, bound)) in buckets.iter_mut().zip(bounds).enumerate() {
            *bucket = (bound, self.inner.cells.sum(first + index));
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.inner.cells.sum(first + BUCKETS) as f64 / 1e9;
        (sum, count, buckets)
    }
}

impl EncodeMetric for Histograms {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (index, row) in self.inner.rows.iter().enumerate() {
            let (sum, count, buckets) = self.read(index);
            // `f64::MAX` stands for +Inf in this encoder, which also adds the buckets up.
            encoder.encode_family(row)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(histograms: &Histograms, row: usize) -> Vec<u64> {
        histograms.read(row).2.iter().map(|(_, count)| *count).collect()
    }

    #[test]
    fn an_observation_falls_into_the_first_bucket_whose_bound_it_does_not_exceed() {
        // (observed nanoseconds, index of the bucket)
        let table = [
            (0, 0),
            (25_000, 0),
            (25_001, 1),
            (1_000_000, 5),
            (1_000_001, 6),
            (30_000_000_000, 18),
            (30_000_000_001, 19),
            (u64::MAX, 19),
        ];
        for (nanos, bucket) in table {
            let histograms = Histograms::new([Row::new([])], 1);
            histograms.observe(0, Duration::from_nanos(nanos));
            let expected: Vec<u64> = (0..BUCKETS).map(|index| u64::from(index == bucket)).collect();
            assert_eq!(counts(&histograms, 0), expected, "{nanos} ns");
        }
    }

    #[test]
    fn rows_are_apart_and_threads_add_up() {
        let histograms = Histograms::new([Row::new([]), Row::new([])], 4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..500).for_each(|_| histograms.observe(1, Duration::from_millis(2))));
            }
        });
        let (sum, count, _) = histograms.read(1);
        assert_eq!(count, 2000);
        assert!((sum - 4.0).abs() < 1e-9, "{sum}");
        assert_eq!(histograms.read(0).1, 0);
    }

    #[test]
    fn bounds_rise() {
        assert!(BOUNDS_MICROS.is_sorted());
    }
}
