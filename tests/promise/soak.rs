//! Promise 1 in real time: clients, purges and an origin that counts, all at once and as fast as they can.
//!
//! The origin numbers what it makes, when it is asked for it, and answers after 0 to 60 ms. Whoever purges notes the
//! youngest number before, and tells it when the purge has returned. From then on, whoever asks must get a younger one.
//!
//! `LARDER_SOAK_SECONDS=30` does that for 30 seconds instead of 4.

#![allow(clippy::disallowed_methods, reason = "the time that passes is real")]

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::proxy::{Proxy, ours};
use crate::purging::{EVERYTHING, purge};
use crate::random::Random;
use crate::support::*;

const CLIENTS: u64 = 8;
const SECONDS: u64 = 4;
const MOST_LATENCY_MS: usize = 60;
/// From a purge to the next: up to so much.
const MOST_PAUSE_MS: usize = 60;

/// What the origin says of each target: how long it may be reused.
const TARGETS: [(&str, &str); 4] = [
    ("/long", "max-age=1000"),
    ("/zero", "max-age=0"),
    ("/grants", "max-age=0, stale-while-revalidate=600, stale-if-error=600"),
    ("/errors", "max-age=0, stale-if-error=600"),
];

/// What is known of a target.
#[derive(Default)]
struct Target {
    /// The youngest version that was made before the last purge that has returned.
    floor: AtomicU64,
}

#[derive(Default)]
struct Shared {
    /// Versions made, over all targets.
    made: AtomicU64,
    targets: [Target; TARGETS.len()],
    /// Answers of the origin that a purge had overtaken when they were given.
    overtaken: AtomicUsize,
    confirmed: AtomicUsize,
}

impl Shared {
    /// What the origin answers for a target.
    fn answer(&self, index: usize, seen: &Seen) -> Answer {
        let (target, cache) = TARGETS[index];
        let version = self.made.fetch_add(1, Ordering::SeqCst) + 1;
        let mut random = Random::new(version);
        thread::sleep(Duration::from_millis(random.below(MOST_LATENCY_MS + 1) as u64));
        if version <= self.targets[index].floor.load(Ordering::SeqCst) {
            self.overtaken.fetch_add(1, Ordering::Relaxed);
        }
        if target == "/errors" && random.percent(30) {
            return problem(503);
        }
        let with_fields = |answer: Answer| {
            answer.cache(cache).field("ETag", "\"always\"").field("Cache-Tag", format!("all, {target}"))
        };
        if seen.fields.has("If-None-Match") && random.percent(50) {
            self.confirmed.fetch_add(1, Ordering::Relaxed);
            return with_fields(unchanged());
        }
        with_fields(ok(version.to_string()))
    }

    /// Purges until `end`, by everything there is; returns how often.
    fn purge(&self, proxy: &Proxy, end: Instant) -> usize {
        let mut random = Random::new(0);
        let mut purges = 0;
        while Instant::now() < end {
            let index = random.below(TARGETS.len());
            let target = TARGETS[index].0;
            let url = format!("example.com{target}");
            let (reached, before) = (&self.targets[index..=index], self.made.load(Ordering::SeqCst));
            let reached = match random.below(10) {
                0 => {
                    purge(proxy, EVERYTHING);
                    &self.targets[..]
                }
                1 => {
                    purge(proxy, ("tags", "all"));
                    &self.targets[..]
                }
                2 | 3 => {
                    purge(proxy, ("prefixes", &url));
                    reached
                }
                4 | 5 => {
                    let written = proxy.ask("POST", target).content("").send();
                    assert_eq!(written.status, 204);
                    reached
                }
                6 | 7 => {
                    purge(proxy, ("urls", &url));
                    reached
                }
                _ => {
                    purge(proxy, ("tags", target));
                    reached
                }
            };
            for target in reached {
                target.floor.fetch_max(before, Ordering::SeqCst);
            }
            purges += 1;
            thread::sleep(Duration::from_millis(random.below(MOST_PAUSE_MS) as u64));
        }
        purges
    }

    /// Asks until `end`.
    fn ask(&self, proxy: &Proxy, client: u64, end: Instant) -> Checked {
        let mut random = Random::new(client);
        let mut checked = Checked::default();
        let mut connection = proxy.connect();
        while Instant::now() < end {
            let index = random.below(TARGETS.len());
            let floor = self.targets[index].floor.load(Ordering::SeqCst);
            let ask = proxy.asks(TARGETS[index].0);
            let (answered, kept) = ask.begin_on(connection).finish_and_keep();
            connection = kept;
            checked.take(&answered, floor);
        }
        checked
    }
}

/// What clients got.
#[derive(Clone, Copy, Debug, Default)]
struct Checked {
    /// Answers to requests that were sent after a purge had returned.
    answers: usize,
    /// Of these, from before the purge. None may be.
    stale: usize,
    hits: usize,
    collapsed: usize,
    granted: usize,
    errors: usize,
}

impl Checked {
    fn take(&mut self, answered: &Answered, floor: u64) {
        let status = ours(answered);
        if answered.status != 200 {
            assert_eq!(answered.status, 503, "{answered:?}");
            self.errors += 1;
            return;
        }
        let version: u64 = answered.text().parse().unwrap();
        self.answers += usize::from(floor > 0);
        self.stale += usize::from(version <= floor);
        self.hits += usize::from(status.hit);
        self.collapsed += usize::from(status.collapsed);
        self.granted += usize::from(status.detail.is_some_and(|detail| detail.starts_with("stale-")));
    }
}

impl AddAssign for Checked {
    fn add_assign(&mut self, other: Self) {
        self.answers += other.answers;
        self.stale += other.stale;
        self.hits += other.hits;
        self.collapsed += other.collapsed;
        self.granted += other.granted;
        self.errors += other.errors;
    }
}

#[test]
fn no_answer_after_a_purge_is_from_before_it() {
    let seconds = std::env::var("LARDER_SOAK_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let shared = Arc::new(Shared::default());
    let origin = Origin::start();
    for (index, (target, _)) in TARGETS.into_iter().enumerate() {
        let counting = shared.clone();
        origin.on(&format!("GET {target}")).choose(move |seen| counting.answer(index, seen));
        origin.on(&format!("POST {target}")).respond(nothing());
    }
    let proxy = Proxy::with(&origin).threads(2).system_clock().start();
    let end = Instant::now() + Duration::from_secs(seconds);
    let (checked, purges) = thread::scope(|scope| {
        let purging = scope.spawn(|| shared.purge(&proxy, end));
        let clients: Vec<_> = (1..=CLIENTS)
            .map(|client| {
                let (shared, proxy) = (&shared, &proxy);
                scope.spawn(move || shared.ask(proxy, client, end))
            })
            .collect();
        let mut checked = Checked::default();
        clients.into_iter().for_each(|client| checked += client.join().unwrap());
        (checked, purging.join().unwrap())
    });
    let overtaken = shared.overtaken.load(Ordering::Relaxed);
    let confirmed = shared.confirmed.load(Ordering::Relaxed);
    let made = shared.made.load(Ordering::Relaxed);
    println!("{purges} purges in {seconds} s; {checked:?}");
    println!("{made} fetches, {confirmed} answered 304, {overtaken} overtaken by a purge");
    assert_eq!(checked.stale, 0, "stale answers in {}", checked.answers);
    // Else there was nothing that could have been served wrongly.
    let enough = |what: &str, count: usize, per_second: u64| {
        assert!(count as u64 >= seconds * per_second, "only {count} {what} in {seconds} s");
    };
    enough("purges", purges, 5);
    enough("checked answers", checked.answers, 50);
    enough("hits", checked.hits, 10);
    enough("waiters", checked.collapsed, 5);
    enough("answers under a grant", checked.granted, 2);
    enough("304s", confirmed, 2);
    enough("fetches overtaken by a purge", overtaken, 5);
}
