//! `GET /api/stats`: how much there is of everything.

use serde::Serialize;

use super::{Admin, Answer, json};
use crate::store;
use crate::validity;

#[derive(Serialize)]
struct Stats<'a> {
    instance: &'a str,
    version: &'static str,
    store: Stored,
    log: Logged,
}

#[derive(Serialize)]
struct Stored {
    entries: u64,
    /// Charged against the limit: stored, in flight, or still being sent.
    bytes: u64,
    limit_bytes: u64,
    evictions: u64,
}

/// The log of purges.
#[derive(Serialize)]
struct Logged {
    /// The number of the last purge.
    sequence: u64,
    /// URLs, hosts, tags and groups that are known.
    subjects: u64,
    bytes: u64,
}

pub(super) fn stats(admin: &Admin) -> Answer {
    let store::Figures { bytes, entries, limit, evictions } = admin.parts.store.figures();
    let log = &admin.parts.log;
    let validity::Figures { cells, bytes: log_bytes, .. } = log.figures();
    let stats = Stats {
        instance: &admin.instance,
        version: env!("CARGO_PKG_VERSION"),
        store: Stored { entries, bytes, limit_bytes: limit, evictions },
        log: Logged { sequence: log.published().get(), subjects: cells, bytes: log_bytes },
    };
    json(serde_json::to_vec(&stats).unwrap_or_default())
}
