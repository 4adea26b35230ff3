//! What the behaviour tests are written with: an origin that does exactly as told, and a client that says and
//! reads exact bytes. Neither uses an HTTP library, so that both can misbehave, and so that a mistake in such a
//! library cannot hide itself. Nothing here knows Larder.
//!
//! ```ignore
//! let origin = Origin::start();
//! origin.on("/a").respond(ok("hello").field("Cache-Control", "max-age=60"));
//! let answer = Client::to(origin.addr()).get("/a");
//! assert_eq!(answer.text(), "hello");
//! assert_eq!(origin.requests().len(), 1);
//! ```
//!
//! Nothing sleeps in the hope that something will have happened by then: what must wait, waits for a [`Gate`],
//! for bytes, or for the origin to have seen something. Every wait is bounded by [`PATIENCE`] and fails the test.

#![allow(dead_code, unused_imports)] // each test binary uses a part of it

mod answer;
mod cache_status;
mod client;
mod gate;
mod origin;
mod wire;

use std::time::Duration;

pub use answer::{Act, Answer, answer, early_hints, moved, nothing, ok, pieces, problem, raw, unchanged};
pub use cache_status::CacheStatus;
pub use client::{Answered, Ask, Client, Connection, Exchange};
pub use gate::Gate;
pub use origin::{Origin, Seen};
pub use wire::{Cut, Fields, Framing, Head, Wire};

/// How long anything may take that should take no time at all.
pub const PATIENCE: Duration = Duration::from_secs(20);
