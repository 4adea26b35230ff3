//! Larder: an HTTP reverse caching proxy.
//!
//! # Layout
//!
//! Bottom-up; each module imports only from those above it (`tests/architecture.rs` holds the exact table).
//!
//! | module | is about |
//! |---|---|
//! | [`clock`] | reading time, nothing else does |
//! | [`allocator`] | what it sets aside |
//! | [`table`] | a hash table of words, a look into which waits for memory once |
//! | [`memfile`] | content where the kernel can send it without a copy |
//! | [`policy`] | RFC 9111 as pure functions |
//! | [`config`] | the typed configuration, and what is wrong with a file |
//! | [`telemetry`] | one record per request; metrics and the access log are views of it |
//! | [`key`] | what is sent upstream, as a cache key |
//! | [`route`] | which rules and which upstream take a request |
//! | [`validity`] | the invalidation log: what was purged, since when |
//! | [`store`] | what is stored, and within which bounds |
//! | [`upstream`] | connections to origins, and what can go wrong there |
//! | [`purge`] | a purge, whichever door it came by: understood, authorised, published, audited |
//! | [`request`] | one request, from its head to the last byte of its answer |
//! | [`admin`] | the second listener |
//! | [`server`] | the first one: accepting clients, and what they must not do |
//! | [`app`] | from a configuration to a running Larder |
//! | [`cli`] | the command line |

#![allow(rustdoc::private_intra_doc_links)] // the documentation is built with private items

pub mod admin;
mod allocator;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod key;
pub mod memfile;
pub mod policy;
pub mod purge;
pub mod request;
pub mod route;
pub mod server;
pub mod store;
mod table;
pub mod telemetry;
pub mod upstream;
pub mod validity;
