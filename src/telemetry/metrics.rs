//! Everything that is counted.
//!
//! Handles to every metric, made at the start; where the labels come from stands in `labels`.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::counters::Counters;
use super::gauges::{OpenConnection, StoreFigures, StoreGauges};
use super::histogram::Histograms;
use super::labels::{Labels, Rows};
use super::process::LostLines;
use super::record::Record;

/// What came of a request to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchResult {
    /// A final response head with this status.
    Answered(StatusCode),
    /// None came, for this named reason.
    Failed(&'static str),
}

/// Counts of what happened. Every method is cheap and none waits.
pub struct Metrics {
    requests: Counters,
    sent_bytes: Counters,
    first_byte: Histograms,
    origin_fetches: Counters,
    origin_first_byte: Histograms,
    not_stored: Counters,
    rows: Rows,
    collapsed: Counter,
    aborted: Counter,
    early_hints: Counter,
    purges: Counter,
    panics: Counter,
    accepted: Counter,
    connections: Gauge,
    dropped_lines: Counter,
    store: StoreGauges,
    registry: Registry,
}

impl Metrics {
    pub(super) fn new(labels: &Labels<'_>, started: SystemTime) -> Self {
        // Other threads count now and then, too; with room to spare, serving threads rarely share a shard.
        let threads = labels.threads * 2;
        let rows = Rows::new(labels);
        let mut metrics = Self {
            requests: Counters::sparse(Rows::requests(labels), threads),
            sent_bytes: Counters::new(Rows::outcomes(), threads),
            first_byte: Histograms::new(Rows::outcomes(), threads),
            origin_fetches: Counters::sparse(rows.fetches(labels), threads),
            origin_first_byte: Histograms::new(Rows::upstreams(labels), threads),
            not_stored: Counters::new(rows.reasons_not_stored(), threads),
            rows,
            collapsed: Counter::default(),
            aborted: Counter::default(),
            early_hints: Counter::default(),
            purges: Counter::default(),
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
        all.register_collector(Box::new(self.store.clone()));

        all.register("connections", "Open client connections", self.connections.clone());
        all.register("accepted_connections", "Client connections accepted", self.accepted.clone());
        all.register("purges", "Purges made, by whichever door", self.purges.clone());
        all.register("panics", "Requests that ended in a panic", self.panics.clone());
        let help = "Access-log lines lost because the writer could not keep up or failed";
        all.register("dropped_log_lines", help, self.dropped_lines.clone());
        all.register_collector(Box::new(LostLines));
        all
    }

    /// Counts one request: a handful of additions to cells of this thread.
    pub(super) fn request(&self, record: &Record) {
        let outcome = record.decision.outcome();
        self.requests.add(self.rows.request(record.route, outcome, record.status), 1);
        self.sent_bytes.add(outcome as usize, record.bytes);
        if let Some(duration) = record.time_to_first_byte() {
            self.first_byte.observe(outcome as usize, duration);
        }
        if record.aborted {
            self.aborted.inc();
        }
    }

    /// A request was sent to the upstream with that index in the configuration; any other counts nowhere. `took` runs
    /// from sending it to the head of the final answer, and counts only if one came.
    pub fn origin_fetch(&self, upstream: usize, result: FetchResult, took: Duration) {
        let Some(upstream) = self.rows.upstream(upstream) else { return };
        self.origin_fetches.add(self.rows.fetch(upstream, result), 1);
        if let FetchResult::Answered(_) = result {
            self.origin_first_byte.observe(upstream, took);
        }
    }

    /// A request waits for the fetch that another one began.
    pub fn collapsed(&self) {
        self.collapsed.inc();
    }

    /// An origin's answer was not stored. A reason that was not handed in at the start counts as `other`.
    pub fn not_stored(&self, reason: &'static str) {
        self.not_stored.add(self.rows.not_stored(reason), 1);
    }

    /// A 103 was sent on to a client.
    pub fn early_hints(&self) {
        self.early_hints.inc();
    }

    /// A purge was made.
    pub fn purge(&self) {
        self.purges.inc();
    }

    /// A request's handler panicked.
    pub fn panic(&self) {
        self.panics.inc();
    }

    /// A client connection was accepted; it counts as open until the guard is dropped.
    pub fn connection_opened(&self) -> OpenConnection {
        self.accepted.inc();
        OpenConnection::count(&self.connections)
    }

    /// Hands in the store's figures, to be read at each scrape; the latest closure counts. It should not own
    /// what owns the telemetry, or neither is ever dropped: give it a `Weak`.
    pub fn set_store_gauge(&self, figures: Box<dyn Fn() -> StoreFigures + Send + Sync>) {
        self.store.set(figures);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::Method;

    use super::super::decision::{Decision, Forward, Outcome, StatusClass};
    use super::super::exposition::{Family, parse};
    use super::super::record::tests::record;
    use super::*;

    const LABELS: [&str; 2] = ["api", "a \"strange\" \\ one\n"];

    fn metrics() -> Metrics {
        let labels = Labels {
            threads: 2,
            routes: LABELS.to_vec(),
            upstreams: vec!["origin", "b"],
            not_stored: &["no-store", "other", "private", "no-store"],
            fetch_failed: &["connect", "other"],
        };
        Metrics::new(&labels, UNIX_EPOCH + Duration::from_millis(1_500))
    }

    fn scrape(metrics: &Metrics, family: &str) -> Family {
        parse(&metrics.render()).remove(family).unwrap_or_else(|| panic!("no {family}"))
    }

    #[test]
    fn a_request_is_counted_by_route_outcome_and_status() {
        let metrics = metrics();
        metrics.request(&record());
        metrics.request(&record());
        metrics.request(&Record { route: Some(1), ..record() });
        let failed = Decision::forwarded(Forward::Miss);
        metrics.request(&Record {
            decision: failed,
            status: StatusCode::BAD_GATEWAY,
            aborted: true,
            bytes: 7,
            first_byte: None,
            route: None,
            ..record()
        });
        metrics.request(&Record { route: Some(99), status: StatusCode::from_u16(999).unwrap(), ..record() });

        let requests = scrape(&metrics, "larder_requests");
        let value = |route: &str, outcome: &str, status: &str| {
            let labels = [("route", route), ("outcome", outcome), ("status", status)];
            requests.value("larder_requests_total", &labels)
        };
        assert_eq!(value("api", "hit", "2xx"), Some(2.0));
        assert_eq!(value(LABELS[1], "hit", "2xx"), Some(1.0), "escaped, and unescaped by the reader");
        assert_eq!(value("", "error", "5xx"), Some(1.0));
        assert_eq!(value("", "hit", "other"), Some(1.0), "a route that does not exist is none");
        assert_eq!(requests.samples.len(), 4, "combinations that never came are not shown");

        let sent = scrape(&metrics, "larder_sent_bytes");
        assert_eq!(sent.value("larder_sent_bytes_total", &[("outcome", "hit")]), Some(4096.0));
        assert_eq!(sent.value("larder_sent_bytes_total", &[("outcome", "error")]), Some(7.0));
        let first_byte = scrape(&metrics, "larder_first_byte_seconds");
        let hit = ("outcome", "hit");
        assert_eq!(first_byte.value("larder_first_byte_seconds_count", &[hit]), Some(4.0));
        assert_eq!(
            first_byte.value("larder_first_byte_seconds_bucket", &[("le", "0.00005"), hit]),
            Some(0.0)
        );
        assert_eq!(first_byte.value("larder_first_byte_seconds_bucket", &[("le", "0.0001"), hit]), Some(4.0));
        assert_eq!(first_byte.value("larder_first_byte_seconds_count", &[("outcome", "error")]), Some(0.0));
        assert_eq!(
            scrape(&metrics, "larder_aborted_requests").value("larder_aborted_requests_total", &[]),
            Some(1.0)
        );
    }

    #[test]
    fn origin_fetches_are_counted_by_upstream_and_result() {
        let metrics = metrics();
        let took = Duration::from_millis(200);
        metrics.origin_fetch(1, FetchResult::Answered(StatusCode::OK), took);
        metrics.origin_fetch(1, FetchResult::Failed("connect"), took);
        metrics.origin_fetch(0, FetchResult::Failed("never heard of"), took);
        metrics.origin_fetch(0, FetchResult::Failed("other"), took);
        metrics.origin_fetch(2, FetchResult::Answered(StatusCode::OK), took);

        let fetches = scrape(&metrics, "larder_origin_fetches");
        let expected = [("b", "2xx"), ("b", "connect"), ("origin", "failed"), ("origin", "other")];
        for (upstream, result) in expected {
            let labels = [("upstream", upstream), ("result", result)];
            assert_eq!(fetches.value("larder_origin_fetches_total", &labels), Some(1.0), "{labels:?}");
        }
        assert_eq!(fetches.samples.len(), expected.len());
        let first_byte = scrape(&metrics, "larder_origin_first_byte_seconds");
        let name = "larder_origin_first_byte_seconds_sum";
        assert_eq!(first_byte.value(name, &[("upstream", "b")]), Some(0.2));
        assert_eq!(first_byte.value(name, &[("upstream", "origin")]), Some(0.0));
    }

    #[test]
    fn reasons_that_were_not_handed_in_count_as_other() {
        let metrics = metrics();
        for reason in ["private", "surprise", "other"] {
            metrics.not_stored(reason);
        }
        let family = scrape(&metrics, "larder_not_stored");
        let value = |reason| family.value("larder_not_stored_total", &[("reason", reason)]);
        assert_eq!((value("no-store"), value("private"), value("other")), (Some(0.0), Some(1.0), Some(2.0)));
        assert_eq!(family.samples.len(), 3);
    }

    #[test]
    fn single_counters_and_levels() {
        let metrics = metrics();
        let (first, second) = (metrics.connection_opened(), metrics.connection_opened());
        drop(first);
        metrics.collapsed();
        metrics.early_hints();
        metrics.purge();
        metrics.panic();
        metrics.dropped_lines().inc_by(3);
        assert!(!metrics.render().contains("larder_store"), "nothing is known about a store yet");
        let figures = StoreFigures { bytes: 10, entries: 2, limit: u64::MAX, evicted: 12 };
        metrics.set_store_gauge(Box::new(move || figures));

        let families = parse(&metrics.render());
        let table = [
            ("larder_connections", "", 1.0),
            ("larder_accepted_connections", "_total", 2.0),
            ("larder_collapsed_waiters", "_total", 1.0),
            ("larder_evicted_entries", "_total", 12.0),
            ("larder_early_hints", "_total", 1.0),
            ("larder_purges", "_total", 1.0),
            ("larder_panics", "_total", 1.0),
            ("larder_dropped_log_lines", "_total", 3.0),
            ("larder_store_bytes", "", 10.0),
            ("larder_store_entries", "", 2.0),
            ("larder_store_limit_bytes", "", i64::MAX as f64),
            ("larder_start_time_seconds", "", 1.5),
        ];
        for (family, suffix, value) in table {
            assert_eq!(families[family].value(&format!("{family}{suffix}"), &[]), Some(value), "{family}");
        }
        drop(second);
        assert_eq!(scrape(&metrics, "larder_connections").value("larder_connections", &[]), Some(0.0));
    }

    /// Whatever comes in, the labels stay within what enums, configuration and the lists at the start allow.
    #[test]
    fn no_client_makes_a_series() {
        let metrics = metrics();
        for code in 100..1000 {
            let status = StatusCode::from_u16(code).unwrap();
            let method = Method::from_bytes(format!("M{code}").as_bytes()).unwrap();
            for route in [None, Some(0), Some(usize::from(code))] {
                metrics.request(&Record { status, method: method.clone(), route, ..record() });
            }
            metrics.origin_fetch(0, FetchResult::Answered(status), Duration::ZERO);
            metrics.origin_fetch(usize::from(code), FetchResult::Failed("x"), Duration::ZERO);
        }
        let allowed: &[(&str, BTreeSet<&str>)] = &[
            ("route", LABELS.into_iter().chain([""]).collect()),
            ("outcome", Outcome::ALL.map(Outcome::as_str).into()),
            ("status", StatusClass::ALL.map(StatusClass::as_str).into()),
            ("upstream", ["origin", "b"].into()),
            ("reason", ["no-store", "private", "other"].into()),
            ("version", [env!("CARGO_PKG_VERSION")].into()),
        ];
        for (name, family) in parse(&metrics.render()) {
            for (key, value) in family.samples.keys().flat_map(|(_, labels)| labels) {
                let known = match key.as_str() {
                    "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
                    "result" => {
                        StatusClass::ALL.iter().any(|class| class.as_str() == value)
                            || ["connect", "other", "failed"].contains(&value.as_str())
                    }
                    key => {
                        allowed.iter().any(|(name, values)| *name == key && values.contains(value.as_str()))
                    }
                };
                assert!(known, "{name}: {key}={value}");
            }
        }
    }
}
