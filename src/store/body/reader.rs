//! One who reads a fill.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};

use super::state::{End, Read};
use super::{BodyError, Shared};
use crate::store::Piece;

/// Reads a fill from the first byte to the trailers. Ends with an error if the content broke off, after what came of
/// it, so that the break is visible to whoever it is sent to.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    id: usize,
    position: u64,
    ended: bool,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, id: usize) -> Self {
        Self { shared, id, position: 0, ended: false }
    }

    fn left(&self) -> Option<u64> {
        self.shared.limits.expected.map(|expected| expected.saturating_sub(self.position))
    }
}

impl http_body::Body for Reader {
    type Data = Piece;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let (read, writer) = self.shared.state.lock().read(self.id, cx.waker());
        if let Some(writer) = writer {
            writer.wake();
        }
        match read {
            Read::Waits => Poll::Pending,
            Read::Data(data) => {
                self.position += data.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Read::Ended(end) => {
                self.ended = true;
                Poll::Ready(match end {
                    End::Complete(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
                    End::Failed(reason) => Some(Err(BodyError(reason))),
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // Content of declared length has no trailers in HTTP/1.1, and its last byte is its end.
        self.ended || self.left() == Some(0) || self.shared.state.lock().is_complete_at(self.position)
    }

    fn size_hint(&self) -> SizeHint {
        if let Some(left) = self.left() {
            return SizeHint::with_exact(left);
        }
        let state = self.shared.state.lock();
        let come = state.total() - self.position;
        if state.is_complete() { SizeHint::with_exact(come) } else { at_least(come) }
    }
}

fn at_least(bytes: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(bytes);
    hint
}

impl Drop for Reader {
    fn drop(&mut self) {
        let writer = self.shared.state.lock().leave(self.id);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}
