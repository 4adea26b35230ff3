//! Stored fields.
//!
//! They are one block of bytes, since a slot of a `HeaderMap` costs about 100 bytes, and a name with a value beside it 72.
//! A line is one of these:
//!
//! ```text
//! NUMBERED + its number: one of the first lines of the lexicon
//! HIGHER + its number, in two bytes: one of the others
//! the number of the name, a value
//! NAMED, length of the name in two bytes, the name, a value
//! ```
//!
//! and a value one of these:
//!
//! ```text
//! its length, up to SHORT; that many bytes
//! LONG, length in two bytes; that many bytes
//! DATE, four bytes: seconds since 1970, for a date that is written as all are
//! ```

use std::borrow::Cow;
use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::allocator::allocated;
use crate::policy::validation::{LastModified, Validators};
use crate::policy::{EntityTag, fields};
use crate::store::dates;
use crate::store::lexicon::{self, Line};

/// From here up to [`HIGHER`]: a line that has a number in the lexicon.
const NUMBERED: u8 = 0x80;
/// From here on: one that has a number that takes two bytes.
const HIGHER: u8 = 0xc0;
/// For the number of a name: it has none, and stands here itself.
const NAMED: u8 = 0x7f;
/// The largest length of a value that is one byte.
const SHORT: u8 = 0xfd;
const LONG: u8 = 0xfe;
const DATE: u8 = 0xff;
/// Few heads take more bytes than this once they are packed; those that do may.
const USUAL: usize = 256;

/// Packed fields in an allocation of their own, until they lie in that of an entry.
#[derive(Clone, Debug)]
pub struct PackedFields(
    /// INVARIANT: lines as [`PackedFields::pack`] writes them.
    Box<[u8]>,
);

/// Fields to be read, wherever they are kept.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(
    /// INVARIANT: those of some [`PackedFields`].
    &'a [u8],
);

impl PackedFields {
    pub(super) fn pack<'a>(
        fields: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    ) -> Option<Self> {
        let mut packed = Vec::with_capacity(USUAL);
        for (name, value) in fields {
            if let Some(number) = lexicon::number_of_line(name, value) {
                push_number(&mut packed, number);
                continue;
            }
            push_name(&mut packed, name)?;
            push_value(&mut packed, value.as_bytes())?;
        }
        // A copy: to give back what of the room was not taken would cost more.
        Some(Self(Box::from(&packed[..])))
    }

    /// Bytes that they take beside this handle.
    pub(super) fn size(&self) -> usize {
        allocated(self.0.len())
    }

    /// To read them.
    pub fn view(&self) -> Fields<'_> {
        Fields(&self.0)
    }

    /// As they are packed.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Fields<'a> {
    /// `packed` is what [`PackedFields::as_bytes`] was.
    pub(super) fn of(packed: &'a [u8]) -> Self {
        Self(packed)
    }

    /// To keep them elsewhere.
    pub(super) fn to_packed(self) -> PackedFields {
        PackedFields(self.0.into())
    }

    /// Number of field lines.
    pub fn len(&self) -> usize {
        self.lines().count()
    }

    /// No fields at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first line of a field.
    pub fn get(&self, name: &HeaderName) -> Option<HeaderValue> {
        self.lines()
            .find(|line| line.name() == name)
            .and_then(|line| HeaderValue::from_bytes(&line.bytes()).ok())
    }

    /// What a response with them can be validated by. The same as [`Validators::of`] the fields.
    pub(super) fn validators(&self) -> Validators {
        let mut told = Validators::default();
        let (mut etags, mut modified, mut dates) = (0, 0, 0);
        for line in self.lines() {
            match *line.name() {
                header::ETAG => {
                    told.etag = EntityTag::new(&line.bytes());
                    etags += 1;
                }
                header::LAST_MODIFIED => {
                    told.last_modified = line.last_modified();
                    modified += 1;
                }
                header::DATE => {
                    told.date = line.date();
                    dates += 1;
                }
                _ => {}
            }
        }
        // What several lines say together is not for this place to know.
        if etags.max(modified).max(dates) > 1 { Validators::of(&self.to_map()) } else { told }
    }

    /// Appends all fields, in order.
    pub fn write_to(&self, out: &mut HeaderMap) {
        for line in self.lines() {
            match line {
                Packed::Shared(line) => {
                    out.append(line.name.clone(), line.value.clone());
                }
                Packed::Own(name, value) => {
                    if let Some(value) = value.to_value() {
                        out.append(name.into_owned(), value);
                    }
                }
            }
        }
    }

    /// All fields.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        self.write_to(&mut map);
        map
    }

    fn lines(&self) -> Lines<'a> {
        Lines(self.0)
    }
}

/// A line as it is packed.
enum Packed<'a> {
    Shared(&'static Line),
    Own(Cow<'static, HeaderName>, Value<'a>),
}

/// A value as it is packed.
#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a [u8]),
    /// Seconds since 1970.
    Date(u32),
}

impl Packed<'_> {
    fn name(&self) -> &HeaderName {
        match self {
            Self::Shared(line) => &line.name,
            Self::Own(name, _) => name,
        }
    }

    fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Shared(line) => Cow::Borrowed(line.value.as_bytes()),
            Self::Own(_, Value::Text(text)) => Cow::Borrowed(text),
            Self::Own(_, Value::Date(seconds)) => Cow::Owned(dates::value(*seconds).as_bytes().to_vec()),
        }
    }

    fn last_modified(&self) -> Option<LastModified> {
        match self {
            Self::Own(_, Value::Date(seconds)) => Some(LastModified::usual(dates::time(*seconds))),
            other => LastModified::new(&other.bytes()),
        }
    }

    fn date(&self) -> Option<SystemTime> {
        match self {
            Self::Own(_, Value::Date(seconds)) => Some(dates::time(*seconds)),
            other => fields::http_date(&other.bytes()),
        }
    }
}

impl Value<'_> {
    /// A copy: a slice would need an owner, which takes more time than a copy of something short, and more room in every head.
    fn to_value(self) -> Option<HeaderValue> {
        match self {
            // It was a field value when it was packed, so it still is one.
            Self::Text(text) => HeaderValue::from_bytes(text).ok(),
            Self::Date(seconds) => Some(dates::value(seconds)),
        }
    }
}

/// Lines yet to be read. It ends where nothing is left, and would where it cannot be read.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = Packed<'a>;

    fn next(&mut self) -> Option<Packed<'a>> {
        let first = *self.take(1)?.first()?;
        if first >= NUMBERED {
            let number = match first.checked_sub(HIGHER) {
                None => (first - NUMBERED).into(),
                Some(upper) => u16::from_be_bytes([upper, *self.take(1)?.first()?]),
            };
            return lexicon::line(number).map(Packed::Shared);
        }
        let name = if first == NAMED {
            let len = self.length()?;
            Cow::Owned(HeaderName::from_bytes(self.take(len)?).ok()?)
        } else {
            Cow::Borrowed(lexicon::name(first)?)
        };
        Some(Packed::Own(name, self.value()?))
    }
}

impl<'a> Lines<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        Some(u16::from_be_bytes(*self.take(2)?.first_chunk()?).into())
    }

    fn value(&mut self) -> Option<Value<'a>> {
        let len = match *self.take(1)?.first()? {
            DATE => return Some(Value::Date(u32::from_be_bytes(*self.take(4)?.first_chunk()?))),
            LONG => self.length()?,
            short => short.into(),
        };
        self.take(len).map(Value::Text)
    }
}

fn push_number(packed: &mut Vec<u8>, number: u16) {
    match u8::try_from(number) {
        Ok(number) if number < HIGHER - NUMBERED => packed.push(NUMBERED + number),
        // There are far less than would reach beyond the byte.
        _ => packed.extend_from_slice(&(number | u16::from(HIGHER) << 8).to_be_bytes()),
    }
}

fn push_name(packed: &mut Vec<u8>, name: &HeaderName) -> Option<()> {
    if let Some(number) = lexicon::number_of_name(name) {
        packed.push(number);
        return Some(());
    }
    let name = name.as_str().as_bytes();
    packed.push(NAMED);
    packed.extend_from_slice(&u16::try_from(name.len()).ok()?.to_be_bytes());
    packed.extend_from_slice(name);
    Some(())
}

fn push_value(packed: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    if let Some(seconds) = dates::seconds(value) {
        packed.push(DATE);
        packed.extend_from_slice(&seconds.to_be_bytes());
        return Some(());
    }
    match u8::try_from(value.len()) {
        Ok(len) if len <= SHORT => packed.push(len),
        _ => {
            packed.push(LONG);
            packed.extend_from_slice(&u16::try_from(value.len()).ok()?.to_be_bytes());
        }
    }
    packed.extend_from_slice(value);
    Some(())
}

#[cfg(test)]
mod tests;
