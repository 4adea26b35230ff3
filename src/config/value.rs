//! From a TOML value to a value of ours.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use globset::GlobMatcher;
use http::{HeaderName, Method};
use ipnet::IpNet;
use toml::de::DeValue;

use super::reference::{Key, Kind, one_of};
use super::units::{self, Wrong};
use super::{Origin, address, pattern, suggest};

/// What a key can hold.
pub(super) trait Value: Sized {
    /// `key` says which kind is asked for, and its limits.
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong>;
}

impl Value for bool {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        value.as_bool().ok_or_else(|| mistyped(value, key))
    }
}

impl Value for Duration {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        let duration = units::duration(text(value, key)?)?;
        within(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), key)?;
        Ok(duration)
    }
}

impl Value for u64 {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        let number = match value {
            DeValue::Integer(integer) => u64::from_str_radix(integer.as_str(), integer.radix())
                .map_err(|_| beyond(&integer.to_string(), key))?,
            DeValue::String(size) if key.kind == Kind::Size => units::size(size)?,
            other => return Err(mistyped(other, key)),
        };
        within(number, key)?;
        Ok(number)
    }
}

impl Value for usize {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        let number = u64::read(value, key)?;
        usize::try_from(number)
            .map_err(|_| Wrong::new(format!("{number} is out of range"), "it must be smaller"))
    }
}

impl Value for f32 {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        let number = match value {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            other => return Err(mistyped(other, key)),
        };
        let number: f32 = number.parse().map_err(|_| mistyped(value, key))?;
        if number > 0.0 && number <= 1.0 {
            return Ok(number);
        }
        Err(Wrong::new(format!("{number} is out of range"), format!("it must be {}", key.kind.describe())))
    }
}

impl Value for String {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        let text = text(value, key)?;
        match key.kind {
            Kind::Token => pattern::token(text),
            Kind::Host => pattern::host(text),
            Kind::HostPattern => pattern::host_pattern(text),
            Kind::Authority => pattern::authority(text),
            Kind::Filter => pattern::filter(text),
            Kind::Choice(words) => choice(text, words),
            _ => Ok(text.to_owned()),
        }
    }
}

impl Value for PathBuf {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        match text(value, key)? {
            "" => Err(Wrong::new("it is empty", format!("it must be {}", key.kind.describe()))),
            path => Ok(PathBuf::from(path)),
        }
    }
}

impl Value for SocketAddr {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        address::listen(text(value, key)?)
    }
}

impl Value for Option<SocketAddr> {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        match text(value, key)? {
            "off" => Ok(None),
            address => address::listen(address).map(Some),
        }
    }
}

impl Value for IpNet {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        address::network(text(value, key)?)
    }
}

impl Value for Origin {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        address::origin(text(value, key)?)
    }
}

impl Value for Method {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        pattern::method(text(value, key)?)
    }
}

impl Value for HeaderName {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        pattern::field_name(text(value, key)?)
    }
}

impl Value for GlobMatcher {
    fn read(value: &DeValue<'_>, key: &Key) -> Result<Self, Wrong> {
        pattern::path_glob(text(value, key)?)
    }
}

/// A value of the wrong type, with the right spelling where it is plain what was meant.
pub(super) fn mistyped(value: &DeValue<'_>, key: &Key) -> Wrong {
    let right = match (key.kind, value) {
        (Kind::Duration, DeValue::Integer(number)) => {
            format!("write \"{number}s\" for seconds, \"{number}ms\" for milliseconds")
        }
        (Kind::Flag | Kind::Heuristic, DeValue::String(word)) if matches!(&**word, "true" | "false") => {
            format!("write {word} without quotes")
        }
        (Kind::Count, DeValue::String(number)) if number.parse::<u64>().is_ok() => {
            format!("write {number} without quotes")
        }
        _ => format!("it must be {}", key.kind.describe()),
    };
    Wrong::new(format!("it cannot be {}", type_of(value)), right)
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a bare number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn text<'a>(value: &'a DeValue<'_>, key: &Key) -> Result<&'a str, Wrong> {
    value.as_str().ok_or_else(|| mistyped(value, key))
}

/// Whether a number is within the limits of its key.
pub(super) fn within(number: u64, key: &Key) -> Result<(), Wrong> {
    let (least, most) = key.limits;
    if (least..=most).contains(&number) {
        return Ok(());
    }
    let shown = key.kind.show(number);
    Err(if number < least { too_little(&shown, key) } else { too_much(&shown, key) })
}

/// A number that does not even fit: below zero, or beyond 64 bits.
fn beyond(shown: &str, key: &Key) -> Wrong {
    if shown.starts_with('-') { too_little(shown, key) } else { too_much(shown, key) }
}

fn too_little(shown: &str, key: &Key) -> Wrong {
    Wrong::new(
        format!("{shown} is too little"),
        format!("it must be at least {}", key.kind.show(key.limits.0)),
    )
}

fn too_much(shown: &str, key: &Key) -> Wrong {
    Wrong::new(format!("{shown} is too much"), format!("it must be at most {}", key.kind.show(key.limits.1)))
}

fn choice(text: &str, words: &'static [&'static str]) -> Result<String, Wrong> {
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let right = match suggest::nearest(text, words.iter().copied()) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None => format!("it must be {}", one_of(words)),
    };
    Err(Wrong::new(format!("`{text}` is not known"), right))
}
