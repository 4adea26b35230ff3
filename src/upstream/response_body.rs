//! The body that comes from the origin.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::failure::BodyFailure;
use super::hush;
use super::pool::Lease;
use super::shared::Slot;

/// A response body whose origin must not pause for longer than `between_bytes_timeout`.
///
/// The time runs only while a reader waits: a slow reader is not the origin's fault. The slot at the server is held
/// until the body ends, fails or is dropped. The connection is given back if it ends, and else closed.
pub struct ResponseBody {
    incoming: Incoming,
    patience: Duration,
    waiting: bool,
    slot: Option<Slot>,
    /// INVARIANT: there until it ends, fails or is cut.
    lease: Option<Lease>,
}

impl ResponseBody {
    pub(super) fn new(incoming: Incoming, patience: Duration, slot: Slot, lease: Lease) -> Self {
        let (slot, lease) = (Some(slot), Some(lease));
        let mut body = Self { incoming, patience, waiting: false, slot, lease };
        if body.incoming.is_end_stream() {
            body.end();
        }
        body
    }

    /// The next frame, taken from the connection without waking it if there is nothing more for it to read.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let is_done = self.lease.as_ref().is_some_and(Lease::is_done);
        let mut take = || Pin::new(&mut self.incoming).poll_frame(cx);
        if is_done { hush::quietly(take) } else { take() }
    }

    /// Called when the origin has nothing for us; ready when that has lasted too long.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Nothing is awaited from the origin any more; hyper is just about to say that it has ended.
        let Some(lease) = &mut self.lease else { return Poll::Pending };
        if !self.waiting {
            lease.patience.begin(self.patience);
        }
        self.waiting = true;
        lease.patience.poll_over(cx)
    }

    /// It has come to its end. First the connection, so that whoever gets the slot finds it.
    fn end(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        self.let_go();
    }

    fn let_go(&mut self) {
        self.lease = None;
        self.slot = None;
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        let Poll::Ready(frame) = self.poll_incoming(cx) else {
            std::task::ready!(self.poll_overdue(cx));
            self.let_go();
            return Poll::Ready(Some(Err(BodyFailure::BetweenBytesTimeout)));
        };
        self.waiting = false;
        match &frame {
            Some(Err(_)) => self.let_go(),
            Some(Ok(_)) if !self.incoming.is_end_stream() => {}
            _ => self.end(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyFailure::of(&error))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}
