//! What hyper is given to send.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::BoxError;
use super::wire::Wire;

pin_project! {
    /// A handler's body, or an answer of the server's own.
    ///
    /// hyper drops what it has buffered when a body fails. A body that fails here first lets everything before the
    /// failure be written, then fails: the client gets what there was, and sees that it is not the whole.
    #[project = ServedProjection]
    pub(super) enum Served<B> {
        /// The handler's.
        Handlers {
            #[pin]
            body: B,
            failed: Option<Failed>,
            wire: Arc<Wire>,
            // Only the end of the connection marks the end of the body (HTTP/1.0).
            close_delimited: bool,
        },
        /// A small document.
        Ours { document: Option<Bytes> },
    }
}

/// A failure held back until everything before it has been written.
pub(super) struct Failed {
    error: BoxError,
    /// The count of flushes when it came.
    flushes: u32,
}

impl<B> Served<B> {
    pub(super) fn handlers(body: B, wire: Arc<Wire>, close_delimited: bool) -> Self {
        Self::Handlers { body, failed: None, wire, close_delimited }
    }

    pub(super) fn ours(document: Bytes) -> Self {
        Self::Ours { document: Some(document) }
    }
}

impl<B> Body for Served<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            ServedProjection::Ours { document } => {
                Poll::Ready(document.take().map(|document| Ok(Frame::data(document))))
            }
            ServedProjection::Handlers { body, failed, wire, close_delimited } => {
                if failed.is_none() {
                    let frame = std::task::ready!(body.poll_frame(cx));
                    let Some(Err(error)) = frame else {
                        return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
                    };
                    *failed = Some(Failed { error: error.into(), flushes: wire.flushes() });
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                match failed.take() {
                    // Not everything is written yet; the socket will wake us.
                    Some(held) if held.flushes == wire.flushes() => {
                        *failed = Some(held);
                        Poll::Pending
                    }
                    Some(Failed { error, .. }) => {
                        if *close_delimited {
                            wire.reset_at_close();
                        }
                        Poll::Ready(Some(Err(error)))
                    }
                    None => Poll::Ready(None),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Handlers { body, failed, .. } => failed.is_none() && body.is_end_stream(),
            Self::Ours { document } => document.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Handlers { body, .. } => body.size_hint(),
            Self::Ours { document } => {
                SizeHint::with_exact(document.as_ref().map_or(0, |document| document.len() as u64))
            }
        }
    }
}
