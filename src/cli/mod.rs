//! The command line: one file per subcommand.
//!
//! Exit codes: 0 done, 1 refused or failed (standard error says why), 2 not understood.

pub mod check;
mod client;
pub mod demo;
pub mod healthcheck;
pub mod purge;
pub mod serve;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Faults;

/// An HTTP reverse caching proxy that keeps the RFC, explains every decision and can be purged with one curl line.
#[derive(Debug, Parser)]
#[command(name = "larder", version, about, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer clients, from the store where the origin allows it
    Serve(serve::Args),
    /// An example API, a Larder in front of it and the admin page, to try things out
    Demo(demo::Args),
    /// Say what is wrong with a configuration file, or what it amounts to
    Check(check::Args),
    /// Have a running Larder drop what it has stored, or make it stale
    Purge(purge::Args),
    /// Exit 0 if a running Larder is ready
    #[command(hide = true)]
    Healthcheck(healthcheck::Args),
}

/// Does what the command line asks for.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Serve(args) => serve::run(&args, serve::start),
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Purge(args) => purge::run(&args),
        Command::Healthcheck(args) => healthcheck::run(&args),
    }
}

/// Shows faults on standard error: drawn on a terminal, one line each in a pipe.
fn show(faults: &Faults) -> ExitCode {
    let mut stderr = std::io::stderr();
    let text = if stderr.is_terminal() {
        faults.render(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    } else {
        faults.to_string()
    };
    // Nobody is left to tell if standard error is gone.
    let _ = stderr.write_all(text.as_bytes());
    ExitCode::FAILURE
}

/// Says on standard error why something was not done.
fn refuse(why: std::fmt::Arguments<'_>) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "larder: {why}");
    ExitCode::FAILURE
}
