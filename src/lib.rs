//! Larder: an HTTP reverse caching proxy.
//!
//! # Layout
//!
//! Modules are listed bottom-up; each may import only those above it (the exact table stands in
//! `tests/architecture.rs`).

pub mod clock;
pub mod policy;
pub mod config;
pub mod telemetry;
pub mod key;
pub mod route;
pub mod validity;
pub mod store;
pub mod upstream;
pub mod request;
pub mod admin;
pub mod server;
pub mod app;
pub mod cli;
