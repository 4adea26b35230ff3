//! Bodies to and from origins.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

/// What goes to the origin: nothing, or a client's content as it arrives.
#[derive(Debug, Default)]
pub enum RequestBody {
    /// No content.
    #[default]
    Empty,
    /// A client's content.
    Stream(Incoming),
}

impl RequestBody {
    /// Streams `content`.
    pub fn stream(content: Incoming) -> Self {
        Self::Stream(content)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Stream(content) => Pin::new(content).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Stream(content) => content.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Stream(content) => content.size_hint(),
        }
    }
}

/// Why a response's content broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum BodyFailure {
    /// Nothing came for `between_bytes_timeout`.
    BetweenBytesTimeout,
    /// The connection ended, or the framing was broken, before the content was complete.
    Truncated,
}

impl BodyFailure {
    /// The reason's name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            BodyFailure::BetweenBytesTimeout => "between-bytes-timeout",
            BodyFailure::Truncated => "truncated",
        }
    }
}

/// A response's content as it arrives.
#[derive(Debug)]
pub struct ResponseBody {
    content: Incoming,
    patience: Duration,
    /// Runs only while the origin is waited for: a slow reader of ours does not count against it.
    waiting: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl ResponseBody {
    pub(super) fn new(content: Incoming, patience: Duration, permit: OwnedSemaphorePermit) -> Self {
        Self { content, patience, waiting: None, _permit: permit }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.content).poll_frame(cx) {
            this.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|_| BodyFailure::Truncated)));
        }
        let patience = this.patience;
        let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        waiting.as_mut().poll(cx).map(|()| Some(Err(BodyFailure::BetweenBytesTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
