//! Refreshing what a soft purge made stale, before anybody asks for it.
//!
//! A soft purge of many responses would otherwise send their first requests to the origin all at once. The hottest of
//! them are revalidated in the background, a few at a time; requests that come meanwhile share those fetches, since
//! they go through the same flights.
//!
//! Left out: who may ask for it, and on which thread it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Version};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_blocking};

use crate::key::CacheKey;
use crate::request::flight::{self, Background};
use crate::request::lookup;
use crate::request::notable::Notable;
use crate::request::receive::{Client, Received, Routed};
use crate::request::worker::{Engine, Worker};
use crate::store::Entry;
use crate::validity::Sequence;

/// Entries that are looked at before the walk over the store rests, and for how long: it competes with those who serve.
const STEP: usize = 512;
const REST: Duration = Duration::from_millis(1);

/// Takes orders to refresh. Clones take them for the same [`run`](Self::run).
#[derive(Clone, Default)]
pub struct Refresher {
    desk: Arc<Desk>,
}

#[derive(Default)]
struct Desk {
    /// One at most: orders that come while another is carried out are put together, so that they do not pile up.
    order: Mutex<Option<Order>>,
    bell: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    /// The first soft purge of those that hit.
    since: Sequence,
    most: usize,
}

impl Refresher {
    /// Has the hottest `most` of those entries revalidated that the soft purge `sequence` hit. Returns at once.
    pub fn refresh(&self, sequence: Sequence, most: usize) {
        let mut order = self.desk.order.lock();
        let waiting = order.unwrap_or(Order { since: sequence, most: 0 });
        let (since, most) = (waiting.since.min(sequence), waiting.most.saturating_add(most));
        *order = Some(Order { since, most });
        drop(order);
        self.desk.bell.notify_one();
    }

    /// Carries out orders, one after the other. Never returns.
    pub async fn run(&self, worker: Worker) {
        loop {
            let order = self.next().await;
            let engine = worker.shared_engine();
            // The walk takes its time, and other fetches of this thread must not wait for it.
            let hottest = spawn_blocking(move || hottest(&engine, order)).await.unwrap_or_default();
            let count = hottest.len();
            refresh_all(&worker, hottest).await;
            tracing::debug!(count, sequence = order.since.get(), "refreshed after a soft purge");
        }
    }

    async fn next(&self) -> Order {
        loop {
            if let Some(order) = self.desk.order.lock().take() {
                return order;
            }
            self.desk.bell.notified().await;
        }
    }
}

/// What soft purges since that of the order have hit, the hottest first.
fn hottest(engine: &Engine, order: Order) -> Vec<Entry> {
    // The second number only tells those of equal heat apart.
    let mut hottest: BTreeMap<(u32, usize), Entry> = BTreeMap::new();
    for (number, entry) in engine.store.entries().enumerate() {
        if was_hit(engine, &entry, order.since) {
            hottest.insert((entry.heat(), number), entry);
            if hottest.len() > order.most {
                hottest.pop_first();
            }
        }
        if number % STEP == STEP - 1 {
            std::thread::sleep(REST);
        }
    }
    hottest.into_values().rev().collect()
}

/// Whether a soft purge numbered `since` or later has made a response stale. Parts are left alone: they cannot be
/// revalidated.
fn was_hit(engine: &Engine, entry: &Entry, since: Sequence) -> bool {
    // As if it had been validated just before that purge: earlier ones do not count then.
    let stamp = entry.stamp.revalidated(since.before());
    let alive = engine.log.check(&entry.marks, &stamp);
    entry.is_whole() && alive.is_some_and(|alive| alive.softened().is_some())
}

/// Never more than `refresh_concurrency` at once.
async fn refresh_all(worker: &Worker, hottest: Vec<Entry>) {
    let at_once = worker.engine().config.purge.refresh_concurrency.max(1);
    let mut under_way = JoinSet::new();
    for entry in hottest {
        if under_way.len() >= at_once {
            under_way.join_next().await;
        }
        under_way.spawn(refresh(worker.clone(), entry));
    }
    while under_way.join_next().await.is_some() {}
}

/// Revalidates one response, or waits for somebody who does.
async fn refresh(worker: Worker, entry: Entry) {
    let engine = worker.engine();
    let Some(request) = request_for(engine, &entry).filter(|request| request.passes().is_none()) else {
        return;
    };
    drop(entry);
    // Who was on the way already may have set out before the purge; then it takes a fetch of our own.
    for _ in 0..2 {
        let found = lookup::lookup(engine, &request);
        let Some(live) = &found.whole else { return };
        if live.alive.softened().is_none() || live.entry.held_off(engine.clock.moment()) {
            return;
        }
        if flight::revalidate(&worker, &request, &found).await == Background::Fetched {
            return;
        }
    }
}

/// The request that a stored response answers, as far as it matters: the fields by which it was selected, in normal
/// form. Nobody asks it, so it has no others.
fn request_for(engine: &Engine, entry: &Entry) -> Option<Routed> {
    let url = entry.marks.url()?;
    let (authority, path) = url.split_at(url.find('/')?);
    let scheme =
        ["http", "https"].into_iter().find(|scheme| CacheKey::of(scheme, authority, path) == entry.key)?;
    let mut fields = HeaderMap::new();
    entry.variant().write_to(&mut fields);
    let mut received = Received {
        method: Method::GET,
        scheme,
        authority: authority.into(),
        target: path.parse::<PathAndQuery>().ok()?,
        version: Version::HTTP_11,
        notable: Notable::of(&fields),
        fields: fields.into(),
        content: None,
        client: Client::ourselves(scheme),
        wants_trailers: false,
        arrived: engine.log.published(),
        at: engine.clock.moment(),
        line: None,
        refusal: None,
    };
    let route = received.route(engine).ok()?;
    Some(Routed::new(engine, received, route))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::validity::{Fact, Kind, Log, Subject};

    #[tokio::test]
    async fn orders_that_wait_are_put_together() {
        let log = Log::new();
        let fact = Fact { subject: Subject::Everything, kind: Kind::Soft };
        let [first, second] = [(); 2].map(|()| log.publish(&[fact], Moment::from_nanos(1)));
        let refresher = Refresher::default();
        refresher.refresh(second, 5);
        refresher.clone().refresh(first, 3);
        assert_eq!(refresher.next().await, Order { since: first, most: 8 });
        refresher.refresh(second, usize::MAX);
        refresher.refresh(second, 1);
        assert_eq!(refresher.next().await, Order { since: second, most: usize::MAX });
    }
}
