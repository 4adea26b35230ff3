//! A stored response head.

use std::mem;
use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::store::block::{self, Block};
use crate::store::budget::Budget;
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
    budget: Arc<Budget>,
    /// Bytes of the budget, given back on drop; unless an entry has taken them over, which has no room for a `Charge`.
    charged: u32,
}

/// What a [`Head`] is made of, for who has more that is charged with it.
pub(super) struct Parts {
    pub(super) fields: PackedFields,
    pub(super) status: StatusCode,
    /// Bytes of the budget. Nobody gives them back but who has this.
    pub(super) charged: u32,
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
        let size = fields.size();
        let mut head = Self { fields, status, budget: budget.clone(), charged: 0 };
        head.charge_more(size).then_some(head)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields.
    pub fn fields(&self) -> Fields<'_> {
        self.fields.view()
    }

    /// What it is charged to.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Charges what goes with it. `false`: there is no memory for that.
    pub(super) fn charge_more(&mut self, bytes: usize) -> bool {
        let sum = u32::try_from(bytes).ok().and_then(|bytes| self.charged.checked_add(bytes));
        let Some(sum) = sum.filter(|_| self.budget.take(bytes)) else { return false };
        self.charged = sum;
        true
    }

    pub(super) fn into_parts(mut self) -> Parts {
        Parts {
            fields: mem::take(&mut self.fields),
            status: self.status,
            charged: mem::take(&mut self.charged),
        }
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        self.budget.give_back(self.charged.into());
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
