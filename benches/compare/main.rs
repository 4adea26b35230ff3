//! `scripts/bench`: Larder beside other caches, and beside what any server costs at the least.
//!
//! | file | is about |
//! |---|---|
//! | `arguments` | the command line |
//! | `workloads` | what is asked for: the table of workloads |
//! | `peers` | who takes part; their configurations are in `benches/peers` |
//! | `server`, `field` | one child process; all that are running |
//! | `requests`, `client`, `load`, `latency` | the load generator, from bytes to latencies |
//! | `raw`, `proxy`, `../support/floor` | the floors |
//! | `rounds` | everybody does everything, in turn, several times |
//! | `memory` | memory and start-up instead of speed |
//! | `report`, `goals` | the tables, and whether what was wanted was reached |

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench that cannot go on is to stop"
)]

mod arguments;
mod client;
mod field;
mod goals;
mod latency;
mod load;
mod memory;
mod peers;
mod proxy;
mod raw;
mod report;
mod requests;
mod rounds;
mod server;
mod workloads;

#[path = "../support/cpu.rs"]
mod cpu;
#[path = "../support/floor.rs"]
mod floor;
#[path = "../support/larder.rs"]
mod larder;
#[path = "../support/run.rs"]
mod run;
#[path = "../support/tree.rs"]
mod tree;

use std::io::{self, Read};

use clap::Parser;
use rustix::thread::{CpuSet, sched_setaffinity};

use arguments::Arguments;
use workloads::Workload;

fn main() -> io::Result<()> {
    if floor::is_asked_for() {
        floor::serve();
        return Ok(());
    }
    if let Some(served) = be_a_floor() {
        return served;
    }
    if !run::is_wanted() {
        return Ok(());
    }
    let arguments = Arguments::parse();
    let workloads = selected(&arguments)?;
    if arguments.list {
        for workload in workloads {
            println!("{:<12} {}", workload.name, workload.about);
        }
        return Ok(());
    }
    introduce(&arguments)?;
    stay_on(arguments.cores.1)?;
    if arguments.memory {
        return memory::run(&arguments);
    }
    let results = rounds::run(&arguments, &workloads)?;
    for results in &results {
        report::print(results, arguments.rate);
    }
    goals::print(&results);
    Ok(())
}

/// Numbers without the machine, the versions and the command are worth little.
fn introduce(arguments: &Arguments) -> io::Result<()> {
    run::introduce("compare", "Larder beside other caches");
    let given: Vec<String> = std::env::args().skip(1).collect();
    println!("arguments: {}", given.join(" "));
    for peer in peers::all(arguments)?.iter().filter(|peer| peer.takes_part(arguments) && peer.is_installed())
    {
        println!("{}: {}", peer.name, peer.version());
    }
    println!();
    Ok(())
}

/// If this process is to be one of the floors that live here: is it until killed.
fn be_a_floor() -> Option<io::Result<()>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let addr = |at: usize| arguments.get(at).and_then(|addr| addr.parse().ok()).expect("an address");
    match arguments.first().map(String::as_str) {
        Some(kind @ (field::RAW | field::SENDFILE)) => {
            let mut answer = Vec::new();
            let copies = arguments.get(2).and_then(|copies| copies.parse().ok()).expect("a number");
            let read = io::stdin().read_to_end(&mut answer);
            let answers = read.and_then(|_| raw::Answers::new(&answer, copies, kind == field::SENDFILE));
            Some(answers.and_then(|answers| raw::serve(addr(1), &answers)))
        }
        Some(field::PROXY) => Some(proxy::serve(addr(1), addr(2))),
        _ => None,
    }
}

fn selected(arguments: &Arguments) -> io::Result<Vec<Workload>> {
    let mut workloads = if arguments.growth { workloads::growth() } else { workloads::all() };
    let unknown = arguments.only.iter().find(|name| workloads.iter().all(|workload| workload.name != **name));
    if let Some(name) = unknown {
        return Err(io::Error::other(format!("no workload is called {name}; --list lists them")));
    }
    workloads.retain(|workload| {
        arguments.only.is_empty() || arguments.only.iter().any(|name| name == workload.name)
    });
    Ok(workloads)
}

/// Binds this process, the load generator, to a core.
fn stay_on(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}
