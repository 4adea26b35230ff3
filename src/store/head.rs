//! A stored response head.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::store::budget::Budget;

/// Bytes that a name of its own costs beside its letters, if it is not a well-known one: the counts on the heap.
const PER_OWN_NAME: usize = 48;
/// Bytes that a slot of a `HeaderMap` takes: the entry, its hash, and the index, at the map's usual load.
const PER_MAP_SLOT: usize = 120;

/// Status and fields. All values are slices of one block of exactly their size: values as they were parsed would pin
/// the connection's whole read buffer.
#[derive(Debug)]
pub struct Head {
    status: StatusCode,
    /// In the order in which they came, repeats kept. The block that all values share carries the charge, for the names
    /// and the slots too.
    fields: Box<[(HeaderName, HeaderValue)]>,
    size: usize,
    /// Carries the charge when there is no field, and so no value, to do it.
    _block: Bytes,
}

impl Head {
    /// Packs `fields`, in order, repeats kept. `None`: there is no memory for it.
    pub fn pack(status: StatusCode, fields: &HeaderMap, budget: &Arc<Budget>) -> Option<Self> {
        let beside =
            size_of::<Self>() + fields.len() * size_of::<(HeaderName, HeaderValue)>() + names(fields);
        let block = block(fields, beside, budget)?;
        let size = block.len() + beside;
        Some(Self { status, fields: sliced(fields, &block)?.into(), size, _block: block })
    }

    /// The stored status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Number of field lines.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// No fields at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The bytes that it takes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The first line of a field.
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// Appends all fields, in order.
    pub fn write_to(&self, out: &mut HeaderMap) {
        for (name, value) in &self.fields {
            out.append(name.clone(), value.clone());
        }
    }

    /// All fields.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.fields.len());
        self.write_to(&mut map);
        map
    }
}

/// A copy of a trailer section that pins nothing else, and is charged as long as any of its values is held.
pub(super) fn packed_trailers(trailers: &HeaderMap, budget: &Arc<Budget>) -> Option<HeaderMap> {
    let beside = size_of::<HeaderMap>() + trailers.len() * PER_MAP_SLOT + names(trailers);
    let block = block(trailers, beside, budget)?;
    let mut packed = HeaderMap::with_capacity(trailers.len());
    for (name, value) in sliced(trailers, &block)? {
        packed.append(name, value);
    }
    Some(packed)
}

/// Bytes of those names that are not well-known, at most.
fn names(fields: &HeaderMap) -> usize {
    fields.keys().map(|name| name.as_str().len() + PER_OWN_NAME).sum()
}

/// All values, one after the other.
fn block(fields: &HeaderMap, beside: usize, budget: &Arc<Budget>) -> Option<Bytes> {
    let values: Vec<&[u8]> = fields.values().map(HeaderValue::as_bytes).collect();
    budget.gather(&values, beside)
}

/// The fields with their values cut from `block`.
fn sliced(fields: &HeaderMap, block: &Bytes) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut rest = block.clone();
    let mut sliced = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let own = rest.split_to(value.len());
        // It was a field value a moment ago, so it still is one.
        let mut copy = HeaderValue::from_maybe_shared(own).ok()?;
        copy.set_sensitive(value.is_sensitive());
        // Copied too: a name that is not well-known may be a slice of something larger.
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        sliced.push((name, copy));
    }
    Some(sliced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> HeaderMap {
        let mut fields = HeaderMap::new();
        fields.append("set-cookie", HeaderValue::from_static("a=1"));
        fields.append("x-own", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        fields.append("x-empty", HeaderValue::from_static(""));
        fields.append("set-cookie", HeaderValue::from_static("b=2"));
        fields
    }

    #[test]
    fn order_repeats_and_bytes_survive() {
        let budget = Budget::new(10_000);
        let head = Head::pack(StatusCode::OK, &fields(), &budget).unwrap();
        assert_eq!(head.to_map(), fields());
        assert_eq!(head.get(&http::header::SET_COOKIE).unwrap(), "a=1");
        assert_eq!(head.get(&http::header::ETAG), None);
        assert!(Head::pack(StatusCode::OK, &fields(), &Budget::new(100)).is_none());
    }

    #[test]
    fn values_share_one_block_and_its_charge() {
        let budget = Budget::new(10_000);
        let head = Head::pack(StatusCode::OK, &fields(), &budget).unwrap();
        let used = budget.used();
        assert!(used >= head.size() as u64);
        let map = head.to_map();
        drop(head);
        assert_eq!(budget.used(), used, "still being sent");
        drop(map);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_head_without_fields_is_charged_too() {
        let budget = Budget::new(10_000);
        let head = Head::pack(StatusCode::NO_CONTENT, &HeaderMap::new(), &budget).unwrap();
        assert!(head.is_empty());
        assert!(budget.used() >= size_of::<Head>() as u64);
    }

    #[test]
    fn trailers_are_copied_and_charged() {
        let budget = Budget::new(10_000);
        let packed = packed_trailers(&fields(), &budget).unwrap();
        assert_eq!(packed, fields());
        assert!(budget.used() > 4 * 100);
        drop(packed);
        assert_eq!(budget.used(), 0);
    }
}
