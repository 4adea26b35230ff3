//! The promise in all orders: threads that purge, fetch, check, validate and sweep, one step at a time, in thousands of
//! orders that a model checker chooses. What must not come out of any of them is asserted by the client.
//!
//! The origin is a number that only grows. Who changes it purges then; once that has returned, nobody who arrives may
//! be served a smaller one.

mod world;

use shuttle::thread;

use super::cell::Tally;
use super::log::Log;
use super::model;
use super::stamp::Sequence;
use super::subject::{Kind, Subject};
use world::{
    ALL, COMMON, Job, PREFIX, SUBJECTS, TAG, URL, World, explore, explore_in, explore_of, happened, nothing,
};

#[test]
fn after_a_purge_nobody_gets_what_was_asked_for_before() {
    for subject in ALL {
        let seen = explore(
            subject,
            World::fetch,
            &[
                |world| world.purge(Kind::Hard),
                |world| {
                    world.fetch();
                    world.fetch();
                },
                |world| {
                    world.serve();
                    world.serve();
                },
            ],
        );
        assert!(happened(&seen.fresh) && happened(&seen.dead), "{subject:?}");
    }
}

#[test]
fn after_a_soft_purge_nobody_takes_for_fresh_what_was_validated_before() {
    for subject in [TAG, PREFIX] {
        let seen = explore(
            subject,
            World::fetch,
            &[
                |world| world.purge(Kind::Soft),
                World::revalidate,
                |world| {
                    world.serve();
                    world.serve();
                },
                |world| {
                    world.sweep();
                    world.sweep();
                },
            ],
        );
        assert!(happened(&seen.fresh) && happened(&seen.softened), "{subject:?}");
    }
}

#[test]
fn a_304_revives_nothing_that_was_purged_meanwhile() {
    let seen = explore(
        TAG,
        World::fetch,
        &[
            |world| world.purge(Kind::Hard),
            |world| {
                world.revalidate();
                world.revalidate();
            },
            World::serve,
        ],
    );
    assert!(happened(&seen.fresh) && happened(&seen.dead));
}

/// Kills: the memo taken after the scan.
#[test]
fn a_check_during_a_purge_does_not_vouch_for_after_it() {
    let start: Job = |world| {
        world.fetch();
        // So that there is something to look for.
        world.purge_elsewhere();
    };
    for subject in [TAG, PREFIX] {
        let seen = explore(subject, start, &[|world| world.purge(Kind::Hard), World::serve, World::serve]);
        assert!(happened(&seen.fresh) && happened(&seen.dead), "{subject:?}");
    }
}

/// Kills: the number taken late, by the flight or by the purge.
#[test]
fn of_two_purges_of_one_tag_that_race_both_hold() {
    let seen = explore(
        TAG,
        nothing,
        &[
            |world| world.purge(Kind::Hard),
            |world| world.purge(Kind::Hard),
            |world| {
                world.fetch();
                world.serve();
            },
            |world| {
                world.fetch();
                world.serve();
            },
        ],
    );
    assert!(happened(&seen.fresh) && happened(&seen.dead));
}

/// Kills: the number published when the first of several facts is written.
#[test]
fn a_purge_of_several_is_published_when_all_of_it_is_written() {
    for subject in [TAG, PREFIX, Subject::Everything] {
        let hard = explore(
            subject,
            World::fetch,
            &[|world| world.purge_with_others(Kind::Hard), World::serve, World::serve],
        );
        assert!(happened(&hard.fresh) && happened(&hard.dead), "{subject:?}");
        let soft = explore(
            subject,
            World::fetch,
            &[|world| world.purge_with_others(Kind::Soft), World::serve, World::serve],
        );
        assert!(happened(&soft.fresh) && happened(&soft.softened), "{subject:?}");
    }
}

/// Kills: the look at what else has hit it taken before the turn to publish, or after it.
#[test]
fn an_answer_to_a_write_hides_no_purge_that_came_before_its_own() {
    let purges: [Job; 3] = [|world| world.purge(Kind::Hard), |world| world.purge(Kind::Soft), World::write];
    for purge in purges {
        let seen = explore(TAG, nothing, &[World::write, purge, World::serve]);
        assert!(happened(&seen.fresh) && happened(&seen.turned_away));
    }
}

/// Kills: forgetting while a flight holds an old number.
#[test]
fn a_flight_that_is_older_than_what_is_forgotten_is_not_stored() {
    for subject in [TAG, PREFIX, ALL[0], ALL[7]] {
        let seen = explore(
            subject,
            nothing,
            &[
                World::fetch,
                |world| {
                    world.purge(Kind::Hard);
                    world.sweep();
                    world.sweep();
                },
                |world| {
                    world.fetch();
                    world.serve();
                },
            ],
        );
        assert!(happened(&seen.fresh) && happened(&seen.dead) && happened(&seen.turned_away), "{subject:?}");
    }
}

#[test]
fn what_responses_of_a_host_have_in_common_hides_no_purge() {
    for subject in [Subject::Host("a.example"), Subject::Everything, URL] {
        let seen = explore_of(
            COMMON,
            subject,
            World::fetch,
            &[
                World::fetch,
                |world| {
                    world.purge(Kind::Hard);
                    world.sweep();
                    world.sweep();
                },
                |world| {
                    world.fetch();
                    world.serve();
                },
            ],
        );
        assert!(happened(&seen.fresh) && happened(&seen.dead), "{subject:?}");
    }
}

/// Kills: the smaller number stored over the larger one.
#[test]
fn what_a_sweep_hands_on_takes_nothing_back() {
    let start: Job = |world| {
        world.purge_of(PREFIX, Kind::Hard);
        world.sweep();
        world.fetch();
    };
    let seen = explore(URL, start, &[|world| world.purge(Kind::Hard), World::sweep, World::serve]);
    assert!(happened(&seen.fresh) && happened(&seen.dead));
}

#[test]
fn a_fact_that_is_handed_on_during_a_check_is_found() {
    let young: Job = |world| {
        world.fetch();
        world.purge(Kind::Hard);
    };
    let old: Job = |world| {
        world.fetch();
        world.purge(Kind::Hard);
        world.sweep();
    };
    for start in [young, old] {
        let seen = explore(PREFIX, start, &[World::sweep, World::serve, World::sweep]);
        assert!(happened(&seen.dead) && !happened(&seen.fresh));
    }
}

#[test]
fn a_url_that_is_new_while_facts_are_handed_on_is_told_too() {
    let start: Job = |world| {
        world.purge(Kind::Hard);
        world.sweep();
    };
    let late: Job = |world| world.arrive(Sequence::default(), 0);
    let seen = explore(
        PREFIX,
        start,
        &[late, World::sweep, |world| {
            world.fetch();
            world.serve();
        }],
    );
    assert!(happened(&seen.fresh) && happened(&seen.turned_away));
}

/// What is purged lies in one of several shards, some of which the sweep has passed.
///
/// Kills: prefixes forgotten before all shards were told.
#[test]
fn a_sweep_that_rests_between_its_shards_hides_no_purge() {
    let start: Job = |world| {
        world.fetch();
        world.purge(Kind::Hard);
        world.sweep();
    };
    let late: Job = |world| world.arrive(Sequence::default(), 0);
    for subject in [PREFIX, ALL[4], TAG, ALL[0]] {
        let seen = explore_in(
            3,
            SUBJECTS,
            subject,
            start,
            &[World::sweep, late, |world| {
                world.serve();
                world.fetch();
                world.serve();
            }],
        );
        assert!(happened(&seen.fresh) && happened(&seen.dead), "{subject:?}");
    }
}

#[test]
fn a_purge_of_everything_holds_while_a_sweep_passes() {
    let seen = explore(
        Subject::Everything,
        World::fetch,
        &[
            |world| world.purge(Kind::Hard),
            |world| {
                world.sweep();
                world.sweep();
            },
            |world| {
                world.fetch();
                world.serve();
            },
        ],
    );
    assert!(happened(&seen.fresh) && happened(&seen.dead));
}

#[test]
fn tallies_come_out_even_and_what_is_counted_is_not_forgotten() {
    model::explore(|| {
        let log = Log::with_shards(1, 1, 16);
        let holders = [(); 2].map(|()| {
            let log = log.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    let held = log.intern(&SUBJECTS, log.published()).unwrap();
                    held.hold(10);
                    let tally = log.tally(TAG).unwrap();
                    assert!((1..=2).contains(&tally.entries) && tally.bytes >= 10, "{tally:?}");
                    held.let_go(10);
                    drop(held);
                }
            })
        });
        log.sweep();
        holders.into_iter().for_each(|holder| holder.join().unwrap());
        assert_eq!(log.tally(TAG), Some(Tally::default()));
        log.sweep();
        assert_eq!(log.figures().cells, 0);
    });
}
