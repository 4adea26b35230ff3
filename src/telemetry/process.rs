//! The process log: `tracing` events on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::TryInitError;

use crate::config::{Log, LogFormat};

/// Sends events of this process that pass `log.filter` to standard error, for the rest of its life.
///
/// # Errors
///
/// The filter cannot be parsed, or the process already has a log.
pub fn install_process_log(log: &Log) -> Result<(), ProcessLogError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&log.filter)?)
        .with_writer(std::io::stderr)
        .with_ansi(log.format == LogFormat::Text && std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    }
    .map_err(ProcessLogError::Installed)
}

fn filter(directives: &str) -> Result<EnvFilter, ProcessLogError> {
    EnvFilter::builder()
        .parse(directives)
        .map_err(|source| ProcessLogError::Filter { filter: directives.to_owned(), source })
}

/// Why there is no process log.
#[derive(Debug, thiserror::Error)]
pub enum ProcessLogError {
    /// `[log] filter` is not one.
    #[error(
        "[log] filter = {filter:?} cannot be understood ({source}); write a level (error, warn, info, debug, trace) \
         or a list like `warn,larder=debug`"
    )]
    Filter {
        /// As configured.
        filter: String,
        /// What the parser stumbled over.
        source: ParseError,
    },
    /// Something has installed a log before.
    #[error("this process already has a log: {0}")]
    Installed(TryInitError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_accepted_or_explained() {
        for good in ["info", "larder=debug", "warn,larder::request=trace", "off"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["larder=loud", "info,=,", "a=b=c"] {
            let message = filter(bad).expect_err(bad).to_string();
            assert!(message.contains(bad) && message.contains("larder=debug"), "{message}");
        }
    }
}
