//! Charged bytes in as little memory as jemalloc can give them.
//!
//! A [`Bytes`] finds what to do when its last handle goes in an owner on the heap. For short content that owner and the
//! bytes share one allocation: an owner for each size that jemalloc has, with an array that fills it. Longer content lies
//! apart from its owner, which is then small beside it. How much is charged for it, its length tells.

use std::sync::Arc;

use bytes::Bytes;

use crate::store::budget::{Budget, Charge, allocated};

/// What goes with an array: the owner's count, and the budget.
const BESIDE: usize = size_of::<usize>() + size_of::<Arc<Budget>>();
/// What an owner costs whose bytes lie elsewhere: the count, the budget, and the slice.
const APART: usize = allocated(BESIDE + size_of::<Box<[u8]>>());

/// Bytes for which [`taken`](Taken::taken) is charged, and given back on drop.
struct Charged<T: Taken> {
    data: T,
    budget: Arc<Budget>,
}

/// Bytes as an owner has them.
trait Taken: AsRef<[u8]> {
    /// Bytes of memory that they and their owner take.
    fn taken(&self) -> usize;
}

impl<const ROOM: usize> Taken for [u8; ROOM] {
    fn taken(&self) -> usize {
        allocated(ROOM + BESIDE)
    }
}

impl Taken for Box<[u8]> {
    fn taken(&self) -> usize {
        allocated(self.len()) + APART
    }
}

impl<T: Taken> AsRef<[u8]> for Charged<T> {
    fn as_ref(&self) -> &[u8] {
        self.data.as_ref()
    }
}

impl<T: Taken> Drop for Charged<T> {
    fn drop(&mut self) {
        self.budget.give_back(self.data.taken() as u64);
    }
}

/// Owners of these sizes, the sizes being jemalloc's.
macro_rules! sizes {
    ($($size:literal)*) => {
        const LARGEST: usize = [$($size),*][[$($size),*].len() - 1];

        fn together(parts: &[&[u8]], len: usize, budget: Arc<Budget>) -> Bytes {
            match allocated(len + BESIDE) {
                $($size => filled::<{ $size - BESIDE }>(parts, len, budget),)*
                _ => apart(parts, budget),
            }
        }
    };
}

sizes! {
    32 48 64 80 96 112 128 160 192 224 256 320 384 448 512 640 768 896 1024 1280 1536 1792 2048 2560 3072 3584 4096
}

/// Bytes of memory that a charged copy of `len` bytes takes, its handle not counted.
pub(super) fn size(len: usize) -> usize {
    if is_together(len) { allocated(len + BESIDE) } else { allocated(len) + APART }
}

/// Whether that takes less room: not where it is what makes the bytes too long for a size that they just fit.
fn is_together(len: usize) -> bool {
    let together = allocated(len + BESIDE);
    together <= LARGEST && together <= allocated(len) + APART
}

/// A copy of all `parts`, which are of `len` bytes together. As long as any of it is held, [`size`] stays charged, which was
/// taken from the budget before.
pub(super) fn of(parts: &[&[u8]], len: usize, budget: Arc<Budget>) -> Bytes {
    if is_together(len) { together(parts, len, budget) } else { apart(parts, budget) }
}

fn filled<const ROOM: usize>(parts: &[&[u8]], len: usize, budget: Arc<Budget>) -> Bytes {
    let mut data = [0; ROOM];
    let mut rest = &mut data[..];
    for part in parts {
        let Some((place, after)) = rest.split_at_mut_checked(part.len()) else { break };
        place.copy_from_slice(part);
        rest = after;
    }
    let mut bytes = Bytes::from_owner(Charged { data, budget });
    bytes.truncate(len);
    bytes
}

fn apart(parts: &[&[u8]], budget: Arc<Budget>) -> Bytes {
    let data: Box<[u8]> = parts.concat().into();
    Bytes::from_owner(Charged { data, budget })
}

/// The same bytes. As long as any of them is held, what takes room `beside` them is charged, too. `None`: there is no memory
/// for that.
pub(super) fn with(bytes: Bytes, beside: usize, budget: &Arc<Budget>) -> Option<Bytes> {
    struct With(Bytes, #[expect(dead_code, reason = "given back on drop")] Charge);

    impl AsRef<[u8]> for With {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    let charge = budget.try_charge(beside + allocated(size_of::<usize>() + size_of::<With>()))?;
    Some(Bytes::from_owner(With(bytes, charge)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_out_as_it_went_in() {
        let budget = Budget::new(1 << 20);
        let content: Vec<u8> = (0..5_000_u32).map(|i| i as u8).collect();
        for len in (1..300).chain([999, 1000, 1001, 1024, 4071, 4072, 4073, 4999]) {
            let (a, b) = content[..len].split_at(len / 3);
            assert!(budget.take(size(len)));
            let copy = of(&[a, b], len, budget.clone());
            assert_eq!(copy, content[..len], "{len}");
            drop(copy);
            assert_eq!(budget.used(), 0);
        }
    }

    #[test]
    fn there_is_an_owner_for_every_size_of_the_allocator() {
        for len in 1..=LARGEST - BESIDE {
            let budget = Budget::new(1 << 20);
            assert!(budget.take(allocated(len + BESIDE)));
            let copy = together(&[&vec![1; len]], len, budget.clone());
            assert_eq!(copy.len(), len);
            drop(copy);
            assert_eq!(budget.used(), 0, "{len}");
        }
    }

    #[test]
    fn what_takes_less_room_is_done() {
        assert_eq!(APART, 32);
        assert_eq!([size(1008), size(1009), size(1024)], [1024, 1024 + APART, 1024 + APART]);
        assert_eq!([size(1), size(40), size(256), size(1025)], [32, 64, 256 + APART, 1280]);
    }

    #[test]
    fn long_content_lies_apart() {
        assert_eq!(size(1 << 20), (1 << 20) + APART);
        assert!(size(LARGEST - BESIDE) < size(LARGEST));
    }
}
