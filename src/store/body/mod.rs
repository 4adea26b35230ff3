//! Content that is read while it fills: one writer, many readers, each at its own position.
//!
//! A fill begins *storing*: every piece is copied to a charged chunk of exactly its size and kept. The writer never
//! waits, whatever the readers do, and goes on without any, since the content will be stored. Small pieces are gathered
//! into larger chunks on the way.
//!
//! It turns into a *stream* when it will not be stored after all: there is no memory for the next piece, it is longer
//! than any stored object may be, or the caller says so. From then on
//!
//! - what all readers have read is dropped, and with the first chunk gone no reader can begin;
//! - the writer waits until the next piece fits within `window` bytes of the slowest reader, so the content is paced by
//!   that one, and the origin by the writer;
//! - if the budget has no room for a copy even of that, pieces are handed over as they are, one at a time: a fill holds
//!   at most one beyond the budget, which is in the connection's read buffer anyway;
//! - without readers there is nobody to go on for.
//!
//! A reader that takes nothing holds a stream up. That is bounded elsewhere: the server cuts clients that take nothing
//! for its stall timeout, and with the client goes the reader.
//!
//! [`state`] decides, [`writer`] and [`reader`] wait and wake: wakers are taken under the lock and woken after it.

mod reader;
mod state;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::Budget;

pub use reader::Reader;
pub use writer::Writer;

use state::State;

const MEMORY: &str = "memory";
const MAX_OBJECT: &str = "max-object";
const WRONG_LENGTH: &str = "length-mismatch";

/// The reasons for which content that came completely is not stored.
pub const NOT_SEALED: [&str; 3] = [MEMORY, MAX_OBJECT, WRONG_LENGTH];

/// Bounds of a fill.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest content that is stored, in bytes.
    pub max_object: u64,
    /// How far a stream's fastest reader may run ahead of its slowest, in bytes. A single piece may be longer.
    pub window: usize,
    /// The declared length, if any, in bytes.
    pub expected: Option<u64>,
}

/// There is nobody to go on for: nobody reads, and it will not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody wants the content")]
pub struct Abandoned;

/// The content came to its end, but is not to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content is not stored: {0}")]
pub struct NotSealed(&'static str);

impl NotSealed {
    /// Why: one of [`NOT_SEALED`], or what [`Writer::stream_only`] was told.
    pub fn reason(self) -> &'static str {
        self.0
    }
}

/// The content broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content broke off: {0}")]
pub struct BodyError(pub &'static str);

/// Begins a fill.
pub fn fill(budget: Arc<Budget>, limits: Limits) -> (Writer, Body) {
    let shared = Arc::new(Shared { limits, state: Mutex::default() });
    (Writer::new(shared.clone(), budget), Body(shared))
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    /// Never held while a future waits or a waker is woken.
    state: Mutex<State>,
}

/// A fill as its readers see it.
#[derive(Clone, Debug)]
pub struct Body(Arc<Shared>);

impl Body {
    /// A reader from the first byte on. `None`: the first byte is gone.
    pub fn reader(&self) -> Option<Reader> {
        let (id, writer) = self.0.state.lock().join()?;
        if let Some(writer) = writer {
            writer.wake();
        }
        Some(Reader::new(self.0.clone(), id))
    }

    /// Whether it is of use to newcomers: from the first byte on, and not broken off so far.
    pub fn has_room(&self) -> bool {
        self.0.state.lock().has_room()
    }

    /// Whether it is to be stored, as far as is known.
    pub fn is_storing(&self) -> bool {
        !self.0.state.lock().streams()
    }

    /// The declared length, in bytes.
    pub fn expected_len(&self) -> Option<u64> {
        self.0.limits.expected
    }
}
