//! All that is stored under one key.

use std::slice;
use std::sync::Arc;

use crate::key::CacheKey;
use crate::store::Entry;
use crate::store::budget::allocated;

/// The stored responses to one key. Clones share them.
#[derive(Clone, Debug)]
pub struct Resource(Variants);

/// INVARIANT: there is at least one, and all have the same key.
#[derive(Clone, Debug)]
enum Variants {
    /// Most resources have one; so they need no list.
    One(Arc<Entry>),
    Many(Arc<[Arc<Entry>]>),
}

impl Resource {
    /// `None` if there are none.
    pub(super) fn of(mut variants: Vec<Arc<Entry>>) -> Option<Self> {
        match variants.len() {
            0 | 1 => variants.pop().map(Variants::One),
            _ => Some(Variants::Many(variants.into())),
        }
        .map(Self)
    }

    /// The responses, newest first.
    pub fn variants(&self) -> &[Arc<Entry>] {
        match &self.0 {
            Variants::One(only) => slice::from_ref(only),
            Variants::Many(list) => list,
        }
    }

    /// Whether that is what they answer to.
    pub(super) fn is_of(&self, key: &CacheKey) -> bool {
        self.key() == Some(key)
    }

    /// What they answer to.
    pub(super) fn key(&self) -> Option<&CacheKey> {
        self.variants().first().map(|entry| &entry.key)
    }

    /// Whether it is one of them.
    pub(super) fn has(&self, entry: &Arc<Entry>) -> bool {
        self.variants().iter().any(|variant| Arc::ptr_eq(variant, entry))
    }

    /// Bytes of their list, if it takes one.
    pub(super) fn list_size(&self) -> usize {
        match &self.0 {
            Variants::One(_) => 0,
            Variants::Many(list) => allocated(2 * size_of::<usize>() + size_of_val(&**list)),
        }
    }
}
