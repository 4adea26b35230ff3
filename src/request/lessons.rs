//! What earlier answers taught about a key, beside what was stored: by which fields its responses vary, and
//! whether waiting for each other is of use at all.
//!
//! Both are kept within a share of the cache's memory, whatever origins send: names of fields, and tags to be purged
//! by, are as many and as long as they like. A marker is charged to the budget, too, and goes when its time is over.
//! The rule of a key outlives it.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use crate::clock::Moment;
use crate::config;
use crate::key::CacheKey;
use crate::policy::vary::Variant;
use crate::request::assemble::{self, Asked, Unshared};
use crate::request::receive::Routed;
use crate::request::shelf::Shelf;
use crate::request::worker::Engine;
use crate::store::Charge;
use crate::validity::{Marks, Sequence, Stamp};

/// Rules may take one part in so many of the cache's limit, and so may markers.
const SHARE: u64 = 32;
/// What a lesson costs beyond its content, at most: the key's places in a table and in the order of age, each with the room
/// that a growing one has to spare, and the counts of an `Arc`.
const PER_LESSON: usize = 512;

pub(crate) struct Lessons {
    /// Sorted; the selecting fields of the last response.
    rules: Shelf<Arc<[HeaderName]>>,
    markers: Shelf<Arc<Marker>>,
}

/// *Hit for miss*: the last answer could not be shared, so requests do not queue behind each other.
struct Marker {
    /// The reason lay in the request; only requests like it are marked.
    owed_to: Option<Likeness>,
    marks: Marks,
    stamp: Stamp,
    until: Moment,
    _charge: Charge,
}

/// What a reason can lie in.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Likeness {
    authorized: bool,
    ranged: bool,
}

impl Likeness {
    fn of(fields: &HeaderMap) -> Self {
        Self {
            authorized: fields.contains_key(http::header::AUTHORIZATION),
            ranged: fields.contains_key(http::header::RANGE),
        }
    }
}

impl Lessons {
    pub(crate) fn new(config: &config::Cache) -> Self {
        let room = config.memory / SHARE;
        Self { rules: Shelf::new(room), markers: Shelf::new(room) }
    }

    /// Whether a request had better not wait for others. A purge removes the marker.
    pub(crate) fn release(&self, engine: &Engine, request: &Routed) -> bool {
        self.markers.get(&request.key).is_some_and(|marker| {
            marker.owed_to.is_none_or(|likeness| likeness == Likeness::of(&request.received.fields))
                && engine.clock.moment() < marker.until
                && engine.log.check(&marker.marks, &marker.stamp).is_some()
        })
    }

    /// The selecting fields of a request under the last Vary rule that was seen for its key.
    pub(crate) fn variant(&self, key: &CacheKey, fields: &HeaderMap) -> Variant {
        match self.rules.get(key) {
            Some(rule) => Variant::of(&rule, fields),
            None => Variant::default(),
        }
    }

    /// A storable answer came: later flights are told apart by its Vary rule, and a marker is gone.
    pub(crate) fn storable(&self, key: CacheKey, vary: &[HeaderName]) {
        self.markers.remove(&key);
        let known = self.rules.get(&key);
        if vary.is_empty() {
            if known.is_some() {
                self.rules.remove(&key);
            }
        } else if known.is_none_or(|rule| *rule != *vary) {
            self.rules.put(key, vary.into(), size_of_rule(vary));
        }
    }

    /// An answer came that cannot be shared. Without memory for a marker there is none.
    pub(crate) fn unshared(&self, engine: &Engine, asked: &Asked, unshared: &Unshared, sent: Sequence) {
        // A purge by what it carries removes the marker, too; unless it carries too much, then only one by URL or host.
        let marks = assemble::mark(engine, asked, unshared.response.headers(), sent)
            .or_else(|_| assemble::mark(engine, asked, &HeaderMap::new(), sent));
        let Ok(marks) = marks else { return };
        let size = PER_LESSON + size_of::<Marker>() + marks.size();
        let Some(charge) = engine.budget.try_charge(size) else { return };
        let marker = Marker {
            owed_to: unshared.owed_to_request.then(|| Likeness::of(&asked.fields)),
            marks,
            stamp: Stamp::new(sent),
            until: engine.clock.moment() + engine.config.cache.hit_for_miss,
            _charge: charge,
        };
        self.markers.put(asked.key, Arc::new(marker), size);
    }

    /// Lets go of markers whose time is over at `now`. All have the same, so the oldest are first.
    pub(crate) fn tick(&self, now: Moment) {
        self.markers.drop_while(|marker| marker.until <= now);
    }
}

/// Standard names take no more than their place.
fn size_of_rule(rule: &[HeaderName]) -> usize {
    PER_LESSON + rule.iter().map(|name| size_of::<HeaderName>() + name.as_str().len()).sum::<usize>()
}
