//! Freeing what purges have killed, and walking over what is stored.

use super::*;

impl House {
    fn purge_tag(&self, tag: &str) {
        self.log.publish(&[Fact { subject: Subject::Tag(tag), kind: Kind::Hard }], self.clock.moment());
    }

    /// Stores a response with a tag under the key of that number.
    fn store_tagged(&self, number: usize, language: &str, tag: &str) {
        let sent = self.log.published();
        let url = format!("h/{number}");
        let subjects = Subjects { tags: &[tag], ..Subjects::address("h", &url) };
        let marks = self.log.intern(&subjects, sent).unwrap();
        let entry = Entry::new(NewEntry { key: key(number), marks, ..self.entry(language) }).unwrap();
        assert_eq!(self.store.commit(entry), Committed::Stored);
    }

    fn urls(&self) -> Vec<String> {
        let url = |entry: Entry| entry.marks.url().map(str::to_owned);
        let mut urls: Vec<String> = self.store.entries().filter_map(url).collect();
        urls.sort_unstable();
        urls
    }
}

#[test]
fn what_is_dead_goes_and_all_else_stays() {
    let house = House::of(MIB);
    house.store_tagged(0, "de", "a");
    house.store_tagged(0, "en", "b");
    house.store_tagged(1, "de", "a");
    house.store_tagged(2, "de", "b");
    house.purge_tag("a");
    house.store_tagged(3, "de", "a");
    house.reclaim();
    assert_eq!(house.urls(), ["h/0", "h/2", "h/3"]);
    assert_eq!(house.stored().len(), 1, "one variant of two");
    assert_eq!(house.store.figures().entries, 3);
}

#[test]
fn the_memory_of_what_is_dead_is_free_again() {
    let house = House::of(MIB);
    for number in 0..300 {
        house.store_tagged(number, "de", "t");
    }
    let full = house.budget.used();
    house.purge_tag("t");
    assert_eq!(house.budget.used(), full, "a purge frees nothing by itself");
    assert!(house.reclaim() > 1, "more than a step's work");
    assert_eq!((house.store.figures().entries, house.budget.used()), (0, 0));
}

#[test]
fn the_tables_give_memory_back_too() {
    let house = House::of(16 * MIB);
    (0..5000).for_each(|number| house.store_tagged(number, "de", "t"));
    let room = house.store.index().room();
    house.purge_tag("t");
    house.store_tagged(0, "de", "t");
    // What a walk comes by last in a part is still there when it leaves.
    let steps = [house.reclaim(), house.reclaim()];
    assert!(steps[0] > steps[1]);
    assert!(house.store.index().room() < room / 10, "{} of {room}", house.store.index().room());
    assert_eq!(house.urls(), ["h/0"]);
}

#[test]
fn what_is_of_no_use_any_more_goes_variant_by_variant() {
    let house = House::of(MIB);
    house.commit(NewEntry { terms: terms(Duration::from_secs(1)), ..house.entry("de") });
    let (lasting, _) = house.commit(NewEntry { terms: terms(Duration::from_secs(9)), ..house.entry("en") });
    house.time.advance(KEEP + Duration::from_secs(1));
    house.reclaim();
    assert!(house.holds(&[&lasting]));
    house.time.advance(Duration::from_secs(8));
    house.reclaim();
    drop(lasting);
    assert!(house.stored().is_empty());
    assert_eq!(house.budget.used(), 0);
}

#[test]
fn what_is_only_softened_stays() {
    let house = House::of(MIB);
    house.store_tagged(0, "de", "t");
    house.log.publish(&[Fact { subject: Subject::Everything, kind: Kind::Soft }], house.clock.moment());
    house.reclaim();
    assert_eq!(house.urls(), ["h/0"]);
}

#[test]
fn what_was_stored_since_the_walk_began_is_not_taken_for_what_was_there() {
    let house = House::of(MIB);
    house.store_tagged(0, "de", "t");
    house.purge_tag("t");
    let mut reclaiming = house.store.reclaim(&house.log);
    house.store_tagged(0, "de", "t");
    while reclaiming.step() {}
    assert_eq!(house.urls(), ["h/0"]);
}

#[test]
fn a_walk_shows_every_entry_with_its_place() {
    let house = House::of(MIB);
    house.store_tagged(0, "de", "t");
    house.store_tagged(0, "en", "t");
    house.store_tagged(1, "de", "t");
    assert_eq!(house.urls(), ["h/0", "h/0", "h/1"]);
    assert!(
        house.store.entries().all(|entry| house.store.get(&entry.key).is_some_and(|found| found.has(&entry)))
    );
}

#[test]
fn what_takes_the_place_of_a_response_is_half_as_hot() {
    let house = House::of(MIB);
    let (old, _) = house.commit(house.entry("de"));
    (0..12).for_each(|_| old.count_hit());
    house.time.advance(Duration::from_secs(1));
    let (new, _) = house.commit(house.entry("de"));
    assert_eq!((old.heat(), new.heat()), (12, 6));
    let freshened = house.like(&new);
    assert!(house.store.replace(&new, freshened.clone()));
    assert_eq!(freshened.heat(), 3);
    let (other, _) = house.commit(house.entry("en"));
    assert_eq!(other.heat(), 0, "another variant");
}
