//! The purges of late, for people who wonder what happened.

use std::collections::VecDeque;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::{Done, Purge, Target, Who};

/// Remembered purges.
const MOST: usize = 100;
/// Targets of each, and bytes of each target, so that the whole stays small whatever is purged.
const TARGETS: usize = 20;
const LENGTH: usize = 256;

/// A purge that was made.
#[derive(Clone, Debug)]
pub struct Recent {
    /// When.
    pub at: SystemTime,
    /// By whom.
    pub who: Who,
    /// What came of it.
    pub done: Done,
    /// The first of its targets, cut to a bearable length.
    pub targets: Vec<Target>,
    /// How many there were in all.
    pub count: usize,
}

#[derive(Default)]
pub(super) struct Ring(Mutex<VecDeque<Recent>>);

impl Ring {
    pub(super) fn push(&self, at: SystemTime, purge: &Purge, who: &Who, done: &Done) {
        let targets = purge.targets.iter().take(TARGETS).map(shortened).collect();
        let recent = Recent { at, who: who.clone(), done: done.clone(), targets, count: purge.targets.len() };
        let mut ring = self.0.lock();
        if ring.len() == MOST {
            ring.pop_front();
        }
        ring.push_back(recent);
    }

    /// The youngest first.
    pub(super) fn list(&self) -> Vec<Recent> {
        self.0.lock().iter().rev().cloned().collect()
    }
}

fn shortened(target: &Target) -> Target {
    match target {
        Target::Url(url) => Target::Url(cut(url)),
        Target::Tag(tag) => Target::Tag(cut(tag)),
        Target::Group { origin, name } => Target::Group { origin: cut(origin), name: cut(name) },
        Target::Prefix(prefix) => Target::Prefix(cut(prefix)),
        Target::Host(host) => Target::Host(cut(host)),
        Target::Everything => Target::Everything,
    }
}

fn cut(text: &str) -> String {
    if text.len() <= LENGTH {
        return text.to_owned();
    }
    let end = (0..=LENGTH).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_bounded_in_every_way() {
        let ring = Ring::default();
        let who = Who { peer: [127, 0, 0, 1].into(), token: None };
        let long = "\u{e4}".repeat(10_000);
        for number in 0..MOST + 3 {
            let purge = Purge {
                targets: vec![Target::Tag(format!("{number}{long}")); 1000],
                soft: false,
                dry_run: false,
                refresh: None,
            };
            let done = Done { sequence: None, soft: false, dry_run: false, entries: None, refresh: None };
            ring.push(SystemTime::UNIX_EPOCH, &purge, &who, &done);
        }
        let list = ring.list();
        assert_eq!((list.len(), list[0].targets.len(), list[0].count), (MOST, TARGETS, 1000));
        let Target::Tag(tag) = &list[0].targets[0] else { panic!("{list:?}") };
        assert!(tag.starts_with("102\u{e4}") && tag.ends_with("\u{e4}...") && tag.len() <= LENGTH + 3);
    }
}
