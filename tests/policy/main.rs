//! The policy room, by table and by property.
//!
//! `fixtures/policy/*.toml` has one file per area and one row per rule, each with its section of the RFC. A row's
//! fields are `"Name: value"`; `{-30}` in one is the HTTP-date 30 seconds before the response was received.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answering;
mod properties;
mod reasons;
mod reusing;
mod sheet;
mod storing;
