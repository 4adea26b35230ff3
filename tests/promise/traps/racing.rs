//! Purges against each other, against the sweep, and a storm of them: real threads, real time.

#![allow(clippy::disallowed_methods, reason = "the time that passes is what is measured")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{TAG, tagged};
use crate::proxy::{Proxy, assert_hit, ours};
use crate::purging::{EVERYTHING, purge};
use crate::support::*;

/// So many hits put a purge to the test.
const ENOUGH_HITS: usize = 100;
/// Most rounds. An answer that comes while facts are forgotten is not stored, so on a slow machine few requests are hits.
const MOST_ROUNDS: usize = 30 * ENOUGH_HITS;

/// Purges and asks in turn, until enough of what was purged had been hits.
fn rounds(proxy: &Proxy, made: &AtomicUsize, mut purge: impl FnMut()) {
    let mut hits = 0;
    for _ in 0..MOST_ROUNDS {
        let first = proxy.asks("/a").send();
        hits += usize::from(ours(&first).hit);
        let before = made.load(Ordering::SeqCst);
        purge();
        let after: usize = proxy.asks("/a").send().text().parse().unwrap();
        assert!(after > before, "version {after} was made before the purge, {before} had been made then");
        if hits == ENOUGH_HITS {
            return;
        }
    }
    panic!("{hits} of {MOST_ROUNDS} were hits: little was put to the test");
}

/// When it goes, it is over for the other threads, too, also by a panic.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An origin that counts the versions it makes, in `made`.
fn counting(made: &'static AtomicUsize) -> Origin {
    let origin = Origin::start();
    let version = || tagged(&(made.fetch_add(1, Ordering::SeqCst) + 1).to_string());
    origin.on("/a").choose(move |_| version());
    origin
}

#[test]
fn two_purges_of_one_tag_at_once_both_hold() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let origin = counting(&MADE);
    let proxy = Proxy::before(&origin);
    rounds(&proxy, &MADE, || {
        let numbers = thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(|| purge(&proxy, TAG)));
            both.map(|one| one.join().unwrap())
        });
        assert_ne!(numbers[0], numbers[1]);
    });
}

#[test]
fn a_purge_of_everything_during_a_sweep_holds() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let origin = counting(&MADE);
    let proxy = Proxy::before(&origin);
    let (over, sweeps) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let sweeping = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                proxy.log().sweep();
                sweeps.fetch_add(1, Ordering::Relaxed);
                thread::yield_now();
            }
        });
        let _ending = Ending(&over);
        rounds(&proxy, &MADE, || {
            let before = sweeps.load(Ordering::Relaxed);
            purge(&proxy, EVERYTHING);
            while sweeps.load(Ordering::Relaxed) == before && !sweeping.is_finished() {
                thread::yield_now();
            }
        });
    });
}

const STORM: Duration = Duration::from_secs(2);
const PER_SECOND: u32 = 1000;
/// Fewer purges in a second are no storm. A machine that is too slow to send them shows nothing, and is told so.
const ENOUGH_PER_SECOND: f64 = 300.0;

/// How long hits may take while a storm of purges goes on, half of them at least. On an idle machine it is well under a
/// millisecond; what this must not be is the pace of the storm or of the origin.
const LITTLE: Duration = Duration::from_millis(50);
/// How long one hit, and one request that has to go to the origin, may take at most. The origin takes 10 ms, and whoever
/// is sent back twice goes alone, so 30 ms would do; the rest is for a machine that has other things to do.
const BOUND: Duration = Duration::from_secs(1);

/// Purges on time, however long the last one took. How many there were, and in what time.
fn storm(proxy: &Proxy) -> (u32, Duration) {
    let ask = proxy.ask("PURGE", "/a").field("Cache-Tag", TAG.1);
    let mut connection = proxy.connect();
    let started = Instant::now();
    let mut purges = 0;
    while started.elapsed() < STORM {
        let (answered, kept) = ask.begin_on(connection).finish_and_keep();
        assert_eq!(answered.status, 200, "{answered:?}");
        connection = kept;
        purges += 1;
        let next = Duration::from_secs(1) * purges / PER_SECOND;
        thread::sleep(next.saturating_sub(started.elapsed()));
    }
    (purges, started.elapsed())
}

/// What one who asked until the storm was over has seen.
#[derive(Default)]
struct Seen {
    answers: usize,
    /// Answers by somebody else's fetch.
    collapsed: usize,
    times: Vec<Duration>,
}

/// Asks again and again, and has every answer looked at.
fn ask_until(over: &AtomicBool, proxy: &Proxy, ask: &Ask, look: impl Fn(&Answered)) -> Seen {
    let mut seen = Seen::default();
    let mut connection = proxy.connect();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let (answered, kept) = ask.begin_on(connection).finish_and_keep();
        seen.times.push(began.elapsed());
        look(&answered);
        seen.answers += 1;
        seen.collapsed += usize::from(ours(&answered).collapsed);
        connection = kept;
    }
    seen.times.sort();
    seen
}

/// Eight requests for one resource, and what is to come of each: status and content. The first [`PLAIN`] wait for each
/// other and for nothing else; the ranges differ, so that they wait for those only.
fn askers(proxy: &Proxy) -> [(Ask, u16, &'static str); 8] {
    let kind = |method: &str, kind: &str| proxy.ask(method, "/a").field("X-Kind", kind);
    let get = |which: &str| kind("GET", which);
    [
        (get("1"), 200, "stormy 1"),
        (get("2"), 200, "stormy 2"),
        (get("1"), 200, "stormy 1"),
        (get("2"), 200, "stormy 2"),
        (kind("HEAD", "1"), 200, ""),
        (kind("HEAD", "2"), 200, ""),
        (get("1").field("Range", "bytes=0-5"), 206, "stormy"),
        (get("2").field("Range", "bytes=-1"), 206, "2"),
    ]
}
const PLAIN: usize = 4;

#[test]
fn a_storm_of_purges_neither_stalls_hits_nor_keeps_a_request_for_ever() {
    let origin = Origin::start();
    origin.on("/calm").respond(ok("calm").cache("max-age=60"));
    origin.on("/a").choose(|seen| {
        thread::sleep(Duration::from_millis(10));
        let kind = seen.fields.one("X-Kind").unwrap_or_default();
        tagged(&format!("stormy {kind}")).field("Vary", "X-Kind")
    });
    let proxy = Proxy::with(&origin).purge("allow = [\"127.0.0.1\"]").start();
    proxy.get("/calm");
    let over = AtomicBool::new(false);
    let (proxy, over) = (&proxy, &over);
    let ((purges, took), hits, asked) = thread::scope(|scope| {
        let storm = scope.spawn(move || {
            let _ending = Ending(over);
            storm(proxy)
        });
        let asking: Vec<_> = askers(proxy)
            .into_iter()
            .zip(0..)
            .map(|((ask, status, content), place)| {
                scope.spawn(move || {
                    ask_until(over, proxy, &ask, |answered| {
                        assert_eq!((answered.status, answered.text().as_str()), (status, content));
                        // Or they would march in step, and a purge would seldom come between two of them.
                        thread::sleep(Duration::from_millis(place));
                    })
                })
            })
            .collect();
        let hits = ask_until(over, proxy, &proxy.asks("/calm"), assert_hit);
        let asked: Vec<Seen> = asking.into_iter().map(|one| one.join().unwrap()).collect();
        (storm.join().unwrap(), hits, asked)
    });
    let rate = f64::from(purges) / took.as_secs_f64();
    assert!(rate >= ENOUGH_PER_SECOND, "too slow to show anything: {rate:.0} purges a second are no storm");

    let (median, slowest) = (hits.times[hits.answers / 2], hits.times[hits.answers - 1]);
    assert!(hits.answers > 100, "only {} hits in {took:?}", hits.answers);
    assert!(median < LITTLE && slowest < BOUND, "hits take {median:?}, up to {slowest:?}");

    for one in &asked {
        assert!(one.answers > 20, "{} answers to one who asked for {took:?}", one.answers);
        let slowest = one.times[one.answers - 1];
        assert!(slowest < BOUND, "a request took {slowest:?}");
    }
    // Of those who waited for a fetch in their seat, who was not answered by it.
    let waited = proxy.metric("larder_collapsed_waiters_total");
    let sent_back = waited - asked[..PLAIN].iter().map(|one| one.collapsed as f64).sum::<f64>();
    assert!(sent_back > 20.0, "{sent_back} of {waited} were sent back: nothing was put to the test");
    // Whoever goes has an answer, as it arrived before the purge that killed it.
    let (fetches, answers) = (origin.count("/a"), asked.iter().map(|one| one.answers).sum());
    assert!(fetches <= answers, "{fetches} fetches for {answers} answers");
}
