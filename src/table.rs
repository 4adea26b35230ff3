//! A hash table of words, a look into which waits for memory once.
//!
//! Among a million words neither the table nor what they lead to is in a cache of the processor's. So what tells words apart
//! lies on the same cache line as they do: a bucket is some words, with sixteen bits of the hash for each, its print. The print
//! also says in which bucket a word belongs, so that a table grows without a look at what its words lead to.
//!
//! A word whose bucket is full goes into the next that is not. Every bucket counts the words that went past it, and a search
//! ends at the first that none did. Who takes a word out takes it off these counts, so nothing is left of it.

use std::array;
use std::mem;

use crate::allocator::allocated;

/// Words of a bucket: as many as fill a cache line, with their prints and the count.
const WIDTH: usize = 6;
/// Of these are taken at most, on average: of more words, many would lie in another bucket than their own.
const FULL: usize = 5;
/// A table that is filled to less than this share of that, as a divisor, gives memory back.
const SPARSE: usize = 4;

/// Words, each under a print that others may have, too.
///
/// A word is what fills one, and is never zero: a pointer. Others work as well, in more room.
#[derive(Debug)]
pub(crate) struct Table<T> {
    buckets: Box<[Bucket<T>]>,
    /// INVARIANT: how many words there are, which is less than there are places, if there are any.
    len: usize,
}

#[derive(Debug)]
#[repr(align(64))]
struct Bucket<T> {
    words: [Option<T>; WIDTH],
    /// Of the words; of an empty place it means nothing.
    prints: [u16; WIDTH],
    /// INVARIANT: how many words found this one full on the way from the bucket where they belong to where they are.
    passed: u32,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { buckets: Box::default(), len: 0 }
    }
}

impl<T> Default for Bucket<T> {
    fn default() -> Self {
        Self { words: array::from_fn(|_| None), prints: [0; WIDTH], passed: 0 }
    }
}

impl<T> Bucket<T> {
    fn find(&self, print: u16, is_it: impl Fn(&T) -> bool) -> Option<usize> {
        let has = |(word, own): (&Option<T>, &u16)| *own == print && word.as_ref().is_some_and(&is_it);
        self.words.iter().zip(&self.prints).position(has)
    }

    fn vacancy(&mut self) -> Option<(&mut Option<T>, &mut u16)> {
        self.words.iter_mut().zip(&mut self.prints).find(|(word, _)| word.is_none())
    }
}

impl<T> Table<T> {
    /// The place of a word with this print that `is_it`.
    pub(crate) fn find(&self, print: u16, is_it: impl Fn(&T) -> bool) -> Option<usize> {
        for at in self.way(print) {
            let bucket = self.buckets.get(at)?;
            if let Some(slot) = bucket.find(print, &is_it) {
                return Some(at * WIDTH + slot);
            }
            if bucket.passed == 0 {
                return None;
            }
        }
        None
    }

    /// What is in a place. All are below [`places`](Self::places).
    pub(crate) fn get(&self, place: usize) -> Option<&T> {
        self.buckets.get(place / WIDTH)?.words[place % WIDTH].as_ref()
    }

    /// Puts a word where another with the same print is, which is returned.
    pub(crate) fn replace(&mut self, place: usize, word: T) -> Option<T> {
        self.buckets.get_mut(place / WIDTH)?.words[place % WIDTH].replace(word)
    }

    /// Puts in a word that is not there yet. It may move others.
    pub(crate) fn insert(&mut self, print: u16, word: T) {
        if self.len >= self.room() {
            self.resize(self.room() + 1);
        }
        self.settle(print, word);
        self.len += 1;
    }

    /// Takes out what is in a place. Others stay where they are.
    pub(crate) fn take(&mut self, place: usize) -> Option<T> {
        let at = place / WIDTH;
        let bucket = self.buckets.get_mut(at)?;
        let word = bucket.words[place % WIDTH].take()?;
        let print = bucket.prints[place % WIDTH];
        for passed in self.way(print).take_while(|passed| *passed != at) {
            self.buckets[passed].passed -= 1;
        }
        self.len -= 1;
        Some(word)
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many places there are, taken or not.
    pub(crate) fn places(&self) -> usize {
        self.buckets.len() * WIDTH
    }

    /// All words.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.buckets.iter().flat_map(|bucket| bucket.words.iter().flatten())
    }

    /// For how many words there is room before it grows.
    pub(crate) fn room(&self) -> usize {
        self.buckets.len() * FULL
    }

    /// Whether it is almost empty, and [`tighten`](Self::tighten) gives memory back.
    pub(crate) fn is_sparse(&self) -> bool {
        self.len < self.room() / SPARSE
    }

    /// Leaves room for twice as many words as there are, if it is [sparse](Self::is_sparse). It moves words.
    pub(crate) fn tighten(&mut self) {
        if self.is_sparse() {
            self.resize(2 * self.len);
        }
    }

    /// The buckets where a word with this print may be, in order.
    fn way(&self, print: u16) -> impl Iterator<Item = usize> + use<T> {
        let count = self.buckets.len();
        let home = (usize::from(print) * count) >> u16::BITS;
        (home..count).chain(0..home)
    }

    /// Finds a place for a word. INVARIANT: there is one.
    fn settle(&mut self, print: u16, word: T) {
        for at in self.way(print) {
            let bucket = &mut self.buckets[at];
            if let Some(place) = bucket.vacancy() {
                (*place.0, *place.1) = (Some(word), print);
                return;
            }
            bucket.passed += 1;
        }
    }

    /// Makes room for so many words, which are not less than there are; and for some more, if they fit into what the allocator
    /// sets aside.
    fn resize(&mut self, words: usize) {
        let size = size_of::<Bucket<T>>();
        let count = allocated(words.div_ceil(FULL) * size) / size;
        let buckets = (0..count).map(|_| Bucket::default()).collect();
        for bucket in mem::replace(&mut self.buckets, buckets) {
            for (print, word) in bucket.prints.into_iter().zip(bucket.words) {
                if let Some(word) = word {
                    self.settle(print, word);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
