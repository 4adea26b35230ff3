//! A body that the test feeds while it is being read.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Feeds a [`Pipe`]; dropping it ends the body.
#[derive(Clone)]
pub(crate) struct Feed(UnboundedSender<Result<Frame<Bytes>, BoxError>>);

impl Feed {
    pub(crate) fn data(&self, data: impl Into<Bytes>) -> &Self {
        let _ = self.0.send(Ok(Frame::data(data.into())));
        self
    }

    pub(crate) fn trailer(&self, name: &'static str, value: &'static str) -> &Self {
        let mut trailers = HeaderMap::new();
        trailers.insert(name, value.parse().unwrap());
        let _ = self.0.send(Ok(Frame::trailers(trailers)));
        self
    }

    pub(crate) fn fail(&self) {
        let _ = self.0.send(Err("the test wants it so".into()));
    }

    /// Resolves when the body has been dropped.
    #[allow(dead_code)] // one of the programs that share this file looks, the other waits
    pub(crate) async fn abandoned(&self) {
        self.0.closed().await;
    }

    /// Whether the body has been dropped.
    #[allow(dead_code)]
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

/// A body of unknown length.
pub(crate) struct Pipe(UnboundedReceiver<Result<Frame<Bytes>, BoxError>>);

/// Both ends.
pub(crate) fn pipe() -> (Feed, Pipe) {
    let (sender, frames) = unbounded_channel();
    (Feed(sender), Pipe(frames))
}

impl Body for Pipe {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx)
    }
}
