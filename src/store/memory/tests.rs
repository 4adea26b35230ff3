use std::sync::mpsc;

use http::header::ETAG;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::*;
use crate::clock::Manual;
use crate::memfile;
use crate::policy::freshness::Terms;
use crate::policy::validation::Validators;
use crate::policy::vary::Variant;
use crate::store::{Extent, Head, NewEntry, Sealed, entry};
use crate::validity::{Fact, Kind, Log, Subject, Subjects};

mod entries;
mod evicting;
mod reclaiming;

const MIB: u64 = 1 << 20;
const KEEP: Duration = Duration::from_secs(60);

/// A store, and what its entries are made of.
struct House {
    store: Arc<Store>,
    budget: Arc<Budget>,
    log: Arc<Log>,
    time: Arc<Manual>,
    clock: Clock,
}

impl House {
    fn of(limit: u64) -> Self {
        let time = Manual::new();
        let clock = Clock::manual(time.clone());
        let budget = Budget::new(limit);
        let config = config::Cache {
            memory: limit,
            max_object: limit,
            max_variants: 3,
            keep: KEEP,
            retry_after_error: Duration::ZERO,
            max_ranges: 1,
            stream_window: 1,
            hit_for_miss: Duration::ZERO,
            tag_fields: Vec::new(),
            max_tags: 256,
            max_tag_length: 1024,
        };
        let store = Store::new(&config, budget.clone(), clock.clone());
        Self { store, budget, log: Log::new(), time, clock }
    }

    /// Something else is purged: what is asked for from now on has a higher number.
    fn purge(&self) {
        self.log.publish(&[Fact { subject: Subject::Tag("else"), kind: Kind::Hard }], self.clock.moment());
    }

    /// A whole response that is asked for and received now.
    fn entry(&self, language: &str) -> NewEntry {
        self.sized(language, 10)
    }

    fn sized(&self, language: &str, len: usize) -> NewEntry {
        let sent = self.log.published();
        let name = HeaderName::from_static("accept-language");
        let request: HeaderMap =
            [(name.clone(), HeaderValue::from_str(language).unwrap())].into_iter().collect();
        NewEntry {
            key: key(0),
            head: Head::pack(StatusCode::OK, &HeaderMap::new(), &self.budget).unwrap(),
            body: Sealed::concat(vec![self.budget.bytes(&vec![7; len]).unwrap()], &self.budget),
            extent: Extent::Whole,
            terms: terms(Duration::from_secs(30)),
            validators: Validators::default(),
            variant: Variant::of(&[name], &request),
            received: self.clock.moment(),
            received_wall: self.clock.wall(),
            marks: self.log.intern(&Subjects::address("h", "h/"), sent).unwrap(),
            stamp: crate::validity::Stamp::new(sent),
        }
    }

    fn part(&self, language: &str) -> NewEntry {
        NewEntry { extent: Extent::Part { first: 0, last: 9, complete: Some(20) }, ..self.entry(language) }
    }

    fn commit(&self, entry: NewEntry) -> (Entry, Committed) {
        let entry = Entry::new(entry).unwrap();
        let committed = self.store.commit(entry.clone());
        (entry, committed)
    }

    /// Another that is made of the same.
    fn like(&self, entry: &Entry) -> Entry {
        Entry::new(entry.parts(&self.budget).unwrap()).unwrap()
    }

    fn stored(&self) -> Vec<Entry> {
        self.store.get(&key(0)).map(|resource| resource.to_vec()).unwrap_or_default()
    }

    fn holds(&self, expected: &[&Entry]) -> bool {
        let stored = self.stored();
        stored.len() == expected.len() && stored.iter().zip(expected).all(|(a, b)| a.is(b))
    }

    /// Everything is, for good.
    fn purge_everything(&self) {
        self.log.publish(&[Fact { subject: Subject::Everything, kind: Kind::Hard }], self.clock.moment());
    }

    /// Frees all that is dead, and tells in how many steps.
    fn reclaim(&self) -> usize {
        let mut reclaiming = self.store.reclaim(&self.log);
        (1..).find(|_| !reclaiming.step()).unwrap()
    }
}

fn key(i: usize) -> CacheKey {
    CacheKey::of("http", "h", &format!("/{i}"))
}

fn terms(lifetime: Duration) -> Terms {
    Terms::fresh_for(lifetime)
}

#[test]
fn variants_stand_side_by_side_newest_first_and_the_oldest_goes() {
    let house = House::of(MIB);
    let (a, _) = house.commit(house.entry("a"));
    let (b, _) = house.commit(house.entry("b"));
    let (c, _) = house.commit(house.entry("c"));
    assert!(house.holds(&[&c, &b, &a]));
    let (d, committed) = house.commit(house.entry("d"));
    assert_eq!(committed, Committed::Stored);
    assert!(house.holds(&[&d, &c, &b]));
    assert_eq!(house.stored()[0].marks.url(), Some("h/"));
    assert!(house.store.get(&key(1)).is_none());
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn long_content_that_is_asked_for_often_is_moved_and_nothing_else_changes() {
    let is_moved = |entry: &Entry| memfile::is_worth(&entry.body().pieces()[0]);
    let house = House::of(MIB);
    let (old, _) = house.commit(house.sized("a", 40_000));
    let (new, _) = house.commit(house.sized("b", 40_000));
    let (gone, _) = house.commit(house.sized("c", 40_000));
    house.store.remove(&gone);
    for _ in 0..OFTEN {
        assert!(house.holds(&[&new, &old]), "not yet");
        house.store.count_hit(&old);
        house.store.count_hit(&gone);
    }
    let stored = house.stored();
    assert_eq!(stored.len(), 2, "what has gone does not come back");
    assert!(stored[0].is(&new), "the newest stays the first");
    let moved = &stored[1];
    assert!(is_moved(moved) && !is_moved(&new));
    assert_eq!(moved.body().pieces().concat(), old.body().pieces().concat());
    assert_eq!((moved.variant(), moved.received), (old.variant(), old.received));
    assert!(moved.heat() > 0);
    (0..2 * OFTEN).for_each(|_| house.store.count_hit(moved));
    assert!(house.stored()[1].is(moved), "once is enough");
    house.purge_everything();
    assert!(house.log.check(&moved.marks, &moved.stamp).is_none());
    house.reclaim();
    drop((stored, old, new, gone));
    assert_eq!((house.stored().len(), house.budget.used()), (0, 0));
}

#[test]
fn an_old_flight_that_ends_late_does_not_overwrite_a_newer_answer() {
    let house = House::of(MIB);
    let slow = house.entry("a");
    house.purge();
    let (newer, _) = house.commit(house.entry("a"));
    let (_, committed) = house.commit(slow);
    assert_eq!(committed, Committed::Older);
    assert!(house.holds(&[&newer]));
}

#[test]
fn without_a_purge_in_between_the_later_answer_stays() {
    let house = House::of(MIB);
    let slow = house.entry("a");
    house.time.advance(Duration::from_secs(1));
    let (newer, _) = house.commit(house.entry("a"));
    assert_eq!(house.commit(slow).1, Committed::Older);
    assert!(house.holds(&[&newer]));
    let (same_time, committed) = house.commit(house.entry("a"));
    assert_eq!(committed, Committed::Stored);
    assert!(house.holds(&[&same_time]));
}

#[test]
fn another_variant_is_never_older() {
    let house = House::of(MIB);
    let slow = house.entry("a");
    house.purge();
    let (b, _) = house.commit(house.entry("b"));
    let (a, committed) = house.commit(slow);
    assert_eq!(committed, Committed::Stored);
    assert!(house.holds(&[&a, &b]));
}

#[test]
fn a_whole_takes_the_place_of_parts_that_are_not_younger() {
    let house = House::of(MIB);
    let slow = house.entry("a");
    let (_, _) = house.commit(house.part("a"));
    let (whole, _) = house.commit(house.entry("a"));
    assert!(house.holds(&[&whole]));

    house.purge();
    let (part, _) = house.commit(house.part("a"));
    let (other, committed) = house.commit(NewEntry { received: house.clock.moment(), ..slow });
    assert_eq!(committed, Committed::Stored);
    assert!(house.holds(&[&other, &part]), "the part may be of what came after the purge");
}

#[test]
fn a_part_never_takes_the_place_of_a_whole() {
    let house = House::of(MIB);
    let slow = house.part("a");
    house.purge();
    let (whole, _) = house.commit(house.entry("a"));
    assert_eq!(house.commit(slow).1, Committed::Older);
    let (part, committed) = house.commit(house.part("a"));
    assert_eq!(committed, Committed::Stored);
    let (part_again, _) = house.commit(house.part("a"));
    assert!(house.holds(&[&part_again, &whole]), "but that of another part");
    drop(part);
}

#[test]
fn a_304_replaces_only_what_is_still_there() {
    let house = House::of(MIB);
    let (old, _) = house.commit(house.entry("a"));
    let (other, _) = house.commit(house.entry("b"));
    let new = house.like(&old);
    assert!(house.store.replace(&old, new.clone()));
    assert!(house.holds(&[&new, &other]));
    assert_eq!(house.store.figures().entries, 2);
    let late = house.like(&old);
    assert!(!house.store.replace(&old, late));
    assert!(house.holds(&[&new, &other]));
}

#[test]
fn what_is_removed_is_gone_and_nothing_else() {
    let house = House::of(MIB);
    let (a, _) = house.commit(house.entry("a"));
    let (b, _) = house.commit(house.entry("b"));
    house.store.remove(&a);
    assert!(house.holds(&[&b]));
    house.store.remove(&a);
    assert!(house.holds(&[&b]));
    house.store.remove(&b);
    assert!(house.store.get(&key(0)).is_none());
}

#[test]
fn writers_of_one_key_do_not_lose_each_others_variants() {
    let house = House::of(16 * MIB);
    for round in 0..200 {
        let languages = [format!("a{round}"), format!("b{round}"), format!("c{round}")];
        std::thread::scope(|scope| {
            for language in &languages {
                scope.spawn(|| house.commit(house.entry(language)));
            }
        });
        let stored = house.stored();
        for language in &languages {
            let variant = house.entry(language).variant;
            assert!(
                stored.iter().any(|entry| *entry.variant() == variant),
                "round {round}: {language} is lost"
            );
        }
    }
}

#[test]
fn what_is_of_no_use_any_more_makes_room_for_the_next_variant() {
    let house = House::of(MIB);
    house.commit(NewEntry { terms: terms(Duration::from_secs(1)), ..house.entry("a") });
    house.time.advance(KEEP + Duration::from_secs(1));
    let (b, _) = house.commit(house.entry("b"));
    assert!(house.holds(&[&b]));
}

#[test]
fn an_entry_takes_160_bytes_beside_its_own_and_a_resource_is_one_word() {
    assert_eq!(entry::BESIDE, 160);
    assert_eq!(size_of::<Resource>(), size_of::<usize>());
}

#[test]
fn without_memory_nothing_is_stored_and_removing_still_works() {
    let house = House::of(MIB);
    let (a, _) = house.commit(house.entry("a"));
    let (b, _) = house.commit(house.entry("b"));
    let c = Entry::new(house.entry("c")).unwrap();
    let unmade = house.entry("d");
    let again = house.like(&a);
    let fill = || {
        let left = house.budget.limit() - house.budget.used();
        house.budget.try_charge(usize::try_from(left).unwrap())
    };
    let _full = fill();
    assert!(Entry::new(unmade).is_none());
    let _full_again = fill();
    assert_eq!(house.store.commit(c.clone()), Committed::NoRoom);
    assert!(!house.store.replace(&a, again));
    assert!(house.holds(&[&b, &a]));
    house.store.remove(&a);
    assert!(!house.stored().iter().any(|entry| entry.is(&a)));
}

#[test]
fn everything_is_given_back() {
    let house = House::of(4 * MIB);
    for i in 0..200 {
        let entry = Entry::new(NewEntry { key: key(i), ..house.sized("a", 1000) }).unwrap();
        house.store.commit(entry);
    }
    assert!(house.budget.used() > 200 * 1000);
    for i in 0..200 {
        for entry in house.store.get(&key(i)).unwrap().to_vec() {
            house.store.remove(&entry);
        }
    }
    assert_eq!((house.store.figures().entries, house.budget.used()), (0, 0));
}

#[test]
fn ten_times_the_memory_flows_through_within_the_limit() {
    let house = House::of(4 * MIB);
    let mut refused = 0;
    for i in 0..640 {
        let Some(content) = house.budget.bytes(&vec![1; 64 * 1024]) else {
            refused += 1;
            house.store.tick();
            continue;
        };
        let entry = NewEntry {
            key: key(i),
            body: Sealed::concat(vec![content], &house.budget),
            ..house.sized("a", 1)
        };
        let Some(entry) = Entry::new(entry) else { continue };
        house.store.commit(entry);
        assert!(house.budget.used() <= house.budget.limit());
    }
    assert!(refused < 100, "{refused} of 640 found no memory");
    let figures = house.store.figures();
    assert!(figures.evictions > 400, "{figures:?}");
    house.store.tick();
    let stored = house.store.held.bytes.load(Ordering::Relaxed);
    assert!(stored <= 4 * MIB / 100 * SHARE, "{stored}");
    // What is remembered of those that went comes on top.
    assert!(!house.budget.is_short(), "{:?}", house.store.figures());
}

#[test]
fn a_housekeeper_makes_room_when_it_is_short() {
    let house = House::of(4 * MIB);
    let (stop, stopped) = mpsc::channel::<()>();
    let store = house.store.clone();
    let keeper = std::thread::spawn(move || {
        // Longer than the test takes: rounds come from being called.
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            store.keep_house(Duration::from_secs(5));
        }
    });
    let content = vec![1; 64 * 1024];
    let mut stored = 0;
    for i in 0..640 {
        let content = (0..2000).find_map(|_| {
            let content = house.budget.bytes(&content);
            if content.is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            content
        });
        let Some(content) = content else { break };
        let entry = NewEntry {
            key: key(i),
            body: Sealed::concat(vec![content], &house.budget),
            ..house.sized("a", 1)
        };
        let Some(entry) = Entry::new(entry) else { continue };
        house.store.commit(entry);
        stored += 1;
    }
    drop(stop);
    let _full = house.budget.try_charge(usize::MAX); // Calls the keeper.
    keeper.join().unwrap();
    assert_eq!(stored, 640);
}

#[test]
fn a_body_that_is_shared_by_slices_is_not_copied() {
    let house = House::of(MIB);
    let (a, _) = house.commit(house.sized("a", 5000));
    let before = house.budget.used();
    let slice = a.body().slice(10, 20);
    let joined = Sealed::concat(slice, &house.budget);
    assert_eq!((joined.len(), house.budget.used()), (11, before));
}
