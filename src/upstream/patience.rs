//! A time limit that is set anew for each wait.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// A timer that a connection keeps: to be told a later time costs one of tokio's next to nothing, while a new one for each
/// wait takes a place in the runtime's list, and the list's lock, and gives both up again.
///
/// Between two waits it may ring for one that is long over. That wakes a task for nothing.
#[derive(Debug)]
pub(super) struct Patience(Pin<Box<Sleep>>);

impl Patience {
    pub(super) fn new() -> Self {
        Self(Box::pin(sleep(Duration::ZERO)))
    }

    /// From now on for `limit`.
    pub(super) fn begin(&mut self, limit: Duration) {
        self.0.as_mut().reset(sleep(limit).deadline());
    }

    /// Ready when it is over.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }

    /// Waits until it is over.
    pub(super) async fn over(&mut self) {
        poll_fn(|cx| self.poll_over(cx)).await;
    }
}
