//! The primitives that the table of flights rests on. In tests a model checker stands between them: see `interleavings`.
//! Not among them is the gate of a flight, which the table only carries.

#[cfg(not(test))]
pub(super) use {parking_lot::Mutex, tokio::sync::Notify};

#[cfg(test)]
pub(super) use {super::model::Notify, crate::validity::model::Mutex};
