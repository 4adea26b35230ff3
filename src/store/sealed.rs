//! Complete content.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use crate::store::budget::{PER_CHUNK, allocated};

/// Content that is complete and never changes. The charges live in its chunks.
#[derive(Debug)]
pub struct Sealed {
    /// INVARIANT: none is empty.
    chunks: Box<[Bytes]>,
    /// INVARIANT: the sum of the chunks' lengths.
    len: u64,
    /// Boxed: few have any, and an empty place for a map is 96 bytes.
    trailers: Option<Box<HeaderMap>>,
}

impl Sealed {
    pub(super) fn new(chunks: Vec<Bytes>, trailers: Option<HeaderMap>) -> Arc<Self> {
        let chunks: Box<[Bytes]> = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        let len = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Arc::new(Self { chunks, len, trailers: trailers.map(Box::new) })
    }

    /// Content made of slices of other content; nothing is copied. As long as it is held, so are the chunks it was
    /// sliced from.
    pub fn concat(pieces: Vec<Bytes>) -> Arc<Self> {
        Self::new(pieces, None)
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Bytes that it takes in memory, as far as it does not share them.
    pub(super) fn size(&self) -> u64 {
        self.chunks.iter().map(|chunk| (allocated(chunk.len()) + PER_CHUNK) as u64).sum()
    }

    /// No content at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the origin sent after the content.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_deref()
    }

    /// The content, if it is in one piece.
    pub fn single(&self) -> Option<&Bytes> {
        match &*self.chunks {
            [only] => Some(only),
            _ => None,
        }
    }

    /// All of it, in pieces.
    pub fn pieces(&self) -> Vec<Bytes> {
        self.chunks.to_vec()
    }

    /// Bytes `first` to `last`, inclusive, as far as they exist. Nothing is copied.
    pub fn slice(&self, first: u64, last: u64) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let mut start = 0u64;
        for chunk in &self.chunks {
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
