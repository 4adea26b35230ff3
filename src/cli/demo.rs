//! `larder demo`: an example origin, a Larder in front of it and the admin page, in one process.

use std::process::ExitCode;

use super::refuse;

/// `larder demo` takes nothing: what it prints can be typed as it stands.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {}

/// Starts the demo.
pub fn run(_args: &Args, start: impl FnOnce() -> ExitCode) -> ExitCode {
    start()
}

/// Hands over to the application.
pub(super) fn start() -> ExitCode {
    // INTEGRATION: return app::demo::run() with its error through `refuse`.
    refuse(format_args!("this build has no server yet"))
}
