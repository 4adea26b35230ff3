//! Every primitive that the log's correctness rests on comes through here. In tests a model checker stands in for all
//! of them: see `interleavings`.

pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::Ordering;
pub(super) use triomphe::{Arc as Counted, ThinArc};

#[cfg(not(test))]
pub(super) use once_cell::race::OnceBox;

#[cfg(not(test))]
pub(super) use std::hash::RandomState;
#[cfg(not(test))]
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64};

#[cfg(not(test))]
pub(super) use parking_lot::{Mutex, MutexGuard, RwLock};

#[cfg(test)]
pub(super) use super::model::{AtomicU32, AtomicU64, Mutex, MutexGuard, OnceBox, RandomState, RwLock};
