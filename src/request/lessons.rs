//! What earlier answers taught about a key, beside what was stored: by which fields its responses vary, and
//! whether waiting for each other is of use at all.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use moka::sync::Cache;

use crate::clock::Moment;
use crate::config;
use crate::key::CacheKey;
use crate::policy::vary::Variant;
use crate::request::assemble::{self, Asked, Unshared};
use crate::request::receive::Routed;
use crate::request::worker::Engine;
use crate::validity::{Marks, Sequence, Stamp};

/// The memory that lessons may take is bounded by their number: one per this many bytes of the cache's limit.
const BYTES_PER_LESSON: u64 = 32 * 1024;

pub(crate) struct Lessons(Cache<CacheKey, Arc<Lesson>>);

#[derive(Clone, Default)]
pub(crate) struct Lesson {
    /// Sorted; the selecting fields of the last response.
    vary: Arc<[HeaderName]>,
    marker: Option<Arc<Marker>>,
}

/// *Hit for miss*: the last answer could not be shared, so requests do not queue behind each other.
struct Marker {
    /// The reason lay in the request; only requests like it are marked.
    owed_to: Option<Likeness>,
    marks: Marks,
    stamp: Stamp,
    until: Moment,
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
        Self(Cache::new((config.memory / BYTES_PER_LESSON).max(1024)))
    }

    pub(crate) fn get(&self, key: &CacheKey) -> Option<Arc<Lesson>> {
        self.0.get(key)
    }

    /// The selecting fields of a request under the last Vary rule that was seen for its key.
    pub(crate) fn variant(&self, request: &Routed) -> Variant {
        match self.get(&request.key) {
            Some(lesson) if !lesson.vary.is_empty() => Variant::of(&lesson.vary, &request.received.fields),
            _ => Variant::default(),
        }
    }

    /// A storable answer came: later flights are told apart by its Vary rule, and a marker is gone.
    pub(crate) fn storable(&self, key: CacheKey, vary: &[HeaderName]) {
        let known = self.0.get(&key);
        if vary.is_empty() {
            if known.is_some() {
                self.0.invalidate(&key);
            }
        } else if known.is_none_or(|lesson| lesson.marker.is_some() || *lesson.vary != *vary) {
            self.0.insert(key, Arc::new(Lesson { vary: vary.into(), marker: None }));
        }
    }

    /// An answer came that cannot be shared.
    pub(crate) fn unshared(&self, engine: &Engine, asked: &Asked, unshared: &Unshared, sent: Sequence) {
        // A purge by what it carries removes the marker, too; unless it carries too much, then only one by URL or host.
        let marks = assemble::mark(engine, asked, unshared.response.headers(), sent)
            .or_else(|_| assemble::mark(engine, asked, &HeaderMap::new(), sent));
        let Ok(marks) = marks else { return };
        let marker = Marker {
            owed_to: unshared.owed_to_request.then(|| Likeness::of(&asked.fields)),
            marks,
            stamp: Stamp::new(sent),
            until: engine.clock.moment() + engine.config.cache.hit_for_miss,
        };
        let vary = self.0.get(&asked.key).map(|lesson| lesson.vary.clone()).unwrap_or_default();
        self.0.insert(asked.key, Arc::new(Lesson { vary, marker: Some(Arc::new(marker)) }));
    }
}

impl Lesson {
    /// Whether a request had better not wait for others. A purge removes the marker.
    pub(crate) fn releases(&self, engine: &Engine, request: &Routed) -> bool {
        self.marker.as_ref().is_some_and(|marker| {
            marker.owed_to.is_none_or(|likeness| likeness == Likeness::of(&request.received.fields))
                && engine.clock.moment() < marker.until
                && engine.log.check(&marker.marks, &marker.stamp).is_some()
        })
    }
}
