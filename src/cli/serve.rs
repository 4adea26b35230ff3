//! `larder serve`: answer clients until told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::TypedValueParser;

use super::{refuse, show};
use crate::app;
use crate::config::units::{self, Wrong};
use crate::config::{Config, Faults, Origin, Overrides, parse_listen, parse_origin};

/// What `larder serve` takes. Options go before the file.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true).multiple(true))]
pub struct Args {
    /// Configuration file; config.example.toml lists every key
    #[arg(long, value_name = "FILE", group = "source")]
    pub config: Option<PathBuf>,
    /// Where to accept clients; repeatable [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub listen: Vec<SocketAddr>,
    /// A server to fetch from, such as http://127.0.0.1:3000; repeatable, taken in turn
    #[arg(long, value_name = "URL", value_parser = parse_origin, group = "source")]
    pub origin: Vec<Origin>,
    /// Where the admin listener is; loopback only [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR", value_parser = parse_listen)]
    pub admin: Option<SocketAddr>,
    /// Ceiling for everything the cache holds, such as 256MiB
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<u64>,
    /// Serving threads [default: the cores available]
    #[arg(long, value_name = "N", value_parser = threads())]
    pub threads: Option<usize>,
}

/// Starts serving with what the command line and the file say, or tells what is wrong with them.
pub fn run(args: &Args, start: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match config(args) {
        Ok(config) => start(config),
        Err(faults) => show(&faults),
    }
}

/// The configuration that the command line asks for.
pub fn config(args: &Args) -> Result<Config, Faults> {
    let overrides = Overrides {
        listen: args.listen.clone(),
        origins: args.origin.clone(),
        admin: args.admin,
        memory: args.memory,
        threads: args.threads,
        ..Overrides::from_environment()?
    };
    match &args.config {
        Some(path) => Config::load(path, &overrides),
        None => Config::for_origins(&args.origin, &overrides),
    }
}

/// Serves until a signal ends it.
pub(super) fn start(config: Config) -> ExitCode {
    match app::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => refuse(format_args!("{fault}")),
    }
}

fn memory(text: &str) -> Result<u64, Wrong> {
    let bytes = units::size(text)?;
    Config::check_memory(bytes)?;
    Ok(bytes)
}

fn threads() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u16).range(1..=1024).map(usize::from)
}
