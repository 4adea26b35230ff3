//! What goes when there is too much.

use std::collections::VecDeque;
use std::thread;

use super::*;

/// Of the contents, in bytes, if a test says nothing else.
const SIZE: usize = 1000;

impl House {
    /// Stores a response under the key of that number, and makes room as a housekeeper does.
    fn put(&self, number: usize, len: usize) {
        assert_eq!(self.offer(number, len), Committed::Stored);
    }

    fn offer(&self, number: usize, len: usize) -> Committed {
        let entry = NewEntry { key: key(number), ..self.sized("a", len) };
        let committed = self.store.commit(Entry::new(entry).unwrap());
        self.store.tick();
        committed
    }

    fn has(&self, number: usize) -> bool {
        self.store.get(&key(number)).is_some()
    }

    /// Asks as a client does: for what is stored, or else for it to be stored. Returns whether it was a hit.
    fn ask(&self, number: usize) -> bool {
        let stored = self.store.get(&key(number));
        match &stored {
            Some(resource) => resource.variants().for_each(|entry| entry.count_hit()),
            None => self.put(number, SIZE),
        }
        stored.is_some()
    }
}

#[test]
fn what_is_asked_for_stays_however_much_streams_by() {
    let house = House::of(MIB);
    (0..50).for_each(|number| house.put(number, SIZE));
    for number in 1000..11_000 {
        house.put(number, SIZE);
        assert!(house.ask(number % 50), "{} of {number}", number % 50);
    }
    assert!(house.store.figures().evictions > 9000, "{:?}", house.store.figures());
}

#[test]
fn what_nobody_asks_for_any_more_makes_way() {
    let house = House::of(MIB);
    house.put(0, SIZE);
    (0..200).for_each(|_| assert!(house.ask(0)));
    let gone_after = (1..100_000).find(|number| {
        house.put(*number, SIZE);
        !house.has(0)
    });
    let turns = gone_after.unwrap() / usize::try_from(MIB).unwrap().div_ceil(SIZE);
    assert!((2..40).contains(&turns), "it was kept while {turns} times the memory streamed by");
}

#[test]
fn of_those_that_nobody_asks_for_the_large_ones_go_first() {
    let house = House::of(4 * MIB);
    let sizes = [100, 100_000];
    (0..200).for_each(|number| house.put(number, sizes[number % 2]));
    let kept = |parity| (0..200).filter(|number| number % 2 == parity && house.has(*number)).count();
    assert_eq!(kept(0), 100, "the small ones take no room to speak of");
    assert!(kept(1) < 40, "{} of the large ones", kept(1));
}

#[test]
fn what_has_outlived_its_use_goes_before_what_has_not() {
    let house = House::of(MIB);
    let short = |number| {
        let terms = terms(Duration::from_secs(1));
        let entry = NewEntry { key: key(number), terms, ..house.sized("a", SIZE) };
        let entry = Entry::new(entry).unwrap();
        (0..9).for_each(|_| entry.count_hit());
        house.store.commit(entry);
    };
    (0..30).for_each(short);
    house.time.advance(KEEP + Duration::from_secs(2));
    (30..60).for_each(|number| house.put(number, SIZE));
    house.put(100, 820_000);
    let kept = |numbers: std::ops::Range<usize>| numbers.filter(|number| house.has(*number)).count();
    assert!(kept(0..30) < 30, "something had to go");
    assert_eq!(kept(30..60), 30);
}

#[test]
fn of_one_resource_the_variants_that_nobody_asks_for_go() {
    let house = House::of(MIB);
    let (hot, _) = house.commit(house.entry("hot"));
    let (cold, _) = house.commit(house.sized("cold", SIZE));
    for number in 1..3000 {
        hot.count_hit();
        house.put(number, SIZE);
    }
    assert!(house.holds(&[&hot]));
    drop(cold);
}

#[test]
fn a_few_large_ones_make_room_for_each_other() {
    let house = House::of(MIB);
    for number in 0..50 {
        house.time.advance(Duration::from_millis(1));
        house.put(number, 300_000);
        assert!(house.has(number), "{number}");
        assert!(house.budget.used() <= MIB / 100 * SHARE);
    }
    assert_eq!(house.store.figures().entries, 2);
}

/// The hits that a least-recently-used list of `room` responses has.
fn hits_of_a_list(asked: &[usize], room: usize) -> usize {
    let mut list = VecDeque::new();
    let is_hit = |number: &&usize| {
        let place = list.iter().position(|other| other == *number);
        if let Some(place) = place {
            list.remove(place);
        }
        list.push_back(**number);
        list.drain(..list.len().saturating_sub(room));
        place.is_some()
    };
    asked.iter().filter(is_hit).count()
}

/// Numbers below `count`, each about as often as Zipf's law has it with an exponent of one.
fn zipf(count: usize) -> impl Iterator<Item = usize> {
    let mut state = 0x2545_f491_u32;
    iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let at_random = f64::from(state) / f64::from(u32::MAX);
        Some((count as f64).powf(at_random) as usize - 1)
    })
}

#[test]
fn more_is_found_than_a_list_by_last_use_would_hold() {
    let house = House::of(MIB);
    let asked: Vec<usize> = zipf(5000).take(60_000).collect();
    let hits = asked.iter().filter(|number| house.ask(**number)).count();
    let room = usize::try_from(house.store.figures().entries).unwrap();
    let hits_of_a_list = hits_of_a_list(&asked, room);
    assert!(
        hits > hits_of_a_list + asked.len() / 50,
        "{hits} to {hits_of_a_list} of {} with room for {room}",
        asked.len()
    );
}

#[test]
fn everything_is_counted_once_whoever_takes_it_out() {
    let house = House::of(4 * MIB);
    thread::scope(|scope| {
        for first in 0..2 {
            let house = &house;
            scope.spawn(move || {
                for round in 0..4000 {
                    // Who comes second finds that what is stored is as young.
                    house.offer((first + round) % 60, 40_000);
                    if let Some(resource) = house.store.get(&key((first + 2 * round) % 60)) {
                        house.store.remove(&resource.to_vec()[0]);
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..200 {
                house.purge_everything();
                let mut reclaiming = house.store.reclaim(&house.log);
                while reclaiming.step() {}
            }
        });
    });
    assert_eq!(house.store.figures().entries, house.store.entries().count() as u64);
    house.purge_everything();
    house.reclaim();
    assert_eq!((house.store.figures().entries, house.budget.used()), (0, 0));
}
