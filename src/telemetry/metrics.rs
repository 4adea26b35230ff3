//! Everything that is counted.
//!
//! Label values come from enums, from the configuration and from the named reasons handed in at the start: no client
//! and no origin can make a new series.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::counters::{Counters, Row};
use super::decision::{Outcome, StatusClass};
use super::histogram::Histograms;
use super::record::Record;
use crate::config::Config;

/// The label values that are not known when the program is compiled.
#[derive(Clone, Debug, Default)]
pub struct Labels<'a> {
    /// About as many threads will be counting.
    pub threads: usize,
    /// In the order of `Config::routes`.
    pub routes: Vec<&'a str>,
    /// In the order of `Config::upstreams`.
    pub upstreams: Vec<&'a str>,
    /// The named reasons for not storing, over all rooms.
    pub not_stored: &'a [&'static str],
    /// The named reasons for which a fetch from an origin fails.
    pub fetch_failed: &'a [&'static str],
}

impl<'a> Labels<'a> {
    /// Those of a configuration; the reasons are owned by the rooms that give them.
    pub fn of(config: &'a Config, not_stored: &'a [&'static str], fetch_failed: &'a [&'static str]) -> Self {
        Self {
            threads: config.server.threads,
            routes: config.routes.iter().map(|route| route.name.as_str()).collect(),
            upstreams: config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect(),
            not_stored,
            fetch_failed,
        }
    }
}

/// What came of a request to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchResult {
    /// A final response head with this status.
    Answered(StatusCode),
    /// None came, for this named reason.
    Failed(&'static str),
}

/// What the store holds; read at each scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Charged against the limit, in bytes.
    pub bytes: u64,
    /// Stored responses.
    pub entries: u64,
    /// The configured ceiling, in bytes.
    pub limit: u64,
}

/// Counts of what happened. Every method is cheap and none waits.
pub struct Metrics {
    requests: Counters,
    sent_bytes: Counters,
    first_byte: Histograms,
    origin_fetches: Counters,
    origin_first_byte: Histograms,
    not_stored: Counters,
    names: Names,
    collapsed: Counter,
    aborted: Counter,
    evicted: Counter,
    early_hints: Counter,
    panics: Counter,
    accepted: Counter,
    connections: Gauge,
    dropped_lines: Counter,
    store: StoreGauges,
    registry: Registry,
}

/// Where the names that come from outside of this room stand in the tables.
struct Names {
    routes: usize,
    upstreams: HashMap<Box<str>, usize>,
    not_stored: Reasons,
    fetch_failed: Reasons,
}

impl Metrics {
    pub(super) fn new(labels: &Labels<'_>, started: SystemTime) -> Self {
        let threads = labels.threads * 2;
        let names = Names::new(labels);
        let outcomes = || Outcome::ALL.map(|outcome| Row::new([("outcome", outcome.as_str())]));
        let mut metrics = Self {
            requests: Counters::sparse(request_rows(labels), threads),
            sent_bytes: Counters::new(outcomes(), threads),
            first_byte: Histograms::new(outcomes(), threads),
            origin_fetches: Counters::sparse(fetch_rows(labels, &names.fetch_failed), threads),
            origin_first_byte: Histograms::new(upstream_rows(labels), threads),
            not_stored: Counters::new(
                names.not_stored.all.iter().map(|reason| Row::new([("reason", reason)])),
                threads,
            ),
            names,
            collapsed: Counter::default(),
            aborted: Counter::default(),
            evicted: Counter::default(),
            early_hints: Counter::default(),
            panics: Counter::default(),
            accepted: Counter::default(),
            connections: Gauge::default(),
            dropped_lines: Counter::default(),
            store: StoreGauges::default(),
            registry: Registry::default(),
        };
        metrics.registry = metrics.register(started);
        metrics
    }

    /// The names and explanations that a scrape shows. The encoder appends units, and `_total` to counters.
    fn register(&self, started: SystemTime) -> Registry {
        let mut all = Registry::with_prefix("larder");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        all.register("build", "The version that is running", build);
        let start = Gauge::<f64, AtomicU64>::default();
        start.set(started.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()));
        all.register_with_unit("start_time", "When it started, since 1970", Unit::Seconds, start);

        all.register("requests", "Requests by route, outcome and status class", self.requests.clone());
        all.register("aborted_requests", "Requests whose answer was cut short", self.aborted.clone());
        all.register_with_unit("sent", "Content sent to clients", Unit::Bytes, self.sent_bytes.clone());
        let help = "From a request's arrival to the head of its answer";
        all.register_with_unit("first_byte", help, Unit::Seconds, self.first_byte.clone());

        let help = "Requests sent to origins, by status class or named failure";
        all.register("origin_fetches", help, self.origin_fetches.clone());
        let help = "From a request being sent to an origin to the head of its answer";
        all.register_with_unit("origin_first_byte", help, Unit::Seconds, self.origin_first_byte.clone());
        let help = "Requests that waited for another one's fetch";
        all.register("collapsed_waiters", help, self.collapsed.clone());
        all.register("early_hints", "103 responses sent on to clients", self.early_hints.clone());

        all.register("not_stored", "Answers that were not stored, by reason", self.not_stored.clone());
        all.register("evicted_entries", "Stored responses that had to make room", self.evicted.clone());
        all.register_collector(Box::new(self.store.clone()));

        all.register("connections", "Open client connections", self.connections.clone());
        all.register("accepted_connections", "Client connections accepted", self.accepted.clone());
        all.register("panics", "Requests that ended in a panic", self.panics.clone());
        let help = "Access-log lines lost because the writer could not keep up or failed";
        all.register("dropped_log_lines", help, self.dropped_lines.clone());
        all
    }

    /// Counts one request: a handful of additions to cells of this thread.
    pub(super) fn request(&self, record: &Record) {
        let outcome = record.decision.outcome();
        let route = record.route.unwrap_or(self.names.routes).min(self.names.routes);
        let row = (route * Outcome::ALL.len() + outcome as usize) * StatusClass::ALL.len();
        self.requests.add(row + StatusClass::of(record.status) as usize, 1);
        self.sent_bytes.add(outcome as usize, record.bytes);
        if let Some(duration) = record.time_to_first_byte() {
            self.first_byte.observe(outcome as usize, duration);
        }
        if record.aborted {
            self.aborted.inc();
        }
    }

    /// A request was sent to `upstream` (its configured name). `took` runs from sending it to the head of the final
    /// answer, and counts only if one came.
    pub fn origin_fetch(&self, upstream: &str, result: FetchResult, took: Duration) {
        let upstream = self.names.upstream(upstream);
        let classes = StatusClass::ALL.len();
        let result = match result {
            FetchResult::Answered(status) => {
                self.origin_first_byte.observe(upstream, took);
                StatusClass::of(status) as usize
            }
            FetchResult::Failed(reason) => classes + self.names.fetch_failed.index(reason),
        };
        self.origin_fetches.add(upstream * (classes + self.names.fetch_failed.all.len()) + result, 1);
    }

    /// A request waits for the fetch that another one began.
    pub fn collapsed(&self) {
        self.collapsed.inc();
    }

    /// An origin's answer was not stored. A reason that was not handed in at the start counts as `other`.
    pub fn not_stored(&self, reason: &'static str) {
        self.not_stored.add(self.names.not_stored.index(reason), 1);
    }

    /// `n` stored responses were dropped to make room.
    pub fn evicted(&self, n: u64) {
        self.evicted.inc_by(n);
    }

    /// A 103 was sent on to a client.
    pub fn early_hints(&self) {
        self.early_hints.inc();
    }

    /// A request's handler panicked.
    pub fn panic(&self) {
        self.panics.inc();
    }

    /// A client connection was accepted; it counts as open until the guard is dropped.
    pub fn connection_opened(&self) -> OpenConnection {
        self.accepted.inc();
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    /// Hands in the store's figures, to be read at each scrape; the latest closure counts.
    pub fn set_store_gauge(&self, figures: Box<dyn Fn() -> StoreFigures + Send + Sync>) {
        *self.store.figures.write() = Some(figures);
    }

    pub(super) fn dropped_lines(&self) -> Counter {
        self.dropped_lines.clone()
    }

    pub(super) fn render(&self) -> String {
        let mut out = String::with_capacity(16 * 1024);
        if let Err(error) = text::encode(&mut out, &self.registry) {
            tracing::error!(%error, "the metrics could not be rendered in full");
        }
        out
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// A client connection that is counted as open while this lives.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// An empty label value is the same as none: it stands for "came to no route", "no such upstream".
const NONE: &str = "";

/// Row = (route, outcome, status class), the last changing fastest; after the routes one for requests without.
fn request_rows(labels: &Labels<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for route in labels.routes.iter().chain([&NONE]) {
        for outcome in Outcome::ALL {
            for class in StatusClass::ALL {
                rows.push(Row::new([
                    ("route", route),
                    ("outcome", outcome.as_str()),
                    ("status", class.as_str()),
                ]));
            }
        }
    }
    rows
}

/// Row = (upstream, result): the status classes, then the failures.
fn fetch_rows(labels: &Labels<'_>, failures: &Reasons) -> Vec<Row> {
    let results = || StatusClass::ALL.iter().map(|class| class.as_str()).chain(failures.all.iter().copied());
    let upstreams = labels.upstreams.iter().chain([&NONE]);
    upstreams
        .flat_map(|upstream| {
            results().map(move |result| Row::new([("upstream", upstream), ("result", result)]))
        })
        .collect()
}

fn upstream_rows(labels: &Labels<'_>) -> impl Iterator<Item = Row> {
    labels.upstreams.iter().chain([&NONE]).map(|upstream| Row::new([("upstream", upstream)]))
}

impl Names {
    fn new(labels: &Labels<'_>) -> Self {
        let upstreams = labels.upstreams.iter().enumerate();
        Self {
            routes: labels.routes.len(),
            upstreams: upstreams.map(|(index, name)| (Box::from(*name), index)).collect(),
            not_stored: Reasons::new(labels.not_stored),
            fetch_failed: Reasons::new(labels.fetch_failed),
        }
    }

    fn upstream(&self, name: &str) -> usize {
        self.upstreams.get(name).copied().unwrap_or(self.upstreams.len())
    }
}

/// Named reasons and, last, `other`.
struct Reasons {
    all: Vec<&'static str>,
    index: HashMap<&'static str, usize>,
}

impl Reasons {
    fn new(names: &[&'static str]) -> Self {
        let mut all = Vec::new();
        for &name in names {
            if name != Self::OTHER && !all.contains(&name) {
                all.push(name);
            }
        }
        let index = all.iter().enumerate().map(|(index, name)| (*name, index)).collect();
        all.push(Self::OTHER);
        Self { all, index }
    }

    fn index(&self, reason: &'static str) -> usize {
        self.index.get(reason).copied().unwrap_or(self.all.len() - 1)
    }

    const OTHER: &str = "other";
}

/// Asks the store when somebody scrapes, instead of having it report all the time.
#[derive(Clone, Default)]
struct StoreGauges {
    figures: std::sync::Arc<parking_lot::RwLock<Option<Box<dyn Fn() -> StoreFigures + Send + Sync>>>>,
}

impl fmt::Debug for StoreGauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreGauges").finish_non_exhaustive()
    }
}

impl Collector for StoreGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(StoreFigures { bytes, entries, limit }) = self.figures.read().as_ref().map(|read| read())
        else {
            return Ok(());
        };
        let gauges = [
            ("store", "Held by the store, charged against its limit.", Some(Unit::Bytes), bytes),
            ("store_limit", "The configured ceiling of the store.", Some(Unit::Bytes), limit),
            ("store_entries", "Stored responses.", None, entries),
        ];
        for (name, help, unit, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?)?;
        }
        Ok(())
    }
}
