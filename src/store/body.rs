//! Content that is read while it fills: one writer, many readers, each at its own position.
//!
//! A fill begins *storing*: every piece is copied to a charged chunk, kept, and the fill goes on without readers,
//! since it will be stored. It turns into a *stream* when it cannot be stored after all (no memory, too long): then
//! pieces are not charged, the fastest reader runs at most a window ahead of the slowest, pieces that all have read
//! are dropped, and without readers there is nobody to go on for.
//!
//! A reader that takes nothing holds a stream up; that is bounded elsewhere: the server cuts clients that take nothing
//! for its stall timeout, and with them goes their reader.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

use crate::store::{Budget, Sealed};

/// Stored content consists of chunks of this size, but for small pieces that fit the whole.
const CHUNK: usize = 64 * 1024;
/// Content whose pieces are smaller than this on average is put together when it is complete.
const SMALL_PIECE: u64 = 16 * 1024;
/// How long a stream waits for its first reader, who may just be on the way.
const FIRST_READER_GRACE: Duration = Duration::from_secs(1);

const MEMORY: &str = "memory";
const MAX_OBJECT: &str = "max-object";
const CUT_SHORT: &str = "length-mismatch";

/// The reasons for which content that came completely is not stored.
pub const NOT_SEALED: [&str; 3] = [MEMORY, MAX_OBJECT, CUT_SHORT];

/// Bounds of a fill.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest content that is stored, in bytes.
    pub max_object: u64,
    /// How far a stream's fastest reader may run ahead of its slowest, in bytes.
    pub window: usize,
    /// The declared length, if any.
    pub expected: Option<u64>,
}

/// Nobody reads, and it will not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abandoned;

/// The content is complete but not to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSealed(&'static str);

impl NotSealed {
    /// Why.
    pub fn reason(self) -> &'static str {
        self.0
    }
}

/// The content broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content broke off: {0}")]
pub struct BodyError(pub &'static str);

/// Begins a fill.
pub fn fill(budget: Arc<Budget>, limits: Limits) -> (Writer, Body) {
    let shared = Arc::new(Shared { budget, limits, state: Mutex::new(State::default()) });
    (Writer { shared: shared.clone(), ended: false }, Body(shared))
}

#[derive(Debug)]
struct Shared {
    budget: Arc<Budget>,
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// Chunks dropped from the front. INVARIANT: zero while storing.
    dropped: usize,
    /// Bytes in dropped chunks.
    dropped_bytes: u64,
    /// Bytes pushed.
    total: u64,
    /// `Some`: a stream, and why.
    not_stored: Option<&'static str>,
    end: Option<End>,
    readers: HashMap<u64, Place>,
    next_reader: u64,
    writer: Option<Waker>,
}

#[derive(Clone, Debug)]
enum End {
    Complete(Option<HeaderMap>),
    Failed(&'static str),
}

/// Where a reader stands.
#[derive(Debug)]
struct Place {
    /// The next chunk, counted from the very first. INVARIANT: at least `dropped`.
    chunk: usize,
    /// Bytes before that chunk.
    bytes: u64,
    waker: Option<Waker>,
}

impl State {
    fn lag(&self) -> u64 {
        let slowest = self.readers.values().map(|place| place.bytes).min().unwrap_or(self.dropped_bytes);
        self.total - slowest
    }

    /// Drops what all readers of a stream have read.
    fn drop_read(&mut self) {
        if self.not_stored.is_none() || self.next_reader == 0 {
            return;
        }
        let slowest = self.readers.values().map(|place| place.chunk).min().unwrap_or(usize::MAX);
        while self.dropped < slowest {
            let Some(chunk) = self.chunks.pop_front() else { return };
            self.dropped += 1;
            self.dropped_bytes += chunk.len() as u64;
        }
    }

    fn take_wakers(&mut self) -> Vec<Waker> {
        self.readers.values_mut().filter_map(|place| place.waker.take()).collect()
    }
}

/// The one who fills.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    ended: bool,
}

impl Writer {
    /// Adds a piece. Waits only in a stream, for the slowest reader.
    ///
    /// # Errors
    ///
    /// There is nobody to go on for.
    pub async fn push(&mut self, data: Bytes) -> Result<(), Abandoned> {
        if data.is_empty() {
            return Ok(());
        }
        let streams = self.append(data);
        if !streams {
            return Ok(());
        }
        let waiting = std::future::poll_fn(|cx| self.poll_room(cx));
        if self.has_had_readers() {
            return waiting.await;
        }
        tokio::time::timeout(FIRST_READER_GRACE, waiting).await.unwrap_or(Err(Abandoned))
    }

    /// The content is complete.
    ///
    /// # Errors
    ///
    /// It is not to be stored, or not of the length that was declared.
    pub fn finish(mut self, trailers: Option<HeaderMap>) -> Result<Arc<Sealed>, NotSealed> {
        let expected = self.shared.limits.expected;
        let mut state = self.shared.state.lock();
        if expected.is_some_and(|expected| expected != state.total) {
            drop(state);
            self.end(End::Failed(CUT_SHORT));
            return Err(NotSealed(CUT_SHORT));
        }
        let not_stored = state.not_stored;
        let chunks: Vec<Bytes> =
            if not_stored.is_none() { state.chunks.iter().cloned().collect() } else { Vec::new() };
        let total = state.total;
        state.end = Some(End::Complete(trailers.clone()));
        let wakers = state.take_wakers();
        drop(state);
        self.ended = true;
        wakers.into_iter().for_each(Waker::wake);
        match not_stored {
            Some(reason) => Err(NotSealed(reason)),
            None => Ok(Sealed::new(self.compact(chunks, total), trailers)),
        }
    }

    /// The content broke off: readers see it as an error once they have read what came.
    pub fn fail(mut self, reason: &'static str) {
        self.end(End::Failed(reason));
    }

    fn end(&mut self, end: End) {
        self.ended = true;
        let wakers = {
            let mut state = self.shared.state.lock();
            state.end.get_or_insert(end);
            state.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Adds a piece, charged if the content is still to be stored; tells whether it is a stream.
    fn append(&mut self, data: Bytes) -> bool {
        let length = data.len() as u64;
        let stores = |state: &State| state.not_stored.is_none();
        let too_long = {
            let state = self.shared.state.lock();
            stores(&state) && state.total + length > self.shared.limits.max_object
        };
        let copied = if too_long { None } else { self.copy(&data) };
        let mut state = self.shared.state.lock();
        if stores(&state) && (too_long || copied.is_none()) {
            state.not_stored = Some(if too_long { MAX_OBJECT } else { MEMORY });
        }
        match copied {
            Some(chunks) if stores(&state) => state.chunks.extend(chunks),
            _ => state.chunks.push_back(data),
        }
        state.total += length;
        state.drop_read();
        let streams = !stores(&state);
        let wakers = state.take_wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        streams
    }

    /// Charged copies, of at most a chunk each: hyper's read buffers pin more than they show.
    fn copy(&self, data: &[u8]) -> Option<Vec<Bytes>> {
        data.chunks(CHUNK).map(|piece| self.shared.budget.bytes(piece)).collect()
    }

    /// Content that came in crumbs is put together, if there is memory for that.
    fn compact(&self, chunks: Vec<Bytes>, total: u64) -> Vec<Bytes> {
        if chunks.len() < 2 || total / chunks.len() as u64 >= SMALL_PIECE {
            return chunks;
        }
        let mut rest = BytesMut::new();
        let mut compacted = Vec::new();
        for chunk in &chunks {
            rest.extend_from_slice(chunk);
            while rest.len() >= CHUNK {
                let Some(full) = self.shared.budget.bytes(&rest.split_to(CHUNK)) else { return chunks };
                compacted.push(full);
            }
        }
        match self.shared.budget.bytes(&rest) {
            Some(last) => compacted.push(last),
            None => return chunks,
        }
        compacted
    }

    fn has_had_readers(&self) -> bool {
        self.shared.state.lock().next_reader > 0
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), Abandoned>> {
        let mut state = self.shared.state.lock();
        if state.readers.is_empty() && state.next_reader > 0 {
            return Poll::Ready(Err(Abandoned));
        }
        if !state.readers.is_empty() && state.lag() <= self.shared.limits.window as u64 {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.ended {
            self.end(End::Failed("abandoned"));
        }
    }
}

/// A fill as its readers see it.
#[derive(Clone, Debug)]
pub struct Body(Arc<Shared>);

impl Body {
    /// A reader from the first byte on. `None`: the first byte is gone, or the content broke off.
    pub fn reader(&self) -> Option<Reader> {
        let mut state = self.0.state.lock();
        if !room(&state) {
            return None;
        }
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(id, Place { chunk: 0, bytes: 0, waker: None });
        let waker = state.writer.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(Reader { shared: self.0.clone(), id, left: self.0.limits.expected, ended: false })
    }

    /// Whether a reader can still begin.
    pub fn has_room(&self) -> bool {
        room(&self.0.state.lock())
    }

    /// Whether it is to be stored, as far as is known.
    pub fn is_storing(&self) -> bool {
        self.0.state.lock().not_stored.is_none()
    }
}

fn room(state: &State) -> bool {
    state.dropped == 0 && !matches!(state.end, Some(End::Failed(_)))
}

/// One who reads.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    id: u64,
    /// Bytes to come, if the length was declared.
    left: Option<u64>,
    ended: bool,
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let shared = self.shared.clone();
        let mut state = shared.state.lock();
        let state = &mut *state;
        let Some(place) = state.readers.get_mut(&self.id) else { return Poll::Ready(None) };
        if let Some(chunk) = state.chunks.get(place.chunk - state.dropped).cloned() {
            place.chunk += 1;
            place.bytes += chunk.len() as u64;
            self.left = self.left.map(|left| left.saturating_sub(chunk.len() as u64));
            state.drop_read();
            let writer = state.writer.take();
            if let Some(writer) = writer {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match &state.end {
            None => {
                place.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(End::Failed(reason)) => Poll::Ready(Some(Err(BodyError(reason)))),
            Some(End::Complete(trailers)) => {
                self.ended = true;
                Poll::Ready(trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let writer = {
            let mut state = self.shared.state.lock();
            state.readers.remove(&self.id);
            state.drop_read();
            state.writer.take()
        };
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}
