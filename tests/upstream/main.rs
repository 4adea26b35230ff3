//! Connections to origins, through real sockets.

// Clippy lets these pass in test functions, but not in what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod connecting;
mod framing;
mod hinting;
mod origin;
#[path = "../server/pipe.rs"]
mod pipe;
mod requesting;
mod rig;
mod securing;
mod timing;
