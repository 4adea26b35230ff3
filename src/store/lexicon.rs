//! What stored heads have in common: field names, and whole lines like `Cache-Control: max-age=60`, by number.
//!
//! Origins send few different names, and most lines of a head over and over. Each of those is kept here once, for the life
//! of the process, so that a head names it in a byte or two and a hit copies nothing. What is full stays as it is: heads
//! then write out what has no number, and only take more room. That, and a bound on each line, bounds the memory: half a
//! mebibyte if an origin does its worst, a few kibibytes as a rule.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use parking_lot::RwLock;

/// How many names may have a number: as many as the lower half of a byte tells, but for one.
pub(super) const NAMES: usize = 0x7f;
/// Two bits less than two bytes tell.
const LINES: usize = 1024;
/// The longest line that gets a number, in bytes of name and value.
const LONGEST: usize = 256;
/// How often a line must be seen before it gets a number. What is seen of lines without one is kept in [`SEEN`] slots.
const OFTEN: u64 = 3;
const SEEN: usize = 4096;

/// Their values are those of one response, or of a moment: how often they are seen says nothing.
static PARTICULAR: [HeaderName; 7] = [
    header::CONTENT_LOCATION,
    header::DATE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::SET_COOKIE,
];

/// A field line that heads share.
#[derive(Debug)]
pub(super) struct Line {
    /// The name.
    pub(super) name: HeaderName,
    /// The value. Like the name it is of static bytes: clones count nothing, which threads would contend for.
    pub(super) value: HeaderValue,
}

static NAME: [OnceLock<HeaderName>; NAMES] = [const { OnceLock::new() }; NAMES];
static LINE: [OnceLock<Line>; LINES] = [const { OnceLock::new() }; LINES];
static NUMBERS: LazyLock<Numbers> = LazyLock::new(Numbers::new);

struct Numbers {
    /// Of lines, by their bytes.
    lines: RwLock<HashMap<&'static [u8], u16>>,
    hash: RandomState,
    /// Names of which a line has a number.
    begun: [AtomicBool; NAMES],
    /// Hashes of lines without a number, with how often they were seen in the lowest bits. One that falls on the slot of
    /// another takes its place; so lines that are seen often get to their number between those that are not.
    seen: Box<[AtomicU64]>,
}

/// The number of a name, if it has one or can have one.
pub(super) fn number_of_name(name: &HeaderName) -> Option<u8> {
    let index = NAME.iter().position(|known| known.get_or_init(|| lasting_name(name)) == name)?;
    u8::try_from(index).ok()
}

/// The name with that number.
pub(super) fn name(number: u8) -> Option<&'static HeaderName> {
    NAME.get(usize::from(number))?.get()
}

/// The number of a line, if it has one or gets one now: the first line with a name at once, since many names have but one
/// value; others when they have been seen often enough.
pub(super) fn number_of_line(name: &HeaderName, value: &HeaderValue) -> Option<u16> {
    if PARTICULAR.contains(name) || name.as_str().len() + value.len() >= LONGEST {
        return None;
    }
    let key = [name.as_str().as_bytes(), b":", value.as_bytes()].concat();
    let numbers = &*NUMBERS;
    if let Some(number) = numbers.lines.read().get(&key[..]) {
        return Some(*number);
    }
    let gets_one = numbers.is_first_of(name) || !numbers.is_rare(&key);
    if gets_one { numbers.add(key, name) } else { None }
}

/// The line with that number.
pub(super) fn line(number: u16) -> Option<&'static Line> {
    LINE.get(usize::from(number))?.get()
}

impl Numbers {
    fn new() -> Self {
        Self {
            lines: RwLock::default(),
            hash: RandomState::new(),
            begun: [const { AtomicBool::new(false) }; NAMES],
            seen: (0..SEEN).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn is_first_of(&self, name: &HeaderName) -> bool {
        let begun = number_of_name(name).and_then(|number| self.begun.get(usize::from(number)));
        begun.is_some_and(|begun| !begun.load(Ordering::Relaxed) && !begun.swap(true, Ordering::Relaxed))
    }

    /// Whether a line has not been seen often, this time included.
    fn is_rare(&self, key: &[u8]) -> bool {
        let hash = self.hash.hash_one(key);
        let mark = hash & !OFTEN;
        let Some(slot) = self.seen.get((hash >> 32) as usize % SEEN) else { return true };
        let before = slot.load(Ordering::Relaxed);
        let times = if before & !OFTEN == mark { (before & OFTEN) + 1 } else { 1 };
        // Of two threads that count at once one may be lost: it is seen again.
        slot.store(mark | times.min(OFTEN), Ordering::Relaxed);
        times < OFTEN
    }

    fn add(&self, key: Vec<u8>, name: &HeaderName) -> Option<u16> {
        let mut lines = self.lines.write();
        if let Some(number) = lines.get(&key[..]) {
            return Some(*number);
        }
        let number = lines.len();
        let place = LINE.get(number)?;
        let key: &'static [u8] = key.leak();
        let (_, value) = key.split_at_checked(name.as_str().len() + 1)?;
        let value = HeaderValue::from_maybe_shared(Bytes::from_static(value)).ok()?;
        place.set(Line { name: lasting_name(name), value }).ok()?;
        let number = u16::try_from(number).ok()?;
        lines.insert(key, number);
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
        for known in [header::ETAG, own] {
            assert_eq!(name(number_of_name(&known).unwrap()), Some(&known));
        }
    }
}
