//! What is stored, and within which bounds.
//!
//! - [`budget`]: the hard ceiling. Every byte that is held is charged, and the charge lives with the bytes, in a `block` or in a [`record`].
//! - [`piece`]: what is handed on of it, without copying.
//! - [`body`]: content that is read while it fills; [`sealed`]: content that is complete.
//! - [`head`], [`entry`], [`record`]: a stored response; [`fields`]: its fields, packed; `lexicon`: what heads have in common; `dates`, `span`: times, packed.
//! - [`memory`]: the tier that finds it again: [`resource`], what is stored under one key, and `index`, all of them by key.
//! - `eviction`: what goes when there is too much; `ghosts`: what went not long ago; `heat`: how much a response is asked for; `pressure` calls for room before
//!   there is none.
//! - [`reclaim`]: frees what purges have killed and what has outlived its use.

mod block;
pub mod body;
pub mod budget;
mod dates;
pub mod entry;
mod eviction;
pub mod fields;
mod ghosts;
pub mod head;
mod heat;
mod index;
mod lexicon;
pub mod memory;
pub mod piece;
mod prefetch;
mod pressure;
pub mod reclaim;
pub mod record;
pub mod resource;
pub mod sealed;
mod span;

pub use body::{Abandoned, Body, BodyError, Limits, NOT_SEALED, NotSealed, Reader, Writer, fill};
pub use budget::{Budget, Charge};
pub use entry::{Entry, NewEntry};
pub use fields::Fields;
pub use head::Head;
pub use memory::{Committed, Figures, Store};
pub use piece::Piece;
pub use reclaim::Reclaiming;
pub use record::{Extent, Record};
pub use resource::Resource;
pub use sealed::Sealed;
