//! Fields of what is asked for a lot, as each thread keeps them.

use super::*;

impl House {
    /// A response that nobody has asked for yet, with fields of its own.
    fn fresh(&self, number: u32) -> Arc<Entry> {
        let mut fields = HeaderMap::new();
        fields.append("x-number", HeaderValue::from(number));
        fields.append("set-cookie", HeaderValue::from_static("a=1"));
        fields.append("set-cookie", HeaderValue::from(number));
        let head = Head::pack(StatusCode::OK, &fields, &self.budget).unwrap();
        Arc::new(Entry::new(NewEntry { head, ..self.entry("en") }).unwrap())
    }
}

/// What an answer made of it has, if it is asked for so often.
fn fields_after(entry: &Arc<Entry>, hits: usize) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for _ in 0..hits {
        fields.clear();
        entry.count_hit();
        entry.write_fields(&mut fields);
    }
    fields
}

#[test]
fn fields_are_the_same_however_often_they_are_asked_for() {
    let house = House::of(100 * MIB);
    // More than a thread has places for.
    let entries: Vec<_> = (0..2_000).map(|number| house.fresh(number)).collect();
    for hits in [1, 40, 200] {
        for entry in &entries {
            assert_eq!(fields_after(entry, hits), entry.head.to_map());
        }
    }
}

/// The allocator gives the place of the last one to the next, if it may.
#[test]
fn what_was_kept_of_one_is_not_taken_for_that_of_the_next_at_its_place() {
    let house = House::of(MIB);
    for number in 0..2_000 {
        let entry = house.fresh(number);
        assert_eq!(fields_after(&entry, 100), entry.head.to_map());
    }
}

#[test]
fn what_is_kept_holds_no_charge() {
    let house = House::of(MIB);
    let before = house.budget.used();
    let entry = house.fresh(1);
    fields_after(&entry, 1_000);
    drop(entry);
    assert_eq!(house.budget.used(), before);
}
