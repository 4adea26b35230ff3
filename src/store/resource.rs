//! All that is stored under one key.

use crate::allocator::allocated;
use crate::key::CacheKey;
use crate::store::Entry;
use crate::store::entry::{self, List};

/// The stored responses to one key. Clones share them.
///
/// There may be millions, so it is one word: to the only response, as most resources have one, or to a list.
///
/// INVARIANT: all have the same key, and none is a list itself.
#[derive(Clone, Debug)]
pub struct Resource(Entry);

impl Resource {
    /// `None` if there are none.
    pub(super) fn of(variants: impl IntoIterator<Item = Entry>) -> Option<Self> {
        let mut variants = variants.into_iter();
        let newest = variants.next()?;
        let others: Box<[Entry]> = variants.collect();
        Some(Self(if others.is_empty() { newest } else { Entry::of_list(List { newest, others }) }))
    }

    /// The responses, newest first.
    pub fn variants(&self) -> impl Iterator<Item = &Entry> {
        let (newest, others) = match self.0.list() {
            None => (&self.0, &[][..]),
            Some(list) => (&list.newest, &list.others[..]),
        };
        std::iter::once(newest).chain(others)
    }

    /// The responses, newest first, for who keeps them.
    pub fn to_vec(&self) -> Vec<Entry> {
        self.variants().cloned().collect()
    }

    /// Whether that is what they answer to.
    pub(super) fn is_of(&self, key: &CacheKey) -> bool {
        self.key() == key
    }

    /// What they answer to.
    pub(super) fn key(&self) -> &CacheKey {
        &self.0.key
    }

    /// Says that the only response, or the list, will be read soon.
    pub(super) fn prefetch(&self) {
        self.0.prefetch();
    }

    /// Says that fields and content of the newest will be, too.
    pub(super) fn prefetch_rest(&self) {
        self.0.prefetch_rest();
    }

    /// Whether it is one of them.
    pub(super) fn has(&self, entry: &Entry) -> bool {
        self.variants().any(|variant| variant.is(entry))
    }

    /// Bytes of their list, if it takes one. It begins with as much as a response does, so that a resource is one word; few have
    /// several.
    pub(super) fn list_size(&self) -> usize {
        self.0.list().map_or(0, |list| allocated(entry::BESIDE) + allocated(size_of_val(&*list.others)))
    }
}
