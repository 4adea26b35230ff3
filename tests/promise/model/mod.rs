//! Random interleavings of everything that can happen, against a reference model of promise 1.
//!
//! - `LARDER_INTERLEAVINGS=100000` plays so many instead of 10,000.
//! - `LARDER_SEED=17` plays one and prints every step. A failure names its seed.
//!
//! The same seed plays the same way but for one thing: of several waiters that are woken at once, tokio picks any to go
//! first. So a seed is played many times over before it counts as fixed.

mod doors;
mod origin;
mod reference;
mod rest;
mod script;
mod tally;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use script::{Fault, Script};
use tally::Tally;
use world::World;

const INTERLEAVINGS: u64 = 10_000;
/// Each has a Larder of its own. Most of the time it waits for a thread to wake up, so there are more than cores.
const WORLDS: usize = 4;
/// How often one is played if one is asked for.
const ROUNDS: usize = 50;

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is no number")))
}

fn report(seed: u64, fault: &Fault) -> String {
    let trace = fault.trace.join("\n");
    format!("{}\n{trace}\nPlay it again with LARDER_SEED={seed}.", fault.what)
}

#[test]
fn nothing_from_before_a_purge_is_served_after_it() {
    if let Some(seed) = number("LARDER_SEED") {
        return play_one(seed);
    }
    let count = number("LARDER_INTERLEAVINGS").unwrap_or(INTERLEAVINGS);
    let tally = play_all(count).unwrap_or_else(|fault| panic!("{fault}"));
    println!("{count} interleavings: {tally:#?}");
    tally.assert_rich(usize::try_from(count).unwrap());
}

fn play_one(seed: u64) {
    for round in 0..ROUNDS {
        // What the last round left would be found by this one, which asks for the same.
        match Script::new(&mut World::new(), seed).play() {
            Ok((tally, trace)) if round == 0 => println!("{}\n{tally:#?}", trace.join("\n")),
            Ok(_) => {}
            Err(fault) => panic!("{}", report(seed, &fault)),
        }
    }
}

fn play_all(count: u64) -> Result<Tally, String> {
    let next = AtomicU64::new(1);
    let play = || {
        let (mut world, mut tally) = (World::new(), Tally::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > count {
                return Ok(tally);
            }
            match Script::new(&mut world, seed).play() {
                Ok((played, _)) => tally += played,
                Err(fault) => {
                    next.store(count, Ordering::Relaxed);
                    return Err(report(seed, &fault));
                }
            }
        }
    };
    thread::scope(|scope| {
        let players: Vec<_> = (0..WORLDS).map(|_| scope.spawn(play)).collect();
        let mut sum = Tally::default();
        for player in players {
            sum += player.join().unwrap()?;
        }
        Ok(sum)
    })
}
