//! The first listener, through real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ending;
mod guarding;
mod hinting;
mod listening;
mod pipe;
mod raw;
mod rig;
mod serving;
mod together;
