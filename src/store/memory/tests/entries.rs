//! What an entry is made of, wherever that lies.

use super::*;
use crate::allocator::allocated;
use crate::store::Piece;
use crate::store::entry::BESIDE;

impl House {
    /// With an entity tag of so many bytes.
    fn head(&self, etag: usize) -> (HeaderMap, Head) {
        let value = HeaderValue::from_bytes(&vec![b'v'; etag]).unwrap();
        let fields = HeaderMap::from_iter([(ETAG, value)]);
        let head = Head::pack(StatusCode::OK, &fields, &self.budget).unwrap();
        (fields, head)
    }

    fn content(&self, pieces: Vec<Piece>) -> Sealed {
        Sealed::concat(pieces, &self.budget)
    }

    fn tagged(&self, len: usize) -> NewEntry {
        let subjects = Subjects { tags: &["tag"], ..Subjects::address("h", "h/") };
        let marks = self.log.intern(&subjects, self.log.published()).unwrap();
        NewEntry { marks, ..self.sized("a", len) }
    }

    /// How many with the tag are held, and their bytes.
    fn counted(&self) -> (u64, u64) {
        let tally = self.log.tally(Subject::Tag("tag")).unwrap();
        (tally.entries, tally.bytes)
    }
}

fn is_behind(entry: &Entry) -> bool {
    !entry.behind().is_empty()
}

#[test]
fn fields_and_content_are_told_wherever_they_lie_and_nothing_stays_charged() {
    let house = House::of(MIB);
    for (len, behind) in [(1, true), (256, true), (700, true), (1000, false), (2300, true), (4700, false)] {
        let before = house.budget.used();
        let (fields, head) = house.head(28);
        let entry = Entry::new(NewEntry { head, ..house.tagged(len) }).unwrap();
        assert_eq!((entry.fields().to_map(), entry.content_length()), (fields, len as u64));
        assert_eq!(entry.body().pieces().concat(), vec![7; len]);
        assert_eq!(is_behind(&entry), behind, "{len}");
        assert_eq!(house.budget.used() - before, entry.size(), "{len}");
        assert_eq!(house.counted(), (1, entry.size()));

        let (fields, head) = house.head(600);
        let other = Entry::new(NewEntry { head, ..entry.parts(&house.budget).unwrap() }).unwrap();
        drop(entry);
        assert_eq!((other.fields().to_map(), other.content_length()), (fields, len as u64));
        assert_eq!(other.body().pieces().concat(), vec![7; len]);
        assert_eq!(house.counted(), (1, other.size()), "the first has gone");
        drop(other);
        assert_eq!((house.budget.used(), house.counted()), (before, (0, 0)), "{len}");
    }
}

#[test]
fn short_content_lies_behind_the_fields_where_that_takes_no_more_room() {
    let house = House::of(MIB);
    let before = house.budget.used();
    let lens = (0..4200).step_by(13);
    let mut behind = 0;
    for (etag, len) in (1..300).step_by(7).cycle().zip(lens) {
        let (_, head) = house.head(etag);
        let content = NewEntry { head, ..house.sized("a", len) };
        let apart = content.body.size();
        let entry = Entry::new(content).unwrap();
        behind += u32::from(is_behind(&entry));
        assert_eq!(entry.content_length(), len as u64);
        let (size, is_behind) = (entry.size(), is_behind(&entry));
        drop(entry);
        assert_eq!(house.budget.used(), before);
        let (_, head) = house.head(etag);
        let fields = head.packed().len();
        let without = Entry::new(NewEntry { head, ..house.sized("a", 0) }).unwrap();
        let by_themselves = without.size() + apart;
        let together =
            without.size() - allocated(BESIDE + fields) as u64 + allocated(BESIDE + fields + len) as u64;
        let expected = (1..=4096).contains(&len) && together <= by_themselves;
        assert_eq!(is_behind, expected, "{etag} and {len}");
        assert_eq!(size, if is_behind { together } else { by_themselves }, "{etag} and {len}");
    }
    assert!(behind > 100, "{behind}");
}

#[test]
fn trailers_are_kept_with_short_content() {
    let house = House::of(MIB);
    let trailers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"a\""))]);
    let piece = house.budget.bytes(&[7; 300]).unwrap();
    let body = Sealed::new([piece], Some(trailers.clone()), &house.budget);
    let entry = Entry::new(NewEntry { body, ..house.entry("a") }).unwrap();
    let body = house.like(&entry).into_body();
    assert_eq!((body.trailers(), body.pieces().concat()), (Some(&trailers), vec![7; 300]));
}

#[test]
fn content_in_pieces_is_put_together_if_it_is_short() {
    let house = House::of(MIB);
    let of = |len: usize| {
        let pieces = (0..3).map(|i| house.budget.bytes(&vec![i; len]).unwrap()).collect();
        Entry::new(NewEntry { body: house.content(pieces), ..house.entry("a") }).unwrap()
    };
    let (short, long) = (of(100), of(2000));
    assert!(is_behind(&short) && !is_behind(&long));
    for (entry, len) in [(short, 100), (long, 2000)] {
        let expected = [0, 1, 2].map(|i| vec![i; len]).concat();
        assert_eq!(entry.body().pieces().concat(), expected);
        assert_eq!(entry.body().slice(50, 250).concat(), expected[50..=250]);
    }
    assert_eq!(house.budget.used(), 0);
}

#[test]
fn content_that_lies_behind_fields_keeps_them_charged_as_long_as_it_is_sent() {
    let house = House::of(MIB);
    let entry = Entry::new(house.sized("a", 300)).unwrap();
    let size = entry.size();
    let mut piece = entry.body().single().unwrap();
    drop(entry);
    assert_eq!((house.budget.used(), &*piece), (size, &[7; 300][..]));
    piece.truncate(10);
    assert_eq!((house.budget.used(), &*piece), (size, &[7; 10][..]));
    drop(piece);
    assert_eq!(house.budget.used(), 0);
}

/// Or what has gone would be counted as long as that is stored which has something of it.
#[test]
fn an_entry_holds_no_other() {
    let house = House::of(MIB);
    let short = Entry::new(house.tagged(300)).unwrap();
    let long = house.budget.bytes(&[8; 5000]).unwrap();
    let mut pieces = short.body().slice(100, 199);
    pieces.push(long);
    let joined = Entry::new(NewEntry { body: house.content(pieces), ..house.tagged(0) }).unwrap();
    assert!(!is_behind(&joined));
    assert_eq!(house.counted(), (2, short.size() + joined.size()));
    drop(short);
    assert_eq!((house.counted(), house.budget.used()), ((1, joined.size()), joined.size()));
    assert_eq!(joined.body().pieces().concat(), [&[7; 100][..], &[8; 5000]].concat());
}

/// As by a 304 whose longer fields leave no room for the content behind them.
#[test]
fn content_leaves_the_entry_behind_whose_fields_it_lay() {
    let house = House::of(MIB);
    let (_, head) = house.head(28);
    let old = Entry::new(NewEntry { head, ..house.tagged(700) }).unwrap();
    let renewed = || {
        let (_, head) = house.head(198);
        Some(NewEntry { head, ..old.parts(&house.budget)? })
    };
    let new = Entry::new(renewed().unwrap()).unwrap();
    assert!(is_behind(&old) && !is_behind(&new));
    assert_eq!(new.body().pieces().concat(), vec![7; 700]);
    let needed = usize::try_from(new.size()).unwrap();
    drop(new);
    let before = house.budget.used();
    for room in (0..2000).step_by(16) {
        let parts = renewed().unwrap();
        let left = usize::try_from(house.budget.limit() - house.budget.used()).unwrap();
        let _full = house.budget.try_charge(left - room).unwrap();
        assert_eq!(Entry::new(parts).is_some(), room >= needed, "{room} of {needed}");
    }
    assert_eq!(house.budget.used(), before);
    let new = Entry::new(renewed().unwrap()).unwrap();
    drop(old);
    assert_eq!((house.counted(), house.budget.used()), ((1, new.size()), new.size()));
}

#[test]
fn without_memory_there_is_no_entry_and_nothing_is_left() {
    let needed = {
        let house = House::of(MIB);
        let entry = house.sized("a", 300);
        let before = house.budget.used();
        let entry = Entry::new(entry).unwrap();
        (before + entry.size()) as usize
    };
    for (missing, fits) in [(0, true), (1, false)] {
        let house = House::of((needed - missing) as u64);
        assert_eq!(Entry::new(house.sized("a", 300)).is_some(), fits);
        assert_eq!(house.budget.used(), 0);
    }
}

#[test]
fn several_stand_under_a_key_as_one_does() {
    let house = House::of(MIB);
    for count in 1..=3 {
        let entries: Vec<_> = (0..count).map(|_| Entry::new(house.sized("a", 10)).unwrap()).collect();
        let resource = Resource::of(entries.clone()).unwrap();
        assert!(resource.is_of(&key(0)) && !resource.is_of(&key(1)));
        assert_eq!(resource.variants().count(), count);
        assert!(resource.variants().zip(&entries).all(|(variant, entry)| variant.is(entry)));
        assert!(entries.iter().all(|entry| resource.has(entry)));
        assert!(!resource.has(&house.like(&entries[0])));
        assert_eq!(resource.list_size() > 0, count > 1);
    }
    assert!(Resource::of([]).is_none());
}
