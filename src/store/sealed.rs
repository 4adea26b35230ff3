//! Complete content.

use std::sync::Arc;

use http::HeaderMap;

use crate::memfile;
use crate::store::block::Block;
use crate::store::prefetch::prefetch;
use crate::store::{Budget, Piece};

/// The longest that is copied to be sent without more copies: what somebody has to wait for it is some tenths of a millisecond.
const LONG: u64 = 256 * 1024;

/// Content that is complete and never changes. The charges live in its blocks. Clones share it. Many stored responses have one
/// of these, so it is no more than a [`Block`] is.
#[derive(Clone, Debug)]
pub struct Sealed(Content);

#[derive(Clone, Debug)]
enum Content {
    /// Most content is in one piece, and has no trailers; so it needs no list.
    One(Block),
    Many(triomphe::Arc<Many>),
}

/// Any other content: none, in several pieces, in slices of other content, or with trailers.
#[derive(Debug)]
struct Many {
    /// INVARIANT: none is empty.
    pieces: Box<[Piece]>,
    /// INVARIANT: the sum of the pieces' lengths.
    len: u64,
    trailers: Option<Box<HeaderMap>>,
    /// What its pieces are charged to, if there are any.
    budget: Arc<Budget>,
}

impl Sealed {
    pub(super) fn new(
        pieces: impl IntoIterator<Item = Piece>,
        trailers: Option<HeaderMap>,
        budget: &Arc<Budget>,
    ) -> Self {
        let mut pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        let (first, second) = (pieces.next(), pieces.next());
        if second.is_none()
            && trailers.is_none()
            && let Some(block) = first.as_ref().and_then(Piece::whole)
        {
            return block.clone().into();
        }
        let pieces: Box<[Piece]> = first.into_iter().chain(second).chain(pieces).collect();
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        let many = Many { pieces, len, trailers: trailers.map(Box::new), budget: budget.clone() };
        Self(Content::Many(triomphe::Arc::new(many)))
    }

    /// Content made of slices of other content; nothing is copied. As long as it is held, so are the blocks it was
    /// sliced from.
    pub fn concat(pieces: Vec<Piece>, budget: &Arc<Budget>) -> Self {
        Self::new(pieces, None, budget)
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Content::One(block) => block.bytes().len() as u64,
            Content::Many(many) => many.len,
        }
    }

    /// Bytes of the list of its pieces, if it has one.
    pub(super) fn list_size(&self) -> usize {
        match &self.0 {
            Content::One(_) => 0,
            Content::Many(many) => size_of::<usize>() + size_of::<Many>() + size_of_val(&*many.pieces),
        }
    }

    /// Bytes that its pieces take in memory, as far as it does not share them.
    pub(super) fn size(&self) -> u64 {
        let size = match &self.0 {
            Content::One(block) => block.size(),
            Content::Many(many) => many.pieces.iter().map(Piece::size).sum(),
        };
        size as u64
    }

    /// The same content, with nothing of it in an entry, which would be held as long as it is: that is copied. `None`: there is
    /// no memory for it.
    pub(super) fn out_of_entries(self) -> Option<Self> {
        let holds_entries = match &self.0 {
            Content::One(block) => block.holds_entry(),
            Content::Many(many) => many.pieces.iter().any(Piece::holds_entry),
        };
        if !holds_entries {
            return Some(self);
        }
        let budget = self.budget();
        let copied = |piece: Piece| if piece.holds_entry() { budget.bytes(&piece) } else { Some(piece) };
        let pieces = self.pieces().into_iter().map(copied).collect::<Option<Vec<_>>>()?;
        Some(Self::new(pieces, self.trailers().cloned(), budget))
    }

    /// A copy that the kernel can send without another, if that is of use: it is long, and not there yet. `None`: it is not,
    /// or there is no memory for it.
    pub(super) fn to_send(&self) -> Option<Self> {
        if !(memfile::SHORTEST as u64..=LONG).contains(&self.len()) || self.trailers().is_some() {
            return None;
        }
        let pieces = self.pieces();
        if pieces.iter().any(|piece| memfile::is_worth(piece)) {
            return None;
        }
        let copies = pieces.iter().map(|piece| self.budget().keep(&[piece])).collect::<Option<Vec<_>>>()?;
        Some(Self::concat(copies, self.budget()))
    }

    /// What it is charged to.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        match &self.0 {
            Content::One(block) => block.budget(),
            Content::Many(many) => &many.budget,
        }
    }

    /// Says that it will be read soon, if it is in one piece.
    pub(super) fn prefetch(&self) {
        if let Content::One(block) = &self.0 {
            block.prefetch();
        }
    }

    /// Says that its [size](Self::size) will be asked for soon.
    pub(super) fn prefetch_size(&self) {
        match &self.0 {
            Content::One(block) => block.prefetch_size(),
            Content::Many(many) => prefetch(&**many),
        }
    }

    /// No content at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the origin sent after the content.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        match &self.0 {
            Content::One(_) => None,
            Content::Many(many) => many.trailers.as_deref(),
        }
    }

    /// The content, if it is one piece, and nothing follows it; or else itself.
    pub fn single(self) -> Result<Piece, Self> {
        match self.0 {
            Content::One(block) => Ok(block.into()),
            Content::Many(many) => match &*many.pieces {
                [only] if many.trailers.is_none() => Ok(only.clone()),
                _ => Err(Self(Content::Many(many))),
            },
        }
    }

    /// All of it, in pieces.
    pub fn pieces(&self) -> Vec<Piece> {
        self.slice(0, u64::MAX)
    }

    /// Bytes `first` to `last`, inclusive, as far as they exist. Nothing is copied.
    pub fn slice(&self, first: u64, last: u64) -> Vec<Piece> {
        let only: Piece;
        let pieces = match &self.0 {
            Content::One(block) => {
                only = block.clone().into();
                std::slice::from_ref(&only)
            }
            Content::Many(many) => &many.pieces,
        };
        let mut slices = Vec::new();
        let mut start = 0u64;
        for piece in pieces {
            let end = start + piece.len() as u64;
            if start > last {
                break;
            }
            if end > first {
                // Both lie within the piece, whose length is a usize.
                let from = first.saturating_sub(start) as usize;
                let to = (last.saturating_add(1)).min(end).saturating_sub(start) as usize;
                slices.push(piece.slice(from, to));
            }
            start = end;
        }
        slices
    }
}

impl From<Block> for Sealed {
    fn from(block: Block) -> Self {
        Self(Content::One(block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn concat(pieces: &[&'static str]) -> Sealed {
        let pieces = pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes()).into());
        Sealed::concat(pieces.collect(), &Budget::new(0))
    }

    fn stored(len: usize) -> Sealed {
        let budget = Budget::new(1 << 20);
        let content: Vec<u8> = (0..len).map(|i| i as u8).collect();
        Sealed::concat(vec![budget.bytes(&content).unwrap()], &budget)
    }

    #[test]
    fn slices_cross_pieces() {
        let sealed = concat(&["abc", "", "de", "f"]);
        for first in 0..6u64 {
            for last in first..8 {
                let expected = &b"abcdef"[first as usize..=(last as usize).min(5)];
                assert_eq!(sealed.slice(first, last).concat(), expected, "{first}-{last}");
            }
        }
        assert!(sealed.slice(6, 9).is_empty());
    }

    #[test]
    fn a_block_is_kept_without_a_list() {
        for len in [1, 256, 1000, 64 * 1024] {
            let sealed = stored(len);
            assert_eq!((sealed.len(), sealed.list_size()), (len as u64, 0));
            assert_eq!(sealed.budget().used(), sealed.size());
            assert_eq!(sealed.clone().single().unwrap().len(), len);
            assert_eq!(sealed.pieces().concat(), *sealed.clone().single().unwrap());
            assert_eq!(sealed.slice(0, 0).concat(), [0]);
        }
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    #[test]
    fn what_is_long_is_copied_to_be_sent_and_only_once() {
        for len in [1, memfile::SHORTEST - 1, LONG as usize + 1] {
            assert!(stored(len).to_send().is_none(), "{len}");
        }
        let long = stored(memfile::LONGEST).single().unwrap();
        for pieces in [vec![long.clone()], vec![long.clone(), long.slice(0, 100)]] {
            let content = Sealed::concat(pieces, &Budget::new(1 << 20));
            let copy = content.to_send().unwrap();
            assert_eq!(copy.pieces().concat(), content.pieces().concat());
            assert!(memfile::is_worth(&copy.pieces()[0]) && copy.to_send().is_none());
        }
        let budget = Budget::new(100_000);
        let only = Sealed::concat(vec![budget.bytes(&long).unwrap()], &budget);
        assert!(only.to_send().is_none(), "there is no memory for two");
    }

    #[test]
    fn one_piece_is_known_for_one() {
        assert_eq!(*concat(&["", "abc"]).single().unwrap(), *b"abc");
        assert!(concat(&["ab", "c"]).single().is_err());
        assert!(concat(&[]).is_empty() && concat(&[]).single().is_err());
        let part = Sealed::concat(stored(1000).slice(1, 9), &Budget::new(0));
        assert_eq!((part.len(), part.single().unwrap().len()), (9, 9));
    }

    #[test]
    fn any_content_takes_no_more_words_than_a_block() {
        assert_eq!((size_of::<Sealed>(), size_of::<Block>()), (24, 24));
    }
}
