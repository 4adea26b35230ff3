//! One place for every purge, whichever door it came by.
//!
//! ```text
//! POST /purge, JSON ──▶ json ──┐
//! POST /purge, form ──▶ form ──┼──▶ Purge ──▶ Purger::run ──▶ Done
//! PURGE, fields ──────▶ fields ┘              publish, count, audit, remember
//! ```
//!
//! - [`Purge`]: what is asked for, with every target in the form that stored responses are known by
//! - [`Rights`]: who may ask, by token or by address
//! - [`Purger`]: publishes it to the [log](crate::validity), and only then lets the caller answer
//!
//! Not here: statuses and problem documents, which the doors make of [`Fault`] and [`Denied`]; fetching anew what a soft
//! purge has made stale.

mod draft;
mod fields;
mod form;
mod json;
mod purger;
mod recent;
mod rights;
mod target;

use std::fmt;

pub use purger::{Done, Purger};
pub use recent::Recent;
pub use rights::{Denied, Rights, Who};
pub use target::Target;

/// The detail of an answer that says what was purged.
pub const PURGED: &str = "purged";
/// The detail of an answer to a request that could not be understood.
pub const MALFORMED: &str = "purge-malformed";

/// Every reason that this room gives, for the test that names are unique.
pub const REASONS: [&str; 6] = [
    PURGED,
    MALFORMED,
    Denied::TokenMissing.reason(),
    Denied::TokenWrong.reason(),
    Denied::NotAllowed.reason(),
    Denied::TooManyFailures.reason(),
];

/// A purge to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// At least one.
    pub targets: Vec<Target>,
    /// Stale from now on, instead of dead.
    pub soft: bool,
    /// Only tell what would be hit.
    pub dry_run: bool,
    /// How many of the entries that a soft purge hits are to be fetched anew at once.
    pub refresh: Option<usize>,
}

/// How much a purge may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most targets.
    pub targets: usize,
    /// What `refresh` amounts to, in entries.
    pub refresh: usize,
}

/// Why a purge cannot be understood: a sentence without a full stop that says what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(String);

impl Fault {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl Purge {
    /// Reads a JSON object: `{"tags": ["product-42"], "soft": true}`.
    ///
    /// # Errors
    ///
    /// It is not one, has a key or a value that is not known, or names no target or too many.
    pub fn from_json(content: &[u8], limits: Limits) -> Result<Self, Fault> {
        json::parse(content)?.finish(limits)
    }

    /// Reads `application/x-www-form-urlencoded`: `tag=product-42&soft=1`.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json).
    pub fn from_form(content: &[u8], limits: Limits) -> Result<Self, Fault> {
        form::parse(content)?.finish(limits)
    }

    /// Reads the fields of a `PURGE` request for `authority` and `path_and_query`: its tags, or else that URL.
    ///
    /// # Errors
    ///
    /// A field has a value that is not known, or there are too many tags.
    pub fn from_request(
        authority: &str,
        path_and_query: &str,
        fields: &http::HeaderMap,
        limits: Limits,
    ) -> Result<Self, Fault> {
        fields::parse(authority, path_and_query, fields)?.finish(limits)
    }
}
