//! The body of an answer: from the store, from a fill, or from the origin. It carries the request's record, which
//! is written when the body ends, or is dropped before it does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::{HeaderMap, Method};
use http_body::{Body as _, Frame, SizeHint};

use crate::request::pieces::{Data, Pieces};
use crate::request::worker::Engine;
use crate::store::{Piece, Reader};
use crate::telemetry::Record;
use crate::upstream::ResponseBody;

/// Why a body was cut. The connection is cut with it, so that the client sees it.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A response body. On its way to the socket it is moved often, so it is one word.
pub struct Body(Box<State>);

struct State {
    source: Source,
    ended: bool,
    record: Record,
    engine: Arc<Engine>,
}

pub(crate) enum Source {
    Empty,
    /// Pieces that are in memory, and the trailers that follow them.
    Pieces {
        pieces: Pieces,
        trailers: Option<Box<HeaderMap>>,
    },
    /// A single piece: most hits.
    Piece(Option<Piece>),
    /// What others may be reading too.
    Fill(Reader),
    /// Some bytes of it.
    FillRange {
        reader: Reader,
        skip: u64,
        left: u64,
    },
    /// The origin's own.
    Origin(Box<ResponseBody>),
}

impl Body {
    /// The `record` is finished when the body ends. Content that HEAD does not get is never read to its end, so there is none.
    // Or else the record is put together elsewhere and moved.
    #[inline(always)]
    pub(crate) fn new(content: Source, record: Record, engine: Arc<Engine>) -> Self {
        let source = if record.method == Method::HEAD { Source::Empty } else { content };
        Self(Box::new(State { source, ended: false, record, engine }))
    }
}

impl State {
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Data>, Error>>> {
        match &mut self.source {
            Source::Empty => Poll::Ready(None),
            Source::Piece(piece) => Poll::Ready(piece.take().map(|piece| Ok(Frame::data(piece.into())))),
            Source::Pieces { pieces, trailers } => Poll::Ready(match pieces.next() {
                Some(data) => Some(Ok(Frame::data(data))),
                None => trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))),
            }),
            Source::Fill(reader) => Pin::new(reader).poll_frame(cx).map(as_ours),
            Source::FillRange { reader, skip, left } => poll_range(reader, skip, left, cx).map(as_ours),
            Source::Origin(body) => Pin::new(body.as_mut()).poll_frame(cx).map(as_ours),
        }
    }

    fn count(&mut self, frame: &Frame<Data>) {
        if let Some(data) = frame.data_ref() {
            self.record.bytes += data.remaining() as u64;
        }
    }
}

/// The frame of a source that hands over one piece at a time.
fn as_ours<P: Into<Data>, E: Into<Error>>(
    frame: Option<Result<Frame<P>, E>>,
) -> Option<Result<Frame<Data>, Error>> {
    frame.map(|frame| frame.map(|frame| frame.map_data(P::into)).map_err(Into::into))
}

/// Drops `skip` bytes, passes `left`, and ends there.
fn poll_range(
    reader: &mut Reader,
    skip: &mut u64,
    left: &mut u64,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Piece>, Error>>> {
    while *left > 0 {
        let Some(frame) = ready!(Pin::new(&mut *reader).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let mut data = match frame.map(Frame::into_data) {
            Ok(Ok(data)) => data,
            Ok(Err(_trailers)) => continue,
            Err(error) => return Poll::Ready(Some(Err(error.into()))),
        };
        let dropped = usize::try_from(*skip).unwrap_or(usize::MAX).min(data.len());
        data.advance(dropped);
        *skip -= dropped as u64;
        data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= data.len() as u64;
        if !data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }
    Poll::Ready(None)
}

impl http_body::Body for Body {
    type Data = Data;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Error>>> {
        let state = &mut *self.0;
        let frame = ready!(state.poll_source(cx));
        match &frame {
            None => state.ended = true,
            Some(Ok(frame)) => {
                state.count(frame);
                state.ended = state.source.is_end();
            }
            Some(Err(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.ended || self.0.source.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Piece(piece) => SizeHint::with_exact(piece.as_ref().map_or(0, Buf::remaining) as u64),
            Source::Pieces { pieces, trailers: None } => SizeHint::with_exact(pieces.remaining() as u64),
            Source::Pieces { .. } => SizeHint::default(),
            Source::Fill(reader) => reader.size_hint(),
            Source::FillRange { left, .. } => SizeHint::with_exact(*left),
            Source::Origin(body) => body.size_hint(),
        }
    }
}

impl Source {
    pub(crate) fn pieces(mut pieces: Vec<Piece>, trailers: Option<HeaderMap>) -> Self {
        if pieces.len() == 1 && trailers.is_none() {
            return Self::Piece(pieces.pop());
        }
        Self::Pieces { pieces: Pieces::new(pieces), trailers: trailers.map(Box::new) }
    }

    fn is_end(&self) -> bool {
        match self {
            Source::Empty => true,
            Source::Piece(piece) => piece.is_none(),
            Source::Pieces { pieces, trailers } => !pieces.has_remaining() && trailers.is_none(),
            Source::Fill(reader) => reader.is_end_stream(),
            Source::FillRange { left, .. } => *left == 0,
            Source::Origin(body) => body.is_end_stream(),
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.record.line.is_some() {
            self.record.ended = self.engine.clock.moment();
        }
        self.record.aborted = !self.ended && !self.source.is_end();
        self.engine.telemetry.finish(&mut self.record);
    }
}
