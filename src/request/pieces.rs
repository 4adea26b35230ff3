//! What is handed to the socket at once.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Buf;

use crate::store::Piece;

/// Most bytes of stored content that are handed over together, but for a single piece that is longer: so many leave in one
/// write if the client takes them. With more, what is counted as sent would run ahead of what is.
const TOGETHER: usize = 256 * 1024;

/// Bytes that are sent together. Most content is in one piece.
#[derive(Debug)]
pub enum Data {
    /// As they lie.
    One(Piece),
    /// One after the other.
    Several(Pieces),
}

/// Content in order, in pieces that lie apart.
#[derive(Debug, Default)]
pub struct Pieces {
    /// INVARIANT: none is empty.
    pieces: VecDeque<Piece>,
    /// INVARIANT: the sum of their lengths.
    left: usize,
}

impl Pieces {
    pub(crate) fn new(mut pieces: Vec<Piece>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        let left = pieces.iter().map(|piece| piece.len()).sum();
        Self { pieces: pieces.into(), left }
    }

    /// Takes what is to be handed over next off the front.
    pub(crate) fn next(&mut self) -> Option<Data> {
        if self.left <= TOGETHER {
            return Some(std::mem::take(self)).filter(Buf::has_remaining).map(Data::Several);
        }
        let mut next = Self::default();
        while let Some(piece) = self.pieces.front()
            && (next.left == 0 || next.left + piece.len() <= TOGETHER)
        {
            next.left += piece.len();
            next.pieces.extend(self.pieces.pop_front());
        }
        self.left -= next.left;
        Some(Data::Several(next))
    }
}

impl<P: Into<Piece>> From<P> for Data {
    fn from(piece: P) -> Self {
        Self::One(piece.into())
    }
}

impl Buf for Data {
    #[inline]
    fn remaining(&self) -> usize {
        match self {
            Self::One(piece) => piece.remaining(),
            Self::Several(pieces) => pieces.left,
        }
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        match self {
            Self::One(piece) => piece,
            Self::Several(pieces) => pieces.chunk(),
        }
    }

    #[inline]
    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match self {
            Self::One(piece) => piece.chunks_vectored(slices),
            Self::Several(pieces) => pieces.chunks_vectored(slices),
        }
    }

    #[inline]
    fn advance(&mut self, count: usize) {
        match self {
            Self::One(piece) => piece.advance(count),
            Self::Several(pieces) => pieces.advance(count),
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let used = slices.iter_mut().zip(&self.pieces);
        used.map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    /// # Panics
    ///
    /// By the contract of [`Buf`], if fewer bytes are left.
    fn advance(&mut self, count: usize) {
        assert!(count <= self.left, "cannot advance past the end");
        self.left -= count;
        let mut done = count;
        while let Some(piece) = self.pieces.front_mut() {
            if done < piece.len() {
                piece.advance(done);
                break;
            }
            done -= piece.len();
            // What has been sent is let go of before the rest is.
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    fn pieces(content: &[u8], each: usize) -> Pieces {
        Pieces::new(content.chunks(each).map(|piece| Bytes::copy_from_slice(piece).into()).collect())
    }

    #[test]
    fn however_it_is_cut_and_taken_it_is_the_same() {
        let content = content(1000);
        for (each, step) in [(1, 1), (7, 3), (7, 7), (7, 50), (300, 299), (1000, 1), (2000, 1000)] {
            let mut whole = pieces(&content, each).next().unwrap();
            let mut seen = Vec::new();
            while whole.has_remaining() {
                assert_eq!(whole.remaining(), content.len() - seen.len());
                let mut slices = [IoSlice::new(&[]); 3];
                let used = whole.chunks_vectored(&mut slices);
                assert_eq!(slices[0].len(), whole.chunk().len());
                let mut sent: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
                sent.truncate(step);
                whole.advance(sent.len());
                seen.extend(sent);
            }
            assert_eq!(seen, content);
        }
    }

    #[test]
    fn so_much_is_handed_over_and_no_more() {
        let content = content(5 * TOGETHER / 2 + 1);
        for each in [TOGETHER / 8, TOGETHER / 3, TOGETHER, 2 * TOGETHER] {
            let mut left = pieces(&content, each);
            let mut seen = Vec::new();
            while let Some(mut data) = left.next() {
                assert!(data.remaining() <= TOGETHER.max(each) && data.has_remaining());
                let last = seen.len() + data.remaining() == content.len();
                assert!(last || data.remaining() + each > TOGETHER, "as much as there is room for");
                seen.extend(data.copy_to_bytes(data.remaining()));
            }
            assert_eq!(seen, content);
        }
    }

    #[test]
    fn nothing_is_never_handed_over() {
        assert!(Pieces::new(vec![Piece::default()]).next().is_none());
    }
}
