//! What the allocator sets aside, by which memory is charged and tables grow.

/// What jemalloc sets aside for `len` bytes: the next of four sizes per doubling.
pub(crate) const fn allocated(len: usize) -> usize {
    match len.checked_sub(1) {
        None => 0,
        Some(below) if below < 8 => 8,
        Some(below) if below < 64 => len.next_multiple_of(16),
        Some(below) => len.next_multiple_of((1 << below.ilog2()) / 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_as_the_allocator_does() {
        let rounded = [0, 1, 8, 9, 60, 64, 65, 81, 1024, 1025, 65_536].map(allocated);
        assert_eq!(rounded, [0, 8, 8, 16, 64, 64, 80, 96, 1024, 1280, 65_536]);
    }
}
