//! What is remembered by key, within a share of memory: when there is too much, something old goes.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::key::{CacheKey, KeyHash};

/// So many parts, each with a lock of its own, which is held for a map operation only: every miss passes here.
const SHARDS: usize = 64;

/// Values by key. Asking for one costs a look into a map, which is all that most misses do here, and less as long as there
/// are none at all.
pub(crate) struct Shelf<T> {
    shards: Box<[Mutex<Shard<T>>]>,
    /// In bytes.
    room: usize,
    /// Of all values, in bytes. INVARIANT: the sum of their sizes, whenever no shard is locked. Relaxed: two who
    /// put something at once may each drop an old value where one would have done, and who asks meanwhile may miss it.
    size: AtomicUsize,
}

struct Shard<T> {
    values: HashMap<CacheKey, Placed<T>, KeyHash>,
    /// By age. Of a key that was placed anew, or removed, the older places stay until they come up.
    places: VecDeque<(CacheKey, u64)>,
    /// Numbers the places.
    placed: u64,
}

struct Placed<T> {
    value: T,
    size: usize,
    place: u64,
}

impl<T: Clone> Shelf<T> {
    /// With room for values of so many bytes in all.
    pub(crate) fn new(room: u64) -> Self {
        let hash = KeyHash::default();
        let shard =
            || Shard { values: HashMap::with_hasher(hash.clone()), places: VecDeque::new(), placed: 0 };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            room: usize::try_from(room).unwrap_or(usize::MAX),
            size: AtomicUsize::new(0),
        }
    }

    pub(crate) fn get(&self, key: &CacheKey) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        self.shard(key).lock().values.get(key).map(|placed| placed.value.clone())
    }

    /// Puts a value of `size` bytes in the place of what there was. Room is made by what is oldest in the same shard; if that
    /// is not enough, there is none for it.
    pub(crate) fn put(&self, key: CacheKey, value: T, size: usize) {
        let mut shard = self.shard(&key).lock();
        self.took_away(shard.remove(&key));
        while self.size.load(Ordering::Relaxed).saturating_add(size) > self.room {
            let Some(gone) = shard.drop_oldest() else { return };
            self.took_away(gone);
        }
        shard.placed += 1;
        let place = shard.placed;
        shard.places.push_back((key, place));
        shard.values.insert(key, Placed { value, size, place });
        self.size.fetch_add(size, Ordering::Relaxed);
        shard.tidy();
    }

    pub(crate) fn remove(&self, key: &CacheKey) {
        if self.is_empty() {
            return;
        }
        self.took_away(self.shard(key).lock().remove(key));
    }

    /// Drops the oldest as long as they are of no use any more.
    pub(crate) fn drop_while(&self, is_useless: impl Fn(&T) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            while shard.oldest().is_some_and(&is_useless) {
                self.took_away(shard.drop_oldest().unwrap_or(0));
            }
            shard.tidy();
        }
    }

    /// Whether there is nothing, but for what another thread is just about to put.
    fn is_empty(&self) -> bool {
        self.size.load(Ordering::Relaxed) == 0
    }

    fn took_away(&self, bytes: usize) {
        self.size.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn shard(&self, key: &CacheKey) -> &Mutex<Shard<T>> {
        &self.shards[key.shard(SHARDS)]
    }
}

impl<T> Shard<T> {
    /// Returns how many bytes that frees.
    fn remove(&mut self, key: &CacheKey) -> usize {
        self.values.remove(key).map_or(0, |placed| placed.size)
    }

    /// The value in the oldest place that is still taken.
    fn oldest(&mut self) -> Option<&T> {
        while let Some((key, place)) = self.places.front() {
            if self.values.get(key).is_some_and(|placed| placed.place == *place) {
                let (key, _) = self.places.front()?;
                return self.values.get(key).map(|placed| &placed.value);
            }
            self.places.pop_front();
        }
        None
    }

    /// Returns how many bytes that frees; `None` if there is none.
    fn drop_oldest(&mut self) -> Option<usize> {
        self.oldest()?;
        let (key, _) = self.places.pop_front()?;
        Some(self.remove(&key))
    }

    /// Keeps the list of places about as short as that of values.
    fn tidy(&mut self) {
        if self.places.len() > 2 * self.values.len() + 16 {
            let values = &self.values;
            self.places.retain(|(key, place)| values.get(key).is_some_and(|placed| placed.place == *place));
        }
        if self.values.capacity() > 4 * self.values.len().max(16) {
            self.values.shrink_to(2 * self.values.len());
            self.places.shrink_to(2 * self.places.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> CacheKey {
        CacheKey::of("http", "a.test", &format!("/{number}"))
    }

    fn all(shelf: &Shelf<usize>) -> (usize, usize, usize) {
        let shards = || shelf.shards.iter().map(|shard| shard.lock());
        (
            shards().map(|shard| shard.values.len()).sum(),
            shards().map(|shard| shard.places.len()).sum(),
            shelf.size.load(Ordering::Relaxed),
        )
    }

    #[test]
    fn what_is_put_is_there_until_it_is_removed() {
        let shelf = Shelf::new(1 << 20);
        shelf.put(key(1), 1, 10);
        shelf.put(key(1), 2, 20);
        assert_eq!((shelf.get(&key(1)), shelf.get(&key(2))), (Some(2), None));
        assert_eq!(all(&shelf), (1, 2, 20));
        shelf.remove(&key(1));
        assert_eq!((shelf.get(&key(1)), all(&shelf).2), (None, 0));
    }

    #[test]
    fn the_oldest_makes_room_and_what_is_too_large_finds_none() {
        let shelf = Shelf::new(100);
        let same: Vec<_> = (0..10_000).map(key).filter(|key| key.shard(SHARDS) == 0).take(4).collect();
        for (number, key) in same.iter().take(3).enumerate() {
            shelf.put(*key, number, 33);
        }
        // Anew, so that it is the youngest.
        shelf.put(same[0], 0, 33);
        shelf.put(same[3], 3, 33);
        let left: Vec<_> = same.iter().map(|key| shelf.get(key)).collect();
        assert_eq!(left, [Some(0), None, Some(2), Some(3)]);
        shelf.put(same[0], 9, 101);
        assert_eq!(shelf.get(&same[0]), None, "the old value is wrong by now");
        shelf.put(same[1], 1, 100);
        assert_eq!(
            (shelf.get(&same[1]), all(&shelf)),
            (Some(1), (1, 1, 100)),
            "all the room may be one value's"
        );
    }

    #[test]
    fn what_is_of_no_use_goes_and_nothing_is_left_of_it() {
        let shelf = Shelf::new(1 << 30);
        for number in 0..100_000 {
            shelf.put(key(number % 50_000), number, 100);
        }
        shelf.drop_while(|number| *number < 99_000);
        let (values, places, size) = all(&shelf);
        assert_eq!((values, size), (1_000, 100_000));
        assert!(places <= 2 * values + 64 * 16, "{places} places");
        assert!(shelf.get(&key(49_999)).is_some() && shelf.get(&key(48_999)).is_none());
    }
}
