//! What stored heads have in common: field names, and whole lines like `Cache-Control: max-age=60`, by number.
//!
//! Origins send few different names, and most lines of a head over and over. Each of those is kept here once, for the life
//! of the process, so that a head names it in a byte or two and a hit copies nothing. What is full stays as it is: heads
//! then write out what has no number, and only take more room. That, and a bound on each line, bounds the memory: half a
//! mebibyte if an origin does its worst, a few kibibytes as a rule.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use parking_lot::Mutex;

use crate::key::KeyHash;

/// How many names may have a number: as many as the lower half of a byte tells, but for one.
pub(super) const NAMES: usize = 0x7f;
/// Two bits less than two bytes tell.
const LINES: usize = 1024;
/// The longest line that gets a number, in bytes of name and value.
const LONGEST: usize = 256;
/// How often a line must be seen before it gets a number. What is seen of lines without one is kept in [`SEEN`] slots.
const OFTEN: u64 = 3;
const SEEN: usize = 4096;
/// Where lines with a number are looked for: four places for each that there may be, and how many of them from where its hash
/// points to. A line that finds none of these free gets no number.
const PLACES: usize = 4 * LINES;
const PROBES: usize = 8;
/// In a place that is free.
const FREE: u16 = u16::MAX;

/// Their values are those of one response, or of a moment: how often they are seen says nothing. They have the first numbers.
static PARTICULAR: [HeaderName; 7] = [
    header::DATE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::EXPIRES,
    header::SET_COOKIE,
    header::LOCATION,
    header::CONTENT_LOCATION,
];

/// Where it is in [`PARTICULAR`].
fn particular(name: &HeaderName) -> Option<u8> {
    match *name {
        header::DATE => Some(0),
        header::ETAG => Some(1),
        header::LAST_MODIFIED => Some(2),
        header::EXPIRES => Some(3),
        header::SET_COOKIE => Some(4),
        header::LOCATION => Some(5),
        header::CONTENT_LOCATION => Some(6),
        _ => None,
    }
}

/// A field line that heads share.
#[derive(Debug)]
pub(super) struct Line {
    /// The name.
    pub(super) name: HeaderName,
    /// The value. Like the name it is of static bytes: clones count nothing, which threads would contend for.
    pub(super) value: HeaderValue,
}

/// The other names, which have the numbers after those.
static NAME: [OnceLock<HeaderName>; NAMES - PARTICULAR.len()] =
    [const { OnceLock::new() }; NAMES - PARTICULAR.len()];
static LINE: [OnceLock<Line>; LINES] = [const { OnceLock::new() }; LINES];
static NUMBERS: LazyLock<Numbers> = LazyLock::new(Numbers::new);

struct Numbers {
    /// Keyed at random. Who finds lines of one hash all the same has some of them go without a number.
    hash: KeyHash,
    /// The numbers of lines, each in one of the [`PROBES`] places from where its hash points to, with no free one before it.
    /// INVARIANT: taken under the lock of `lines`, after the line was put into [`LINE`], and never given up. So who looks needs
    /// no lock.
    places: Box<[AtomicU16]>,
    /// How many lines have a number.
    lines: Mutex<u16>,
    /// Names of which a line has a number.
    begun: [AtomicBool; NAMES],
    /// Hashes of lines without a number, with how often they were seen in the lowest bits. One that falls on the slot of
    /// another takes its place; so lines that are seen often get to their number between those that are not.
    seen: Box<[AtomicU64]>,
}

/// The number of a name, if it has one or can have one.
pub(super) fn number_of_name(name: &HeaderName) -> Option<u8> {
    if let Some(number) = particular(name) {
        return Some(number);
    }
    let index = NAME.iter().position(|known| known.get_or_init(|| lasting_name(name)) == name)?;
    u8::try_from(PARTICULAR.len() + index).ok()
}

/// The name with that number.
pub(super) fn name(number: u8) -> Option<&'static HeaderName> {
    let number = usize::from(number);
    match number.checked_sub(PARTICULAR.len()) {
        None => PARTICULAR.get(number),
        Some(index) => NAME.get(index)?.get(),
    }
}

/// The number of a line, if it has one or gets one now: the first line with a name at once, since many names have but one
/// value; others when they have been seen often enough.
pub(super) fn number_of_line(name: &HeaderName, value: &HeaderValue) -> Option<u16> {
    if particular(name).is_some() || name.as_str().len() + value.len() >= LONGEST {
        return None;
    }
    let numbers = &*NUMBERS;
    let hash = numbers.hash(name, value);
    let known = numbers.find(hash, name, value);
    if known.is_some() {
        return known;
    }
    let gets_one = numbers.is_first_of(name) || !numbers.is_rare(hash);
    if gets_one { numbers.add(hash, name, value) } else { None }
}

/// The line with that number.
pub(super) fn line(number: u16) -> Option<&'static Line> {
    LINE.get(usize::from(number))?.get()
}

impl Numbers {
    fn new() -> Self {
        Self {
            hash: KeyHash::default(),
            places: (0..PLACES).map(|_| AtomicU16::new(FREE)).collect(),
            lines: Mutex::new(0),
            begun: [const { AtomicBool::new(false) }; NAMES],
            seen: (0..SEEN).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn hash(&self, name: &HeaderName, value: &HeaderValue) -> u64 {
        let mut hasher = self.hash.build_hasher();
        hasher.write(name.as_str().as_bytes());
        hasher.write(value.as_bytes());
        hasher.finish()
    }

    /// Where a line with this hash may be.
    fn places(&self, hash: u64) -> impl Iterator<Item = &AtomicU16> {
        // The remainder is below their number, which one more turn around does not change.
        (0..PROBES).map_while(move |step| self.places.get((hash as usize).wrapping_add(step) % PLACES))
    }

    fn find(&self, hash: u64, name: &HeaderName, value: &HeaderValue) -> Option<u16> {
        self.places(hash)
            .map(|place| place.load(Ordering::Acquire))
            .take_while(|number| *number != FREE)
            .find(|number| line(*number).is_some_and(|line| line.value == *value && line.name == *name))
    }

    fn is_first_of(&self, name: &HeaderName) -> bool {
        let begun = number_of_name(name).and_then(|number| self.begun.get(usize::from(number)));
        begun.is_some_and(|begun| !begun.load(Ordering::Relaxed) && !begun.swap(true, Ordering::Relaxed))
    }

    /// Whether a line has not been seen often, this time included.
    fn is_rare(&self, hash: u64) -> bool {
        let mark = hash & !OFTEN;
        let Some(slot) = self.seen.get((hash >> 32) as usize % SEEN) else { return true };
        let before = slot.load(Ordering::Relaxed);
        let times = if before & !OFTEN == mark { (before & OFTEN) + 1 } else { 1 };
        // Of two threads that count at once one may be lost: it is seen again.
        slot.store(mark | times.min(OFTEN), Ordering::Relaxed);
        times < OFTEN
    }

    fn add(&self, hash: u64, name: &HeaderName, value: &HeaderValue) -> Option<u16> {
        let mut lines = self.lines.lock();
        // Another thread may have been quicker.
        let known = self.find(hash, name, value);
        if known.is_some() {
            return known;
        }
        let place = self.places(hash).find(|place| place.load(Ordering::Relaxed) == FREE)?;
        let number = *lines;
        let room = LINE.get(usize::from(number))?;
        let lasting: &'static [u8] = value.as_bytes().to_owned().leak();
        let value = HeaderValue::from_maybe_shared(Bytes::from_static(lasting)).ok()?;
        room.set(Line { name: lasting_name(name), value }).ok()?;
        place.store(number, Ordering::Release);
        *lines += 1;
        Some(number)
    }
}

/// A copy that counts nothing when it is cloned. As it was parsed, a name may be a slice of something larger.
fn lasting_name(name: &HeaderName) -> HeaderName {
    // The well-known ones are no more than a number.
    let is_known = NAME.iter().find_map(|known| known.get().filter(|known| *known == name));
    is_known.cloned().unwrap_or_else(|| HeaderName::from_static(name.as_str().to_owned().leak()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(name: &'static str, value: &str) -> Option<u16> {
        number_of_line(&HeaderName::from_static(name), &HeaderValue::from_str(value).unwrap())
    }

    #[test]
    fn the_first_line_with_a_name_gets_a_number_at_once_and_no_other() {
        let first = line_of("x-lexicon-first", "first");
        assert!(first.is_some());
        assert_eq!(line_of("x-lexicon-first", "second"), None);
        assert_eq!(line_of("x-lexicon-first", "first"), first);
    }

    #[test]
    fn a_line_that_is_seen_often_gets_a_number_for_good() {
        let see = || line_of("x-lexicon", "often");
        let number = (0..10).find_map(|_| see()).expect("it has been seen often");
        assert_eq!(see(), Some(number));
        let line = line(number).unwrap();
        assert_eq!((line.name.as_str(), line.value.as_bytes()), ("x-lexicon", &b"often"[..]));
        assert_ne!((0..10).find_map(|_| line_of("x-lexicon", "too")), Some(number));
    }

    #[test]
    fn lines_that_are_rare_long_or_of_one_response_get_none() {
        line_of("x-lexicon", "the first");
        assert!((0..10).all(|i| line_of("x-lexicon", &format!("rare-{i}")).is_none()));
        assert!((0..10).all(|_| line_of("x-lexicon", &"l".repeat(LONGEST)).is_none()));
        assert!((0..10).all(|_| line_of("etag", "\"a\"").is_none()));
    }

    #[test]
    fn what_is_seen_between_rare_lines_gets_its_number() {
        let number = (0..200_000).find_map(|i| {
            let _ = line_of("x-lexicon-rare", &i.to_string());
            (i % 100 == 0).then(|| line_of("x-lexicon", "in between")).flatten()
        });
        assert!(number.is_some());
    }

    #[test]
    fn names_have_numbers_and_numbers_names() {
        let own = HeaderName::from_bytes(b"x-lexicon").unwrap();
        for known in PARTICULAR.iter().cloned().chain([header::VARY, own]) {
            assert_eq!(name(number_of_name(&known).unwrap()), Some(&known));
        }
    }
}
