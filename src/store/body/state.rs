//! What writer and readers of a fill share: where each stands, what is kept, who waits.

use std::collections::VecDeque;
use std::task::Waker;

use http::HeaderMap;

use crate::store::Piece;

#[derive(Debug, Default)]
pub(super) struct State {
    /// Without gaps. INVARIANT: while storing, from the first byte on; in a stream, from the first byte that a reader
    /// has yet to read. Only the writer adds or replaces, so it may look, work outside the lock, and come back.
    chunks: VecDeque<Chunk>,
    /// Bytes that came so far.
    total: u64,
    /// It will not be stored. INVARIANT: never taken back.
    streams: bool,
    end: Option<End>,
    /// By id; ids of those who left are reused.
    readers: Vec<Option<Place>>,
    present: usize,
    had_readers: bool,
    /// How many readers have yet to read the front chunk. INVARIANT: exact in a stream with readers, of no meaning
    /// otherwise. It saves looking at all readers for each chunk that each of them takes.
    behind: usize,
    pub(super) writer: Option<Waker>,
}

#[derive(Debug)]
struct Chunk {
    start: u64,
    data: Piece,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.data.len() as u64
    }
}

/// Where a reader stands.
#[derive(Debug, Default)]
struct Place {
    /// Bytes read. An offset, not a chunk: chunks are replaced by larger ones under a reader's feet.
    position: u64,
    waker: Option<Waker>,
}

/// How the content ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    Complete(Option<HeaderMap>),
    Failed(&'static str),
}

/// What a reader gets.
#[derive(Debug)]
pub(super) enum Read {
    Data(Piece),
    Ended(End),
    /// Its waker is kept.
    Waits,
}

impl State {
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Bytes from the first that is kept.
    pub(super) fn buffered(&self) -> u64 {
        self.total - self.base()
    }

    /// Nobody reads any more, and it will not be stored.
    pub(super) fn is_abandoned(&self) -> bool {
        self.streams && self.had_readers && self.present == 0
    }

    pub(super) fn had_readers(&self) -> bool {
        self.had_readers
    }

    /// Whether newcomers should begin to read: the first byte is kept, and the content has not broken off.
    pub(super) fn has_room(&self) -> bool {
        self.base() == 0 && !matches!(self.end, Some(End::Failed(_)))
    }

    pub(super) fn is_complete_at(&self, position: u64) -> bool {
        position == self.total && matches!(self.end, Some(End::Complete(None)))
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.end, Some(End::Complete(_)))
    }

    /// Lets a reader in. Returns its id, and the writer if that waits.
    ///
    /// Also into content that broke off: whoever waited for its head is owed what came and the error.
    pub(super) fn join(&mut self) -> Option<(usize, Option<Waker>)> {
        if self.base() > 0 {
            return None;
        }
        let id = if self.present < self.readers.len() {
            self.readers.iter().position(Option::is_none)?
        } else {
            self.readers.push(None);
            self.present
        };
        *self.readers.get_mut(id)? = Some(Place::default());
        self.present += 1;
        self.had_readers = true;
        self.behind += usize::from(!self.chunks.is_empty());
        Some((id, self.writer.take()))
    }

    /// What the reader has yet to read of one chunk, or else what it has come to. Also the writer, if this makes room
    /// for it.
    pub(super) fn read(&mut self, id: usize, waker: &Waker) -> (Read, Option<Waker>) {
        let Some(Some(place)) = self.readers.get_mut(id) else {
            return (Read::Ended(End::Failed("left")), None);
        };
        let position = place.position;
        let next = self.chunks.partition_point(|chunk| chunk.end() <= position);
        let Some(chunk) = self.chunks.get(next) else {
            return match &self.end {
                Some(end) => (Read::Ended(end.clone()), None),
                None => {
                    match &mut place.waker {
                        Some(known) => known.clone_from(waker),
                        none => *none = Some(waker.clone()),
                    }
                    (Read::Waits, None)
                }
            };
        };
        // Not below the chunk's start, since chunks have no gaps, and within it, whose length is a usize.
        let data = chunk.data.slice((position - chunk.start) as usize, usize::MAX);
        place.position = chunk.end();
        (Read::Data(data), if next == 0 { self.front_taken() } else { None })
    }

    /// Lets a reader go. Returns the writer, if this makes room for it or leaves it alone.
    pub(super) fn leave(&mut self, id: usize) -> Option<Waker> {
        let place = self.readers.get_mut(id)?.take()?;
        self.present -= 1;
        let writer = match self.chunks.front() {
            Some(front) if place.position < front.end() => self.front_taken(),
            _ => None,
        };
        if self.present == 0 { writer.or_else(|| self.writer.take()) } else { writer }
    }

    /// Adds data in place of the last `replaced` chunks, which it begins with.
    pub(super) fn append(&mut self, data: Piece, replaced: usize) {
        let kept = self.chunks.len().saturating_sub(replaced);
        let start = self.chunks.get(kept).map_or(self.total, |chunk| chunk.start);
        self.chunks.truncate(kept);
        let chunk = Chunk { start, data };
        self.total = chunk.end();
        self.chunks.push_back(chunk);
        if self.chunks.len() == 1 {
            self.recount();
        }
    }

    /// From now on what all have read is dropped.
    pub(super) fn stream(&mut self) {
        self.streams = true;
        self.drop_read();
    }

    pub(super) fn streams(&self) -> bool {
        self.streams
    }

    pub(super) fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// The wakers of those who wait for content.
    pub(super) fn take_waiting(&mut self, into: &mut Vec<Waker>) {
        into.extend(self.readers.iter_mut().flatten().filter_map(|place| place.waker.take()));
    }

    /// All that is kept, in order.
    pub(super) fn content(&self) -> impl Iterator<Item = Piece> {
        self.chunks.iter().map(|chunk| chunk.data.clone())
    }

    fn base(&self) -> u64 {
        self.chunks.front().map_or(self.total, |chunk| chunk.start)
    }

    /// A reader has read the front chunk, or will not. Returns the writer if that made room.
    fn front_taken(&mut self) -> Option<Waker> {
        self.behind = self.behind.saturating_sub(1);
        if !self.streams || self.behind > 0 {
            return None;
        }
        self.drop_read();
        self.writer.take()
    }

    /// Drops what all readers of a stream have read. Before the first reader, nothing: it may be on its way.
    fn drop_read(&mut self) {
        let slowest = self.readers.iter().flatten().map(|place| place.position).min();
        let Some(read) = slowest.or(self.had_readers.then_some(self.total)) else { return };
        while self.chunks.front().is_some_and(|front| front.end() <= read) {
            self.chunks.pop_front();
        }
        self.recount();
    }

    fn recount(&mut self) {
        let end = self.chunks.front().map_or(0, Chunk::end);
        self.behind = self.readers.iter().flatten().filter(|place| place.position < end).count();
    }
}
