//! Complete content.

use std::sync::Arc;

use http::HeaderMap;
use triomphe::{ArcUnion, ArcUnionBorrow};

use crate::memfile;
use crate::store::block::{Apart, Block, Together};
use crate::store::prefetch::prefetch;
use crate::store::{Budget, Piece};

/// The longest content, in bytes, that is copied once more to have something behind it.
const SHORT: usize = 4096;
/// The longest that is copied to be sent without more copies: what somebody has to wait for it is some tenths of a millisecond.
const LONG: u64 = 256 * 1024;

/// Content that is complete and never changes. The charges live in its blocks. Clones share it.
///
/// Each stored response has one of these, so it is two words, as a [`Block`] is: what is no block is in place of one that lies
/// apart.
#[derive(Clone, Debug)]
pub struct Sealed(Content);

#[derive(Clone, Debug)]
enum Content {
    Together(Together),
    /// A word for either, since the length of what lies together leaves no room to tell three apart.
    Other(ArcUnion<Apart, Many>),
}

/// The same, read.
enum View<'a> {
    /// Most content is in one piece, and has no trailers; so it needs no list.
    One(&'a [u8]),
    Many(&'a Many),
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
            return Self::one(block.clone());
        }
        let pieces: Box<[Piece]> = first.into_iter().chain(second).chain(pieces).collect();
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        let many = Many { pieces, len, trailers: trailers.map(Box::new), budget: budget.clone() };
        Self(Content::Other(ArcUnion::from_second(triomphe::Arc::new(many))))
    }

    fn one(block: Block) -> Self {
        Self(match block {
            Block::Together(together) => Content::Together(together),
            Block::Apart(apart) => Content::Other(ArcUnion::from_first(apart)),
        })
    }

    /// Content made of slices of other content; nothing is copied. As long as it is held, so are the blocks it was
    /// sliced from.
    pub fn concat(pieces: Vec<Piece>, budget: &Arc<Budget>) -> Self {
        Self::new(pieces, None, budget)
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self.view() {
            View::One(only) => only.len() as u64,
            View::Many(many) => many.len,
        }
    }

    /// Bytes of the list of its pieces, if it has one.
    pub(super) fn list_size(&self) -> usize {
        match self.view() {
            View::One(_) => 0,
            View::Many(many) => size_of::<usize>() + size_of::<Many>() + size_of_val(&*many.pieces),
        }
    }

    /// Bytes that its pieces take in memory, as far as it does not share them, with what lies behind them.
    pub(super) fn size(&self) -> u64 {
        let size = match &self.0 {
            Content::Together(together) => together.size(),
            Content::Other(other) => match other.borrow() {
                ArcUnionBorrow::First(apart) => apart.get().size(),
                ArcUnionBorrow::Second(many) => many.get().pieces.iter().map(Piece::size).sum(),
            },
        };
        size as u64
    }

    /// A copy with `others` [behind](Self::behind) it, if it is short, and in one piece, and that takes no more room than both
    /// by themselves. `None`: it is not so, or there is no memory for it.
    pub(super) fn with_behind(&self, others: &[u8]) -> Option<Self> {
        match self.view() {
            View::One(only) if only.len() <= SHORT => {
                let together = Together::with_behind(only, others, self.budget())?;
                Some(Self(Content::Together(together)))
            }
            _ => None,
        }
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

    /// Bytes that lie in one block with the content, and are no part of it.
    pub(super) fn behind(&self) -> &[u8] {
        match &self.0 {
            Content::Together(together) => together.behind(),
            Content::Other(_) => &[],
        }
    }

    /// What it is charged to.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        match &self.0 {
            Content::Together(together) => together.budget(),
            Content::Other(other) => match other.borrow() {
                ArcUnionBorrow::First(apart) => apart.get().budget(),
                ArcUnionBorrow::Second(many) => &many.get().budget,
            },
        }
    }

    /// Says that it will be read soon, if it is in one piece, with what lies behind it.
    pub(super) fn prefetch(&self) {
        match &self.0 {
            Content::Together(together) => together.prefetch(),
            Content::Other(other) => {
                if let Some(apart) = other.as_first() {
                    apart.prefetch();
                }
            }
        }
    }

    /// Says that its [size](Self::size) will be asked for soon.
    pub(super) fn prefetch_size(&self) {
        match &self.0 {
            Content::Together(together) => together.prefetch_size(),
            Content::Other(other) => match other.borrow() {
                ArcUnionBorrow::First(apart) => prefetch(apart.get()),
                ArcUnionBorrow::Second(many) => prefetch(many.get()),
            },
        }
    }

    /// No content at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the origin sent after the content.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        match self.view() {
            View::One(_) => None,
            View::Many(many) => many.trailers.as_deref(),
        }
    }

    /// The content, if it is one piece, and nothing follows it.
    pub fn single(&self) -> Option<Piece> {
        match self.view() {
            View::One(_) => self.only(),
            View::Many(many) if many.trailers.is_some() => None,
            View::Many(many) => match &*many.pieces {
                [only] => Some(only.clone()),
                _ => None,
            },
        }
    }

    /// All of it, in pieces.
    pub fn pieces(&self) -> Vec<Piece> {
        self.slice(0, u64::MAX)
    }

    /// Bytes `first` to `last`, inclusive, as far as they exist. Nothing is copied.
    pub fn slice(&self, first: u64, last: u64) -> Vec<Piece> {
        let only = self.only();
        let pieces = match self.view() {
            View::One(_) => only.as_slice(),
            View::Many(many) => &many.pieces,
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

    /// The block that it is, if it is one.
    fn only(&self) -> Option<Piece> {
        let block = match &self.0 {
            Content::Together(together) => Block::Together(together.clone()),
            Content::Other(other) => Block::Apart(other.as_first()?.clone_arc()),
        };
        Some(block.into())
    }

    #[inline]
    fn view(&self) -> View<'_> {
        match &self.0 {
            Content::Together(together) => View::One(together.bytes()),
            Content::Other(other) => match other.borrow() {
                ArcUnionBorrow::First(apart) => View::One(apart.get().bytes()),
                ArcUnionBorrow::Second(many) => View::Many(many.get()),
            },
        }
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
            assert_eq!(sealed.single().unwrap().len(), len);
            assert_eq!(sealed.pieces().concat(), *sealed.single().unwrap());
            assert_eq!(sealed.slice(0, 0).concat(), [0]);
        }
    }

    #[test]
    fn what_lies_behind_content_is_no_part_of_it() {
        let content = stored(700);
        let both = content.with_behind(b"behind").unwrap();
        assert_eq!((both.len(), both.behind()), (700, &b"behind"[..]));
        assert_eq!(
            (both.pieces().concat(), both.slice(694, 999).concat().len()),
            (content.pieces().concat(), 6)
        );
        assert_eq!(both.single().unwrap().len(), 700);
        assert!(content.behind().is_empty());
        let other = both.with_behind(b"other").unwrap();
        assert_eq!((other.len(), other.behind()), (700, &b"other"[..]));
    }

    #[test]
    fn nothing_lies_behind_content_that_is_long_or_in_pieces() {
        assert!(stored(SHORT - 100).with_behind(&[1; 9]).is_some());
        assert!(stored(SHORT + 900).with_behind(&[1; 9]).is_none());
        for pieces in [&[][..], &["a", "b"]] {
            assert!(concat(pieces).with_behind(b"behind").is_none());
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
        assert!(concat(&["ab", "c"]).single().is_none());
        assert!(concat(&[]).is_empty() && concat(&[]).single().is_none());
        let part = Sealed::concat(stored(1000).slice(1, 9), &Budget::new(0));
        assert_eq!((part.len(), part.single().unwrap().len()), (9, 9));
    }

    #[test]
    fn any_content_is_two_words() {
        assert_eq!(size_of::<Sealed>(), 2 * size_of::<usize>());
    }
}
