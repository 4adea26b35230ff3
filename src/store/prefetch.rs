//! Tells the processor what will be read soon.
//!
//! Among a million responses none of what a hit needs is in a cache of the processor's. To read it early does not help for long:
//! the next atomic count waits for all reads before it, and so does all that comes after. A hint is waited for only until it is
//! known where in memory that is.

/// What a processor takes from memory at a time, in bytes.
const LINE: usize = 64;
/// As many of these as most processors fetch at once, and some. Of what is longer, they tell by themselves that more will be
/// read.
const MOST: usize = 20;

/// Hints at a value by itself, and at nothing that it leads to; of a long one, at its first lines and the last.
#[inline(always)]
pub(super) fn prefetch<T: ?Sized>(value: &T) {
    prefetch_at(std::ptr::from_ref(value).cast(), size_of_val(value));
}

/// The same of the `len` bytes from an address on.
#[inline(always)]
pub(super) fn prefetch_at(first: *const u8, len: usize) {
    places(len).for_each(|at| hint(first.wrapping_add(at)));
}

/// Where there is a byte of each line of `len` bytes, wherever in a line they begin; of the first of them, and of the last.
fn places(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(LINE).take(MOST).chain(len.checked_sub(1))
}

/// Asks for the line of an address. For other processors stable Rust has no such call, and nothing is done.
#[inline(always)]
fn hint(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code, reason = "hits among a million take less time: docs/performance.md")]
    // SAFETY: the instruction is there on all processors of this kind, reads nothing, and takes any address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_what_is_not_too_long_is_left_out() {
        for len in [0, 1, LINE - 1, LINE, LINE + 1, 1000, MOST * LINE] {
            for from in 0..LINE {
                let line = |at| (from + at) / LINE;
                let mut expected: Vec<usize> = (0..len).map(line).collect();
                expected.dedup();
                let mut hinted: Vec<usize> = places(len).map(line).collect();
                hinted.dedup();
                assert_eq!(hinted, expected, "{len} bytes from {from}");
            }
        }
    }

    #[test]
    fn of_what_is_long_the_first_lines_and_the_last() {
        let hinted: Vec<usize> = places(1 << 20).collect();
        assert_eq!(
            (hinted.len(), hinted[MOST - 1], hinted[MOST]),
            (MOST + 1, (MOST - 1) * LINE, (1 << 20) - 1)
        );
    }
}
