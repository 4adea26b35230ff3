//! What is read when somebody looks, instead of being told here: the store's figures, and open connections.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Unit;

/// What the store holds; read at each scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Charged against the limit, in bytes.
    pub bytes: u64,
    /// Stored responses.
    pub entries: u64,
    /// The configured ceiling, in bytes.
    pub limit: u64,
    /// Stored responses that had to make room, since the start.
    pub evicted: u64,
}

/// Asks the store when somebody scrapes, instead of having it report all the time.
#[derive(Clone, Default)]
pub(super) struct StoreGauges {
    figures: Arc<RwLock<Option<ReadFigures>>>,
}

type ReadFigures = Box<dyn Fn() -> StoreFigures + Send + Sync>;

impl StoreGauges {
    pub(super) fn set(&self, figures: ReadFigures) {
        *self.figures.write() = Some(figures);
    }
}

impl fmt::Debug for StoreGauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreGauges").finish_non_exhaustive()
    }
}

impl Collector for StoreGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(figures) = self.figures.read().as_ref().map(|read| read()) else { return Ok(()) };
        let StoreFigures { bytes, entries, limit, evicted } = figures;
        let gauges = [
            ("store", "Held by the store, charged against its limit.", Some(Unit::Bytes), bytes),
            ("store_limit", "The configured ceiling of the store.", Some(Unit::Bytes), limit),
            ("store_entries", "Stored responses.", None, entries),
        ];
        for (name, help, unit, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?)?;
        }
        let (name, help) = ("evicted_entries", "Stored responses that had to make room.");
        let counter = ConstCounter::new(evicted);
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
    }
}

/// A client connection that is counted as open while this lives.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl OpenConnection {
    pub(super) fn count(open: &Gauge) -> Self {
        open.inc();
        Self(open.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
