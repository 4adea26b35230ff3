//! What was wanted, and whether it was reached: ratios within one run.

use crate::report::{best_peer, find, median_ratio};
use crate::rounds::{Results, Sample, name_beside};

/// With what Larder's figure is compared.
enum Than {
    /// A server in the same workload.
    Server(&'static str),
    /// The best of the other caches in the same workload.
    BestPeer,
    /// Larder itself in the workload that this one is held against.
    Beside,
}

type Figure = fn(&Sample) -> f64;

const CPU: Figure = |sample| sample.cpu;
const P99: Figure = |sample| sample.latency.p99;

/// Workload, what is compared, with what, and the most that the ratio may be.
const GOALS: [(&str, Figure, Than, f64); 13] = [
    ("hit-1k", CPU, Than::Server("hyper"), 1.15),
    ("hit-1k", CPU, Than::Server("raw"), 1.20),
    ("hit-1k", CPU, Than::Server("haproxy"), 0.80),
    ("hit-64k", CPU, Than::Server("hyper"), 1.10),
    ("hit-64k", CPU, Than::BestPeer, 0.75),
    ("304", CPU, Than::Beside, 1.10),
    ("range", CPU, Than::Beside, 1.10),
    ("tags", CPU, Than::Beside, 1.05),
    ("log", CPU, Than::Beside, 1.08),
    ("miss", CPU, Than::Server("haproxy"), 1.05),
    ("miss", CPU, Than::Server("trafficserver"), 0.75),
    ("rate", P99, Than::BestPeer, 1.0),
    ("grow-1m", CPU, Than::Beside, 1.15),
];

/// Prints those that this run can tell.
pub(crate) fn print(all: &[Results]) {
    let mut begun = false;
    for (name, figure, than, most) in &GOALS {
        let Some(Results { workload, rows }) = all.iter().find(|results| results.workload.name == *name)
        else {
            continue;
        };
        let Some(ours) = find(rows, "larder") else { continue };
        let (other, whose) = match than {
            Than::Server(server) => (find(rows, server), (*server).to_owned()),
            Than::Beside => {
                let beside = workload.beside.unwrap_or_default();
                (find(rows, &name_beside(beside)), format!("larder's {beside}"))
            }
            Than::BestPeer => {
                let best = best_peer(rows, *figure);
                (best, best.map_or(String::new(), |best| format!("the best peer, {}", best.name)))
            }
        };
        let Some(ratio) = other.and_then(|other| median_ratio(ours, other, *figure)) else { continue };
        if !begun {
            println!("\nGoals: larder's figure over another's, the median of the rounds' ratios\n");
            begun = true;
        }
        let what = if *figure as usize == P99 as usize { "p99" } else { "CPU" };
        let verdict = if ratio <= *most { "reached" } else { "NOT reached" };
        println!("- {name}, {what} over {whose}: {ratio:.2}, at most {most:.2}: {verdict}");
    }
}
