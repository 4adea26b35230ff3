//! The access log: a bounded queue in front of a thread that writes.
//!
//! A serving thread never waits for a disk or a pipe. If the writer falls behind by [`QUEUE`] lines, or writing
//! fails, lines are lost, and counted. A line copies a bounded amount of what the client sent, so that the queue is
//! bounded in bytes, too.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::labels::Labels;
use super::line::{Format, Names};
use super::record::Record;
use crate::config::Log;

/// Most lines that wait for the writer; about 8 MB if every client sends as much as a line holds.
const QUEUE: usize = 2048;
/// So many bytes are gathered at most before they are written.
const BATCH: usize = 64 * 1024;
/// How long the writer rests when it has written all there is, so that lines gather and no serving thread has to wake it for
/// each. The queue holds what comes meanwhile, up to 400,000 lines a second.
const REST: Duration = Duration::from_millis(5);
/// How long a flush waits for the writer: a pipe that nobody reads any more must not hold up the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The serving threads' end of the access log.
pub(super) struct AccessLog {
    queue: SyncSender<Message>,
    dropped: Counter,
    /// A flush was waited for in vain: nobody waits for another.
    stuck: AtomicBool,
}

enum Message {
    Line(Box<Record>),
    /// Dropped by the writer once everything before it is written.
    Flush(SyncSender<()>),
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
        Self::start(Format::new(format, Names::of(labels)), sink, QUEUE, dropped).map(Some)
    }

    fn start(
        format: Format,
        sink: Box<dyn Write + Send>,
        queue: usize,
        dropped: Counter,
    ) -> Result<Self, OpenError> {
        let (sender, messages) = sync_channel(queue);
        let writer = Writer { format, sink, dropped: dropped.clone(), failing: false };
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.run(&messages))
            .map_err(OpenError::Thread)?;
        Ok(Self { queue: sender, dropped, stuck: AtomicBool::new(false) })
    }

    /// Queues a line, if the record has one, or drops and counts it.
    pub(super) fn push(&self, record: Box<Record>) {
        if record.line.is_some() && self.queue.try_send(Message::Line(record)).is_err() {
            self.dropped.inc();
        }
    }

    /// Waits until what is queued now has been written, at most about [`FLUSH_TIMEOUT`] for queueing and for writing each,
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
        let mut message = Message::Flush(written);
        for _ in 0..FLUSH_TIMEOUT.as_millis() / PAUSE.as_millis() {
            match self.queue.try_send(message) {
                // Nothing is ever sent: this ends when the writer lets go of the other end, or in time.
                Ok(()) => return waiting.recv_timeout(FLUSH_TIMEOUT) == Err(RecvTimeoutError::Disconnected),
                Err(TrySendError::Full(returned)) => message = returned,
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

/// The thread's end.
struct Writer {
    format: Format,
    sink: Box<dyn Write + Send>,
    dropped: Counter,
    /// The last write failed; said once, not once per line.
    failing: bool,
}

impl Writer {
    /// Ends when the queue is empty and nobody can add to it.
    fn run(mut self, messages: &Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH + 8 * 1024);
        while let Ok(first) = messages.recv() {
            let (mut lines, mut flushed) = (0, Vec::new());
            let mut next = Some(first);
            // When idle a line leaves at once; those that follow it gather for a moment.
            while let Some(message) = next {
                match message {
                    Message::Line(record) => {
                        if let Some(line) = &record.line {
                            self.format.write(&record, line, &mut batch);
                            lines += 1;
                        }
                    }
                    Message::Flush(done) => flushed.push(done),
                }
                next = if batch.len() < BATCH { messages.try_recv().ok() } else { None };
            }
            let is_all = batch.len() < BATCH;
            self.write(&batch, lines);
            batch.clear();
            drop(flushed);
            if is_all {
                thread::sleep(REST);
            }
        }
    }

    fn write(&mut self, batch: &[u8], lines: u64) {
        match self.sink.write_all(batch).and_then(|()| self.sink.flush()) {
            Ok(()) => self.failing = false,
            Err(error) => {
                self.dropped.inc_by(lines);
                if !self.failing {
                    tracing::error!(%error, "the access log cannot be written; lines are being lost");
                }
                self.failing = true;
            }
        }
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
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::super::record::tests::{line, record};
    use super::*;
    use crate::config::LogFormat;

    fn format() -> Format {
        Format::new(LogFormat::Text, Names::of(&Labels::default()))
    }

    fn push(log: &AccessLog) {
        log.push(Box::new(Record { line: Some(line()), ..record() }));
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

    #[test]
    fn a_full_queue_drops_lines_and_counts_them() {
        let dropped = Counter::default();
        let ((arrived, writes), (let_go, gate)) = (channel(), channel());
        let sink = Box::new(Gate { arrived, let_go: gate });
        let log = AccessLog::start(format(), sink, 3, dropped.clone()).unwrap();

        push(&log);
        let first = writes.recv().unwrap();
        (0..5).for_each(|_| push(&log));
        assert_eq!(dropped.get(), 2, "three wait, two are lost");

        let_go.send(Ok(())).unwrap();
        let second = writes.recv().unwrap();
        let_go.send(Ok(())).unwrap();
        drop(log);
        assert_eq!(first.iter().filter(|&&byte| byte == b'\n').count(), 1);
        assert_eq!(second.iter().filter(|&&byte| byte == b'\n').count(), 3, "what waits leaves in one write");
        assert_eq!(dropped.get(), 2);
    }

    #[test]
    fn failed_writes_are_counted_and_the_next_is_tried() {
        let dropped = Counter::default();
        let ((arrived, writes), (let_go, gate)) = (channel(), channel());
        let sink = Box::new(Gate { arrived, let_go: gate });
        let log = AccessLog::start(format(), sink, 3, dropped.clone()).unwrap();

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
