//! The invalidation log by itself: what a purge costs when a million responses carry the tag, what a check costs, and
//! what is left of five million purges.

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]
#![allow(clippy::expect_used, reason = "a bench that cannot go on is to stop")]

#[path = "support/run.rs"]
mod run;

use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};

use cap::Cap;

use larder::clock::{Clock, Moment};
use larder::validity::{Fact, Kind, Log, Marks, Stamp, Subject, Subjects};

/// The allocator of the program, counting what is asked of it.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const MIB: f64 = (1 << 20) as f64;
const RESPONSES: usize = 1_000_000;
const TAGS: usize = 100_000;
const PURGES: usize = 5_000_000;
/// What may be left of them after the sweep.
const LEFT: usize = 2 << 20;
/// Purges between two looks at whether the log is crowded: it is asked now and then, not after each.
const TENDED: usize = 100;
/// A purge may take so long in all, from request to answer; the log is to be a small part of that.
const A_PURGE: Duration = Duration::from_millis(1);

fn main() {
    if !run::is_wanted() {
        return;
    }
    run::introduce("purge", "the invalidation log: purges, checks, sweeps, memory");
    widely_carried_tag();
    checks();
    println!("{PURGES} purges of as many tags and URLs, no sweep until the end:");
    many_purges(|_| (), |i, name| if i % 2 == 0 { Subject::Tag(name) } else { Subject::Url(name) });
    println!("the same, with a sweep whenever the log says that it is crowded:");
    many_purges(sweep_if_crowded, |i, name| if i % 2 == 0 { Subject::Tag(name) } else { Subject::Url(name) });
    println!("as many prefixes, with such sweeps:");
    many_purges(sweep_if_crowded, |_, name| Subject::Prefix(name));
}

fn now() -> Moment {
    Clock::system().moment()
}

fn purge(log: &Log, subject: Subject<'_>) {
    log.publish(&[Fact { subject, kind: Kind::Hard }], now());
}

fn intern(log: &Log, url: &str, tags: &[&str]) -> Marks {
    let subjects = Subjects { tags, ..Subjects::address("shop.example.com", url) };
    log.intern(&subjects, log.published()).expect("nothing was forgotten")
}

fn widely_carried_tag() {
    let log = Log::new();
    let before = ALLOCATOR.allocated();
    let held: Vec<Marks> = (0..RESPONSES)
        .map(|i| {
            let (url, own) = (format!("shop.example.com/products/{i}"), format!("product-{}", i % TAGS));
            intern(&log, &url, &["everywhere", &own])
        })
        .inspect(|marks| marks.hold(1_000))
        .collect();
    let each = (ALLOCATOR.allocated() - before) / RESPONSES;
    println!("{RESPONSES} responses of one tag that all carry and one of {TAGS} others; {each} bytes each");
    // The first look at a thing is dearer than the next, so each is purged often.
    let mut worst = Duration::ZERO;
    for (what, subject) in [
        ("a tag that 10 carry", Subject::Tag("product-77")),
        ("the tag that all carry", Subject::Tag("everywhere")),
        ("the host", Subject::Host("shop.example.com")),
        ("a prefix of all", Subject::Prefix("shop.example.com/products/")),
        ("everything", Subject::Everything),
    ] {
        let times = sorted((0..10_001).map(|_| time(|| purge(&log, subject)).1));
        worst = worst.max(times[times.len() * 99 / 100]);
        println!("  purge of {what:<24} {}", spread(&times));
    }
    println!("  p99 under {A_PURGE:?}: {}", verdict(worst < A_PURGE));
    let (tally, took) = time(|| log.tally(Subject::Tag("everywhere")));
    println!(
        "  tally of it                     {took:?} ({} entries)",
        tally.map_or(0, |tally| tally.entries)
    );
    println!("  top 20 of all tags              {:?}", time(|| log.top_tags(20)).1);
    for pass in ["telling URLs of the prefix", "nothing to tell", "nothing to tell"] {
        println!("  sweep, {pass:<26} {:?}", time(|| log.sweep()).1);
    }
    // Each is looked at for the first time since the purges.
    let stamps: Vec<Stamp> = held.iter().map(|_| Stamp::new(log.published())).collect();
    purge(&log, Subject::Tag("elsewhere"));
    let (alive, took) =
        time(|| held.iter().zip(&stamps).filter(|(marks, stamp)| log.check(marks, stamp).is_some()).count());
    assert_eq!(alive, RESPONSES);
    println!("  first check of each after a purge {:.0} ns\n", per(took, RESPONSES));
    drop(held);
}

fn checks() {
    const ROUNDS: usize = 101;
    // Few enough for a round to be over before the scheduler takes the core away, where the machine is shared.
    const STAMPS: usize = 10_000;
    println!("a check, in ns (median of {ROUNDS} rounds):");
    println!("{:>8} {:>12} {:>20} {:>22}", "tags", "remembered", "after a purge", "after one by prefix");
    let all: Vec<String> = (0..8).map(|i| format!("tag-{i}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for tags in [0, 1, 8] {
        let log = Log::new();
        let marks = intern(&log, "shop.example.com/products/42?currency=eur&view=full", &all[..tags]);
        let known = Stamp::new(log.published());
        let round = |after: Option<Subject<'_>>| {
            let sent = log.published();
            after.into_iter().for_each(|subject| purge(&log, subject));
            let stamps: Vec<Stamp> = (0..STAMPS).map(|_| Stamp::new(sent)).collect();
            let look = |stamp: &Stamp| assert!(log.check(black_box(&marks), stamp).is_some());
            let took = match after {
                None => time(|| (0..STAMPS).for_each(|_| look(black_box(&known)))).1,
                Some(_) => time(|| stamps.iter().for_each(look)).1,
            };
            per(took, STAMPS)
        };
        let median = |after| {
            let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round(after)).collect();
            rounds.sort_by(f64::total_cmp);
            rounds[ROUNDS / 2]
        };
        println!(
            "{tags:>8} {:>12.1} {:>20.1} {:>22.1}",
            median(None),
            median(Some(Subject::Tag("elsewhere"))),
            median(Some(Subject::Prefix("shop.example.com/products/41")))
        );
    }
    println!();
}

fn many_purges(tend: fn(&Log), subject: fn(usize, &str) -> Subject<'_>) {
    let log = Log::new();
    // What is stored meanwhile stays, and so do its cells.
    let held: Vec<Marks> = (0..1_000)
        .map(|i| intern(&log, &format!("shop.example.com/{i}"), &[&format!("kept-{i}")]))
        .inspect(|marks| marks.hold(1_000))
        .collect();
    log.sweep();
    let before = ALLOCATOR.allocated();
    let mut peak = before;
    let ((), took) = time(|| {
        for i in 0..PURGES {
            purge(&log, subject(i, &format!("shop.example.com/catalogue/{i}")));
            if i % TENDED == 0 {
                tend(&log);
            }
            if i % 1_000 == 0 {
                peak = peak.max(ALLOCATOR.allocated());
            }
        }
    });
    peak = peak.max(ALLOCATOR.allocated());
    let ((), swept) = time(|| {
        log.sweep();
        log.sweep();
    });
    let left = ALLOCATOR.allocated().saturating_sub(before);
    println!(
        "  {:.2} us each; at most {:.1} MiB; {:.3} MiB left after two sweeps of {swept:.1?} in all: {}\n",
        per(took, PURGES) / 1e3,
        (peak - before) as f64 / MIB,
        left as f64 / MIB,
        verdict(left <= LEFT)
    );
    drop(held);
}

fn sweep_if_crowded(log: &Log) {
    if log.is_crowded() {
        log.sweep();
    }
}

fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = black_box(work());
    (result, began.elapsed())
}

/// Nanoseconds each.
fn per(took: Duration, count: usize) -> f64 {
    took.as_nanos() as f64 / count as f64
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times
}

fn spread(times: &[Duration]) -> String {
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("median {:?}, p99 {:?}, most {:?}", at(50), at(99), at(100))
}

fn verdict(kept: bool) -> &'static str {
    if kept { "kept" } else { "BROKEN" }
}
