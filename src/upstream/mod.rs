//! Origins: connections, timeouts, and what can go wrong on the way.

mod body;
mod connect;
mod failure;
mod limits;
mod send;

pub use body::{BodyFailure, RequestBody, ResponseBody};
pub use connect::SetupError;
pub use failure::Failure;
pub use limits::SharedLimits;
pub use send::{OnHints, Upstreams};
