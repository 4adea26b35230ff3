//! What Larder tells about itself.
//!
//! A request ends as one [`Record`]; metrics and the access log are views of it, and the `Cache-Status` field is
//! written from the same [`Decision`], so that header, log and metric cannot disagree.
//!
//! - [`decision`]: how a request was answered, and its rendering as `Cache-Status` (RFC 9211)
//! - [`record`]: one request, from its arrival to the last byte of its answer
//! - [`metrics`]: everything that is counted; `cells`, `counters` and `histogram` keep counting cheap, `labels` keeps
//!   the number of series fixed, `gauges` reads levels at each scrape
//! - [`access`]: the access log, written by a thread of its own
//! - [`process`]: the process log, by `tracing`
//!
//! Nothing here waits on a serving thread: a request costs a few relaxed additions on cache lines that its thread
//! has to itself, and an access log that cannot keep up loses lines, which are counted.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config;

mod access;
mod cells;
mod counters;
pub mod decision;
#[cfg(test)]
pub(crate) mod exposition;
mod gauges;
mod histogram;
mod labels;
pub mod metrics;
pub mod process;
pub mod record;
mod timestamp;

pub use access::{AccessLog, Asked, Line, OpenError};
pub use decision::{CacheName, Decision, Forward, Outcome, StatusClass};
pub use gauges::{OpenConnection, StoreFigures};
pub use labels::Labels;
pub use metrics::{FetchResult, Metrics};
pub use process::{ProcessLog, ProcessLogError, install_process_log};
pub use record::Record;
pub use timestamp::rfc3339;

/// The one place where things are counted and logged; shared by all threads.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    access: Option<AccessLog>,
}

impl Telemetry {
    /// Registers every metric that `labels` allows for and, if `log` asks for it, starts the access log.
    ///
    /// # Errors
    ///
    /// The access log's file cannot be opened, or its thread cannot be started.
    pub fn new(log: &config::Log, clock: &Clock, labels: &Labels<'_>) -> Result<Arc<Self>, OpenError> {
        let metrics = Metrics::new(labels, clock.wall());
        let access = AccessLog::open(log, labels, metrics.dropped_lines())?;
        Ok(Arc::new(Self { metrics, access }))
    }

    /// Without an access log, routes or upstreams: for tests of the rooms that count.
    pub fn quiet() -> Arc<Self> {
        let metrics = Metrics::new(&Labels::default(), std::time::UNIX_EPOCH);
        Arc::new(Self { metrics, access: None })
    }

    /// What is counted outside of [`finish`](Self::finish).
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What makes the [`Line`] that a [`Record`] should carry; `None` if it should carry none.
    pub fn access_log(&self) -> Option<&AccessLog> {
        self.access.as_ref()
    }

    /// Counts the request and takes its access-log line; never waits. Call it when the body has ended.
    pub fn finish(&self, record: &mut Record) {
        self.metrics.request(record);
        if let Some(log) = &self.access {
            log.push(record);
        }
    }

    /// Waits, for two seconds at most, until the access log has been written as far as it has come; blocks the
    /// thread. Dropping the last handle does so, too, but nobody knows for certain when that is.
    pub fn flush(&self) {
        if let Some(log) = &self.access {
            log.flush();
        }
    }

    /// Everything counted so far, in the OpenMetrics text format 1.0, which parsers of the older Prometheus text
    /// format read as well.
    pub fn render_metrics(&self) -> String {
        self.metrics.render()
    }
}

#[cfg(test)]
mod tests {
    use super::access::tests::asked;
    use super::record::tests::record;
    use super::*;
    use crate::config::{Log, LogFormat};

    #[test]
    fn a_record_is_counted_and_logged_in_the_same_words() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let log = Log {
            filter: "info".to_owned(),
            format: LogFormat::Text,
            access: Some(LogFormat::Json),
            access_file: Some(path.clone()),
        };
        let labels = Labels { routes: vec!["api"], ..Labels::default() };
        let telemetry = Telemetry::new(&log, &Clock::system(), &labels).unwrap();
        let line = telemetry.access_log().map(|log| log.line(&asked()));
        telemetry.finish(&mut Record { line, ..record() });
        telemetry.finish(&mut record());
        telemetry.flush();

        let written = std::fs::read_to_string(path).unwrap();
        let object: serde_json::Value = serde_json::from_str(&written).expect("one line");
        assert_eq!((&object["outcome"], &object["route"]), (&"hit".into(), &"api".into()));
        let families = exposition::parse(&telemetry.render_metrics());
        let labels = [("route", "api"), ("outcome", "hit"), ("status", "2xx")];
        assert_eq!(families["larder_requests"].value("larder_requests_total", &labels), Some(2.0));
    }

    #[test]
    fn without_an_access_log_nothing_is_wanted_for_it() {
        let telemetry = Telemetry::quiet();
        assert!(telemetry.access_log().is_none());
        telemetry.finish(&mut record());
        telemetry.flush();
        assert!(telemetry.render_metrics().contains("larder_dropped_log_lines_total 0\n"));
    }
}
