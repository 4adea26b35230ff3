//! Complete content.

use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use crate::store::block;

/// Content that is complete and never changes. The charges live in its chunks. Clones share it.
#[derive(Clone, Debug)]
pub struct Sealed(Content);

#[derive(Clone, Debug)]
enum Content {
    /// Most content is short, and has no trailers; so it needs no list.
    One(Bytes),
    Many(Arc<Many>),
}

#[derive(Debug)]
struct Many {
    /// INVARIANT: none is empty.
    chunks: Box<[Bytes]>,
    /// INVARIANT: the sum of the chunks' lengths.
    len: u64,
    trailers: Option<HeaderMap>,
}

impl Sealed {
    pub(super) fn new(chunks: impl IntoIterator<Item = Bytes>, trailers: Option<HeaderMap>) -> Self {
        let mut chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty());
        let (first, second) = (chunks.next(), chunks.next());
        if second.is_none() && trailers.is_none() {
            return Self(Content::One(first.unwrap_or_default()));
        }
        let chunks: Box<[Bytes]> = first.into_iter().chain(second).chain(chunks).collect();
        let len = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self(Content::Many(Arc::new(Many { chunks, len, trailers })))
    }

    /// Content made of slices of other content; nothing is copied. As long as it is held, so are the chunks it was
    /// sliced from.
    pub fn concat(pieces: Vec<Bytes>) -> Self {
        Self::new(pieces, None)
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Content::One(only) => only.len() as u64,
            Content::Many(many) => many.len,
        }
    }

    /// Bytes of the list of its chunks, if it has one.
    pub(super) fn list_size(&self) -> usize {
        match &self.0 {
            Content::One(_) => 0,
            Content::Many(many) => 2 * size_of::<usize>() + size_of::<Many>() + size_of_val(&*many.chunks),
        }
    }

    /// Bytes that its chunks take in memory, as far as it does not share them.
    pub(super) fn size(&self) -> u64 {
        self.chunks().iter().map(|chunk| block::size(chunk.len()) as u64).sum()
    }

    /// The first and the last byte of its first chunk.
    pub(super) fn ends(&self) -> Option<(u8, u8)> {
        let first = self.chunks().first()?;
        Some((*first.first()?, *first.last()?))
    }

    /// No content at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the origin sent after the content.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        match &self.0 {
            Content::One(_) => None,
            Content::Many(many) => many.trailers.as_ref(),
        }
    }

    /// The content, if it is in one piece.
    pub fn single(&self) -> Option<&Bytes> {
        match self.chunks() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// All of it, in pieces.
    pub fn pieces(&self) -> Vec<Bytes> {
        self.chunks().to_vec()
    }

    /// Bytes `first` to `last`, inclusive, as far as they exist. Nothing is copied.
    pub fn slice(&self, first: u64, last: u64) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let mut start = 0u64;
        for chunk in self.chunks() {
            let end = start + chunk.len() as u64;
            if start > last {
                break;
            }
            if end > first {
                // Both lie within the chunk, whose length is a usize.
                let from = first.saturating_sub(start) as usize;
                let to = (last.saturating_add(1)).min(end).saturating_sub(start) as usize;
                pieces.push(chunk.slice(from..to));
            }
            start = end;
        }
        pieces
    }

    fn chunks(&self) -> &[Bytes] {
        match &self.0 {
            Content::One(only) if only.is_empty() => &[],
            Content::One(only) => slice::from_ref(only),
            Content::Many(many) => &many.chunks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cross_chunks() {
        let sealed = Sealed::concat(vec!["abc".into(), "".into(), "de".into(), "f".into()]);
        for first in 0..6u64 {
            for last in first..8 {
                let expected = &b"abcdef"[first as usize..=(last as usize).min(5)];
                assert_eq!(sealed.slice(first, last).concat(), expected, "{first}-{last}");
            }
        }
        assert!(sealed.slice(6, 9).is_empty());
    }

    #[test]
    fn one_piece_is_known_for_one() {
        assert_eq!(Sealed::concat(vec!["".into(), "abc".into()]).single().unwrap(), "abc");
        assert!(Sealed::concat(vec!["ab".into(), "c".into()]).single().is_none());
        assert!(Sealed::concat(vec![]).is_empty());
    }
}
