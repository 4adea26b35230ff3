//! RFC 9111 as pure functions.
//!
//! Nothing here awaits, reads a clock, opens a socket or logs. Time walks in as an argument (mostly as a
//! [`Duration`]: how long a response has been resident), and reasons walk out as values.
//!
//! # The way of a response
//!
//! When its head has come, [`terms`] decides whether it may be stored, and on which [`Terms`] it may be reused
//! later. What is stored with it: those terms, its [`Validators`], and the [`Variant`] of the request that asked
//! for it. When a request finds it, [`Variant::matches`] says whether it is the right one, [`judge`] whether it may
//! be delivered, [`evaluate`] and [`select`] whether as a 304 or as ranges. When it is stale, [`make_conditional`]
//! asks the origin about it, and [`selected_by_304`] and [`freshen`] apply the answer. Unsafe methods end at
//! [`invalidated`] and [`invalidated_groups`].
//!
//! # Layout
//!
//! `syntax` takes field values apart; `fields`, `entity_tag` and `target` hold the newtypes; every other file
//! answers one question of the RFC.
//!
//! # When in doubt
//!
//! Malformed input never grants anything: a lifetime that cannot be read is zero, a restriction that cannot be read
//! holds in full.

use std::time::Duration;

pub mod directives;
pub mod entity_tag;
pub mod fields;
pub mod freshness;
pub mod groups;
pub mod invalidation;
pub mod precondition;
pub mod range;
pub mod reuse;
pub mod storability;
mod syntax;
pub mod target;
pub mod update;
pub mod validation;
pub mod vary;

mod accept;
mod reference;

pub use directives::{RequestDirectives, ResponseDirectives};
pub use entity_tag::EntityTag;
pub use fields::{ensure_date, storable_fields, strip_hop_by_hop};
pub use freshness::Terms;
pub use groups::{groups, invalidated_groups};
pub use invalidation::{invalidated, is_safe};
pub use precondition::{Precondition, evaluate, strip_conditions};
pub use range::{ByteRange, ContentRange, Ranges, select};
pub use reuse::{Reuse, Stored, Why, judge, stale_if_error};
pub use storability::{Exchange, NotStored, terms};
pub use target::Target;
pub use update::{HeadUpdate, freshen, head_update};
pub use validation::{LastModified, Validators, make_conditional, offer_tags, selected_by_304};
pub use vary::{Variant, Vary};

/// What a route lays down about caching, beside what the origin says.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// `false`: nothing is stored and nothing is answered from the store.
    pub cache: bool,
    /// Replaces the freshness lifetime that the origin gave. A response without explicit freshness then counts as
    /// having it if it is `public` or has a status that is cacheable by default (RFC 9110 §15.1), so that a 500 is not
    /// kept by accident. It does not override `no-store`, `private`, `no-cache`.
    pub ttl: Option<Duration>,
    /// The freshness lifetime is at least this, where the origin gave a positive one.
    pub min_ttl: Option<Duration>,
    /// The freshness lifetime is at most this.
    pub max_ttl: Option<Duration>,
    /// Used where the origin gives no `stale-while-revalidate` of its own.
    pub stale_while_revalidate: Option<Duration>,
    /// Used where the origin gives no `stale-if-error` of its own.
    pub stale_if_error: Option<Duration>,
    /// Heuristic freshness (RFC 9111 §4.2.2); off when `None`.
    pub heuristic: Option<Heuristic>,
    /// Whether the client's `Cache-Control` counts. `only-if-cached` always does.
    pub client_cache_control: ClientCacheControl,
    /// Store responses with `Set-Cookie` even though the origin says neither `public` nor `s-maxage`.
    pub allow_set_cookie: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            cache: true,
            ttl: None,
            min_ttl: None,
            max_ttl: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            heuristic: None,
            client_cache_control: ClientCacheControl::Ignore,
            allow_set_cookie: false,
        }
    }
}

/// A share of the time since `Last-Modified`, with a cap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heuristic {
    /// Usually 0.1.
    pub fraction: f32,
    /// The longest heuristic lifetime.
    pub max: Duration,
}

/// Whether a client may make the cache revalidate or bypass it by `Cache-Control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCacheControl {
    /// Only `only-if-cached` counts.
    Ignore,
    /// All directives of RFC 9111 §5.2.1 count.
    Honor,
}
