//! A family of counters whose label sets are all known at the start.
//!
//! `prometheus-client`'s own `Family` grows on demand behind a lock. Here the rows are fixed when the family is
//! made, from enums and from the configuration, so that counting is an addition at an index, and no client can make
//! a new series.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{
    EncodeLabel, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use super::cells::Cells;

/// The labels of one row.
#[derive(Clone, Debug)]
pub(super) struct Row(Box<[(&'static str, Box<str>)]>);

impl Row {
    /// Values are escaped here, once: the encoder of `prometheus-client` writes them as they are.
    pub(super) fn new<const N: usize>(labels: [(&'static str, &str); N]) -> Self {
        Self(labels.map(|(name, value)| (name, escape(value))).into())
    }
}

impl EncodeLabelSet for Row {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| (*name, value.as_ref()).encode(encoder.encode_label()))
    }
}

fn escape(value: &str) -> Box<str> {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n").into()
}

/// A handle; clones count into the same cells.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    rows: Box<[Row]>,
    cells: Cells,
    sparse: bool,
}

impl Counters {
    /// A counter for each row, all of them shown from the start, so that rates see the first increment.
    pub(super) fn new(rows: impl IntoIterator<Item = Row>, threads: usize) -> Self {
        Self::with(rows, threads, false)
    }

    /// A counter for each row, shown once it is not zero: for products of several labels.
    pub(super) fn sparse(rows: impl IntoIterator<Item = Row>, threads: usize) -> Self {
        Self::with(rows, threads, true)
    }

    fn with(rows: impl IntoIterator<Item = Row>, threads: usize, sparse: bool) -> Self {
        let rows: Box<[Row]> = rows.into_iter().collect();
        let cells = Cells::new(rows.len(), threads);
        Self { inner: Arc::new(Inner { rows, cells, sparse }) }
    }

    /// Adds `n` to the row at `index`.
    #[inline]
    pub(super) fn add(&self, index: usize, n: u64) {
        self.inner.cells.add(index, n);
    }
}

impl EncodeMetric for Counters {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Inner { rows, cells, sparse } = &*self.inner;
        for (index, row) in rows.iter().enumerate() {
            let value = cells.sum(index);
            if value > 0 || !sparse {
                encoder.encode_family(row)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
            }
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}
