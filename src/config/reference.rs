//! Every key there is: its kind, its default and what it does, in one table.
//!
//! The reader takes defaults, limits and suggestions from here, and `config.example.toml` is rendered from here, so
//! that the program and its documentation cannot disagree.

mod example;
mod tables;

pub use example::render_example;
pub(super) use tables::{ADMIN, CACHE, HEURISTIC, LOG, PURGE, ROUTE, SERVER, TABLES, UPSTREAM};

use super::units;

/// A table of the file, with its keys.
#[derive(Debug)]
pub struct Table {
    /// As in `[server]`.
    pub name: &'static str,
    /// Whether it is written `[[name]]`, any number of times.
    pub repeated: bool,
    /// One sentence or two.
    pub doc: &'static str,
    /// In the order in which the reference shows them.
    pub keys: &'static [Key],
}

impl Table {
    /// With its brackets.
    pub fn header(&self) -> String {
        if self.repeated { format!("[[{}]]", self.name) } else { format!("[{}]", self.name) }
    }

    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Within its table.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds without it.
    pub default: Default,
    /// One sentence or two.
    pub doc: &'static str,
    /// Inclusive: counts as such, sizes in bytes, durations in milliseconds.
    pub limits: (u64, u64),
    /// What it is called elsewhere, for suggestions.
    pub aliases: &'static [&'static str],
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count,
    /// `"30s"`.
    Duration,
    /// `"64MiB"`, or a number of bytes.
    Size,
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An RFC 9110 token that begins with a letter.
    Token,
    /// A filter of the process log.
    Filter,
    /// A path in the file system.
    File,
    /// `"127.0.0.1:8080"`.
    Address,
    /// An address or `"off"`.
    AddressOrOff,
    /// `"10.0.0.0/8"`.
    Network,
    /// `"http://127.0.0.1:3000"`.
    Origin,
    /// `"api.example.com"`, nothing more.
    Host,
    /// What goes into a `Host` field.
    Authority,
    /// `"api.example.com"`, `"*.example.com"`.
    HostPattern,
    /// `"/api/**"`.
    PathGlob,
    /// `"GET"`.
    Method,
    /// `"Cache-Tag"`.
    FieldName,
    /// `true`, `false` or `{ fraction = 0.1, max = "1d" }`.
    Heuristic,
    /// A share between 0 and 1.
    Fraction,
}

impl Kind {
    /// What the key must be, as the end of a sentence.
    pub fn describe(self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Count => "a whole number".to_owned(),
            Self::Duration => "a duration such as \"30s\"".to_owned(),
            Self::Size => "a size such as \"64MiB\"".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Choice(words) => one_of(words),
            Self::Token => {
                "a name that begins with a letter and goes on with letters, digits and `-._`".to_owned()
            }
            Self::Filter => "a log filter such as \"info\" or \"larder=debug\"".to_owned(),
            Self::File => "a path in the file system".to_owned(),
            Self::Address => "an address such as \"127.0.0.1:8080\"".to_owned(),
            Self::AddressOrOff => "an address such as \"127.0.0.1:8081\", or \"off\"".to_owned(),
            Self::Network => "a network such as \"10.0.0.0/8\"".to_owned(),
            Self::Origin => "an origin such as \"http://127.0.0.1:3000\"".to_owned(),
            Self::Host => "a host such as \"api.example.com\"".to_owned(),
            Self::Authority => "a host such as \"api.example.com\", with or without a port".to_owned(),
            Self::HostPattern => "a host such as \"api.example.com\" or \"*.example.com\"".to_owned(),
            Self::PathGlob => "a path such as \"/api/**\"".to_owned(),
            Self::Method => "a method such as \"GET\"".to_owned(),
            Self::FieldName => "the name of a field such as \"Cache-Tag\"".to_owned(),
            Self::Heuristic => "true, false or { fraction = 0.1, max = \"1d\" }".to_owned(),
            Self::Fraction => "a number above 0, at most 1".to_owned(),
        }
    }

    /// A number within [`Key::limits`], as it is written in a file.
    pub fn show(self, number: u64) -> String {
        match self {
            Self::Duration => units::show_duration(std::time::Duration::from_millis(number)),
            Self::Size => units::show_size(number),
            _ => number.to_string(),
        }
    }
}

/// `"a", "b" or "c"`.
pub(super) fn one_of(words: &[&str]) -> String {
    let mut out = String::new();
    for (at, word) in words.iter().enumerate() {
        out.push_str(match at {
            0 => "",
            _ if at + 1 == words.len() => " or ",
            _ => ", ",
        });
        out.push_str(&format!("\"{word}\""));
    }
    out
}

/// What holds where a key is not set.
#[derive(Clone, Copy, Debug)]
pub enum Default {
    /// This value, in TOML.
    Is(&'static str),
    /// Nothing; what that means, and a value that could be set, in TOML.
    Unset {
        /// What holds instead, as in "Default: ...".
        meaning: &'static str,
        /// In TOML.
        example: &'static str,
    },
    /// What the machine or another key suggests.
    Computed {
        /// From what, as in "Default: ...".
        meaning: &'static str,
        /// In TOML.
        example: &'static str,
    },
    /// Nothing would be right: it must be set, for example like this, in TOML.
    Required {
        /// In TOML.
        example: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_documented() {
        for table in TABLES {
            for (at, key) in table.keys.iter().enumerate() {
                let path = format!("{}.{}", table.name, key.name);
                assert!(!table.keys[..at].iter().any(|other| other.name == key.name), "{path} twice");
                assert!(key.doc.ends_with('.') || key.doc.ends_with(')'), "{path}: {:?}", key.doc);
                assert!(key.limits.0 <= key.limits.1, "{path}");
                assert!(!key.aliases.contains(&key.name), "{path}");
            }
        }
    }

    #[test]
    fn choices_read_as_a_sentence() {
        assert_eq!(one_of(&["off", "text", "json"]), "\"off\", \"text\" or \"json\"");
        assert_eq!(one_of(&["on"]), "\"on\"");
    }
}
