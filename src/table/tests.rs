use std::cell::RefCell;
use std::collections::HashMap;

use super::*;

/// As a resource is: one word, which is never zero.
type Word = Box<u32>;

/// Numbers, each under its print.
#[derive(Default)]
struct Numbers {
    table: Table<Word>,
    print: Option<fn(u32) -> u16>,
}

impl Numbers {
    fn with(print: fn(u32) -> u16) -> Self {
        Self { table: Table::default(), print: Some(print) }
    }

    fn print(&self, number: u32) -> u16 {
        self.print.map_or_else(|| spread(number), |print| print(number))
    }

    fn find(&self, number: u32) -> Option<usize> {
        self.table.find(self.print(number), |word| **word == number)
    }

    fn insert(&mut self, number: u32) {
        self.table.insert(self.print(number), number.into());
    }

    fn take(&mut self, number: u32) -> Option<Word> {
        self.table.take(self.find(number)?)
    }

    fn sorted(&self) -> Vec<u32> {
        let mut all: Vec<u32> = self.table.iter().map(|word| **word).collect();
        all.sort_unstable();
        all
    }

    /// Buckets that a search for it looks at.
    fn looks(&self, number: u32) -> usize {
        let buckets = &self.table.buckets;
        let place = self.find(number);
        let ends = |at: &usize| buckets[*at].passed == 0 || place.is_some_and(|place| place / WIDTH == *at);
        self.table.way(self.print(number)).position(|at| ends(&at)).map_or(buckets.len(), |before| before + 1)
    }
}

/// Evenly.
fn spread(number: u32) -> u16 {
    (number.wrapping_mul(0x9e37_79b9) >> 16) as u16 ^ number as u16
}

/// Numbers at random.
fn numbers() -> impl FnMut(u32) -> u32 {
    let mut state = 0x2545_f491_u32;
    move |below| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % below
    }
}

#[test]
fn a_bucket_is_a_cache_line() {
    assert_eq!((size_of::<Bucket<Word>>(), align_of::<Bucket<Word>>()), (64, 64));
}

#[test]
fn it_does_as_a_map_does_however_prints_fall() {
    let prints: [fn(u32) -> u16; 5] = [
        spread,
        |_| 0,
        |_| u16::MAX,
        |number| (number % 3) as u16,
        |number| {
            // In two heaps, the last of which goes round the end.
            if number.is_multiple_of(2) { 0x7fff } else { 0xff00 | number as u16 }
        },
    ];
    for (which, print) in prints.into_iter().enumerate() {
        let (mut table, mut map) = (Numbers::with(print), HashMap::new());
        let mut random = numbers();
        for step in 0..20_000 {
            // Now more and more, now fewer and fewer.
            let grows = step / 2_500 % 2 == 0;
            let number = random(400);
            match random(8) {
                0..=1 => assert_eq!(table.find(number).is_some(), map.contains_key(&number)),
                2 => {
                    let place = table.find(number);
                    let replaced = place.and_then(|place| table.table.replace(place, number.into()));
                    assert_eq!(replaced.as_deref(), map.get(&number));
                }
                3 if !grows => table.table.tighten(),
                3..=5 if grows => {
                    if map.insert(number, number).is_none() {
                        table.insert(number);
                    }
                }
                _ => assert_eq!(table.take(number).as_deref().copied(), map.remove(&number)),
            }
            assert_eq!(table.table.len, map.len());
        }
        let mut expected: Vec<u32> = map.into_keys().collect();
        expected.sort_unstable();
        assert_eq!(table.sorted(), expected, "{which}");
        assert!(expected.iter().all(|number| table.find(*number).is_some()));
    }
}

/// To look at a word means to wait for memory.
#[test]
fn only_words_of_the_same_print_are_looked_at() {
    let mut table = Numbers::with(|number| (number % 3) as u16);
    (0..30).for_each(|number| table.insert(number));
    let seen = RefCell::new(Vec::new());
    let see = |word: &Word| {
        seen.borrow_mut().push(**word);
        false
    };
    assert_eq!(table.table.find(1, see), None);
    seen.borrow_mut().sort_unstable();
    assert_eq!(seen.into_inner(), (0..30).filter(|number| number % 3 == 1).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_of_what_was_taken_out() {
    for print in [spread, |_| 0x1234] {
        let mut table = Numbers::with(print);
        (0..1_000).for_each(|number| table.insert(number));
        assert!(
            (0..1_000).any(|number| table.looks(number) > 1),
            "some lie in another bucket than their own"
        );
        for number in (0..1_000).rev().step_by(2).chain((0..1_000).step_by(2)) {
            assert_eq!(table.take(number).as_deref(), Some(&number));
        }
        assert!((0..2_000).all(|number| table.looks(number) == 1));
        assert_eq!(table.table.len, 0);
        table.table.tighten();
        assert_eq!(table.table.places(), 0);
    }
}

#[test]
fn a_full_table_is_searched_in_a_few_buckets() {
    let mut table = Numbers::default();
    let mut random = numbers();
    let mut count = 0;
    while table.table.room() < 1_500 || count < table.table.room() as u32 {
        count += 1;
        table.insert(random(u32::MAX));
    }
    let stored: Vec<u32> = table.sorted();
    let looks = |table: &Numbers, number| table.looks(number) as f64;
    let hits = stored.iter().map(|number| looks(&table, *number)).sum::<f64>() / f64::from(count);
    let misses = (0..5_000).map(|_| looks(&table, random(u32::MAX))).sum::<f64>() / 5_000.0;
    println!("{hits} buckets for one that is there, {misses} for one that is not");
    assert!(hits < 1.4 && misses < 3.5, "{hits}, {misses}");
}

#[test]
fn it_grows_by_a_quarter_at_most_and_gives_back_what_it_does_not_need() {
    let mut table = Numbers::default();
    assert_eq!(table.table.places(), 0);
    assert!(!table.table.is_sparse(), "it has nothing to give back");
    for number in 0..5_000 {
        let before = table.table.places();
        table.insert(number);
        let places = table.table.places();
        assert!(places <= (before + before / 4).max(before + WIDTH), "{before} to {places}");
    }
    let full = table.table.places();
    (1_300..5_000).for_each(|number| assert!(table.take(number).is_some()));
    table.table.tighten();
    assert_eq!(table.table.places(), full, "it may fill up again soon");
    (1_000..1_300).for_each(|number| assert!(table.take(number).is_some()));
    table.table.tighten();
    assert!((2_000..3_000).contains(&table.table.room()), "{}", table.table.room());
    assert_eq!(table.sorted(), (0..1_000).collect::<Vec<_>>());
}
