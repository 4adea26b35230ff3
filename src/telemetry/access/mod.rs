//! The access log: lines rendered by the serving threads, and a thread that writes them.
//!
//! A serving thread never waits for a disk or a pipe. It renders the request's part of a line when the request comes and the
//! whole when the answer has ended, into a buffer of its own, where the writer finds it: at the latest when it has rested for
//! 20 ms. If the writer falls behind by [`LIMIT`] for a thread, or writing fails, lines are lost, and counted. A line shows a
//! bounded amount of what the client sent.
//!
//! - [`mod@line`]: what is in a line, as the request and its record tell; [`json`] and [`text`] write it, with [`pieces`] and
//!   [`escape`]
//! - [`waiting`]: the buffers between the serving threads and the writer
//! - [`writer`]: the thread

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::labels::Labels;
use super::record::Record;
use crate::config::Log;

mod escape;
mod json;
mod line;
mod pieces;
mod text;
mod waiting;
mod writer;

pub use line::{Asked, Line};

use line::Format;
use waiting::{Added, Waiting};
use writer::{Call, Writer};

/// Most bytes that wait for the writer, for each thread: some 4,000 lines. As much again may be on its way to the file.
const LIMIT: usize = 1024 * 1024;
/// Calls that wait while the writer writes. One would do to have it look again.
const CALLS: usize = 16;
/// How long a flush waits for the writer: a pipe that nobody reads any more must not hold up the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The serving threads' end of the access log.
pub struct AccessLog {
    format: Format,
    waiting: Arc<Waiting>,
    writer: SyncSender<Call>,
    dropped: Counter,
    /// A flush was waited for in vain: nobody waits for another.
    stuck: AtomicBool,
}

impl AccessLog {
    /// `None` if `log` does not ask for one.
    pub(super) fn open(log: &Log, labels: &Labels<'_>, dropped: Counter) -> Result<Option<Self>, OpenError> {
        let Some(format) = log.access else { return Ok(None) };
        let sink: Box<dyn Write + Send> = match &log.access_file {
            None => Box::new(io::stdout()),
            Some(path) => match OpenOptions::new().create(true).append(true).open(path) {
                Ok(file) => Box::new(file),
                Err(source) => return Err(OpenError::File { path: path.clone(), source }),
            },
        };
        // Other threads than those that serve are numbered, too: with twice as many shards few share one.
        let waiting = Waiting::new(labels.threads * 2, LIMIT);
        Self::start(Format::new(format, labels), sink, waiting, dropped).map(Some)
    }

    fn start(
        format: Format,
        sink: Box<dyn Write + Send>,
        waiting: Waiting,
        dropped: Counter,
    ) -> Result<Self, OpenError> {
        let waiting = Arc::new(waiting);
        let (sender, calls) = sync_channel(CALLS);
        let writer = Writer::new(waiting.clone(), sink, dropped.clone());
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run(&calls))
            .map_err(OpenError::Thread)?;
        Ok(Self { format, waiting, writer: sender, dropped, stuck: AtomicBool::new(false) })
    }

    /// Renders the request's part of a line, for its [`Record`].
    pub fn line(&self, asked: &Asked<'_>) -> Box<Line> {
        self.format.begin(asked)
    }

    /// Hands over the record's line, if it has one, or drops and counts it.
    pub(super) fn push(&self, record: &mut Record) {
        let Some(line) = record.line.take() else { return };
        match self.waiting.add(|text| self.format.end(&line, record, text)) {
            Added::Waits => {}
            // If calls are waiting, it will look for lines anyway.
            Added::CallsWriter => _ = self.writer.try_send(Call::Wake),
            Added::Lost => _ = self.dropped.inc(),
        }
        line.recycle();
    }

    /// Waits until what waits now has been written, at most about [`FLUSH_TIMEOUT`] for calling and for writing each,
    /// and only once if in vain.
    pub(super) fn flush(&self) {
        if !self.stuck.load(Ordering::Relaxed) && !self.is_flushed_in_time() {
            self.stuck.store(true, Ordering::Relaxed);
            tracing::error!("the access log's writer is stuck; lines are being lost");
        }
    }

    fn is_flushed_in_time(&self) -> bool {
        const PAUSE: Duration = Duration::from_millis(50);
        let (written, waiting) = sync_channel(0);
        let mut call = Call::Flush(written);
        for _ in 0..FLUSH_TIMEOUT.as_millis() / PAUSE.as_millis() {
            match self.writer.try_send(call) {
                // Nothing is ever sent: this ends when the writer lets go of the other end, or in time.
                Ok(()) => return waiting.recv_timeout(FLUSH_TIMEOUT) == Err(RecvTimeoutError::Disconnected),
                Err(TrySendError::Full(returned)) => call = returned,
                Err(TrySendError::Disconnected(_)) => return true,
            }
            thread::sleep(PAUSE);
        }
        false
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").finish_non_exhaustive()
    }
}

/// Why there is no access log.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `[log] access_file` cannot be opened for appending.
    #[error("[log] access_file: cannot open {}: {source}", path.display())]
    File {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No thread to write it.
    #[error("cannot start the access log's thread: {0}")]
    Thread(io::Error),
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    pub(crate) use super::line::tests::asked;
    use super::*;
    use crate::config::LogFormat;
    use crate::telemetry::record::tests::record;

    fn push(log: &AccessLog) {
        log.push(&mut Record { line: Some(log.line(&asked())), ..record() });
    }

    fn format() -> Format {
        Format::new(LogFormat::Text, &Labels::default())
    }

    /// The length of a line of [`push`], in bytes.
    fn line_length() -> usize {
        let mut out = Vec::new();
        format().end(&format().begin(&asked()), &record(), &mut out);
        out.len()
    }

    /// Reports each write, then holds it until it is let go.
    struct Gate {
        arrived: Sender<Vec<u8>>,
        let_go: Receiver<io::Result<()>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.arrived.send(bytes.to_vec()).unwrap();
            self.let_go.recv().unwrap().map(|()| bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A log with room for three lines, its writes, and what lets them go.
    fn gated(dropped: &Counter) -> (AccessLog, Receiver<Vec<u8>>, Sender<io::Result<()>>) {
        let ((arrived, writes), (let_go, gate)) = (channel(), channel());
        let sink = Box::new(Gate { arrived, let_go: gate });
        let waiting = Waiting::new(1, 3 * line_length());
        (AccessLog::start(format(), sink, waiting, dropped.clone()).unwrap(), writes, let_go)
    }

    #[test]
    fn what_there_is_no_room_for_is_dropped_and_counted() {
        let dropped = Counter::default();
        let (log, writes, let_go) = gated(&dropped);

        push(&log);
        let first = writes.recv().unwrap();
        (0..5).for_each(|_| push(&log));
        assert_eq!(dropped.get(), 2, "three wait, two are lost");

        let_go.send(Ok(())).unwrap();
        let second = writes.recv().unwrap();
        let_go.send(Ok(())).unwrap();
        drop(log);
        assert_eq!(first.len(), line_length());
        assert_eq!(second.len(), 3 * line_length(), "what waits leaves in one write");
        assert_eq!(dropped.get(), 2);
    }

    #[test]
    fn failed_writes_are_counted_and_the_next_is_tried() {
        let dropped = Counter::default();
        let (log, writes, let_go) = gated(&dropped);

        for (answer, lost) in [(Err(io::ErrorKind::StorageFull.into()), 1), (Ok(()), 1)] {
            push(&log);
            writes.recv().unwrap();
            let_go.send(answer).unwrap();
            // The next write comes only after the outcome of this one has been counted.
            push(&log);
            writes.recv().unwrap();
            let_go.send(Ok(())).unwrap();
            assert_eq!(dropped.get(), lost);
        }
    }

    /// The writer falls asleep as soon as it finds nothing, and each line has to wake it.
    #[test]
    fn no_line_is_forgotten_by_a_writer_that_falls_asleep() {
        let (log, writes, let_go) = gated(&Counter::default());
        for _ in 0..100 {
            push(&log);
            assert_eq!(writes.recv().unwrap().len(), line_length());
            let_go.send(Ok(())).unwrap();
        }
    }

    #[test]
    fn dropping_the_log_flushes_it_into_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        std::fs::write(&path, "before\n").unwrap();
        let config = Log {
            filter: String::new(),
            format: LogFormat::Text,
            access: Some(LogFormat::Json),
            access_file: Some(path.clone()),
        };
        let log = AccessLog::open(&config, &Labels::default(), Counter::default()).unwrap().unwrap();
        (0..100).for_each(|_| push(&log));
        drop(log);
        let written = std::fs::read_to_string(path).unwrap();
        assert_eq!(written.lines().next(), Some("before"), "it appends");
        assert_eq!(written.lines().count(), 101);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let path = PathBuf::from("/nowhere/access.log");
        let config = Log {
            filter: String::new(),
            format: LogFormat::Text,
            access: Some(LogFormat::Text),
            access_file: Some(path),
        };
        let error = AccessLog::open(&config, &Labels::default(), Counter::default()).unwrap_err();
        assert!(error.to_string().contains("/nowhere/access.log"), "{error}");
    }
}
