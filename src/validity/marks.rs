//! What an entry knows of the log: the cells that concern it, and its numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Moment;
use crate::validity::Sequence;
use crate::validity::cell::Cell;

/// The subjects by which purges reach a response. Cloning is one reference count.
#[derive(Clone, Debug)]
pub struct Marks(Arc<[Arc<Cell>]>);

impl Marks {
    pub(super) fn new(cells: Vec<Arc<Cell>>) -> Self {
        Self(cells.into())
    }

    /// The subjects of both.
    pub fn union(&self, other: &Marks) -> Marks {
        let mut cells = self.0.to_vec();
        for cell in other.0.iter() {
            if !cells.iter().any(|known| Arc::ptr_eq(known, cell)) {
                cells.push(cell.clone());
            }
        }
        Marks(cells.into())
    }

    /// Bytes that these marks take, without the cells, which are shared.
    pub fn size(&self) -> usize {
        self.0.len() * size_of::<Arc<Cell>>() + 2 * size_of::<usize>()
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.0.iter().map(Arc::as_ref)
    }
}

/// When a response's bytes and its validity were asked for, in the log's numbers.
#[derive(Debug)]
pub struct Stamp {
    /// INVARIANT: `published` as read before the request that brought the bytes was sent; never raised afterwards. A
    /// hard fact with a higher number may be younger than the bytes, so it kills them.
    body: Sequence,
    /// INVARIANT: `published` as read before the last request whose 200 or 304 vouched for the bytes was sent. At
    /// least `body`. Soft facts with a higher number make the response stale.
    validated: Sequence,
    /// Up to this number no fact was found that concerns the response. INVARIANT: the value of `published` read
    /// *before* the cells were: a fact published in between has a higher number, and is looked for next time.
    clear: AtomicU64,
}

impl Stamp {
    /// Of bytes whose request was sent when the log stood at `sent`.
    pub fn new(sent: Sequence) -> Self {
        Self { body: sent, validated: sent, clear: AtomicU64::new(sent.0) }
    }

    /// After a 304 to a request that was sent when the log stood at `sent`. The bytes are as old as before.
    pub fn revalidated(&self, sent: Sequence) -> Self {
        Self { body: self.body, validated: self.validated.max(sent), clear: AtomicU64::new(self.body.0) }
    }

    /// The number of the bytes.
    pub fn body(&self) -> Sequence {
        self.body
    }

    pub(super) fn validated(&self) -> Sequence {
        self.validated
    }

    pub(super) fn is_clear_up_to(&self, published: Sequence) -> bool {
        self.clear.load(Ordering::Relaxed) >= published.0
    }

    pub(super) fn found_clear(&self, published: Sequence) {
        self.clear.fetch_max(published.0, Ordering::Relaxed);
    }
}

impl Clone for Stamp {
    fn clone(&self) -> Self {
        let clear = AtomicU64::new(self.clear.load(Ordering::Relaxed));
        Self { body: self.body, validated: self.validated, clear }
    }
}

/// The witness that no purge has killed a response. Only the log makes one.
#[derive(Clone, Copy, Debug)]
pub struct Alive {
    softened: Option<Moment>,
}

impl Alive {
    pub(super) fn new(softened: Option<Moment>) -> Self {
        Self { softened }
    }

    /// When a soft purge made the response stale.
    pub fn softened(&self) -> Option<Moment> {
        self.softened
    }
}
