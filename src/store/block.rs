//! Charged bytes in one piece, in as little memory as jemalloc can give them.
//!
//! As a rule they lie behind their charge, in one allocation with it. Where that is what makes them too long for a size of
//! jemalloc's that they just fit, as 256 bytes and 64 KiB do, they lie apart from it, in an allocation of just their length.
//! Those of a stored response may lie behind what is known of it. Long ones lie where the kernel can send them without a copy,
//! once they are all there.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use triomphe::HeaderSlice;

use crate::allocator::allocated;
use crate::memfile::{self, Extent};
use crate::store::Entry;
use crate::store::budget::{Budget, Charge};
use crate::store::prefetch::prefetch;

/// What goes with bytes in one allocation: the count of those who hold them, and their owner.
const BESIDE: usize = size_of::<usize>() + size_of::<Owner>();
/// What an owner costs whose bytes lie elsewhere: the count, and the owner.
const APART: usize = allocated(size_of::<usize>() + size_of::<Apart>());

/// Bytes that never change, and stay charged as long as any of them is held. Clones share them. Three words.
#[derive(Clone, Debug)]
pub(super) enum Block {
    Together(Together),
    Apart(triomphe::Arc<Apart>),
    /// [Behind](Entry::behind) the fields of an entry, which is held with them: for who sends them. No entry has such a block.
    Behind(Entry),
}

/// Bytes behind their owner.
#[derive(Clone, Debug)]
pub(super) struct Together(triomphe::Arc<HeaderSlice<Owner, [u8]>>);

/// What is known of bytes that it goes before.
#[derive(Debug)]
struct Owner {
    budget: Arc<Budget>,
    /// Bytes of the budget, given back on drop.
    charged: u32,
}

/// Bytes that lie elsewhere. Their length tells how much is charged for them, so it is not kept.
#[derive(Debug)]
pub(super) struct Apart {
    bytes: Elsewhere,
    budget: Arc<Budget>,
}

#[derive(Debug)]
enum Elsewhere {
    Heap(Box<[u8]>),
    File(Extent),
}

impl Block {
    /// A copy of all `parts`, one after the other, that is kept for long: if there are enough of them, where the kernel can send
    /// them without a copy. `None`: there is no memory for it.
    pub(super) fn lasting(parts: &[&[u8]], budget: &Arc<Budget>) -> Option<Self> {
        match Apart::in_file(parts, budget) {
            Some(apart) => Some(Self::Apart(triomphe::Arc::new(apart))),
            None => Self::of(parts, budget),
        }
    }

    /// A copy of all `parts` on the heap, one after the other. `None`: there is no memory for it.
    pub(super) fn of(parts: &[&[u8]], budget: &Arc<Budget>) -> Option<Self> {
        let len = parts.iter().map(|part| part.len()).sum();
        if is_together(len) {
            return Together::new(parts, len, budget).map(Self::Together);
        }
        // Charged first: the memory is not touched before it is granted.
        let granted = budget.take(size(len));
        granted.then(|| {
            let bytes = Elsewhere::Heap(parts.concat().into());
            Self::Apart(triomphe::Arc::new(Apart { bytes, budget: budget.clone() }))
        })
    }

    /// Bytes of memory that it takes, its handle not counted; with all that they lie behind.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Together(together) => together.size(),
            Self::Apart(apart) => apart.size(),
            Self::Behind(entry) => entry.size() as usize,
        }
    }

    /// The bytes.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Together(together) => together.bytes(),
            Self::Apart(apart) => apart.bytes(),
            Self::Behind(entry) => entry.behind(),
        }
    }

    /// Whether it holds an entry.
    pub(super) fn holds_entry(&self) -> bool {
        matches!(self, Self::Behind(_))
    }

    /// What it is charged to.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        match self {
            Self::Together(together) => &together.0.header.budget,
            Self::Apart(apart) => &apart.budget,
            Self::Behind(entry) => entry.budget(),
        }
    }

    /// Says that it will be read soon.
    pub(super) fn prefetch(&self) {
        match self {
            Self::Together(together) => prefetch(together.bytes()),
            Self::Apart(apart) => apart.prefetch(),
            Self::Behind(entry) => prefetch(entry.behind()),
        }
    }

    /// Says that its size will be asked for soon.
    pub(super) fn prefetch_size(&self) {
        match self {
            Self::Together(together) => prefetch(&together.0.header),
            Self::Apart(apart) => prefetch(&**apart),
            Self::Behind(entry) => entry.prefetch(),
        }
    }
}

impl Together {
    /// A copy of all `parts`, of `len` bytes in all. `None`: there is no memory for it.
    fn new(parts: &[&[u8]], len: usize, budget: &Arc<Budget>) -> Option<Self> {
        let size = allocated(len + BESIDE);
        let charged = u32::try_from(size).ok()?;
        // Charged first: the memory is not touched before it is granted.
        if !budget.take(size) {
            return None;
        }
        let owner = Owner { budget: budget.clone(), charged };
        let all = match parts {
            [only] => Cow::Borrowed(*only),
            // For a moment twice, and once of it uncharged; parts are gathered up to the length of a chunk.
            several => Cow::Owned(several.concat()),
        };
        Some(Self(triomphe::Arc::from_header_and_slice(owner, &all)))
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.0.slice
    }

    fn size(&self) -> usize {
        self.0.header.charged as usize
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.budget.give_back(self.charged.into());
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

impl Apart {
    /// Where the kernel can send it from. `None`: it is no such length, or there is no memory or no room for it.
    fn in_file(parts: &[&[u8]], budget: &Arc<Budget>) -> Option<Self> {
        let len = parts.iter().map(|part| part.len()).sum();
        if !(memfile::SHORTEST..=memfile::LONGEST).contains(&len) {
            return None;
        }
        let size = Extent::size(len) + APART;
        if !budget.take(size) {
            return None;
        }
        match Extent::of(parts) {
            Some(extent) => Some(Self { bytes: Elsewhere::File(extent), budget: budget.clone() }),
            None => {
                budget.give_back(size as u64);
                None
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Elsewhere::Heap(bytes) => bytes,
            Elsewhere::File(extent) => extent.bytes(),
        }
    }

    /// Says that its bytes will be read soon, for which it is read itself. What is in a file, the kernel reads.
    fn prefetch(&self) {
        if let Elsewhere::Heap(bytes) = &self.bytes {
            prefetch(&**bytes);
        }
    }

    fn size(&self) -> usize {
        match &self.bytes {
            Elsewhere::Heap(bytes) => size(bytes.len()),
            Elsewhere::File(extent) => Extent::size(extent.bytes().len()) + APART,
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.budget.give_back(self.size() as u64);
    }
}

/// Bytes of memory that a block of `len` bytes takes on the heap.
pub(super) fn size(len: usize) -> usize {
    if is_together(len) { allocated(len + BESIDE) } else { allocated(len) + APART }
}

/// Whether that takes less room than apart.
fn is_together(len: usize) -> bool {
    allocated(len + BESIDE) <= allocated(len) + APART
}

/// The same bytes, to be sliced. As long as any of them is held, what takes room `beside` them is charged, too. `None`: there
/// is no memory for that.
pub(super) fn with(block: Block, beside: usize, budget: &Arc<Budget>) -> Option<Bytes> {
    struct With(Block, #[expect(dead_code, reason = "given back on drop")] Charge);

    impl AsRef<[u8]> for With {
        fn as_ref(&self) -> &[u8] {
            self.0.bytes()
        }
    }

    let charge = budget.try_charge(beside + allocated(size_of::<usize>() + size_of::<With>()))?;
    Some(Bytes::from_owner(With(block, charge)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_out_as_it_went_in_and_is_given_back() {
        let budget = Budget::new(1 << 20);
        let content: Vec<u8> = (0..70_000_u32).map(|i| i as u8).collect();
        for len in (0..300).chain([999, 1000, 1001, 1024, 4072, 4073, 4999, 32_767, 32_768, 65_536, 65_537]) {
            let (a, b) = content[..len].split_at(len / 3);
            let ways = [Block::of, Block::lasting];
            for (parts, copy) in
                [&[a, b][..], &[&content[..len]]].into_iter().flat_map(|parts| ways.map(|way| (parts, way)))
            {
                let block = copy(parts, &budget).unwrap();
                let size = block.size() as u64;
                assert!(size >= len as u64);
                assert_eq!((block.bytes(), budget.used()), (&content[..len], size));
                let clone = block.clone();
                drop(block);
                assert_eq!((clone.bytes(), budget.used()), (&content[..len], size));
                drop(clone);
                assert_eq!(budget.used(), 0, "{len}");
            }
        }
    }

    #[test]
    fn what_is_not_granted_is_not_made() {
        for len in [256, 1000] {
            let budget = Budget::new(size(len) as u64 - 1);
            assert!(Block::of(&[&vec![1; len]], &budget).is_none());
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn what_takes_less_room_is_done() {
        assert_eq!((BESIDE, APART), (24, 32));
        assert_eq!([size(1000), size(1001), size(1024)], [1024, 1024 + APART, 1024 + APART]);
        assert_eq!([size(1), size(40), size(256), size(1025)], [32, 64, 256 + APART, 1280]);
        assert_eq!([size(64 * 1024), size(1 << 20)], [64 * 1024 + APART, (1 << 20) + APART]);
        assert_eq!(size(10_000), 10_240);
    }
}
