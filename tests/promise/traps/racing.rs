//! Purges against each other, against the sweep, and a storm of them: real threads, real time.

#![allow(clippy::disallowed_methods, reason = "the time that passes is what is measured")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{TAG, tagged};
use crate::proxy::{Proxy, assert_hit, ours};
use crate::purging::{EVERYTHING, purge};
use crate::support::*;

/// Purges and asks in turn; returns how many answers were hits.
fn rounds(proxy: &Proxy, made: &AtomicUsize, count: usize, mut purge: impl FnMut()) -> usize {
    let mut hits = 0;
    for _ in 0..count {
        let first = proxy.asks("/a").send();
        hits += usize::from(ours(&first).hit);
        let before = made.load(Ordering::SeqCst);
        purge();
        let after: usize = proxy.asks("/a").send().text().parse().unwrap();
        assert!(after > before, "version {after} was made before the purge, {before} had been made then");
    }
    hits
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
    let hits = rounds(&proxy, &MADE, 300, || {
        let numbers = thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(|| purge(&proxy, TAG)));
            both.map(|one| one.join().unwrap())
        });
        assert_ne!(numbers[0], numbers[1]);
    });
    assert!(hits > 100, "{hits} of 300 were hits: nothing was put to the test");
}

#[test]
fn a_purge_of_everything_during_a_sweep_holds() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let origin = counting(&MADE);
    let proxy = Proxy::before(&origin);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sweeping = scope.spawn(|| {
            let mut sweeps = 0;
            while !over.load(Ordering::Relaxed) {
                proxy.log().sweep();
                sweeps += 1;
                thread::yield_now();
            }
            sweeps
        });
        let ending = Ending(&over);
        let hits = rounds(&proxy, &MADE, 300, || {
            purge(&proxy, EVERYTHING);
        });
        drop(ending);
        assert!(hits > 100, "{hits} of 300 were hits: nothing was put to the test");
        assert!(sweeping.join().unwrap() > 300);
    });
}

/// How long hits may take while a storm of purges goes on, half of them at least. On an idle machine it is well under a
/// millisecond; what this must not be is the pace of the storm or of the origin.
const LITTLE: Duration = Duration::from_millis(50);

#[test]
fn a_storm_of_purges_neither_stalls_hits_nor_keeps_a_request_for_ever() {
    const STORM: Duration = Duration::from_secs(2);
    const PER_SECOND: u32 = 1000;
    let origin = Origin::start();
    origin.on("/calm").respond(ok("calm").cache("max-age=60"));
    origin.on("/a").choose(|_| {
        thread::sleep(Duration::from_millis(10));
        tagged("stormy")
    });
    let proxy = Proxy::before(&origin);
    proxy.get("/calm");
    let over = AtomicBool::new(false);
    let (purges, mut hits, asked) = thread::scope(|scope| {
        let storm = scope.spawn(|| {
            let _ending = Ending(&over);
            let started = Instant::now();
            let mut purges = 0;
            while started.elapsed() < STORM {
                purge(&proxy, TAG);
                purges += 1;
                // On time, however long the last one took.
                let next = STORM * purges / (STORM.as_secs() as u32 * PER_SECOND);
                thread::sleep(next.saturating_sub(started.elapsed()));
            }
            purges
        });
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !over.load(Ordering::Relaxed) {
                assert_eq!(proxy.asks("/a").send().text(), "stormy");
                asked += 1;
            }
            asked
        });
        let mut hits = Vec::new();
        let mut connection = proxy.connect();
        while !over.load(Ordering::Relaxed) {
            let began = Instant::now();
            let (answered, kept) = proxy.asks("/calm").begin_on(connection).finish_and_keep();
            assert_hit(&answered);
            hits.push(began.elapsed());
            connection = kept;
        }
        (storm.join().unwrap(), hits, asking.join().unwrap())
    });
    hits.sort();
    let slow = hits[hits.len() / 2];
    assert!(slow < LITTLE, "hits take {slow:?} in a storm of {purges} purges");
    assert!(asked > 20, "{asked} requests were answered in {purges} purges");
    // Each may have its answer, as it arrived before the purge that killed it.
    assert!(origin.count("/a") <= 2 * asked, "{} fetches for {asked} requests", origin.count("/a"));
}
