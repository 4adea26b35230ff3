//! What hyper is given to send.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::BoxError;
use super::wire::Wire;

pin_project! {
    /// A handler's body.
    ///
    /// hyper drops what it has buffered when a body fails. A body that fails here first lets everything before the
    /// failure be written, then fails: the client gets what there was, and sees that it is not the whole.
    pub(super) struct Served<B> {
        #[pin]
        body: B,
        failed: Option<Failed>,
        wire: Arc<Wire>,
        // Only the end of the connection marks the end of the body (HTTP/1.0).
        close_delimited: bool,
    }

    impl<B> PinnedDrop for Served<B> {
        fn drop(this: Pin<&mut Self>) {
            this.wire.answered();
        }
    }
}

/// A failure held back until everything before it has been written.
struct Failed {
    error: BoxError,
    /// The count of flushes when it came.
    flushes: u32,
}

impl<B> Served<B> {
    pub(super) fn new(body: B, wire: Arc<Wire>, close_delimited: bool) -> Self {
        Self { body, failed: None, wire, close_delimited }
    }
}

impl<B> Body for Served<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        let Some(held) = this.failed.as_ref() else {
            let frame = ready!(this.body.poll_frame(cx));
            let Some(Err(error)) = frame else {
                return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
            };
            this.wire.insist();
            *this.failed = Some(Failed { error: error.into(), flushes: this.wire.flushes() });
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        if held.flushes == this.wire.flushes() {
            // Not everything is written yet; the socket will wake us.
            return Poll::Pending;
        }
        if *this.close_delimited {
            this.wire.reset_at_close();
        }
        Poll::Ready(this.failed.take().map(|held| Err(held.error)))
    }

    fn is_end_stream(&self) -> bool {
        self.failed.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
