//! The thread that writes what waits.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::waiting::{Lines, Waiting};

/// How long the writer rests when it has written all there is, unless it is called: so lines gather, and no serving thread has
/// to wake it for each.
const REST: Duration = Duration::from_millis(20);

/// What the writer is called for.
pub(super) enum Call {
    /// There are lines to be written.
    Wake,
    /// Dropped by the writer once all that waited when it was sent is written.
    Flush(SyncSender<()>),
}

/// The thread's state.
pub(super) struct Writer {
    waiting: Arc<Waiting>,
    sink: Box<dyn Write + Send>,
    dropped: Counter,
    /// The last write failed; said once, not once per line.
    failing: bool,
    /// Empty between two rounds.
    lines: Lines,
}

impl Writer {
    pub(super) fn new(waiting: Arc<Waiting>, sink: Box<dyn Write + Send>, dropped: Counter) -> Self {
        Self { waiting, sink, dropped, failing: false, lines: Lines::default() }
    }

    /// Writes until nobody can add a line or call any more.
    pub(super) fn run(mut self, calls: &Receiver<Call>) {
        loop {
            let call = if self.round() || self.round_before_sleep() {
                calls.recv_timeout(REST)
            } else {
                calls.recv().map_err(RecvTimeoutError::from)
            };
            match call {
                Ok(Call::Wake) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Call::Flush(done)) => {
                    self.round();
                    drop(done);
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.round();
    }

    /// When idle, a line leaves at once: its thread calls.
    fn round_before_sleep(&mut self) -> bool {
        self.waiting.writer_sleeps(true);
        let found = self.round();
        if found {
            self.waiting.writer_sleeps(false);
        }
        found
    }

    /// Writes what waits; tells whether there was anything.
    fn round(&mut self) -> bool {
        let Self { waiting, sink, dropped, failing, lines } = self;
        let mut found = false;
        waiting.take(lines, |lines| {
            found = true;
            match sink.write_all(&lines.text).and_then(|()| sink.flush()) {
                Ok(()) => *failing = false,
                Err(error) => {
                    dropped.inc_by(lines.count);
                    if !*failing {
                        tracing::error!(%error, "the access log cannot be written; lines are being lost");
                    }
                    *failing = true;
                }
            }
        });
        found
    }
}
