//! The process log: `tracing` events on standard error, written by a thread of its own, so that nobody who serves waits
//! for whoever reads them.

use std::fmt;
use std::io::IsTerminal;
use std::sync::OnceLock;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::TryInitError;

use crate::config::{Log, LogFormat};

/// Lines that may wait to be written; the next are lost, and counted.
const QUEUE: usize = 8192;

/// Lines lost. Static since the log itself is the process's.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// Keeps the process log going. Dropped, it writes what still waits, for a second at most.
#[must_use = "without it nothing is written"]
#[derive(Debug)]
pub struct ProcessLog {
    _writer: WorkerGuard,
}

/// Sends events of this process that pass `log.filter` to standard error, until what it returns is dropped.
///
/// # Errors
///
/// The filter cannot be parsed, or the process already has a log.
pub fn install_process_log(log: &Log) -> Result<ProcessLog, ProcessLogError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE)
        .thread_name("larder-log")
        .finish(std::io::stderr());
    let lost = writer.error_counter();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&log.filter)?)
        .with_writer(writer)
        .with_ansi(log.format == LogFormat::Text && std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    }
    .map_err(ProcessLogError::Installed)?;
    LOST.get_or_init(|| lost);
    Ok(ProcessLog { _writer: guard })
}

/// Tells at each scrape how many lines were lost.
#[derive(Debug)]
pub(super) struct LostLines;

impl Collector for LostLines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let lost = ConstCounter::new(LOST.get().map_or(0, ErrorCounter::dropped_lines) as u64);
        let help = "Lines of the process log lost because nobody read them in time.";
        lost.encode(encoder.encode_descriptor("dropped_process_log_lines", help, None, lost.metric_type())?)
    }
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
