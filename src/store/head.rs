//! A stored response head.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::store::budget::{Budget, Charge};

/// Status and fields. All values are slices of one block of exactly their size: values as they were parsed would pin
/// the connection's whole read buffer.
#[derive(Debug)]
pub struct Head {
    status: StatusCode,
    fields: Box<[(HeaderName, HeaderValue)]>,
    size: usize,
    _charge: Charge,
}

impl Head {
    /// Packs `fields`, in order, repeats kept. `None`: there is no memory for it.
    pub fn pack(status: StatusCode, fields: &HeaderMap, budget: &Arc<Budget>) -> Option<Self> {
        let values: usize = fields.values().map(HeaderValue::len).sum();
        // Names that are not well-known own their bytes.
        let names: usize = fields.iter().map(|(name, _)| name.as_str().len()).sum();
        let size = values + names + fields.len() * size_of::<(HeaderName, HeaderValue)>() + size_of::<Self>();
        let charge = budget.try_charge(size)?;
        let mut block = Vec::with_capacity(values);
        for value in fields.values() {
            block.extend_from_slice(value.as_bytes());
        }
        let mut block = Bytes::from(block);
        let mut packed = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let own = block.split_to(value.len());
            packed.push((name.clone(), HeaderValue::from_maybe_shared(own).ok()?));
        }
        Some(Self { status, fields: packed.into(), size, _charge: charge })
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

    /// The bytes that it is charged with.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_repeats_and_bytes_survive() {
        let mut fields = HeaderMap::new();
        fields.append("set-cookie", HeaderValue::from_static("a=1"));
        fields.append("x-own", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        fields.append("set-cookie", HeaderValue::from_static("b=2"));
        let budget = Budget::new(10_000);
        let head = Head::pack(StatusCode::OK, &fields, &budget).unwrap();
        assert_eq!(head.to_map(), fields);
        assert!(budget.used() > 0);
        drop(head);
        assert_eq!(budget.used(), 0);
        assert!(Head::pack(StatusCode::OK, &fields, &Budget::new(100)).is_none());
    }
}
