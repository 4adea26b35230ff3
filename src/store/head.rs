//! The head of a response that is to be stored.

use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::store::block::{self, Block};
use crate::store::budget::{Budget, Charge};
use crate::store::fields::{Fields, PackedFields};

/// Bytes that a slot of a `HeaderMap` takes: the entry, its hash, and the index, at the map's usual load.
const PER_MAP_SLOT: usize = 120;
/// Bytes that a name of its own costs beside its letters, if it is not a well-known one: the counts on the heap.
const PER_OWN_NAME: usize = 48;

/// Status and fields, with their charge.
#[derive(Debug)]
pub struct Head {
    fields: PackedFields,
    status: StatusCode,
    charge: Charge,
}

impl Head {
    /// Packs `fields`, in order, repeats kept. `None`: there is no memory for it, or it is larger than any that a
    /// connection takes in.
    pub fn pack<'a>(
        status: StatusCode,
        fields: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
        budget: &Arc<Budget>,
    ) -> Option<Self> {
        Self::charged(status, PackedFields::pack(fields)?, budget)
    }

    /// With a charge of its own. `None`: there is no memory for it.
    pub(super) fn charged(status: StatusCode, fields: PackedFields, budget: &Arc<Budget>) -> Option<Self> {
        let charge = budget.try_charge(fields.size())?;
        Some(Self { fields, status, charge })
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields.
    pub fn fields(&self) -> Fields<'_> {
        self.fields.view()
    }

    /// The fields, as they are packed.
    pub(super) fn packed(&self) -> &[u8] {
        self.fields.as_bytes()
    }

    /// What it is charged to.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        self.charge.budget()
    }
}

/// A copy of a trailer section that pins nothing else, and is charged as long as any of its values is held.
pub(super) fn packed_trailers(trailers: &HeaderMap, budget: &Arc<Budget>) -> Option<HeaderMap> {
    let names: usize = trailers.keys().map(|name| name.as_str().len() + PER_OWN_NAME).sum();
    let beside = size_of::<HeaderMap>() + trailers.len() * PER_MAP_SLOT + names;
    let values: Vec<&[u8]> = trailers.values().map(HeaderValue::as_bytes).collect();
    let mut rest = block::with(Block::of(&values, budget)?, beside, budget)?;
    let mut packed = HeaderMap::with_capacity(trailers.len());
    for (name, value) in trailers {
        // Copied too: a name that is not well-known may be a slice of something larger.
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        packed.append(name, HeaderValue::from_maybe_shared(rest.split_to(value.len())).ok()?);
    }
    Some(packed)
}

#[cfg(test)]
mod tests;
