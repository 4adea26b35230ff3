//! The ways to a [`Config`]: a file, a text, or nothing but options.

use std::net::SocketAddr;
use std::path::Path;

use toml::de::DeTable;

use super::fault::{Fault, Faults, Place};
use super::read::{Document, Notes};
use super::reference::CACHE;
use super::units::Wrong;
use super::value::within;
use super::{Config, Origin, Token, file, token, validate};

/// What the command line puts in place of a file's values.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// In place of `server.listen`, unless empty.
    pub listen: Vec<SocketAddr>,
    /// In place of the servers of the only upstream, unless empty; makes one if there is none.
    pub origins: Vec<Origin>,
    /// In place of `admin.listen`.
    pub admin: Option<SocketAddr>,
    /// In place of `cache.memory`, in bytes.
    pub memory: Option<u64>,
    /// In place of `server.threads`.
    pub threads: Option<usize>,
    /// Beside those of `purge.token_file`.
    pub token: Option<Token>,
}

impl Overrides {
    /// What the environment adds: the token in `LARDER_TOKEN`.
    ///
    /// # Errors
    ///
    /// It is set, and not to a token.
    pub fn from_environment() -> Result<Self, Faults> {
        let faulty = |wrong: Wrong| {
            let fault = Fault { place: Place::Whole, what: wrong.what, right: Some(wrong.right) };
            Faults::new("environment", "", vec![fault])
        };
        Ok(Self { token: token::from_environment().map_err(faulty)?, ..Self::default() })
    }
}

impl Config {
    /// Reads a file. Relative paths in it start from its directory; files that it names must be readable.
    pub fn from_file(path: &Path) -> Result<Self, Faults> {
        Self::load(path, &Overrides::default())
    }

    /// Reads a file, with values replaced.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, Faults> {
        let name = path.display().to_string();
        let text = std::fs::read(path)
            .map_err(|error| format!("it cannot be read: {error}"))
            .and_then(|bytes| {
                String::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {}", error.utf8_error()))
            })
            .map_err(|what| Faults::new(&name, "", vec![Fault { place: Place::Whole, what, right: None }]))?;
        read(&name, &text, overrides, path.parent())
    }

    /// Reads a text; `name` is what faults call it. Files that it names are not looked at.
    pub fn from_str(name: &str, text: &str) -> Result<Self, Faults> {
        read(name, text, &Overrides::default(), None)
    }

    /// Whether a ceiling in bytes may be given to [`Overrides::memory`].
    pub fn check_memory(bytes: u64) -> Result<(), Wrong> {
        CACHE.key("memory").map_or(Ok(()), |key| within(bytes, key))
    }

    /// Everything by default, in front of these origins.
    pub fn for_origins(origins: &[Origin], overrides: &Overrides) -> Result<Self, Faults> {
        let overrides = Overrides { origins: origins.to_vec(), ..overrides.clone() };
        read("configuration", "", &overrides, None)
    }
}

/// `directory` is where relative paths start; `None`: they stay as they are, and files are not looked at.
fn read(name: &str, text: &str, overrides: &Overrides, directory: Option<&Path>) -> Result<Config, Faults> {
    let root = DeTable::parse(text).map_err(|error| Faults::new(name, text, vec![no_toml(text, &error)]))?;

    let notes = Notes::default();
    let document = Document::open(root.get_ref(), &notes);
    let mut config = file::read(&document, &notes, overrides, directory.unwrap_or(Path::new("")));
    validate::check(&config, &notes);
    if directory.is_some() {
        validate::check_files(&config, &notes);
    }
    validate::complete(&mut config);

    match notes.into_faults() {
        faults if faults.is_empty() => Ok(config),
        faults => Err(Faults::new(name, text, faults)),
    }
}

/// A text that is no TOML has one fault: what follows it cannot be told.
fn no_toml(text: &str, error: &toml::de::Error) -> Fault {
    let span = error.span().unwrap_or(text.len()..text.len());
    let what = error.message().trim_end_matches(", expected nothing").to_owned();
    let right = if what == "duplicate key" {
        Some("keep one of the two".to_owned())
    } else {
        let line = text.get(..span.start).map_or(0, |before| before.matches('\n').count());
        text.lines().nth(line).and_then(quoted)
    };
    Fault { place: Place::Text(span), what, right }
}

/// `key = value` with the quotes that a text needs; by far the commonest slip.
fn quoted(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let (key, value) = (key.trim(), value.split('#').next().unwrap_or(value).trim());
    let is_bare = !value.is_empty() && !value.contains(['"', '\'', '[', ']', '{', '}', '\\']);
    is_bare.then(|| format!("a text stands in quotes: {key} = \"{value}\""))
}
