//! The proxy's behaviour as an exact and hostile outsider sees it: through sockets, in whole processes of one proxy,
//! one origin and some clients. Each area has its file, each test says in its name what holds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by them

#[allow(unreachable_pub)] // Public to the tests.
#[path = "../support/mod.rs"]
mod support;

mod bad_client;
mod bad_origin;
mod coalescing;
mod fields;
mod freshness;
mod garbled;
mod groups;
mod hits;
mod invalidation;
mod limits;
mod long;
mod passing;
mod peers;
mod preconditions;
mod proxy;
mod purge_command;
mod purge_rights;
mod purging;
mod ranges;
mod reclaiming;
mod refreshing;
mod routing;
mod seeing;
mod softening;
mod stale;
mod starting;
mod tags;
mod tls;
mod validation;
mod vary;
