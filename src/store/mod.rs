//! What is stored, and within which bounds.
//!
//! - [`budget`]: the hard ceiling. Every byte that is held is charged, and the charge lives with the bytes, in one `block`.
//! - [`body`]: content that is read while it fills; [`sealed`]: content that is complete.
//! - [`head`], [`entry`]: a stored response; `lexicon`: what heads have in common; `dates`, `span`: times, packed.
//! - [`memory`]: the tier that finds it again; `pressure` calls for room before there is none.
//! - [`reclaim`]: frees what purges have killed and what has outlived its use; `heat`: how much a response is asked for.

mod block;
pub mod body;
pub mod budget;
mod dates;
pub mod entry;
pub mod head;
mod heat;
mod lexicon;
pub mod memory;
mod pressure;
pub mod reclaim;
pub mod sealed;
mod span;

pub use body::{Abandoned, Body, BodyError, Limits, NOT_SEALED, NotSealed, Reader, Writer, fill};
pub use budget::{Budget, Charge};
pub use entry::{Entry, Extent, NewEntry};
pub use head::Head;
pub use memory::{Committed, Figures, Resource, Store, Stored};
pub use reclaim::Reclaiming;
pub use sealed::Sealed;
