//! The hard ceiling.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// What one allocation costs beyond its size: the allocator's rounding and the reference counts of a [`Bytes`].
pub const PER_CHUNK: usize = 96;

/// Bytes that may be held, and that are. Shared by everything that holds some.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    /// INVARIANT: the sum of all living [`Charge`]s, never above `limit`.
    used: AtomicU64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0) })
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be in use.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Charges `bytes`, unless that would pass the limit. Never waits.
    pub fn try_charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let bytes = bytes as u64;
        let within = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).ok()?;
        Some(Charge { budget: self.clone(), bytes })
    }

    /// An exact-size copy of `data` that is charged for as long as any clone or slice of it lives: content that was
    /// evicted while it is being sent still counts.
    pub fn bytes(self: &Arc<Self>, data: &[u8]) -> Option<Bytes> {
        if data.is_empty() {
            return Some(Bytes::new());
        }
        let charge = self.try_charge(data.len() + PER_CHUNK)?;
        Some(Bytes::from_owner(Charged { data: data.into(), _charge: charge }))
    }
}

/// Bytes of the budget, given back on drop.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Charged {
    data: Box<[u8]>,
    _charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_lives_as_long_as_the_last_slice() {
        let budget = Budget::new(1000);
        let bytes = budget.bytes(&[7; 500]).unwrap();
        let used = budget.used();
        assert!(used >= 500);
        let slice = bytes.slice(100..101);
        drop(bytes);
        assert_eq!(budget.used(), used);
        assert!(budget.bytes(&[7; 500]).is_none(), "the limit is hard");
        drop(slice);
        assert_eq!(budget.used(), 0);
    }
}
