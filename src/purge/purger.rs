//! Makes purges: published, counted, audited, remembered.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::recent::Ring;
use super::{Limits, Purge, Recent, Rights, Target, Who};
use crate::clock::Clock;
use crate::config::{self, units::Wrong};
use crate::store::{Entry, Store};
use crate::telemetry::Telemetry;
use crate::validity::{Fact, Kind, Log, Selector, Sequence};

/// Targets that a line of the audit log shows; it tells how many there are beside them.
const SHOWN: usize = 10;

/// What came of a purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its number in the log; `None` if nothing was published.
    pub sequence: Option<Sequence>,
    /// Whether what it hit is stale rather than dead.
    pub soft: bool,
    /// Nothing was published.
    pub dry_run: bool,
    /// Stored responses known to carry a target, perhaps dead ones that have not been reclaimed yet, and once for each
    /// target that they carry. `None`: nobody counts what begins with a prefix. Of a dry run, exactly those that it
    /// would hit.
    pub entries: Option<u64>,
    /// How many of them are to be fetched anew.
    pub refresh: Option<usize>,
}

impl Done {
    /// `{"instance":"...","sequence":7,"soft":false,"entries":3}`, for whoever asked. A dry run says that it is one, and
    /// has no sequence.
    pub fn to_json(&self, instance: &str) -> Vec<u8> {
        #[derive(Serialize)]
        struct Report<'a> {
            instance: &'a str,
            sequence: Option<u64>,
            soft: bool,
            entries: Option<u64>,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            dry_run: bool,
        }
        let Self { soft, entries, dry_run, .. } = *self;
        let report = Report { instance, sequence: self.sequence.map(Sequence::get), soft, entries, dry_run };
        let mut json = serde_json::to_vec(&report).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

/// Makes purges. Shared by all doors.
pub struct Purger {
    log: Arc<Log>,
    store: Arc<Store>,
    telemetry: Arc<Telemetry>,
    clock: Clock,
    limits: Limits,
    rights: Rights,
    recent: Ring,
}

impl Purger {
    /// Publishes to `log`; dry runs look into `store`.
    ///
    /// # Errors
    ///
    /// As [`Rights::new`].
    pub fn new(
        config: &config::Purge,
        log: Arc<Log>,
        store: Arc<Store>,
        telemetry: Arc<Telemetry>,
        clock: Clock,
    ) -> Result<Arc<Self>, Wrong> {
        let limits = Limits { targets: config.max_targets, refresh: config.refresh_entries };
        let rights = Rights::new(config, clock.clone())?;
        Ok(Arc::new(Self { log, store, telemetry, clock, limits, rights, recent: Ring::default() }))
    }

    /// Who may have it make purges; for the doors to ask before they do.
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// How much one purge may ask for.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Makes a purge. When this returns, nothing that was asked for before it and answers to its targets is served to a
    /// request that arrives from now on.
    ///
    /// A dry run walks over all that is stored: not to be called by who serves.
    pub fn run(&self, purge: &Purge, who: &Who) -> Done {
        let Purge { soft, dry_run, refresh, .. } = *purge;
        if dry_run {
            let entries = Some(self.look_for(purge));
            return Done { sequence: None, soft, dry_run, entries, refresh: None };
        }
        let entries = self.tally(purge);
        let kind = if soft { Kind::Soft } else { Kind::Hard };
        let facts: Vec<Fact<'_>> =
            purge.targets.iter().map(|target| Fact { subject: target.subject(), kind }).collect();
        let sequence = self.log.publish(&facts, self.clock.moment());
        let done = Done { sequence: Some(sequence), soft, dry_run, entries, refresh };
        self.telemetry.metrics().purge();
        audit(purge, who, &done);
        self.recent.push(self.clock.wall(), purge, who, &done);
        done
    }

    /// The purges of late, the youngest first.
    pub fn recent(&self) -> Vec<Recent> {
        self.recent.list()
    }

    /// By what the log has counted, so that it costs the same whatever is stored.
    fn tally(&self, purge: &Purge) -> Option<u64> {
        let known = |target: &Target| self.log.tally(target.subject()).map(|tally| tally.entries);
        purge.targets.iter().map(known).try_fold(0_u64, |sum, entries| Some(sum.saturating_add(entries?)))
    }

    /// By looking at every stored response: each once, and none that is dead already.
    fn look_for(&self, purge: &Purge) -> u64 {
        let selectors: Vec<Selector> =
            purge.targets.iter().map(|target| self.log.selector(target.subject())).collect();
        let is_hit = |entry: &Entry| {
            selectors.iter().any(|selector| selector.selects(&entry.marks))
                && self.log.check(&entry.marks, &entry.stamp).is_some()
        };
        self.store.entries().filter(|entry| is_hit(entry)).count() as u64
    }
}

impl fmt::Debug for Purger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purger").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// One line: who, what, how many, under which number.
fn audit(purge: &Purge, who: &Who, done: &Done) {
    tracing::info!(
        target: "larder::purge",
        sequence = done.sequence.map(Sequence::get),
        soft = done.soft,
        entries = done.entries,
        refresh = done.refresh,
        by = %who,
        targets = %Shown(&purge.targets),
        "purged"
    );
}

struct Shown<'p>(&'p [Target]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, target) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{target}", if at == 0 { "" } else { ", " })?;
        }
        match self.0.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, " and {more} more"),
        }
    }
}
