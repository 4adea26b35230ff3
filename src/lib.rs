//! Larder: an HTTP reverse caching proxy.
//!
//! # Layout
//!
//! Modules are listed bottom-up; each may import only those above it (the exact table stands in
//! `tests/architecture.rs`).

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod key;
pub mod policy;
pub mod request;
pub mod route;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod validity;
