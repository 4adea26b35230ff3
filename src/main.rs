//! The `larder` binary: parses the command line and calls the library.

use std::process::ExitCode;

use clap::Parser;
use larder::cli::{self, Cli};

fn main() -> ExitCode {
    // Usage errors exit 2 from within.
    cli::run(Cli::parse())
}
