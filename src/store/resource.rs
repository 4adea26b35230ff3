//! All that is stored under one key.

use triomphe::{Arc, ArcBorrow, ArcUnion, ArcUnionBorrow};

use crate::allocator::allocated;
use crate::key::CacheKey;
use crate::store::prefetch::prefetch;
use crate::store::{Entry, SharedEntry};

/// The stored responses to one key. Clones share them.
///
/// There may be millions, so it is one word: to the only response, as most resources have one, or to a list.
///
/// INVARIANT: there is at least one, and all have the same key.
#[derive(Clone, Debug)]
pub struct Resource(ArcUnion<Entry, List>);

type List = Box<[SharedEntry]>;

impl Resource {
    /// `None` if there are none.
    pub(super) fn of(variants: impl IntoIterator<Item = SharedEntry>) -> Option<Self> {
        let mut variants = variants.into_iter();
        let first = variants.next()?;
        Some(Self(match variants.next() {
            None => ArcUnion::from_first(first),
            Some(second) => {
                ArcUnion::from_second(Arc::new([first, second].into_iter().chain(variants).collect()))
            }
        }))
    }

    /// The responses, newest first.
    pub fn variants(&self) -> impl Iterator<Item = ArcBorrow<'_, Entry>> {
        let (only, list) = match self.0.borrow() {
            ArcUnionBorrow::First(only) => (Some(only), &[][..]),
            ArcUnionBorrow::Second(list) => (None, &list.get()[..]),
        };
        only.into_iter().chain(list.iter().map(SharedEntry::borrow_arc))
    }

    /// The responses, newest first, for who keeps them.
    pub fn to_vec(&self) -> Vec<SharedEntry> {
        self.variants().map(|entry| entry.clone_arc()).collect()
    }

    /// Whether that is what they answer to.
    pub(super) fn is_of(&self, key: &CacheKey) -> bool {
        self.key() == Some(key)
    }

    /// What they answer to.
    pub(super) fn key(&self) -> Option<&CacheKey> {
        self.variants().next().map(|entry| &entry.get().key)
    }

    /// Says that the newest will be read soon.
    pub(super) fn prefetch(&self) {
        if let Some(newest) = self.variants().next() {
            prefetch(newest.get());
        }
    }

    /// Says that its fields and content will be, too.
    pub(super) fn prefetch_rest(&self) {
        if let Some(newest) = self.variants().next() {
            newest.prefetch_rest();
        }
    }

    /// Whether it is one of them.
    pub(super) fn has(&self, entry: &SharedEntry) -> bool {
        self.variants().any(|variant| ArcBorrow::ptr_eq(&variant, &entry.borrow_arc()))
    }

    /// Bytes of their list, if it takes one: how many have it, where it is, and how long; and the list.
    pub(super) fn list_size(&self) -> usize {
        self.0.as_second().map_or(0, |list| {
            allocated(size_of::<usize>() + size_of::<List>()) + allocated(size_of_val(&**list.get()))
        })
    }
}
