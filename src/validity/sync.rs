//! Every primitive that the log's correctness rests on comes through here. In tests a model checker stands in for all
//! of them: see `interleavings`.

pub(super) use std::sync::atomic::Ordering;
pub(super) use std::sync::{Arc, Weak};

#[cfg(not(test))]
pub(super) use std::{hash::RandomState, sync::atomic::AtomicU64};

#[cfg(not(test))]
pub(super) use parking_lot::{Mutex, MutexGuard, RwLock};

#[cfg(test)]
pub(super) use super::model::{AtomicU64, Mutex, MutexGuard, RandomState, RwLock};
