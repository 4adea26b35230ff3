//! Races, played out step by step: each test is one order of events that two threads could fall into.

use super::log::{Log, Sweeping};
use super::marks::Marks;
use super::stamp::{Sequence, Stamp};
use super::subject::{Fact, Kind, Subject, Subjects};
use super::sync::Arc;
use crate::clock::Moment;

const TAG: Subject<'static> = Subject::Tag("t");

fn now() -> Moment {
    Moment::from_nanos(1)
}

fn subjects() -> Subjects<'static> {
    Subjects { tags: &["t"], ..Subjects::address("a.example", "a.example/x") }
}

fn purge(log: &Log, kind: Kind) -> Sequence {
    log.publish(&[Fact { subject: TAG, kind }], now())
}

fn arrive(log: &Log, sent: Sequence) -> (Marks, Stamp) {
    (log.intern(&subjects(), sent).unwrap(), Stamp::new(sent))
}

#[test]
fn a_purge_between_sending_and_arriving_kills() {
    let log = Log::new();
    let sent = log.published();
    purge(&log, Kind::Hard);
    let (marks, stamp) = arrive(&log, sent);
    assert!(log.check(&marks, &stamp).is_none());
}

#[test]
fn a_purge_in_the_middle_of_a_check_is_found_by_the_next() {
    let log = Log::new();
    let (marks, stamp) = arrive(&log, log.published());
    // The checking thread reads the number, looks at the cells and is held up before it remembers. That order shows
    // as a memo with the old number after the purge.
    let read_before = log.published();
    log.look(&marks, &stamp, read_before).unwrap();
    purge(&log, Kind::Hard);
    stamp.remember(read_before, None);
    assert!(log.check(&marks, &stamp).is_none());
}

#[test]
fn a_soft_purge_in_the_middle_of_a_check_is_found_by_the_next() {
    let log = Log::new();
    let (marks, stamp) = arrive(&log, log.published());
    let read_before = log.published();
    purge(&log, Kind::Soft);
    stamp.remember(read_before, None);
    assert_eq!(log.check(&marks, &stamp).unwrap().softened(), Some(now()));
}

#[test]
fn a_number_that_is_not_published_is_nobodys_number() {
    let log = Log::new();
    let publication = log.begin();
    // A flight starts while the purge has its number but has written nothing.
    let sent = log.published();
    assert_eq!(sent.get(), 0);
    publication.write(&log.place(TAG), Kind::Hard, now());
    publication.finish();
    let (marks, stamp) = arrive(&log, sent);
    assert!(log.check(&marks, &stamp).is_none(), "its content may be from before the purge");
}

#[test]
fn a_flight_that_starts_between_fact_and_publication_dies_with_it() {
    let log = Log::new();
    let publication = log.begin();
    publication.write(&log.place(TAG), Kind::Hard, now());
    let (marks, stamp) = arrive(&log, log.published());
    // Until then it may be called either; what counts is that no check remembers it as alive past the number.
    let _either = log.check(&marks, &stamp);
    publication.finish();
    assert!(log.check(&marks, &stamp).is_none());
}

#[test]
fn a_check_that_ran_ahead_of_the_publication_remembers_nothing_of_it() {
    let log = Log::new();
    let (marks, stamp) = arrive(&log, log.published());
    let place = log.place(TAG);
    let publication = log.begin();
    assert!(log.check(&marks, &stamp).is_some(), "not purged yet, and not said to be");
    publication.write(&place, Kind::Hard, now());
    publication.finish();
    assert!(log.check(&marks, &stamp).is_none());
}

#[test]
fn a_304_that_was_asked_for_before_a_soft_purge_does_not_clear_it() {
    let log = Log::new();
    let (marks, stamp) = arrive(&log, log.published());
    let asked = log.published();
    purge(&log, Kind::Soft);
    let validated = stamp.revalidated(asked);
    assert!(log.check(&marks, &validated).unwrap().softened().is_some());
}

#[test]
fn a_304_does_not_revive_what_was_purged_while_it_was_on_its_way() {
    let log = Log::new();
    let (marks, stamp) = arrive(&log, log.published());
    assert!(log.check(&marks, &stamp).is_some());
    let asked = log.published();
    purge(&log, Kind::Hard);
    assert!(log.check(&marks, &stamp.revalidated(asked)).is_none());
    assert!(log.check(&marks, &stamp.revalidated(log.published())).is_none(), "however young the 304");
}

#[test]
fn a_sweep_between_finding_the_cell_and_writing_the_fact_drops_neither() {
    let log = Log::new();
    let sent = log.published();
    let place = log.place(TAG);
    log.sweep();
    log.sweep();
    let publication = log.begin();
    publication.write(&place, Kind::Hard, now());
    publication.finish();
    drop(place);
    let (marks, stamp) = arrive(&log, sent);
    assert!(log.check(&marks, &stamp).is_none());
}

#[test]
fn a_sweep_between_purge_and_arrival_does_not_hide_the_purge() {
    let log = Log::new();
    let sent = log.published();
    purge(&log, Kind::Hard);
    for _ in 0..2 {
        log.sweep();
        match log.intern(&subjects(), sent) {
            Some(marks) => assert!(log.check(&marks, &Stamp::new(sent)).is_none()),
            None => return,
        }
    }
    panic!("the fact was neither found nor said to be forgotten");
}

/// With few shards, so that a sweep can be stopped before each of them.
fn few_shards() -> Arc<Log> {
    Log::with_shards(4, 1, 16)
}

/// All that a sweep of [`few_shards`] passes.
const PARTS: usize = 10;

/// A sweep that has passed so many of them.
fn sweep_up_to(log: &Log, parts: usize) -> Sweeping<'_> {
    let mut sweeping = log.sweep_in_steps();
    (0..parts).for_each(|_| assert!(sweeping.pass().is_some()));
    sweeping
}

fn go_on(mut sweeping: Sweeping<'_>) {
    while sweeping.step() {}
}

/// Some fall into each shard.
fn urls(what: &str) -> Vec<String> {
    (0..32).map(|i| format!("a.example/x/{what}/{i}")).collect()
}

fn arrive_at(log: &Log, url: &str, sent: Sequence) -> Option<(Marks, Stamp)> {
    let subjects = Subjects { tags: &["t"], ..Subjects::address("a.example", url) };
    Some((log.intern(&subjects, sent)?, Stamp::new(sent)))
}

/// Whether all of them, which were sent before a purge, are dead or not to be stored, however often one looks.
fn are_gone(log: &Log, urls: &[String], sent: Sequence) -> bool {
    let is_gone = |url: &String| {
        arrive_at(log, url, sent).is_none_or(|(marks, stamp)| log.check(&marks, &stamp).is_none())
    };
    urls.iter().all(is_gone)
}

/// Kills: prefixes forgotten before the last shard was told, or before it was passed at all.
#[test]
fn a_sweep_hides_no_purge_wherever_it_is_interrupted_or_given_up() {
    let (before, new) = (urls("before"), urls("new"));
    for subject in [Subject::Prefix("a.example/x/"), TAG, Subject::Host("a.example"), Subject::Everything] {
        for (passed, gives_up) in (0..=PARTS).flat_map(|passed| [(passed, false), (passed, true)]) {
            let log = few_shards();
            let sent = log.published();
            let arrive = |url: &String| arrive_at(&log, url, sent).unwrap();
            let held: Vec<(Marks, Stamp)> = before.iter().map(arrive).collect();
            log.publish(&[Fact { subject, kind: Kind::Hard }], now());
            let are_dead = || held.iter().all(|(marks, stamp)| log.check(marks, stamp).is_none());
            log.sweep();
            let sweeping = sweep_up_to(&log, passed);
            let what = format!("{subject:?} after {passed} shards");
            assert!(are_dead() && are_gone(&log, &before, sent) && are_gone(&log, &new, sent), "{what}");
            let young: Vec<_> =
                new.iter().map(|url| arrive_at(&log, url, log.published()).unwrap()).collect();
            if gives_up {
                drop(sweeping);
            } else {
                go_on(sweeping);
            }
            for _ in 0..3 {
                assert!(are_dead() && are_gone(&log, &before, sent) && are_gone(&log, &new, sent), "{what}");
                assert!(young.iter().all(|(marks, stamp)| log.check(marks, stamp).is_some()), "{what}");
                log.sweep();
            }
        }
    }
}

/// However long a sweep takes: flights that were sent before a purge are known for a whole one.
///
/// Kills: what is old taken at the end of a sweep, or at its first step.
#[test]
fn what_is_purged_during_a_sweep_outlasts_the_next() {
    for subject in [TAG, Subject::Prefix("a.example/"), Subject::Url("a.example/x")] {
        for passed in 0..=PARTS {
            let log = few_shards();
            let sent = log.published();
            let sweeping = sweep_up_to(&log, passed);
            log.publish(&[Fact { subject, kind: Kind::Hard }], now());
            go_on(sweeping);
            log.sweep();
            let marks = log.intern(&subjects(), sent).expect("it is not forgotten");
            assert!(log.check(&marks, &Stamp::new(sent)).is_none(), "{subject:?} after {passed} shards");
            drop(marks);
            log.sweep();
            assert!(log.intern(&subjects(), sent).is_none(), "{subject:?} after {passed} shards");
        }
    }
}

/// Of two at a time, the first to come to its end has told all cells, whichever that is.
#[test]
fn sweeps_that_overlap_hide_no_purge() {
    let (before, new) = (urls("before"), urls("new"));
    for (passed, elder_ends_first) in (0..=PARTS).flat_map(|passed| [(passed, false), (passed, true)]) {
        let log = few_shards();
        let sent = log.published();
        let held: Vec<_> = before.iter().map(|url| arrive_at(&log, url, sent).unwrap()).collect();
        log.publish(&[Fact { subject: Subject::Prefix("a.example/x/"), kind: Kind::Hard }], now());
        log.sweep();
        let (elder, younger) = (sweep_up_to(&log, passed), sweep_up_to(&log, PARTS - passed));
        let (first, second) = if elder_ends_first { (elder, younger) } else { (younger, elder) };
        for sweeping in [first, second, log.sweep_in_steps()] {
            go_on(sweeping);
            assert!(held.iter().all(|(marks, stamp)| log.check(marks, stamp).is_none()), "after {passed}");
            assert!(are_gone(&log, &before, sent) && are_gone(&log, &new, sent), "after {passed}");
        }
    }
}

#[test]
fn publications_wait_for_each_other() {
    let log = Log::new();
    let first = log.begin();
    let second = std::thread::spawn({
        let log = Arc::clone(&log);
        move || purge(&log, Kind::Hard)
    });
    // Whenever the other thread comes to run, it cannot publish past the first.
    std::thread::yield_now();
    assert_eq!(log.published().get(), 0);
    assert_eq!(first.finish().get(), 1);
    assert_eq!(second.join().unwrap().get(), 2);
}

/// The promise itself, with real threads: after a purge has returned, nothing that was asked for before is alive.
#[test]
fn nothing_from_before_a_purge_survives_it_under_threads() {
    const ROUNDS: usize = 2_000;
    let log = Log::new();
    std::thread::scope(|scope| {
        let purger = scope.spawn(|| (0..ROUNDS).for_each(|_| assert!(purge(&log, Kind::Hard) > Sequence(0))));
        let sweeper = scope.spawn(|| (0..ROUNDS / 20).for_each(|_| log.sweep()));
        let fetchers = (0..2).map(|_| {
            scope.spawn(|| {
                while log.published().get() < ROUNDS as u64 {
                    let sent = log.published();
                    // Everything from here on may be interleaved with purges and sweeps.
                    let Some(marks) = log.intern(&subjects(), sent) else { continue };
                    let stamp = Stamp::new(sent);
                    let alive = log.check(&marks, &stamp).is_some();
                    let _again = log.check(&marks, &stamp);
                    // Each purge here is of this tag: if one is complete, the response must be dead.
                    let purged = log.published() > sent;
                    let still = log.check(&marks, &stamp).is_some();
                    assert!(!(purged && still), "asked for at {sent:?}, alive: first {alive}, now {still}");
                }
            })
        });
        let fetchers: Vec<_> = fetchers.collect();
        purger.join().unwrap();
        sweeper.join().unwrap();
        fetchers.into_iter().for_each(|fetcher| fetcher.join().unwrap());
    });
}
