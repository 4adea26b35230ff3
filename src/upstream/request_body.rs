//! The body that goes to the origin, and how far it has got.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::watch;

/// Any error, as bodies have them.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What is sent after the request head.
#[derive(Debug, Default)]
pub enum RequestBody {
    /// Nothing.
    #[default]
    Empty,
    /// Frames as they come; trailers only reach the origin if the head has a `Trailer` field that names them.
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

impl RequestBody {
    /// Passes `body` on; nothing at all if it is known to be over.
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::Empty;
        }
        Self::Stream(UnsyncBoxBody::new(body.map_err(Into::into)))
    }

    /// Makes the framing fields agree with the body, whatever the client said.
    ///
    /// hyper drops content of unknown length from GET and HEAD requests unless Transfer-Encoding is set, and believes
    /// a Content-Length that it finds.
    fn frame(&self, fields: &mut HeaderMap) {
        // As a rule there are none, and a look at the few fields that are there spares the search for both.
        if matches!(self, Self::Empty) && !fields.keys().any(is_framing) {
            return;
        }
        fields.remove(TRANSFER_ENCODING);
        match self {
            Self::Empty => {
                if fields.get(CONTENT_LENGTH).is_some_and(|length| length != "0") {
                    fields.remove(CONTENT_LENGTH);
                }
            }
            Self::Stream(body) => {
                if let Some(length) = body.size_hint().exact() {
                    fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
                } else {
                    fields.remove(CONTENT_LENGTH);
                    fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
                }
            }
        }
    }
}

fn is_framing(name: &HeaderName) -> bool {
    matches!(*name, TRANSFER_ENCODING | CONTENT_LENGTH)
}

/// Whose turn it is while a request body is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The origin's: it has bytes to take, or all of them.
    Origin,
    /// The client's: it owes us bytes.
    Client,
}

/// A [`RequestBody`] that reports its [`Phase`]. If there is nothing to send, nobody listens.
#[derive(Debug)]
pub(super) struct Outgoing {
    body: RequestBody,
    phase: Option<watch::Sender<Phase>>,
}

impl Outgoing {
    /// The body, and who wants to know how it is getting on: a receiver only if there is something to send.
    pub(super) fn new(body: RequestBody) -> (Self, Option<watch::Receiver<Phase>>) {
        match body {
            RequestBody::Empty => (Self { body, phase: None }, None),
            RequestBody::Stream(_) => {
                let (phase, watching) = watch::channel(Phase::Origin);
                (Self { body, phase: Some(phase) }, Some(watching))
            }
        }
    }

    /// See [`RequestBody::frame`].
    pub(super) fn frame(&self, fields: &mut HeaderMap) {
        self.body.frame(fields);
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let RequestBody::Stream(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if let Some(phase) = &self.phase {
            let now = if polled.is_pending() { Phase::Client } else { Phase::Origin };
            // Each piece the origin is given starts its time anew; the client's time only starts once.
            phase.send_if_modified(|phase| std::mem::replace(phase, now) != now || now == Phase::Origin);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            RequestBody::Empty => true,
            RequestBody::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Stream(body) => body.size_hint(),
        }
    }
}
