//! The one who fills.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::state::{End, State};
use super::{Abandoned, MAX_OBJECT, MEMORY, NotSealed, Shared, WRONG_LENGTH};
use crate::store::head::packed_trailers;
use crate::store::{Budget, Piece, Sealed};

/// The longest chunk of stored content. Each is handed to the socket as a whole, and stays as long as any of it is
/// being sent.
const CHUNK: usize = 64 * 1024;
/// Chunks below this are gathered into larger ones: what a chunk costs beside its bytes would show. So are all of content that
/// fits into a single one, which is then sent as it lies.
const SMALL: usize = 16 * 1024;
/// How long a stream waits for its first reader, who may just be on the way.
const FIRST_READER_GRACE: Duration = Duration::from_secs(1);

/// Fills. Dropped before its end, it has failed.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    budget: Arc<Budget>,
    /// The last chunks that are stored, as far as they may be gathered. INVARIANT: they are the last of the shared state's,
    /// which nobody else changes while the content is being stored; empty in a stream.
    tail: Vec<Piece>,
    /// Bytes that came so far.
    total: u64,
    /// `Some`: a stream, and why. INVARIANT: never taken back; only the writer turns a fill into a stream.
    not_stored: Option<&'static str>,
    /// Kept for its room.
    waiting: Vec<Waker>,
    ended: bool,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, budget: Arc<Budget>) -> Self {
        Self {
            shared,
            budget,
            tail: Vec::new(),
            total: 0,
            not_stored: None,
            waiting: Vec::new(),
            ended: false,
        }
    }

    /// Adds a piece. Waits only in a stream, for its slowest reader.
    ///
    /// # Errors
    ///
    /// There is nobody to go on for, or more came than was declared, which fails the content.
    pub async fn push(&mut self, mut data: Bytes) -> Result<(), Abandoned> {
        self.total = self.total.saturating_add(data.len() as u64);
        if self.shared.limits.expected.is_some_and(|expected| self.total > expected) {
            self.end(End::Failed(WRONG_LENGTH));
            return Err(Abandoned);
        }
        if self.total > self.shared.limits.max_object {
            self.stream_only(MAX_OBJECT);
        }
        if self.is_storing() {
            self.store(&mut data);
        }
        if data.is_empty() {
            return Ok(());
        }
        let piece = self.wait_for_room(&data).await?;
        self.append(piece, 0);
        Ok(())
    }

    /// The content is complete.
    ///
    /// # Errors
    ///
    /// It is not to be stored. If it is not of the length that was declared, it has failed.
    pub fn finish(mut self, trailers: Option<HeaderMap>) -> Result<Sealed, NotSealed> {
        if self.ended || self.shared.limits.expected.is_some_and(|expected| expected != self.total) {
            self.end(End::Failed(WRONG_LENGTH));
            return Err(NotSealed(WRONG_LENGTH));
        }
        self.gather_tail();
        let packed = match &trailers {
            Some(trailers) if self.is_storing() => packed_trailers(trailers, &self.budget),
            _ => None,
        };
        if trailers.is_some() && packed.is_none() {
            self.stream_only(MEMORY);
        }
        let sealed = match self.not_stored {
            Some(reason) => Err(NotSealed(reason)),
            None => Ok(Sealed::new(self.shared.state.lock().content(), packed.clone(), &self.budget)),
        };
        self.end(End::Complete(packed.or(trailers)));
        sealed
    }

    /// The content broke off: readers see it as an error once they have read what came.
    pub fn fail(mut self, reason: &'static str) {
        self.end(End::Failed(reason));
    }

    /// It will not be stored: only those who read it now, or begin before its first chunk is gone, get it.
    pub fn stream_only(&mut self, reason: &'static str) {
        if self.not_stored.is_none() {
            self.not_stored = Some(reason);
            self.tail.clear();
            self.change(|state| state.stream());
        }
    }

    /// Whether it is to be stored, as far as is known.
    pub fn is_storing(&self) -> bool {
        self.not_stored.is_none()
    }

    /// Why it will not be stored.
    pub fn not_stored_because(&self) -> Option<&'static str> {
        self.not_stored
    }

    /// Stores as much of `data` as can be charged, and takes it off. What is left makes it a stream.
    fn store(&mut self, data: &mut Bytes) {
        while !data.is_empty() {
            let piece = data.slice(..data.len().min(CHUNK));
            let Some((chunk, replaced)) = self.gathered(&piece) else {
                self.stream_only(MEMORY);
                return;
            };
            self.tail.truncate(self.tail.len() - replaced);
            let is_small = chunk.len() < SMALL || self.total <= CHUNK as u64;
            // What is all there is will not be gathered with anything.
            let is_all = self.shared.limits.expected == Some(chunk.len() as u64);
            if is_small && !is_all {
                self.tail.push(chunk.clone());
            } else {
                self.tail.clear();
            }
            self.append(chunk, replaced);
            let _stored = data.split_to(piece.len());
        }
    }

    /// A charged copy of `piece`, behind copies of those small chunks before it that are no longer than what follows
    /// them; and how many these are. So each byte is copied at most once for each doubling of its chunk.
    fn gathered(&self, piece: &[u8]) -> Option<(Piece, usize)> {
        let mut len = piece.len();
        let fits = |chunk: &&Piece| {
            let joins = chunk.len() <= len && chunk.len() + len <= CHUNK;
            len += if joins { chunk.len() } else { 0 };
            joins
        };
        let replaced = self.tail.iter().rev().take_while(fits).count();
        if replaced == 0 {
            return Some((self.budget.bytes(piece)?, 0));
        }
        let (_, joined) = self.tail.split_at(self.tail.len() - replaced);
        let parts: Vec<&[u8]> = joined.iter().map(|part| &part[..]).chain([piece]).collect();
        match self.budget.gather(&parts) {
            Some(chunk) => Some((chunk, replaced)),
            // The chunks are charged until they are replaced, so gathering takes more room than adding.
            None => Some((self.budget.bytes(piece)?, 0)),
        }
    }

    /// Makes one chunk of the small ones at the end, if there is room for that.
    fn gather_tail(&mut self) {
        let mut len = 0;
        let fits = |chunk: &&Piece| {
            len += chunk.len();
            len <= CHUNK
        };
        let joined = self.tail.iter().rev().take_while(fits).count();
        if joined > 1 {
            let parts: Vec<&[u8]> =
                self.tail[self.tail.len() - joined..].iter().map(|part| &part[..]).collect();
            if let Some(chunk) = self.budget.gather(&parts) {
                self.append(chunk, joined);
            }
        }
        self.tail.clear();
    }

    /// Waits until a stream takes `data`, and charges it if there is room for that.
    async fn wait_for_room(&self, data: &Bytes) -> Result<Piece, Abandoned> {
        let room = poll_fn(|cx| self.poll_room(data, cx));
        if self.shared.state.lock().had_readers() {
            return room.await;
        }
        tokio::time::timeout(FIRST_READER_GRACE, room).await.unwrap_or(Err(Abandoned))
    }

    fn poll_room(&self, data: &Bytes, cx: &mut Context<'_>) -> Poll<Result<Piece, Abandoned>> {
        let mut state = self.shared.state.lock();
        if state.is_abandoned() {
            return Poll::Ready(Err(Abandoned));
        }
        let buffered = state.buffered();
        if buffered == 0 || buffered + data.len() as u64 <= self.shared.limits.window as u64 {
            // A copy: of the buffer that a piece was read into it may be the least part, but holds all of it.
            if let Some(copy) = self.budget.bytes(data) {
                return Poll::Ready(Ok(copy));
            }
            if buffered == 0 {
                return Poll::Ready(Ok(data.clone().into()));
            }
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn append(&mut self, data: Piece, replaced: usize) {
        self.change(|state| state.append(data, replaced));
    }

    fn end(&mut self, end: End) {
        self.ended = true;
        self.change(|state| state.end(end));
    }

    /// Changes the state, and wakes the readers after the lock is gone.
    fn change(&mut self, change: impl FnOnce(&mut State)) {
        {
            let mut state = self.shared.state.lock();
            change(&mut state);
            state.take_waiting(&mut self.waiting);
        }
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.ended {
            self.end(End::Failed("aborted"));
        }
    }
}
