//! What content is sent in.

use std::ops::Deref;

use bytes::{Buf, Bytes};

use crate::store::block::{self, Block};

/// Bytes on their way: of stored content, or of anything else. Clones and slices share them; nothing is copied, and nothing is
/// allocated.
#[derive(Clone, Debug)]
pub struct Piece(Held);

#[derive(Clone, Debug)]
enum Held {
    /// INVARIANT: `from` is not above `to`, nor `to` above the block's length.
    Stored {
        block: Block,
        from: usize,
        to: usize,
    },
    Other(Bytes),
}

impl Piece {
    /// The block, if this is all of one.
    pub(super) fn whole(&self) -> Option<&Block> {
        match &self.0 {
            Held::Stored { block, from: 0, to } if *to == block.bytes().len() => Some(block),
            _ => None,
        }
    }

    /// Whether it holds an entry.
    pub(super) fn holds_entry(&self) -> bool {
        matches!(&self.0, Held::Stored { block, .. } if block.holds_entry())
    }

    /// Bytes of memory that it takes, as far as it shares none.
    pub(super) fn size(&self) -> usize {
        self.whole().map_or_else(|| block::size(self.len()), Block::size)
    }

    /// Its bytes from `from` to before `to`, as far as they exist.
    pub(super) fn slice(&self, from: usize, to: usize) -> Self {
        let mut slice = self.clone();
        slice.truncate(to);
        slice.advance(from.min(slice.len()));
        slice
    }

    /// Lets go of what is behind its first `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        match &mut self.0 {
            Held::Stored { from, to, .. } => *to = (*to).min(from.saturating_add(len)),
            Held::Other(bytes) => bytes.truncate(len),
        }
    }
}

impl Default for Piece {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self(Held::Other(bytes))
    }
}

impl From<Block> for Piece {
    fn from(block: Block) -> Self {
        let to = block.bytes().len();
        Self(Held::Stored { block, from: 0, to })
    }
}

impl Deref for Piece {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Stored { block, from, to } => block.bytes().get(*from..*to).unwrap_or_default(),
            Held::Other(bytes) => bytes,
        }
    }
}

impl Buf for Piece {
    #[inline]
    fn remaining(&self) -> usize {
        match &self.0 {
            Held::Stored { from, to, .. } => to - from,
            Held::Other(bytes) => bytes.len(),
        }
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        self
    }

    /// # Panics
    ///
    /// By the contract of [`Buf`], if fewer bytes are left.
    #[inline]
    fn advance(&mut self, count: usize) {
        match &mut self.0 {
            Held::Stored { from, to, .. } => {
                assert!(count <= *to - *from, "cannot advance past the end");
                *from += count;
            }
            Held::Other(bytes) => bytes.advance(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Budget;

    /// For `concat`.
    impl std::borrow::Borrow<[u8]> for Piece {
        fn borrow(&self) -> &[u8] {
            self
        }
    }

    #[test]
    fn stored_or_not_it_is_cut_the_same() {
        let content = b"0123456789";
        let stored = Budget::new(1000).bytes(content).unwrap();
        for piece in [stored, Bytes::from_static(content).into()] {
            for from in 0..12 {
                for to in from..14 {
                    let expected = &content[from.min(10)..to.min(10)];
                    let mut slice = piece.slice(from, to);
                    assert_eq!((&*slice, slice.remaining()), (expected, expected.len()));
                    let first = slice.len() / 2;
                    assert_eq!(*slice.slice(1, first), expected.get(1..first).unwrap_or_default()[..]);
                    slice.advance(first);
                    assert_eq!(*slice, expected[first..]);
                    slice.truncate(1);
                    assert_eq!(slice.len(), (expected.len() - first).min(1));
                }
            }
        }
    }

    #[test]
    fn only_a_whole_block_is_known_for_one() {
        let stored = Budget::new(1000).bytes(b"abc").unwrap();
        assert!(stored.whole().is_some() && stored.slice(0, 9).whole().is_some());
        assert!(stored.slice(0, 2).whole().is_none() && stored.slice(1, 3).whole().is_none());
        assert!(Piece::from(Bytes::from_static(b"abc")).whole().is_none());
    }

    #[test]
    #[should_panic(expected = "past the end")]
    fn no_further_than_its_end() {
        Budget::new(1000).bytes(b"abc").unwrap().slice(0, 2).advance(3);
    }
}
