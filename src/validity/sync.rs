//! Every primitive that the log's correctness rests on comes through here, so that a model checker can stand in for
//! all of them at one place.

pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use parking_lot::{Mutex, MutexGuard, RwLock};

pub(super) use std::hash::RandomState;
