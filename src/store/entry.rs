//! A stored response: what is known of it, its fields, and short content, in one allocation.
//!
//! Among a million responses none of that is in a cache of the processor's, nor is it known there where in memory the pages
//! are. So a look at one waits for as many places as it is in, one after the other: that is once, or twice where content lies
//! apart.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::CONTENT_LANGUAGE;
use triomphe::ThinArc;

use crate::allocator::allocated;
use crate::clock::Moment;
use crate::key::CacheKey;
use crate::policy::freshness::Terms;
use crate::policy::validation::Validators;
use crate::policy::vary::Variant;
use crate::store::block::{self, Block};
use crate::store::fields::Fields;
use crate::store::prefetch::{prefetch, prefetch_at};
use crate::store::record::{Content, Extent, More, NewRecord, Record};
use crate::store::{Budget, Head, Sealed};
use crate::validity::{Marks, Stamp};

/// The longest content, in bytes, that is copied once more to lie behind its fields.
const SHORT: u64 = 4096;
/// What goes before the bytes of an allocation: how many have it, what is known, and how many bytes there are.
pub(super) const BESIDE: usize = 2 * size_of::<usize>() + size_of::<Node>();

/// A stored response, as those who have it share it. It does not change; a 304 makes a new one.
#[derive(Clone, Debug)]
pub struct Entry(
    /// Of a response, the fields as they are packed, and behind them the content, if it does not lie apart. Of a list, none.
    ThinArc<Node, u8>,
);

/// What an allocation begins with.
#[derive(Debug)]
enum Node {
    Response(Record),
    /// In the place of an entry where there are several: it stands for the newest.
    List(List),
}

/// Entries with one key.
#[derive(Debug)]
pub(super) struct List {
    pub(super) newest: Entry,
    pub(super) others: Box<[Entry]>,
}

/// What an entry is made of.
#[derive(Debug)]
pub struct NewEntry {
    /// What was sent upstream.
    pub key: CacheKey,
    /// Status and fields.
    pub head: Head,
    /// Content.
    pub body: Sealed,
    /// Which bytes that is.
    pub extent: Extent,
    /// On which it may be reused.
    pub terms: Terms,
    /// What it can be validated by.
    pub validators: Validators,
    /// The selecting fields of the request that brought it.
    pub variant: Variant,
    /// When it was received or last validated.
    pub received: Moment,
    /// The same on the wall clock.
    pub received_wall: SystemTime,
    /// What it can be purged by.
    pub marks: Marks,
    /// Which purges are younger than it.
    pub stamp: Stamp,
}

impl Entry {
    /// An entry that nobody has asked for yet. `None`: there is no memory for it.
    pub fn new(parts: NewEntry) -> Option<Self> {
        let NewEntry {
            key,
            head,
            body,
            extent,
            terms,
            validators,
            variant,
            received,
            received_wall,
            marks,
            stamp,
        } = parts;
        let told = head.fields().validators();
        let more = More::of(extent, &terms, validators, &told, variant, received_wall);
        let (status, fields) = (head.status(), head.packed());
        let behind = fits_behind(fields.len(), &body);
        let body = if behind { body } else { body.out_of_entries()? };
        let (content, list) = if behind { (body.len() as usize, 0) } else { (0, body.list_size()) };
        let lists = more.as_deref().map_or([0; 3], More::sizes).into_iter().chain([list, marks.size()]);
        let size = allocated(BESIDE + fields.len() + content) + lists.map(allocated).sum::<usize>();
        let (of_fields, charged) = (u32::try_from(fields.len()).ok()?, u32::try_from(size).ok()?);
        debug_assert!(Arc::ptr_eq(head.budget(), body.budget()), "taken from where it will be given back");
        // Charged first: the memory is not touched before it is granted.
        if !head.budget().take(size) {
            return None;
        }
        let (content, bytes) = if behind {
            let budget = body.budget().clone();
            (Content::Behind { fields: of_fields, budget }, with_all_of(fields, &body))
        } else {
            (Content::Apart(body), Cow::Borrowed(fields))
        };
        let record =
            Record::new(NewRecord { key, status, content, marks, stamp, received, terms, more, charged });
        Some(Self(ThinArc::from_header_and_slice(Node::Response(record), &bytes)))
    }

    /// What stands for several in an index, of which it behaves like the newest.
    pub(super) fn of_list(list: List) -> Self {
        Self(ThinArc::from_header_and_slice(Node::List(list), &[]))
    }

    /// Those that it stands for, if they are several.
    pub(super) fn list(&self) -> Option<&List> {
        match &self.0.header.header {
            Node::Response(_) => None,
            Node::List(list) => Some(list),
        }
    }

    /// What is known of it, and its bytes.
    #[inline(always)]
    fn stored(&self) -> (&Record, &[u8]) {
        match &self.0.header.header {
            Node::Response(record) => (record, &self.0.slice),
            Node::List(list) => list.newest.of_newest(),
        }
    }

    /// Apart from it, so that it can be inlined: no list is the newest of another.
    #[cold]
    fn of_newest(&self) -> (&Record, &[u8]) {
        self.stored()
    }

    /// What this entry is made of, to make another like it. `None`: there is no memory for a copy of its head.
    pub fn parts(&self, budget: &Arc<Budget>) -> Option<NewEntry> {
        let validators = self.validators().into_owned();
        Some(NewEntry {
            key: self.key,
            head: Head::charged(self.status, self.fields().to_packed(), budget)?,
            body: self.body(),
            extent: self.extent().clone(),
            terms: self.terms(),
            received_wall: self.received_wall(&validators),
            validators,
            variant: self.variant().clone(),
            received: self.received,
            marks: self.marks.clone(),
            stamp: self.stamp.clone(),
        })
    }

    /// Its fields.
    pub fn fields(&self) -> Fields<'_> {
        let (record, bytes) = self.stored();
        Fields::of(match record.content {
            Content::Behind { fields, .. } => bytes.get(..fields as usize).unwrap_or_default(),
            Content::Apart(_) => bytes,
        })
    }

    /// The content that lies behind its fields; none, if it lies apart.
    #[inline]
    pub(super) fn behind(&self) -> &[u8] {
        let (record, bytes) = self.stored();
        match record.content {
            Content::Behind { fields, .. } => bytes.get(fields as usize..).unwrap_or_default(),
            Content::Apart(_) => &[],
        }
    }

    /// Its content. Nothing is copied: as long as it is held, the entry may be, too.
    pub fn body(&self) -> Sealed {
        match &self.content {
            Content::Behind { .. } => Block::Behind(self.clone()).into(),
            Content::Apart(body) => body.clone(),
        }
    }

    /// The same for who does not need it any more.
    pub fn into_body(self) -> Sealed {
        match &self.content {
            Content::Behind { .. } => Block::Behind(self).into(),
            Content::Apart(body) => body.clone(),
        }
    }

    /// Length of the content in bytes.
    pub fn content_length(&self) -> u64 {
        match &self.content {
            Content::Behind { .. } => self.behind().len() as u64,
            Content::Apart(body) => body.len(),
        }
    }

    /// What it can be validated by.
    pub fn validators(&self) -> Cow<'_, Validators> {
        match self.own_validators() {
            Some(validators) => Cow::Borrowed(validators),
            None => Cow::Owned(self.fields().validators()),
        }
    }

    /// Whether a request with these fields selects it (RFC 9111 §4.1).
    pub fn selected_by(&self, request: &HeaderMap) -> bool {
        let variant = self.variant();
        variant.is_of_all() || variant.matches(request, || self.fields().get(&CONTENT_LANGUAGE))
    }

    /// Whether both are the same, not only alike.
    pub fn is(&self, other: &Self) -> bool {
        self.address() == other.address()
    }

    /// Where it is, which tells it from all others that are held.
    pub(super) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// Says that it will be read soon.
    pub(super) fn prefetch(&self) {
        prefetch_at(self.0.as_ptr().cast(), BESIDE);
    }

    /// Says that fields and content will be, too, for which it is read itself.
    pub(super) fn prefetch_rest(&self) {
        let (record, bytes) = self.stored();
        prefetch(bytes);
        if let Content::Apart(body) = &record.content {
            body.prefetch();
        }
    }

    /// Says that its size will be asked for soon, some of which may lie apart from it.
    pub(super) fn prefetch_size(&self) {
        if let Content::Apart(body) = &self.content {
            body.prefetch_size();
        }
    }
}

impl Deref for Entry {
    type Target = Record;

    #[inline]
    fn deref(&self) -> &Record {
        self.stored().0
    }
}

/// Whether content takes no more room behind so many bytes of fields than by itself, and is short enough to be copied for
/// that. Trailers lie apart.
fn fits_behind(fields: usize, body: &Sealed) -> bool {
    let (before, len) = (BESIDE + fields, body.len() as usize);
    body.len() <= SHORT
        && body.trailers().is_none()
        && allocated(before + len) <= allocated(before) + block::size(len)
}

/// The fields, and behind them the content. For a moment they are there twice, and once of it uncharged; content is short, and
/// fields are as a rule.
fn with_all_of<'a>(fields: &'a [u8], body: &Sealed) -> Cow<'a, [u8]> {
    if body.is_empty() {
        return Cow::Borrowed(fields);
    }
    let mut bytes = Vec::with_capacity(fields.len() + body.len() as usize);
    bytes.extend_from_slice(fields);
    body.pieces().iter().for_each(|piece| bytes.extend_from_slice(piece));
    Cow::Owned(bytes)
}
