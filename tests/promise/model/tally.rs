//! What the scripts went through, so that it shows when they stop trying what they are there for.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::doors::Door;
use super::origin::Reply;
use super::reference::Target;
use crate::support::CacheStatus;

#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Answers with content of the origin that were judged.
    pub(crate) answers: usize,
    /// Of these: something older was there that a purge had forbidden.
    pub(crate) tempted: usize,
    /// Fetches that were under way when a purge that spoke of them was published.
    pub(crate) in_flight: usize,
    /// Unsafe requests that were answered.
    pub(crate) written: usize,
    /// By kind of purge and of request, and by what `Cache-Status` says.
    pub(crate) kinds: BTreeMap<String, usize>,
}

impl Tally {
    pub(crate) fn answered(&mut self, status: &CacheStatus, tempted: bool) {
        self.answers += 1;
        self.tempted += usize::from(tempted);
        let how = if status.hit { "hit" } else { status.forward.as_deref().unwrap_or("local") };
        self.count(&format!("answer {how}"));
        if status.collapsed {
            self.count("answer collapsed");
        }
        if let Some(detail) = &status.detail {
            self.count(&format!("detail {detail}"));
        }
    }

    /// A request that was sent.
    pub(crate) fn asked(&mut self, method: &str, extra: &str) {
        self.count(&format!("request {method}"));
        if let Some((field, _)) = extra.split_once(':') {
            self.count(&format!("request with {field}"));
        }
    }

    /// What the origin said.
    pub(crate) fn replied(&mut self, reply: &Reply) {
        if *reply == Reply::WrittenAndShown {
            self.count("write shown");
        }
    }

    pub(crate) fn swept(&mut self) {
        self.count("sweep");
    }

    pub(crate) fn interrupted(&mut self) {
        self.count("interrupted sweep");
    }

    pub(crate) fn purged(&mut self, door: Door, soft: bool, targets: &[Target]) {
        self.count(match door {
            Door::Log => "door log",
            Door::Post { .. } => "door POST",
            Door::Method => "door PURGE",
        });
        if soft && door == (Door::Post { refresh: true }) {
            self.count("purge refresh");
        }
        for target in targets {
            let what = match target {
                Target::Everything => "everything",
                Target::Host(_) => "host",
                Target::Url(_) => "url",
                Target::Prefix(_) => "prefix",
                Target::Tag(_) => "tag",
                Target::Group { .. } => "group",
            };
            self.count(&format!("purge {} {what}", if soft { "soft" } else { "hard" }));
        }
    }

    /// Fails if so many scripts have not tried enough: each of these has to happen so often in a hundred of them.
    #[track_caller]
    pub(crate) fn assert_rich(&self, scripts: usize) {
        let kind = |kind: &str| self.kinds.get(kind).copied().unwrap_or_default();
        let happened = [
            ("answers", self.answers, 500),
            ("tempting answers", self.tempted, 100),
            ("purges of fetches in flight", self.in_flight, 100),
            ("unsafe requests", self.written, 20),
            ("hits", kind("answer hit"), 50),
            ("waiters", kind("answer collapsed"), 40),
            ("304s", kind("detail revalidated"), 5),
            ("answers while a refresh runs", kind("detail stale-while-revalidate"), 5),
            ("answers in place of an error", kind("detail stale-if-error"), 1),
            ("completed parts", kind("answer partial"), 2),
            ("HEADs", kind("request HEAD"), 20),
            ("ranges", kind("request with Range"), 50),
            ("answers to writes that show what was made", kind("write shown"), 2),
            ("sweeps", kind("sweep"), 40),
            ("steps between those of a sweep", kind("interrupted sweep"), 80),
            ("purges by the log", kind("door log"), 50),
            ("purges by POST", kind("door POST"), 50),
            ("purges by PURGE", kind("door PURGE"), 20),
            ("purges that refresh", kind("purge refresh"), 5),
            ("hard purges of everything", kind("purge hard everything"), 4),
            ("hard purges of hosts", kind("purge hard host"), 15),
            ("hard purges of prefixes", kind("purge hard prefix"), 15),
            ("hard purges of URLs", kind("purge hard url"), 50),
            ("hard purges of groups", kind("purge hard group"), 8),
            ("hard purges of tags", kind("purge hard tag"), 50),
            ("soft purges of everything", kind("purge soft everything"), 2),
            ("soft purges of hosts", kind("purge soft host"), 7),
            ("soft purges of prefixes", kind("purge soft prefix"), 7),
            ("soft purges of URLs", kind("purge soft url"), 25),
            ("soft purges of groups", kind("purge soft group"), 4),
            ("soft purges of tags", kind("purge soft tag"), 25),
        ];
        for (what, count, percent) in happened {
            assert!(
                count >= scripts * percent / 100,
                "only {count} {what} in {scripts} interleavings: {self:#?}"
            );
        }
    }

    fn count(&mut self, what: &str) {
        *self.kinds.entry(what.to_owned()).or_default() += 1;
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.answers += other.answers;
        self.tempted += other.tempted;
        self.in_flight += other.in_flight;
        self.written += other.written;
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
    }
}
