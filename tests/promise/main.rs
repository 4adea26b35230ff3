//! Promise 1 under test: once a purge has been answered, nothing that was fetched before it is served to whoever asks
//! afterwards. (The log itself is put under a model checker where it lives, in `src/validity`.)
//!
//! | file | tries to break it by |
//! |---|---|
//! | `model` | thousands of random, replayable interleavings, judged by a reference model of one page |
//! | `soak` | real threads, real time, and an origin that counts |
//! | `traps` | what other caches fell into, one test each |
//!
//! `tests/mutants` holds ways to break Larder by a line or two; `scripts/mutants` shows that each is noticed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by them

#[allow(unreachable_pub)] // Public to the tests.
#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)] // The behaviour tests use all of it.
#[path = "../behaviour/proxy.rs"]
mod proxy;

mod model;
mod purging;
mod random;
mod soak;
mod traps;
