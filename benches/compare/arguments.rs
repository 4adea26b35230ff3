//! The command line of `scripts/bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Compares Larder with other caches, and with what any server costs at the least. Every server gets the same core, the
/// load generator and the origin the other one.
#[derive(Parser)]
#[command(name = "scripts/bench", disable_version_flag = true)]
pub(crate) struct Arguments {
    /// Only these workloads, by comma (see --list).
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) only: Vec<String>,

    /// Only these servers, by comma: larder, larder-shared, haproxy, nginx, varnish,
    /// trafficserver, squid.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) peers: Vec<String>,

    /// Without the two floors.
    #[arg(long)]
    pub(crate) no_floors: bool,

    /// The Larder to measure, instead of the one that cargo builds: scripts/bench names the release.
    #[arg(long, value_name = "PATH")]
    pub(crate) larder: Option<PathBuf>,

    /// A further build of Larder to compare, under a name of its own; or a script that starts one in another way.
    #[arg(long, value_name = "NAME=PATH", value_parser = parse_build)]
    pub(crate) also: Vec<(String, PathBuf)>,

    /// Larder on its other runtime, too, as larder-shared.
    #[arg(long)]
    pub(crate) runtimes: bool,

    /// Rounds, in each of which every server has every workload once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,

    /// How often all servers are started, and have these rounds: where in memory a process lies makes a difference of
    /// several percent, which more rounds do not even out.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) starts: u32,

    /// How long each server has each workload in each round, after a quarter of a second to warm up.
    #[arg(long, default_value = "2", value_parser = parse_seconds)]
    pub(crate) seconds: Duration,

    /// Requests per second of the workload at a fixed rate.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: u32,

    /// Compare the content of every answer, not only of those before the first round. Costs the generator time.
    #[arg(long)]
    pub(crate) verify: bool,

    /// What grows: objects, waiters, variants. Larder alone unless --peers says more.
    #[arg(long)]
    pub(crate) growth: bool,

    /// Memory per stored object, idle memory and time to the first answer, instead of speed.
    #[arg(long)]
    pub(crate) memory: bool,

    /// How many objects --memory stores.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) objects: u64,

    /// Cores: the servers', and the one of the load generator and the origin.
    #[arg(long, default_value = "0,1", value_parser = parse_cores)]
    pub(crate) cores: (usize, usize),

    /// An empty directory for everything that is written, on a file system in memory.
    #[arg(long, default_value = "/dev/shm")]
    pub(crate) directory: PathBuf,

    /// Lists the workloads.
    #[arg(long)]
    pub(crate) list: bool,

    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn parse_build(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("expected NAME=PATH")?;
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), path))
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds, from 0.1 to 600".to_owned())
}

fn parse_cores(text: &str) -> Result<(usize, usize), String> {
    let cores = text.split_once(',').and_then(|(one, other)| Some((one.parse().ok()?, other.parse().ok()?)));
    cores.ok_or_else(|| "expected two numbers, as in 0,1".to_owned())
}
