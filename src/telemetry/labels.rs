//! Label values: where they come from, and the rows they make.
//!
//! They come from enums, from the configuration and from the named reasons that the rooms hand in at the start, so
//! no client and no origin can make a new series.

use std::collections::HashMap;

use http::StatusCode;

use super::counters::Row;
use super::decision::{Outcome, StatusClass};
use super::metrics::FetchResult;
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

/// Which row of which table belongs to which labels. The rows and the ways to find them stand side by side here,
/// since each pair must agree.
pub(super) struct Rows {
    routes: usize,
    upstreams: usize,
    not_stored: Reasons,
    fetch_failed: Reasons,
}

impl Rows {
    pub(super) fn new(labels: &Labels<'_>) -> Self {
        Self {
            routes: labels.routes.len(),
            upstreams: labels.upstreams.len(),
            not_stored: Reasons::new(labels.not_stored, "other"),
            fetch_failed: Reasons::new(labels.fetch_failed, "failed"),
        }
    }

    /// Row = (route, outcome, status class), the last changing fastest; after the routes one for requests without,
    /// whose label is empty, which is the same as none.
    pub(super) fn requests(labels: &Labels<'_>) -> Vec<Row> {
        let routes = labels.routes.iter().chain([&""]);
        let outcomes = routes.flat_map(|route| Outcome::ALL.map(|outcome| (route, outcome.as_str())));
        let rows = outcomes.flat_map(|(route, outcome)| {
            let row = |class: StatusClass| {
                Row::new([("route", route), ("outcome", outcome), ("status", class.as_str())])
            };
            StatusClass::ALL.map(row)
        });
        rows.collect()
    }

    /// The row of a request. A route that does not exist counts as none.
    #[inline]
    pub(super) fn request(&self, route: Option<usize>, outcome: Outcome, status: StatusCode) -> usize {
        let route = route.map_or(self.routes, |route| route.min(self.routes));
        let row = route * Outcome::ALL.len() + outcome as usize;
        row * StatusClass::ALL.len() + StatusClass::of(status) as usize
    }

    /// Row = outcome.
    pub(super) fn outcomes() -> impl Iterator<Item = Row> {
        Outcome::ALL.into_iter().map(|outcome| Row::new([("outcome", outcome.as_str())]))
    }

    /// Row = upstream.
    pub(super) fn upstreams(labels: &Labels<'_>) -> impl Iterator<Item = Row> {
        labels.upstreams.iter().map(|upstream| Row::new([("upstream", upstream)]))
    }

    /// The row of an upstream; `None` if it is not configured.
    pub(super) fn upstream(&self, upstream: usize) -> Option<usize> {
        (upstream < self.upstreams).then_some(upstream)
    }

    /// Row = (upstream, result): the status classes, then the failures.
    pub(super) fn fetches(&self, labels: &Labels<'_>) -> Vec<Row> {
        let classes = StatusClass::ALL.map(StatusClass::as_str);
        let results = || classes.iter().chain(&self.fetch_failed.names);
        let row = |upstream: &str, result: &str| Row::new([("upstream", upstream), ("result", result)]);
        let upstreams = labels.upstreams.iter();
        upstreams.flat_map(|upstream| results().map(move |result| row(upstream, result))).collect()
    }

    /// The row of a fetch from the upstream at `upstream`.
    pub(super) fn fetch(&self, upstream: usize, result: FetchResult) -> usize {
        let classes = StatusClass::ALL.len();
        let result = match result {
            FetchResult::Answered(status) => StatusClass::of(status) as usize,
            FetchResult::Failed(reason) => classes + self.fetch_failed.index(reason),
        };
        upstream * (classes + self.fetch_failed.names.len()) + result
    }

    /// Row = reason.
    pub(super) fn reasons_not_stored(&self) -> impl Iterator<Item = Row> {
        self.not_stored.names.iter().map(|reason| Row::new([("reason", reason)]))
    }

    /// The row of a reason for not storing.
    pub(super) fn not_stored(&self, reason: &'static str) -> usize {
        self.not_stored.index(reason)
    }
}

/// Named reasons and, last, the name for those that were not handed in.
struct Reasons {
    names: Vec<&'static str>,
    index: HashMap<&'static str, usize>,
}

impl Reasons {
    fn new(names: &[&'static str], fallback: &'static str) -> Self {
        let mut unique: Vec<&'static str> = Vec::new();
        for &name in names {
            if name != fallback && !unique.contains(&name) {
                unique.push(name);
            }
        }
        unique.push(fallback);
        let index = unique.iter().enumerate().map(|(index, name)| (*name, index)).collect();
        Self { names: unique, index }
    }

    fn index(&self, reason: &'static str) -> usize {
        self.index.get(reason).copied().unwrap_or(self.names.len() - 1)
    }
}
