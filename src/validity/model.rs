//! The primitives as tests have them. Inside [`explore`], the model checker chooses before each operation which thread
//! goes on, so that orders come about that a machine would show once in a million runs, and the same ones in each run.
//! Elsewhere they are what they are called.
//!
//! The checker tries orders of operations; each is seen by all threads at once. That an operation asks for too weak an
//! `Ordering` it does not notice: that is argued for beside each field.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{self, Ordering};
use std::time::Duration;

use parking_lot::{RwLockReadGuard, RwLockWriteGuard};
use shuttle::scheduler::{PctScheduler, RandomScheduler};

pub(super) use parking_lot::MutexGuard;

/// Names fall into the same shards in each run.
pub(super) type RandomState = BuildHasherDefault<DefaultHasher>;

/// Orders of each of two kinds: chosen evenly at each step; and threads with priorities that change a few times, which
/// finds what takes one thread to be held up for long.
const ORDERS: usize = 1_000;
const CHANGES: usize = 3;
/// So that a failure comes again. `SHUTTLE_RANDOM_SEED` sets another.
const SEED: u64 = 9111;

/// Runs `scenario`, which spawns its threads by `shuttle::thread`, in many orders.
pub(crate) fn explore(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    let config = || {
        let mut config = shuttle::Config::new();
        config.stack_size = 1 << 16;
        config
    };
    shuttle::Runner::new(RandomScheduler::new_from_seed(SEED, ORDERS), config()).run(scenario.clone());
    shuttle::Runner::new(PctScheduler::new_from_seed(SEED, CHANGES, ORDERS), config()).run(scenario);
}

/// Lets the checker choose who is next.
pub(crate) fn switch() {
    if is_modelled() {
        // Which is no sleep there, and unlike `yield_now` says nothing about whose turn it should be.
        shuttle::thread::sleep(Duration::ZERO);
    }
}

fn is_modelled() -> bool {
    shuttle::current::try_get_current_task().is_some()
}

/// Waiting for a lock lets the others go on.
fn take<G>(attempt: impl Fn() -> Option<G>, wait: impl FnOnce() -> G) -> G {
    if !is_modelled() {
        return wait();
    }
    switch();
    loop {
        match attempt() {
            Some(guard) => return guard,
            None => shuttle::thread::yield_now(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        take(|| self.0.try_lock(), || self.0.lock())
    }
}

#[derive(Debug, Default)]
pub(super) struct RwLock<T>(parking_lot::RwLock<T>);

impl<T> RwLock<T> {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, T> {
        take(|| self.0.try_read(), || self.0.read())
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, T> {
        take(|| self.0.try_write(), || self.0.write())
    }
}

/// Made once, by whoever comes first.
#[derive(Debug)]
pub(super) struct OnceBox<T>(once_cell::race::OnceBox<T>);

impl<T> Default for OnceBox<T> {
    fn default() -> Self {
        Self(once_cell::race::OnceBox::new())
    }
}

impl<T> OnceBox<T> {
    pub(super) fn get(&self) -> Option<&T> {
        switch();
        self.0.get()
    }

    pub(super) fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
        match self.get() {
            Some(made) => made,
            None => {
                // Somebody else may come first yet.
                switch();
                self.0.get_or_init(make)
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct AtomicU64(atomic::AtomicU64);

#[derive(Debug, Default)]
pub(super) struct AtomicU32(atomic::AtomicU32);

macro_rules! operations {
    ($of:ident($word:ty): $($name:ident($($value:ident)?) -> $out:ty;)*) => {
        impl $of {
            pub(super) fn new(value: $word) -> Self {
                Self(atomic::$of::new(value))
            }

            $(
                pub(super) fn $name(&self, $($value: $word,)? ordering: Ordering) -> $out {
                    switch();
                    self.0.$name($($value,)? ordering)
                }
            )*
        }
    };
}

operations! {
    AtomicU64(u64):
    load() -> u64;
    store(value) -> ();
    swap(value) -> u64;
    fetch_add(value) -> u64;
    fetch_sub(value) -> u64;
    fetch_max(value) -> u64;
    fetch_min(value) -> u64;
}

operations! {
    AtomicU32(u32):
    load() -> u32;
    fetch_add(value) -> u32;
    fetch_sub(value) -> u32;
    fetch_max(value) -> u32;
}
