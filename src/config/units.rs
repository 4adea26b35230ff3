//! Durations and sizes as people write them: `30s`, `64MiB`.
//!
//! One number, one unit, nothing else: a file that says `1h` cannot mean anything but an hour. What is nearly
//! right is refused with the spelling that would be right.

use std::time::Duration;

/// The longest duration that a configuration may name: a hundred years.
pub const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// Durations, the longest unit first; in milliseconds.
const DURATIONS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Sizes, the largest binary unit first; in bytes. Binary units render, decimal ones are only read.
const BINARY: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const DECIMAL: [(&str, u64); 5] =
    [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000), ("kB", 1_000)];

/// How else units are written.
const SPELLINGS: [(&str, &[&str]); 10] = [
    ("ms", &["msec", "msecs", "millis", "millisecond", "milliseconds"]),
    ("s", &["sec", "secs", "second", "seconds"]),
    ("m", &["min", "mins", "minute", "minutes"]),
    ("h", &["hr", "hrs", "hour", "hours"]),
    ("d", &["day", "days"]),
    ("B", &["byte", "bytes"]),
    ("KiB", &["k", "ki"]),
    ("MiB", &["m", "mi"]),
    ("GiB", &["g", "gi"]),
    ("TiB", &["t", "ti"]),
];

/// Why a text is no value of the kind asked for, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong, without the place.
    pub what: String,
    /// What would be right.
    pub right: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, right: impl Into<String>) -> Self {
        Self { what: what.into(), right: right.into() }
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.what, self.right)
    }
}

impl std::error::Error for Wrong {}

/// Reads a duration: a whole number and one of `ms`, `s`, `m`, `h`, `d`.
pub fn duration(text: &str) -> Result<Duration, Wrong> {
    const RIGHT: &str = "write a whole number and a unit (ms, s, m, h or d), such as \"30s\"";
    let (digits, unit) = split(text);
    if digits.is_empty() {
        return Err(Wrong::new(format!("`{text}` is not a duration"), RIGHT));
    }
    if unit.is_empty() {
        return Err(Wrong::new(
            format!("`{text}` has no unit"),
            format!("write \"{digits}s\" for seconds, \"{digits}ms\" for milliseconds"),
        ));
    }
    let Some(scale) = scale_of(&DURATIONS, unit) else {
        let right = match nearest_unit(&DURATIONS, unit) {
            Some(near) => format!("write \"{digits}{near}\""),
            None => RIGHT.to_owned(),
        };
        return Err(Wrong::new(format!("`{text}` is not a duration"), right));
    };
    multiply(digits, scale)
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| Wrong::new(format!("`{text}` is too long"), "write at most \"36500d\""))
}

/// Reads a size in bytes: a whole number and one of `B`, `KiB`, `MiB`, `GiB`, `TiB`, `KB`, `MB`, `GB`, `TB`.
pub fn size(text: &str) -> Result<u64, Wrong> {
    const RIGHT: &str = "write a whole number and a unit, such as \"64MiB\"";
    let (digits, unit) = split(text);
    if digits.is_empty() {
        return Err(Wrong::new(format!("`{text}` is not a size"), RIGHT));
    }
    if unit.is_empty() {
        return Err(Wrong::new(
            format!("`{text}` has no unit"),
            format!("write \"{digits}B\" for bytes, \"{digits}MiB\" for mebibytes"),
        ));
    }
    let Some(scale) = scale_of(&BINARY, unit).or_else(|| scale_of(&DECIMAL, unit)) else {
        let right = match nearest_unit(&BINARY, unit).or_else(|| nearest_unit(&DECIMAL, unit)) {
            Some(near) => format!("write \"{digits}{near}\""),
            None => RIGHT.to_owned(),
        };
        return Err(Wrong::new(format!("`{text}` is not a size"), right));
    };
    multiply(digits, scale).ok_or_else(|| Wrong::new(format!("`{text}` is too large"), RIGHT))
}

/// Writes a duration in the longest unit that loses nothing. What is below a millisecond is dropped.
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 { "0s".to_owned() } else { show(&DURATIONS, millis) }
}

/// Writes a size in the largest binary unit that loses nothing.
pub fn show_size(bytes: u64) -> String {
    if bytes == 0 { "0B".to_owned() } else { show(&BINARY, bytes) }
}

fn show(units: &[(&str, u64)], amount: u64) -> String {
    match units.iter().find(|(_, scale)| amount.is_multiple_of(*scale)) {
        Some((unit, scale)) => format!("{}{unit}", amount / scale),
        None => amount.to_string(),
    }
}

/// The digits in front, and the rest without the blanks around it.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn scale_of(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

/// The unit that was probably meant by `30 s`, `5min`, `64M` or `1gb`.
fn nearest_unit(units: &[(&'static str, u64)], unit: &str) -> Option<&'static str> {
    let unit = unit.trim().to_ascii_lowercase();
    let known = |name: &str| units.iter().any(|(unit, _)| *unit == name);
    let same = units.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(&unit));
    same.or_else(|| {
        let spellings = SPELLINGS.iter().filter(|(name, _)| known(name));
        spellings.filter(|(_, words)| words.contains(&unit.as_str())).map(|(name, _)| *name).next()
    })
}

fn multiply(digits: &str, scale: u64) -> Option<u64> {
    digits.parse::<u64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("200ms", 200),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("7d", 604_800_000),
            ("0s", 0),
            ("0030s", 30_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_nearly_a_duration_is_refused_with_what_would_be_right() {
        for (text, right) in [
            ("30", "write \"30s\" for seconds"),
            ("30 s", "write \"30s\""),
            ("30sec", "write \"30s\""),
            ("5min", "write \"5m\""),
            ("200msec", "write \"200ms\""),
            ("2 days", "write \"2d\""),
            ("1H", "write \"1h\""),
            ("1.5s", "a whole number"),
            ("-1s", "a whole number"),
            ("1h30m", "a whole number"),
            ("", "a whole number"),
            ("s", "a whole number"),
            ("36501d", "at most \"36500d\""),
            ("99999999999999999999d", "at most"),
        ] {
            let wrong = duration(text).unwrap_err();
            assert!(wrong.right.contains(right), "{text}: {wrong}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("1GB", 1_000_000_000),
            ("1GiB", 1 << 30),
            ("4KiB", 4096),
            ("10kB", 10_000),
            ("10KB", 10_000),
            ("17B", 17),
            ("0B", 0),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_nearly_a_size_is_refused_with_what_would_be_right() {
        for (text, right) in [
            ("64", "write \"64B\" for bytes"),
            ("64M", "write \"64MiB\""),
            ("64 MiB", "write \"64MiB\""),
            ("64mib", "write \"64MiB\""),
            ("1g", "write \"1GiB\""),
            ("100 bytes", "write \"100B\""),
            ("1.5GiB", "a whole number"),
            ("99999999999TiB", "a whole number"),
        ] {
            let wrong = size(text).unwrap_err();
            assert!(wrong.right.contains(right), "{text}: {wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_shown_duration_reads_as_itself(millis in 0..=LONGEST.as_millis() as u64) {
            let duration_ = Duration::from_millis(millis);
            prop_assert_eq!(duration(&show_duration(duration_)), Ok(duration_));
        }

        #[test]
        fn a_round_duration_reads_as_itself(n in 0_u64..10_000, unit in 0_usize..5) {
            let duration_ = Duration::from_millis(n * DURATIONS[unit].1);
            prop_assert_eq!(duration(&show_duration(duration_)), Ok(duration_));
        }

        #[test]
        fn a_shown_size_reads_as_itself(bytes in any::<u64>(), shift in 0_u32..64) {
            let bytes = bytes >> shift;
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*", digits in "[0-9]{0,25}", unit in "[a-zA-Z ]{0,4}") {
            let _ = (duration(&text), size(&text));
            let text = format!("{digits}{unit}");
            let _ = (duration(&text), size(&text));
        }
    }
}
