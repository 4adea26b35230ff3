//! What the store holds for a request.

use crate::request::receive::Routed;
use crate::request::worker::Engine;
use crate::store::{Entry, Extent, Resource};
use crate::validity::{Alive, Sequence};

/// A stored response that no purge has killed, with the witness for it.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) entry: Entry,
    pub(crate) alive: Alive,
}

/// The stored responses that may serve a request.
#[derive(Default)]
pub(crate) struct Found {
    /// All variants, for the validators of those that were not selected.
    pub(crate) resource: Option<Resource>,
    /// The newest complete response that the request selects (RFC 9111 §4.1).
    pub(crate) whole: Option<Live>,
    /// The newest partial one.
    pub(crate) part: Option<Live>,
    /// Responses that other selecting fields would get, whether alive or not.
    pub(crate) other_variants: bool,
}

impl Found {
    /// Live complete responses, the selected one first: those whose validators a conditional request may list.
    pub(crate) fn variants(&self, engine: &Engine) -> Vec<Entry> {
        let Some(resource) = &self.resource else { return Vec::new() };
        let selected = self.whole.as_ref().map(|live| live.entry.clone());
        let others = resource
            .variants()
            .filter(|&entry| {
                entry.is_whole()
                    && selected.as_ref().is_none_or(|selected| !selected.is(entry))
                    && engine.log.check(&entry.marks, &entry.stamp).is_some()
            })
            .cloned();
        selected.iter().cloned().chain(others).collect()
    }
}

pub(crate) fn lookup(engine: &Engine, request: &Routed) -> Found {
    let Some(resource) = engine.store.get(&request.key) else { return Found::default() };
    let mut found = Found::default();
    // What a dead response had superseded does not answer in its place: it is older still.
    let mut dead: Option<Sequence> = None;
    for entry in resource.variants() {
        let slot = match entry.extent() {
            Extent::Whole => &mut found.whole,
            Extent::Part { .. } => &mut found.part,
        };
        if slot.is_some() {
            continue;
        }
        if !entry.selected_by(&request.received.fields) {
            found.other_variants = true;
            continue;
        }
        if dead.is_some_and(|dead| entry.stamp.body() <= dead) {
            continue;
        }
        match engine.log.check(&entry.marks, &entry.stamp) {
            Some(alive) => *slot = Some(Live { entry: entry.clone(), alive }),
            None => dead = dead.max(Some(entry.stamp.body())),
        }
    }
    found.resource = Some(resource);
    found
}
